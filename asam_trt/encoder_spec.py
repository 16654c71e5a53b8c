"""Sizes of a native image encoder, as its weights' file and the native code know them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

MOST_SIDE = 1 << 12
"""S, pixels."""

PATCH = 16
"""Pixels a side of one cell of the embedding."""

_MOST = {"side": MOST_SIDE, "width": 1 << 13, "heads": 256, "mlp_dim": 1 << 16, "channels": 1 << 12}
_MOST_BLOCKS = 256
_MOST_OF_STAGES = {"widths": 1 << 12, "depths": 256, "heads": 256, "windows": 64}
_STAGES = 4

_Kind = TypeVar("_Kind", bound="_Sizes")


class _Sizes:
    """Of one kind of encoder: a frozen dataclass of whole numbers and tuples of them."""

    @classmethod
    def of(cls: type[_Kind], config: Mapping[str, Any]) -> _Kind:
        """Check a plain mapping, as read from JSON; raises ValueError or TypeError naming the entry."""
        lists = {field.name: field.type.startswith("tuple") for field in fields(cls)}  # type: ignore[arg-type]
        if set(config) != set(lists):
            raise ValueError(f"config: expected the entries {sorted(lists)}, got {sorted(config)}")
        for name, is_list in lists.items():
            if is_list and not isinstance(config[name], (list, tuple)):
                raise TypeError(
                    f"config['{name}']: expected a list of int, got {type(config[name]).__name__}"
                )
        return cls(**{name: tuple(config[name]) if lists[name] else config[name] for name in lists})

    def to_json(self) -> str:
        """One line, for the header of the weights' file."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping for JSON and for the native encoder."""
        plain = asdict(self)  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @property
    def grid(self) -> int:
        """e = side / 16, cells a side of the embedding."""
        return int(self.side // PATCH)  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(_Sizes):
    """Sizes of one of SAM's own image encoders.

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
            _check_int("config['windows']", window, 0, _MOST["side"] // PATCH)
        _check_side(self.side)
        if self.width % self.heads:
            raise ValueError(f"config['heads']: expected a divisor of width {self.width}, got {self.heads}")


@dataclass(frozen=True, kw_only=True)
class TinyEncoderConfig(_Sizes):
    """Sizes of MobileSAM's image encoder, a TinyViT of four stages, of which the first has convolutions alone.

    Attributes:
        side: S, image side in pixels, a multiple of 16.
        channels: C, of the embedding.
        widths: channels of each stage, the first even.
        depths: blocks of each.
        heads: attention heads of each, a divisor of its width.
        windows: cells a side of the windows of each.
    """

    side: int
    channels: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("side", "channels"):
            _check_int(f"config['{name}']", getattr(self, name), 1, _MOST[name])
        for name, most in _MOST_OF_STAGES.items():
            sizes = getattr(self, name)
            if len(sizes) != _STAGES:
                raise ValueError(f"config['{name}']: expected one entry a stage, {_STAGES}, got {len(sizes)}")
            for size in sizes:
                _check_int(f"config['{name}']", size, 1, most)
        _check_side(self.side)
        if self.widths[0] % 2:
            raise ValueError(f"config['widths']: expected an even first one, got {self.widths[0]}")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"config['heads']: expected a divisor of width {width}, got {heads}")


def encoder_from_json(text: str) -> EncoderConfig | TinyEncoderConfig:
    """Inverse of ``to_json`` of either kind; raises ValueError or TypeError."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"config: expected an object, got {type(values).__name__}")
    return (TinyEncoderConfig if "widths" in values else EncoderConfig).of(values)


def _check_side(side: int) -> None:
    if side % PATCH:
        raise ValueError(f"config['side']: expected a multiple of {PATCH}, got {side}")


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value}")
