"""What the benchmarks on a GPU share: calls timed in turns, the machine they ran on, and the report they write."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asam_trt import __version__

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
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


def write(output: Path, name: str, findings: dict[str, Any], table: Sequence[str]) -> None:
    """<name>.json and <name>.md, each under a temporary name first."""
    gpu = torch.cuda.get_device_properties(0)
    report = {
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
    text = [f"Milliseconds, {report['gpu']}, {report['versions']}", "", *table, ""]
    output.mkdir(parents=True, exist_ok=True)
    for suffix, content in (("json", json.dumps(report, indent=1)), ("md", "\n".join(text))):
        unfinished = output / f"{name}.{suffix}.part"
        unfinished.write_text(content)
        unfinished.replace(output / f"{name}.{suffix}")
    print(f"wrote {output}/{name}.json and {name}.md")
