"""Which code encodes images: on the GPU PyTorch or ONNX Runtime, on the CPU the native encoder or ONNX Runtime."""

from __future__ import annotations

import importlib.util

from asam_trt import _ops
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.torch_parts import availability

ENCODERS = ("auto", "native", "onnxruntime", "torch")
ON_GPU, PROVIDER = "onnxruntime-cuda", "CUDAExecutionProvider"

# Instruction sets on which the native encoder measured faster than ONNX Runtime, in float32 and below; see "The
# image encoder" in docs/architecture.md. avxvnni has avx2's code, with less of it in products of integers.
_FASTER_ON = ("avx2", "avxvnni", "avx512f", "avx512vnni")
_NOT_TIMED_ON = ("neon", "neondot")
_NO_WEIGHTS = "the engine has no weights of its encoder and latent networks that PyTorch takes"


def checked(name: str) -> str:
    """``name`` as it is.

    Raises:
        ValueError: no such encoder.
    """
    if name not in ENCODERS:
        raise ValueError(f"expected encoder to be one of {', '.join(ENCODERS)}, came {name!r}")
    return name


def choose(
    name: str,
    *,
    has_native: bool,
    has_torch_parts: bool = False,
    backend: str = "cpu",
    precision: str = "float32",
) -> tuple[str, str]:
    """What encodes images, as a request means it for an engine here, and why, in words.

    "native" or "onnxruntime" on the CPU. The backend "cuda" takes "torch" or "onnxruntime-cuda" before these, where
    PyTorch runs on the GPU or ONNX Runtime has code for it; "tensorrt" has a plan of its own, "tensorrt".

    Args:
        name: one of `ENCODERS`.
        has_native: whether the engine has the native encoder's weights.
        has_torch_parts: whether it has those that PyTorch takes, see `EngineBundle.has_torch_parts`.
        backend: that runs the engine.
        precision: of its native products, as `asam_trt.precision.choose` gave it.

    Raises:
        ValueError: no such encoder, or one that the backend does not run.
        EngineError: "native" or "torch" for an engine without the weights.
        BackendUnavailable: "torch" where it does not run.
    """
    if backend == "tensorrt":
        if checked(name) != "auto":
            raise ValueError(f"expected encoder='auto' with the backend 'tensorrt', came {name!r}")
        return "tensorrt", "its plan encodes images"
    if checked(name) == "torch" and backend != "cuda":
        raise ValueError(
            f"expected encoder='torch' with the backend 'cuda' alone, came the backend {backend!r}; "
            "use backend='cuda', or encoder='auto'"
        )
    if backend != "cuda" or name not in ("auto", "torch"):
        return _on_cpu(name, has_native, precision)
    missing = "" if has_torch_parts else _NO_WEIGHTS
    if name == "torch":
        if missing:
            raise EngineError(f"encoder 'torch' cannot run: {missing}; use encoder='auto'")
        if why := availability.problem():
            raise BackendUnavailable(f"encoder 'torch' cannot run: {why}; or use encoder='auto'")
        return name, "asked for"
    kind, why = on_gpu(missing)
    if kind:
        return kind, why
    kind, faster = _on_cpu(name, has_native, precision)
    return kind, f"{faster}; nothing encodes on the GPU: {why}"


def on_gpu(missing: str = "") -> tuple[str, str]:
    """What encodes images on the GPU here, "torch", "onnxruntime-cuda" or "", and why, in words.

    Args:
        missing: why PyTorch cannot encode for an engine, whatever is here; empty where it can.
    """
    not_torch = missing or availability.problem()
    if not not_torch:
        return "torch", "PyTorch runs on the GPU"
    not_onnx = _onnx_problem()
    if not not_onnx:
        return ON_GPU, f"ONNX Runtime has {PROVIDER}; {not_torch}"
    return "", f"{not_torch}; {not_onnx}"


def _on_cpu(name: str, has_native: bool, precision: str) -> tuple[str, str]:
    if name == "onnxruntime":
        return name, "asked for"
    if not has_native:
        if name == "native":
            raise EngineError(
                "expected an engine with weights for the native encoder, came one without: build it again "
                "with this version of asam_trt, or use encoder='auto'"
            )
        return "onnxruntime", "the engine has no weights for the native encoder"
    if name == "native":
        return name, "asked for"
    if importlib.util.find_spec("onnxruntime") is None:
        return "native", "ONNX Runtime is not installed"
    isa = _ops.isa()
    if isa in _FASTER_ON:
        return "native", f"faster than ONNX Runtime on {isa}"
    if precision.startswith("int8"):
        return "native", "ONNX Runtime's is float32"
    if isa in _NOT_TIMED_ON:
        return "onnxruntime", f"the native encoder has not been timed on {isa}"
    return "onnxruntime", f"faster than the native encoder on {isa}"


def _onnx_problem() -> str:
    try:
        from asam_trt.backends import onnx_session
    except ImportError as error:
        return f"ONNX Runtime cannot be imported: {error}"
    return onnx_session.problem(PROVIDER)
