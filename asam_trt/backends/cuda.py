"""The `cuda` backend: the native CUDA sampler; images encoded by PyTorch, ONNX Runtime's CUDA provider, or on the CPU.

Checked with its kernels compiled for the CPU; not run on a GPU.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asam_trt import _runtime, encoders, philox
from asam_trt import precision as precisions
from asam_trt.bundle import SAMPLER, EngineBundle
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.threads import get_num_threads, set_num_threads

Float32Array = npt.NDArray[np.float32]

_DEVICE = "cuda"  # where parts on the GPU leave their results
# Root mean square of the difference to the CPU's logits, as a part of that of the logits, above which the GPU's
# are wrong and not only rounded. Random embeddings spread bfloat16's roundings to some hundredths.
_MOST_DIFFERENCE = {"float32": 1e-3, "fp16": 0.02, "bf16": 0.1}


INSTALL = (
    "use backend='cpu', or a machine with an NVIDIA GPU of SM 8.0 or newer and its driver, where nvcc is found: "
    "pip install . -Ccmake.define.ASAM_CUDA=ON"
)


def problem() -> str:
    """Why the CUDA sampler cannot run here; empty where it can.

    A kernel is run and its numbers are compared: a driver that is too old or code for other GPUs shows then.
    """
    report = _runtime.cuda_report()
    if not report["devices"]:
        return str(report["problem"])
    try:
        found = _runtime.cuda_normal(1, 1, 4)
    except (BackendUnavailable, RuntimeError) as error:
        return str(error)
    if not np.allclose(found, philox.normal(1, 1, 4), rtol=0, atol=1e-6):
        return "the GPU computes wrong numbers (see `asam doctor`)"
    return ""


def in_short(problem: str) -> str:
    """`problem` for one who did not ask for a GPU: no more than that there is none, where that is all."""
    report = _runtime.cuda_report()
    if not report["runtime"]:
        return "no CUDA code in this installation, see `asam doctor`"
    return f"no GPU that runs it: {problem}" if report["driver"] else "no GPU here"


class Parts(Protocol):
    """Image encoder and latent networks of an engine.

    Results are float32 NumPy arrays, or arrays in GPU memory whose numbers are there already. They stay as they are
    whatever is computed next. One thread may be in `encode` while another is in `prior`.
    """

    def encode(self, pixels: Float32Array, /) -> tuple[Any, Any, Any]:
        """Model input [3, S, S] -> embedding [C, e, e], mu_image [L], sigma_image [L]."""

    def prior(self, embedding: Any, tokens: Float32Array, dense: Float32Array, /) -> tuple[Any, Any]:
        """An embedding of `encode`, tokens [t, C], dense [C] or [C, e, e] -> mu_prompt [L], sigma_prompt [L]."""


class ImageState:
    """An encoded image: its embedding for the prior, where the encoder left it, and the sampler's own state."""

    __slots__ = ("embedding", "native")

    def __init__(self, embedding: Any, native: _runtime.CudaImageState) -> None:
        self.embedding = embedding
        self.native = native


