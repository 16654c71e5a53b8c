"""In which type the native code multiplies matrices."""

from __future__ import annotations

from asam_trt import _ops
from asam_trt.errors import BackendUnavailable

PRECISIONS = ("auto", "float32", "bf16")  # that an engine can be built for
GPU_PRECISIONS = (*PRECISIONS, "fp16")
_NEEDED = "avx512bf16"  # the instruction set; before it bf16 has no fast product


def choose(name: str, backend: str = "cpu") -> tuple[str, str]:
    """ "float32", "bf16" or, on a GPU, "fp16", as a request means it here, and why, in words.

    bf16 rounds the factors of every product to bfloat16 and adds up in float32; norms, softmax and
    everything computed once an image or a prompt by the sampler are float32 in both. fp16 is the same with half
    precision numbers: nearer to float32, in a smaller range.

    Raises:
        ValueError: no such precision, or ASAM_FORCE_ISA names no instruction set of this processor.
        BackendUnavailable: bf16 was asked for and cannot run here.
    """
    if backend in ("cuda", "tensorrt"):
        if name not in GPU_PRECISIONS:
            raise ValueError(f"expected precision to be one of {', '.join(GPU_PRECISIONS)}, came {name!r}")
        return ("bf16", "what GPUs multiply fastest") if name == "auto" else (name, "asked for")
    if name not in PRECISIONS:
        raise ValueError(f"expected precision to be one of {', '.join(PRECISIONS)}, came {name!r}")
    isa = _ops.isa()
    if name == "float32":
        return name, "asked for"
    if isa == _NEEDED:
        return "bf16", "asked for" if name == "bf16" else "this processor has AVX512-BF16"
    why = (
        f"ASAM_FORCE_ISA allows {isa} at most"
        if _NEEDED in _ops.supported_isas()
        else f"the best instruction set of this processor is {isa}"
    )
    if name == "bf16":
        raise BackendUnavailable(
            f"precision 'bf16' cannot run: it needs AVX512-BF16, and {why}; use precision='float32' or 'auto'"
        )
    return "float32", f"bf16 needs AVX512-BF16, and {why}"
