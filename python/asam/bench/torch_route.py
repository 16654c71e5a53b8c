"""The model in PyTorch: one batch of n on an embedding that is computed once, and the published loop."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from asam.bench.route import Route
from asam.bench.subject import Float32Array, Subject
from asam.model import ASAM
from asam.model.latent import Gaussian
from asam.model.network import ImageState, PromptState


class TorchRoute(Route):
    """Weights and arithmetic in ``dtype``.

    Args:
        compiled: through torch.compile, for the one n at hand.
    """

    def __init__(self, name: str, subject: Subject, dtype: torch.dtype, *, compiled: bool = False) -> None:
        super().__init__(name, subject)
        self.dtype = dtype
        self.model = in_dtype(subject.model, dtype)
        self._encode: Any = self.model.encode_image
        self._prior: Any = self.model.prompt_prior
        self._decode: Any = self._decode_latents
        if compiled:
            self._encode = torch.compile(self._encode, dynamic=False)
            self._prior = torch.compile(self._prior, dynamic=False)
            self._decode = torch.compile(self._decode, dynamic=False)

    def encode(self, pixels: Float32Array) -> ImageState:
        with torch.inference_mode():
            state: ImageState = self._encode(torch.from_numpy(pixels)[None].to(self.dtype))
        return state

    def prompt(self, image: ImageState) -> PromptState:
        _, frame = self.subject.pixels()
        box = torch.from_numpy(frame.to_model_boxes(self.subject.box))[None]
        with torch.inference_mode():
            tokens, dense = self.model.embed_prompt(1, boxes=box)
            tokens = tokens.to(self.dtype)  # SAM begins its list of tokens with an empty float32 one
            latent = self._prior(image.embedding, self.model.position(), tokens, dense)
        return PromptState(tokens, dense, latent)

    def sample(
        self, image: ImageState, prompt: PromptState, eps: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        logits, scores = self.draw(image, prompt, eps)
        return logits.float().numpy(), scores.float().numpy()

    def draw(
        self, image: ImageState, prompt: PromptState, eps: Float32Array
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`sample` in the route's own dtype."""
        with torch.inference_mode():
            logits, scores = self._decode(image, prompt, torch.from_numpy(eps).to(self.dtype))
        return logits, scores

    def embedding(self, image: ImageState) -> npt.NDArray[Any]:
        return np.asarray(image.embedding[0].double().numpy())

    def _decode_latents(
        self, image: ImageState, prompt: PromptState, eps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return decode_noise(
            self.model, image.embedding, prompt.tokens, prompt.dense, prompt.latent, image.latent, eps
        )


class PublishedLoop(TorchRoute):
    """The evaluation loop of the published code: the whole network, image encoder included, once a sample."""

    stages = ("frame",)

    def __init__(self, name: str, subject: Subject, *, limit: int) -> None:
        super().__init__(name, subject, torch.float32)
        self.limit = limit
        self._encode = self._encode_padded

    def _encode_padded(self, images: torch.Tensor) -> ImageState:
        """By SAM's encoder as it is, padded windows and all."""
        return self.model.image_state(images, self.model.image_encoder(images))

    def prepare(self, n: int) -> None:
        if n > self.limit:
            raise ValueError(f"n = {n} is above the loop limit of {self.limit}")

    def sample(
        self, image: ImageState, prompt: PromptState, eps: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        # The first pass's states came with the call; every later sample begins at the pixels again.
        parts = [super().sample(image, prompt, eps[:1])]
        for i in range(1, len(eps)):
            pixels, _ = self.subject.pixels()
            again = self.encode(pixels)
            parts.append(super().sample(again, self.prompt(again), eps[i : i + 1]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def in_dtype(model: ASAM, dtype: torch.dtype) -> ASAM:
    """A copy of the model that computes in ``dtype``, its position table made once.

    Positions are computed in at least float32 and then rounded: pixel coordinates do not fit bf16, and SAM's
    own code would mix float32 coordinates with a matrix of another dtype.
    """
    converted = copy.deepcopy(model).to(dtype).eval()
    wide = torch.promote_types(dtype, torch.float32)
    source = model.prompt_encoder.pe_layer
    layer: Any = converted.prompt_encoder.pe_layer
    layer.positional_encoding_gaussian_matrix = source.positional_encoding_gaussian_matrix.to(wide)
    encode = layer._pe_encoding
    layer._pe_encoding = lambda coords: encode(coords.to(wide)).to(dtype)
    position = converted.position().detach()
    encoder: Any = converted.prompt_encoder
    encoder.get_dense_pe = lambda: position
    return converted


def decode_noise(
    model: ASAM,
    embedding: torch.Tensor,
    tokens: torch.Tensor,
    dense: torch.Tensor,
    prompt: Gaussian,
    image: Gaussian,
    eps: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One image's states and noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""
    latent_prompt, latent_image = prompt.sample(eps[None, :, 0]), image.sample(eps[None, :, 1])
    kind = eps.dtype  # the model may have computed a latent in a wider type
    logits, scores = model.decode(embedding, tokens, dense, latent_prompt.to(kind), latent_image.to(kind))
    return logits[0], scores[0]
