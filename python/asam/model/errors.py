"""What goes wrong with a checkpoint."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another kind; names the file and what is wrong."""
