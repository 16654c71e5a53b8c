"""A GPU in host memory behind the parts of `pycuda.driver` and of the driver's library that the runner uses.

Work is queued on its stream and done when somebody waits, so that what is read, freed or overwritten too early shows.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

Work = Callable[[], None]


class FakeGpu:
    """State of the machine: allocations, streams, the context stack of each thread."""

    def __init__(self) -> None:
        self.memory: dict[int, bytearray] = {}
        self.streams: dict[int, Stream] = {}
        self.stack = threading.local()
        self.next_address = 0x10000
        self.launches = 0
        self.graphs: dict[int, list[Work]] = {}
        self.fail_capture = False
        self.problems: list[str] = []

    def check_current(self) -> None:
        assert getattr(self.stack, "depth", 0) > 0, "no context is current on this thread"

    def allocate(self, size: int) -> int:
        self.check_current()
        assert not any(stream.capturing is not None for stream in self.streams.values()), (
            "memory is allocated while a stream is captured"
        )
        address = self.next_address
        self.next_address += (size + 511) // 256 * 256
        self.memory[address] = bytearray(b"\xee" * size)
        return address

    def floats(self, address: int, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor at an address, which has to be the start of an allocation that holds it."""
        count = int(np.prod(shape))
        assert 4 * count <= len(self.memory[address]), "the tensor is larger than its memory"
        return np.frombuffer(self.memory[address], np.float32, count).reshape(shape)


class DeviceAllocation:
    def __init__(self, gpu: FakeGpu, size: int) -> None:
        self._gpu, self._address = gpu, gpu.allocate(size)

    def __int__(self) -> int:
        return self._address

    def __del__(self) -> None:
        if self._address in self._gpu.memory and getattr(self._gpu.stack, "depth", 0) < 1:
            self._gpu.problems.append(
                "memory was dropped without a current context, where PyCUDA cannot free it"
            )

    def free(self) -> None:
        self._gpu.check_current()
        assert not any(stream.queue for stream in self._gpu.streams.values()), "freed while work is queued"
        del self._gpu.memory[self._address]


class Stream:
    def __init__(self, gpu: FakeGpu, flags: int = 0) -> None:
        gpu.check_current()
        assert flags == 1, "expected a stream that does not wait for the default one"
        self._gpu, self.queue = gpu, list[Work]()
        self.capturing: list[Work] | None = None
        self.handle = 0xABC000 + len(gpu.streams)
        gpu.streams[self.handle] = self

    def put(self, work: Work) -> None:
        (self.queue if self.capturing is None else self.capturing).append(work)

    def synchronize(self) -> None:
        self._gpu.check_current()
        assert self.capturing is None, "waited for a stream that is captured"
        while self.queue:
            self.queue.pop(0)()


class Error(Exception):
    pass


def pycuda_driver(gpu: FakeGpu, *, sm: tuple[int, int] = (9, 0), devices: int = 1) -> ModuleType:
    """The module `pycuda.driver` of a machine."""

    class Context:
        def push(self) -> None:
            gpu.stack.depth = getattr(gpu.stack, "depth", 0) + 1

        @staticmethod
        def pop() -> None:
            gpu.stack.depth -= 1

    class Device:
        def __init__(self, index: int) -> None:
            assert index < devices

        @staticmethod
        def count() -> int:
            return devices

        def name(self) -> str:
            return "NVIDIA H100"

        def compute_capability(self) -> tuple[int, int]:
            return sm

        def retain_primary_context(self) -> Context:
            return Context()

    def memcpy_htod_async(dest: DeviceAllocation, src: np.ndarray, stream: Stream) -> None:
        def work() -> None:
            gpu.memory[int(dest)][: src.nbytes] = src.tobytes()

        assert src.flags.c_contiguous
        stream.put(work)

    def memcpy_dtoh_async(dest: np.ndarray, src: DeviceAllocation, stream: Stream) -> None:
        stream.put(lambda: np.copyto(dest, gpu.floats(int(src), dest.shape)))

    def memcpy_dtod_async(dest: DeviceAllocation, src: DeviceAllocation, size: int, stream: Stream) -> None:
        def work() -> None:
            gpu.memory[int(dest)][:size] = gpu.memory[int(src)][:size]

        stream.put(work)

    module = ModuleType("pycuda.driver")
    module.__dict__.update(
        init=lambda: None,
        Device=Device,
        Error=Error,
        Stream=lambda flags=0: Stream(gpu, flags),
        mem_alloc=lambda size: DeviceAllocation(gpu, size),
        pagelocked_empty=lambda shape, dtype: np.full(shape, np.nan, dtype),
        get_driver_version=lambda: 13000,
        memcpy_htod_async=memcpy_htod_async,
        memcpy_dtoh_async=memcpy_dtoh_async,
        memcpy_dtod_async=memcpy_dtod_async,
    )
    return module


def cuda_library(gpu: FakeGpu) -> Any:
    """The driver's functions of `asam_trt.tensorrt.graphs.SIGNATURES`."""

    def begin(stream: int, mode: int) -> int:
        if gpu.fail_capture:
            return 901
        assert mode == 1
        gpu.streams[stream].capturing = []
        return 0

    def end(stream: int, graph: Any) -> int:
        captured, gpu.streams[stream].capturing = gpu.streams[stream].capturing, None
        assert captured is not None
        key = len(gpu.graphs) + 1
        gpu.graphs[key] = captured
        _put(graph, key)
        return 0

    def instantiate(launchable: Any, graph: Any, flags: int) -> int:
        assert flags == 0
        key = len(gpu.graphs) + 1
        gpu.graphs[key] = gpu.graphs[graph.value]
        _put(launchable, key)
        return 0

    def launch(launchable: Any, stream: int) -> int:
        gpu.launches += 1
        for work in gpu.graphs[launchable.value]:
            gpu.streams[stream].put(work)
        return 0

    def destroy(graph: Any) -> int:
        gpu.graphs[graph.value] = []
        return 0

    def text(status: int, out: Any) -> int:
        ctypes.cast(out, ctypes.POINTER(ctypes.c_char_p))[0] = b"operation failed"
        return 0

    return SimpleNamespace(
        cuStreamBeginCapture_v2=begin,
        cuStreamEndCapture=end,
        cuGraphInstantiateWithFlags=instantiate,
        cuGraphLaunch=launch,
        cuGraphExecDestroy=destroy,
        cuGraphDestroy=destroy,
        cuGetErrorString=text,
    )


def _put(place: Any, value: int) -> None:
    ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))[0] = value
