"""Checks of arguments that several modules share."""

from __future__ import annotations

import math
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MOST_NUMBERS = (
    1 << 24
)  # in an argument that is no array yet; making one of a long range would take all memory


def as_array(value: Any, name: str) -> npt.NDArray[Any]:
    """What NumPy makes of an argument: an array of the base class, of an array or nested sequences of numbers.

    Raises:
        TypeError: a masked array, or an object that NumPy cannot read.
        ValueError: sequences of uneven or excessive length.
    """
    unmasked(value, name)
    if isinstance(value, np.ndarray):
        return np.asarray(value)  # a subclass has axes and operators of its own
    if _numbers_in(value) > _MOST_NUMBERS:
        raise ValueError(
            f"expected {name} of at most {_MOST_NUMBERS} numbers, came a longer {type(value).__name__}"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"expected {name} to be a regular array of numbers, came {_short(value)}") from error
    except (TypeError, RuntimeError, OverflowError, MemoryError, BufferError) as error:
        raise TypeError(
            f"expected {name} to be an array of numbers, came {type(value).__name__} ({error})"
        ) from error


def _numbers_in(value: Any, depth: int = 4) -> int:
    """Elements that NumPy would make of nested sequences, at least."""
    if isinstance(value, (str, bytes, np.ndarray)) or not hasattr(value, "__len__"):
        return 1
    try:
        length = len(value)
    except (TypeError, ValueError, OverflowError):
        return _MOST_NUMBERS + 1
    if depth == 0 or length > _MOST_NUMBERS or not isinstance(value, (list, tuple)):
        return length
    return sum(_numbers_in(one, depth - 1) for one in value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def integer(value: Any, name: str) -> int:
    """A Python or NumPy integer as int; TypeError for anything else, also for bool."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"expected {name} to be an integer, came {value!r}")
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"expected {name} to be an integer, came {type(value).__name__}") from error


def number(value: Any, name: str) -> float:
    """A finite real number as float.

    Raises:
        TypeError: not a number, or a bool.
        ValueError: NaN, infinity, or too large for float64.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected {name} to be a number, came {type(value).__name__}")
    try:
        found = float(value)
    except OverflowError as error:
        raise ValueError(f"expected {name} within float64, came an integer beyond it") from error
    if not math.isfinite(found):
        raise ValueError(f"expected a finite {name}, came {value}")
    return found


def unmasked(value: Any, name: str) -> None:
    """Raise TypeError for a NumPy masked array: plain arrays would forget what is masked."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"expected {name} as a plain array, came a masked one; fill it first, .filled(value)")


def as_path(value: Any, name: str) -> Path:
    """A path with a name of its own.

    Raises:
        TypeError: neither str nor os.PathLike of str.
        ValueError: empty.
    """
    try:
        text = os.fspath(value)
    except TypeError as error:
        raise TypeError(f"expected {name} to be a path, came {type(value).__name__}") from error
    if not isinstance(text, str):
        raise TypeError(f"expected {name} to be a path of str, came {type(text).__name__}")
    if not text:
        raise ValueError(f"expected {name} to be a path, came an empty text")
    return Path(text)
