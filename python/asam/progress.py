"""Progress on standard error: bars on a terminal, a plain line now and then in a file or a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LONGEST: Final = 30.0  # seconds without a line
_SHORTEST: Final = 5.0  # seconds between two lines, so that a hundred short tasks are not a hundred lines
_SHARE: Final = 0.1  # of a task, after which a line comes earlier


class OnSample(Protocol):
    """Takes what is done of how much in all, None where that is not known, and a note such as a loss."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None: ...


Start = Callable[[str], OnSample]


@contextmanager
def bars(*, shown: bool = True, keep: bool = True, redraws: bool = True) -> Iterator[Start]:
    """Give a function that starts a task with a title; what that returns takes (done, total).

    Where standard error is no terminal, a task writes a line every 30 seconds, or earlier where a tenth of it was done
    since the last one; there are 5 seconds between two lines at least.

    Args:
        shown: False shows nothing.
        keep: finished bars stay on the screen.
        redraws: draw beside the work too; without, only where something is done, so that no thread takes the processor
            from what is timed.
    """
    console = Console(stderr=True)
    if not shown:
        yield lambda title: _silent
    elif console.is_interactive or console.is_jupyter:
        with _drawn(console, keep=keep, redraws=redraws) as start:
            yield start
    else:
        yield _Lines().start


def _silent(done: int, total: int | None, note: str = "") -> None:
    pass


@contextmanager
def _drawn(console: Console, *, keep: bool, redraws: bool) -> Iterator[Start]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # What is printed meanwhile comes above the bars, unless it goes elsewhere.
    same = console.is_jupyter or sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=not keep, auto_refresh=redraws, redirect_stdout=same
    ) as bar:

        def start(title: str) -> OnSample:
            if not keep:
                for task in bar.tasks:
                    bar.update(task.id, visible=False)
            new = bar.add_task(title, total=None, note="")

            begun = False

            def show(done: int, total: int | None, note: str = "") -> None:
                nonlocal begun
                if not begun:  # what a resumed run begins with would count as done in no time
                    bar.reset(new, completed=done, total=total, note=note)
                    begun = True
                bar.update(new, completed=done, total=total, note=note, refresh=not redraws)

            return show

        yield start


class _Lines:
    """Plain lines of several tasks, the time between them shared."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def start(self, title: str) -> OnSample:
        """A task by its title."""
        began, first, told = 0.0, -1, 0

        def show(done: int, total: int | None, note: str = "") -> None:
            nonlocal began, first, told
            now = time.monotonic()
            if first < 0:  # a run that is resumed does not begin with 0
                began, first = now, done
            waited = now - self.last
            early = waited >= _SHORTEST and total is not None and done - told >= _SHARE * total
            if waited < _LONGEST and not early:
                return
            self.last, told = now, done
            words = [f"{title}: {done}" if total is None else f"{title}: {done} of {total}"]
            words += [note] if note else []
            if total is not None and first < done < total:
                seconds = (now - began) * (total - done) / (done - first)
                words.append(f"{timedelta(seconds=round(seconds))} left")
            print(", ".join(words), file=sys.stderr, flush=True)

        return show
