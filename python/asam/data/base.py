"""What every data set shares: length, ids, groups, iteration, and indices that behave like a list's."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["ArrayDataset", "encoded"]

T = TypeVar("T")


def encoded(name: str) -> bytes:
    """An id or a group in UTF-8, whatever it holds: those that are names of files need not be text."""
    return name.encode(errors="surrogatepass")


class ArrayDataset(ABC, Generic[T]):
    """Base of the data sets. A subclass gives ids and groups up front and reads one sample in `_load`."""

    def __init__(self, *, ids: Sequence[str], groups: Sequence[str]) -> None:
        if len(ids) != len(groups):
            raise ValueError(f"expected one group for each of {len(ids)} ids, got {len(groups)}")
        self._ids = tuple(ids)
        self._groups = tuple(groups)

    @property
    def ids(self) -> Sequence[str]:
        """The id of every sample, in order."""
        return self._ids

    @property
    def groups(self) -> Sequence[str]:
        """The group (patient) of every sample, in order."""
        return self._groups

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> T:
        index = operator.index(index)
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"{type(self).__name__} has {len(self)} samples, got index {index}")
        return self._load(position)

    def __iter__(self) -> Iterator[T]:
        return (self._load(index) for index in range(len(self)))

    @abstractmethod
    def _load(self, index: int) -> T:
        """Sample number ``index``, 0 or more."""
