"""Weights in the published A-SAM format: one file of several epochs, read as the preset ``a2sam``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from asam.model.config import PATCH, ModelConfig
from asam.model.errors import CheckpointError
from asam.model.presets import PRESETS
from asam.model.torch_file import KINDS, check_dense, described, named_tensors, read_torch_file

if TYPE_CHECKING:
    from asam.model.network import ASAM

_EPOCH = re.compile(r"epoch_(\d+)")
_STATE, _WEIGHTS = "model_state_dict", "mask_weights"
_TWIN = "lora_sam."  # the published network registers its SAM twice

_log = logging.getLogger("asam")

# Published name of a latent network -> ours.
_LATENT_NETS = {
    "prior_object": "image_prior",
    "posterior_object": "image_posterior",
    "prior_box": "prompt_prior",
    "posterior_box": "prompt_posterior",
}
_COMBINERS = {"fcomb_object": "combiner_image", "fcomb_box": "combiner_prompt"}
_ADAPTERS = {"linear_a_q": "down.q", "linear_b_q": "up.q", "linear_a_v": "down.v", "linear_b_v": "up.v"}
_FULL_LAYERS = 3  # fc1, fc2, fc3
_UPWARD_LAYERS = 5  # every third module of box_conv: convolution, ReLU, doubling
_COMBINER_LAYERS = 3  # every second module of layers; then last_layer


def read_epochs(path: Path, wanted: tuple[int, ...] | None) -> dict[int, ASAM]:
    """Networks of some epochs of a published file, in evaluation mode, on the CPU.

    Args:
        path: written by the published training script; read as weights only.
        wanted: epochs, each once; None is the last one that the file has.

    Raises:
        CheckpointError: no such file or epoch, or tensors that are missing, foreign or of another shape; named.
    """
    entries = _entries(path)
    chosen = (max(entries),) if wanted is None else wanted
    if missing := sorted(set(chosen) - set(entries)):
        raise CheckpointError(f"{path}: expected epochs out of {sorted(entries)}, got {missing}")
    _log.info("%s: epochs %s, of which %s are read", path, sorted(entries), list(chosen))
    return {epoch: network_of(f"{path}, epoch {epoch}", entries[epoch]) for epoch in chosen}


def _entries(path: Path) -> dict[int, dict[str, Any]]:
    found = read_torch_file(path)
    if not isinstance(found, dict) or not found:
        raise CheckpointError(f"{path}: expected epochs by name, 'epoch_<n>', got {type(found).__name__}")
    entries = {}
    for name, entry in found.items():
        match = _EPOCH.fullmatch(str(name))
        if match is None:
            raise CheckpointError(f"{path}: expected {KINDS}, got {described(found)}")
        if not isinstance(entry, dict) or set(entry) != {_STATE, _WEIGHTS}:
            raise CheckpointError(f"{path}: expected {name} to hold {_STATE} and {_WEIGHTS}")
        entries[int(match[1])] = entry
    return entries


def network_of(where: str, entry: dict[str, Any]) -> ASAM:
    """One epoch's entry as a network.

    Args:
        where: file and epoch, for errors.
        entry: "model_state_dict" and "mask_weights" [K, 1].

    Raises:
        CheckpointError: tensors that are missing, foreign or of another shape; named.
    """
    from asam.model.network import ASAM

    state, weights = named_tensors(where, entry[_STATE]), entry[_WEIGHTS]
    if not isinstance(weights, torch.Tensor) or weights.ndim != 2 or weights.shape[1] != 1:
        raise CheckpointError(f"{where}: expected {_STATE} of tensors and {_WEIGHTS} [K, 1]")
    for name, value in {**state, _WEIGHTS: weights}.items():
        check_dense(where, name, value)
    with torch.device("meta"):  # weights that the file replaces need not be drawn
        network = ASAM(_config(where, state, weights))
    own = network.state_dict()
    loaded = {"ensemble": weights[:, 0]}
    sources = {"ensemble": _WEIGHTS}
    for name, value in _distinct(where, state):
        key = _translated(name, network)
        if key not in own:
            raise CheckpointError(f"{where}: expected only tensors that the network has, got {name}")
        loaded[key], sources[key] = value, name
    for key, value in own.items():
        if key not in loaded:
            raise CheckpointError(f"{where}: expected {key} {tuple(value.shape)}, got no tensor for it")
        if loaded[key].shape != value.shape:
            raise CheckpointError(
                f"{where}: expected {sources[key]} {tuple(value.shape)}, got {tuple(loaded[key].shape)}"
            )
        if not torch.isfinite(loaded[key]).all():
            raise CheckpointError(f"{where}: expected finite numbers in {sources[key]}, got NaN or infinity")
    network.load_state_dict({k: v.float() for k, v in loaded.items()}, assign=True)
    return network.eval()


def _config(where: str, state: dict[str, torch.Tensor], weights: torch.Tensor) -> ModelConfig:
    """The preset, with the sizes that differ between the published data sets."""
    base = PRESETS["a2sam"].model
    table = _needed(where, state, "sam.image_encoder.pos_embed", 4)
    image = _needed(where, state, "prior_object.encoder.layers.0.weight", 4)
    adapter = _needed(where, state, "sam.image_encoder.blocks.0.attn.qkv.linear_a_q.weight", 2)
    try:
        return replace(
            base,
            image_size=table.shape[1] * PATCH,
            mask_tokens=len(weights),
            image_prior_channels=image.shape[1],
            lora_rank=len(adapter),
            lora_alpha=float(len(adapter)),
        )
    except ValueError as error:
        raise CheckpointError(f"{where}: expected a network of the published kind, got {error}") from error


def _needed(where: str, state: dict[str, torch.Tensor], name: str, dimensions: int) -> torch.Tensor:
    value = state.get(name)
    if value is None or value.ndim != dimensions:
        got = "no such tensor" if value is None else tuple(value.shape)
        raise CheckpointError(f"{where}: expected {name} of {dimensions} dimensions, got {got}")
    return value


def _distinct(where: str, state: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor once: the second registration of SAM has to equal the first."""
    for name, value in state.items():
        if not name.startswith(_TWIN):
            yield name, value
            continue
        twin = state.get(name.removeprefix(_TWIN))
        if twin is None or twin.shape != value.shape or not torch.equal(twin, value):
            raise CheckpointError(
                f"{where}: expected {name} equal to {name.removeprefix(_TWIN)}, got another"
            )


