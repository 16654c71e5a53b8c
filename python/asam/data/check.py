"""Everything that is wrong with a data set on disk, found in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asam.data.errors import DataError
from asam.data.files import listing
from asam.data.registry import FORMATS, Format, detect

__all__ = ["Report", "check", "find"]

_SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        name: of the layout.
        root: what was checked.
        samples: how many can be used.
        groups: how many groups (patients) they are of.
        raters: number of masks -> number of samples.
        sizes: (H, W) -> number of samples.
        empty: masks without a pixel.
        unmarked: ids of the samples whose masks are all empty, so that their box is the whole image.
        problems: every file that is wrong, once.
    """

    name: str
    root: Path
    samples: int
    groups: int
    raters: Counter[int]
    sizes: Counter[tuple[int, int]]
    empty: int
    unmarked: tuple[str, ...]
    problems: tuple[DataError, ...]


def find(root: str | Path) -> Iterator[tuple[str, Path]]:
    """(layout, path) of the data set at a path, or of those directly below it.

    Raises:
        DataError: nothing there has a known layout.
    """
    path = Path(root)
    name = detect(path)
    inside = [(detect(folder), folder) for folder in listing(path)] if name is None else [(name, path)]
    found = [(layout, folder) for layout, folder in inside if layout is not None]
    if not path.exists() and str(path) in FORMATS:
        raise DataError(
            path,
            "expected a data set, got the name of a layout",
            f"give the path, and this as --layout {path}",
        )
    if not found and not path.exists():
        raise DataError(path, "expected a data set, got no such file or folder", "check the path")
    if not found:
        known = ", ".join(FORMATS)
        raise DataError(
            path, "expected a data set, got none of a known layout", f"known, see docs/data.md: {known}"
        )
    yield from found


def check(
    root: str | Path,
    name: str | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Report:
    """Reads every sample of a data set and collects the problems.

    Args:
        root: the data set's folder or file.
        name: its layout; None detects it.
        progress: called with (samples read, samples in all).
        options: keyword arguments of the data set's class.

    Raises:
        DataError: the layout is not known.
        ValueError: no such layout or option.
    """
    path = Path(root)
    layout = name or detect(path)
    if layout is None:
        layout, path = next(find(path))
    if layout not in FORMATS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(FORMATS)}")
    format = FORMATS[layout]
    problems: list[DataError] = []
    everything = {} if format.splits is None else {"split": "all"}
    data = format.load(path, report=problems, **everything, **options)
    raters: Counter[int] = Counter()
    sizes: Counter[tuple[int, int]] = Counter()
    groups = set()
    empty = 0
    unmarked = []
    for index in range(len(data)):
        try:
            sample = data[index]
        except DataError as error:
            problems.append(error)
        except ValueError as error:  # parts that do not fit one another, such as masks of another size
            problems.append(DataError(path, f"sample {data.ids[index]}: {error}"))
        else:
            raters[len(sample.masks)] += 1
            sizes[sample.image.shape[0], sample.image.shape[1]] += 1
            groups.add(sample.group)
            marked = sample.masks.any(axis=(1, 2))
            empty += int((~marked).sum())
            if not marked.any() and sample.click is None:
                unmarked.append(sample.id)
        if progress is not None:
            progress(index + 1, len(data))
    problems += _shared_groups(format, path)
    once = {(str(error.path), error.problem): error for error in problems}
    return Report(
        name=layout,
        root=path,
        samples=raters.total(),
        groups=len(groups),
        raters=raters,
        sizes=sizes,
        empty=empty,
        unmarked=tuple(unmarked),
        problems=tuple(once.values()),
    )


def _shared_groups(layout: Format, path: Path) -> list[DataError]:
    """Groups (patients) that the files' own splits have on both sides."""
    if layout.splits is None or not layout.splits(path):
        return []
    where: dict[str, list[str]] = {}
    for split in _SPLITS:
        try:
            groups = set(layout.load(path, report=[], split=split).groups)
        except (ValueError, DataError):  # a split that these files do not have
            continue
        for group in groups:
            where.setdefault(group, []).append(split)
    return [
        DataError(
            path, f"group {group!r} is in the splits {' and '.join(splits)}", "keep a patient in one split"
        )
        for group, splits in sorted(where.items())
        if len(splits) > 1
    ]
