"""The `cpu` backend: native code throughout, or ONNX Runtime for image encoder and priors where it is faster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from asam_trt import _runtime, encoders
from asam_trt.bundle import (
    ENCODER_WEIGHTS,
    IMAGE_PRIOR_WEIGHTS,
    PROMPT_PRIOR_WEIGHTS,
    SAMPLER,
    EngineBundle,
)
from asam_trt.errors import EngineError
from asam_trt.threads import get_num_threads, set_num_threads

Float32Array = npt.NDArray[np.float32]
Shapes = dict[str, list[int | None]]


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
        precision: of the native code, "float32" or "bf16".
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
        threads = get_num_threads()
        sizes = bundle.sampler
        kind, _ = encoders.choose(encoder, has_native=bundle.has_native_encoder)
        self._encode: _Encoder = (
            _NativeEncoder(bundle, threads, precision) if kind == "native" else _OnnxEncoder(bundle, threads)
        )
        native = _native_prior(bundle, PROMPT_PRIOR_WEIGHTS) if kind == "native" else None
        self._prior: _PromptPrior = _OnnxPromptPrior(bundle, threads) if native is None else native.run
        try:
            self._sampler = _runtime.Sampler(sizes.as_dict(), weights, precision=precision)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / SAMPLER}: {error}") from error

    def encode(self, pixels: Float32Array) -> ImageState:
        """Model input [3, S, S] -> image state."""
        embedding, mu, sigma = self._encode(pixels)
        return ImageState(embedding, self._sampler.image_state(embedding, mu, sigma))

    def prompt(self, image: ImageState, tokens: Float32Array, dense: Float32Array) -> Any:
        """Prompt tokens [t, C] and dense embedding [C] or [C, e, e] -> prompt state."""
        mu, sigma = self._prior(image.embedding, tokens, dense)
        return self._sampler.prompt_state(image.native, tokens, dense, mu, sigma)

    def sample(self, image: ImageState, prompt: Any, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
        logits, scores = self._sampler.sample(image.native, prompt, eps)
        return logits, scores


class _OnnxEncoder:
    """Encoder and image prior in one ONNX graph."""

    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        grid, c, latent = sizes.grid, sizes.channels, sizes.latent
        self._session = _open_onnx(
            bundle.image_encoder,
            threads,
            inputs={"image": [1, 3, sizes.side, sizes.side]},
            outputs={"embedding": [1, c, grid, grid], "mu_image": [1, latent], "sigma_image": [1, latent]},
        )

    def __call__(self, pixels: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        embedding, mu, sigma = self._session.run(
            ["embedding", "mu_image", "sigma_image"], {"image": np.ascontiguousarray(pixels[None])}
        )
        return embedding[0], mu[0], sigma[0]


class _OnnxImagePrior:
    """Of an engine whose network the native code does not have."""

    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        self._session = _open_onnx(
            bundle.image_prior,
            threads,
            inputs={
                "image": [1, 3, sizes.side, sizes.side],
                "embedding": [1, sizes.channels, sizes.grid, sizes.grid],
            },
            outputs={"mu_image": [1, sizes.latent], "sigma_image": [1, sizes.latent]},
        )

    def __call__(self, pixels: Float32Array, embedding: Float32Array) -> tuple[Float32Array, Float32Array]:
        feed = {"image": pixels[None], "embedding": embedding[None]}
        mu, sigma = self._session.run(["mu_image", "sigma_image"], feed)
        return mu[0], sigma[0]


class _OnnxPromptPrior:
    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        grid, c, latent = sizes.grid, sizes.channels, sizes.latent
        self._session = _open_onnx(
            bundle.prompt_prior,
            threads,
            inputs={"embedding": [1, c, grid, grid], "tokens": [1, None, c], "dense": [1, c, grid, grid]},
            outputs={"mu_prompt": [1, latent], "sigma_prompt": [1, latent]},
        )

    def __call__(
        self, embedding: Float32Array, tokens: Float32Array, dense: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        full = dense[:, None, None] if dense.ndim == 1 else dense
        feed = {
            "embedding": embedding[None],
            "tokens": np.ascontiguousarray(tokens[None]),
            "dense": np.ascontiguousarray(np.broadcast_to(full, embedding.shape)[None]),
        }
        mu, sigma = self._session.run(["mu_prompt", "sigma_prompt"], feed)
        return mu[0], sigma[0]


class _NativeEncoder:
    """Native encoder, and the image prior in whichever code the engine has it for."""

    def __init__(self, bundle: EngineBundle, threads: int, precision: str) -> None:
        config, weights = bundle.load_encoder()
        try:
            self._encoder = _runtime.ImageEncoder(config.as_dict(), weights, precision=precision)
        except (ValueError, TypeError) as error:
            raise EngineError(f"{bundle.path / ENCODER_WEIGHTS}: {error}") from error
        native = _native_prior(bundle, IMAGE_PRIOR_WEIGHTS)
        self._prior: Callable[[Float32Array, Float32Array], tuple[Float32Array, Float32Array]] = (
            _OnnxImagePrior(bundle, threads) if native is None else lambda _, embedding: native.run(embedding)
        )

    def __call__(self, pixels: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        pixels = np.ascontiguousarray(pixels)
        embedding = self._encoder.encode(pixels)
        return embedding, *self._prior(pixels, embedding)


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


def _open_onnx(path: Path, threads: int, *, inputs: Shapes, outputs: Shapes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle workers that spin would take the processor from the sampler's threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    try:
        session = ort.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
        raise EngineError(
            f"{path}: expected a model that ONNX Runtime {ort.__version__} loads, came: {error}"
        ) from error
    _check_signature(path, "input", session.get_inputs(), inputs)
    _check_signature(path, "output", session.get_outputs(), outputs)
    return session


def _check_signature(path: Path, kind: str, found: list[Any], expected: Shapes) -> None:
    if sorted(node.name for node in found) != sorted(expected):
        raise EngineError(
            f"{path}: expected {kind}s {sorted(expected)}, came {sorted(node.name for node in found)}"
        )
    for node in found:
        shape = expected[node.name]
        fits = len(node.shape) == len(shape) and all(
            want is None or have == want for want, have in zip(shape, node.shape, strict=True)
        )
        if node.type != "tensor(float)" or not fits:
            wanted = ["t" if want is None else want for want in shape]
            raise EngineError(
                f"{path}: expected {kind} {node.name} of float32 {wanted}, came {node.type} {node.shape}"
            )
