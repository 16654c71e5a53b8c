"""Turn a checkpoint into an engine folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

import asam_trt
from asam.assets import checkpoint_file, is_nano
from asam_trt.files import check_targets


@dataclass(frozen=True)
class Args:
    """Options of `asam build`."""

    checkpoint: Positional[Path]
    """A model saved by asam (.safetensors), published A-SAM weights, a plain SAM (sam_vit_*.pth, mobile_sam.pt,
    lite_medsam.pth), or "nano", the small network that ships."""
    output: Path | None = None
    """The engine folder; by default the checkpoint's path with the suffix .asam."""
    backend: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """What the engine is for; tensorrt also builds its plans for this GPU."""
    precision: Literal["auto", "float32", "int16", "int8-encoder", "int8", "bf16"] = "auto"
    """That a session opens the engine in unless it is asked for another; the files are the same."""
    jitter: Literal["none", "shift", "scale", "shift+", "scale+", "both"] | None = None
    """For a plain SAM, or a model whose latents are off: how prompts after the first are moved; by default shift."""
    image_size: int | None = None
    """For a plain SAM: its input side; by default the checkpoint's, 1024, or LiteMedSAM's 256. Smaller is faster and
    worse."""
    pixels: Literal["sam", "unit"] | None = None
    """For a plain SAM: how pixels are scaled: sam (the default), by SAM's mean and deviation, or unit, to [0, 1], as
    for MedSAM's weights and by default with LiteMedSAM's."""
    masks: Literal["multi", "single"] | None = None
    """For a plain SAM: which of its masks are hypotheses: multi (the default), its three, or single, the one that it
    gives where one is asked for, as for MedSAM's weights and by default with LiteMedSAM's."""
    strip_weights: bool = False
    """For tensorrt: leave the encoder's weights out of its plan and put them back when it is loaded."""
    force: bool = False
    """Build even where nothing changed."""


def run(args: Args) -> int:
    """Builds, compares with PyTorch, and prints the folder."""
    if args.output is not None:
        check_targets(args.output.parent, ())
    path = asam_trt.build_engine(
        checkpoint_file(args.checkpoint),
        Path("nano.asam") if is_nano(args.checkpoint) and args.output is None else args.output,
        backend=args.backend,
        precision=args.precision,
        force=args.force,
        jitter=args.jitter,
        image_size=args.image_size,
        pixels=args.pixels,
        masks=args.masks,
        strip_weights=args.strip_weights,
    )
    print(path)
    return 0
