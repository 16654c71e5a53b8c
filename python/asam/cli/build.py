"""Turn a checkpoint into an engine folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

import asam_trt


@dataclass(frozen=True)
class Args:
    """Options of `asam build`."""

    checkpoint: Positional[Path]
    """A model saved by asam (.safetensors)."""
    output: Path | None = None
    """The engine folder; by default the checkpoint's path with the suffix .asam."""
    backend: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """What the engine is for."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """That a session opens the engine in unless it is asked for another; the files are the same."""
    force: bool = False
    """Build even where nothing changed."""


def run(args: Args) -> int:
    """Builds, compares with PyTorch, and prints the folder."""
    path = asam_trt.build_engine(
        args.checkpoint, args.output, backend=args.backend, precision=args.precision, force=args.force
    )
    print(path)
    return 0
