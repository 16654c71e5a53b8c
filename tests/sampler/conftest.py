"""Random models of segment_anything's own modules, and the sampler's equations written out with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

from asam_trt.fold import fold
from asam_trt.sampler_spec import SamplerConfig


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


class Combiner(nn.Module):
    """1x1 convolutions over concat(feature, tiled latent), ReLU between."""

    def __init__(self, channels: int, latent: int, layers: int) -> None:
        super().__init__()
        widths = [channels + latent] + [channels] * layers
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in pairwise(widths))

    def forward(self, feature: Tensor, z: Tensor) -> Tensor:
        x = torch.cat([feature, z[:, :, None, None].expand(-1, -1, *feature.shape[2:])], dim=1)
        for i, layer in enumerate(self.layers):
            x = layer(torch.relu(x) if i else x)
        return x


class Model(nn.Module):
    """Everything that fold() takes, under its names."""

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        c, e = config.channels, config.grid
        self.prompt_encoder = PromptEncoder(
            embed_dim=c,
            image_embedding_size=(e, e),
            input_image_size=(config.side, config.side),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            transformer_dim=c,
            transformer=TwoWayTransformer(
                depth=config.depth, embedding_dim=c, mlp_dim=config.mlp_dim, num_heads=config.heads
            ),
            num_multimask_outputs=config.mask_tokens,
            iou_head_depth=config.iou_layers,
            iou_head_hidden_dim=2 * c,
        )
        if config.combiner_layers:
            self.combiner_image = Combiner(c, config.latent, config.combiner_layers)
            self.combiner_prompt = Combiner(c, config.latent, config.combiner_layers)
        self.ensemble = nn.Parameter(torch.randn(config.mask_tokens))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                # Norms away from the identity, biases away from zero, attention away from uniform, and
                # logits of the size that trained models have.
                if parameter.ndim == 1 and name != "ensemble":
                    parameter.add_(0.2 * torch.randn_like(parameter))
                if name.endswith(("q_proj.weight", "k_proj.weight")) or "hypernetworks" in name:
                    parameter.mul_(2.0)


@dataclass(frozen=True)
class Inputs:
    """Of one draw, float32: embedding [C, e, e], latents' mu and sigma [L], eps [n, 2, L]."""

    embedding: np.ndarray
    image: tuple[np.ndarray, np.ndarray]
    prompt: tuple[np.ndarray, np.ndarray]
    eps: np.ndarray