def _translated(name: str, network: ASAM) -> str:
    """Our name of a published tensor; one that is not known comes back as it is."""
    part, _, rest = name.partition(".")
    if part == "sam":
        rest = re.sub(rf"\.qkv\.({'|'.join(_ADAPTERS)})\.weight$", lambda m: f".qkv.{_ADAPTERS[m[1]]}", rest)
        return re.sub(r"\.qkv\.qkv\.(weight|bias)$", r".qkv.\1", rest)
    owner, _, kind = rest.rpartition(".")
    if part in _LATENT_NETS:
        ours = _LATENT_NETS[part]
        return f"{ours}.{_latent_modules(network.get_submodule(ours)).get(owner, owner)}.{kind}"
    if part in _COMBINERS:
        places = {f"layers.{2 * i}": f"layers.{i}" for i in range(_COMBINER_LAYERS)}
        places["last_layer"] = f"layers.{_COMBINER_LAYERS}"
        return f"{_COMBINERS[part]}.{places.get(owner, owner)}.{kind}"
    return name


def _latent_modules(net: torch.nn.Module) -> dict[str, str]:
    """Published module of a latent network -> ours. Theirs is one sequence over all blocks, ours one a block."""
    blocks = net.get_submodule("head.blocks").children()
    flat = [f"head.blocks.{i}.{j}" for i, block in enumerate(blocks) for j, _ in enumerate(block.children())]
    return {
        **{f"encoder.layers.{i}": place for i, place in enumerate(flat)},
        "conv_layer": "head.output",
        **{f"fc{i + 1}": f"full.{i}" for i in range(_FULL_LAYERS)},
        **{f"box_conv.{3 * i}": f"upward.{i}" for i in range(_UPWARD_LAYERS)},
    }
