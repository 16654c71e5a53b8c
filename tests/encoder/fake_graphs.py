"""CUDA graphs without a GPU: what a capture runs is recorded, and run again over the same memory by a replay."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from asam_trt.torch_parts import lanes


class FakeGraph:
    """In place of torch.cuda.CUDAGraph; ``world`` counts, and makes captures fail."""

    world: FakeWorld

    def __init__(self) -> None:
        self._mode = _Recorder()

    def capture_begin(self, pool: Any, capture_error_mode: str) -> None:
        assert capture_error_mode == "thread_local"
        assert not self.world.capturing, "PyTorch asserts that captures do not overlap"
        if self.world.fail:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.world.capturing = True
        self._mode.__enter__()

    def capture_end(self) -> None:
        self.world.capturing = False
        self._mode.__exit__(None, None, None)
        self.world.captures += 1

    def replay(self) -> None:
        self.world.replays += 1
        for function, args, kwargs, outputs in self._mode.calls:
            found, _ = tree_flatten(function(*args, **kwargs))
            for old, new in zip(outputs, found, strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, tree_flatten(found)[0]))
        return found


class FakeStream:
    """In place of torch.cuda.Stream."""

    made = 0

    def __init__(self) -> None:
        FakeStream.made += 1
        self.synchronized = 0

    def synchronize(self) -> None:
        self.synchronized += 1

    def wait_stream(self, other: FakeStream) -> None:
        pass


class FakeWorld:
    """What happened, and whether captures fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = self.capturing = False
        self.captures = self.replays = 0
        graph = type("Graph", (FakeGraph,), {"world": self})
        for name, value in {
            "CUDAGraph": graph,
            "Stream": FakeStream,
            "stream": lambda _: contextlib.nullcontext(),
            "device": lambda _: contextlib.nullcontext(),
            "graph_pool_handle": lambda: (0, 1),
            "empty_cache": _forbidden,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(lanes, "pinned", torch.empty)
        lanes._warm_up_stream.cache_clear()


def _forbidden() -> None:
    raise AssertionError("fails while another thread captures")
