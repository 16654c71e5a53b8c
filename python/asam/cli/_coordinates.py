"""Options made of coordinates, with errors that say which numbers were expected."""

from __future__ import annotations

from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec

_Corners = tuple[float, float, float, float]


def _group(words: list[str], names: tuple[str, ...]) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words)
    except ValueError as error:
        raise ValueError(
            f"expected the numbers {' '.join(names)}, apart by spaces, came {' '.join(words)}"
        ) from error


def numbers(*names: str) -> PrimitiveConstructorSpec[Any]:
    """One group of numbers; tyro's own message of an optional tuple lists types, with markup in it."""
    return PrimitiveConstructorSpec(
        nargs=len(names),
        metavar=" ".join(names).upper(),
        instance_from_str=lambda words: _group(words, names),
        is_instance=lambda value: value is None or isinstance(value, tuple),
        str_from_instance=lambda value: ["None"] if value is None else [f"{v:g}" for v in value],
    )


def _often(*names: str) -> PrimitiveConstructorSpec[Any]:
    """Any number of such groups."""
    k = len(names)

    def read(words: list[str]) -> tuple[tuple[float, ...], ...]:
        if len(words) % k:
            raise ValueError(
                f"expected {k} numbers of each, {' '.join(names)}, came {len(words)}: {' '.join(words)}"
            )
        return tuple(_group(words[i : i + k], names) for i in range(0, len(words), k))

    one = " ".join(names).upper()
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"[{one} [{one} ...]]",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [f"{v:g}" for group in value for v in group],
    )


Box = Annotated[_Corners | None, numbers("x0", "y0", "x1", "y1")]
Boxes = Annotated[tuple[_Corners, ...], _often("x0", "y0", "x1", "y1")]
Points = Annotated[tuple[tuple[float, float], ...], _often("x", "y")]
