"""Sizes of a native image encoder, as its weights' file and the native code know them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

MOST_SIDE = 1 << 12
"""S, pixels."""

_MOST = {"side": MOST_SIDE, "width": 1 << 13, "heads": 256, "mlp_dim": 1 << 16, "channels": 1 << 12}
_MOST_BLOCKS = 256


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of one image encoder.

    Attributes:
        side: S, image side in pixels, a multiple of 16.
        width: D, channels of the transformer.
        heads: attention heads, a divisor of the width.
        mlp_dim: hidden width of the blocks' MLPs.
        channels: C, of the embedding.
        windows: one entry a block: cells a side of its windows, 0 where it attends over the whole grid.
    """

    side: int
    width: int
    heads: int
    mlp_dim: int
    channels: int
    windows: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            _check_int(f"config['{name}']", getattr(self, name), 1, most)
        if not 1 <= len(self.windows) <= _MOST_BLOCKS:
            raise ValueError(
                f"config['windows']: expected 1 to {_MOST_BLOCKS} blocks, got {len(self.windows)}"
            )
        for window in self.windows:
            _check_int("config['windows']", window, 0, _MOST["side"] // 16)
        if self.side % 16:
            raise ValueError(f"config['side']: expected a multiple of 16, got {self.side}")
        if self.width % self.heads:
            raise ValueError(f"config['heads']: expected a divisor of width {self.width}, got {self.heads}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> EncoderConfig:
        """Check a plain mapping, as read from JSON; raises ValueError or TypeError naming the entry."""
        known = {field.name for field in fields(cls)}
        if set(config) != known:
            raise ValueError(f"config: expected the entries {sorted(known)}, got {sorted(config)}")
        if not isinstance(config["windows"], (list, tuple)):
            raise TypeError(
                f"config['windows']: expected a list of int, got {type(config['windows']).__name__}"
            )
        return cls(**{**config, "windows": tuple(config["windows"])})

    @classmethod
    def from_json(cls, text: str) -> EncoderConfig:
        """Inverse of :meth:`to_json`; raises ValueError or TypeError."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError(f"config: expected an object, got {type(values).__name__}")
        return cls.of(values)

    def to_json(self) -> str:
        """One line, for the header of the weights' file."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping for JSON and for the native encoder."""
        return {**asdict(self), "windows": list(self.windows)}

    @property
    def grid(self) -> int:
        """e = side / 16, cells a side of the embedding."""
        return self.side // 16


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value}")
