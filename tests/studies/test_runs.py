"""Runs are trained once, with the settings that were asked for, and gone on with where they stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from asam import cli
from asam.studies import Study, Variant, plan_runs
from asam.studies.runs import LAST, RunPlan, check_same, checkpoint_of

Make = Callable[..., Study]

TRAINING = {"steps": 4, "batch_size": 2, "save_every": 2, "warmup": 2, "workers": 0}


def only(study: Study) -> RunPlan:
    (plan,) = plan_runs(study)
    return plan


def same_weights(a: Path, b: Path) -> bool:
    one, two = load_file(a), load_file(b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_a_finished_run_is_not_trained_again(study: Make) -> None:
    plan = only(study())
    first = checkpoint_of(plan, progress=False)
    assert first == plan.folder / LAST
    written = first.stat().st_mtime_ns
    assert checkpoint_of(plan, progress=False).stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training": {**TRAINING, "steps": 5}}, "training.steps 4 where 5 is wanted"),
        ({"training": {**TRAINING, "energy": 0.5}}, "training.energy 1.0 where 0.5"),
        ({"variants": (Variant(name="asam", model={"latents": ("image",)}),)}, "model.latents"),
        ({"image_size": 48}, "model.image_size 32 where 48"),
        ({"data": "synthetic:nested"}, "source.data 'synthetic:pair' where 'synthetic:nested'"),
        ({"length": 9}, "source.length 8 where 9"),
        ({"variants": (Variant(name="asam", kind="ssn"),)}, "config.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_of_other_settings_is_refused(study: Make, changes: dict[str, object], named: str) -> None:
    checkpoint_of(only(study()), progress=False)
    with pytest.raises(ValueError, match="expected") as error:
        checkpoint_of(only(study(**changes)), progress=False)
    assert named in str(error.value)


def test_settings_without_effect_on_the_weights_may_differ(study: Make) -> None:
    checkpoint_of(only(study()), progress=False)
    harmless = {"workers": 1, "eval_every": 7, "eval_images": None, "save_every": 9, "accumulate": 2}
    check_same(only(study(training={**TRAINING, **harmless})))


def test_fields_that_came_later_have_their_defaults(study: Make) -> None:
    plan = only(study())
    checkpoint_of(plan, progress=False)
    file = plan.folder / "config.json"
    saved = json.loads(file.read_text())
    del saved["model"]["latents"], saved["training"]["focal"]
    file.write_text(json.dumps(saved))
    check_same(plan)
    with pytest.raises(ValueError, match="latents"):
        check_same(only(study(variants=(Variant(name="asam", model={"latents": ()}),))))


def test_weights_of_unknown_origin_are_refused(study: Make) -> None:
    plan = only(study())
    checkpoint_of(plan, progress=False)
    (plan.folder / "config.json").unlink()
    with pytest.raises(ValueError, match="what was trained is unknown"):
        check_same(plan)


def test_a_run_of_asam_train_is_taken_and_equals_ours(study: Make, tmp_path: Path) -> None:
    plan = only(study())
    options = [
        f"--config.{k.replace('_', '-')}={v}" for k, v in {**TRAINING, "seed": 0, "eval_images": 1}.items()
    ]
    sizes = ["--image-size", "32", "--length", "8", "--data", "synthetic:pair"]
    assert cli.main(["train", "--output", str(plan.folder), *sizes, *options]) == 0
    written = (plan.folder / LAST).stat().st_mtime_ns
    taken = checkpoint_of(plan, progress=False)
    assert taken.stat().st_mtime_ns == written
    other = only(study(output=tmp_path / "other"))
    assert same_weights(taken, checkpoint_of(other, progress=False))


def test_an_interrupted_run_goes_on_to_the_same_weights(study: Make, tmp_path: Path) -> None:
    whole = only(study())
    expected = checkpoint_of(whole, progress=False)
    stopped = only(study(output=tmp_path / "stopped"))
    shutil.copytree(whole.folder, stopped.folder)
    for path in stopped.folder.glob("*.safetensors"):
        path.unlink()
    states = sorted((stopped.folder / "states").iterdir())
    assert [state.name for state in states] == ["step-00000002", "step-00000004"]
    shutil.rmtree(states[-1])
    assert same_weights(checkpoint_of(stopped, progress=False), expected)


def test_the_seed_decides_the_weights(study: Make) -> None:
    one, two = plan_runs(study(seeds=(0, 1)))
    assert [plan.folder.name for plan in (one, two)] == ["asam-0", "asam-1"]
    assert not same_weights(checkpoint_of(one, progress=False), checkpoint_of(two, progress=False))


def test_equal_variants_share_runs_unless_they_have_their_own(study: Make) -> None:
    variants = (Variant(name="asam"), Variant(name="default"), Variant(name="eq14", training={"energy": 0.0}))
    plans = plan_runs(study(variants=variants))
    assert [plan.folder.name for plan in plans] == ["asam-0", "asam-0", "eq14-0"]
    own = plans[0].folder.parent / "default-0"
    checkpoint_of(replace(plans[1], folder=own), progress=False)
    assert [plan.folder.name for plan in plan_runs(study(variants=variants))] == [
        "asam-0",
        "default-0",
        "eq14-0",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ()}, "variants: expected at least one"),
        ({"variants": (Variant(name="a"), Variant(name="a"))}, "each name once"),
        ({"seeds": (1, 1)}, "seeds: expected at least one"),
        ({"training": {"seed": 3}}, "sets .*seed"),
    ],
)
def test_a_study_that_makes_no_sense(study: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study(**changes)


def test_an_unknown_kind_is_named(study: Make) -> None:
    with pytest.raises(ValueError, match="'unet'"):
        plan_runs(study(variants=(Variant(name="a", kind="unet"),)))
