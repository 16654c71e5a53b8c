"""Files that ship with the package."""

from pathlib import Path

NANO = Path(__file__).with_name("nano.safetensors")
"""A small network trained on synthetic images alone (docs/reproduction.md says by which command)."""


def is_nano(path: Path | None) -> bool:
    """Whether a path on the command line means `NANO`: "nano", where no file has that name."""
    return path is not None and str(path) == "nano" and not path.exists()
