"""Check, show and split data sets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from asam.cli._outputs import check_outputs, check_suffix
from asam.cli._wording import counted
from asam.writing import named
from asam_trt.files import replacing

_LARGEST_TILE = 2048
_MOST_SKIPPED = 10  # that are named
_MOST_UNMARKED = 3  # that are named

if TYPE_CHECKING:
    from asam.data import DataError, Dataset, Report, Sample


@dataclass(frozen=True)
class Check:
    """Read every file of a data set and report all that is wrong with it.

    Attributes:
        path: the data set, or a folder of several.
        layout: its layout; detected where not given.
        limit: most problems listed; 0 for all.
    """

    path: tyro.conf.Positional[Path]
    layout: str | None = None
    limit: int = 50


@dataclass(frozen=True)
class Show:
    """Draw a sheet of samples: prompt, every rater's mask, their mean, and the law where it is known.

    Attributes:
        source: a path, or a name: synthetic:nested, or such as folder with --root.
        root: folder of the data set that the source names.
        output: PNG file to write.
        layout: layout of a path; detected where not given.
        split: which split; "all" is every sample.
        manifest: division of the split, a file of `asam data split`.
        count: number of samples, spread over the data set.
        tile: side of a cell in pixels.
        seed: of a synthetic set.
        size: image side of a synthetic set.
    """

    source: tyro.conf.Positional[str]
    root: Path | None = None
    output: Path = Path("outputs/data.png")
    layout: str | None = None
    split: str = "all"
    manifest: Path | None = None
    count: int = 8
    tile: int = 160
    seed: int = 0
    size: int = 128


@dataclass(frozen=True)
class Split:
    """Divide a data set by group and write the manifest that names every id, for --manifest.

    Attributes:
        path: the data set.
        output: JSON file to write.
        layout: its layout; detected where not given.
        scheme: "group" keeps patients together; "index-order" is the published 60/20/20 by index. Splits that the files
            come with are left out of account.
        seed: of the scheme "group".
    """

    path: tyro.conf.Positional[Path]
    output: Path = Path("outputs/split.json")
    layout: str | None = None
    scheme: Literal["group", "index-order"] = "group"
    seed: int = 0


@dataclass(frozen=True)
class Layouts:
    """List the known layouts and names, each with what it is."""


Command = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Split, tyro.conf.subcommand("split")]
    | Annotated[Layouts, tyro.conf.subcommand("list")]
)


@dataclass(frozen=True)
class Args:
    """Check, show and split data sets."""

    command: tyro.conf.OmitSubcommandPrefixes[Command]


def run(args: Args) -> int:
    """Runs one of the subcommands; 1 where a check finds problems."""
    command = args.command
    if isinstance(command, Check):
        return _check(command)
    if isinstance(command, Show):
        return _show(command)
    if isinstance(command, Split):
        return _split(command)
    from asam.data.registry import described

    lines = described()
    width = max(map(len, lines))
    print("\n".join(f"{name:<{width}}  {line}" for name, line in lines.items()))
    return 0


def _check(args: Check) -> int:
    from asam.data.check import check, find
    from asam.progress import bars

    if args.limit < 0:
        raise ValueError(f"--limit: expected 0, for all, or more, got {args.limit}")
    found = [(args.layout, args.path)] if args.layout else list(find(args.path))
    status = 0
    for layout, path in found:
        with bars(keep=False) as start:
            report = check(path, layout, progress=start(str(path)))
        _tell(report, args.limit)
        status = max(status, int(bool(report.problems)))
    return status


def _tell(report: Report, limit: int) -> None:
    raters = ", ".join(f"{count} with {number}" for number, count in sorted(report.raters.items()))
    sizes = [f"{w} x {h}" for h, w in sorted(report.sizes)]
    shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
    print(
        f"{report.root}: {report.name}, {counted(report.samples, 'sample')} of {counted(report.groups, 'group')}"
    )
    if report.samples:
        empty = f"{counted(report.empty, 'mask')} {'is' if report.empty == 1 else 'are'} empty"
        print(f"  masks a sample: {raters}; {empty}; sizes (w x h) {shown}")
    if unmarked := len(report.unmarked):
        have, box = ("has", "its box is") if unmarked == 1 else ("have", "their box is")
        shown = ", ".join(report.unmarked[:_MOST_UNMARKED]) + (", ..." if unmarked > _MOST_UNMARKED else "")
        print(f"  {counted(unmarked, 'sample')} {have} only empty masks; {box} the whole image: {shown}")
    print(f"  {counted(len(report.problems), 'problem')}" if report.problems else "  no problems")
    for problem in report.problems[: limit or None]:
        print(f"  - {problem}")
    if limit and len(report.problems) > limit:
        print(f"  ... and {len(report.problems) - limit} more (--limit 0 lists all)")


def _show(args: Show) -> int:
    from PIL import Image

    from asam.data.sheet import sheet

    if args.count < 1:
        raise ValueError(f"--count: expected at least 1, got {args.count}")
    if not 16 <= args.tile <= _LARGEST_TILE:
        raise ValueError(f"--tile: expected 16 to {_LARGEST_TILE} pixels, got {args.tile}")
    check_suffix("--output", args.output, ".png")
    check_outputs((args.output,), (Path(args.source), args.root))
    skipped: list[DataError] = []
    data = _open_shown(args, skipped)
    step = max(len(data) // args.count, 1)
    samples = list(_readable(data, [*range(0, len(data), step)][: args.count], skipped))
    for problem in skipped[:_MOST_SKIPPED]:
        print(f"skipped: {problem}", file=sys.stderr)
    if len(skipped) > _MOST_SKIPPED:
        more = len(skipped) - _MOST_SKIPPED
        path = args.root or args.source
        print(f"... and {more} more (`asam data check {path}` lists all)", file=sys.stderr)
    if not samples:
        raise ValueError(f"{args.source}: expected a sample that can be drawn, got none")
    with named(args.output), replacing(args.output) as temporary:
        Image.fromarray(sheet(samples, tile=args.tile)).save(temporary, format="PNG")
    print(f"{len(samples)} of {counted(len(data), 'sample')}: wrote {args.output}")
    for sample in samples:
        print(f"  {sample.id}: {sample.prompt}")
    return int(bool(skipped))


def _readable(data: Dataset[Sample], places: Iterable[int], skipped: list[DataError]) -> Iterator[Sample]:
    """The samples at these places; what is wrong with the others is added to ``skipped``."""
    from asam.data import DataError

    for place in places:
        try:
            yield data[place]
        except DataError as error:
            skipped.append(error)
        except ValueError as error:  # parts that do not fit one another
            skipped.append(DataError(data.ids[place], str(error)))


def _open_shown(args: Show, skipped: list[DataError]) -> Dataset[Sample]:
    from asam.data.check import find
    from asam.data.registry import open_dataset, replaced

    if args.source.partition(":")[0] == "synthetic" and not Path(args.source).exists():
        sizes: dict[str, Any] = {"seed": args.seed, "size": args.size, "length": args.count}
        return open_dataset(args.source, None, args.split, manifest=args.manifest, **sizes)
    if args.root is not None:
        layout, path = args.source, args.root
    else:
        layout, path = (args.layout, Path(args.source)) if args.layout else next(find(args.source))
    if note := replaced(layout, path, args.manifest):
        print(note, file=sys.stderr)
    return open_dataset(layout, path, args.split, manifest=args.manifest, report=skipped)


def _split(args: Split) -> int:
    from asam.data.check import find
    from asam.data.registry import open_dataset, own_splits
    from asam.data.splits import make_split

    check_suffix("--output", args.output, ".json")
    check_outputs((args.output,), (args.path,))
    layout, path = (args.layout, args.path) if args.layout else next(find(args.path))
    manifest = make_split(open_dataset(layout, path, "all"), name=layout, scheme=args.scheme, seed=args.seed)
    with named(args.output):
        manifest.save(args.output)
    empty = [name for name, ids in manifest.splits.items() if not ids]
    if empty:
        print(f"warning: no sample in {' and '.join(empty)}: too few samples or groups", file=sys.stderr)
    sizes = ", ".join(f"{name} {len(ids)}" for name, ids in manifest.splits.items())
    if own := own_splits(layout, path):
        print(
            f"note: {path} comes with splits of its own ({', '.join(own)}), which are used without --manifest",
            file=sys.stderr,
        )
    print(f"{sizes} (sha256 {manifest.sha256[:12]}): wrote {args.output}")
    print(f"use it with --manifest {args.output} (asam train, asam evaluate, asam data show)")
    return 0
