"""Training the runs of a study that are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from asam.model import ASAM, ModelConfig, fresh_model
from asam.model.presets import PRESETS
from asam.studies.study import ASAM_KIND, Study, Variant
from asam.training import TrainConfig, train
from asam.training.state import newest_state

LAST: Final = "last.safetensors"
_PRESET: Final = PRESETS["asam"]

# They change what a run shows or how fast it is, not its last weights.
_WITHOUT_EFFECT: Final = (
    "accumulate",
    "cache_embeddings",
    "eval_every",
    "eval_images",
    "save_every",
    "tensorboard",
    "workers",
)
# What a run started from; a study starts from nothing.
_FROM_SCRATCH: Final = ("sam_checkpoint", "start")


@dataclass(frozen=True)
class RunPlan:
    """One run: a variant with a seed, in its folder."""

    study: Study
    variant: Variant
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self.variant.name}, seed {self.seed}"

    def config(self) -> Any:
        """Of the network.

        Raises:
            ValueError: an unknown kind, or fields that it does not have.
        """
        study, variant = self.study, self.variant
        if variant.kind == ASAM_KIND:
            sizes = {"backbone": study.backbone, "image_size": study.image_size}
            return ModelConfig.from_dict(fresh_model("asam", **{**sizes, **variant.model}))
        return _peer(variant.kind).Config.from_dict({"image_size": study.image_size, **variant.model})

    def network(self) -> nn.Module:
        """With fresh weights of the run's seed, drawn as ``asam train`` draws them."""
        torch.manual_seed(self.seed)
        network: nn.Module = (ASAM if self.variant.kind == ASAM_KIND else _peer(self.variant.kind))(
            self.config()
        )
        return network

    def training(self) -> TrainConfig:
        """The study's settings, then the variant's."""
        values = {**_PRESET.training, **self.study.training, **self.variant.training, "seed": self.seed}
        return TrainConfig.from_dict(values)

    def source(self) -> dict[str, Any]:
        """Where the data came from, as a run's config.json says it."""
        study = self.study
        return {
            "data": study.data,
            "root": None if study.root is None else str(study.root),
            "sam_checkpoint": None,
            "start": None,
            "length": study.length,
            "split_scheme": "group",
            "samples_sha256": study.training_sha256,
        }

    def identity(self) -> str:
        """Equal for runs that give the same weights."""
        training = _training(self.training().to_dict())
        return json.dumps([self.variant.kind, self.config().to_dict(), training], sort_keys=True)


def plan_runs(study: Study) -> list[RunPlan]:
    """Every variant with the first seed, then with the second, ...; each in <output>/<variant>-<seed>.

    A variant whose runs would equal those of an earlier one shares them, unless it has finished runs of its own.
    """
    plans: list[RunPlan] = []
    folders: dict[str, Path] = {}
    for seed in study.seeds:
        for variant in study.variants:
            plan = RunPlan(study, variant, seed, study.output / f"{variant.name}-{seed}")
            shared = folders.setdefault(plan.identity(), plan.folder)
            own = (plan.folder / LAST).is_file()
            plans.append(plan if own else replace(plan, folder=shared))
    return plans


def _peer(kind: str) -> Any:
    from asam.baselines import BASELINES

    if kind not in BASELINES:
        raise ValueError(f"kind: expected {ASAM_KIND!r} or one of {sorted(BASELINES)}, got {kind!r}")
    return BASELINES[kind]


def checkpoint_of(plan: RunPlan, *, progress: bool = True) -> Path:
    """The last checkpoint of a run, trained now where it is missing and gone on with where it was interrupted.

    Raises:
        ValueError: the folder holds a run of another network, training or data set; names what differs.
        NonFiniteLoss, UnreadableSample, NotWritten, Interrupted: see :func:`asam.training.train`.
    """
    target = plan.folder / LAST
    check_same(plan)
    if target.is_file():
        return target
    train(
        plan.network(),
        plan.study.training_data(),
        output=plan.folder,
        config=plan.training(),
        resume=newest_state(plan.folder / "states") is not None,
        progress=progress,
        source=plan.source(),
    )
    return target


def check_same(plan: RunPlan) -> None:
    """Raise ValueError where the folder holds a run that was made with other settings than these."""
    file = plan.folder / "config.json"
    if not file.is_file():
        if (plan.folder / LAST).is_file():
            raise ValueError(
                f"{file}: expected it beside {LAST}, got no such file; what was trained is unknown"
            )
        return
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        source, model, training = (dict(saved.get(k, {})) for k in ("source", "model", "training"))
        differences = [
            *_different("source", _source(source, plan), _source(plan.source(), plan)),
            *_different("model", *_configs(model, plan)),
            *_different("training", _training(training), _training(plan.training().to_dict())),
        ]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: expected the config.json of a run, got: {error}") from error
    if differences:
        raise ValueError(
            f"{plan.folder}: expected a run of {plan.name} of this study, got one with {'; '.join(differences)}. "
            "Take another output folder, or move this run away"
        )


def _source(saved: Mapping[str, Any], plan: RunPlan) -> dict[str, Any]:
    """Without the root: the same files may lie elsewhere. Runs made before their samples were known fit any."""
    kept = {k: saved.get(k) for k in ("data", *_FROM_SCRATCH)}
    kept["split_scheme"] = saved.get("split_scheme", "group")
    kept["samples_sha256"] = saved.get("samples_sha256", plan.study.training_sha256)
    if plan.study.data.partition(":")[0] == "synthetic":
        kept["length"] = saved.get("length")
    return kept


def _configs(saved: dict[str, Any], plan: RunPlan) -> tuple[dict[str, Any], dict[str, Any]]:
    """The saved and the wanted one of the network; fields that came after the run was made have their defaults."""
    config = plan.config()
    return _plain(type(config).from_dict(saved).to_dict()), _plain(config.to_dict())


def _training(saved: dict[str, Any]) -> dict[str, Any]:
    whole = TrainConfig.from_dict(saved).to_dict()
    return {k: v for k, v in whole.items() if k not in _WITHOUT_EFFECT}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As they come back from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return found


def _different(part: str, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}.{name} {saved.get(name)!r} where {wanted.get(name)!r} is wanted"
        for name in sorted({*saved, *wanted})
        if saved.get(name) != wanted.get(name)
    ]
