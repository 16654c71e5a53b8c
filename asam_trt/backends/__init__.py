"""What can run an engine, and which of it runs here."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asam_trt.bundle import EngineBundle
from asam_trt.errors import BackendUnavailable

Float32Array = npt.NDArray[np.float32]

NAMES = ("auto", "cpu", "cuda", "tensorrt")

_MISSING = {
    "cuda": (
        "backend 'cuda' cannot run: this version has no CUDA sampler; use backend='cpu', or a version that "
        "lists cuda in `asam doctor` (pip install --upgrade asam-trt)"
    ),
    "tensorrt": (
        "backend 'tensorrt' cannot run: this version has no TensorRT sampler; use backend='cpu', or a "
        "version that lists tensorrt in `asam doctor` (pip install --upgrade 'asam-trt[tensorrt]')"
    ),
}


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
    if name in _MISSING:
        raise BackendUnavailable(_MISSING[name])
    if name == "cpu":
        return "cpu", "asked for"
    return "cpu", "the only backend of this version"


def create(
    bundle: EngineBundle,
    weights: dict[str, Float32Array],
    threads: int | None,
    precision: str,
    encoder: str = "auto",
) -> Backend:
    """Load an engine on the backend that `choose` allows here, in what `asam_trt.precision.choose` gave, images
    encoded as `asam_trt.encoders.choose` says."""
    from asam_trt.backends.cpu import CpuBackend

    return CpuBackend(bundle, weights, threads, precision, encoder)
