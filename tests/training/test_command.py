"""`asam train`: options over the file over the preset, a dry run, resuming, and stops that say why."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from commands import SMALL, dry, error
from safetensors.torch import load_file
from tiny_runs import TINY

from asam import cli, starts
from asam.assets import NANO
from asam.data import Manifest, make_split, open_dataset
from asam.division import of_checkpoint
from asam.evaluate.provenance import of_training
from asam.model import ASAM, PRESETS


def test_dry_run_prints_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    settings, table = dry(capsys, *SMALL, "--output", str(output), "--config.prompts.box", "0.5")
    assert settings["training"]["prompts"] == {
        "own": 1.0, "box": 0.5, "points": 0.0, "mask": 0.0, "mixed": 0.0, "none": 0.0, "most_points": 3,
    }  # fmt: skip
    assert settings["model"]["image_size"] == 32
    assert "mask_decoder" in table
    assert "6 training samples" in table
    assert not output.exists()


def test_a_run_writes_the_file_that_repeats_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    steps = ["--config.steps", "2", "--config.eval-every", "2"]
    assert cli.main(["train", *SMALL, *steps, "--output", str(first), "--config.dice", "0.25"]) == 0
    assert "best checkpoint" in capsys.readouterr().out
    written = json.loads((first / "config.json").read_text())
    file = ["--config-file", str(first / "config.json"), "--output", str(again)]

    settings, _ = dry(capsys, *file)
    assert settings == written
    assert settings["training"]["dice"] == 0.25

    # 1.0 is the default of dice: given, it wins over the file all the same.
    settings, _ = dry(capsys, *file, "--config.dice", "1.0", "--image-size", "48", "--config.no-augment")
    assert settings["training"] == {**written["training"], "dice": 1.0, "augment": False}
    assert settings["model"] == {**written["model"], "image_size": 48}


def test_resume_takes_the_runs_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--config.steps", "2", "--config.eval-every", "4"]
    assert cli.main(["train", *SMALL, *words]) == 0
    assert cli.main(["train", "--output", str(tmp_path), "--resume", "--config.steps", "4"]) == 0
    states = sorted(path.name for path in (tmp_path / "states").iterdir())
    assert states == ["step-00000002", "step-00000004"]
    assert json.loads((tmp_path / "config.json").read_text())["training"]["batch_size"] == 2


def test_a_file_of_another_method_is_not_overruled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"source": {"method": "mose"}, "model": {"image_size": 32}}')
    line = error(capsys, *SMALL, "--output", str(tmp_path), "--config-file", str(file), "--method", "asam")
    assert f"method: expected 'mose', as in {file}, got 'asam'; leave --method out" in line


def test_a_presets_training_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, _ = dry(
        capsys, *SMALL, "--output", str(tmp_path), "--preset", "paper", "--config.energy", "0.5"
    )
    expected = {**PRESETS["paper"].training, "energy": 0.5, "warmup": 2}
    assert {k: settings["training"][k] for k in expected} == expected
    assert settings["training"]["steps"] == (PRESETS["paper"].epochs or 0) * 6 / int(TINY["batch_size"])
    assert settings["model"]["preset"] == "paper"


def test_a_file_that_names_another_preset_is_not_overruled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"model": {"preset": "paper", "image_size": 32}, "training": {"dice": 0.25}}')
    words = ["--data", "synthetic:pair", "--length", "6", "--output", str(tmp_path)]
    for beside in (["--config-file", str(file)], ["--resume"]):
        line = error(capsys, *words, *beside, "--preset", "a2sam")
        assert f"preset: expected 'paper', as in {file}, got 'a2sam'; leave --preset out" in line

    settings, _ = dry(capsys, *words, "--config-file", str(file), "--preset", "paper")
    assert settings == dry(capsys, *words, "--config-file", str(file))[0]
    assert settings["training"]["dice"] == 0.25, "which the preset sets too"


def test_a_preset_lies_under_a_file_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "part.json"
    file.write_text('{"training": {"dice": 0.25, "steps": 7}}')
    words = [*SMALL, "--output", str(tmp_path), "--preset", "paper"]
    alone, _ = dry(capsys, *words)
    settings, _ = dry(capsys, *words, "--config-file", str(file))
    assert settings == {**alone, "training": {**alone["training"], "dice": 0.25, "steps": 7}}


def test_prompts_are_drawn_where_nothing_else_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--output", str(tmp_path)]
    settings, _ = dry(capsys, *SMALL, *words)
    assert settings["model"]["draws_prompts"]
    assert not dry(capsys, *SMALL, *words, "--draws-prompts", "False")[0]["model"]["draws_prompts"]
    assert not dry(capsys, *SMALL, *words, "--preset", "paper")[0]["model"]["draws_prompts"]

    del settings["model"]["draws_prompts"]  # as a run wrote it before it was a choice
    file = tmp_path / "older.json"
    file.write_text(json.dumps(settings))
    words += ["--config-file", str(file)]
    assert not dry(capsys, *words)[0]["model"]["draws_prompts"]
    assert dry(capsys, *words, "--draws-prompts", "True")[0]["model"]["draws_prompts"]


def test_a_warmup_beyond_the_run_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = [*SMALL, "--output", str(tmp_path), "--config.steps"]
    dry(capsys, *words, "6", "--config.kl-warmup", "6")
    assert not caplog.records
    dry(capsys, *words, "1", "--config.kl-warmup", "4")
    assert cli.main(["train", *words, "1"]) == 0
    both, one = caplog.records
    assert (both.name, both.levelname) == (one.name, one.levelname) == ("asam", "WARNING")
    assert one.getMessage() == (
        "the run ends before its warm-up does, so the learning rate gets to 50% of its peak only. If this is not a "
        "trial, take --config.steps of more than 2, or a smaller --config.warmup"
    )
    assert both.getMessage() == (
        "the run ends before its warm-up does, so the learning rate gets to 50% of its peak only and the KL weights "
        "get to 25% of theirs only. If this is not a trial, take --config.steps of more than 4, or a smaller "
        "--config.warmup and --config.kl-warmup"
    )
    caplog.clear()
    capsys.readouterr()
    dry(capsys, *words, "2", "--config.warmup", "100")
    assert not caplog.records, "a run of two steps is a trial"


def test_a_warmup_of_most_of_the_run_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = [*SMALL, "--output", str(tmp_path), "--config.warmup", "100", "--config.steps"]
    dry(capsys, *words, "300")
    assert not caplog.records
    dry(capsys, *words, "200")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "the warm-up of the learning rate takes 100 of 200 steps, 50%, and a third at most is usual: take "
        "--config.warmup of at most 66, or --config.steps of at least 300"
    )


def test_the_end_tells_the_best_and_the_last_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no evaluation but the last was due."""
    words = ["--output", str(tmp_path), "--config.steps", "2", "--config.eval-every", "9"]
    assert cli.main(["train", *SMALL, *words]) == 0
    log = tmp_path / "log.jsonl"
    (entry,) = [found for line in log.read_text().splitlines() if "evaluation" in (found := json.loads(line))]
    means = entry["evaluation"]
    figures = f"step 2: GED16 {means['ged']:.3f}, HM-IoU {means['hm_iou']:.3f}"
    told = (
        f"best checkpoint: {tmp_path}/best.safetensors ({figures})\nlast validation: {figures}\nlog: {log}\n"
    )
    assert capsys.readouterr().out.endswith(told)

    # As it may be after more evaluations, the last one of damaged samples; a resume that is finished tells them too.
    more = [
        {"step": 3, "evaluation": {"ged": means["ged"] + 1}},
        {"step": 4, "evaluation": {"ged": math.nan}},
    ]
    with log.open("a") as file:
        file.write("".join(json.dumps(one) + "\n" for one in more) + '{"step": 5, "eval')
    assert cli.main(["train", "--output", str(tmp_path), "--resume"]) == 0
    told = f"({figures})\nlast validation: step 3: GED16 {means['ged'] + 1:.3f}\n"
    assert told in capsys.readouterr().out


