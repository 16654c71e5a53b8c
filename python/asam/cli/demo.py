"""Show it working: a photo and a video with 32 hypotheses a frame, figures, one page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from asam.cli._coordinates import Box
from asam.cli._outputs import earlier_run, tell_replaced
from asam.cli._questions import Window, check_counts, tell_of_file, tell_outside
from asam_trt.files import check_targets
from asam_trt.image_files import read_image_file


@dataclass(frozen=True)
class Args:
    """Options of ``asam demo``."""

    output: Path = Path("outputs/demo")
    """Folder that everything is written to, where the results of an earlier run are replaced."""
    train: bool = False
    """Train a network on the spot (about three minutes on two cores) instead of taking the one that ships."""
    photo: Path | None = None
    """A photo of your own."""
    box: Box = None
    """x0 y0 x1 y1 in pixels of your photo."""
    window: Window = None
    n: int = 32
    """Hypotheses an image."""
    seed: int = 0
    """The same seed gives the same hypotheses."""


def run(args: Args) -> int:
    """Run the demonstration."""
    if (args.photo is None) != (args.box is None):
        raise ValueError("expected --photo and --box together, got one of them")
    if args.window is not None and args.photo is None:
        raise ValueError("expected --window with --photo, got it alone")
    check_counts(args.n, None)
    from asam import demo

    check_targets(args.output, demo.RESULTS, () if args.photo is None else (args.photo,))
    earlier = earlier_run(args.output, demo.RESULTS, "index.html")
    pixels = None
    settings = demo.Settings(output=args.output, train=args.train, n=args.n, seed=args.seed)
    if args.photo is not None and args.box is not None:
        settings = replace(settings, photo=args.photo, box=args.box, window=args.window)
        found = read_image_file(args.photo, args.window)
        tell_of_file(args.photo, found.remarks)
        pixels = found.pixels
        tell_outside([args.box], *pixels.shape[:2])
    demo.run(settings, pixels)
    if earlier:
        tell_replaced(args.output)
    return 0
