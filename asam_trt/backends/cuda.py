"""The `cuda` backend: the native CUDA sampler; images encoded by ONNX Runtime's CUDA provider, or on the CPU.

Checked with its kernels compiled for the CPU; not run on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from asam_trt import _runtime, encoders, philox
from asam_trt import precision as precisions
from asam_trt.backends.cpu import CpuBackend
from asam_trt.bundle import SAMPLER, EngineBundle
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.threads import get_num_threads

Float32Array = npt.NDArray[np.float32]

PROVIDER, _DEVICE = "CUDAExecutionProvider", "cuda"
_GPU_ENCODER = "pip uninstall onnxruntime; pip install onnxruntime-gpu"
# Root mean square of the difference to the CPU's logits, as a part of that of the logits, above which the GPU's
# are wrong and not only rounded. Random embeddings spread bfloat16's roundings to some hundredths.
_MOST_DIFFERENCE = {"float32": 1e-3, "fp16": 0.02, "bf16": 0.1}


def problem() -> str:
    """Why the CUDA sampler cannot run here and what to do; empty where it can.

    A kernel is run and its numbers are compared: a driver that is too old or code for other GPUs shows then.
    """
    report = _runtime.cuda_report()
    install = (
        "use backend='cpu', or a machine with an NVIDIA GPU of SM 8.0 or newer and its driver, where nvcc is found: "
        "pip install . -Ccmake.define.ASAM_CUDA=ON"
    )
    if not report["devices"]:
        return f"{report['problem']}; {install}"
    try:
        found = _runtime.cuda_normal(1, 1, 4)
    except (BackendUnavailable, RuntimeError) as error:
        return f"{error}; {install}"
    if not np.allclose(found, philox.normal(1, 1, 4), rtol=0, atol=1e-6):
        return f"the GPU computes wrong numbers (see `asam doctor`); {install}"
    return ""


def encoder_on_gpu() -> tuple[bool, str]:
    """Whether images are encoded on the GPU, and by what, in words."""
    if PROVIDER in ort.get_available_providers():
        return True, "images encoded by ONNX Runtime's CUDA provider"
    return False, f"images encoded on the CPU (for the GPU: {_GPU_ENCODER})"


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
        precision: of the sampler's products, "float32", "bf16" or "fp16".
        encoder: of images, as `asam_trt.encoders.choose` gives it: on the GPU, or one of the CPU.

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
        on_cpu = "float32" if precision == "float32" else precisions.choose("auto")[0]
        gpu = encoder == encoders.ON_GPU
        self._cpu = CpuBackend(bundle, weights, threads, on_cpu, "auto" if gpu else encoder)
        try:
            self._sampler = _runtime.CudaSampler(bundle.sampler.as_dict(), weights, precision=precision)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / SAMPLER}: {error}") from error
        self._onnx = OnnxParts(bundle, PROVIDER, _DEVICE) if gpu else None
        _compare(bundle, weights, self._sampler)

    def encode(self, pixels: Float32Array) -> ImageState:
        """Model input [3, S, S] -> image state."""
        embedding, mu, sigma = self._cpu._encode(pixels) if self._onnx is None else self._onnx.encode(pixels)
        return ImageState(embedding, self._sampler.image_state(embedding, mu, sigma))

    def prompt(
        self, image: ImageState, tokens: Float32Array, dense: Float32Array
    ) -> _runtime.CudaPromptState:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""
        prior = self._cpu._prior if self._onnx is None else self._onnx.prior
        mu, sigma = prior(image.embedding, tokens, dense)
        return self._sampler.prompt_state(
            image.native, np.ascontiguousarray(tokens), np.ascontiguousarray(dense), mu, sigma
        )

    def sample(
        self, image: ImageState, prompt: _runtime.CudaPromptState, eps: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
        return self._sampler.sample(image.native, prompt, np.ascontiguousarray(eps))

    def sample_on_device(
        self, image: ImageState, prompt: _runtime.CudaPromptState, n: int, seed: int, start: int = 0
    ) -> tuple[_runtime.CudaArray, _runtime.CudaArray]:
        """The hypotheses start .. start + n - 1 of a seed; noise is drawn and results stay in GPU memory."""
        return self._sampler.sample_on_device(image.native, prompt, n, seed, start)


class OnnxParts:
    """Image encoder and prompt prior by an execution provider of ONNX Runtime, results left in its memory.

    Args:
        provider: as ONNX Runtime names it.
        device: where it computes, "cuda" or "cpu".

    Raises:
        EngineError: a model cannot be loaded.
    """

    def __init__(self, bundle: EngineBundle, provider: str, device: str) -> None:
        self._device = device
        sizes = bundle.sampler
        self._shape = (1, sizes.channels, sizes.grid, sizes.grid)
        self._encoder = _open(bundle.image_encoder, provider)
        self._prior = _open(bundle.prompt_prior, provider)

    def encode(self, pixels: Float32Array) -> tuple[DeviceTensor, DeviceTensor, DeviceTensor]:
        """Model input [3, S, S] -> embedding [C, e, e], mu_image [L], sigma_image [L]."""
        embedding, mu, sigma = self._run(
            self._encoder, {"image": pixels[None]}, ("embedding", "mu_image", "sigma_image")
        )
        return embedding, mu, sigma

    def prior(
        self, embedding: DeviceTensor, tokens: Float32Array, dense: Float32Array
    ) -> tuple[DeviceTensor, DeviceTensor]:
        """Embedding [C, e, e], tokens [t, C], dense [C] or [C, e, e] -> mu_prompt [L], sigma_prompt [L]."""
        full = dense[:, None, None] if dense.ndim == 1 else dense
        mu, sigma = self._run(
            self._prior,
            {"embedding": embedding, "tokens": tokens[None], "dense": np.broadcast_to(full, self._shape)},
            ("mu_prompt", "sigma_prompt"),
        )
        return mu, sigma

    def _run(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, Float32Array | DeviceTensor],
        outputs: Sequence[str],
    ) -> list[DeviceTensor]:
        binding = session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, DeviceTensor):
                binding.bind_ortvalue_input(name, value.value)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for name in outputs:
            binding.bind_output(name, self._device)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return [DeviceTensor(value) for value in binding.get_outputs()]


class DeviceTensor:
    """An output [1, ...] of ONNX Runtime as an array without the first axis, for whoever reads GPU memory."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "typestr": "<f4",
            "shape": tuple(self.value.shape()[1:]),
            "data": (self.value.data_ptr(), True),
            "strides": None,
            "stream": None,
        }


def _open(path: Path, provider: str) -> ort.InferenceSession:
    if provider not in ort.get_available_providers():
        raise BackendUnavailable(f"this ONNX Runtime {ort.__version__} has no {provider}: {_GPU_ENCODER}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    try:
        session = ort.InferenceSession(str(path), options, providers=[provider], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
        raise EngineError(
            f"{path}: expected a model that ONNX Runtime {ort.__version__} loads with {provider}, came: {error}"
        ) from error
    if provider not in session.get_providers():
        raise BackendUnavailable(
            f"ONNX Runtime {ort.__version__} has {provider} but cannot use it here; repair it ({_GPU_ENCODER}), or use "
            "encoder='native' or 'onnxruntime' for the CPU"
        )
    return session


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
