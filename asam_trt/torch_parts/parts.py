"""Image encoder and latent networks of an engine in PyTorch, on a GPU as CUDA graphs.

On the CPU these modules equal the native code; the graphs were not run on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from asam_trt.backends.device_array import DeviceArray
from asam_trt.bundle import ENCODER_WEIGHTS, IMAGE_PRIOR_WEIGHTS, PROMPT_PRIOR_WEIGHTS, EngineBundle
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig
from asam_trt.errors import EngineError
from asam_trt.torch_parts.encoder import Encoder
from asam_trt.torch_parts.lanes import EagerLane, Function, GraphLane, Lane
from asam_trt.torch_parts.prior import LatentPrior
from asam_trt.torch_parts.tiny_encoder import TinyEncoder

Float32Array = npt.NDArray[np.float32]

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchParts:
    """See `asam_trt.backends.cuda.Parts`.

    Args:
        precision: of the encoder's products, "float32", "bf16" or "fp16".
        device: where it computes, "cuda" (the current one) or "cpu".

    Raises:
        EngineError: weights are missing or do not fit their sizes.
    """

    def __init__(self, bundle: EngineBundle, precision: str, device: str) -> None:
        where = torch.device(device)
        if where.type == "cuda":
            where = torch.device(
                "cuda", torch.cuda.current_device()
            )  # threads begin with another current one
        encoder = _encoder(bundle, DTYPES[precision], where)
        image = _prior(bundle, IMAGE_PRIOR_WEIGHTS, where)
        prompt = _prior(bundle, PROMPT_PRIOR_WEIGHTS, where)

        def encode(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            embedding = encoder(pixels)
            return embedding, *image(embedding)

        self._encode = _lane("the image encoder", encode, where)
        self._prior = _lane("the prompt's latent network", prompt, where)
        # What the first image would wait for, and what goes wrong, comes now.
        side = bundle.sampler.side
        self.encode(np.zeros((3, side, side), np.float32))

    def encode(self, pixels: Float32Array) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """Model input [3, S, S] -> embedding [C, e, e], mu_image [L], sigma_image [L]."""
        embedding, mu, sigma = self._encode.run(pixels)
        return _array(embedding), _array(mu), _array(sigma)

    def prior(
        self, embedding: DeviceArray, tokens: Float32Array, dense: Float32Array
    ) -> tuple[DeviceArray, DeviceArray]:
        """Embedding [C, e, e], tokens [t, C], dense [C] or [C, e, e] -> mu_prompt [L], sigma_prompt [L]."""
        mu, sigma = self._prior.run(embedding.owner, tokens, dense)
        return _array(mu), _array(sigma)


def _lane(name: str, function: Function, device: torch.device) -> Lane:
    return GraphLane(name, function, device) if device.type == "cuda" else EagerLane(function)


def _array(tensor: torch.Tensor) -> DeviceArray:
    tensor = tensor.contiguous()
    return DeviceArray(tensor, tensor.data_ptr(), tuple(tensor.shape))


def encoder_of(
    config: EncoderConfig | TinyEncoderConfig,
    weights: Mapping[str, Float32Array],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Encoder | TinyEncoder:
    """The image encoder that has such sizes; see the two."""
    if isinstance(config, TinyEncoderConfig):
        return TinyEncoder(config, weights, dtype=dtype, device=device)
    return Encoder(config, weights, dtype=dtype, device=device)


def _encoder(bundle: EngineBundle, dtype: torch.dtype, device: torch.device) -> Encoder | TinyEncoder:
    try:
        return encoder_of(*bundle.load_encoder(), dtype=dtype, device=device)
    except ValueError as error:
        raise EngineError(f"{bundle.path / ENCODER_WEIGHTS}: {error}") from error


def _prior(bundle: EngineBundle, name: str, device: torch.device) -> LatentPrior:
    file = bundle.path / name
    found = bundle.load_prior(name)
    if found is None:
        raise EngineError(
            f"{file}: expected weights of a latent network, came no such file; use encoder='auto'"
        )
    try:
        return LatentPrior(*found, device=device)
    except ValueError as error:
        raise EngineError(f"{file}: {error}") from error
