"""What the code under test calls on `tensorrt`, noted by the fakes, for the comparison with the real bindings."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Use(NamedTuple):
    """One way in which a member was used.

    path: "Builder.create_network". positional: of each argument the names of its type and the bases of that.
    keywords: the names of arguments given by name, and their types. kind: "call", "get" or "set".
    """

    path: str
    kind: str = "call"
    positional: tuple[tuple[str, ...], ...] = ()
    keywords: tuple[tuple[str, tuple[str, ...]], ...] = ()


USES: set[Use] = set()


def type_names(value: Any) -> tuple[str, ...]:
    return tuple(base.__name__ for base in type(value).__mro__ if base is not object)


def recorded(cls: type) -> type:
    """A class whose public methods, constructor and properties note their use."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property):
            setattr(cls, name, _property(f"{cls.__name__}.{name}", member))
        elif inspect.isfunction(member):
            setattr(cls, name, _function(f"{cls.__name__}.{name}", member, skip=1))
    return cls


def recorded_function(function: Any) -> Any:
    """The same for a function of the module."""
    return _function(function.__name__, function, skip=0)


def _function(path: str, function: Any, *, skip: int) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        positional = tuple(type_names(value) for value in args[skip:])
        keywords = tuple(sorted((name, type_names(value)) for name, value in kwargs.items()))
        USES.add(Use(path, "call", positional, keywords))
        return function(*args, **kwargs)

    return call


def _property(path: str, member: property) -> property:
    def get(self: Any) -> Any:
        USES.add(Use(path, "get"))
        assert member.fget is not None
        return member.fget(self)

    def set_(self: Any, value: Any) -> None:
        USES.add(Use(path, "set"))
        assert member.fset is not None, f"{path} is read-only in the fake"
        member.fset(self, value)

    return property(get, set_)


def names_in_source(files: Iterable[Path], roots: frozenset[str]) -> set[str]:
    """Every dotted name below one of ``roots``: "BuilderFlag.STRIP_PLAN" of ``self.trt.BuilderFlag.STRIP_PLAN``."""
    found = set()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner and (path := _below(node, roots)):
                found.add(path)
    return found


def _below(node: ast.expr, roots: frozenset[str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and node.attr not in roots:
        parts.append(node.attr)
        node = node.value
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return ".".join(reversed(parts)) if name in roots else ""


def overrides_in_source(files: Iterable[Path], roots: frozenset[str]) -> set[tuple[str, int]]:
    """Methods of classes that derive from one of the module's, and how many arguments they take beside ``self``."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for base in node.bases if isinstance(node, ast.ClassDef) else []:
                if path := _below(base, roots):
                    methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and m.name[0] != "_"]  # type: ignore[attr-defined]
                    found |= {(f"{path}.{m.name}", len(m.args.args) - 1) for m in methods}
    return found
