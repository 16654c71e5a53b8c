"""How windows cover a grid whose side they do not divide, without a padded cell."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Stripe(NamedTuple):
    """``windows`` windows one after the other along one axis, from cell ``start``, ``size`` real cells in each."""

    start: int
    windows: int
    size: int


def stripes(grid: int, window: int) -> list[Stripe]:
    """How whole windows and the last, padded one cover an axis of ``grid`` cells."""
    whole, rest = divmod(grid, window)
    found = [Stripe(0, whole, window)] if whole else []
    return [*found, Stripe(whole * window, 1, rest)] if rest else found


def cut(x: torch.Tensor, down: Stripe, right: Stripe) -> torch.Tensor:
    """[B, e, e, H, d] -> windows [B * down.windows * right.windows, H, down.size, right.size, d]."""
    x = x.narrow(1, down.start, down.windows * down.size).narrow(2, right.start, right.windows * right.size)
    x = x.unflatten(2, (right.windows, right.size)).unflatten(1, (down.windows, down.size))
    return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(0, 2)


def put_back(x: torch.Tensor, down: Stripe, right: Stripe) -> torch.Tensor:
    """Inverse of :func:`cut` for the cells that it took: [B, rows, columns, H, d]."""
    x = x.unflatten(0, (-1, down.windows, right.windows))
    return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(3, 4).flatten(1, 2)
