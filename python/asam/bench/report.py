"""What was measured: rows, what could not be run, and how both are shown and saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from asam.bench.machine import Machine
from asam.bench.route import OURS
from asam.bench.settings import Stage
from asam_trt.files import write_text

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One route in one stage.

    Attributes:
        stage: "encode" (model input to image state), "sample" (noise to logits) or "frame" (image to statistics).
        route: "asam" or a peer's name.
        n: hypotheses; None for "encode".
        seconds: of every timed run.
        ratio: median over ours of the same stage and n; above 1 is slower than ours.
        max_error: largest difference to float64, of the logits, or in "encode" of the embedding; None where the
            route does not show it.
        mask_iou: mean IoU with the masks of float64; None for "encode".
        threads, side, backbone: of the run; side is S in pixels.
    """

    stage: Stage
    route: str
    n: int | None
    seconds: tuple[float, ...]
    ratio: float
    max_error: float | None
    mask_iou: float | None
    threads: int
    side: int
    backbone: str

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float | None:
        """Interquartile range over the median; None for a single run."""
        if len(self.seconds) < 2:
            return None
        low, _, high = quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median


@dataclass(frozen=True)
class Skipped:
    """A route that could not be run, for this n or (None) at all, and why."""

    route: str
    n: int | None
    reason: str


@dataclass(frozen=True)
class Floor:
    """Our sampler against large matrix products.

    Attributes:
        plain, reduced: multiply-adds a hypothesis, as written and with the identities 1-6.
        precision: of these, float32 or bf16: whichever is multiplied as fast as what our sampler computes in.
        peak: multiply-adds a second of torch.mm in that precision.
        share: by n, the part of the peak that our sampler reaches with its ``reduced`` multiply-adds.
    """

    plain: int
    reduced: int
    precision: str
    peak: float
    share: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of one benchmark.

    Attributes:
        machine: where and when.
        weights: "random, seed 0" or the checkpoint's name.
        engine: backend and precision of our route.
        repeats: timed runs a row.
        largest_logit, mask_share: of the float64 reference, to read the errors by.
        rows: in the order of the table.
        skipped: what is missing from it.
        floor: None where it was not asked for.
    """

    machine: Machine
    weights: str
    engine: str
    threads: int
    side: int
    backbone: str
    repeats: int
    largest_logit: float
    mask_share: float
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    floor: Floor | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; every row also with its ``median`` and ``spread``."""
        values = asdict(self)
        rows = [
            {**row, "median": source.median, "spread": source.spread}
            for row, source in zip(values["rows"], self.rows, strict=True)
        ]
        busy = self.machine.busy(self.threads)
        return {"format": FORMAT, **values, "rows": rows, "machine": {**values["machine"], "busy": busy}}

    def save(self, path: Path) -> None:
        """Write JSON, whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def __str__(self) -> str:
        return "\n\n".join(
            part for part in (self._header(), self._table(), self._floor(), self._missing()) if part
        )

    def _header(self) -> str:
        machine = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        load = "unknown" if machine.load is None else f"{machine.load:.1f}"
        installed = f"not a checkout: installed, version {machine.versions['asam-trt']}"
        lines = [
            f"machine:  {machine.processor}, {machine.cores} cores, {machine.isa}, load {load}",
            f"versions: {versions}",
            f"commit:   {machine.commit or installed}, {machine.date}",
            f"command:  {machine.command}",
            f"model:    {self.backbone}, S = {self.side}, {self.weights}; engine: {self.engine}",
            f"float64:  largest logit {self.largest_logit:.3g}, masks cover {self.mask_share:.0%} of the image",
        ]
        if machine.busy(self.threads):
            lines.append(
                f"BUSY:     load {load} before the start, on {machine.cores} cores of which this takes "
                f"{self.threads}: other work took part, and these times mean little"
            )
        return "\n".join(lines)

    def _table(self) -> str:
        head = [
            "",
            "n",
            "route",
            "median ms",
            "spread",
            "/ ours (BUSY)" if self.machine.busy(self.threads) else "/ ours",
            "max error",
            "mask IoU",
            "threads",
            "S",
            "model",
        ]
        cells = [
            [
                row.stage,
                "-" if row.n is None else str(row.n),
                row.route,
                f"{1e3 * row.median:.2f}",
                "-" if row.spread is None else f"{row.spread:.0%}",
                "1" if row.route == OURS else f"{row.ratio:.2f}",
                "-" if row.max_error is None else f"{row.max_error:.1e}",
                "-" if row.mask_iou is None else f"{row.mask_iou:.4f}",
                str(row.threads),
                str(row.side),
                row.backbone,
            ]
            for row in self.rows
        ]
        return markdown(head, cells, left=(0, 2, 10))

    def _floor(self) -> str:
        floor = self.floor
        if floor is None:
            return ""
        shares = ", ".join(f"{share:.0%} at n = {n}" for n, share in floor.share.items())
        return (
            f"floor: {floor.plain / 1e6:.1f} M multiply-adds a hypothesis, {floor.reduced / 1e6:.1f} M with the "
            f"identities; torch.mm {floor.precision} does {2 * floor.peak / 1e9:.0f} GFLOP/s on {self.threads} "
            f"thread(s); our sampler reaches {shares} of that"
        )

    def _missing(self) -> str:
        return "\n".join(
            f"not run: {item.route}{'' if item.n is None else f', n = {item.n}'}: {item.reason}"
            for item in self.skipped
        )


def markdown(head: Sequence[str], cells: Sequence[Sequence[str]], *, left: Sequence[int]) -> str:
    """A Markdown table whose source is aligned too; the columns in ``left`` to the left, others to the right."""
    widths = [max(len(row[i]) for row in (head, *cells)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (width + 2) if i in left else "-" * (width + 1) + ":" for i, width in enumerate(widths)
    )
    return "\n".join([line(head), f"|{rule}|", *map(line, cells)])
