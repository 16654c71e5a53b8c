"""The demonstration, step by step: network, engine, photo, video, figures, page."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

import asam_trt
from asam.assets import NANO
from asam.data import Synthetic, open_dataset
from asam.demo import inputs
from asam.demo.page import Figure, write_page
from asam.evaluate import Report, evaluate
from asam.methods import Engine
from asam.model import ASAM
from asam.progress import bars
from asam.training import TrainConfig, train
from asam_trt import render
from asam_trt.files import check_targets
from asam_trt.video_writer import VideoWriter

_TRAIN = TrainConfig(
    steps=450, batch_size=16, augment=False, warmup=50, eval_every=450, eval_images=48, ema=0.98
)

_PHOTO_PICTURES = ("photo_overlay.png", "photo_sheet.png", "photo_modes.png", "photo_entropy.png")
RESULTS = (*_PHOTO_PICTURES, "photo.npz", "video.mp4", "index.html")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Choices of one demonstration.

    Attributes:
        output: folder that everything is written to.
        train: train a network on the spot instead of taking the one that ships with the package.
        photo: an image file; None takes scikit-image's coins.
        box: prompt on the photo, xyxy in its pixels.
        window: (low, high) of the photo's values, which one of more than 8 bits needs.
        n: hypotheses an image.
        seed: of the hypotheses.
        judged: synthetic samples that the engine is judged on.
    """

    output: Path = Path("outputs/demo")
    train: bool = False
    photo: Path | None = None
    box: tuple[float, float, float, float] = inputs.PHOTO_BOX
    window: tuple[float, float] | None = None
    n: int = 32
    seed: int = 0
    judged: int = 128


def run(settings: Settings, photo: npt.NDArray[Any] | None = None) -> Path:
    """Run the demonstration and return the path of its page.

    What is in `RESULTS` appears all together at the end, and replaces files of these names.

    Args:
        photo: what is in ``settings.photo``, uint8 or float32 [H, W, 3], where the caller has read it; None reads it.
    """
    console = Console(markup=False, emoji=False, highlight=False)  # names of files may look like markup
    output = settings.output
    check_targets(output, RESULTS, () if settings.photo is None else (settings.photo,))
    if photo is None:
        photo = inputs.photo(settings.photo, settings.window)
    output.mkdir(parents=True, exist_ok=True)
    with _appearing_together(output) as folder:
        _fill(folder, settings, photo, console)
    console.print("\nwritten:", style="bold")
    for path in sorted(p for p in output.iterdir() if not p.name.startswith(".")):
        console.print(f"  {path}", soft_wrap=True)
    page = output / "index.html"
    console.print(f"\nopen {page} in a browser", style="bold", soft_wrap=True)
    return page


@contextmanager
def _appearing_together(output: Path) -> Iterator[Path]:
    """A hidden folder for the files of `RESULTS`, which take their places in ``output`` when the block ends well."""
    with TemporaryDirectory(prefix=".demo-", dir=output) as folder:
        yield Path(folder)
        for name in RESULTS:
            os.replace(Path(folder) / name, output / name)


def _fill(folder: Path, settings: Settings, photo: npt.NDArray[Any], console: Console) -> None:
    engine = _engine(settings, console)
    with asam_trt.Session(engine) as session:
        console.print(f"engine: {session!r}", soft_wrap=True)
        sections = [_photo(session, photo, settings, folder, console)]
        sections += [_video(session, settings, folder)]
        report = _judge(session, settings)
    speed = sections[1].numbers
    figures = {
        "frames a second, encode and 32 hypotheses": f"{speed['fps']:.1f}",
        "encode, median": f"{speed['encode_ms']:.1f} ms",
        f"sample {settings.n} hypotheses, median": f"{speed['sample_ms']:.1f} ms",
        f"GED at {report.n} samples on {report.samples} synthetic images": _with_interval(report, "ged"),
        "GED of a perfect sampler on them (floor)": f"{report.means['ged_floor']:.3f}",
        "HM-IoU, repeated": _with_interval(report, "hm_iou"),
        "machine": f"{platform.machine()}, {asam_trt.get_num_threads()} threads",
        "versions": f"asam-trt {asam_trt.__version__}, Python {platform.python_version()}, torch {torch.__version__}",
    }
    write_page(folder / "index.html", sections=sections, figures=figures, report=asdict(report))


