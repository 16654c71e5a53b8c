"""Data sets of ambiguous segmentation, one sample type for all. Formats and licences: docs/data.md."""

from asam.data.augment import Augment, Augmented
from asam.data.brats import Brats2017
from asam.data.bsds import Bsds500
from asam.data.check import Report, check
from asam.data.davis import Davis
from asam.data.errors import DataError
from asam.data.folder import Folder
from asam.data.isic import Isic2016
from asam.data.law import Law, ModeLaw, OffsetLaw
from asam.data.lidc_cimd import LidcCimd
from asam.data.lidc_crops import LidcCrops
from asam.data.lidc_dicom import LidcDicom
from asam.data.lidc_phiseg import LidcPhiSeg
from asam.data.lidc_v1 import LidcV1
from asam.data.lidc_v2 import LidcV2
from asam.data.qubiq import Qubiq
from asam.data.registry import detect, names, open_dataset
from asam.data.sample import Dataset, Promise, Sample, equal_weights, smallest_box
from asam.data.sheet import sheet
from asam.data.sim10k import Sim10k
from asam.data.splits import Manifest, Scheme, Subset, make_split, spread
from asam.data.synthetic import Synthetic, SyntheticVideo

__all__ = [
    "Augment",
    "Augmented",
    "Brats2017",
    "Bsds500",
    "DataError",
    "Dataset",
    "Davis",
    "Folder",
    "Isic2016",
    "Law",
    "LidcCimd",
    "LidcCrops",
    "LidcDicom",
    "LidcPhiSeg",
    "LidcV1",
    "LidcV2",
    "Manifest",
    "ModeLaw",
    "OffsetLaw",
    "Promise",
    "Qubiq",
    "Report",
    "Sample",
    "Scheme",
    "Sim10k",
    "Subset",
    "Synthetic",
    "SyntheticVideo",
    "check",
    "detect",
    "equal_weights",
    "make_split",
    "names",
    "open_dataset",
    "sheet",
    "smallest_box",
    "spread",
]
