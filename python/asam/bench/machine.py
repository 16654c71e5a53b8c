"""Where, when, with what and by which command something was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import asam
from asam_trt import __version__, _ops

_PACKAGES = ("torch", "onnxruntime", "numpy", "segment-anything")


@dataclass(frozen=True)
class Machine:
    """Of one benchmark.

    Attributes:
        processor: its model.
        cores: that this process may run on.
        isa: instruction set that the native code uses.
        versions: by distribution, "python" among them.
        commit: of the checkout, with "+" where tracked files differ from it; None outside of a checkout.
        date: UTC, ISO 8601.
        command: that was given.
        load: average of the last minute, before anything was run; None where the system has none.
    """

    processor: str
    cores: int
    isa: str
    versions: dict[str, str]
    commit: str | None
    date: str
    command: str
    load: float | None

    def busy(self, threads: int) -> bool:
        """True where others left fewer cores free than ``threads``, and figures mean little."""
        return self.load is not None and self.load > max(self.cores - threads, 0) + 0.5


def look() -> Machine:
    """The machine as it is now."""
    return Machine(
        processor=_processor(),
        cores=_cores(),
        isa=_ops.isa(),
        versions={
            "asam-trt": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        commit=_commit(),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has(feature: str) -> bool:
    """Whether the system names an instruction set with ``feature`` in its name, such as "vnni"."""
    return any(feature in line for line in _cpu_lines("flags"))


def _processor() -> str:
    models = [line.split(":", 1)[1].strip() for line in _cpu_lines("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _cpu_lines(name: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.startswith(name)]


def _commit() -> str | None:
    file = Path(asam.__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An environment may lie within a checkout of something else.
        git("ls-files", "--error-unmatch", file.name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
