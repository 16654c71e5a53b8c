"""What the loader has to know of a network."""

from __future__ import annotations

from typing import Any, Protocol


class NetworkConfig(Protocol):
    """Sizes and normalisation; every trainable network has a `config` with these."""

    @property
    def image_size(self) -> int:
        """S, side of the square that images are resized into, pixels."""

    @property
    def cell(self) -> int:
        """Pixels a side of what is 4 x 4 pixels of a mask."""

    @property
    def pixel_mean(self) -> tuple[float, float, float]:
        """Of 0..255 RGB values."""

    @property
    def pixel_std(self) -> tuple[float, float, float]:
        """Of 0..255 RGB values."""

    @property
    def latent(self) -> int:
        """L, numbers of each of the two noise vectors that come with a row."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for JSON."""