def test_more_steps_than_before_say_what_becomes_of_the_learning_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["--output", str(tmp_path), "--config.steps"]
    assert cli.main(["train", *SMALL, *words, "4", "--config.warmup", "1", "--config.eval-every", "9"]) == 0
    assert cli.main(["train", *words, "6", "--resume", "--config.schedule", "linear"]) == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert "steps 6 in place of 4: no second warm-up, but from step 4 on" in line
    assert "a linear schedule over 6 steps, 40% of its peak where it was 0%" in line


def no_data(*_: object) -> None:
    raise AssertionError("the data were opened")


def test_what_the_folder_holds_is_said_before_the_data_are_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--output", str(tmp_path / "run")]
    assert cli.main(["train", *SMALL, *words, "--config.steps", "2"]) == 0
    (tmp_path / "file").touch()
    capsys.readouterr()
    monkeypatch.setattr("asam.cli.train._opened", no_data)
    assert cli.main(["train", *words, "--resume"]) == 0
    assert capsys.readouterr().out.startswith("finished already, at step 2; a larger --config.steps goes on")
    assert "holds a run already, at step 2" in error(capsys, *SMALL, *words)
    assert "expected a folder for the results" in error(capsys, *SMALL, "--output", str(tmp_path / "file"))
    line = error(capsys, *SMALL, "--output", str(tmp_path / "none"), "--resume")
    assert "expected a state to resume from, got none" in line
    (tmp_path / "run" / "last.safetensors").unlink()
    with pytest.raises(AssertionError):  # not quite finished: it goes on
        cli.main(["train", *words, "--resume"])


