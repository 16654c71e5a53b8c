"""Engines of ambiguity-aware Segment Anything models: build one, run it, sample hypotheses.

Nothing here imports PyTorch; `build_engine` does when it is called, and the backend `cuda` to encode images. Names are
imported when first used, so that `import asam_trt` stays quick.
"""

from __future__ import annotations

import importlib
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

# Python started in a clone finds its sources first: the compiled modules are those of the installed package.
__path__ = extend_path(__path__, __name__)

from asam_trt._version import __version__
from asam_trt.errors import BackendUnavailable, EngineError

if TYPE_CHECKING:
    from asam_trt._doctor import doctor
    from asam_trt.build import build_engine
    from asam_trt.hypotheses import Hypotheses
    from asam_trt.intensities import window
    from asam_trt.session import Session, load
    from asam_trt.threads import get_num_threads, set_num_threads
    from asam_trt.video import VideoSampler
    from asam_trt.volume import Volume
    from asam_trt.volume_files import read_volume
    from asam_trt.volume_sampler import VolumeSampler

_HOME = {
    "Hypotheses": "asam_trt.hypotheses",
    "Session": "asam_trt.session",
    "VideoSampler": "asam_trt.video",
    "Volume": "asam_trt.volume",
    "VolumeSampler": "asam_trt.volume_sampler",
    "build_engine": "asam_trt.build",
    "doctor": "asam_trt._doctor",
    "get_num_threads": "asam_trt.threads",
    "load": "asam_trt.session",
    "read_volume": "asam_trt.volume_files",
    "set_num_threads": "asam_trt.threads",
    "window": "asam_trt.intensities",
}

__all__ = [
    "BackendUnavailable",
    "EngineError",
    "Hypotheses",
    "Session",
    "VideoSampler",
    "Volume",
    "VolumeSampler",
    "__version__",
    "build_engine",
    "doctor",
    "get_num_threads",
    "load",
    "read_volume",
    "set_num_threads",
    "window",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
