"""Segment Anything's own modules, built for any image side and any number of mask tokens."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn

from asam.model.config import PATCH, ModelConfig, TinyViTSizes
from asam.model.grid_encoder import GridEncoder
from asam.model.tiny_vit import TinyViT


def image_encoder(config: ModelConfig) -> ImageEncoderViT | TinyViT:
    """Image [B, 3, S, S] -> embedding [B, C, e, e]: SAM's own ViT, or MobileSAM's TinyViT.

    Windowed blocks pad the grid with zeros to whole windows, after their norm. At e = 8 that is one window of
    14 x 14: 64 cells, and 132 padded ones whose keys and values are the biases of the projections. They count in the
    softmax, as in SAM; their queries are dropped. SAM's weights know such a window: at S = 1024, where
    64 = 4 * 14 + 8, it is the one in the bottom right corner.
    """
    channels, sizes = config.sizes.channels, config.sizes.encoder
    if isinstance(sizes, TinyViTSizes):
        return TinyViT(sizes, channels=channels)
    return ImageEncoderViT(
        img_size=config.image_size,
        patch_size=PATCH,
        embed_dim=sizes.embed_dim,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=4,
        out_chans=channels,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=sizes.window,
        global_attn_indexes=sizes.global_blocks,
    )


def on_grid(encoder: ImageEncoderViT | TinyViT) -> GridEncoder | TinyViT:
    """What computes an encoder without its padded cells."""
    return encoder if isinstance(encoder, TinyViT) else GridEncoder(encoder)


def prompt_encoder(config: ModelConfig) -> PromptEncoder:
    """Points, boxes and masks in model space -> tokens [B, t, C] and a dense embedding [B, C, e, e]."""
    return PromptEncoder(
        embed_dim=config.sizes.channels,
        image_embedding_size=(config.grid, config.grid),
        input_image_size=(config.image_size, config.image_size),
        mask_in_chans=16,
    )


def mask_decoder(config: ModelConfig) -> MaskDecoder:
    """SAM's decoder with K mask tokens beside its single-mask one."""
    sizes = config.sizes
    return MaskDecoder(
        transformer_dim=sizes.channels,
        transformer=TwoWayTransformer(
            depth=2,
            embedding_dim=sizes.channels,
            num_heads=sizes.decoder_heads,
            mlp_dim=sizes.decoder_mlp,
        ),
        num_multimask_outputs=config.mask_tokens,
        iou_head_hidden_dim=sizes.iou_hidden,
    )


class Decoded(NamedTuple):
    """What the mask decoder gives before its masks are formed, of N rows.

    upscaled U: [N, C/8, 4e, 4e]; hyper h_k: [N, K, C/8]; quality iou_k: [N, K]; k = 1..K.
    """

    upscaled: torch.Tensor
    hyper: torch.Tensor
    quality: torch.Tensor

    def masks(self) -> torch.Tensor:
        """h_k . U: the mask of every token, [N, K, 4e, 4e]."""
        return torch.einsum("nkc,nchw->nkhw", self.hyper, self.upscaled)

    def weighed(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [N, 4e, 4e] and scores [N] of the ensemble, equation (13), for weights w [K].

        The masks are summed before they are formed: sum_k w_k (h_k . U) = (sum_k w_k h_k) . U.
        """
        summed = torch.einsum("k,nkc->nc", weights, self.hyper)
        return torch.einsum("nc,nchw->nhw", summed, self.upscaled), self.quality @ weights


def decode(
    decoder: MaskDecoder, source: torch.Tensor, position: torch.Tensor, tokens: torch.Tensor
) -> Decoded:
    """The mask decoder up to its last product.

    ``MaskDecoder.forward`` repeats one image for all its prompts; here every row has an image of its own.

    Args:
        source: [N, C, e, e], image plus dense prompt embedding.
        position: [1, C, e, e], dense positional encoding.
        tokens: [N, t, C], prompt tokens.
    """
    rows, channels, height, width = source.shape
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    queries = torch.cat([output_tokens.expand(rows, -1, -1), tokens], dim=1)
    hidden, cells = decoder.transformer(source, position.expand(rows, -1, -1, -1), queries)

    upscaled = decoder.output_upscaling(cells.transpose(1, 2).reshape(rows, channels, height, width))
    heads = list(decoder.output_hypernetworks_mlps)[1:]
    hyper = torch.stack([head(hidden[:, 2 + k]) for k, head in enumerate(heads)], dim=1)
    return Decoded(upscaled, hyper, decoder.iou_prediction_head(hidden[:, 0])[:, 1:])