def test_adaptation_changes_what_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, full = dry(capsys, *SMALL, "--output", str(tmp_path))
    settings, lora = dry(capsys, *SMALL, "--output", str(tmp_path), "--adaptation", "lora")
    assert settings["model"]["adaptation"] == "lora"
    assert "adapters" in lora
    assert "adapters" not in full


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "data: expected the name of a data set"),
        (["--data", "synthetic:pair", "--preset", "best"], "preset: expected one of"),
        (["--data", "synthetic:pair", "--backbone", "vit_x"], "backbone: expected one of"),
        (
            ["--data", "synthetic:pair", "--preset", "a2sam", "--backbone", "vit_t"],
            '--adaptation: expected "full" or "frozen" with backbone \'vit_t\', which is small',
        ),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "synthetic:pair", "--config.steps", "0"], "steps: expected at least 1"),
        *(
            (["--data", "synthetic:pair", "--image-size", size, *more], f"--image-size: expected {expected}")
            for size, expected in (
                ("0", "a positive multiple of 16 pixels, 4096 at most, got 0"),
                ("8", "a positive multiple of 16 pixels, 4096 at most, got 8"),
                ("16", "at least 32 pixels with synthetic data, got 16"),
            )
            for more in ([], ["--method", "ssn"])
        ),
        *(
            (
                ["--data", "synthetic:pair", f"--config.{name}", "inf"],
                f"--config.{name}: expected a finite number, got",
            )
            for name in ("learning-rate", "weight-decay", "clip", "dice", "energy", "alpha-prompt", "ema")
        ),
        (
            ["--data", "synthetic:pair", "--config.prompts.own", "1e308", "--config.prompts.box", "1e308"],
            "prompts: expected shares with a finite sum",
        ),
        (
            ["--data", "synthetic:pair", "--config-file", "none.json"],
            "none.json: expected the config.json of a run",
        ),
    ],
)
def test_errors_take_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert message in error(capsys, "--output", str(tmp_path), *words)


@pytest.mark.parametrize("command", [["train"], ["evaluate", "--model", str(NANO)]])
def test_a_folder_in_place_of_a_name_is_told_its_options(
    command: list[str],
    write_folder: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("my/data-1"), patients=[0, 1])
    for name, layout in (("my/data-1", "folder"), ("my", "<name>")):
        assert cli.main([*command, "--data", name, "--output", "run.json"]) == 2
        told = f"got '{name}'; a folder of that name exists: --data {layout} --root {name} (--debug"
        assert told in capsys.readouterr().err
    assert cli.main([*command, "--data", "none", "--output", "run.json"]) == 2
    assert "a folder" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected a JSON object"),
        ("{", "expected the config.json of a run"),
        ('{"trainings": {}}', "got also ['trainings']"),
        ('{"training": {"stepz": 1}}', "got also ['stepz']"),
        ('{"training": {"learning_rate": 1' + "0" * 400 + "}}", "learning-rate: expected a finite number"),
        ('{"training": {"steps": "many"}}', "steps: expected int, got 'many'"),
        ('{"model": {"sides": 1}}', "sides"),
        ('{"source": {"date": 1}}', "got also ['date']"),
        ('{"source": {"data": 3}}', "source.data: expected a string, got 3"),
        ('{"source": {"length": "8"}}', "source.length: expected a whole number, got '8'"),
        ('{"source": {"method": null}}', "source.method: expected a string, got None"),
        ('{"model": {"pixel_mean": 3}}', "pixel_mean: expected a list of 3 finite numbers, got 3"),
        ('{"model": {"preset": ["asam"]}}', "preset: expected one of"),
        ('{"model": {"preset": NaN}}', "preset: expected one of"),
        ('{"training": {"prompts": 3}}', "training.prompts: expected shares by kind, got 3"),
        ("[" * 100_000, "expected the config.json of a run"),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(content)
    words = ["--output", str(tmp_path), "--data", "synthetic:pair", "--config-file", str(file)]
    assert message in error(capsys, *words)


