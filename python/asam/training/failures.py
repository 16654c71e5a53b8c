"""What stops a run before its last step; every message says what is kept and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from asam.training.state import newest_state
from asam.writing import NotWritten, named

__all__ = [
    "WITHOUT_WORKERS",
    "Interrupted",
    "LoaderStopped",
    "NonFiniteLoss",
    "NotWritten",
    "UnreadableSample",
    "how_to_resume",
    "loading",
    "writing",
]


class NonFiniteLoss(RuntimeError):
    """The loss, its gradient or the weights became NaN or infinite; the last good checkpoint is kept."""


class UnreadableSample(ValueError):
    """A sample could not be read; what was trained until then is kept."""


class LoaderStopped(RuntimeError):
    """A loader process ended or could not be started; the last good checkpoint is kept."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the state is saved."""


WITHOUT_WORKERS = "train without loader processes by workers=0"
_OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)
# In PyTorch's messages where the system gives no memory to it, or to a loader process.
_NO_MEMORY = ("DefaultCPUAllocator: ", "MemoryError in DataLoader worker")
_WORKER_ENDED = "DataLoader worker (pid"  # how PyTorch's message about one begins


def how_to_resume(states: Path) -> str:
    """What is kept under ``states``, as the end of a message."""
    newest = newest_state(states)
    if newest is None:
        return "no state was saved yet, start anew"
    return f"kept: {newest}; go on with resume=True"


@contextmanager
def writing(what: str, states: Path) -> Iterator[None]:
    """Name the file and the way on where a write fails.

    Raises:
        NotWritten: for any error of the file system inside the block.
    """
    with named(what, lambda: how_to_resume(states)):
        yield


@contextmanager
def loading(states: Path) -> Iterator[None]:
    """Say in a line what to do where the system ends a loader process, or memory runs out.

    Raises:
        LoaderStopped: in place of PyTorch's own error, which may come anywhere in the block.
        MemoryError: in place of those of PyTorch's allocators.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, _OUT_OF_MEMORY) or any(part in str(error) for part in _NO_MEMORY):
            raise MemoryError(
                "training: expected a batch that fits into memory; take a smaller --image-size or "
                f"--config.batch-size, or a larger --config.accumulate. {how_to_resume(states)}"
            ) from error
        if not str(error).startswith(_WORKER_ENDED):
            raise
        raise LoaderStopped(
            f"expected the loader processes to run on, got: {str(error).splitlines()[0]} "
            f"They take memory; {WITHOUT_WORKERS}. {how_to_resume(states)}"
        ) from error
