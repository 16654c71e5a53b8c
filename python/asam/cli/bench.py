"""Time the engine beside PyTorch, ONNX Runtime and the published loop, each with its error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asam.assets import checkpoint_file
from asam.cli._outputs import check_outputs, files_of_model
from asam.cli._questions import Encoder


@dataclass(frozen=True)
class Args:
    """Options of ``asam bench``."""

    checkpoint: Path | None = None
    """A model saved by asam (.safetensors), or "nano", the small network that ships; by default one with random weights
    is made."""
    backbone: Literal["vit_b", "vit_l", "vit_h", "vit_t", "lite_medsam", "nano"] | None = None
    """Of the model with random weights; by default vit_b."""
    image_size: int | None = None
    """Its image side S in pixels; by default 128."""
    n: tuple[int, ...] = (1, 8, 32, 128)
    """Numbers of hypotheses."""
    repeats: int = 9
    """Timed runs of each figure; the table shows their median."""
    threads: int | None = None
    """Of every runtime; by default all processors of this process."""
    peers: tuple[
        Literal[
            "asam-float32",
            "asam-int16",
            "asam-int8-encoder",
            "asam-int8",
            "torch-float32",
            "torch-bf16",
            "torch-float32-compiled",
            "torch-bf16-compiled",
            "ort-float32",
            "ort-int8",
            "ort-mixed",
            "loop",
        ],
        ...,
    ] = ("torch-float32", "torch-bf16", "ort-float32", "loop")
    """What to compare with; ort-mixed is an int8 encoder with a float32 sampler, asam-* the engine in that
    precision."""
    precision: Literal["auto", "float32", "int16", "int8-encoder", "int8"] = "auto"
    """Of our native products; auto is int16 where that is faster: with AVX2, AVX-VNNI and AVX512-VNNI."""
    encoder: Encoder = "auto"
    loop_limit: int = 32
    """Largest n of the published loop, which runs the whole network once a hypothesis."""
    seed: int = 0
    """Of weights, picture and noise."""
    floor: bool = True
    """Compare the sampler with the speed of large matrix products."""
    json: Path | None = None
    """Write all of it, every single run included, to this file too."""


def run(args: Args) -> int:
    """Measure, print the table, and say where it was written."""
    from asam import bench
    from asam.progress import bars

    checkpoint = None if args.checkpoint is None else checkpoint_file(args.checkpoint)
    check_outputs((args.json,), () if checkpoint is None else files_of_model(checkpoint))
    asked = {name: value for name, value in vars(args).items() if name != "json"}
    settings = bench.Settings(**asked | {"checkpoint": checkpoint})
    # A thread that redraws would take the processor from what is timed.
    with bars(redraws=False) as start:
        show = start("bench")
        report = bench.run(settings, lambda text, done, total: show(done, total, text))
    print(report)
    if args.json is not None:
        report.save(args.json)
        print(f"\nwrote {args.json}")
    return 0
