"""Other people's networks, trained and judged by the same harness."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch

from asam.baselines import checkpoint
from asam.baselines.base import Peer, PeerConfig
from asam.baselines.mose import MoSE
from asam.baselines.phiseg import PHiSeg
from asam.baselines.prob_unet import ProbUNet
from asam.baselines.ssn import SSN
from asam.model.checkpoint import FORMAT
from asam.model.checkpoint import load as load_asam
from asam.model.config import ModelConfig
from asam.model.errors import CheckpointError
from asam.model.network import ASAM
from asam.model.presets import fresh_model
from asam.model.torch_zip import is_torch_file

BASELINES: dict[str, type[Peer[Any]]] = {kind.kind: kind for kind in (ProbUNet, PHiSeg, SSN, MoSE)}
"""Peers by the name that ``asam train --method`` and checkpoints give them."""

SAM = "sam"  # A-SAM without latents: the network of the rows "SAM, box shift" and "SAM, point shift"

__all__ = ["BASELINES", "SAM", "SSN", "MoSE", "PHiSeg", "Peer", "PeerConfig", "ProbUNet", "create", "load"]


def create(name: str, *, image_size: int = 128, seed: int = 0) -> Peer[Any] | ASAM:
    """A fresh network; its weights depend on the seed alone.

    Args:
        name: key of :data:`BASELINES`, or "sam": A-SAM's "nano" without latents, a SAM that gives one mask.
        image_size: S in pixels, a multiple of 16.
        seed: of the weights.

    Raises:
        ValueError: an unknown name or a bad size.
    """
    if name != SAM and name not in BASELINES:
        raise ValueError(f"method: expected one of {[*BASELINES, SAM]}, got {name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == SAM:
            fields = fresh_model("asam", backbone="nano", image_size=image_size, latents=())
            return ASAM(ModelConfig.from_dict(fields))
        network = BASELINES[name]
        return network(network.Config(image_size=image_size))


def load(path: str | PathLike[str]) -> Peer[Any] | ASAM:
    """Read the checkpoint of a peer or of an A-SAM, published weights too; in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, foreign, or does not fit its own configuration.
    """
    if is_torch_file(Path(path)):
        return load_asam(path)
    header = checkpoint.read_header(path)
    if "kind" not in header:
        return load_asam(path)
    kind = header["kind"]
    if kind not in BASELINES:
        raise CheckpointError(f"{path}: expected a network of {sorted(BASELINES)}, got {kind!r}")
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected checkpoint format {FORMAT}, got {header.get('format')!r}; "
            "read it with the version of asam that wrote it"
        )
    network = BASELINES[kind]
    try:
        model = network(network.Config.from_dict(header["config"]))
        model.load_state_dict(checkpoint.read_tensors(path))
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: expected a {kind} that fits its own configuration, got: {error}"
        ) from error
    return model.eval()
