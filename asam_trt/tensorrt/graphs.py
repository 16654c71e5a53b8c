"""CUDA graphs of a stream's work, by the driver's own functions: PyCUDA has streams but no capture."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating meanwhile

# Name -> types of the arguments; every one of them returns a CUresult.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (ctypes.c_void_p, ctypes.c_int),
    "cuStreamEndCapture": (ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (ctypes.c_void_p, ctypes.c_void_p),
    "cuGraphExecDestroy": (ctypes.c_void_p,),
    "cuGraphDestroy": (ctypes.c_void_p,),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}


class GraphError(RuntimeError):
    """A graph could not be captured or launched; the text is the driver's."""


@cache
def cuda_driver() -> Any:
    """NVIDIA's driver library with the functions of `SIGNATURES`."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
        for name, types in SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, ctypes.c_int
    except (OSError, AttributeError) as error:
        raise GraphError(f"the driver has no CUDA graphs: {error}") from error
    return library


class Graph:
    """A graph that can be launched again and again on a stream.

    Args:
        stream: handle of the stream to capture; not the default one, and its context is current.
        enqueue: puts the work on the stream. It neither allocates nor waits.

    Raises:
        GraphError: it cannot be captured. The stream is in no capture then and can be used as before.
    """

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        self._driver = cuda_driver()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", stream, THREAD_LOCAL)
        try:
            enqueue()
        except Exception:
            # The capture has to be ended before the stream can be used, and what it holds is of no use.
            if self._driver.cuStreamEndCapture(stream, ctypes.byref(graph)) == 0 and graph:
                self._driver.cuGraphDestroy(graph)
            raise
        self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
        self._launchable: ctypes.c_void_p | None = ctypes.c_void_p()
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._launchable), graph, 0)
        finally:
            self._driver.cuGraphDestroy(graph)

    def launch(self, stream: int) -> None:
        """Enqueue the captured work on a stream."""
        self._call("cuGraphLaunch", self._launchable, stream)

    def close(self) -> None:
        """Destroy it; its context is current and its work is done."""
        if self._launchable is not None:
            self._driver.cuGraphExecDestroy(self._launchable)
            self._launchable = None

    def _call(self, name: str, *args: Any) -> None:
        if (status := getattr(self._driver, name)(*args)) != 0:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            raise GraphError(f"{name}: {(text.value or b'unknown error').decode()} ({status})")