def _engine(settings: Settings, console: Console) -> Path:
    target = settings.output / "nano.asam"
    if settings.train:
        checkpoint = _train(settings, console)
        return asam_trt.build_engine(checkpoint, output=target)
    return asam_trt.build_engine(NANO, output=target)


def _train(settings: Settings, console: Console) -> Path:
    folder = settings.output / f"training-{int(time.time())}"
    console.print(f"training a network on synthetic images in {folder}", soft_wrap=True)
    torch.manual_seed(0)
    model = ASAM.from_preset(backbone="nano")
    size = model.config.image_size
    training = open_dataset("synthetic:mix", split="train", size=size, length=100_000)
    validation = open_dataset("synthetic:mix", split="validate", size=size, length=48)
    return train(model, training, validation=validation, output=folder, config=replace(_TRAIN, workers=1))


def _photo(
    session: asam_trt.Session, image: npt.NDArray[Any], settings: Settings, folder: Path, console: Console
) -> Figure:
    session.set_image(image)
    hypotheses = session.sample(box=settings.box, n=settings.n, seed=settings.seed)
    modes = hypotheses.modes()
    console.print(f"photo: {hypotheses!r}", soft_wrap=True)
    pictures = (
        _picture(render.overlay(hypotheses, box=settings.box, modes=modes)),
        render.sheet(hypotheses, modes=modes),
        render.mode_cards(hypotheses, modes=modes),
        render.entropy_map(hypotheses),
    )
    for name, picture in zip(_PHOTO_PICTURES, pictures, strict=True):
        picture.save(folder / name)
    hypotheses.save(folder / "photo.npz")
    return Figure(
        title="A photo",
        text=(
            f"One box, {settings.n} hypotheses: {modes!r}. The network has seen synthetic pictures only, never a "
            "photo. Colours tell modes apart; the bar of a mode is the share of hypotheses that belong to it; entropy "
            "is bright where the hypotheses disagree about a pixel."
        ),
        images=list(_PHOTO_PICTURES),
    )


def _video(session: asam_trt.Session, settings: Settings, folder: Path) -> Figure:
    side = session.engine.sampler.side
    encode, sample = [], []
    sampler = asam_trt.VideoSampler(session)
    scenes = inputs.scenes(size=2 * side)
    path = folder / "video.mp4"
    total = sum(map(len, scenes))
    with bars() as start, VideoWriter(path, fps=12) as video:
        show = start("video")
        for scene in scenes:
            colours = render.ModeColours()
            boxes = iter(scene)
            pictures = (sample.image for sample in scene)
            stream = sampler.run(pictures, box=scene[0].box, n=settings.n, seed=settings.seed)
            for truth in boxes:
                sampler.set_prompt(box=truth.box)
                frame, hypotheses = next(stream)
                encode.append(frame.encode_ms)
                sample.append(frame.sample_ms)
                modes = hypotheses.modes()
                notes = [f"{1e3 / (frame.encode_ms + frame.sample_ms):.0f} frames/s"]
                video.add(
                    render.overlay(
                        hypotheses, box=frame.box, modes=modes, colours=colours.of(modes), notes=notes
                    )
                )
                show(video.frames, total)
    warm = slice(min(3, total - 1), None)
    encode_ms, sample_ms = float(np.median(encode[warm])), float(np.median(sample[warm]))
    seconds = float(np.sum(encode[warm]) + np.sum(sample[warm])) / 1e3
    return Figure(
        title="A video of moving ambiguous objects",
        text=(
            f"{settings.n} hypotheses a frame. Hypothesis i keeps its noise from frame to frame and so stays the same "
            "reading of the object: nested parts, a pair of objects, a boundary out of focus."
        ),
        video=path.name,
        numbers={"encode_ms": encode_ms, "sample_ms": sample_ms, "fps": len(encode[warm]) / seconds},
    )


def _judge(session: asam_trt.Session, settings: Settings) -> Report:
    data = Synthetic("mix", size=session.engine.sampler.side, seed=1 << 40, length=settings.judged)
    with bars() as start:
        show = start("judging on synthetic images")
        return evaluate(Engine(session), data, n=16, seed=settings.seed, on_sample=show)


def _with_interval(report: Report, name: str) -> str:
    low, high = report.intervals[name]
    return f"{report.means[name]:.3f} [{low:.3f}, {high:.3f}]"


def _picture(array: Any) -> Any:
    from PIL import Image

    return Image.fromarray(array)