def test_too_many_samples_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--data", "synthetic:mix", "--length", str(2**70)]
    assert "--length: expected 1 to 10,000,000" in error(capsys, *words)


def test_a_loss_that_is_no_number_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--output", str(tmp_path), "--config.learning-rate", "1e30", "--config.clip", "1e30"]
    assert cli.main(["train", *SMALL, *words, "--config.steps", "9"]) == 1
    assert "try a lower learning rate" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["ssn", "sam"])
def test_peers_are_trained_and_resumed_by_the_same_command(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--output", str(tmp_path), "--method", method, "--config.steps", "2", "--config.eval-every", "2"]
    assert cli.main(["train", *SMALL, *words]) == 0
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["source"]["method"] == method
    assert settings["model"]["image_size"] == 32
    first = load_file(tmp_path / "last.safetensors")
    assert cli.main(["train", "--output", str(tmp_path), "--resume", "--config.steps", "3"]) == 0
    last = load_file(tmp_path / "last.safetensors")
    assert any(not torch.equal(first[k], last[k]) for k in first)
    capsys.readouterr()


def test_a_peer_takes_none_of_a_sams_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--method", "ssn", "--backbone", "vit_b", "--pixels", "unit"]
    assert "expected none of A-SAM's own options, got ['backbone', 'pixels']" in error(capsys, *SMALL, *words)
    assert "method: expected one of" in error(capsys, *SMALL, "--output", str(tmp_path), "--method", "best")


def test_the_choices_of_an_ablation_are_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path)]
    settings, table = dry(capsys, *SMALL, *output, "--posterior", "False", "--latents", "image")
    assert settings["model"]["latents"] == ["image"]
    assert settings["model"]["posterior"] is False
    assert "image_prior" in table
    assert "prompt_prior" not in table
    settings, table = dry(capsys, *SMALL, *output, "--latents")
    assert settings["model"]["latents"] == []


