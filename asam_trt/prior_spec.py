"""Sizes of a native latent network, as its weights' file and the native code know them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

_MOST = 1 << 16  # above any model; the native code has limits of its own
_INTS = ("grid", "channels", "latent", "heads", "convs")


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Sizes of one latent network; the native code checks their ranges.

    Attributes:
        grid: e, cells a side of the embedding.
        channels: C, of the embedding.
        latent: L.
        heads: of the attention to the prompt tokens; 0 for the image latent's network, which sees no prompt.
        convs: 3x3 convolutions a block.
        widths: channels, one entry a block.
        strided: blocks after the first halve by their first convolution, else by 2x2 means.
        log_sigma_range: clamp of log sigma; None leaves it as it is.
    """

    grid: int
    channels: int
    latent: int
    heads: int
    convs: int
    widths: tuple[int, ...]
    strided: bool
    log_sigma_range: tuple[float, float] | None

    @classmethod
    def from_json(cls, text: str) -> PriorConfig:
        """Inverse of :meth:`to_json`; raises ValueError or TypeError naming the entry."""
        values = json.loads(text)
        if not isinstance(values, Mapping):
            raise TypeError(f"config: expected an object, got {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise ValueError(f"config: expected the entries {sorted(known)}, got {sorted(values)}")
        for name in _INTS:
            _check(_is_size(values[name]), name, f"an int of 0 to {_MOST}", values[name])
        _check(type(values["strided"]) is bool, "strided", "true or false", values["strided"])
        widths, span = values["widths"], values["log_sigma_range"]
        whole = isinstance(widths, list) and all(_is_size(width) for width in widths)
        _check(whole, "widths", f"a list of int, 0 to {_MOST}", widths)
        if span is not None:
            pair = isinstance(span, list) and len(span) == 2 and all(_is_finite(x) for x in span)
            _check(pair, "log_sigma_range", "null or [low, high]", span)
            span = (float(span[0]), float(span[1]))
        return cls(**{**values, "widths": tuple(widths), "log_sigma_range": span})

    def to_json(self) -> str:
        """One line, for the header of the weights' file."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping for JSON and for the native network."""
        span = self.log_sigma_range
        return {
            **asdict(self),
            "widths": list(self.widths),
            "log_sigma_range": None if span is None else [float(x) for x in span],
        }


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _check(holds: bool, name: str, expected: str, value: Any) -> None:
    if not holds:
        raise TypeError(f"config['{name}']: expected {expected}, got {value!r}")
