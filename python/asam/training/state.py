"""What a run needs to go on: written whole or not at all, without pickle."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file, save_file

from asam.model.checkpoint import check_tensors
from asam.model.errors import CheckpointError
from asam_trt.files import replacing

_MOST_GED = 1e6  # far beyond any; larger is damage
_KEEP = 2  # newest states kept, so that one damaged by the disk is not the last


class DamagedState(CheckpointError):
    """A file of a state is missing, cut short, or holds what no run writes: an older state may do."""


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
    with replacing(target) as temporary:
        temporary.mkdir()
        for name, tensors in (("model", model), ("average", average), ("optimizer", moments_of(optimizer))):
            copies = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
            save_file(copies, temporary / f"{name}.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": step, **record}, indent=1))
    for old in sorted(folder.glob("step-*"))[:-_KEEP]:
        shutil.rmtree(old)
    return target


def moments_of(optimizer: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Those in the state of an AdamW, by "<index of the parameter>.<name>"."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entry in optimizer["state"].items()
        for name, value in entry.items()
    }


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove what a killed run was writing to files and folders of these names; no other run may be writing now."""
    for name in names:
        for path in folder.glob(f".{name}.*.tmp"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def cut_log(file: Path, step: int) -> None:
    """Drop the lines of steps after ``step``, which a resumed run writes again, and a line that is half written."""
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    kept = "".join(f"{line}\n" for line in text.splitlines() if _step_of(line) <= step)
    if kept != text:
        with replacing(file) as temporary:
            temporary.write_text(kept, encoding="utf-8")


def _step_of(line: str) -> float:
    """Infinity where the line says none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return math.inf


def newest_state(folder: Path) -> Path | None:
    """The newest complete state under ``folder``, or None."""
    states = sorted(folder.glob("step-*"))
    return states[-1] if states else None


def state_to_resume(folder: Path) -> Path:
    """The newest complete state under ``folder``.

    Raises:
        ValueError: there is none.
    """
    newest = newest_state(folder)
    if newest is None:
        raise ValueError(
            f"{folder}: expected a state to resume from, got none; leave resume=True out to start anew"
        )
    return newest


def check_vacant(output: Path) -> None:
    """Raise ValueError where a folder holds a run already."""
    newest = newest_state(output / "states")
    if newest is not None or any(output.glob("*.safetensors")):
        far = "" if newest is None else f", at step {step_of(newest)}"
        raise ValueError(
            f"{output}: holds a run already{far}; go on with it by resume=True, or choose another output folder"
        )


def step_of(state: Path) -> int:
    """The step that the folder of a state is named by; -1 where it has no such name."""
    text = state.name.removeprefix("step-")
    return int(text) if text.isdecimal() else -1


def is_finished(output: Path, steps: int) -> bool:
    """Whether a run of so many steps has nothing left to do: its last state is judged, its checkpoints are newer."""
    newest = newest_state(output / "states")
    if newest is None:
        return False
    try:
        record = json.loads((newest / "state.json").read_text())
        saved, written = ((newest / "state.json").stat(), (output / "last.safetensors").stat())
        whole = record["step"] == record["judged_step"] == steps and saved.st_mtime_ns <= written.st_mtime_ns
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return whole and (output / "best.safetensors").is_file()


def load_state(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, torch.Tensor]]]:
    """Read a state: its record and the tensors of "model", "average" and "optimizer".

    Raises:
        DamagedState: a file is missing or damaged, a number is not finite, or the record is no record of this state;
            names it.
    """
    try:
        record = json.loads((path / "state.json").read_text())
        tensors = {
            name: load_file(path / f"{name}.safetensors") for name in ("model", "average", "optimizer")
        }
    except Exception as error:
        raise DamagedState(f"{path}: expected a complete training state, got: {error}") from error
    _check_record(path / "state.json", record)
    for name, found in tensors.items():
        if (key := not_finite(found)) is not None:
            raise DamagedState(
                f"{path / name}.safetensors: expected finite numbers in {key}, got NaN or infinity"
            )
    return record, tensors


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The name of a tensor that holds NaN or infinity; None where none does."""
    return next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None)


def _check_record(file: Path, record: Any) -> None:
    if not isinstance(record, dict):
        raise DamagedState(f"{file}: expected a JSON object, got {type(record).__name__}")
    step = record.get("step")
    if not _is_count(step) or file.parent.name != f"step-{step:08d}":
        raise DamagedState(f"{file}: expected the step of the folder {file.parent.name}, got {step!r}")
    for name, default in (("averaged", None), ("judged_step", step), ("stale", 0)):
        value = record.get(name, default)
        if not _is_count(value) or value > step:
            raise DamagedState(f"{file}: expected {name} as a whole number from 0 to {step}, got {value!r}")
    names = record.get("decayed", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedState(f"{file}: expected decayed as names of parameters, got {names!r}")
    best = record.get("best_ged")
    number = isinstance(best, int | float) and not isinstance(best, bool)
    if best is None or not number or not (abs(best) < _MOST_GED or best == math.inf):
        raise DamagedState(f"{file}: expected best_ged as a number, got {best!r}")


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def load_optimizer(
    optimizer: torch.optim.Optimizer, moments: Mapping[str, torch.Tensor], *, where: Path
) -> None:
    """Put saved moments back into a freshly built AdamW of the same parameters.

    A parameter that no batch has used yet has none.

    Args:
        optimizer: its moments are replaced.
        moments: "<index of the parameter>.<name>": tensor.
        where: names the file in errors.

    Raises:
        CheckpointError: a moment that is of no parameter, does not fit its own or is not there.
        DamagedState: one that is below 0 and may not be.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    known = {str(index): index for index in range(len(parameters))}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, _, name = key.partition(".")
        if index not in known:
            raise CheckpointError(
                f"{where}: expected moments of the {len(parameters)} trained parameters, got {key}"
            )
        state.setdefault(known[index], {})[name] = value
    # Unlike PyTorch, which takes any tensor and lets the fused step read beyond its end.
    expected = {f"{i}.{name}": like for i in state for name, like in _moments_like(parameters[i]).items()}
    check_tensors(where, expected, moments, same_dtype=True)
    for number, entry in state.items():
        if entry["step"] < 0 or (entry["exp_avg_sq"] < 0).any():
            raise DamagedState(f"{where}: expected step and exp_avg_sq of {number} >= 0, got less")
        # The fused step walks all of them in the parameter's own order in memory.
        for name in ("exp_avg", "exp_avg_sq"):
            entry[name] = torch.empty_like(parameters[number]).copy_(entry[name])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _moments_like(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """What AdamW keeps of a parameter, shapes and dtypes alone."""
    like = torch.empty_like(parameter, device="meta")
    return {
        "step": torch.empty((), dtype=torch.float32, device="meta"),
        "exp_avg": like,
        "exp_avg_sq": like,
    }
