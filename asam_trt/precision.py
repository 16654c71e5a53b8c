"""In which numbers the native code multiplies matrices."""

from __future__ import annotations

from asam_trt import _ops
from asam_trt.errors import BackendUnavailable

PRECISIONS = ("auto", "float32", "int16", "int8")  # on the CPU
GPU_PRECISIONS = ("auto", "float32", "bf16", "fp16")
ENGINE_PRECISIONS = (*PRECISIONS, "bf16")  # that an engine can be built for
ON_GPU = ("cuda", "tensorrt")  # backends
_NEEDED = "avx512vnni"  # the instruction set; before it products of integers are no faster than float32


def choose(name: str, backend: str = "cpu") -> tuple[str, str]:
    """ "float32", on the CPU "int16" or "int8", on a GPU "bf16" or "fp16", as a request means it here, and why, in
    words.

    int16 takes the factors of large products to integers, every row of numbers and every column of weights with a
    scale of its own, found as it runs, so that sums are exact; norms, softmax, attention of the sampler and what it
    computes once an image or a prompt are float32. int8 has 8 bits where they cost least: in the image encoder, and
    in the sampler's MLP of the tokens, keys and values of the cells. bf16 and fp16 round the factors to 16-bit
    floats and add up in float32; bf16 on the CPU means int16, which is as fast there and nearer to float32.

    Raises:
        ValueError: no such precision, or ASAM_FORCE_ISA names no instruction set of this processor.
        BackendUnavailable: int16, int8 or bf16 was asked for and cannot run here.
    """
    if backend in ON_GPU:
        if name not in GPU_PRECISIONS:
            raise ValueError(f"expected precision to be one of {', '.join(GPU_PRECISIONS)}, came {name!r}")
        return ("bf16", "what GPUs multiply fastest") if name == "auto" else (name, "asked for")
    if name not in ENGINE_PRECISIONS:
        raise ValueError(f"expected precision to be one of {', '.join(PRECISIONS)}, came {name!r}")
    isa = _ops.isa()
    if name == "float32":
        return name, "asked for"
    if isa == _NEEDED:
        if name == "bf16":
            return "int16", "in place of bf16: as fast on this processor, and nearer to float32"
        return ("int16", "this processor has AVX512-VNNI") if name == "auto" else (name, "asked for")
    why = (
        f"ASAM_FORCE_ISA allows {isa} at most"
        if _NEEDED in _ops.supported_isas()
        else f"the best instruction set of this processor is {isa}"
    )
    if name != "auto":
        raise BackendUnavailable(
            f"precision {name!r} cannot run: it needs AVX512-VNNI, and {why}; use precision='float32' or 'auto'"
        )
    return "float32", f"int16 needs AVX512-VNNI, and {why}"


def of_engine(name: str, backend: str) -> str:
    """What an engine that was built for ``name`` is opened in on a backend: "auto" where that has no such precision."""
    return name if name in (GPU_PRECISIONS if backend in ON_GPU else ENGINE_PRECISIONS) else "auto"
