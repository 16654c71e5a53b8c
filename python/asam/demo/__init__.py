"""The demonstration: a small network, a photo, a video of moving ambiguous objects, one page."""

from asam.demo.run import RESULTS, Settings, run

__all__ = ["RESULTS", "Settings", "run"]
