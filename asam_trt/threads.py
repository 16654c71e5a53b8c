"""Threads of the native code."""

from __future__ import annotations

from asam_trt import _ops, _runtime
from asam_trt.checks import integer

_MOST = 1024


def get_num_threads() -> int:
    """Threads that the native loops use: ASAM_NUM_THREADS, else the processors this process may run on."""
    return _runtime.get_num_threads()


def set_num_threads(count: int) -> None:
    """Sets the number of threads of the native loops, 1 to 1024. Results do not depend on it.

    Raises ValueError where count is out of range, TypeError where it is not a whole number.
    """
    count = checked_threads(count, "count")
    # The two modules hold a pool each; its threads start when first needed.
    _runtime.set_num_threads(count)
    _ops.set_num_threads(count)


def checked_threads(count: int, name: str) -> int:
    """A number of threads as int; ``name`` is the argument's, for messages.

    Raises ValueError where it is not from 1 to 1024, TypeError where it is not a whole number.
    """
    count = integer(count, name)
    if not 1 <= count <= _MOST:
        raise ValueError(f"{name}: expected a number of threads in 1 .. {_MOST}, got {count}")
    return count
