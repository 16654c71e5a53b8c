"""What runs here, what does not, and why."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asam_trt._version import __version__

Status = Literal["ok", "missing", "compiled, not run", "broken"]

# Instruction sets that no processor at hand has, and how their kernels were tested.
_NOT_TIMED = {
    "neon": "tested under emulation",
    "neondot": "tested under emulation",
    "avxvnni": "tested in AVX-512's encoding of the same instructions",
}

_STYLES: dict[Status, str] = {
    "ok": "green",
    "missing": "yellow",
    "compiled, not run": "cyan",
    "broken": "red",
}


@dataclass(frozen=True)
class Check:
    """One row: what was looked at, how it stands, what was found, what to do about it ("" for nothing)."""

    name: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """The rows in order. ``ok`` unless something that every installation has is broken."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.status != "broken" for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        """The row of that name; KeyError where there is none."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __str__(self) -> str:
        return "\n".join(
            f"{check.name}: {check.status}: {check.detail}" + (f" -> {check.fix}" if check.fix else "")
            for check in self.checks
        )


def doctor(*, show: bool = True) -> Report:
    """Looks at the machine and the installation, and prints a table of what was found.

    Args:
        show: print the table.

    Returns:
        The rows of the table. No row raises: what fails says so in its row.
    """
    report = Report((*_machine(), *_native(), _onnxruntime(), _torch(), *_cuda(), *_tensorrt()))
    if show:
        _print(report)
    return report


def _machine() -> list[Check]:
    return [
        Check("asam-trt", "ok", f"{__version__} in {Path(__file__).parent}"),
        Check(
            "python",
            "ok",
            f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        ),
        Check("platform", "ok", f"{platform.platform()}, {os.cpu_count()} processors"),
    ]


def _native() -> list[Check]:
    try:
        from asam_trt import _ops, _runtime, precision
    except ImportError as error:
        return [
            Check("native code", "broken", str(error), "reinstall: pip install --force-reinstall --no-deps .")
        ]
    checks = []
    try:
        best = _ops.supported_isas()[-1]
        forced = os.environ.get("ASAM_FORCE_ISA")
        used = f"{_ops.isa()}, forced by ASAM_FORCE_ISA (best here: {best})" if forced else _ops.isa()
        tested = _NOT_TIMED.get(_ops.isa())
        note = f", {tested}, not timed on hardware" if tested else ""
        checks.append(Check("instruction set", "ok", used + note))
        checks.append(Check("precision", "ok", "auto is {}: {}".format(*precision.choose("auto"))))
    except ValueError as error:
        checks.append(Check("instruction set", "broken", str(error), "unset ASAM_FORCE_ISA"))
    try:
        checks.append(Check("threads", "ok", str(_runtime.get_num_threads())))
    except ValueError as error:
        checks.append(Check("threads", "broken", str(error), "unset ASAM_NUM_THREADS"))
    return checks


def _onnxruntime() -> Check:
    try:
        import onnxruntime
    except ImportError as error:
        return Check("onnxruntime", "broken", str(error), "pip install onnxruntime")
    providers = ", ".join(
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    )
    return Check("onnxruntime", "ok", f"{onnxruntime.__version__}, providers: {providers}")


def _version_of(distribution: str) -> str | None:
    """Installed version, without importing the package."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch() -> Check:
    version = _version_of("torch")
    if version is None:
        return Check(
            "torch",
            "missing",
            "engines run without it, on a GPU encoding slower; training and building do not",
            "pip install torch",
        )
    return Check("torch", "ok", f"{version}, for training, building, and the encoder of the CUDA backend")


def _cuda() -> list[Check]:
    try:
        from asam_trt import _runtime
    except ImportError:
        return []
    found = _runtime.cuda_report()
    if not found["library"]:
        fix = "install the CUDA toolkit, then: pip install . -Ccmake.define.ASAM_CUDA=ON"
        return [Check("CUDA code", "missing", found["problem"], fix)]
    checks = []
    built = f"built with runtime {_cuda_version(found['runtime'])}"
    if found["driver"] == 0:
        checks.append(
            Check("CUDA code", "compiled, not run", f"{built}, sampler included; no driver here has run it")
        )
        checks.append(
            Check("CUDA driver", "missing", "none installed", "install NVIDIA's driver (see nvidia-smi)")
        )
    else:
        status: Status = "ok" if found["devices"] else "compiled, not run"
        checks.append(Check("CUDA code", status, built))
        checks.append(Check("CUDA driver", "ok", f"supports CUDA {_cuda_version(found['driver'])}"))
    if not found["devices"]:
        why = found["problem"] if found["driver"] else "none without a driver"
        checks.append(Check("GPU", "missing", why, "use a machine with an NVIDIA GPU of SM 8.0 or newer"))
    else:
        checks.append(_gpu_encoder())
    for device in found["devices"]:
        major, minor = device["compute_capability"]
        memory = device["memory_bytes"] / 2**30
        checks.append(Check("GPU", "ok", f"{device['name']}, SM {major}.{minor}, {memory:.0f} GiB"))
    return checks


def _gpu_encoder() -> Check:
    """What encodes images for the CUDA backend."""
    from asam_trt.encoders import on_gpu

    kind, why = on_gpu()
    if kind:
        return Check("GPU encoder", "ok", f"{kind}: {why}")
    fix = "install PyTorch with CUDA, or onnxruntime-gpu in place of onnxruntime"
    return Check("GPU encoder", "missing", f"images are encoded on the CPU: {why}", fix)


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _tensorrt() -> list[Check]:
    from asam_trt.tensorrt.libraries import INSTALL, PLUGIN_LIBRARY, native_folder

    checks = []
    names = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
    installed = [f"{name} {version}" for name in names if (version := _version_of(name))]
    if installed:
        checks.append(Check("TensorRT", "ok", f"Python bindings: {', '.join(installed)}"))
    else:
        checks.append(Check("TensorRT", "missing", "no Python bindings", INSTALL))
    pycuda = _version_of("pycuda")
    if pycuda:
        checks.append(Check("PyCUDA", "ok", f"{pycuda}, needed for TensorRT alone"))
    else:
        checks.append(Check("PyCUDA", "missing", "needed for TensorRT alone", INSTALL))
    try:
        plugin = native_folder() / PLUGIN_LIBRARY
    except ImportError:  # said in a row of its own
        return checks
    if plugin.is_file():
        detail = f"{plugin}; checked against TensorRT's headers and bindings, no GPU has run it"
        checks.append(Check("TensorRT plugin", "compiled, not run", detail))
    else:
        fix = "where nvcc is found: pip install . -Ccmake.define.ASAM_TENSORRT_FETCH_HEADERS=ON"
        why = "this installation was built without TensorRT's headers"
        checks.append(Check("TensorRT plugin", "missing", why, fix))
    return checks


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("part", "status", "found"):
        table.add_column(title, overflow="fold")
    for check in report.checks:
        style = _STYLES[check.status]
        status = f"[{style}]{check.status}[/{style}]"
        table.add_row(check.name, status, escape(check.detail))
    console = Console()
    console.print(table)
    # Whole lines, so that a command can be copied from a narrow terminal too.
    fixes = [f"  {check.name}: {escape(check.fix)}" for check in report.checks if check.fix]
    if fixes:
        console.print("\nwhat to do:\n" + "\n".join(fixes), soft_wrap=True, highlight=False)
