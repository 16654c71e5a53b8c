"""Errors of the library in the words of the command line, which names options where Python names arguments."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any

from asam_trt.counting import counted

__all__ = ["as_typed", "counted", "options_of"]

_CALLS = {
    "asam_trt.build_engine": "`asam build`",
    "asam_trt.window(image, low, high)": "--window LOW HIGH",
    "window=(low, high)": "--window LOW HIGH",
}
"""What a user of Python calls -> what is typed instead."""
_RESUMED = ("resume=True", "the same command")
"""How Python goes on with a run that was broken off -> how a command does that has no --resume."""
_NUMBER = re.compile(r"\[Errno \d+\] ")  # of an error of the system, whose words follow
_WITH_VALUE = re.compile(
    r"(?<![\w.-])([a-z_]+)=(?:'([^']*)'|(\w*))"
)  # backend='cpu', root='a/b', augment=False
_NAME = re.compile(  # at the beginning, as in "steps: expected"; elsewhere only what cannot be a word of the sentence
    r"^[a-z_]+(?=: | must )|(?<![\w./'\"-])[a-z]+_[a-z_]+(?![\w./])"
)


def as_typed(text: str, options: Mapping[str, str]) -> str:
    """An error's text in which arguments stand as they are typed; what is no option of the command stays.

    Args:
        options: name of an argument -> its option, as `options_of` gives them.
    """
    text = _NUMBER.sub("", text)
    for call, typed in _CALLS.items():
        text = text.replace(call, typed)
    if "resume" not in options:
        text = text.replace(*_RESUMED)
    text = _WITH_VALUE.sub(lambda found: _with_value(found, options), text)
    return _NAME.sub(lambda found: options.get(found[0], found[0]), text)


def _with_value(found: re.Match[str], options: Mapping[str, str]) -> str:
    name, value = found[1], found[2] or found[3] or ""
    if name not in options:
        return found[0]
    if value in ("True", "False"):  # a switch
        return options[name] if value == "True" else options[name].replace(_typed(name), f"no-{_typed(name)}")
    return f"{options[name]} {value}".rstrip()


def options_of(args: type[Any]) -> dict[str, str]:
    """Name of an argument -> its option, for a dataclass of options; those of ``config`` too, where it has one."""
    found: dict[str, str] = {}
    for name, kind in typing.get_type_hints(args).items():
        if name == "config":
            found = {f: f"--config.{_typed(f)}" for f in typing.get_type_hints(kind)} | found
        else:
            found[name] = f"--{_typed(name)}"
    return found


def _typed(name: str) -> str:
    return name.replace("_", "-")
