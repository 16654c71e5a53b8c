"""Work in a thread of its own, ahead of whoever needs it or behind whoever gave it; what waits is bounded."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_running: set[Ahead[Any] | Behind[Any]] = set()  # those whose thread has not ended
_PATIENCE_AT_EXIT = 1.0  # seconds, all threads together; a silent stream may hold a read for longer


class _End:
    """No more items, or the error that ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Ahead(Generic[T]):
    """Iterates over ``items`` in a thread, at most ``depth`` of them ahead; an error arrives in its place.

    Args:
        items: is used by that thread alone.
        depth: items that may wait; one more is in the making.
        newest: keep the newest item only.
        silence: seconds without an item that end the iteration with a TimeoutError; None waits for as long as it takes.
        name: of the thread.
    """

    def __init__(
        self,
        items: Iterator[T],
        *,
        depth: int = 4,
        newest: bool = False,
        silence: float | None = None,
        name: str,
    ) -> None:
        self._newest = newest
        self._silence = silence
        self._queue: queue.Queue[T | _End] = queue.Queue(1 if newest else depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(items,), name=name, daemon=True)
        _running.add(self)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=self._silence)
            except queue.Empty:
                raise TimeoutError(f"no data within {self._silence:g} s") from None
            if isinstance(item, _End):
                self._put_newest(item)  # whoever asks again gets the same answer
                if item.error is not None:
                    raise item.error
                return
            yield item

    def stop(self) -> None:
        """Make no more items, and end whoever waits for one."""
        self._stop.set()
        self._put_newest(_End())

    def join(self, patience: float = 20.0) -> None:
        """Wait for the thread, after `stop`, for so many seconds: the next item may never come."""
        self._thread.join(timeout=patience)

    def _work(self, items: Iterator[T]) -> None:
        end = _End()
        try:
            for item in items:
                if self._newest:
                    self._put_newest(item)
                else:
                    self._put(item)
                if self._stop.is_set():
                    self._put_newest(end)  # where an item took the place of the one that `stop` put
                    return
        except BaseException as error:  # handed to the consumer, whose loop it belongs to
            end = _End(error)
        finally:
            if isinstance(items, Generator):
                items.close()
            _running.discard(self)
        self._put(end)

    def _put(self, item: T | _End) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.05)
                return
            except queue.Full:
                continue

    def _put_newest(self, item: T | _End) -> None:
        """Put an item in place of those that wait."""
        while True:
            try:
                self._queue.put_nowait(item)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()


class Behind(Generic[T]):
    """Calls ``work`` with each item in a thread, in order; leaving the ``with`` block waits for the last one, or, where
    that is interrupted, for the one that is worked on.

    An error of ``work`` is raised by the next `put`, or at the end; no item after it is worked on.

    Args:
        depth: items that may wait.
        name: of the thread.
    """

    def __init__(self, work: Callable[[T], None], *, depth: int = 1, name: str) -> None:
        self._work = work
        self._stopped = False
        self._error: BaseException | None = None
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _running.add(self)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand an item over; waits while ``depth`` of them wait."""
        self._raise()
        self._queue.put(item)

    def __enter__(self) -> Behind[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupt = self._end()
        if error is None:
            if interrupt is not None:
                raise interrupt
            self._raise()

    def _end(self) -> BaseException | None:
        """Wait for the thread, whatever interrupts that: nobody may go on while it works. An interrupt leaves out what
        waits, and is returned."""
        interrupt: BaseException | None = None
        asked = False
        # Not by join(): before Python 3.13 an interrupt of it marks a thread that runs as ended.
        while not self._ended.is_set():
            try:
                if not asked:
                    self._queue.put(_End())
                    asked = True
                self._ended.wait()
            except BaseException as error:
                interrupt = error
                self._stopped = True
        return interrupt

    def stop(self) -> None:
        """Work on nothing that waits; an item that is being worked on is finished."""
        self._stopped = True
        with contextlib.suppress(queue.Full):  # then what waits there wakes the thread
            self._queue.put_nowait(_End())

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _End) and not self._stopped:
            if self._error is None:
                try:
                    self._work(item)
                except BaseException as error:  # handed to whoever gave the item
                    self._error = error
        _running.discard(self)
        self._ended.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


@atexit.register
def _stop_all() -> None:
    """Leave no thread to the end of the interpreter, which would end it in the middle of native code."""
    running = [one for one in list(_running) if one._thread.is_alive()]  # after a fork they are the parent's
    for one in running:
        one.stop()
    end = time.monotonic() + _PATIENCE_AT_EXIT
    for one in running:
        one._thread.join(max(0.0, end - time.monotonic()))
