"""The `tensorrt` backend: encoders and sampler as TensorRT plans, built on first use and cached in the engine folder.

Checked against NVIDIA's bindings and against the CPU with their functions replaced; not run on a GPU.
"""

from __future__ import annotations

import logging
import weakref
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from asam_trt.backends.cpu import CpuBackend
from asam_trt.bundle import EngineBundle
from asam_trt.errors import BackendUnavailable
from asam_trt.tensorrt import keys, libraries, parity, plans
from asam_trt.tensorrt.builder import Step, plugin_creator
from asam_trt.tensorrt.device import DeviceTensor, Gpu, gpu_of
from asam_trt.tensorrt.keys import PlanKey
from asam_trt.tensorrt.plans import Plans
from asam_trt.tensorrt.runner import Plan

Float32Array = npt.NDArray[np.float32]

_OLDEST_SM = 80  # of the CUDA sampler
_log = logging.getLogger(__name__)


class ImageState:
    """An encoded image in device memory: embedding [1, C, e, e], mu_image and sigma_image [1, L]."""

    __slots__ = ("embedding", "mu", "sigma")

    def __init__(self, embedding: DeviceTensor, mu: DeviceTensor, sigma: DeviceTensor) -> None:
        self.embedding, self.mu, self.sigma = embedding, mu, sigma


class PromptState:
    """A prompt: tokens [1, t, C] and dense [1, C, h, w] (h = w = 1 without a mask) in host memory, mu_prompt and
    sigma_prompt [1, L] in device memory."""

    __slots__ = ("dense", "mu", "sigma", "tokens")

    def __init__(
        self, tokens: Float32Array, dense: Float32Array, mu: DeviceTensor, sigma: DeviceTensor
    ) -> None:
        self.tokens, self.dense, self.mu, self.sigma = tokens, dense, mu, sigma


class TensorRtBackend:
    """See `asam_trt.backends.Backend`; made by `create`.

    Args:
        built: the plans of ``key``.

    Raises:
        EngineError: a plan cannot be loaded.
    """

    name = "tensorrt"

    def __init__(
        self, trt: ModuleType, gpu: Gpu, bundle: EngineBundle, key: PlanKey, plugin: Path, built: Plans
    ) -> None:
        plugin_creator(trt, plugin)  # the sampler's plan asks for it by name
        self.precision, self.folder = key.precision, built.folder
        self._shape = (1, bundle.sampler.channels, bundle.sampler.grid, bundle.sampler.grid)
        self._most = key.shapes["most_hypotheses"]
        loaded: list[Plan] = []
        self._free = weakref.finalize(self, _free, loaded)
        with plans.typed_parts(bundle, key.precision) if built.stripped else nullcontext() as typed:
            for name, source in plans.SOURCES.items():
                refit = typed / source if typed and source else None
                loaded.append(Plan(trt, gpu, built.folder / name, refit=refit))
        self._encoder, self._prior, self._sampler = loaded

    def encode(self, pixels: Float32Array) -> ImageState:
        """Model input [3, S, S] -> image state."""
        _, kept = self._encoder.run({"image": pixels[None]}, keep=("embedding", "mu_image", "sigma_image"))
        return ImageState(*kept)

    def prompt(self, image: ImageState, tokens: Float32Array, dense: Float32Array) -> PromptState:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""
        full = dense[:, None, None] if dense.ndim == 1 else dense
        _, (mu, sigma) = self._prior.run(
            {
                "embedding": image.embedding,
                "tokens": tokens[None],
                "dense": np.broadcast_to(full, self._shape),
            },
            keep=("mu_prompt", "sigma_prompt"),
        )
        return PromptState(tokens[None], full[None], mu, sigma)

    def sample(
        self, image: ImageState, prompt: PromptState, eps: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
        parts = []
        for first in range(0, len(eps), self._most):
            inputs: dict[str, Float32Array | DeviceTensor] = {
                "embedding": image.embedding,
                "mu_image": image.mu,
                "sigma_image": image.sigma,
                "tokens": prompt.tokens,
                "dense": prompt.dense,
                "mu_prompt": prompt.mu,
                "sigma_prompt": prompt.sigma,
                "eps": eps[first : first + self._most],
            }
            found, _ = self._sampler.run(inputs, read=("logits", "scores"))
            parts.append(found)
        if len(parts) == 1:
            logits, scores = parts[0]
            return logits, scores
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def close(self) -> None:
        """Free the plans, which the last reference does too."""
        self._free()


def create(
    bundle: EngineBundle,
    weights: dict[str, Float32Array],
    precision: str,
    *,
    stripped: bool | None = None,
    step: Step = _log.info,
) -> TensorRtBackend:
    """Load an engine's plans, which are built first where the cache in its folder has none for this GPU and TensorRT.

    Args:
        weights: of the sampler, as `EngineBundle.load_weights` reads them.
        precision: of products, "float32", "bf16" or "fp16".
        stripped: whether the plans are without the encoders' weights, which loading puts back: smaller files. None
            takes what the cache has, and builds whole ones.
        step: is told what a build is at.

    Raises:
        BackendUnavailable: a library or the GPU is missing, or the engine has no latents.
        EngineError: TensorRT refuses a part, or the plans' masks are not the CPU's; nothing is kept then.
        OSError: plans have to be built and the engine's folder cannot be written.
    """
    if bundle.sampler.separate_masks or bundle.sampler.combiner_layers == 0:
        raise BackendUnavailable(
            "backend 'tensorrt' cannot run an engine of a plain SAM, which has no latents to sample; use backend='cpu'"
        )
    libraries.check()
    trt, plugin = libraries.tensorrt(), libraries.plugin_library()
    gpu = gpu_of(libraries.pycuda_driver())
    if gpu.sm < _OLDEST_SM:
        raise BackendUnavailable(
            f"backend 'tensorrt' cannot run: it needs a GPU of SM 8.0 or newer, came SM {gpu.sm // 10}.{gpu.sm % 10}; "
            "use backend='cpu'"
        )
    key = PlanKey(
        tensorrt=trt.__version__,
        gpu=gpu.name,
        sm=gpu.sm,
        cuda=gpu.cuda,
        precision=precision,
        shapes=keys.plan_shapes(bundle),
        model=keys.model_hash(bundle),
        plugin=keys.plugin_hash(plugin),
    )
    found = plans.find(bundle, key)
    if found is None or stripped not in (None, found.stripped):
        # Float32 on the CPU, which the engine's build compared with PyTorch.
        expected = parity.draw(CpuBackend(bundle, weights), bundle, weights)

        def gate(built: Plans) -> dict[str, float]:
            candidate = TensorRtBackend(trt, gpu, bundle, key, plugin, built)
            try:
                return parity.judge(expected, parity.draw(candidate, bundle, weights), key.precision)
            finally:
                candidate.close()

        with gpu.current():
            found = plans.build(
                trt, bundle, weights, key, plugin, stripped=bool(stripped), gate=gate, step=step
            )
    return TensorRtBackend(trt, gpu, bundle, key, plugin, found)


def prepare(folder: Path, precision: str, *, stripped: bool | None, step: Step) -> Path:
    """Build the plans of an engine folder unless it has them, and return where they lie; see `create`."""
    bundle = EngineBundle.open(folder)
    backend = create(bundle, bundle.load_weights(), precision, stripped=stripped, step=step)
    backend.close()
    return backend.folder


def _free(loaded: list[Plan]) -> None:
    while loaded:
        loaded.pop().close()
