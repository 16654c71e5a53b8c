"""Run as a program beside NVIDIA's bindings: what the code uses that they do not have.

Standard input: JSON with ``names``, ``overrides`` and ``uses`` of `recording.py`. Standard output: a JSON list of
differences, in words.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import tensorrt_bindings as trt  # type: ignore[import-not-found, unused-ignore]

# What Python types the annotations of pybind11 take.
ACCEPTED = {
    "int": {"int"},
    "typing.SupportsInt": {"int"},
    "str": {"str"},
    "FallbackString": {"str"},
    "bool": {"bool"},
    "buffer": {"bytes", "bytearray", "ndarray"},
    "typing_extensions.Buffer": {"bytes", "bytearray", "ndarray"},
    "Dims": {"tuple", "list", "Dims"},
    "tuple": {"tuple"},
    "list": {"list"},
    "Iterable": {"list", "tuple"},
    "collections.abc.Iterable": {"list", "tuple"},
    "PluginFieldCollection_": {"PluginFieldCollection"},
    "object": {"object"},
}


def main() -> None:
    asked = json.load(sys.stdin)
    problems = [name for name in asked["names"] if resolve(name) is None]
    problems += [f"no member {path}" for path, _ in asked["overrides"] if resolve(path) is None]
    for path, count in asked["overrides"]:
        wanted = {len(parameters) for parameters in signatures(path)}
        if count not in wanted:
            problems.append(f"{path} is overridden with {count} arguments, declared with {sorted(wanted)}")
    for use in asked["uses"]:
        problems += list(check(*use))
    print(json.dumps([*problems, *construct()]))


def resolve(path: str) -> Any:
    """A member of the bindings, or None."""
    found: Any = trt
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def check(path: str, kind: str, positional: list[Any], keywords: list[Any]) -> Any:
    """Differences of one use."""
    member = resolve(path)
    if member is None:
        yield f"no member {path}"
    elif kind == "get" and not isinstance(member, property):
        yield f"{path} is no property"
    elif kind == "set" and not (isinstance(member, property) and member.fset is not None):
        yield f"{path} is no property that can be set"
    elif kind == "call":
        declared = signatures(path)
        if not any(fits(parameters, positional, keywords) for parameters in declared):
            yield f"{path}: called with {positional} {keywords}, declared {declared}"


def signatures(path: str) -> list[list[tuple[str, str, bool]]]:
    """Overloads of a function from its docstring, as pybind11 writes it: (name, annotation, has a default) of each
    parameter but ``self``."""
    member = resolve(path)
    owner = path.rsplit(".", 1)[-1]
    text = member.__doc__ if isinstance(member.__doc__, str) else ""
    found = []
    for line in text.splitlines():
        match = re.match(rf"(?:\d+\. )?{re.escape(owner)}\((.*)\) -> ", line.strip())
        if match and match[1] != "*args, **kwargs":
            found.append([parameter for part in split(match[1]) if (parameter := read(part))[0] != "self"])
    return found


def split(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def read(part: str) -> tuple[str, str, bool]:
    name, _, rest = part.partition(":")
    annotation, _, default = rest.partition(" = ")
    return name.strip(), annotation.strip(), bool(default)


def fits(parameters: list[tuple[str, str, bool]], positional: list[Any], keywords: list[Any]) -> bool:
    """Whether a call agrees with one overload: number, names and types."""
    if len(positional) > len(parameters):
        return False
    by_name = {name: annotation for name, annotation, _ in parameters[len(positional) :]}
    given = {name for name, _ in keywords}
    missing = [n for n, _, default in parameters[len(positional) :] if not default and n not in given]
    if missing or not given <= set(by_name):
        return False
    pairs = [(annotation, names) for (_, annotation, _), names in zip(parameters, positional, strict=False)]
    pairs += [(by_name[name], names) for name, names in keywords]
    return all(takes(annotation, names) for annotation, names in pairs)


def takes(annotation: str, names: list[str]) -> bool:
    """Whether an annotation takes a value of a type with these names (its own and its bases')."""
    if re.match(r"(typing\.|collections\.abc\.)?(List|Sequence|list)\[", annotation):
        return "list" in names
    short = annotation.rsplit("::", 1)[-1].removeprefix("tensorrt_bindings.tensorrt.").rsplit(".", 1)[-1]
    return any(name in ACCEPTED.get(key, {key}) for key in (annotation, short) for name in names)


def construct() -> list[str]:
    """What can be made of the real classes without TensorRT's library."""
    import numpy as np

    from asam_trt.tensorrt import builder, libraries

    problems = []
    logger = libraries.logger_of(trt)
    logger.log(trt.ILogger.Severity.ERROR, "an error")
    logger.log(trt.ILogger.Severity.WARNING, "a warning")
    if list(logger.errors) != ["an error"]:
        problems.append(f"the logger has {list(logger.errors)}")
    steps: list[str] = []
    monitor = builder.make_monitor(trt, "plan", steps.append)
    monitor.phase_start("Building", None, 3)
    if monitor.step_complete("Building", 0) is not True or steps != ["plan: Building (3 steps)"]:
        problems.append(f"the monitor said {steps}")
    value = np.arange(6, dtype=np.float32)
    field = trt.PluginField("w", value, trt.PluginFieldType.FLOAT32)
    if (field.name, field.size, field.type) != ("w", 6, trt.PluginFieldType.FLOAT32):
        problems.append(f"a field came out as {field.name}, {field.size}, {field.type}")
    if len(trt.PluginFieldCollection([field])) != 1:
        problems.append("a collection of one field does not have one")
    if not libraries.OLDEST <= libraries.version_of(trt) <= (libraries.NEWEST_MAJOR, 999):
        problems.append(f"version {trt.__version__} is read as {libraries.version_of(trt)}")
    return problems


if __name__ == "__main__":
    main()
