"""The parameters of a model by group: how many there are, and how many of them train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from asam.model.lora import is_adapter

IMAGE_ENCODER = "image_encoder"
ADAPTERS = "image_encoder adapters"
SINGLE_MASK_HEAD = "mask_decoder single-mask head"


class ParameterGroup(NamedTuple):
    """One row: numbers in the group, and how many of them train."""

    name: str
    size: int
    trained: int


class ParameterTable(NamedTuple):
    """What :func:`trainable_parameters` returns; prints as a table."""

    rows: tuple[ParameterGroup, ...]

    @property
    def total(self) -> ParameterGroup:
        """The sum of all rows."""
        return ParameterGroup("total", sum(r.size for r in self.rows), sum(r.trained for r in self.rows))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows = [*self.rows, self.total]
        wide = max(len(r.name) for r in rows)
        yield f"{'parameters':<{wide}}  {'size':>13}  {'trained':>13}"
        for row in rows:
            trained = f"{row.trained:,}" if row.trained else "-"
            yield f"{row.name:<{wide}}  {row.size:>13,}  {trained:>13}"


def trainable_parameters(model: nn.Module) -> ParameterTable:
    """Count the parameters of ``model`` by group."""
    sizes: dict[str, list[int]] = {name: [0, 0] for name in groups(model)}
    for name, parameter in model.named_parameters():
        entry = sizes[group_of(name)]
        entry[0] += parameter.numel()
        entry[1] += parameter.numel() * parameter.requires_grad
    return ParameterTable(tuple(ParameterGroup(name, *entry) for name, entry in sizes.items()))


def groups(model: nn.Module) -> list[str]:
    """Names of the groups that ``model`` has, in the order of its parameters."""
    return list(dict.fromkeys(group_of(name) for name, _ in model.named_parameters()))


def group_of(name: str) -> str:
    """The group of one parameter, by its full name."""
    if is_adapter(name):
        return ADAPTERS
    if name.startswith("mask_decoder.output_hypernetworks_mlps.0."):
        return SINGLE_MASK_HEAD
    return name.split(".", 1)[0]
