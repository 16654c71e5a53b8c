"""What a frame costs by the size of its picture: the network, and what comes before and after it.

    asam build nano --output nano.asam
    python benchmarks/frame_sizes.py --engine nano.asam
    python benchmarks/frame_sizes.py --engine nano.asam --json frame-sizes.json

Stages of a scene with one box, each beside the libraries that would do the same:

    input   the picture to what the encoder takes        Pillow and NumPy
    maps    the hypotheses' logits to counts, mean,      PyTorch: interpolated twice as SAM does, one hypothesis at a
            entropy and areas at the picture's size      time, which is faster than all at once; NumPy for the maps
    frame   set_image, sample, mean, entropy, areas      input and maps by the libraries, the same network

Everything takes turns; figures are medians in milliseconds with interquartile ranges over the median.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

import asam_trt
from asam.bench import machine
from asam.data import Synthetic
from asam_trt import Hypotheses, Session
from asam_trt.files import replacing
from asam_trt.geometry import resize_image

_SIZES = ("192x192", "640x480", "1280x720", "1920x1080", "3840x2160")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--sizes", nargs="*", default=_SIZES, help="WIDTHxHEIGHT")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    where = machine.look()
    torch.set_num_threads(asam_trt.get_num_threads())
    with asam_trt.Session(options.engine) as session:
        print(
            f"{where.processor}, {where.cores} cores, {where.isa}, load {where.load}, commit {where.commit}, "
            f"{where.date}\n{', '.join(f'{k} {v}' for k, v in where.versions.items())}\n{session!r}"
            f"{' BUSY' if where.busy(asam_trt.get_num_threads()) else ''}\n"
        )
        print("| picture | stage | asam | libraries | ratio |\n|---|---|---:|---:|---:|")
        rows = [row for size in options.sizes for row in _measure(session, size, options.n, options.repeats)]
    if options.json is not None:
        found = {"machine": asdict(where), "n": options.n, "rows": rows}
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {options.json}")


def _measure(session: Session, size: str, n: int, repeats: int) -> list[dict[str, Any]]:
    w, h = (int(side) for side in size.split("x"))
    scene = Synthetic("nested", size=256, seed=0)[3]
    image = np.asarray(Image.fromarray(scene.image).resize((w, h), Image.Resampling.BICUBIC))
    box = np.asarray(scene.box) * (w / 256, h / 256, w / 256, h / 256)
    settings = session.engine.preprocessing
    session.set_image(image)
    drawn = session.sample(box=box, n=n)
    theirs = _libraries_maps(drawn)
    assert (theirs[0] != drawn.counts).mean() < 1e-4, "the libraries make other masks"

    def frame() -> None:
        session.set_image(image)
        found = session.sample(box=box, n=n)
        _ours_maps(found)

    small = np.zeros((settings.side, settings.side, 3), np.uint8)

    def frame_by_libraries() -> None:
        _libraries_input(session, image)
        session.set_image(small)  # of the model's size: nothing is resized
        session.sample(box=(9, 9, 99, 99), n=n)
        _libraries_maps(drawn)

    def fresh() -> Hypotheses:
        return Hypotheses(drawn.logits, drawn.scores, drawn.frame)

    routes: dict[tuple[str, str], Callable[[], Any]] = {
        ("input", "asam"): lambda: resize_image(image, settings.side, settings.mean, settings.std),
        ("input", "libraries"): lambda: _libraries_input(session, image),
        ("maps", "asam"): lambda: _ours_maps(fresh()),
        ("maps", "libraries"): lambda: _libraries_maps(drawn),
        ("frame", "asam"): frame,
        ("frame", "libraries"): frame_by_libraries,
    }
    times: dict[tuple[str, str], list[float]] = {route: [] for route in routes}
    for turn in range(repeats + 1):
        for route, run in routes.items():
            run()  # the others' threads may still wait for work, and their data is in the caches
            start = time.perf_counter()
            run()
            if turn:
                times[route].append((time.perf_counter() - start) * 1e3)
    rows = []
    for stage in ("input", "maps", "frame"):
        row: dict[str, Any] = {"picture": size, "stage": stage}
        for who in ("asam", "libraries"):
            low, median, high = np.percentile(times[stage, who], (25, 50, 75))
            row[who], row[f"{who}_spread"] = float(median), float((high - low) / median)
        row["ratio"] = row["libraries"] / row["asam"]
        rows.append(row)
        spans = (f"{row[who]:.2f} ({row[f'{who}_spread']:.0%})" for who in ("asam", "libraries"))
        print(f"| {size} | {stage} | {' | '.join(spans)} | {row['ratio']:.1f} |")
    return rows


def _ours_maps(found: Hypotheses) -> tuple[Any, ...]:
    return found.counts, found.mean, found.entropy, found.areas


def _libraries_input(session: Session, image: np.ndarray) -> np.ndarray:
    settings = session.engine.preprocessing
    scale = settings.side / max(image.shape[:2])
    h, w = (int(side * scale + 0.5) for side in image.shape[:2])
    small = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR), np.float32)
    out = np.zeros((3, settings.side, settings.side), np.float32)
    out[:, :h, :w] = ((small - np.float32(settings.mean)) / np.float32(settings.std)).transpose(2, 0, 1)
    return out


def _libraries_maps(drawn: Hypotheses) -> tuple[np.ndarray, ...]:
    frame, n = drawn.frame, len(drawn)
    h, w = frame.input
    counts = torch.zeros(frame.original, dtype=torch.int32)
    areas = []
    for logits in torch.from_numpy(drawn.logits)[:, None, None]:
        large = functional.interpolate(logits, (frame.side, frame.side), mode="bilinear")
        mask = functional.interpolate(large[..., :h, :w], frame.original, mode="bilinear")[0, 0] > 0
        counts += mask
        areas.append(int(mask.sum()))
    p = counts.numpy().astype(np.float32) / n
    q = 1 - p
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(p * np.log2(p)) - np.nan_to_num(q * np.log2(q))
    return counts.numpy(), p, entropy, np.array(areas)


if __name__ == "__main__":
    main()
