"""Figures of Li et al., NeurIPS 2024, as printed: GED, HM-IoU, Dmax, Dmean; None where the paper has none.

Their code unpacks GED and IoU the wrong way round, scores HM-IoU by the `rectangular` matching, Dmax by `any` and Dmean
by `mean_logit`, on four checkpoints of four samples each and a split that mixes patients: none of it compares with the
strict protocol.
"""

from __future__ import annotations

from typing import Final

Figures = tuple[float | None, float | None, float | None, float | None]

DATA: Final = {
    "LIDC": ("lidc-crops", "lidc-v1", "lidc-phiseg", "lidc-v2", "lidc-cimd", "lidc-dicom"),
    "BraTS": ("brats2017",),
    "ISBI": ("isic2016",),
    "Sim10k": ("sim10k",),
}
"""The paper's data sets -> our names for them."""

PROMPTED: Final[dict[str, dict[str, Figures]]] = {
    "SegGPT, point shift": {
        "LIDC": (0.462, 0.280, 0.573, 0.153),
        "BraTS": (0.451, 0.032, 0.144, 0.046),
        "ISBI": (0.649, 0.662, 0.659, 0.323),
        "Sim10k": (0.259, 0.128, 0.151, 0.127),
    },
    "SegGPT, box shift": {
        "LIDC": (0.392, 0.354, 0.638, 0.325),
        "BraTS": (0.348, 0.082, 0.224, 0.146),
        "ISBI": (0.527, 0.772, 0.874, 0.536),
        "Sim10k": (0.272, 0.152, 0.220, 0.183),
    },
    "SEEM, mask shift": {
        "LIDC": (0.381, 0.401, 0.692, 0.272),
        "BraTS": (0.210, 0.228, 0.281, 0.194),
        "ISBI": (0.522, 0.821, 0.908, 0.760),
        "Sim10k": (0.238, 0.271, 0.344, 0.246),
    },
    "SAM, point shift": {
        "LIDC": (0.377, 0.365, 0.650, 0.337),
        "BraTS": (0.252, 0.169, 0.334, 0.238),
        "ISBI": (0.513, 0.782, 0.886, 0.681),
        "Sim10k": (0.265, 0.155, 0.229, 0.189),
    },
    "SAM, box shift": {
        "LIDC": (0.361, 0.380, 0.673, 0.253),
        "BraTS": (0.239, 0.242, 0.344, 0.246),
        "ISBI": (0.491, 0.792, 0.896, 0.685),
        "Sim10k": (0.255, 0.160, 0.239, 0.199),
    },
    "A-SAM": {
        "LIDC": (0.228, 0.717, 0.948, 0.356),
        "BraTS": (0.193, 0.610, 0.864, 0.423),
        "ISBI": (0.276, 0.835, 0.926, 0.904),
        "Sim10k": (0.233, 0.637, 0.851, 0.327),
    },
}
"""Table 1, models that are prompted."""

SPECIALISTS: Final[dict[str, dict[str, Figures]]] = {
    "LIDC": {
        "Prob U-Net": (0.324, 0.423, None, None),
        "HProb U-Net": (0.270, 0.530, None, None),
        "PHiSeg": (0.262, 0.595, None, None),
        "SSN": (0.259, 0.555, None, None),
        "CAR": (0.252, 0.549, None, None),
        "PixelSeg": (0.243, 0.614, None, None),
        "CIMD": (0.234, 0.587, None, None),
        "MoSE": (0.234, 0.623, None, None),
        "A-SAM": (0.230, 0.763, 0.959, None),
    },
    "BraTS": {"A-SAM": (0.192, 0.603, 0.886, 0.438)},
    "ISBI": {"A-SAM": (0.267, 0.834, 0.918, 0.905)},
    "Sim10k": {"A-SAM": (0.241, 0.596, 0.833, 0.421)},
}
"""Tables 2 to 5, networks made for ambiguous segmentation; rows of A-SAM for every data set, of others for LIDC."""

ABLATION: Final[dict[str, Figures]] = {
    "no ambiguity": (0.361, 0.380, 0.673, 0.253),
    "no object ambiguity": (0.370, 0.389, 0.691, 0.230),
    "no prompt ambiguity": (0.308, 0.674, 0.930, 0.336),
    "no posterior": (0.266, 0.385, 0.805, 0.341),
    "all": (0.228, 0.717, 0.948, 0.356),
}
"""The ablation on LIDC."""
