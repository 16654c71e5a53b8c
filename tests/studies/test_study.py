"""Studies from training to table."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from asam import cli
from asam.baselines import BASELINES
from asam.data.synthetic import MIX
from asam.evaluate import STRICT, evaluate
from asam.methods import Prior, PromptJitter
from asam.model import ASAM, load_checkpoint
from asam.progress import bars
from asam.prompts import PERTURBATIONS
from asam.studies import Study, Variant, plan_runs, run_study, write_study
from asam.studies import judging as judging_module
from asam.studies.judging import judge
from asam.studies.variants import ABLATIONS, peers
from asam.training.run import Run

Make = Callable[..., Study]


def test_the_table_holds_what_evaluate_says_of_each_last_checkpoint(study: Make) -> None:
    variants = (
        Variant(name="asam"),
        Variant(name="bare", model={"latents": ()}, judged_as=("prior", "box shift", "point shift")),
    )
    made = study(variants=variants, seeds=(0, 1))
    rows = run_study(made, progress=False)
    assert [(row.method, row.n, row.seeds) for row in rows] == [
        (name, n, (0, 1)) for name in ("asam", "bare", "bare, box shift", "bare, point shift") for n in (2, 3)
    ]
    data = made.judged_data("synthetic:pair")
    networks = [load_checkpoint(made.output / f"bare-{seed}" / "last.safetensors") for seed in (0, 1)]
    expected = {
        "bare": [Prior(network) for network in networks],
        "bare, box shift": [PromptJitter(network, PERTURBATIONS["shift"]) for network in networks],
        "bare, point shift": [
            PromptJitter(network, PERTURBATIONS["shift"], prompt="point") for network in networks
        ],
    }
    for row in rows[2:]:
        means = [evaluate(m, data, n=row.n, protocol=STRICT).means["ged"] for m in expected[row.method]]
        assert row.means["ged"] == pytest.approx(sum(means) / 2)
    text = write_study(made.output, [made], rows)
    document = json.loads((made.output / "study.json").read_text())
    assert (made.output / "study.md").read_text() == text
    assert STRICT.prompt in text
    assert set(document["checkpoints"]) == {"asam-0", "asam-1", "bare-0", "bare-1"}
    assert [row["means"] for row in document["rows"]] == [row.to_dict()["means"] for row in rows]
    assert (made.output / "sheet-synthetic-pair.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_judged_is_not_judged_again_unless_the_checkpoint_changed(
    study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study()
    (plan,) = plan_runs(made)
    with bars(shown=False) as start:
        first = judge(plan, "synthetic:pair", start=start)

    class Judged(Exception):
        pass

    def judged(*args: object, **kwargs: object) -> None:
        raise Judged

    monkeypatch.setattr(judging_module, "measure", judged)
    with bars(shown=False) as start:
        assert judge(plan, "synthetic:pair", start=start) == first
        (other,) = plan_runs(study(counts=(2,)))
        with pytest.raises(Judged):
            judge(other, "synthetic:pair", start=start)
        network = load_checkpoint(plan.folder / "last.safetensors")
        network.ensemble.data += 1
        network.save(plan.folder / "last.safetensors")
        with pytest.raises(Judged):
            judge(plan, "synthetic:pair", start=start)


def crops(root: Path, *, shade: float) -> Path:
    """The layout of `lidc-crops` with 4 slices, whose names are always the same."""
    root.mkdir()
    masks = np.zeros((4, 4, 64, 64), np.uint8)
    masks[:, :3, 20:40, 20:44] = 1
    np.savez(
        root / "lidc_crops_64.npz",
        image=np.full((4, 64, 64), shade, np.float32),
        masks=masks,
        n_raters=np.full(4, 3),
        patient=np.array(["1", "2", "3", "4"]),
        split=np.array(["train", "train", "validate", "validate"]),
        id=np.array([f"slice_{i}" for i in range(4)]),
    )
    return root


def test_other_files_are_judged_anew_and_other_training_files_refused(study: Make, tmp_path: Path) -> None:
    first, other, copy = (
        crops(tmp_path / name, shade=shade) for name, shade in (("a", 0.1), ("b", 0.9), ("c", 0.1))
    )
    (plan,) = plan_runs(study(data="lidc-crops", root=first))
    with bars(shown=False) as start:
        before = judge(plan, "lidc-crops", start=start)
        (elsewhere,) = plan_runs(study(data="lidc-crops", root=copy))
        assert judge(elsewhere, "lidc-crops", start=start) == before
        (changed,) = plan_runs(study(data="lidc-crops", root=other))
        with pytest.raises(ValueError, match=r"source\.samples_sha256 .* is wanted"):
            judge(changed, "lidc-crops", start=start)
        file = plan.folder / "config.json"
        saved = json.loads(file.read_text())
        del saved["source"]["samples_sha256"]  # as runs were before their samples were known
        file.write_text(json.dumps(saved))
        after = judge(changed, "lidc-crops", start=start)
    assert {one.data_sha256 for one in before}.isdisjoint(one.data_sha256 for one in after)


def test_a_damaged_file_of_figures_is_made_again(study: Make) -> None:
    (plan,) = plan_runs(study())
    with bars(shown=False) as start:
        first = judge(plan, "synthetic:pair", start=start)
        (file,) = plan.folder.glob("figures-*.json")
        file.write_text(file.read_text()[:100])
        assert judge(plan, "synthetic:pair", start=start) == first


def test_one_training_on_the_mix_serves_every_kind(study: Make) -> None:
    made = study(data="synthetic:mix", limit=2)
    assert made.judged == tuple(f"synthetic:{kind}" for kind in MIX)
    assert made.judged_data("synthetic:fuzzy").ids != made.training_data().ids
    rows = run_study(made, progress=False)
    assert {row.data for row in rows} == set(made.judged)
    assert [path.name for path in made.output.glob("asam-*")] == ["asam-0"]


def test_the_lists_say_what_they_take_away(study: Make) -> None:
    made = study(variants=ABLATIONS["all"])
    plans = {plan.variant.name: plan for plan in plan_runs(made)}
    latents = {name: plans[name].config().latents for name in plans}
    assert latents["asam"] == ("prompt", "image")
    assert latents["no-prompt-latent"] == ("image",)
    assert latents["no-image-latent"] == ("prompt",)
    assert latents["no-ambiguity"] == ()
    assert [name for name in plans if not plans[name].config().posterior] == ["no-posterior"]
    mixes = {
        name: (plan.training().dice, plan.training().energy, plan.training().focal, plan.training().score)
        for name, plan in plans.items()
    }
    assert mixes["eq14"] == (0, 0, 0, 1)
    assert mixes["+dice"] == (1, 0, 0, 1)
    assert mixes["+energy"] == (0, 1, 0, 1)
    assert mixes["asam"] == (1, 1, 0, 1)
    assert mixes["+focal"] == (1, 1, 1, 1)
    assert "box shift" in plans["no-ambiguity"].variant.judged_as
    assert plans["prompt-latent-on-tokens"].config().prompt_latent_on == "tokens and dense"
    assert plans["image-latent-from-pixels"].config().image_prior == "image"


def test_sam_is_trained_by_what_it_is_asked(study: Make) -> None:
    plans = {plan.variant.name: plan for plan in plan_runs(study(variants=peers()))}
    for name, kind, way in (("sam", "own", "box shift"), ("sam-points", "points", "point shift")):
        shares = plans[name].training().prompts.shares()
        assert [k for k, share in shares.items() if share] == [kind]
        assert plans[name].config().latents == ()
        assert plans[name].variant.judged_as == (way,)


def test_peers_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--image-size", "32", "--length", "4", "--limit", "2", "--n", "2", "--seeds", "3"]
    config = ["--config.batch-size", "2", "--config.workers", "0", "--config.steps", "1"]
    command = ["evaluate", "peers", "--data", "synthetic:pair", "--output", str(tmp_path), *sizes, *config]
    assert cli.main(command) == 0
    document = json.loads((tmp_path / "study.json").read_text())
    methods = [row["method"] for row in document["rows"]]
    assert methods == ["asam", *BASELINES, "sam, box shift", "sam-points, point shift"]
    assert all(row["seeds"] == [3] for row in document["rows"])
    assert [variant.name for variant in peers()] == ["asam", *BASELINES, "sam", "sam-points"]
    for name in BASELINES:
        assert json.loads((tmp_path / f"{name}-3" / "config.json").read_text())["training"]["steps"] == 1
        assert load_file(tmp_path / f"{name}-3" / "last.safetensors")
    assert "study.md" in capsys.readouterr().out
    assert isinstance(load_checkpoint(tmp_path / "sam-3" / "last.safetensors"), ASAM)


def test_some_variants_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--image-size", "32", "--length", "4", "--limit", "2", "--n", "2", "--seeds", "0"]
    config = ["--config.batch-size", "2", "--config.workers", "0", "--config.steps", "1"]
    command = ["evaluate", "ablation", "--data", "synthetic:pair", "--output", str(tmp_path), *sizes, *config]
    assert cli.main([*command, "--which", "choices", "--only", "prompts-not-drawn", "asam"]) == 0
    rows = json.loads((tmp_path / "study.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["asam", "prompts-not-drawn"]
    for name, drawn in (("asam", True), ("prompts-not-drawn", False)):
        model = json.loads((tmp_path / f"{name}-0" / "config.json").read_text())["model"]
        assert model["draws_prompts"] is drawn
    capsys.readouterr()
    assert cli.main([*command, "--which", "choices", "--only", "no-posterior"]) == 2
    assert "only: expected some of asam, prompt-latent-on-tokens" in capsys.readouterr().err


def test_an_interrupted_study_says_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same command; it has no --resume."""
    sizes = ["--image-size", "32", "--length", "4", "--limit", "2", "--n", "2", "--seeds", "0"]
    config = [
        "--config.batch-size",
        "2",
        "--config.workers",
        "0",
        "--which",
        "network",
        "--config.steps",
        "3",
    ]
    command = ["evaluate", "ablation", "--data", "synthetic:pair", "--output", str(tmp_path), *sizes, *config]

    def interrupted(*_: object) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return advance(*_)  # type: ignore[arg-type]

    advance = Run.advance
    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", interrupted)
        assert cli.main(command) == 130
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "interrupted" in line]
    assert line.startswith("asam evaluate ablation: interrupted after step 1 of 3. kept: ")
    assert line.endswith("step-00000001; go on with the same command")


def test_a_run_of_other_settings_ends_the_command_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--image-size", "32", "--length", "4", "--limit", "2", "--n", "2", "--seeds", "0"]
    config = ["--config.batch-size", "2", "--config.workers", "0", "--which", "network"]
    command = ["evaluate", "ablation", "--data", "synthetic:pair", "--output", str(tmp_path), *sizes, *config]
    folder = tmp_path / "no-posterior-0"
    folder.mkdir()
    (folder / "config.json").write_text('{"source": {}, "model": {}, "training": {}}')
    assert cli.main([*command, "--config.steps", "1"]) == 2
    assert "no-posterior-0" in capsys.readouterr().err
    assert not (tmp_path / "asam-0").exists()


def test_steps_are_given_as_to_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "peers", "--data", "synthetic:pair", "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        cli.main([*command, "--steps", "1"])
    assert "--config.steps" in capsys.readouterr().err
