"""The sampler in NumPy: slow, readable, and what the native kernels are tested against.

Numbers in comments name the identities of the fused sampler (docs/architecture.md):
1 ensemble fold, 2 combiner split, 3 constant dense prompt, 5 position terms,
6 upscaling without a map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import erf

from asam_trt import philox
from asam_trt.sampler_spec import SamplerConfig

Array = NDArray[Any]

_NORM_EPS = 1e-5  # nn.LayerNorm
_NORM2D_EPS = 1e-6  # SAM's LayerNorm2d


@dataclass(frozen=True)
class ImageState:
    """What an image contributes: ``combined`` [P, C] = F W_f + b of the image combiner, latent [L] twice."""

    combined: Array
    mu: Array
    sigma: Array


@dataclass(frozen=True)
class PromptState:
    """What a prompt contributes.

    Attributes:
        combined: [1, C] or [P, C], D W_f + b of the prompt combiner.
        tokens: [T, C], output tokens then prompt tokens.
        token_combined: [t, C], the prompt tokens' W_f + b of the prompt combiner; used where they are sampled.
        mu, sigma: [L], of the prompt latent.
    """

    combined: Array
    tokens: Array
    token_combined: Array
    mu: Array
    sigma: Array


class ReferenceSampler:
    """Same calls and results as the native ``asam_trt._runtime.Sampler``, one hypothesis at a time.

    Args:
        config: sizes; see `SamplerConfig`.
        weights: folded tensors, as `asam_trt.fold.fold` makes them.
        dtype: of every step; float64 makes it the yardstick of the other samplers.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | SamplerConfig,
        weights: Mapping[str, Array],
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.config = SamplerConfig.of(config)
        self.dtype = np.dtype(dtype)
        self._w = {name: np.asarray(value, dtype=self.dtype) for name, value in weights.items()}

    def image_state(self, embedding: Array, mu: Array, sigma: Array) -> ImageState:
        """State of one image: embedding [C, e, e], mean and scale [L] of the image latent."""
        # 2: the image's half of the first combiner layer, once an image.
        combined = self._feature("combiner_image", self._rows(embedding))
        return ImageState(combined, np.asarray(mu, self.dtype), np.asarray(sigma, self.dtype))

    def prompt_state(
        self, image: ImageState, tokens: Array, dense: Array, mu: Array, sigma: Array
    ) -> PromptState:
        """State of one prompt: tokens [t, C], dense [C] or [C, e, e], mean and scale [L] of its latent."""
        del image  # part of the signature: a prompt belongs to an image
        # 3: with no mask prompt D is one vector, and one row stands for all cells.
        prompt = np.asarray(dense, self.dtype)[None] if dense.ndim == 1 else self._rows(dense)
        combined = self._feature("combiner_prompt", prompt)
        given = np.asarray(tokens, self.dtype)
        return PromptState(
            combined,
            np.concatenate([self._w["output_tokens"], given]),
            self._feature("combiner_prompt", given),
            np.asarray(mu, self.dtype),
            np.asarray(sigma, self.dtype),
        )

    def sample(self, image: ImageState, prompt: PromptState, eps: Array) -> tuple[Array, Array]:
        """Draw hypotheses.

        Args:
            image: of `image_state`.
            prompt: of `prompt_state`.
            eps: [n, 2, L] standard normal noise: prompt latent, image latent.

        Returns:
            logits [n, 4e, 4e] and scores [n]; of separate masks K for each draw, [n * K, ...].
        """
        side, masks = 4 * self.config.grid, self.config.masks
        logits = np.empty((len(eps), masks, side, side), self.dtype)
        scores = np.empty((len(eps), masks), self.dtype)
        for s, noise in enumerate(np.asarray(eps, self.dtype)):
            z_prompt = prompt.mu + prompt.sigma * noise[0]
            z_image = image.mu + image.sigma * noise[1]
            dense = self._combine("combiner_prompt", prompt.combined, z_prompt)
            src = self._combine("combiner_image", image.combined, z_image) + dense
            point = prompt.tokens
            if self.config.sampled_tokens:
                fixed = len(point) - len(prompt.token_combined)
                sampled = self._combine("combiner_prompt", prompt.token_combined, z_prompt)
                point = np.concatenate([point[:fixed], sampled])
            tokens, src = self._two_way(src, point)
            logits[s] = [self._upscale(src, hyper) for hyper in self._hyper(tokens)]
            scores[s] = self._mlp("iou", tokens[:1], self.config.iou_layers)[0]
        return logits.reshape(-1, side, side), scores.reshape(-1)

    def sample_seeded(
        self, image: ImageState, prompt: PromptState, n: int, seed: int, start: int = 0
    ) -> tuple[Array, Array]:
        """`sample` with the noise of hypotheses ``start .. start + n - 1`` of ``seed``."""
        return self.sample(image, prompt, philox.normal(seed, n, self.config.latent, start=start))

    def _rows(self, value: Array) -> Array:
        """[C, e, e] -> [P, C]."""
        columns = np.asarray(value, self.dtype).reshape(self.config.channels, -1)
        return np.asarray(columns.T)

    def _linear(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self._w[f"{name}.weight"] + self._w[f"{name}.bias"])

    def _mlp(self, name: str, x: Array, layers: int) -> Array:
        for i in range(layers):
            x = self._linear(f"{name}.{i}", x)
            if i < layers - 1:
                x = np.maximum(x, 0)
        return x

    def _norm(self, name: str, x: Array, eps: float = _NORM_EPS) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
        return np.asarray(centred / scale * self._w[f"{name}.weight"] + self._w[f"{name}.bias"])

    def _feature(self, name: str, rows: Array) -> Array:
        """Rows [n, C] -> the first layer's feature half; without combiners the rows themselves."""
        if self.config.combiner_layers == 0:
            return rows
        return np.asarray(rows @ self._w[f"{name}.feature"] + self._w[f"{name}.bias0"])

    def _combine(self, name: str, feature: Array, z: Array) -> Array:
        """feature [rows, C] is the first layer's feature half; the latent adds one vector to all rows."""
        if self.config.combiner_layers == 0:
            return feature
        x = feature + z @ self._w[f"{name}.latent"]  # 2
        for i in range(1, self.config.combiner_layers):
            x = self._linear(f"{name}.layers.{i}", np.maximum(x, 0))
        return np.asarray(x)

    def _attend(self, name: str, q: Array, k: Array, v: Array) -> Array:
        """Projected queries [a, D], keys [b, D] and values [b, D] -> attention output [a, C]."""

        def split(x: Array) -> Array:
            return np.asarray(x.reshape(len(x), self.config.heads, -1).swapaxes(0, 1))

        score = split(q) @ split(k).swapaxes(1, 2) / math.sqrt(q.shape[1] // self.config.heads)
        share = np.exp(score - score.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        return self._linear(f"{name}.out", (share @ split(v)).swapaxes(0, 1).reshape(len(q), -1))

    def _attention(self, name: str, q: Array, k: Array, v: Array) -> Array:
        return self._attend(
            name, self._linear(f"{name}.q", q), self._linear(f"{name}.k", k), self._linear(f"{name}.v", v)
        )

    def _position(self, name: str, src: Array) -> Array:
        """(src + pe) W + b, its position term being a constant of the engine (5)."""
        return np.asarray(src @ self._w[f"{name}.weight"] + self._w[f"{name}.pe"])

    def _tokens_to_image(self, name: str, projected: Array, src: Array) -> Array:
        keys, values = self._position(f"{name}.k", src), self._linear(f"{name}.v", src)
        return self._attend(name, projected, keys, values)

    def _two_way(self, src: Array, point: Array) -> tuple[Array, Array]:
        """SAM's two-way transformer: src [P, C], point [T, C] -> tokens [T, C], src [P, C]."""
        queries = point
        for i in range(self.config.depth):
            layer = f"layers.{i}"
            if i == 0:  # SAM's first self-attention has neither positions nor a residual
                queries = self._attention(f"{layer}.self_attn", point, point, point)
            else:
                q = queries + point
                queries = queries + self._attention(f"{layer}.self_attn", q, q, queries)
            queries = self._norm(f"{layer}.norm1", queries)
            projected = self._linear(f"{layer}.token_to_image.q", queries + point)
            queries = queries + self._tokens_to_image(f"{layer}.token_to_image", projected, src)
            queries = self._norm(f"{layer}.norm2", queries)
            queries = self._norm(f"{layer}.norm3", queries + self._mlp(f"{layer}.mlp", queries, 2))
            cross = f"{layer}.image_to_token"
            image_q = self._position(f"{cross}.q", src)
            keys = self._linear(f"{cross}.k", queries + point)
            src = src + self._attend(cross, image_q, keys, self._linear(f"{cross}.v", queries))
            src = self._norm(f"{layer}.norm4", src)
        projected = self._linear("final.q", queries + point)
        queries = queries + self._tokens_to_image("final", projected, src)
        return self._norm("final.norm", queries), src

    def _hyper(self, tokens: Array) -> Array:
        """1: sum_k w_k h_k [1, C/8], the weights w being inside the last layers; separate masks: h_k [K, C/8]."""
        outputs = np.stack(
            [self._mlp(f"hyper.{k}", tokens[2 + k], 3) for k in range(self.config.mask_tokens)]
        )
        return outputs if self.config.separate_masks else outputs.sum(axis=0, keepdims=True)

    def _upscale(self, src: Array, hyper: Array) -> Array:
        """6: every cell makes its own 4 x 4 block of logits; src [P, C], hyper [C/8] -> [4e, 4e]."""
        e, c = self.config.grid, self.config.channels
        x = (src @ self._w["upscale.0.weight"]).reshape(-1, c // 4) + self._w["upscale.0.bias"]
        x = _gelu(self._norm("upscale.norm", x, _NORM2D_EPS))
        x = _gelu((x @ self._w["upscale.1.weight"]).reshape(-1, c // 8) + self._w["upscale.1.bias"])
        # rows (cell y, cell x, dy0, dx0, dy1, dx1) -> pixel (y, dy0, dy1), (x, dx0, dx1)
        block = (x @ hyper).reshape(e, e, 2, 2, 2, 2)
        return np.asarray(block.transpose(0, 2, 4, 1, 3, 5).reshape(4 * e, 4 * e))


def _gelu(x: Array) -> Array:
    """Exact GELU, x (1 + erf(x / sqrt 2)) / 2."""
    return np.asarray(0.5 * x * (1.0 + erf(x / math.sqrt(2.0))), dtype=x.dtype)
