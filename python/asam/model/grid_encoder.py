"""SAM's image encoder, written so that no padded cell is computed. Equal to it in real arithmetic.

SAM's windowed blocks pad the grid with zeros to whole windows, after their norm. A padded cell's key and value are then
the biases of the projections, b_k and b_v, the same for all of them, and its query is never read. What is left of the
padded keys of a query q is a share of the softmax:

    sum over padded (y, x) of exp(q . b_k / sqrt(d) + h_y + w_x),    h_y = q . R^h_y,  w_x = q . R^w_x

Rows y and columns x are each either real or padded, so that the sum is over two rectangles,

    exp(q . b_k / sqrt(d)) (sum_real y exp(h_y) sum_padded x exp(w_x) + sum_padded y exp(h_y) sum_all x exp(w_x)),

which takes at most two keys a column in place of up to w^2: at S = 128, 64 + 14 keys and not 196 a window.
"""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import nn

from asam.model.projection import project
from asam_trt.torch_parts.windows import Stripe, cut, put_back, stripes


class GridEncoder(nn.Module):
    """Image [B, 3, S, S] -> embedding [B, C, e, e], with the parameters of a SAM image encoder."""

    def __init__(self, encoder: ImageEncoderViT) -> None:
        super().__init__()
        self.encoder = encoder
        grid = encoder.img_size // encoder.patch_embed.proj.stride[0]
        self.attention = nn.ModuleList(
            GridAttention(block.attn, window=block.window_size or grid, grid=grid) for block in encoder.blocks
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """As :meth:`ImageEncoderViT.forward`, block by block."""
        x = self.encoder.patch_embed(image)
        if self.encoder.pos_embed is not None:
            x = x + self.encoder.pos_embed
        for block, attention in zip(self.encoder.blocks, self.attention, strict=True):
            x = x + attention(block.norm1(x))
            mlp = block.mlp
            x = x + project(mlp.lin2, mlp.act(project(mlp.lin1, block.norm2(x))))
        embedding: torch.Tensor = self.encoder.neck(x.permute(0, 3, 1, 2))
        return embedding


class GridAttention(nn.Module):
    """One block's attention on the grid itself: [B, e, e, D] -> [B, e, e, D].

    Args:
        attention: SAM's, with relative positions.
        window: cells a side of a window; the grid's side for a global block.
        grid: e.
    """

    def __init__(self, attention: Attention, *, window: int, grid: int) -> None:
        super().__init__()
        self.source = attention
        self.window = window
        self.stripes = stripes(grid, window)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, grid, _, channels = x.shape
        heads = self.source.num_heads
        q, k, v = project(self.source.qkv, x).unflatten(-1, (3, heads, channels // heads)).unbind(3)
        lines = []
        for down in self.stripes:
            tiles = [self._windows(q, k, v, down, right) for right in self.stripes]
            lines.append(torch.cat(tiles, dim=2))
        mixed = torch.cat(lines, dim=1).reshape(rows, grid, grid, channels)
        return project(self.source.proj, mixed)

    def _windows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, down: Stripe, right: Stripe
    ) -> torch.Tensor:
        """Windows with as many real cells each: [B, e, e, H, d] -> their cells [B, rows, columns, H, d]."""
        q, k, v = (cut(x, down, right) for x in (q, k, v))  # [N, H, h, w, d]
        high, wide = down.size, right.size
        relative_h, relative_w = self._relative(q, high, wide)  # [N, H, h, w, window]
        scaled = (q * self.source.scale).flatten(2, 3)
        score = scaled @ k.flatten(2, 3).transpose(-2, -1)
        place = relative_h[..., :high, None] + relative_w[..., None, :wide]
        score = score + place.flatten(-2).flatten(2, 3)

        padded = self._padded(relative_h, relative_w, high, wide)
        if not padded:
            mixed = score.softmax(dim=-1) @ v.flatten(2, 3)
            return put_back(mixed.unflatten(2, (high, wide)), down, right)
        key, value = self._biases(q)
        extra = torch.cat(padded, dim=-1).flatten(2, 3) + scaled @ key
        share = torch.cat([score, extra], dim=-1).softmax(dim=-1)
        real, rest = share.split([score.shape[-1], extra.shape[-1]], dim=-1)
        mixed = real @ v.flatten(2, 3) + rest.sum(dim=-1, keepdim=True) * value
        return put_back(mixed.unflatten(2, (high, wide)), down, right)

    def _relative(self, q: torch.Tensor, high: int, wide: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What a query adds for each row and column of its window, padded ones too."""
        tables = [
            get_rel_pos(self.window, self.window, table)
            for table in (self.source.rel_pos_h, self.source.rel_pos_w)
        ]
        return (
            torch.einsum("nhyxd,ykd->nhyxk", q, tables[0][:high]),
            torch.einsum("nhyxd,xkd->nhyxk", q, tables[1][:wide]),
        )

    def _padded(
        self, relative_h: torch.Tensor, relative_w: torch.Tensor, high: int, wide: int
    ) -> list[torch.Tensor]:
        """Logarithms of what columns of padded keys add to the softmax's sum, without q . b_k."""
        found = []
        if wide < self.window:
            real_rows = relative_h[..., :high].logsumexp(dim=-1, keepdim=True)
            found.append(real_rows + relative_w[..., wide:])
        if high < self.window:
            padded_rows = relative_h[..., high:].logsumexp(dim=-1, keepdim=True)
            found.append(padded_rows + relative_w)
        return found

    def _biases(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Key and value of a padded cell: [H, d, 1] and [H, 1, d]."""
        shape = (3, like.shape[1], like.shape[-1])
        bias: Any = self.source.qkv.bias
        _, key, value = (like.new_zeros(shape) if bias is None else bias.reshape(shape)).unbind(0)
        return key[:, :, None], value[:, None, :]
