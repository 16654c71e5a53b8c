"""Processes that end with the one that started them, also where that one is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Have the system kill this process of `multiprocessing` when its parent ends; elsewhere than on Linux nothing.

    A loader process would wait for ever: it writes to a pipe whose other end it has inherited itself, and so is told
    by no broken pipe that nobody reads.
    """
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ended before it was asked for. The parent of a process of a fork server is the server, which ends with its own.
    if os.getppid() != parent.pid and not parent.is_alive():
        os.kill(os.getpid(), signal.SIGKILL)
