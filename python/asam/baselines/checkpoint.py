"""Checkpoints of peers: safetensors whose header says which network it is, beside A-SAM's own format."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from asam.model.checkpoint import FORMAT
from asam.model.errors import CheckpointError
from asam_trt.files import replacing

HEADER = "asam"  # metadata key, the same as A-SAM's


def write(
    path: str | PathLike[str], *, kind: str, config: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> None:
    """Write one file, under a temporary name first."""
    header = json.dumps({"format": FORMAT, "kind": kind, "config": config}, sort_keys=True)
    copies = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with replacing(path) as temporary:
        save_file(copies, temporary, metadata={HEADER: header})


def read_header(path: str | PathLike[str]) -> dict[str, Any]:
    """The header of a peer or of an A-SAM; the latter has no "kind".

    Raises:
        CheckpointError: the file is missing, damaged or foreign.
    """
    try:
        with safe_open(Path(path), framework="pt") as reader:
            found = json.loads((reader.metadata() or {}).get(HEADER, "null"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected a checkpoint written by asam, got: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected a header '{HEADER}' as asam writes it, got {found!r}")
    return found


def read_tensors(path: str | PathLike[str]) -> dict[str, torch.Tensor]:
    """All tensors of a file whose header has been read.

    Raises:
        CheckpointError: the file is damaged, or holds NaN or infinity.
    """
    try:
        with safe_open(Path(path), framework="pt") as reader:
            tensors = {key: reader.get_tensor(key) for key in reader.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: expected a whole safetensors file, got: {error}") from error
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: expected finite numbers in {key}, got NaN or infinity")
    return tensors
