"""Errors that a user can do something about, as napari's notifications."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_warning

_EXPECTED = (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError)


class Notices:
    """Tells what goes wrong once, not again for each movement of the mouse.

    Attributes:
        text: what is wrong now; empty where nothing is.
    """

    def __init__(self) -> None:
        self.text = ""

    @contextmanager
    def told(self) -> Iterator[None]:
        """An expected error within is shown and ends there; others are bugs, which napari shows with their trace."""
        try:
            yield
        except _EXPECTED as error:
            text = str(error) or type(error).__name__
            if text != self.text:
                show_warning(text)
            self.text = text
        else:
            self.text = ""