class Case:
    """One random model and its inputs."""

    def __init__(self, config: SamplerConfig) -> None:
        self.config = config
        torch.manual_seed(1)
        self.model = Model(config).eval()
        self.state = {name: value.numpy() for name, value in self.model.state_dict().items()}
        self.weights = fold(self.state, config)
        self.exact_weights = fold(self.state, config, dtype=np.float64)

    def inputs(self, n: int) -> Inputs:
        rng = np.random.default_rng(2)
        c, e, latent = self.config.channels, self.config.grid, self.config.latent

        def draw(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32)

        return Inputs(
            embedding=draw(c, e, e),
            image=(draw(latent), np.exp(0.3 * draw(latent))),
            prompt=(draw(latent), np.exp(0.3 * draw(latent))),
            eps=draw(n, 2, latent),
        )

    def prompt(self, kind: str) -> dict[str, np.ndarray]:
        """Model-space arguments of PromptTables.encode_model_space."""
        side = self.config.side
        rng = np.random.default_rng(3)
        if kind == "none":
            return {}
        if kind == "box":
            return {"box": np.array([0.1, 0.2, 0.7, 0.9]) * side}
        if kind == "mask":
            mask = rng.standard_normal((side // 4, side // 4)).astype(np.float32)
            return {"mask_input": mask}
        if kind.startswith("points"):
            k = int(kind.removeprefix("points"))
            return {
                "point_coords": rng.uniform(0, side, (k, 2)),
                "point_labels": rng.integers(0, 2, k),
            }
        assert kind == "mixed"
        return self.prompt("points2") | self.prompt("box") | self.prompt("mask")

    @torch.no_grad()
    def encode(self, kind: str, dtype: torch.dtype = torch.float32) -> tuple[np.ndarray, np.ndarray]:
        """SAM's PromptEncoder: tokens [t, C] and dense [C, e, e]."""
        arguments = {
            name: torch.as_tensor(value, dtype=dtype)[None] for name, value in self.prompt(kind).items()
        }
        encoder = copy.deepcopy(self.model.prompt_encoder).to(dtype)
        points = (
            (arguments["point_coords"], arguments["point_labels"]) if "point_coords" in arguments else None
        )
        mask = arguments["mask_input"][:, None] if "mask_input" in arguments else None
        sparse, dense = encoder(points=points, boxes=arguments.get("box"), masks=mask)
        return sparse[0].numpy(), dense[0].numpy()

    @torch.no_grad()
    def literal(
        self, inputs: Inputs, tokens: np.ndarray, dense: np.ndarray, dtype: torch.dtype
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sampler's definition, nothing folded: K maps formed, weighted and summed, or side by side.

        Args:
            inputs: the draw.
            tokens: [t, C]; dense: [C] or [C, e, e].
            dtype: of every step.

        Returns:
            logits [n * M, 4e, 4e], scores [n * M].
        """
        model = copy.deepcopy(self.model).to(dtype)
        decoder, e = model.mask_decoder, self.config.grid

        def tensor(value: np.ndarray) -> Tensor:
            return torch.as_tensor(value, dtype=dtype)

        eps = tensor(inputs.eps)
        n = len(eps)
        z_prompt = tensor(inputs.prompt[0]) + tensor(inputs.prompt[1]) * eps[:, 0]
        z_image = tensor(inputs.image[0]) + tensor(inputs.image[1]) * eps[:, 1]
        prompt = tensor(dense).reshape(1, self.config.channels, *dense.shape[1:] or (1, 1))
        prompt = prompt.expand(n, -1, e, e)
        image = tensor(inputs.embedding).expand(n, -1, -1, -1)
        if self.config.combiner_layers:
            src = model.combiner_image(image, z_image) + model.combiner_prompt(prompt, z_prompt)
        else:
            src = image + prompt

        # Positions do not fit bfloat16: they are computed in float32 at least, then rounded.
        at_least = torch.promote_types(dtype, torch.float32)
        positions = copy.deepcopy(self.model.prompt_encoder.pe_layer).to(at_least)
        centre = (torch.arange(e, dtype=at_least) + 0.5) / e
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        pe = positions._pe_encoding(torch.stack([x, y], dim=-1)).permute(2, 0, 1).to(dtype)
        output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        own = tensor(tokens).expand(n, -1, -1)
        if self.config.sampled_tokens and len(tokens):
            cells = own.transpose(1, 2)[..., None]
            own = model.combiner_prompt(cells, z_prompt)[..., 0].transpose(1, 2)
        point = torch.cat([output.expand(n, -1, -1), own], dim=1)
        hs, cells = decoder.transformer(src, pe.expand(n, -1, -1, -1), point)

        upscaled = decoder.output_upscaling(cells.transpose(1, 2).reshape(n, -1, e, e))
        masks = []
        for k in range(1, self.config.mask_tokens + 1):
            hyper = decoder.output_hypernetworks_mlps[k](hs[:, 1 + k])
            masks.append(torch.einsum("nc,nchw->nhw", hyper, upscaled))
        logits, scores = torch.stack(masks, dim=1), decoder.iou_prediction_head(hs[:, 0])[:, 1:]
        if self.config.separate_masks:
            logits, scores = logits.flatten(0, 1), scores.flatten()
        else:
            logits, scores = torch.einsum("k,nkhw->nhw", model.ensemble, logits), scores @ model.ensemble
        exact = torch.promote_types(dtype, torch.float32)
        return logits.to(exact).numpy(), scores.to(exact).numpy()


def _config(
    channels: int, grid: int, mask_tokens: int, heads: int, mlp_dim: int, latent: int
) -> SamplerConfig:
    return SamplerConfig(
        side=16 * grid,
        grid=grid,
        channels=channels,
        latent=latent,
        mask_tokens=mask_tokens,
        heads=heads,
        mlp_dim=mlp_dim,
    )


_CONFIGS = {
    "sampled": replace(
        _config(channels=24, grid=5, mask_tokens=2, heads=3, mlp_dim=37, latent=12), sampled_tokens=True
    ),
    "sam": replace(
        _config(channels=32, grid=5, mask_tokens=3, heads=2, mlp_dim=40, latent=4),
        combiner_layers=0,
        separate_masks=True,
    ),
    "tiny": _config(channels=32, grid=4, mask_tokens=3, heads=2, mlp_dim=64, latent=16),
    "odd": _config(channels=24, grid=5, mask_tokens=1, heads=3, mlp_dim=37, latent=12),
    "chunks": _config(channels=32, grid=13, mask_tokens=2, heads=2, mlp_dim=24, latent=4),
    "small": _config(channels=64, grid=8, mask_tokens=8, heads=4, mlp_dim=128, latent=32),
    "full": _config(channels=256, grid=8, mask_tokens=6, heads=8, mlp_dim=2048, latent=256),
}


@pytest.fixture(scope="session")
def case_of() -> Callable[[str], Case]:
    """Cases by name: tiny, odd (an odd grid, sizes beside lane edges), chunks (more cells than pass together), small,
    full (A-SAM's own sizes), sampled, whose prompt tokens are mixed with the prompt latent, and sam: no combiners, a
    mask a token."""
    return cache(lambda name: Case(_CONFIGS[name]))


@pytest.fixture
def tiny(case_of: Callable[[str], Any]) -> Any:
    """The smallest case."""
    return case_of("tiny")
