"""The published network and its training step, written out plainly: what preset ``a2sam`` is held against.

Modules are named as in the published state dict. The step does what the published one does: padded windows are
attended in full, z is tiled over the grid by copies, the mask of every token is resized before they are summed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from segment_anything.modeling import Sam
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional

from asam.model import backbone
from asam.model.config import SAM_SIDE, ModelConfig
from asam.training.batches import Batch

_WIDTHS = (32, 64, 128, 192)
_LATENT = 256


class StepInput(NamedTuple):
    """One batch of the published loader.

    images [B, 3, S, S] and grey [B, 1, S, S] in [0, 1]; prompts and rater_boxes [B, 4] in pixels of a 1024-pixel image;
    masks int64 [B, S, S]; eps [B, 2, L], noise of the posterior draws: prompt latent, image latent.
    """

    images: torch.Tensor
    grey: torch.Tensor
    prompts: torch.Tensor
    rater_boxes: torch.Tensor
    masks: torch.Tensor
    eps: torch.Tensor


def batch_of(step: StepInput) -> Batch:
    """The same rows for the trainer."""
    rows, side = len(step.images), step.images.shape[-1]
    target, scale = step.masks.to(step.images.dtype), side / SAM_SIDE
    return Batch(
        images=step.images,
        points=(step.prompts * scale).unflatten(1, (2, 2)),
        labels=torch.tensor([[2, 3]]).expand(rows, -1),
        mask_inputs=torch.zeros(rows, 1, side // 4, side // 4),
        has_mask=torch.zeros(rows, dtype=torch.bool),
        target=target,
        target_box=step.rater_boxes * scale,
        valid=torch.ones_like(target),
        raters=target[:, None],
        weights=torch.ones(rows, 1),
        eps=step.eps,
        prior_eps=torch.zeros(rows, 0, 2, step.eps.shape[-1]),
        seeds=torch.zeros(rows, dtype=torch.long),
    )


class PublishedNetwork(nn.Module):
    """SAM with adapters, four latent networks and two combiners.

    Args:
        config: of the preset ``a2sam``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        side, grey = config.image_size, config.image_prior_channels
        self.sam = Sam(
            backbone.image_encoder(config),
            backbone.prompt_encoder(config),
            backbone.mask_decoder(config),
            pixel_mean=[0.0, 0.0, 0.0],
            pixel_std=[1.0, 1.0, 1.0],
        )
        self.sam.image_encoder.requires_grad_(False)
        for block in self.sam.image_encoder.blocks:
            block.attn.qkv = _AdaptedProjection(block.attn.qkv, config.lora_rank)
        self.lora_sam = nn.Module()
        self.lora_sam.sam = self.sam
        self.prior_object = _ImageLatent(grey)
        self.prior_box = _BoxLatent(1, side // 16)
        self.posterior_object = _ImageLatent(grey + 1)
        self.posterior_box = _BoxLatent(2, side // 16)
        self.fcomb_object = _TiledCombiner()
        self.fcomb_box = _TiledCombiner()

    def forward(self, step: StepInput) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks [B, K, S, S] of every token, and the divergences of prompt and image latent, [B]."""
        embedding = self.sam.image_encoder(self.sam.preprocess(step.images))
        tokens, dense = self.sam.prompt_encoder(points=None, boxes=step.prompts, masks=None)
        rater_tokens, _ = self.sam.prompt_encoder(points=None, boxes=step.rater_boxes, masks=None)
        box_prior = self.prior_box(embedding, tokens)
        object_prior = self.prior_object(step.grey)
        box_posterior = self.posterior_box(embedding, torch.cat([rater_tokens, tokens], dim=1))
        object_posterior = self.posterior_object(
            torch.cat([step.grey, step.masks[:, None].to(step.grey.dtype)], dim=1)
        )
        dense = self.fcomb_box(dense, _drawn(box_posterior, step.eps[:, 0]))
        embedding = self.fcomb_object(embedding, _drawn(object_posterior, step.eps[:, 1]))
        low = self._masks(embedding, tokens, dense)
        side = step.images.shape[-1]
        masks = self.sam.postprocess_masks(low, (side, side), (side, side))
        return masks, kl_divergence(box_posterior, box_prior), kl_divergence(object_posterior, object_prior)

    def _masks(self, embedding: torch.Tensor, tokens: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """SAM's decoder, one image a prompt; the masks [B, K, 4e, 4e] of all tokens but its first."""
        decoder = self.sam.mask_decoder
        rows, channels, height, width = embedding.shape
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        queries = torch.cat([own.expand(rows, -1, -1), tokens], dim=1)
        position = self.sam.prompt_encoder.get_dense_pe().repeat_interleave(rows, dim=0)
        hidden, cells = decoder.transformer(embedding + dense, position, queries)
        upscaled = decoder.output_upscaling(cells.transpose(1, 2).reshape(rows, channels, height, width))
        hyper = torch.stack(
            [head(hidden[:, 1 + k]) for k, head in enumerate(decoder.output_hypernetworks_mlps)], dim=1
        )
        masks = (hyper @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        others: torch.Tensor = masks[:, 1:]
        return others


def training_loss(network: PublishedNetwork, step: StepInput, weights: torch.Tensor) -> torch.Tensor:
    """The published loss of one step; ``weights`` [K, 1] of the mask tokens."""
    masks, kl_box, kl_object = network(step)
    weighed = masks * weights.unsqueeze(-1)
    summed = weighed.sum(dim=1, keepdim=True)
    target = step.masks[:, None].to(summed.dtype)

    probability = summed.sigmoid()
    overlap = 2 * (probability * target).sum(-1)
    dice = (1 - (overlap + 1) / (probability.sum(-1) + target.sum(-1) + 1)).sum() / 5
    nats = functional.binary_cross_entropy_with_logits(summed, target, reduction="none")
    of_target = probability * target + (1 - probability) * (1 - target)
    balance = 0.25 * target + 0.75 * (1 - target)
    focal = (balance * nats * (1 - of_target) ** 2).mean(1).sum() / 5
    segmentation = functional.cross_entropy(weighed, step.masks) + dice + focal

    parts = (
        network.prior_box,
        network.posterior_box,
        network.fcomb_box.layers,
        network.prior_object,
        network.posterior_object,
        network.fcomb_object.layers,
    )
    norms = torch.zeros((), dtype=summed.dtype)
    for part in parts:
        for parameter in part.parameters():
            norms = norms + parameter.norm(2)
    total: torch.Tensor = segmentation + 1e-5 * norms + kl_box.mean() + kl_object.mean()
    return total


class _AdaptedProjection(nn.Module):
    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        width = qkv.in_features
        self.qkv, self.width = qkv, width
        self.linear_a_q, self.linear_a_v = (nn.Linear(width, rank, bias=False) for _ in range(2))
        self.linear_b_q, self.linear_b_v = (nn.Linear(rank, width, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv: torch.Tensor = self.qkv(x)
        qkv[..., : self.width] += self.linear_b_q(self.linear_a_q(x))
        qkv[..., -self.width :] += self.linear_b_v(self.linear_a_v(x))
        return qkv


class _Encoder(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for block, width in enumerate(_WIDTHS):
            if block:
                layers.append(nn.AvgPool2d(kernel_size=2, stride=2, ceil_mode=True))
            for _ in range(3):
                layers += [nn.Conv2d(inputs, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(x)
        return features


class _Latent(nn.Module):
    """An encoder of ``inputs`` channels, and one mean and log sigma from its pooled map."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(inputs)
        self.conv_layer = nn.Conv2d(_WIDTHS[-1], 2 * _LATENT, kernel_size=1)

    def normal(self, x: torch.Tensor) -> Any:
        pooled = self.encoder(x).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
        values = self.conv_layer(pooled)[:, :, 0, 0]
        return Independent(Normal(values[:, :_LATENT], values[:, _LATENT:].exp()), 1)


class _ImageLatent(_Latent):
    def forward(self, image: torch.Tensor) -> Any:
        return self.normal(image)


class _BoxLatent(_Latent):
    def __init__(self, boxes: int, grid: int) -> None:
        super().__init__(1)
        self.grid = grid
        self.fc1 = nn.Linear(2 * boxes * 256, 1024)
        self.fc2 = nn.Linear(1024, 512)
        self.fc3 = nn.Linear(512, 8 * grid * grid)
        layers: list[nn.Module] = []
        inputs = 256 + 8
        for width in (128, 64, 32, 16):
            layers += [
                nn.Conv2d(inputs, width, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            ]
            inputs = width
        self.box_conv = nn.Sequential(*layers, nn.Conv2d(inputs, 1, kernel_size=3, padding=1))

    def forward(self, embedding: torch.Tensor, tokens: torch.Tensor) -> Any:
        said = functional.relu(self.fc1(tokens.flatten(1)))
        said = self.fc3(functional.relu(self.fc2(said)))
        box_map = said.view(len(said), 8, self.grid, self.grid)
        return self.normal(self.box_conv(torch.cat([embedding, box_map], dim=1)))


class _TiledCombiner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(512, 256, kernel_size=1), nn.ReLU(inplace=True)]
        for _ in range(2):
            layers += [nn.Conv2d(256, 256, kernel_size=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.last_layer = nn.Conv2d(256, 256, kernel_size=1)

    def forward(self, feature: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        tiled = z[:, :, None, None].repeat(1, 1, *feature.shape[2:])
        mixed: torch.Tensor = self.last_layer(self.layers(torch.cat([feature, tiled], dim=1)))
        return mixed


def _drawn(latent: Any, noise: torch.Tensor) -> torch.Tensor:
    normal = latent.base_dist
    drawn: torch.Tensor = normal.loc + normal.scale * noise
    return drawn
