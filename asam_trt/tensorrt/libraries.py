"""The libraries that plans are built and run with, and which of them is missing here."""

from __future__ import annotations

import importlib
import re
from collections import deque
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from asam_trt.errors import BackendUnavailable

OLDEST = (10, 13)
NEWEST_MAJOR = 11
PLUGIN_LIBRARY = "libasam_trt_plugin.so"
CUDA_LIBRARY = "libasam_cuda.so"
INSTALL = "pip install 'tensorrt>=10.13,<12' 'pycuda>=2024.1'"


def tensorrt() -> ModuleType:
    """The module `tensorrt`, of a version that is supported.

    Raises:
        BackendUnavailable: not installed, without its library, or of another version.
    """
    module = _imported("tensorrt", "TensorRT's Python bindings")
    version = version_of(module)
    if version < OLDEST or version[0] > NEWEST_MAJOR:
        raise BackendUnavailable(
            f"backend 'tensorrt' cannot run: expected TensorRT {OLDEST[0]}.{OLDEST[1]} to {NEWEST_MAJOR}.x, came "
            f"{module.__version__}; {INSTALL}"
        )
    return module


def version_of(module: ModuleType) -> tuple[int, int]:
    """Major and minor number of a `tensorrt` module; (0, 0) where it does not say."""
    match = re.match(r"(\d+)\.(\d+)", str(getattr(module, "__version__", "")))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def pycuda_driver() -> ModuleType:
    """The module `pycuda.driver`; never `pycuda.autoinit`, whose context PyTorch and CUDA's runtime do not share.

    Raises:
        BackendUnavailable: not installed, or without NVIDIA's driver.
    """
    return _imported("pycuda.driver", "PyCUDA")


def native_folder() -> Path:
    """Where the compiled modules lie, and the two libraries beside them: not where the sources of an editable
    installation are."""
    from asam_trt import _runtime

    return Path(_runtime.__file__).absolute().parent


def plugin_library() -> Path:
    """The plugin, which lies next to the CUDA library that it opens.

    Raises:
        BackendUnavailable: one of the two was not built.
    """
    folder = native_folder()
    for name, option in (
        (CUDA_LIBRARY, "ASAM_CUDA=ON"),
        (PLUGIN_LIBRARY, "TENSORRT_ROOT=<folder of TensorRT>"),
    ):
        if not (folder / name).is_file():
            raise BackendUnavailable(
                f"backend 'tensorrt' cannot run: this installation has no {name}; reinstall where nvcc is found: "
                f"pip install . -Ccmake.define.{option}"
            )
    return folder / PLUGIN_LIBRARY


def check() -> str:
    """What is here, in words.

    Raises:
        BackendUnavailable: names the first piece that is missing: bindings, PyCUDA, plugin, GPU.
    """
    trt = tensorrt()
    driver = pycuda_driver()
    plugin_library()
    try:
        driver.init()
        devices = driver.Device.count()
    except driver.Error as error:
        raise BackendUnavailable(
            f"backend 'tensorrt' cannot run: {error}; an NVIDIA GPU with a recent driver is needed (see nvidia-smi)"
        ) from error
    if devices == 0:
        raise BackendUnavailable("backend 'tensorrt' cannot run: no CUDA device; an NVIDIA GPU is needed")
    return f"TensorRT {trt.__version__}"


def logger_of(trt: ModuleType) -> Any:
    """The `ILogger` of this process, with no errors yet; TensorRT goes on with the first one that it was given.

    It keeps the last errors, in ``.errors``, for the exceptions that follow them.
    """
    logger = _logger(trt)
    logger.errors.clear()
    return logger


@cache
def _logger(trt: ModuleType) -> Any:

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)

    return Log()


def said(logger: Any) -> str:
    """What TensorRT has said of its errors, for the end of a message."""
    return "; ".join(logger.errors) or "TensorRT gave no reason"


def _imported(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendUnavailable(
            f"backend 'tensorrt' cannot run: {what} cannot be imported here ({error}); {INSTALL}"
        ) from error
