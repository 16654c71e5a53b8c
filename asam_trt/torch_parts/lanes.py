"""Functions of tensors on a stream of their own, each replayed as a CUDA graph.

Work in one lane runs beside the work of others: the next image is encoded while hypotheses of this one are drawn.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from asam_trt.graph_warning import warn_without_graph

Array = npt.NDArray[np.float32] | torch.Tensor
Function = Callable[..., tuple[torch.Tensor, ...]]

_MOST_GRAPHS = 8  # kept for shapes that come again, as many as the sampler keeps
_capturing = threading.Lock()  # PyTorch's memory takes one capture at a time, and warm-ups share a stream


class Lane(Protocol):
    """Runs one function; by one thread at a time."""

    def run(self, *inputs: Array) -> tuple[torch.Tensor, ...]:
        """Call it and wait.

        Args:
            inputs: float32, NumPy arrays, or tensors that an earlier call of a lane on the same device returned.

        Returns:
            float32 tensors that later calls do not change.
        """


class EagerLane:
    """A `Lane` that computes when and where it is called, on the CPU.

    Args:
        function: of tensors.
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    def run(self, *inputs: Array) -> tuple[torch.Tensor, ...]:
        """See `Lane.run`."""
        return self._function(*(x if isinstance(x, torch.Tensor) else torch.tensor(x) for x in inputs))


class GraphLane:
    """A `Lane` on a GPU: one graph a set of shapes, captured at the first use.

    Args:
        name: of what it runs, for the warning where nothing can be captured and it runs eagerly.
        function: of tensors; it neither waits nor takes memory but PyTorch's.
        device: the GPU.
    """

    def __init__(self, name: str, function: Function, device: torch.device) -> None:
        self._name, self._function, self._device = name, function, device
        self._graphs = True
        self._slots: OrderedDict[tuple[tuple[int, ...], ...], _Slot] = OrderedDict()
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            # One pool for all graphs of the lane: they follow each other in the stream, and what one of them leaves is
            # copied before the next one runs.
            self._pool: Any = torch.cuda.graph_pool_handle()

    @property
    def graphs(self) -> int:
        """Graphs that are kept."""
        return sum(slot.graph is not None for slot in self._slots.values())

    def run(self, *inputs: Array) -> tuple[torch.Tensor, ...]:
        """See `Lane.run`."""
        with finished(self._stream):
            slot = self._slot(inputs)
            slot.fill(inputs)
            if slot.graph is None and self._graphs:
                self._capture(slot)
            if slot.graph is None:
                return self._function(*slot.inputs)
            slot.graph.replay()
            return tuple(output.clone() for output in slot.outputs)

    def _slot(self, inputs: tuple[Array, ...]) -> _Slot:
        shapes = tuple(tuple(x.shape) for x in inputs)
        if shapes not in self._slots:
            if len(self._slots) == _MOST_GRAPHS:
                self._slots.popitem(last=False)
            self._slots[shapes] = _Slot(inputs, self._device)
        self._slots.move_to_end(shapes)
        return self._slots[shapes]

    def _capture(self, slot: _Slot) -> None:
        try:
            with _capturing:
                self._warm_up(slot)
                graph = torch.cuda.CUDAGraph()
                # Not by `torch.cuda.graph`, which waits for the whole device, where the sampler may be capturing.
                graph.capture_begin(self._pool, capture_error_mode="thread_local")
                try:
                    slot.outputs = self._function(*slot.inputs)
                finally:
                    graph.capture_end()
            slot.graph = graph
        except RuntimeError as error:
            self._graphs = False
            warn_without_graph(self._name, error)

    def _warm_up(self, slot: _Slot) -> None:
        """Kernels are loaded and algorithms chosen at the first run, which a capture must not see.

        On another stream, so that the lane's own gets the workspace of its products within the capture, from the
        memory that lives as long as the graphs. One for all lanes, since PyTorch keeps memory for each stream.
        """
        other = _warm_up_stream(self._device)
        other.wait_stream(self._stream)
        with finished(other):
            self._function(*slot.inputs)


@cache
def _warm_up_stream(device: torch.device) -> torch.cuda.Stream:
    with torch.cuda.device(device):
        return torch.cuda.Stream()


class _Slot:
    """Inputs and outputs at fixed addresses, for the graph that has them."""

    def __init__(self, inputs: tuple[Array, ...], device: torch.device) -> None:
        self.inputs = [torch.empty(tuple(x.shape), device=device) for x in inputs]
        # Copies from pageable memory would be staged by the driver, and waited for.
        self._pinned = [None if isinstance(x, torch.Tensor) else pinned(tuple(x.shape)) for x in inputs]
        self.graph: torch.cuda.CUDAGraph | None = None
        self.outputs: tuple[torch.Tensor, ...] = ()

    def fill(self, inputs: tuple[Array, ...]) -> None:
        """Enqueue copies of the inputs to their places. Whoever calls waits before the next fill."""
        for place, staged, value in zip(self.inputs, self._pinned, inputs, strict=True):
            if isinstance(value, torch.Tensor):
                place.copy_(value, non_blocking=True)
            elif staged is not None:
                staged.numpy()[...] = value
                place.copy_(staged, non_blocking=True)


def pinned(shape: tuple[int, ...]) -> torch.Tensor:
    """float32 host memory that the GPU copies from by itself."""
    return torch.empty(shape, pin_memory=True)


@contextmanager
def finished(stream: torch.cuda.Stream) -> Iterator[None]:
    """Work of this block goes to a stream, and has ended when the block has, whatever was raised.

    Whoever reads the results need not know the stream then, and memory may be given back.
    """
    with torch.cuda.stream(stream):
        try:
            yield
        finally:
            stream.synchronize()
