"""In which numbers the native code multiplies matrices."""

from __future__ import annotations

from asam_trt import _ops
from asam_trt.errors import BackendUnavailable

PRECISIONS = ("auto", "float32", "int16", "int8-encoder", "int8")  # on the CPU
GPU_PRECISIONS = ("auto", "float32", "bf16", "fp16")
ENGINE_PRECISIONS = (*PRECISIONS, "bf16")  # that an engine can be built for
ON_GPU = ("cuda", "tensorrt")  # backends
# Instruction sets with kernels for it.
_INTEGERS = {
    "int16": ("avx2", "avxvnni", "avx512f", "avx512vnni"),
    "int8-encoder": ("avxvnni", "avx512vnni", "neondot"),
    "int8": ("avxvnni", "avx512vnni", "neondot"),
}
# What it takes, in words.
_INT8_NEEDS = "AVX-VNNI, AVX512-VNNI or NEON's dot product"
_NEEDS = {"int16": "AVX2", "int8-encoder": _INT8_NEEDS, "int8": _INT8_NEEDS}
# Those on which it is faster: what avx512f has of int16 is in 256 bits, and its float32 in 512.
_FASTER_INT16 = {"avx2": "AVX2", "avxvnni": "AVX-VNNI", "avx512vnni": "AVX512-VNNI"}


def choose(name: str, backend: str = "cpu") -> tuple[str, str]:
    """ "float32", on the CPU "int16", "int8-encoder" or "int8", on a GPU "bf16" or "fp16", as a request means it here,
    and why, in words.

    int16 takes the factors of large products to integers, every row of numbers and every column of weights with a
    scale of its own, found as it runs, so that sums are exact; norms, softmax, attention of the sampler and what it
    computes once an image or a prompt are float32. int8 has 8 bits where they cost least: in the image encoder, and
    in the sampler's MLP of the tokens, keys and values of the cells. int8-encoder has them in the image encoder alone,
    and 16 in the sampler: most of the time that int8 saves of a frame, for less than half of its error. On ARM, where
    there is no int16, what is beside these 8 bits is float32. bf16 and fp16 round the factors to 16-bit floats and add
    up in float32; bf16 on the CPU means int16, which is as fast there and nearer to float32.

    Raises:
        ValueError: no such precision, or ASAM_FORCE_ISA names no instruction set of this processor.
        BackendUnavailable: int16, int8-encoder, int8 or bf16 was asked for and cannot run here.
    """
    if backend in ON_GPU:
        if name not in GPU_PRECISIONS:
            raise _foreign(name, GPU_PRECISIONS, f"the backend {backend}")
        return ("bf16", "what GPUs multiply fastest") if name == "auto" else (name, "asked for")
    if name not in ENGINE_PRECISIONS:
        raise _foreign(name, ENGINE_PRECISIONS, "the CPU")
    isa = _ops.isa()
    if name == "float32":
        return name, "asked for"
    if name == "auto":
        if isa in _FASTER_INT16:
            return "int16", f"this processor has {_FASTER_INT16[isa]}"
        return "float32", "int16 " + (_missing("int16") or f"is hardly faster on {isa}")
    missing = _missing(name)
    if missing is not None:
        others = [f"precision={other!r}" for other in ("int16", "float32") if _missing(other) is None]
        raise BackendUnavailable(
            f"precision {name!r} cannot run: it {missing}; use {', '.join(others)} or 'auto'"
        )
    return ("int16", "in place of bf16, and nearer to float32") if name == "bf16" else (name, "asked for")


def of_parts(name: str) -> tuple[str, str]:
    """What the native encoder and the native sampler compute in, of a precision of the CPU."""
    if name != "int8-encoder":
        return name, name
    return "int8", "int16" if _missing("int16") is None else "float32"


def _foreign(name: str, known: tuple[str, ...], here: str) -> ValueError:
    """The error of a precision that is none, or none of ``here``."""
    words = f"one of {', '.join(known)}"
    if name not in {*ENGINE_PRECISIONS, *GPU_PRECISIONS}:
        return ValueError(f"expected precision to be {words}, came {name!r}")
    needed = "the CPU" if name in ENGINE_PRECISIONS else f"a GPU (backend {' or '.join(ON_GPU)})"
    return ValueError(f"expected {needed} for precision={name!r}, came {here}; on it, use {words}")


def _missing(name: str) -> str | None:
    """What a precision of the CPU lacks here, in words; None for one that can run."""
    if name == "float32":
        return None
    kind = name if name in _INTEGERS else "int16"
    isa, needed = _ops.isa(), _INTEGERS[kind]
    if isa in needed:
        return None
    if _ops.supported_isas()[-1] in needed:
        why = f"ASAM_FORCE_ISA allows {isa} at most"
    else:
        why = f"the best instruction set of this processor is {_ops.supported_isas()[-1]}"
    return f"needs {_NEEDS[kind]}, and {why}"


def of_engine(name: str, backend: str) -> tuple[str, str]:
    """What "auto" is of an engine that was built for ``name``, and why: that, where it can run on this backend, else
    as of any other."""
    chosen, why = choose("auto", backend)
    if name == "auto" or name not in (GPU_PRECISIONS if backend in ON_GPU else ENGINE_PRECISIONS):
        return chosen, why
    missing = None if backend in ON_GPU else _missing(name)
    if missing is not None:
        return chosen, f"{why}; {name}, which the engine was built for, {missing}"
    return choose(name, backend)[0], f"the engine was built for {name}"
