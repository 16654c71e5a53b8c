"""Low-rank adapters (LoRA, Hu et al., ICLR 2022) on projections of SAM's image encoder."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from torch.nn import functional

from asam.model.config import LORA_TARGETS


class LowRankLinear(nn.Linear):
    """A linear layer with adapters: y = W x + b, and in each adapted span of rows + (alpha / rank) up (down x).

    ``weight`` and ``bias`` keep their names, so the state of the plain layer still fits.

    Args:
        base: the layer to adapt; its parameters are taken over, not copied.
        rank: columns of ``up``, rows of ``down``.
        alpha: scale of the adapters, times rank.
        spans: name -> (first, past last) output row. ``down`` begins random and ``up`` zero, so the layer begins
            as ``base``.
    """

    def __init__(
        self, base: nn.Linear, *, rank: int, alpha: float, spans: Mapping[str, tuple[int, int]]
    ) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.scale = alpha / rank
        self.spans = dict(spans)
        self.down = nn.ParameterDict()
        self.up = nn.ParameterDict()
        for name, (start, stop) in spans.items():
            down = base.weight.new_empty(rank, base.in_features)
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            self.down[name] = nn.Parameter(down)
            self.up[name] = nn.Parameter(base.weight.new_zeros(stop - start, rank))
        self.train(base.training)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        return self.adapted(super().forward(input), input)

    def adapted(self, out: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
        """W x + b, which is changed in place, and x -> y."""
        for name, (start, stop) in self.spans.items():
            change = functional.linear(functional.linear(input, self.down[name]), self.up[name])
            out.narrow(-1, start, stop - start).add_(change, alpha=self.scale)
        return out

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The plain layer of the same function; the sum is formed in float64 and rounded once."""
        weight = self.weight.to(torch.float64, copy=True)
        for name, (start, stop) in self.spans.items():
            weight[start:stop] += self.scale * (self.up[name].double() @ self.down[name].double())
        plain = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        plain.weight, plain.bias = nn.Parameter(weight.to(self.weight.dtype)), self.bias
        return plain.train(self.training)


def install(encoder: ImageEncoderViT, *, rank: int, alpha: float, targets: Sequence[str]) -> None:
    """Put adapters on ``targets``, keys of :data:`asam.model.config.LORA_TARGETS`, in every block."""
    by_layer: dict[str, list[str]] = defaultdict(list)
    for target in targets:
        by_layer[LORA_TARGETS[target].layer].append(target)
    for block in encoder.blocks:
        for path, names in by_layer.items():
            base = block.get_submodule(path)
            assert isinstance(base, nn.Linear)
            spans = {}
            for name in names:
                part, parts = LORA_TARGETS[name].part, LORA_TARGETS[name].parts
                height = base.out_features // parts
                spans[name] = (part * height, (part + 1) * height)
            block.set_submodule(path, LowRankLinear(base, rank=rank, alpha=alpha, spans=spans))


def merge(encoder: nn.Module) -> None:
    """Replace every adapted layer of an image encoder by the plain one of the same function; none is left alone."""
    adapted = {k: m for k, m in encoder.named_modules() if isinstance(m, LowRankLinear)}
    for path, layer in adapted.items():
        encoder.set_submodule(path, layer.merged())


def is_adapter(name: str) -> bool:
    """Whether a parameter of the model, by its full name, belongs to an adapter."""
    return name.startswith("image_encoder.blocks.") and (".down." in name or ".up." in name)
