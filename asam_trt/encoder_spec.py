"""Sizes of a native image encoder, as its weights' file and the native code know them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

MOST_SIDE = 1 << 12
"""S, pixels."""

PATCH = 16
"""Pixels a side of one cell of SAM's and MobileSAM's embeddings."""
CELLS = (PATCH, 4)
"""Those of all image encoders: LiteMedSAM's has cells of 4 pixels."""
MOST_GRID = MOST_SIDE // PATCH
"""Cells a side."""

_MOST = {"side": MOST_SIDE, "width": 1 << 13, "heads": 256, "mlp_dim": 1 << 16, "channels": 1 << 12}
_MOST_BLOCKS = 256
_MOST_OF_STAGES = {"widths": 1 << 12, "depths": 256, "heads": 256, "windows": 64}
_MOST_PAIRS = 1 << 24  # a number each, of what raises scores
_STAGES = 4

_Kind = TypeVar("_Kind", bound="_Sizes")


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """What both kinds of encoders have; what a kind adds are numbers, and tuples named in ``_LISTS``."""

    _LISTS: ClassVar[frozenset[str]]

    side: int
    channels: int

    @classmethod
    def of(cls: type[_Kind], config: Mapping[str, Any]) -> _Kind:
        """Check a plain mapping, as read from JSON; raises ValueError or TypeError naming the entry."""
        known = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if not needed <= set(config) <= known:
            raise ValueError(f"config: expected the entries {sorted(known)}, got {sorted(config)}")
        for name in cls._LISTS:
            if not isinstance(config[name], (list, tuple)):
                raise TypeError(
                    f"config['{name}']: expected a list of int, got {type(config[name]).__name__}"
                )
        plain: dict[str, Any] = {name: tuple(v) if name in cls._LISTS else v for name, v in config.items()}
        return cls(**plain)

    def to_json(self) -> str:
        """One line, for the header of the weights' file."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping for JSON and for the native encoder."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


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

    _LISTS = frozenset({"windows"})

    width: int
    heads: int
    mlp_dim: int
    windows: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            _check_int(f"config['{name}']", getattr(self, name), 1, most)
        if not 1 <= len(self.windows) <= _MOST_BLOCKS:
            raise ValueError(
                f"config['windows']: expected 1 to {_MOST_BLOCKS} blocks, got {len(self.windows)}"
            )
        for window in self.windows:
            _check_int("config['windows']", window, 0, MOST_GRID)
        _check_side(self.side, PATCH)
        if self.width % self.heads:
            raise ValueError(f"config['heads']: expected a divisor of width {self.width}, got {self.heads}")

    @property
    def grid(self) -> int:
        """e = side / 16, cells a side of the embedding."""
        return self.side // PATCH


@dataclass(frozen=True, kw_only=True)
class TinyEncoderConfig(_Sizes):
    """Sizes of a TinyViT image encoder of four stages, of which the first has convolutions alone.

    Attributes:
        side: S, image side in pixels, a multiple of 16; with cells of 4 pixels up to 1024.
        channels: C, of the embedding.
        widths: channels of each stage, the first even.
        depths: blocks of each.
        heads: attention heads of each, a divisor of its width.
        windows: cells a side of the windows of each.
        cell: pixels a side of one cell of the embedding: 16 in MobileSAM's, whose first stage is at every fourth
            pixel, 4 in LiteMedSAM's, whose is at every pixel.
    """

    _LISTS = frozenset(_MOST_OF_STAGES)

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]
    cell: int = PATCH

    def __post_init__(self) -> None:
        for name in ("side", "channels"):
            _check_int(f"config['{name}']", getattr(self, name), 1, _MOST[name])
        for name, most in _MOST_OF_STAGES.items():
            sizes = getattr(self, name)
            if len(sizes) != _STAGES:
                raise ValueError(f"config['{name}']: expected one entry a stage, {_STAGES}, got {len(sizes)}")
            for size in sizes:
                _check_int(f"config['{name}']", size, 1, most)
        _check_int("config['cell']", self.cell, 1, PATCH)
        if self.cell not in CELLS:
            raise ValueError(f"config['cell']: expected one of {CELLS}, got {self.cell}")
        _check_side(self.side, self.cell)
        stages = list(zip(self.depths, self.heads, self.windows, strict=True))[1:]
        pairs = sum(depth * heads * window**4 for depth, heads, window in stages)
        if pairs > _MOST_PAIRS:
            raise ValueError(
                f"config['windows']: expected at most {_MOST_PAIRS} pairs of cells in windows of all heads and blocks, "
                f"got {pairs}"
            )
        if self.widths[0] % 2:
            raise ValueError(f"config['widths']: expected an even first one, got {self.widths[0]}")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"config['heads']: expected a divisor of width {width}, got {heads}")

    @property
    def grid(self) -> int:
        """e = side / cell, cells a side of the embedding."""
        return self.side // self.cell

    @property
    def first_cell(self) -> int:
        """Pixels a side of a cell of the first stage."""
        return self.cell // 4


def encoder_from_json(text: str) -> EncoderConfig | TinyEncoderConfig:
    """Inverse of ``to_json`` of either kind; raises ValueError or TypeError."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"config: expected an object, got {type(values).__name__}")
    return (TinyEncoderConfig if "widths" in values else EncoderConfig).of(values)


def _check_side(side: int, cell: int) -> None:
    if side % PATCH:
        raise ValueError(f"config['side']: expected a multiple of {PATCH}, got {side}")
    if side > MOST_GRID * cell:
        raise ValueError(
            f"config['side']: expected at most {MOST_GRID * cell} with cells of {cell} pixels, got {side}"
        )


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value}")
