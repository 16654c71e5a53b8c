"""One GPU through PyCUDA: the primary context that PyTorch and CUDA's runtime share, and memory in it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

STREAM_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING


class Gpu:
    """The primary context of a device, retained for the life of the process; `gpu_of` has one a device.

    Args:
        driver: the module `pycuda.driver`.
        index: of the device.
    """

    def __init__(self, driver: ModuleType, index: int = 0) -> None:
        driver.init()
        self.driver = driver
        device = driver.Device(index)
        major, minor = device.compute_capability()
        self.sm = 10 * major + minor
        self.name: str = device.name()
        self.cuda = driver.get_driver_version()
        self._context: Any = device.retain_primary_context()
        self.pool = Pool(self)

    @contextmanager
    def current(self) -> Iterator[None]:
        """The context on top of this thread's stack."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def allocate(self, size: int) -> Any:
        """Device memory, at least one byte since TensorRT wants an address for empty tensors too; inside `current`."""
        return self.driver.mem_alloc(max(1, size))

    def stream(self) -> Any:
        """A stream of its own, never the default one, which cannot be captured; inside `current`."""
        return self.driver.Stream(STREAM_NON_BLOCKING)

    def pinned(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """float32 host memory that copies need not stage; inside `current`."""
        if 0 in shape:
            return np.empty(shape, np.float32)
        array: npt.NDArray[np.float32] = self.driver.pagelocked_empty(shape, np.float32)
        return array


@cache
def gpu_of(driver: ModuleType, index: int = 0) -> Gpu:
    """The `Gpu` of a device."""
    return Gpu(driver, index)


class DeviceTensor:
    """A float32 tensor in device memory; its memory goes back to its pool with the last reference."""

    def __init__(self, memory: Any, shape: tuple[int, ...]) -> None:
        self.memory, self.shape = memory, shape
        self.nbytes = 4 * int(np.prod(shape))


class Pool:
    """Device memory for tensors that outlive a call, used again by the next ones of their size.

    A tensor may be dropped by any thread and in garbage collection, where no CUDA call is allowed: dropping it only
    puts its memory on a list. The pool lives as long as the process, so that a tensor may outlive what made it.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._free: dict[int, deque[Any]] = {}

    def tensor(self, shape: tuple[int, ...]) -> DeviceTensor:
        """An uninitialised tensor; inside `Gpu.current`."""
        size = 4 * int(np.prod(shape))
        free = self._free.setdefault(size, deque())
        try:
            memory = free.pop()
        except IndexError:
            memory = self._gpu.allocate(size)
        tensor = DeviceTensor(memory, shape)
        weakref.finalize(tensor, free.append, memory)
        return tensor

    def release(self) -> None:
        """Free what no tensor uses; inside `Gpu.current`, without which PyCUDA frees nothing."""
        for free in list(self._free.values()):
            with suppress(IndexError):
                while True:
                    free.pop().free()
