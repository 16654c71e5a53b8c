"""ONNX Runtime's sessions: whether a provider is there, and how a model is opened with it."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from asam_trt.backends.onnx_exit import inside
from asam_trt.errors import BackendUnavailable, EngineError

INSTALL_GPU = "pip uninstall onnxruntime; pip install onnxruntime-gpu"


def problem(provider: str) -> str:
    """Why this ONNX Runtime has no such execution provider; empty where it has it."""
    if provider in ort.get_available_providers():
        return ""
    return f"this ONNX Runtime {ort.__version__} has no {provider} ({INSTALL_GPU})"


def open_session(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    """Load a model.

    Raises:
        BackendUnavailable: the provider is not there or does not work.
        EngineError: not a model that it loads.
    """
    if why := problem(provider):
        raise BackendUnavailable(why)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle workers that spin would take the processor from the sampler's threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    try:
        with inside():
            session = ort.InferenceSession(str(path), options, providers=[provider], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
        raise EngineError(
            f"{path}: expected a model that ONNX Runtime {ort.__version__} loads with {provider}, came: {error}"
        ) from error
    if provider not in session.get_providers():
        raise BackendUnavailable(
            f"ONNX Runtime {ort.__version__} has {provider} but cannot use it here; repair it ({INSTALL_GPU}), or use "
            "encoder='native' or 'onnxruntime' for the CPU"
        )
    return session
