"""Show it working: a photo and a video with 32 hypotheses a frame, figures, one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asam.cli._coordinates import Box
from asam.cli._questions import check_counts


@dataclass(frozen=True)
class Args:
    """Options of ``asam demo``."""

    output: Path = Path("outputs/demo")
    """Folder that everything is written to."""
    train: bool = False
    """Train a network on the spot (about three minutes on two cores) instead of taking the one that ships."""
    photo: Path | None = None
    """A photo of your own."""
    box: Box = None
    """x0 y0 x1 y1 in pixels of your photo."""
    n: int = 32
    """Hypotheses an image."""
    seed: int = 0
    """The same seed gives the same hypotheses."""


def run(args: Args) -> int:
    """Run the demonstration."""
    if (args.photo is None) != (args.box is None):
        raise ValueError("expected --photo and --box together, got one of them")
    check_counts(args.n, None)
    from asam import demo

    settings = demo.Settings(output=args.output, train=args.train, n=args.n, seed=args.seed)
    if args.photo is not None and args.box is not None:
        settings = demo.Settings(**{**vars(settings), "photo": args.photo, "box": args.box})
    demo.run(settings)
    return 0
