"""Files that ship with the package."""

from pathlib import Path

NANO = Path(__file__).with_name("nano.safetensors")
"""A small network trained on synthetic images alone (docs/reproduction.md says by which command)."""


def is_nano(path: Path) -> bool:
    """Whether a path on the command line means `NANO`: "nano", where no file has that name."""
    return str(path) == "nano" and not path.exists()


def checkpoint_file(path: Path) -> Path:
    """The file that a checkpoint on the command line means: `NANO`, or the path as it is."""
    return NANO if is_nano(path) else path
