"""Image encoder and latent networks by ONNX Runtime on the CPU: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from asam_trt.backends.onnx_exit import inside
from asam_trt.backends.onnx_session import open_session
from asam_trt.bundle import EngineBundle
from asam_trt.errors import EngineError

Float32Array = npt.NDArray[np.float32]
Shapes = dict[str, list[int | None]]


class OnnxEncoder:
    """Encoder and image prior in one ONNX graph."""

    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        grid, c, latent = sizes.grid, sizes.channels, sizes.latent
        self._session = _open(
            bundle.image_encoder,
            threads,
            inputs={"image": [1, 3, sizes.side, sizes.side]},
            outputs={"embedding": [1, c, grid, grid], "mu_image": [1, latent], "sigma_image": [1, latent]},
        )

    def __call__(self, pixels: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        outputs = ["embedding", "mu_image", "sigma_image"]
        embedding, mu, sigma = _run(self._session, outputs, {"image": np.ascontiguousarray(pixels[None])})
        return embedding[0], mu[0], sigma[0]


class OnnxImagePrior:
    """Of an engine whose network the native code does not have."""

    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        self._session = _open(
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
        mu, sigma = _run(self._session, ["mu_image", "sigma_image"], feed)
        return mu[0], sigma[0]


class OnnxPromptPrior:
    """Mean and sigma of the prompt latent."""

    def __init__(self, bundle: EngineBundle, threads: int) -> None:
        sizes = bundle.sampler
        grid, c, latent = sizes.grid, sizes.channels, sizes.latent
        self._session = _open(
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
        mu, sigma = _run(self._session, ["mu_prompt", "sigma_prompt"], feed)
        return mu[0], sigma[0]


def _run(
    session: ort.InferenceSession, outputs: list[str], feed: dict[str, Float32Array]
) -> list[Float32Array]:
    with inside() as options:
        found: list[Float32Array] = session.run(outputs, feed, options)
    return found


def _open(path: Path, threads: int, *, inputs: Shapes, outputs: Shapes) -> ort.InferenceSession:
    session = open_session(path, "CPUExecutionProvider", threads)
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
