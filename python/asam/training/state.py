"""What a run needs to go on: written whole or not at all, without pickle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from asam.model.errors import CheckpointError
from asam_trt.files import replacing

_KEEP = 2  # newest states kept, so that one damaged by the disk is not the last


def save_state(
    folder: Path,
    *,
    step: int,
    model: dict[str, torch.Tensor],
    average: dict[str, torch.Tensor],
    optimizer: dict[str, Any],
    record: dict[str, Any],
) -> Path:
    """Write the state after ``step`` steps to ``folder/step-<step>`` and drop all but the newest two."""
    target = folder / f"step-{step:08d}"
    if target.exists():
        return target
    moments = {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entry in optimizer["state"].items()
        for name, value in entry.items()
    }
    with replacing(target) as temporary:
        temporary.mkdir()
        for name, tensors in (("model", model), ("average", average), ("optimizer", moments)):
            copies = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
            save_file(copies, temporary / f"{name}.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": step, **record}, indent=1))
    for old in sorted(folder.glob("step-*"))[:-_KEEP]:
        shutil.rmtree(old)
    return target


def newest_state(folder: Path) -> Path | None:
    """The newest complete state under ``folder``, or None."""
    states = sorted(folder.glob("step-*"))
    return states[-1] if states else None


def load_state(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, torch.Tensor]]]:
    """Read a state: its record and the tensors of "model", "average" and "optimizer".

    Raises:
        CheckpointError: a file is missing or damaged; names it.
    """
    try:
        record = json.loads((path / "state.json").read_text())
        tensors = {
            name: load_file(path / f"{name}.safetensors") for name in ("model", "average", "optimizer")
        }
    except Exception as error:
        raise CheckpointError(f"{path}: expected a complete training state, got: {error}") from error
    return record, tensors


def load_optimizer(optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor]) -> None:
    """Put saved moments back into a freshly built optimiser of the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
