"""A property that is made when first asked for and kept, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class kept(Generic[T]):
    """`functools.cached_property` without the lock that it has before Python 3.12.

    All objects of a class share that lock: they would wait for each other, and in a process that was forked meanwhile
    for a thread it does not have. Two threads that ask at once may both make the value, and get the same one.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> kept[T]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...

    def __get__(self, instance: object | None, owner: type[Any]) -> kept[T] | T:
        if instance is None:
            return self
        # From now on found before this descriptor, which has no __set__.
        value: T = instance.__dict__.setdefault(self._name, self._make(instance))
        return value
