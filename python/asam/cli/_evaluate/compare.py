"""Compare two results of `asam evaluate`, sample by sample: the mean of B - A of each figure with its interval.

Both were judged on the same samples of the same division by one protocol, with one seed. Hard samples are hard for
both, so that the interval of the difference is much shorter than those of the two figures. Of several rows with one
number of hypotheses the first is compared, that of the model itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from asam.cli._outputs import check_outputs, check_suffix
from asam_trt.counting import counted

if TYPE_CHECKING:
    from asam.evaluate import Report


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate compare``."""

    a: Positional[Path]
    """JSON file of `asam evaluate --output`."""
    b: Positional[Path]
    """Another one."""
    seed: int = 0
    """Of the bootstrap."""
    output: Path | None = None
    """Write the differences to this JSON file, and the table to a Markdown file beside it."""


@dataclass(frozen=True)
class _Result:
    """A file of `asam evaluate`.

    Attributes:
        file: where it was read.
        document: its content.
        reports: of the first method, by number of hypotheses.
    """

    file: Path
    document: Mapping[str, Any]
    reports: Mapping[int, Report]

    def judged(self) -> dict[str, Any]:
        """What has to be the same of two results, in words."""
        data = self.document["data"]
        return {
            "protocol": self.document["protocol"],
            "data": data["name"],
            "split": data["split"],
            # The splits of a manifest are known by their hash, wherever the file lies.
            "division": data["division"]["manifest_sha256"] or data["split_scheme"],
        }

    def named(self) -> str:
        """The method, its models and the file."""
        models = ", ".join(f"{one['name']} (sha256 {one['sha256'][:12]})" for one in self.document["models"])
        return f"{next(iter(self.reports.values())).method}: {models}; {self.file}"


def run(args: Args) -> int:
    """Compare, print the table, and write it where a file is named."""
    from asam.cli._evaluate.common import write_report
    from asam.cli._evaluate.division import divided
    from asam.evaluate import compare
    from asam.evaluate.comparison import markdown
    from asam.evaluate.provenance import of_software, sha256

    check_suffix("--output", args.output, ".json")
    files = (args.a, args.b)
    for file in files:
        if not file.is_file():
            came = "a folder" if file.is_dir() else "no such file"
            raise ValueError(f"{file}: expected a JSON file of `asam evaluate --output`, got {came}")
    table_file = None if args.output is None else args.output.with_suffix(".md")
    check_outputs(
        (args.output, table_file), [read for file in files for read in (file, file.with_suffix(".md"))]
    )
    a, b = (_read(file) for file in files)
    counts = _counts(a, b)
    try:
        found = [compare(a.reports[n], b.reports[n], seed=args.seed) for n in counts]
    except ValueError as error:
        raise ValueError(f"{args.a}, {args.b}: {error}") from error
    data, first, protocol = a.document["data"], found[0], a.document["protocol"]
    text = "\n".join(
        [
            f"A: {a.named()}",
            f"B: {b.named()}",
            f"{data['name']}, split {data['split']} ({divided(data['split_scheme'])}), protocol {protocol}, "
            f"{counted(first.samples, 'sample')} of {counted(first.groups, 'group')}; B - A sample by sample, "
            "95 percent intervals by group bootstrap",
            "",
            markdown(found),
        ]
    )
    print(text)
    if args.output is not None:
        document = {
            **{
                side: {"file": str(one.file), "sha256": sha256(one.file), "models": one.document["models"]}
                for side, one in (("a", a), ("b", b))
            },
            "protocol": protocol,
            "data": data,
            "seed": args.seed,
            "software": of_software(),
            "comparisons": [one.to_dict() for one in found],
        }
        print()
        write_report(args.output, document, text)
    return 0


def _counts(a: _Result, b: _Result) -> list[int]:
    """Numbers of hypotheses that both have.

    Raises:
        ValueError: none, or results of other data, another division or another protocol.
    """
    first, second = a.judged(), b.judged()
    different = [f"{name} {first[name]} and {second[name]}" for name in first if first[name] != second[name]]
    if different:
        raise ValueError(
            f"{a.file}, {b.file}: expected results on the same samples, got {'; '.join(different)}; judge both with "
            "the same --data, --split and --protocol, and one --manifest or --split-scheme"
        )
    both = [n for n in a.reports if n in b.reports]
    if not both:
        raise ValueError(
            f"{a.file}, {b.file}: expected results with a number of hypotheses in common, got n = "
            f"{', '.join(map(str, a.reports))} and {', '.join(map(str, b.reports))}; judge both with the same --n"
        )
    return both


def _read(file: Path) -> _Result:
    """A result of `asam evaluate`.

    Raises:
        ValueError: another file, or one without figures of each sample.
    """
    from asam.evaluate import Report

    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        first = document["reports"][0]["method"]
        some = [one for one in document["reports"] if one["method"] == first]
        result = _Result(file, document, {one["n"]: Report.from_dict(one) for one in some})
        _ = (result.judged(), result.named())  # that all is there which is looked at later
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # A file of an earlier version lacks what is asked for here.
        reason, again = str(error), ""
        if isinstance(error, KeyError):
            reason, again = f"no {error}", "; judge the model again with this version"
        raise ValueError(
            f"{file}: expected the JSON file of `asam evaluate --output` with figures of each sample, got: {reason}"
            + again
        ) from error
    return result
