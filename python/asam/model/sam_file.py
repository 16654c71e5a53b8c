"""SAM's state dicts by their tensors: which backbone one is of, and what in it no model here uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from asam.model.config import BACKBONES, ViTSizes
from asam.model.errors import CheckpointError
from asam.model.torch_file import (
    PATCHES,
    POSITION,
    check_dense,
    check_position,
    described,
    named_tensors,
    read_torch_file,
)

PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
"""How the names of SAM's tensors begin."""

_BLOCK = "image_encoder.blocks."
# TinyViT's: the classifier that it was distilled with, and how many batches its norms have seen.
_CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
_COUNT = ".num_batches_tracked"

VITS: dict[str, tuple[int, int]] = {
    name: (sizes.encoder.embed_dim, sizes.encoder.depth)
    for name, sizes in BACKBONES.items()
    if isinstance(sizes.encoder, ViTSizes)
}
"""Width and number of blocks of SAM's own image encoders."""
TINY_VITS: dict[tuple[int, ...], str] = {(3, 3): "vit_t", (1, 1): "lite_medsam"}
"""Backbones by the kernels of their patches: MobileSAM's, and LiteMedSAM's, whose first stage is at every pixel."""


def read_sam(file: Path, *, mapped: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of SAM's state dict; ``mapped`` leaves them on the disk.

    Raises:
        CheckpointError: the file is damaged or holds something else.
    """
    found = read_torch_file(file, mapped=mapped)
    if isinstance(found, dict) and not any(str(name).startswith(PARTS) for name in found):
        raise CheckpointError(
            f"{file}: expected SAM's state dict (sam_vit_*.pth, mobile_sam.pt, lite_medsam.pth), got {described(found)}"
        )
    return named_tensors(file, found)


def known_backbone(where: str | Path, state: Mapping[str, torch.Tensor]) -> str:
    """The backbone that a state dict is of.

    Raises:
        CheckpointError: it is of none that is known; says of which sizes. And as `backbone_of`.
    """
    backbone = backbone_of(where, state)
    if backbone is not None:
        return backbone
    if POSITION not in state:
        raise CheckpointError(f"{where}: expected {POSITION} or {PATCHES}, got neither")
    raise CheckpointError(
        f"{where}: expected a backbone of (width, blocks) out of {VITS}, or one of {list(TINY_VITS.values())}, came "
        f"{vit_sizes(state)} with position table {tuple(state[POSITION].shape)}"
    )


def backbone_of(where: str | Path, state: Mapping[str, torch.Tensor]) -> str | None:
    """The backbone that a state dict is of, a key of :data:`BACKBONES`; None where it is none of them.

    Raises:
        CheckpointError: a position table of no square image, TinyViT's tensors with patches of other kernels, or both
            of them, which are of two image encoders.
    """
    if PATCHES in state and POSITION in state:
        raise CheckpointError(
            f"{where}: expected {POSITION} of SAM's own image encoder or {PATCHES} of a TinyViT, came both; save the "
            "state dict of one network by itself"
        )
    if PATCHES in state:
        return _tiny_vit(where, state[PATCHES])
    if POSITION not in state:
        return None
    check_position(where, state[POSITION])
    return next((name for name, sizes in VITS.items() if sizes == vit_sizes(state)), None)


def vit_sizes(state: Mapping[str, torch.Tensor]) -> tuple[int, int]:
    """Width and number of blocks of SAM's own image encoder, as :data:`VITS` has them."""
    return state[POSITION].shape[-1], len({key.split(".")[2] for key in state if key.startswith(_BLOCK)})


def used(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``state`` without what TinyViT's training alone used."""
    if PATCHES not in state:
        return state
    return {k: v for k, v in state.items() if not k.startswith(_CLASSIFIER) and not k.endswith(_COUNT)}


def _tiny_vit(where: str | Path, patches: torch.Tensor) -> str:
    check_dense(where, PATCHES, patches)
    backbone = TINY_VITS.get(tuple(patches.shape[2:]))
    if backbone is None:
        raise CheckpointError(
            f"{where}: expected {PATCHES} with kernels of 3 x 3, as MobileSAM's, or 1 x 1, as LiteMedSAM's, got "
            f"{tuple(patches.shape)}"
        )
    return backbone
