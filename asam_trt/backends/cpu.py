"""The `cpu` backend: native code throughout, or ONNX Runtime for image encoder and priors where it is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asam_trt import _runtime, encoders
from asam_trt.bundle import (
    ENCODER_WEIGHTS,
    IMAGE_PRIOR_WEIGHTS,
    PROMPT_PRIOR_WEIGHTS,
    SAMPLER,
    EngineBundle,
)
from asam_trt.encoder_spec import TinyEncoderConfig
from asam_trt.errors import EngineError
from asam_trt.precision import of_parts
from asam_trt.threads import get_num_threads, set_num_threads

Float32Array = npt.NDArray[np.float32]


class ImageState:
    """An encoded image: its embedding [C, e, e] for the prior, and the sampler's own state."""

    __slots__ = ("embedding", "native")

    def __init__(self, embedding: Float32Array, native: Any) -> None:
        self.embedding = embedding
        self.native = native


class _Encoder(Protocol):
    def __call__(self, pixels: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Model input [3, S, S] -> embedding [C, e, e], mu_image [L], sigma_image [L]."""


class _PromptPrior(Protocol):
    def __call__(
        self, embedding: Float32Array, tokens: Float32Array, dense: Float32Array, /
    ) -> tuple[Float32Array, Float32Array]:
        """Embedding [C, e, e], tokens [t, C], dense [C] or [C, e, e] -> mu_prompt [L], sigma_prompt [L]."""


class CpuBackend:
    """See `asam_trt.backends.Backend`.

    Args:
        weights: of the sampler, as `EngineBundle.load_weights` reads them.
        threads: of ONNX Runtime for this engine and of the native loops of the whole process; None keeps
            the native setting (`asam_trt.get_num_threads`) and uses it for both.
        precision: of the native code, "float32", "int16", "int8-encoder" or "int8"; see `asam_trt.precision`.
        encoder: of images, and of the priors too where the engine has native ones; see `asam_trt.encoders`.

    Raises:
        EngineError: a part of the engine cannot be loaded or does not fit the manifest's sizes.
    """

    name = "cpu"

    def __init__(
        self,
        bundle: EngineBundle,
        weights: dict[str, Float32Array],
        threads: int | None = None,
        precision: str = "float32",
        encoder: str = "auto",
    ) -> None:
        if threads is not None:
            set_num_threads(threads)
        of_encoder, of_sampler = of_parts(precision)
        self._parts = CpuParts(bundle, get_num_threads(), of_encoder, encoder)
        try:
            self._sampler = _runtime.Sampler(bundle.sampler.as_dict(), weights, precision=of_sampler)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / SAMPLER}: {error}") from error

    def encode(self, pixels: Float32Array) -> ImageState:
        """Model input [3, S, S] -> image state."""
        embedding, mu, sigma = self._parts.encode(pixels)
        return ImageState(embedding, self._sampler.image_state(embedding, mu, sigma))

    def prompt(self, image: ImageState, tokens: Float32Array, dense: Float32Array) -> Any:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""
        mu, sigma = self._parts.prior(image.embedding, tokens, dense)
        return self._sampler.prompt_state(image.native, tokens, dense, mu, sigma)

    def sample(self, image: ImageState, prompt: Any, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
        logits, scores = self._sampler.sample(image.native, prompt, eps)
        return logits, scores


class CpuParts:
    """Image encoder and latent networks of an engine on the CPU.

    Args:
        threads: of ONNX Runtime.
        precision: of the native encoder, "float32", "int16" or "int8".
        encoder: of images, and of the priors too where the engine has native ones; see `asam_trt.encoders`.

    Raises:
        EngineError: a part of the engine cannot be loaded or does not fit the manifest's sizes.
    """

    def __init__(self, bundle: EngineBundle, threads: int, precision: str, encoder: str) -> None:
        kind, _ = encoders.choose(encoder, has_native=bundle.has_native_encoder, precision=precision)
        # ONNX Runtime is imported where it is needed alone: some machines do without it.
        native = None
        if kind == "native":
            self.encode: _Encoder = _NativeEncoder(bundle, threads, precision)
            native = _native_prior(bundle, PROMPT_PRIOR_WEIGHTS)
        else:
            from asam_trt.backends.onnx_cpu import OnnxEncoder

            self.encode = OnnxEncoder(bundle, threads)
        if native is not None:
            self.prior: _PromptPrior = native.run
        else:
            from asam_trt.backends.onnx_cpu import OnnxPromptPrior

            self.prior = OnnxPromptPrior(bundle, threads)


class _NativeEncoder:
    """Native encoder, and the image prior in whichever code the engine has it for."""

    def __init__(self, bundle: EngineBundle, threads: int, precision: str) -> None:
        config, weights = bundle.load_encoder()
        tiny = isinstance(config, TinyEncoderConfig)
        kind = _runtime.TinyImageEncoder if tiny else _runtime.ImageEncoder
        try:
            self._encoder = kind(config.as_dict(), weights, precision=precision)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / ENCODER_WEIGHTS}: {error}") from error
        self._prior = _image_prior(bundle, threads)

    def __call__(self, pixels: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        pixels = np.ascontiguousarray(pixels)
        embedding = self._encoder.encode(pixels)
        return embedding, *self._prior(pixels, embedding)


def _image_prior(
    bundle: EngineBundle, threads: int
) -> Callable[[Float32Array, Float32Array], tuple[Float32Array, Float32Array]]:
    """Model input [3, S, S] and embedding [C, e, e] -> mu_image [L], sigma_image [L]."""
    native = _native_prior(bundle, IMAGE_PRIOR_WEIGHTS)
    if native is not None:
        return lambda _, embedding: native.run(embedding)
    from asam_trt.backends.onnx_cpu import OnnxImagePrior

    return OnnxImagePrior(bundle, threads)


def _native_prior(bundle: EngineBundle, name: str) -> _runtime.LatentPrior | None:
    """None where the engine has no such file."""
    found = bundle.load_prior(name)
    if found is None:
        return None
    config, weights = found
    try:
        return _runtime.LatentPrior(config.as_dict(), weights)
    except (ValueError, TypeError) as error:
        raise EngineError(f"{bundle.path / name}: {error}") from error
