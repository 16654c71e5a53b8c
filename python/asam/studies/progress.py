"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

OnSample = Callable[[int, int], None]
Start = Callable[[str], OnSample]


@contextmanager
def bars(*, shown: bool = True, keep: bool = True) -> Iterator[Start]:
    """Give a function that starts a bar with a title; what that returns takes (done, total).

    Args:
        keep: finished bars stay on the screen.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=not keep) as bar:

        def start(title: str) -> OnSample:
            if not keep:
                for task in bar.tasks:
                    bar.update(task.id, visible=False)
            new = bar.add_task(title, total=None)
            return lambda done, total: bar.update(new, completed=done, total=total)

        yield start
