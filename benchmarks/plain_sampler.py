"""The sampler written plainly in PyTorch, over random weights: what `benchmarks/gpu*.py` and `tests/gpu` compare with.

Needs PyTorch and NumPy alone. SAM's two-way transformer, K masks that are formed and summed, maps that are stored: none
of the identities of docs/architecture.md is used, except that the ensemble weights are inside the last layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from plain_module import Draw, PlainModule, Weights
from torch import Tensor
from torch.nn import functional as F

from asam_trt.sampler_spec import SamplerConfig


def random_weights(config: SamplerConfig, seed: int = 0) -> Weights:
    """Folded weights under the names of sampler.safetensors; activations keep unit scale."""
    draw = Draw(seed)
    normal, linear, norm = draw.normal, draw.linear, draw.norm
    c, half, p = config.channels, config.channels // 2, config.cells

    def attention(name: str, width: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        for part in ("q", "k", "v"):
            yield from linear(f"{name}.{part}", c, width)
        yield from linear(f"{name}.out", width, c)

    out: Weights = {"pe": normal(p, c), "output_tokens": normal(config.mask_tokens + 2, c)}
    for name in ("combiner_image", "combiner_prompt"):
        out[f"{name}.feature"] = normal(c, c, scale=(2 * c) ** -0.5)
        out[f"{name}.latent"] = normal(config.latent, c, scale=(2 * config.latent) ** -0.5)
        out[f"{name}.bias0"] = normal(c, scale=0.1)
        for i in range(1, config.combiner_layers):
            out.update(linear(f"{name}.layers.{i}", c, c))
    for i in range(config.depth):
        out.update(attention(f"layers.{i}.self_attn", c))
        out.update(attention(f"layers.{i}.token_to_image", half))
        out.update(attention(f"layers.{i}.image_to_token", half))
        out.update(linear(f"layers.{i}.mlp.0", c, config.mlp_dim))
        out.update(linear(f"layers.{i}.mlp.1", config.mlp_dim, c))
        for k in range(1, 5):
            out.update(norm(f"layers.{i}.norm{k}", c))
    out.update(attention("final", half))
    out.update(norm("final.norm", c))
    names = [
        f"layers.{i}.{part}" for i in range(config.depth) for part in ("token_to_image.k", "image_to_token.q")
    ]
    for name in (*names, "final.k"):
        out[f"{name}.pe"] = out["pe"] @ out[f"{name}.weight"] + out[f"{name}.bias"]
    out["upscale.0.weight"], out["upscale.0.bias"] = normal(c, c, scale=c**-0.5), normal(c // 4, scale=0.1)
    out.update(norm("upscale.norm", c // 4))
    out["upscale.1.weight"] = normal(c // 4, c // 2, scale=(c // 4) ** -0.5)
    out["upscale.1.bias"] = normal(c // 8, scale=0.1)
    for k in range(config.mask_tokens):
        for i, width in enumerate((c, c, c // 8)):
            out.update(linear(f"hyper.{k}.{i}", c, width))
    widths = [c] + [c] * (config.iou_layers - 1) + [1]
    for i in range(config.iou_layers):
        out.update(linear(f"iou.{i}", widths[i], widths[i + 1]))
    return out


class PlainSampler(PlainModule):
    """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n], of one image and one prompt.

    Args:
        inputs: embedding [C, e, e], tokens [t, C], dense [C], and mu and sigma [L] of both latents.
        dtype: of every step.
    """

    def __init__(
        self, config: SamplerConfig, weights: Weights, inputs: Any, dtype: torch.dtype, device: str = "cpu"
    ) -> None:
        # The plain form adds positions before it multiplies.
        own = {name: value for name, value in weights.items() if not name.endswith(".pe")}
        super().__init__(own, dtype, device)
        self.config = config
        for name in ("embedding", "tokens", "dense", "mu_prompt", "sigma_prompt", "mu_image", "sigma_image"):
            self.register_buffer(f"input_{name}", torch.as_tensor(getattr(inputs, name)).to(device, dtype))

    def attention(self, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        def heads(part: str, x: Tensor) -> Tensor:
            return self.linear(f"{name}.{part}", x).unflatten(-1, (self.config.heads, -1)).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(heads("q", q), heads("k", k), heads("v", v))
        return self.linear(f"{name}.out", mixed.transpose(1, 2).flatten(2))

    def combiner(self, name: str, feature: Tensor, z: Tensor) -> Tensor:
        x = torch.cat([feature, z[:, None].expand(-1, feature.shape[1], -1)], dim=-1)
        first = torch.cat([self.weight(f"{name}.feature"), self.weight(f"{name}.latent")])
        x = x @ first + self.weight(f"{name}.bias0")
        for i in range(1, self.config.combiner_layers):
            x = self.linear(f"{name}.layers.{i}", torch.relu(x))
        return x

    def forward(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        n, e, p, c = len(eps), self.config.grid, self.config.cells, self.config.channels
        z_prompt = self.input_mu_prompt + self.input_sigma_prompt * eps[:, 0]
        z_image = self.input_mu_image + self.input_sigma_image * eps[:, 1]
        feature = self.input_embedding.reshape(c, p).T.expand(n, -1, -1)
        src = self.combiner("combiner_image", feature, z_image)
        src = src + self.combiner("combiner_prompt", self.input_dense.expand(n, p, -1), z_prompt)
        point = torch.cat([self.weight("output_tokens"), self.input_tokens]).expand(n, -1, -1)
        queries, pe = point, self.weight("pe")
        for i in range(self.config.depth):
            name = f"layers.{i}."
            if i == 0:
                queries = self.attention(f"{name}self_attn", queries, queries, queries)
            else:
                q = queries + point
                queries = queries + self.attention(f"{name}self_attn", q, q, queries)
            queries = self.norm(f"{name}norm1", queries)
            q, k = queries + point, src + pe
            queries = self.norm(f"{name}norm2", queries + self.attention(f"{name}token_to_image", q, k, src))
            hidden = torch.relu(self.linear(f"{name}mlp.0", queries))
            queries = self.norm(f"{name}norm3", queries + self.linear(f"{name}mlp.1", hidden))
            q, k = queries + point, src + pe
            src = self.norm(f"{name}norm4", src + self.attention(f"{name}image_to_token", k, q, queries))
        queries = queries + self.attention("final", queries + point, src + pe, src)
        queries = self.norm("final.norm", queries)
        masks = self.upscale(src, e)
        logits = torch.zeros_like(masks[:, 0])
        for k in range(self.config.mask_tokens):
            hyper = queries[:, 2 + k]
            for i in range(3):
                hyper = self.linear(f"hyper.{k}.{i}", torch.relu(hyper) if i else hyper)
            logits = logits + torch.einsum("nc,nchw->nhw", hyper, masks)
        scores = queries[:, 0]
        for i in range(self.config.iou_layers):
            scores = self.linear(f"iou.{i}", torch.relu(scores) if i else scores)
        return logits, scores[:, 0]

    def upscale(self, src: Tensor, e: int) -> Tensor:
        """[n, P, C] -> [n, C/8, 4e, 4e] by two transposed convolutions."""

        def convolve(name: str, x: Tensor) -> Tensor:
            weight = self.weight(f"{name}.weight").unflatten(-1, (2, 2, -1)).permute(0, 3, 1, 2)
            return F.conv_transpose2d(x, weight.contiguous(), self.weight(f"{name}.bias"), stride=2)

        x = convolve("upscale.0", src.transpose(1, 2).unflatten(-1, (e, e)))
        x = self.norm("upscale.norm", x.permute(0, 2, 3, 1), 1e-6).permute(0, 3, 1, 2)
        return F.gelu(convolve("upscale.1", F.gelu(x)))


class RandomInputs:
    """Of one image and one prompt, float32."""

    def __init__(self, config: SamplerConfig, tokens: int = 2, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> npt.NDArray[np.float32]:
            return rng.standard_normal(shape).astype(np.float32)

        self.embedding = draw(config.channels, config.grid, config.grid)
        self.tokens, self.dense = draw(tokens, config.channels), draw(config.channels)
        self.mu_prompt, self.mu_image = draw(config.latent), draw(config.latent)
        self.sigma_prompt, self.sigma_image = (
            np.exp(0.3 * draw(config.latent)),
            np.exp(0.3 * draw(config.latent)),
        )

    def states(self, sampler: Any) -> tuple[Any, Any]:
        """Image and prompt state of a native sampler."""
        image = sampler.image_state(self.embedding, self.mu_image, self.sigma_image)
        return image, sampler.prompt_state(image, self.tokens, self.dense, self.mu_prompt, self.sigma_prompt)
