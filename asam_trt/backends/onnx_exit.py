"""The end of a script whose threads are in ONNX Runtime: they leave it before the interpreter ends.

Python before 3.14 makes a daemon thread that asks for the GIL again leave by pthread_exit, whose unwinding of ONNX
Runtime's code aborts the process.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime as ort

_PATIENCE = 30.0  # seconds for what cannot be told to end: a model that is being loaded

_inside: set[ort.RunOptions] = set()
_last_thread: int | None = None  # which ends the interpreter, from then on


@contextmanager
def inside() -> Iterator[ort.RunOptions]:
    """Stands around what lets go of the GIL in ONNX Runtime; a run takes the options, by which it can be ended.

    Raises:
        SystemExit: the interpreter ends, which a thread takes without a word.
    """
    options = ort.RunOptions()
    options.log_severity_level = 4  # as that of the session
    try:
        # In this order: either this sees that the end has come, or the end sees the options.
        _inside.add(options)
        if _last_thread not in (None, threading.get_ident()):
            raise SystemExit
        yield options
    except Exception as error:
        if options.terminate:
            raise SystemExit from error
        raise
    finally:
        _inside.discard(options)


@atexit.register
def _end() -> None:
    global _last_thread
    _last_thread = threading.get_ident()
    end = time.monotonic() + _PATIENCE
    while _inside and time.monotonic() < end:
        for options in list(_inside):
            options.terminate = True
        time.sleep(0.001)


# A child does not have the threads that are inside.
os.register_at_fork(after_in_child=_inside.clear)
