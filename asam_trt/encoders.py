"""Which code encodes images on the CPU: the native encoder, or ONNX Runtime."""

from __future__ import annotations

from asam_trt import _ops
from asam_trt.errors import EngineError

ENCODERS = ("auto", "native", "onnxruntime")
ON_GPU = "onnxruntime-cuda"

# Instruction sets on which the native encoder measured faster than ONNX Runtime, in either precision; see "The
# image encoder" in docs/architecture.md.
_FASTER_ON = ("avx512f", "avx512bf16")


def checked(name: str) -> str:
    """``name`` as it is.

    Raises:
        ValueError: no such encoder.
    """
    if name not in ENCODERS:
        raise ValueError(f"expected encoder to be one of {', '.join(ENCODERS)}, came {name!r}")
    return name


def choose(name: str, *, has_native: bool, backend: str = "cpu") -> tuple[str, str]:
    """ "native" or "onnxruntime", as a request means it for an engine here, and why, in words; "tensorrt" on that
    backend, which has a plan of its own; "onnxruntime-cuda" on the backend "cuda" where ONNX Runtime has a GPU's code.

    Args:
        name: one of `ENCODERS`.
        has_native: whether the engine has the native encoder's weights.
        backend: that runs the engine.

    Raises:
        ValueError: no such encoder, or one of the CPU for TensorRT.
        EngineError: "native" for an engine without its weights.
    """
    if backend == "tensorrt":
        if checked(name) != "auto":
            raise ValueError(f"expected encoder='auto' with the backend 'tensorrt', came {name!r}")
        return "tensorrt", "its plan encodes images"
    if backend == "cuda" and checked(name) == "auto":
        from asam_trt.backends.cuda import PROVIDER, encoder_on_gpu

        if encoder_on_gpu()[0]:
            return ON_GPU, f"ONNX Runtime has {PROVIDER}"
    if checked(name) == "onnxruntime":
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
    isa = _ops.isa()
    if isa in _FASTER_ON:
        return "native", f"faster than ONNX Runtime on {isa}"
    return "onnxruntime", f"faster than the native encoder on {isa}"
