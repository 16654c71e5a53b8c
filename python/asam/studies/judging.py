"""The last checkpoint of each run, judged by the strict protocol; what was judged once is read from its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from asam.baselines import load
from asam.evaluate import STRICT, Measured, data_sha256, measure
from asam.evaluate.provenance import sha256
from asam.methods import Method, Prior, PromptJitter
from asam.progress import Start
from asam.prompts import PERTURBATIONS
from asam.studies.runs import RunPlan, checkpoint_of
from asam.studies.study import Study, slug
from asam_trt.files import write_text

WAYS: Mapping[str, Callable[[Any, str], Method]] = MappingProxyType(
    {
        "prior": Prior,
        "box shift": lambda network, name: PromptJitter(
            network, PERTURBATIONS["shift"], f"{name}, box shift"
        ),
        "point shift": lambda network, name: PromptJitter(
            network, PERTURBATIONS["shift"], f"{name}, point shift", prompt="point"
        ),
    }
)
"""How a network may be judged: its name in :class:`asam.studies.Variant` -> the method of a network and a name."""


def methods_of(plan: RunPlan, checkpoint: Path) -> list[Method]:
    """The run's network in each of the ways that its variant asks for."""
    network = load(checkpoint)
    return [WAYS[way](network, plan.variant.name) for way in plan.variant.judged_as]


def judge(plan: RunPlan, data: str, *, start: Start, samples_sha256: str | None = None) -> list[Measured]:
    """Figures of a run on one of the study's judged data sets: a method at a time, a number of hypotheses at a time.

    The run is trained first where it is missing. Figures are kept in ``figures-<variant>-<data>.json`` in its folder,
    and taken from there while checkpoint, samples, protocol and settings are the same.

    Args:
        start: of :func:`asam.progress.bars`.
        samples_sha256: of the judged samples, by :func:`samples_of`; they are read for it where it is not given.
    """
    study = plan.study
    checkpoint = checkpoint_of(plan)
    file = checkpoint.parent / f"figures-{slug(plan.variant.name)}-{slug(data)}.json"
    key = {
        "checkpoint_sha256": sha256(checkpoint),
        "variant": plan.variant.name,
        "judged_as": list(plan.variant.judged_as),
        "protocol": STRICT.name,
        "conventions": {**STRICT.figures, **STRICT.law_figures},
        "prompt": STRICT.prompt,
        "data": data,
        "split": study.split,
        "side": study.image_size,
        "counts": list(study.counts),
        "limit": study.limit,
        "seed": study.eval_seed,
    }
    if (kept := _kept(file, key, samples_sha256 or samples_of(study, data))) is not None:
        return kept
    samples = study.judged_data(data)
    found = [
        measure(
            method,
            samples,
            n=n,
            seed=study.eval_seed,
            protocol=STRICT,
            limit=study.limit,
            on_sample=start(f"{method.name}, seed {plan.seed}, {data}, n = {n}"),
        )
        for method in methods_of(plan, checkpoint)
        for n in study.counts
    ]
    document = {"key": key, "measured": [one.to_dict() for one in found]}
    write_text(file, json.dumps(document, allow_nan=False))
    return found


def samples_of(study: Study, data: str) -> str:
    """sha256 of the samples of one of the study's judged data sets."""
    return data_sha256(study.judged_data(data), limit=study.limit)


def _kept(file: Path, key: dict[str, Any], samples_sha256: str) -> list[Measured] | None:
    """None where there is no such file, or one of other settings or samples, or a damaged one: they are made again."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["key"] != key:
            return None
        found = [Measured.from_dict(one) for one in document["measured"]]
        return found if all(one.data_sha256 == samples_sha256 for one in found) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
