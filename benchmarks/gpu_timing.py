"""What the benchmarks on a GPU share: calls timed in turns, and a report that is on disk after every row."""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asam_trt import __version__

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FIRST = (128, "fp16", 32)  # the row that tells most, should the run be cut short
_WARM_UPS = 5


def parsed(doc: str, *, n: Sequence[int]) -> argparse.Namespace:
    """The command line; ends the program where there is no GPU."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/gpu"))
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--n", type=int, nargs="+", default=list(n))
    parser.add_argument("--precisions", nargs="+", choices=sorted(TYPES), default=["fp16", "bf16"])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out: minutes less")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("expected an NVIDIA GPU that PyTorch can use, found none")
    return arguments


def cases(arguments: argparse.Namespace) -> list[tuple[int, str, int]]:
    """Side, precision and n of the rows, in the order in which they are measured."""
    found = list(itertools.product(arguments.sides, arguments.precisions, arguments.n))
    return sorted(found, key=lambda case: case != _FIRST)


def milliseconds(call: Callable[[], object]) -> float:
    """One run on the host's clock, after the GPU has been waited for and until it has been."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each call, in turns, so that a drift of the clock meets all alike."""
    for call in calls.values():
        for _ in range(_WARM_UPS):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            call()  # its weights in the caches, as in a loop of its own
            times[name].append(milliseconds(call))
    return times


def table_line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def table_head(cells: Sequence[str]) -> str:
    """Its first two lines."""
    return table_line(cells) + "\n|" + " --- |" * len(cells)


class Report:
    """<name>.json and <name>.md in a folder, with all rows so far.

    Args:
        head: of the table.
        line: of a row in the table.
        findings: what the JSON says beside the rows.
    """

    def __init__(
        self,
        output: Path,
        name: str,
        head: Sequence[str],
        line: Callable[[dict[str, Any]], str],
        **findings: Any,
    ) -> None:
        self._output, self._name, self._line = output, name, line
        self._rows: list[dict[str, Any]] = []
        self._table = [table_head(head)]
        gpu = torch.cuda.get_device_properties(0)
        self._findings: dict[str, Any] = {
            "gpu": f"{gpu.name}, SM {gpu.major}.{gpu.minor}, {gpu.total_memory / 2**30:.0f} GiB",
            "versions": {
                "asam-trt": __version__,
                "torch": torch.__version__,
                "cuda": torch.version.cuda,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            **findings,
        }
        print(self._table[0], flush=True)

    def add(self, row: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        """Complete a row by what ``measure`` finds, or by its error under "problem"; print it and write the files."""
        try:
            row = row | measure()
        except Exception as error:  # the other rows are worth having all the same
            traceback.print_exc()
            first = next(iter(str(error).splitlines()), "")
            row = row | {"problem": f"{type(error).__name__}: {first}"}
        self._rows.append(row)
        self._table.append(self._line(row))
        print(self._table[-1], flush=True)
        self._write()
        torch.compiler.reset()
        gc.collect()
        with contextlib.suppress(RuntimeError):  # after some errors a GPU takes no call of this process
            torch.cuda.empty_cache()

    def _write(self) -> None:
        heading = f"Milliseconds, {self._findings['gpu']}, {self._findings['versions']}"
        contents = {
            "json": json.dumps({**self._findings, "rows": self._rows}, indent=1),
            "md": "\n".join([heading, "", *self._table, ""]),
        }
        self._output.mkdir(parents=True, exist_ok=True)
        for suffix, content in contents.items():
            unfinished = self._output / f"{self._name}.{suffix}.part"
            unfinished.write_text(content)
            unfinished.replace(self._output / f"{self._name}.{suffix}")
