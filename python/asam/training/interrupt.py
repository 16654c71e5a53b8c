"""Ctrl-C and SIGTERM between steps instead of inside one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_UNDER_WAY = (
    b"\nstopping: the step under way is finished and its state saved; a third signal ends the run at once, "
    b"without that\n"
)


@dataclass
class StopRequest:
    """Whether this process was asked to stop."""

    asked: bool = False


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM, answer the second by a line on standard error; a third acts as usual.

    A second one often comes by itself, from a shell beside a scheduler or an impatient finger, and must not cost the
    state. Outside the main thread, where Python allows no signal handlers, nothing is noted.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        if request.asked:
            restore()
            os.write(2, _UNDER_WAY)  # not print, which may be what the signal came in the midst of
        request.asked = True

    for number in usual:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