class CudaBackend:
    """See `asam_trt.backends.Backend`.

    Args:
        weights: of the sampler, as `EngineBundle.load_weights` reads them.
        threads: as for the CPU.
        precision: of the products of the sampler and of PyTorch's encoder, "float32", "bf16" or "fp16".
        encoder: of images, as `asam_trt.encoders.choose` gives it; "auto" is one of the CPU.

    Raises:
        BackendUnavailable: there is no GPU that runs the kernels.
        EngineError: a part of the engine cannot be loaded, or the GPU's logits are not the CPU's.
    """

    name = "cuda"

    def __init__(
        self,
        bundle: EngineBundle,
        weights: dict[str, Float32Array],
        threads: int | None = None,
        precision: str = "bf16",
        encoder: str = "auto",
    ) -> None:
        if threads is not None:
            set_num_threads(threads)
        try:
            self._sampler = _runtime.CudaSampler(bundle.sampler.as_dict(), weights, precision=precision)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / SAMPLER}: {error}") from error
        self._parts = _parts(bundle, get_num_threads(), precision, encoder)
        _compare(bundle, weights, self._sampler)

    def encode(self, pixels: Float32Array) -> ImageState:
        """Model input [3, S, S] -> image state."""
        embedding, mu, sigma = self._parts.encode(pixels)
        return ImageState(embedding, self._sampler.image_state(embedding, mu, sigma))

    def prompt(
        self, image: ImageState, tokens: Float32Array, dense: Float32Array
    ) -> _runtime.CudaPromptState:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""
        tokens, dense = np.ascontiguousarray(tokens), np.ascontiguousarray(dense)
        mu, sigma = self._parts.prior(image.embedding, tokens, dense)
        return self._sampler.prompt_state(image.native, tokens, dense, mu, sigma)

    def sample(
        self, image: ImageState, prompt: _runtime.CudaPromptState, eps: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
        return self._sampler.sample(image.native, prompt, np.ascontiguousarray(eps))

    def sample_on_device(
        self,
        image: ImageState,
        prompt: _runtime.CudaPromptState,
        n: int,
        seed: int,
        start: int = 0,
        out: tuple[_runtime.CudaArray, _runtime.CudaArray] | None = None,
    ) -> tuple[_runtime.CudaArray, _runtime.CudaArray]:
        """The hypotheses start .. start + n - 1 of a seed; noise is drawn and results stay in GPU memory, in that of
        ``out``, an earlier call's results of the same n, where given."""
        return self._sampler.sample_on_device(image.native, prompt, n, seed, start, out)

    def statistics(
        self, logits: _runtime.CudaArray, input_size: tuple[int, int], out_size: tuple[int, int]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Logits [n, 4e, 4e] resized as SAM does to out_size (H, W), the image having been resized to input_size ->
        how many masks hold each pixel, int32 [H, W], and areas in pixels, int64 [n], in host memory."""
        counts, areas, _ = self._sampler.statistics(logits, input_size, out_size, packed=False)
        return counts, areas


def _parts(bundle: EngineBundle, threads: int, precision: str, encoder: str) -> Parts:
    # Each is imported where it is chosen alone: neither PyTorch nor ONNX Runtime has to be there for the other.
    if encoder == "torch":
        from asam_trt.torch_parts.parts import TorchParts

        return TorchParts(bundle, precision, _DEVICE)
    if encoder == encoders.ON_GPU:
        from asam_trt.backends.onnx_gpu import OnnxParts

        return OnnxParts(bundle, encoders.PROVIDER, _DEVICE)
    from asam_trt.backends.cpu import CpuParts

    on_cpu = "float32" if precision == "float32" else precisions.choose("auto")[0]
    return CpuParts(bundle, threads, on_cpu, encoder)


def _compare(bundle: EngineBundle, weights: dict[str, Float32Array], sampler: _runtime.CudaSampler) -> None:
    """Raises EngineError where two hypotheses of a random image are not the CPU's."""
    sizes = bundle.sampler
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Float32Array:
        return rng.standard_normal(shape).astype(np.float32)

    zeros, ones = np.zeros(sizes.latent, np.float32), np.ones(sizes.latent, np.float32)
    embedding, tokens = draw(sizes.channels, sizes.grid, sizes.grid), draw(2, sizes.channels)
    dense, eps = draw(sizes.channels), draw(2, 2, sizes.latent)
    results = []
    for one in (_runtime.Sampler(sizes.as_dict(), weights), sampler):
        image = one.image_state(embedding, zeros, ones)
        state = one.prompt_state(image, tokens, dense, zeros, ones)  # type: ignore[arg-type]
        results.append(one.sample(image, state, eps)[0].astype(np.float64))  # type: ignore[arg-type]
    expected, found = results
    scale = np.sqrt(np.mean(expected**2)) + np.finfo(np.float32).tiny
    difference = float(np.sqrt(np.mean((found - expected) ** 2)) / scale)
    if not difference <= _MOST_DIFFERENCE[sampler.precision]:  # NaN included
        raise EngineError(
            f"{bundle.path}: expected logits of the GPU within {_MOST_DIFFERENCE[sampler.precision]:g} of the CPU's in "
            f"{sampler.precision}, came {difference:.3g}; use backend='cpu', or another precision"
        )
