"""Do hypotheses flicker? Kept noise against redrawn noise, on moving synthetic scenes and on videos with masks.

davis=../shared/data/davis
python benchmarks/coherence.py --engine nano.asam --davis $davis/blackswan $davis/car-roundabout

Change: mean over hypotheses i and frames t of 1 - IoU(mask i of frame t - 1, mask i of frame t). Own motion: the
same of the true masks. Flicker: change beyond the own motion. Prompts are the boxes of the true masks in every frame,
so that nothing but the noise differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import asam_trt
from asam.data import SyntheticVideo
from asam.prompts import widest_box
from asam_trt import canvas, palette
from asam_trt.modes import iou_distances
from asam_trt.video import NOISE, VideoSampler


@dataclass(frozen=True)
class Frame:
    """image uint8 [H, W, 3]; true masks bool [R, H, W], the same reading r in every frame; box xyxy."""

    image: np.ndarray
    masks: np.ndarray
    box: np.ndarray


def synthetic(kind: str, seed: int, frames: int) -> Iterator[Frame]:
    """A moving scene; the masks are those of raters who keep their reading."""
    for sample in SyntheticVideo(kind, frames=frames, size=192, seed=seed):
        if sample.box is None:
            return
        yield Frame(sample.image, sample.masks, sample.box)


def davis(folder: Path, frames: int) -> Iterator[Frame]:
    """A sequence in DAVIS's layout: frames/*.jpg and masks/*.png."""
    for picture in sorted((folder / "frames").iterdir())[:frames]:
        with Image.open(picture) as image, Image.open(folder / "masks" / f"{picture.stem}.png") as mask:
            masks = (np.asarray(mask.convert("L")) > 127)[None]
            box = widest_box(masks)
            if box is None:
                return
            yield Frame(np.asarray(image.convert("RGB")), masks, box)


def change(before: np.ndarray, after: np.ndarray) -> float:
    """Mean over i of 1 - IoU of masks [n, H, W]; two empty masks are equal."""
    n = len(before)
    return float(np.diagonal(iou_distances(np.concatenate([before, after]))[:n, n:]).mean())


def measure(
    session: asam_trt.Session, frames: Callable[[], Iterator[Frame]], noise: str, n: int
) -> np.ndarray:
    """Change of the hypotheses and own motion, [frames - 1, 2]."""
    sampler = VideoSampler(session)
    rows, last = [], None
    pictures = (frame.image for frame in frames())
    stream = None
    for frame in frames():
        if stream is None:
            stream = sampler.run(pictures, box=frame.box, n=n, noise=noise)
        sampler.set_prompt(box=frame.box)
        _, hypotheses = next(stream)
        if last is not None:
            rows.append((change(last[0], hypotheses.masks), change(last[1], frame.masks)))
        last = hypotheses.masks, frame.masks
    return np.array(rows).reshape(-1, 2)


def strip(session: asam_trt.Session, frames: list[Frame], shown: int = 4, cell: int = 190) -> Image.Image:
    """The first hypotheses, a colour each, in every other frame of a scene: noise kept above, redrawn below."""
    gap, head = 4, 24
    width = len(frames) * (cell + gap) + gap
    page = Image.new("RGB", (width, 2 * (head + cell + gap)), palette.PAPER)
    draw = ImageDraw.Draw(page)
    for row, noise in enumerate(NOISE):
        y = row * (head + cell + gap)
        text = f"noise {noise}: hypotheses 0 to {shown - 1}, a colour each, in every other frame"
        draw.text((gap, y + 4), text, palette.INK, palette.font(14))
        sampler = VideoSampler(session)
        stream = sampler.run([frame.image for frame in frames], box=frames[0].box, n=shown, noise=noise)
        for column, frame in enumerate(frames):
            sampler.set_prompt(box=frame.box)
            _, hypotheses = next(stream)
            h, w = hypotheses.frame.original
            picture = canvas.crop_resize(frame.image, (0, 0, w, h), (cell, cell))
            for i in range(shown):
                rings = [ring * (cell / w, cell / h) for ring in hypotheses.contours(i)]
                canvas.outline(picture, rings, palette.CATEGORIES[i], width=2)
            page.paste(picture, (gap + column * (cell + gap), y + head))
    return page


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--kinds", nargs="*", default=["nested", "pair", "fuzzy", "absent"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--davis", type=Path, nargs="*", default=[])
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--picture", type=Path, help="write a strip of one scene instead of the table")
    options = parser.parse_args()

    if options.picture is not None:
        with asam_trt.Session(options.engine) as session:
            frames = list(synthetic(options.kinds[0], options.seeds, 9))[::2]
            strip(session, frames).save(options.picture)
        print(options.picture)
        return
    scenes: dict[str, list[Callable[[], Iterator[Frame]]]] = {
        f"synthetic {kind}": [
            lambda kind=kind, seed=seed: synthetic(kind, seed, options.frames)
            for seed in range(options.seeds)
        ]
        for kind in options.kinds
    }
    for folder in options.davis:
        scenes[folder.name] = [lambda folder=folder: davis(folder, options.frames)]
    print("| video | frames | own motion | change: kept | redrawn | flicker: kept | redrawn | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    with asam_trt.Session(options.engine) as session:
        for name, some in scenes.items():
            by_noise = {
                noise: np.concatenate([measure(session, frames, noise, options.n) for frames in some])
                for noise in NOISE
            }
            kept, redrawn = (by_noise[noise][:, 0].mean() for noise in NOISE)
            own = by_noise["kept"][:, 1].mean()
            print(
                f"| {name} | {len(by_noise['kept'])} | {own:.3f} | {kept:.3f} | {redrawn:.3f} | {kept - own:.3f} | "
                f"{redrawn - own:.3f} | {(redrawn - own) / (kept - own):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
