"""Files of ``torch.save``: read as weights only, their tensors checked, and what they look like in words."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError

from asam.model.config import PATCH
from asam.model.errors import CheckpointError
from asam.model.torch_zip import check_records, is_torch_file
from asam_trt.encoder_spec import MOST_SIDE

KINDS = (
    "an A-SAM that asam wrote (.safetensors), published A-SAM weights (.pth with entries 'epoch_<n>') or SAM's state "
    "dict (sam_vit_*.pth, MobileSAM's mobile_sam.pt or LiteMedSAM's lite_medsam.pth)"
)
"""What is read."""

POSITION = "image_encoder.pos_embed"  # SAM's own encoders have it
PATCHES = "image_encoder.patch_embed.seq.0.c.weight"  # TinyViT has it, and no position table
TOKENS = "mask_decoder.mask_tokens.weight"
_MOST_CELLS = MOST_SIDE // PATCH
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_DAMAGE = (
    UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    SafetensorError,  # of a file named .safetensors
)  # what PyTorch raises on damaged files


def read_torch_file(path: Path, *, mapped: bool = False) -> Any:
    """What a file holds, on the CPU; ``mapped`` leaves its tensors on the disk, and their checksums unread.

    Raises:
        CheckpointError: the file is damaged or holds anything but tensors and plain containers.
    """
    check_records(path, tensors=not mapped)
    try:
        # Files from before the zip cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and is_torch_file(path))
    except _DAMAGE as error:
        # What PyTorch says of a pickle with other objects advises to load them.
        foreign = isinstance(error, UnpicklingError)
        first = "something else" if foreign else (str(error) or repr(error)).splitlines()[0]
        raise CheckpointError(f"{path}: expected a file of tensors only, got: {first}") from error


def is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle does, and not as safetensors; older versions of PyTorch wrote such."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[0] == 0x80 and head[8:] != b"{"


def named_tensors(where: str | Path, found: Any) -> dict[str, torch.Tensor]:
    """``found``, if it is a dict of tensors by name.

    Raises:
        CheckpointError: it is not; names the entry.
    """
    if not isinstance(found, dict):
        raise CheckpointError(f"{where}: expected a dict of tensors by name, got {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"{where}: expected a dict of tensors by name, got {type(value).__name__} by the name {name!r}"
            )
    return found


def check_dense(where: str | Path, name: str, value: torch.Tensor) -> None:
    """Refuse a tensor that is no plain array of floating point numbers, all of them in the file.

    Raises:
        CheckpointError: names the tensor and what it is.
    """
    kind = "without numbers (meta)" if value.is_meta else str(value.layout).removeprefix("torch.")
    if value.is_meta or value.layout != torch.strided or value.dtype not in _FLOATS:
        raise CheckpointError(
            f"{where}: expected {name} as a dense tensor of floating point numbers, got {value.dtype}, {kind}"
        )
    needed, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
    if needed > stored:
        raise CheckpointError(
            f"{where}: expected {name} with all its numbers, got {tuple(value.shape)}, {needed} bytes, of which "
            f"the file holds {stored}; save it contiguous"
        )


def check_position(where: str | Path, value: torch.Tensor) -> None:
    """Refuse a position table that is of no square image.

    Raises:
        CheckpointError: names its shape.
    """
    check_dense(where, POSITION, value)
    shape = tuple(value.shape)
    if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or not 1 <= shape[1] <= _MOST_CELLS:
        raise CheckpointError(
            f"{where}: expected {POSITION} as a square table [1, e, e, channels], e from 1 to {_MOST_CELLS}, "
            f"got {shape}"
        )


def described(found: dict[Any, Any]) -> str:
    """What a dict that is of none of the kinds looks like, and what to do about it."""
    for name, value in found.items():
        if isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values()):
            name = str(name)[:80]
            return f"a dict with a state dict under {name!r}; save that one by itself"
    names = [str(name)[:80] for name in found]
    if all(name.startswith("module.") for name in names):
        return (
            "a state dict whose names begin with 'module.', as DataParallel writes them; save that of the network "
            "inside it, network.module.state_dict()"
        )
    missing = [name for name in (PATCHES if PATCHES in found else POSITION, TOKENS) if name not in found]
    if len(missing) == 1:
        return f"SAM's state dict without {missing[0]}"
    if missing:
        return f"a dict with the entry {names[0]!r}" if names else "an empty dict"
    other = [str(name)[:80] for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if other:
        return f"SAM's state dict with {other[0]!r} in it, which is no tensor; save the tensors alone"
    return (
        "SAM's state dict, which has no latents; official SAM weights go to asam build, "
        "or to asam train --sam-checkpoint"
    )