@pytest.mark.parametrize(("preset", "scheme"), [("asam", "group"), ("a2sam", "index-order")])
def test_a_preset_divides_the_data_its_way(
    write_folder: Callable[..., None],
    preset: str,
    scheme: Literal["group", "index-order"],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, output = tmp_path / "data", tmp_path / "run"
    write_folder(root, patients=[0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    words = ["--data", "folder", "--root", str(root), "--output", str(output), "--preset", preset]
    settings, table = dry(capsys, *words, "--image-size", "32")
    assert settings["source"]["split_scheme"] == PRESETS[preset].split_scheme == scheme
    everything = open_dataset("folder", root, "all")
    train = make_split(everything, scheme=scheme).splits["train"]
    assert f"{len(train)} training samples" in table
    assert dry(capsys, *words, "--split-scheme", "group")[0]["source"]["split_scheme"] == "group"


def test_a_manifest_divides_the_data(
    write_folder: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root, run, manifest = tmp_path / "data", tmp_path / "run", tmp_path / "split.json"
    write_folder(root, patients=[*range(10)])
    rows = [f"{i:02},{'validate' if i > 7 else 'train'},{i}" for i in range(10)]
    (root / "index.csv").write_text("\n".join(["id,split,group", *rows]) + "\n")
    assert cli.main(["data", "split", str(root), "--output", str(manifest), "--scheme", "index-order"]) == 0
    capsys.readouterr()
    words = ["--data", "folder", "--root", str(root), "--output", str(run), "--image-size", "32"]
    words += ["--config.batch-size", "2", "--config.workers", "0", "--config.warmup", "1", "--config.steps"]
    assert cli.main(["train", *words, "1", "--manifest", str(manifest), "--split-scheme", "group"]) == 0
    said = capsys.readouterr()
    assert "6 training samples" in said.out
    assert f"the splits of {manifest} replace those that {root} comes with (train, validate)" in said.err
    (idle,) = [record.message for record in caplog.records if "effect" in record.message]
    assert idle.startswith(f"--split-scheme has no effect: the splits of folder are the manifest {manifest}")
    assert json.loads((run / "config.json").read_text())["source"]["manifest"] == str(manifest)
    assert cli.main(["train", "--output", str(run), "--resume", "--config.steps", "2"]) == 0

    other = tmp_path / "other"
    assert cli.main(["train", *words, "1", "--output", str(other)]) == 0
    capsys.readouterr()
    config = json.loads((other / "config.json").read_text())
    del config["source"]["manifest"]  # as a run wrote it before it was an option
    (other / "config.json").write_text(json.dumps(config))
    resumed = ["--output", str(other), "--resume", "--config.steps", "2"]
    assert f"manifest '{manifest}' in place of None" in error(capsys, *resumed, "--manifest", str(manifest))
    assert cli.main(["train", *resumed]) == 0


@pytest.fixture
def by_manifest(write_folder: Callable[..., None], tmp_path: Path) -> list[str]:
    """Options of a run on ten pictures that the file split.json divides."""
    root, manifest = tmp_path / "data", tmp_path / "split.json"
    write_folder(root, patients=[*range(10)])
    make_split(open_dataset("folder", root, "all"), scheme="index-order").save(manifest)
    words = ["--data", "folder", "--root", str(root), "--manifest", str(manifest), "--image-size", "32"]
    return [*words, "--config.batch-size", "2", "--config.workers", "0", "--config.warmup", "1"]


def test_a_run_keeps_its_own_copy_of_the_manifest(
    by_manifest: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, manifest = tmp_path / "run", tmp_path / "split.json"
    assert cli.main(["train", *by_manifest, "--output", str(run), "--config.steps", "1"]) == 0
    splits = Manifest.load(manifest)
    assert Manifest.load(run / "split.json") == splits
    assert json.loads((run / "config.json").read_text())["source"]["manifest_sha256"] == splits.sha256
    known = of_checkpoint(run / "last.safetensors")
    assert known is not None
    assert known.manifest == run / "split.json"
    assert known.is_certain()

    # The same splits elsewhere are the same, and another file under the name changes nothing that the run knows.
    manifest.rename(moved := tmp_path / "moved.json")
    resumed = ["--output", str(run), "--resume", "--config.steps"]
    assert cli.main(["train", *resumed, "2"]) == 0
    assert cli.main(["train", *resumed, "3", "--manifest", str(moved)]) == 0
    make_split(open_dataset("folder", tmp_path / "data", "all"), seed=7).save(manifest)
    assert cli.main(["train", *resumed, "4"]) == 0
    assert Manifest.load(run / "split.json") == splits

    capsys.readouterr()
    before = (run / "config.json").read_text()
    line = error(capsys, *resumed, "5", "--manifest", str(manifest))
    assert f"manifest '{manifest}, sha256 {Manifest.load(manifest).sha256[:12]}' in place of" in line
    assert splits.sha256[:12] in line
    assert (run / "config.json").read_text() == before

    (other := tmp_path / "other").mkdir()
    splits.save(other / "split.json")
    line = error(capsys, *by_manifest, "--output", str(other))
    assert f"{other / 'split.json'}: expected no file of other splits" in line
    assert Manifest.load(other / "split.json") == splits

    # An older run, which kept no copy, gets one where its training samples are known to be the same.
    config = json.loads(before)
    del config["source"]["manifest_sha256"]
    splits.save(manifest)
    make_split(open_dataset("folder", tmp_path / "data", "all"), seed=7).save(run / "split.json")
    (run / "config.json").write_text(json.dumps(config))
    assert f"{run / 'split.json'}: expected no file of other splits" in error(capsys, *resumed, "5")
    (run / "split.json").unlink()
    assert cli.main(["train", *resumed, "5"]) == 0
    assert Manifest.load(run / "split.json") == splits
    del config["source"]["samples_sha256"]
    (run / "config.json").write_text(json.dumps(config))
    (run / "split.json").unlink()
    assert cli.main(["train", *resumed, "6"]) == 0
    assert not (run / "split.json").exists()
    (run / "config.json").write_text(before)
    splits.save(run / "split.json")

    # A run's file repeats it with its own splits.
    capsys.readouterr()
    repeated = ["--config-file", str(run / "config.json"), "--output", str(tmp_path / "again")]
    assert dry(capsys, *repeated)[0]["source"]["manifest_sha256"] == splits.sha256


def test_a_run_that_starts_from_another_keeps_what_that_was_trained_on(
    by_manifest: list[str], tmp_path: Path
) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    data = by_manifest[:4]
    sizes = [*by_manifest[8:], "--config.steps", "1"]
    nano = tmp_path / "copy.safetensors"
    ASAM.from_preset(backbone="nano", image_size=32).save(nano)
    words = [*by_manifest[:6], *sizes]
    assert cli.main(["train", *words, "--start", str(nano), "--output", str(first)]) == 0
    (unknown,) = starts.of_model(first / "last.safetensors")
    assert (unknown.checkpoint, unknown.data, unknown.certain) == ("copy.safetensors", None, False)

    start = ["--start", str(first / "last.safetensors")]
    assert cli.main(["train", *data, *sizes, *start, "--output", str(second)]) == 0
    start = ["--start", str(second / "last.safetensors")]
    assert cli.main(["train", *data, *sizes, *start, "--output", str(third)]) == 0
    splits = Manifest.load(first / "split.json")
    shutil.rmtree(first)
    shutil.rmtree(second)
    last, before, oldest = starts.of_model(third / "last.safetensors")
    assert (last.data, last.scheme, last.train, last.certain) == ("folder", "group", None, True)
    assert last.samples == of_training("folder", open_dataset("folder", tmp_path / "data", "train"))
    assert (before.scheme, before.train, before.certain) == (None, splits.splits["train"], True)
    assert oldest == unknown
    assert cli.main(["train", "--output", str(third), "--resume", "--config.steps", "2"]) == 0
    assert starts.of_model(third / "last.safetensors") == (last, before, oldest)

    (third / "split-start.json").write_text("{")
    assert [one.data for one in starts.of_model(third / "last.safetensors")] == [None]
    (third / "split-start.json").unlink()  # as older runs have none
    assert starts.of_model(third / "last.safetensors") == (starts.Start("last.safetensors"),)


def test_where_the_log_is_comes_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asam.training.train", lambda *_, **__: None)
    assert cli.main(["train", *SMALL, "--length", "1", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.index("32 px: 1 training sample\nlog: ") < said.index("best checkpoint: ")


def test_a_run_that_stops_says_how_the_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not how Python does."""
    from asam.training import run

    def interrupted(*_: object) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return advance(*_)  # type: ignore[arg-type]

    advance = run.Run.advance
    monkeypatch.setattr(run.Run, "advance", interrupted)
    words = ["--output", str(tmp_path), "--config.steps", "3", "--config.eval-every", "9"]
    assert cli.main(["train", *SMALL, *words]) == 130
    said = capsys.readouterr().err
    state = tmp_path / "states" / "step-00000001"
    assert (
        said.splitlines()[-1]
        == f"asam train: interrupted after step 1 of 3. kept: {state}; go on with --resume"
    )
    assert "holds a run already, at step 1; go on with it by --resume, or choose" in error(
        capsys, *SMALL, *words
    )


def test_resume_keeps_the_data_and_the_batches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path)]
    assert cli.main(["train", *SMALL, *words, "--config.steps", "1"]) == 0
    before = (tmp_path / "config.json").read_bytes()
    capsys.readouterr()
    changes = ["--data", "synthetic:plain", "--config.seed", "7", "--config.batch-size", "3"]
    line = error(capsys, *words, "--resume", "--config.steps", "2", *changes)
    for part in ("'synthetic:plain' in place of 'synthetic:pair'", "seed 7", "batch-size 3", "leave these"):
        assert part in line
    line = error(capsys, *words, "--resume", "--config.steps", "2", "--pixels", "unit")
    assert "the network of the run that is resumed, got one with another ['pixel_mean', 'pixel_std']" in line
    assert (tmp_path / "config.json").read_bytes() == before


def test_resume_needs_the_samples_it_began_with_wherever_they_lie(
    write_folder: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, moved, run = tmp_path / "data", tmp_path / "moved", tmp_path / "run"
    write_folder(root, patients=[*range(10)])
    sizes = [
        "--image-size",
        "32",
        "--config.batch-size",
        "2",
        "--config.workers",
        "0",
        "--config.warmup",
        "1",
    ]
    words = ["--data", "folder", "--root", str(root), *sizes, "--config.steps", "1", "--output", str(run)]
    assert cli.main(["train", *words]) == 0
    root.rename(moved)
    resumed = ["--output", str(run), "--resume", "--root", str(moved), "--config.steps"]
    assert cli.main(["train", *resumed, "2"]) == 0
    capsys.readouterr()

    before = (run / "config.json").read_text()
    for image in (moved / "images").iterdir():
        image.write_bytes((moved / "images" / "00.png").read_bytes())
    line = error(capsys, *resumed, "3")
    for part in (f"{run}: expected the training samples of the run", "what some of them hold", "--start"):
        assert part in line
    assert (run / "config.json").read_text() == before
    config = json.loads(before)
    del config["source"]["samples_sha256"]  # as an older run wrote it, and as the message says
    (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["train", *resumed, "3"]) == 0


def test_resume_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a run to resume" in error(capsys, "--output", str(tmp_path / "none"), "--resume")


def test_patients_on_both_sides_are_told(
    write_folder: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "data", patients=[0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    words = ["--data", "folder", "--root", str(tmp_path / "data"), "--image-size", "32"]
    _, table = dry(capsys, *words, "--output", str(tmp_path / "run"), "--split-scheme", "index-order")
    assert "2 groups (patients) are in the training and in the validation split" in table
    _, table = dry(capsys, *words, "--output", str(tmp_path / "run"))
    assert "patients" not in table


def test_data_without_a_validation_split_is_trained_and_judged_on_a_held_out_part(
    write_folder: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = tmp_path / "data", tmp_path / "run"
    write_folder(root, patients=[*range(10)])
    rows = [f"{i:02},{'test' if i > 7 else 'train'},{i}" for i in range(10)]
    (root / "index.csv").write_text("\n".join(["id,split,group", *rows]) + "\n")
    data = ["--data", "folder", "--root", str(root)]
    sizes = ["--image-size", "32", "--config.batch-size", "2", "--config.workers", "0", "--config.steps", "1"]
    assert cli.main(["train", *data, *sizes, "--config.warmup", "1", "--output", str(run)]) == 0
    said = capsys.readouterr()
    assert "6 training samples" in said.out
    assert "a fifth of its train split, by group, is held out" in said.err
    judged = ["evaluate", "--model", str(run / "best.safetensors"), *data, "--n", "2"]
    assert cli.main(judged) == 0
    said = capsys.readouterr()
    assert "split validate (the files' own, with a fifth of train, by group, for validation)" in said.out
    assert "2 samples of 2 groups" in said.out
    assert "a fifth of its train split, by group, is held out" in said.err
    assert cli.main([*judged, "--split", "test"]) == 0
    assert "2 samples of 2 groups" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--preset", "a2sam", "--config.dice", "9", "--config.free-nats", "1"],
            "--config.free-nats, --config.dice",
        ),
        (["--method", "ssn", "--config.energy", "0"], "--config.energy: no effect, since the loss of ssn"),
        (
            ["--split-scheme", "group"],
            "--split-scheme has no effect: the splits of synthetic:pair are a seed",
        ),
        (["--preset", "a2sam", "--config.learning-rate", "1e-3"], None),
        (["--config.dice", "9"], None),
    ],
)
def test_an_option_without_effect_is_told(
    words: list[str],
    told: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    dry(capsys, *SMALL, "--output", str(tmp_path), *words)
    lines = [record.message for record in caplog.records if "effect" in record.message]
    assert len(lines) == (told is not None)
    assert all(line.startswith(told or "") for line in lines)


def test_a_length_of_files_is_told(
    write_folder: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_folder(tmp_path / "data", patients=[*range(10)])
    words = ["--data", "folder", "--root", str(tmp_path / "data"), "--output", str(tmp_path / "run")]
    dry(capsys, *words, "--length", "6", "--split-scheme", "group")
    assert [record.message for record in caplog.records if "effect" in record.message] == [
        "--length has no effect: it is of synthetic data, and folder is of files"
    ]
