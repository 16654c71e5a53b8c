"""How tyro makes options of a dataclass ``Args``: help in whole paragraphs, without defaults that say nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

_BREAK = re.compile(r"(?<!\n)\n(?!\n) *")  # within a paragraph
_NO_HINT = tyro.conf.arg(help_behavior_hint="")
# Without flags: what is True, False or not given stays an option with a value.
_NOT_GIVEN = (_NO_HINT, tyro.conf.DisallowNone, tyro.conf.FlagConversionOff)


def parse(kind: type[Any], words: list[str], *, command: str, description: str | None) -> Any:
    """Options that were typed.

    Args:
        kind: a dataclass.
        words: what was typed.
        command: as its help names it.
        description: of the command, for its help.
    """
    text = None if description is None else joined(description)
    return tyro.cli(kind, prog=command, description=text, args=words, registry=_registry())


def joined(text: str) -> str:
    """A text with a line for each paragraph: tyro keeps the breaks before lines that begin with no letter."""
    return _BREAK.sub(" ", text.strip())


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()
    asking = False

    @registry.primitive_rule
    def choices(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        """Choices without the None that is not typed, which tyro would offer in its errors."""
        kind, *others = get_args(info.type) or (None,)
        if others != [type(None)] or tyro.conf.DisallowNone not in info.markers:
            return None
        found = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, info.markers))
        return found if isinstance(found, PrimitiveConstructorSpec) and found.choices else None

    @registry.struct_rule
    def readable(info: StructTypeInfo) -> StructConstructorSpec | None:
        """What tyro itself makes of a type, its fields made readable."""
        nonlocal asking
        if asking:  # it comes back to this rule
            return None
        asking = True
        try:
            found = ConstructorRegistry.get_struct_spec(info)
        finally:
            asking = False
        if not isinstance(found, StructConstructorSpec):
            return None
        return dataclasses.replace(found, fields=tuple(map(_readable, found.fields)))

    return registry


def _readable(field: StructFieldSpec) -> StructFieldSpec:
    """None and an empty default mean "not given": they are neither shown nor typed."""
    kind: Any = field.type
    if field.default is None or field.default == ():
        kind = _annotated(kind, (_NO_HINT,) if field.default == () else _NOT_GIVEN)
    return dataclasses.replace(field, type=kind, helptext=_whole(field.helptext))


def _annotated(kind: Any, marks: tuple[Any, ...]) -> Any:
    """``kind`` with marks before its own, which have the last word."""
    if get_origin(kind) is Annotated:
        bare, *own = get_args(kind)
        return Annotated[(bare, *marks, *own)]
    return Annotated[(kind, *marks)]


def _whole(text: str | Callable[[], str | None] | None) -> str | Callable[[], str | None] | None:
    if not callable(text):
        return None if text is None else joined(text)

    def read() -> str | None:
        found = text()
        return None if found is None else joined(found)

    return read
