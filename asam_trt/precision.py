"""In which type the native code multiplies matrices."""

from __future__ import annotations

from asam_trt import _ops
from asam_trt.errors import BackendUnavailable

PRECISIONS = ("auto", "float32", "bf16", "int8")  # that an engine can be built for
GPU_PRECISIONS = ("auto", "float32", "bf16", "fp16")
_NEEDED = "avx512bf16"  # the instruction set; before it neither bf16 nor int8 has a fast product


def choose(name: str, backend: str = "cpu") -> tuple[str, str]:
    """ "float32", "bf16", on the CPU "int8" or, on a GPU, "fp16", as a request means it here, and why, in words.

    bf16 rounds the factors of large products to bfloat16 and adds up in float32; norms, softmax, attention of the
    sampler and what it computes once an image or a prompt are float32. fp16 is the same with half precision numbers:
    nearer to float32, in a smaller range. int8 is bf16 whose image encoder has 8-bit products: every row of numbers
    and every column of weights with a scale of its own, found as it runs.

    Raises:
        ValueError: no such precision, or ASAM_FORCE_ISA names no instruction set of this processor.
        BackendUnavailable: bf16 or int8 was asked for and cannot run here.
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
        return ("bf16", "this processor has AVX512-BF16") if name == "auto" else (name, "asked for")
    why = (
        f"ASAM_FORCE_ISA allows {isa} at most"
        if _NEEDED in _ops.supported_isas()
        else f"the best instruction set of this processor is {isa}"
    )
    if name != "auto":
        raise BackendUnavailable(
            f"precision {name!r} cannot run: it needs AVX512-BF16, and {why}; use precision='float32' or 'auto'"
        )
    return "float32", f"bf16 needs AVX512-BF16, and {why}"


def of_sampler(name: str) -> str:
    """The sampler's, where `choose` gave ``name``: it has no int8 and takes bf16 instead."""
    return "bf16" if name == "int8" else name


def check_encoder(name: str, encoder: str) -> None:
    """int8 is of the native encoder alone.

    Raises:
        ValueError: ``name`` is int8 and something else encodes images.
    """
    if name == "int8" and encoder != "native":
        raise ValueError(
            f"expected the native encoder with precision='int8', came the encoder {encoder!r}; "
            "use encoder='native', or precision='bf16'"
        )
