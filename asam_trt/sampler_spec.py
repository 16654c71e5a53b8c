"""Sizes of a sampler, as the manifest of an engine and the native code know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from asam_trt.encoder_spec import CELLS

_CHOICES = ("sampled_tokens", "separate_masks")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Sizes of one folded sampler.

    Attributes:
        side: S, image side in pixels, a multiple of 16.
        grid: e, cells along one side of the embedding: S / 16, or S / 4 with LiteMedSAM's image encoder.
        channels: C, embedding channels; a multiple of 8 and of ``2 * heads``.
        latent: L, length of each of the two latents.
        mask_tokens: K, mask tokens whose masks the ensemble weights sum.
        heads: attention heads H.
        depth: two-way transformer blocks.
        mlp_dim: M, hidden width of the transformer's MLP.
        iou_layers: linear layers of the quality head.
        combiner_layers: 1x1 convolutions of each combiner; 0 where there is none, and the latents do nothing.
        mlp_activation: activation of the transformer's MLP.
        sampled_tokens: the prompt latent is mixed into the prompt tokens too, not into the dense embedding alone.
        separate_masks: each draw gives the K masks of the mask tokens themselves, not their weighted sum.
    """

    side: int
    grid: int
    channels: int
    latent: int
    mask_tokens: int
    heads: int
    mlp_dim: int
    depth: int = 2
    iou_layers: int = 3
    combiner_layers: int = 4
    mlp_activation: str = "relu"
    sampled_tokens: bool = False
    separate_masks: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("mlp_activation", *_CHOICES):
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"config['{field.name}']: expected an int, got {type(value).__name__}")
            if value < 1 and field.name != "combiner_layers":
                raise ValueError(f"config['{field.name}']: expected a positive int, got {value}")
        for name in _CHOICES:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"config['{name}']: expected a bool, got {type(getattr(self, name)).__name__}"
                )
        if self.side not in [cell * self.grid for cell in CELLS]:
            raise ValueError(
                f"config: expected side = 16 * grid or 4 * grid, got side {self.side} and grid {self.grid}"
            )
        if self.channels % 8 or self.channels % (2 * self.heads):
            raise ValueError(
                "config['channels']: expected a multiple of 8 and of 2 * heads, "
                f"got {self.channels} with {self.heads} heads"
            )
        if self.combiner_layers != 0 and self.combiner_layers < 2:
            raise ValueError(
                f"config['combiner_layers']: expected 0 (none) or at least 2, got {self.combiner_layers}"
            )
        if self.sampled_tokens and self.combiner_layers == 0:
            raise ValueError("config['sampled_tokens']: expected False without combiners, got True")
        if self.mlp_activation != "relu":
            raise ValueError(f"config['mlp_activation']: expected 'relu', got {self.mlp_activation!r}")

    @classmethod
    def of(cls, config: Mapping[str, Any] | SamplerConfig) -> SamplerConfig:
        """Check a plain mapping, as read from JSON; raises ValueError or TypeError naming the entry."""
        if isinstance(config, SamplerConfig):
            return config
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise ValueError(f"config: unknown entries {unknown}; known are {sorted(known)}")
        required = known - {"depth", "iou_layers", "combiner_layers", "mlp_activation", *_CHOICES}
        if missing := sorted(required - set(config)):
            raise ValueError(f"config: missing entries {missing}")
        return cls(**dict(config))

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping for JSON and for the native sampler."""
        return asdict(self)

    @property
    def cell(self) -> int:
        """Pixels a side of one cell."""
        return self.side // self.grid

    @property
    def logits_side(self) -> int:
        """4e, the side of a mask's logits."""
        return 4 * self.grid

    @property
    def masks(self) -> int:
        """Hypotheses of one draw of the latents."""
        return self.mask_tokens if self.separate_masks else 1

    @property
    def plain_sam(self) -> bool:
        """Whether it is SAM's own decoder; an A-SAM has combiners, with its latents off too."""
        return self.combiner_layers == 0

    @property
    def cells(self) -> int:
        """P = grid * grid."""
        return self.grid * self.grid
