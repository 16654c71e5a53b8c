"""What can run an engine, and which of it runs here."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asam_trt.bundle import EngineBundle
from asam_trt.errors import BackendUnavailable

Float32Array = npt.NDArray[np.float32]

NAMES = ("auto", "cpu", "cuda", "tensorrt")


class Backend(Protocol):
    """Runs the parts of one engine. States are opaque, immutable and may be shared between threads.

    One thread may be in `encode` while another is in `prompt` or `sample`; more come one after the other.
    """

    name: str

    def encode(self, pixels: Float32Array) -> Any:
        """Model input [3, S, S] -> image state."""

    def prompt(self, image: Any, tokens: Float32Array, dense: Float32Array) -> Any:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""

    def sample(self, image: Any, prompt: Any, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""


def choose(name: str) -> tuple[str, str]:
    """The backend that a request means here, and why, in words.

    Raises:
        ValueError: no such backend.
        BackendUnavailable: it cannot run here; the message says what is missing.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"expected backend to be one of {', '.join(NAMES)}, came {name!r}")
    if name == "cpu":
        return "cpu", "asked for"
    if name == "tensorrt":
        from asam_trt.tensorrt import libraries

        return "tensorrt", f"asked for, {libraries.check()}"
    from asam_trt.backends import cuda

    problem = cuda.problem()
    if not problem:
        return "cuda", "asked for" if name == "cuda" else "the GPU runs it"
    if name == "cuda":
        raise BackendUnavailable(f"backend 'cuda' cannot run: {problem}; {cuda.INSTALL}")
    return "cpu", cuda.in_short(problem)


def create(
    bundle: EngineBundle,
    weights: dict[str, Float32Array],
    threads: int | None,
    precision: str,
    encoder: str = "auto",
    backend: str = "cpu",
) -> Backend:
    """Load an engine on the backend that `choose` gave, in what `asam_trt.precision.choose` gave, images encoded as
    `asam_trt.encoders.choose` says."""
    if backend == "cuda":
        from asam_trt.backends.cuda import CudaBackend

        return CudaBackend(bundle, weights, threads, precision, encoder)
    if backend == "tensorrt":
        from asam_trt.backends import tensorrt

        return tensorrt.create(bundle, weights, precision)
    from asam_trt.backends.cpu import CpuBackend

    return CpuBackend(bundle, weights, threads, precision, encoder)
