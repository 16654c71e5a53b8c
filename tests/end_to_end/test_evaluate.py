"""Evaluation: an oracle, the engine equal to the model, the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import asam_trt
from asam import cli, starts
from asam.assets import NANO
from asam.data import Manifest, Sample, Synthetic, make_split, open_dataset
from asam.evaluate import A2SAM, PROTOCOLS, STRICT, Protocol, evaluate
from asam.evaluate.provenance import of_training
from asam.methods import Engine, Prior, PromptJitter
from asam.model import ASAM
from asam.prompts import PERTURBATIONS
from asam_trt import Hypotheses, _ops
from asam_trt.geometry import Frame

# The engine's logits differ from PyTorch's by rounding, which flips pixels on the edge of a mask: of 64 x 64 pixels one
# moves an IoU by a few thousandths, and the mean over six samples by less.
SAME = 2e-3


@dataclass
class Oracle:
    """Answers with the raters' own masks, in turn, at full resolution."""

    name: str = "oracle"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        chosen = sample.masks[np.arange(n) % len(sample.masks)]
        side = 4 * sample.image.shape[0]
        logits = np.where(chosen, 1.0, -1.0).astype(np.float32)
        return Hypotheses(logits, np.ones(n, np.float32), Frame.of(*sample.image.shape[:2], side))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    ASAM.from_preset(backbone="nano", image_size=64).eval().save(path)
    return path


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Path:
    return asam_trt.build_engine(checkpoint, progress=False)


def test_an_oracle_reaches_zero() -> None:
    data = Synthetic("pair", size=64, seed=0, length=6)
    report = evaluate(Oracle(), data, n=4, seed=0)
    assert report.means["ged"] < 0.05
    assert report.means["hm_iou"] > 0.9
    assert report.samples == 6
    low, high = report.intervals["ged"]
    assert low <= report.means["ged"] <= high


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_model_and_engine_give_the_same_figures(checkpoint: Path, engine: Path, protocol: Protocol) -> None:
    from asam.model import load_checkpoint

    data = Synthetic("mix", size=64, seed=0, length=6)
    with asam_trt.Session(engine, precision="float32") as session:
        found = evaluate(Engine(session), data, n=16, seed=3, protocol=protocol)
    expected = evaluate(Prior(load_checkpoint(checkpoint)), data, n=16, seed=3, protocol=protocol)
    assert found.means == pytest.approx(expected.means, abs=SAME)
    assert found.data_sha256 == expected.data_sha256


def test_jittered_prompts_differ_and_are_seeded(checkpoint: Path) -> None:
    from asam.model import load_checkpoint

    sample = Synthetic("pair", size=64, seed=0, length=1)[0]
    method = PromptJitter(load_checkpoint(checkpoint), PERTURBATIONS["train"])
    one, two = (method.hypotheses(sample, n=3, seed=4) for _ in range(2))
    assert np.array_equal(one.logits, two.logits)
    assert np.abs(one.logits[0] - one.logits[1]).max() > 0


def asked(model: Path | list[Path], *more: str | Path) -> int:
    models = model if isinstance(model, list) else [model]
    options = ["--data", "synthetic:pair", "--size", "64", "--limit", "3", *more]
    return cli.main(["evaluate", "--model", *map(str, [*models, *options])])


def test_the_report_says_what_was_judged_and_how(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    assert asked(checkpoint, "--output", output, "--sheet", sheet, "--seed", "5") == 0
    document = json.loads(output.read_text())
    assert document["protocol"] == "strict"
    assert document["models"][0]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert document["checkpoints"] == 1
    assert document["software"]["versions"]["asam-trt"] == asam_trt.__version__
    assert document["data"] == {
        "name": "synthetic:pair",
        "split": "validate",
        "split_scheme": "a seed for each",
        "division": {"from": "data", "manifest_sha256": None, "training_known": False},
        "sha256": document["reports"][0]["data_sha256"],
    }
    assert [(r["method"], r["n"]) for r in document["reports"]] == [
        (name, n) for name in ("A-SAM", "no ambiguity, prompt jittered") for n in (16, 100)
    ]
    for report in document["reports"]:
        assert report["seed"] == 5
        assert report["prompt"] == STRICT.prompt
        assert report["conventions"] == {**STRICT.figures, **STRICT.law_figures, "empty": "one"}
        assert len(report["data_sha256"]) == 64
    table = output.with_suffix(".md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert document["models"][0]["sha256"] in table
    assert "split validate (a seed for each)" in table
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "result"), [([], "figures.json"), (["calibration", "--no-fit"], "calibration.json")]
)
def test_the_network_that_ships_is_judged_by_its_name(
    tmp_path: Path, command: list[str], result: str
) -> None:
    output = tmp_path / result if not command else tmp_path
    words = ["evaluate", *command, "--model", "nano", "--data", "synthetic:pair", "--size", "64"]
    assert cli.main([*words, "--limit", "2", "--n", "2", "--output", str(output)]) == 0
    (model,) = json.loads((tmp_path / result).read_text())["models"]
    assert model["sha256"] == hashlib.sha256(NANO.read_bytes()).hexdigest()


def test_an_engine_is_known_by_its_manifest(engine: Path, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    assert asked(engine, "--output", output, "--n", "4") == 0
    document = json.loads(output.read_text())
    (model,) = document["models"]
    assert model["kind"] == "engine"
    assert model["sha256"] == hashlib.sha256((engine / "manifest.json").read_bytes()).hexdigest()
    (report,) = document["reports"]
    assert report["method"].startswith("A-SAM, engine (")
    assert report["n"] == 4


@pytest.mark.parametrize("command", ["", "robustness", "calibration"])
def test_an_engine_is_judged_in_the_precision_asked_for_which_is_told(
    command: str, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", *([command] if command else []), "--model", str(engine), "--data", "synthetic:pair"]
    words += ["--size", "64", "--limit", "2", "--n", "4", *(["--no-fit"] if command == "calibration" else [])]
    for precision, encoder in (("float32", "onnxruntime"), ("float32", "native")):
        output = tmp_path / encoder / ("" if command else "figures.json")
        words_of = [*words, "--precision", precision, "--encoder", encoder, "--output", str(output)]
        assert cli.main(words_of) == 0
        capsys.readouterr()
        document = json.loads((output / f"{command}.json" if command else output).read_text())
        ran = {"backend": "cpu", "precision": precision, "encoder": encoder, "isa": _ops.isa()}
        assert ran.items() <= document["models"][0].items()
        assert document["software"]["machine"]["isa"] == _ops.isa()
    if not command:
        name = f"A-SAM, engine (float32, cpu {_ops.isa()})"
        assert document["reports"][0]["method"] == name
        table = output.with_suffix(".md").read_text()
        assert f"| {name} | 4 |" in table
        assert f"; backend cpu, isa {_ops.isa()}, precision float32, encoder native)" in table


@pytest.mark.parametrize("command", ["", "robustness", "calibration"])
def test_options_of_engines_are_refused_for_checkpoints(
    command: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "evaluate",
        *([command] if command else []),
        "--model",
        str(checkpoint),
        "--data",
        "synthetic:pair",
    ]
    for option, value in (("--precision", "int8"), ("--encoder", "native")):
        assert cli.main([*words, "--output", str(tmp_path / "x.json"), option, value]) == 2
        said = capsys.readouterr().err
        assert f"{option}: expected with an engine alone, got {value} with {checkpoint}" in said
        assert "`asam build` makes engines" in said


def test_only_a2sam_throws_checkpoints_together(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    assert asked([checkpoint] * 4) == 2
    said = capsys.readouterr().err
    assert "strict judges one checkpoint, got 4" in said
    assert "`asam evaluate compare`" in said
    assert asked([checkpoint] * 4, "--protocol", "a2sam", "--output", output) == 0
    document = json.loads(output.read_text())
    assert document["checkpoints"] == 4
    assert document["data"]["split_scheme"] == "a seed for each"
    (report,) = document["reports"]
    assert (report["method"], report["n"]) == ("A-SAM, 4 checkpoints", 16)
    assert report["conventions"] == {**A2SAM.figures, "empty": "one"}
    assert report["prompt"] == A2SAM.prompt


def test_two_results_are_compared_sample_by_sample(
    checkpoint: Path, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, output = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "difference.json"
    assert asked(checkpoint, "--n", "4", "6", "--output", a) == 0
    assert asked(engine, "--n", "6", "2", "4", "--precision", "float32", "--output", b) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", "compare", str(a), str(b), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert f"A: A-SAM: {checkpoint.name} (sha256 " in said
    assert f"B: A-SAM, engine (float32, cpu {_ops.isa()}): {engine.name} (sha256 " in said
    assert output.with_suffix(".md").read_text().strip() in said
    document = json.loads(output.read_text())
    assert [one["n"] for one in document["comparisons"]] == [4, 6]
    assert document["a"]["sha256"] == hashlib.sha256(a.read_bytes()).hexdigest()
    first, second = (
        next(one for one in json.loads(file.read_text())["reports"] if one["n"] == 4) for file in (a, b)
    )
    ged = document["comparisons"][0]["figures"]["ged"]
    paired = [
        two["values"]["ged"] - one["values"]["ged"]
        for one, two in zip(first["per_sample"], second["per_sample"], strict=True)
    ]
    assert len(paired) == ged["samples"] == 3
    assert ged["difference"] == pytest.approx(np.mean(paired))
    assert abs(ged["difference"]) < SAME


def test_results_that_do_not_pair_are_not_compared(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = tmp_path / "a.json"
    assert asked(checkpoint, "--n", "2", "--output", a) == 0
    document = json.loads(a.read_text())

    def refused(change: Callable[[dict[str, Any]], object]) -> str:
        other = json.loads(json.dumps(document))
        change(other)
        (tmp_path / "b.json").write_text(json.dumps(other))
        capsys.readouterr()
        assert cli.main(["evaluate", "compare", str(a), str(tmp_path / "b.json")]) == 2
        return capsys.readouterr().err

    for change, words in (
        ({"name": "folder"}, "data synthetic:pair and folder"),
        ({"split": "test"}, "split validate and test"),
        ({"division": {"manifest_sha256": "abc"}}, "division a seed for each and abc"),
    ):
        assert words in refused(lambda other, change=change: other["data"].update(change))  # type: ignore[misc]
    assert "protocol strict and a2sam" in refused(lambda other: other.update(protocol="a2sam"))
    assert "n = 2 and 3" in refused(lambda other: [one.update(n=3) for one in other["reports"]])
    assert "data_sha256" in refused(lambda other: [one.update(data_sha256="") for one in other["reports"]])
    assert "got: no 'per_sample'" in refused(
        lambda other: [one.pop("per_sample") for one in other["reports"]]
    )
    assert "got: no 'reports'" in refused(lambda other: other.pop("reports"))
    assert "got: expected finite figures" in refused(
        lambda other: other["reports"][0]["per_sample"][0]["values"].update(ged=10**400)
    )
    for path, came in (
        (tmp_path, "got a folder"),
        (tmp_path / "c.json", "got no such file"),
        (Path("/"), "a folder"),
    ):
        assert cli.main(["evaluate", "compare", str(a), str(path)]) == 2
        assert came in capsys.readouterr().err
    assert cli.main(["evaluate", "compare", str(a), str(a), "--output", str(a)]) == 2
    assert "apart from what is read" in capsys.readouterr().err


def test_a_peer_s_checkpoint_is_judged_too(tmp_path: Path) -> None:
    from asam.baselines import create

    path = tmp_path / "last.safetensors"
    create("ssn", image_size=64).save(path)
    output = tmp_path / "figures.json"
    assert asked(path, "--n", "4", "--output", output) == 0
    assert [r["method"] for r in json.loads(output.read_text())["reports"]] == ["SSN"]


def test_every_experiment_is_a_command_and_is_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    from asam.cli import evaluate as command

    for name in command.SUBCOMMANDS:
        with pytest.raises(SystemExit) as stop:
            cli.main(["evaluate", name, "--help"])
        assert stop.value.code == 0
        assert f"usage: asam evaluate {name} " in capsys.readouterr().out
        assert name in (command.__doc__ or "")


def test_the_experiments_write_what_they_say(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", "synthetic:pair", "--size", "64", "--limit", "4", "--output", str(tmp_path)]
    files = {
        "robustness": ["robustness.json", "robustness.md", "robustness-ged.png", "robustness-hm_iou.png"],
        "sensitivity": ["sensitivity.json", "sensitivity.md", "sensitivity.png"],
        "calibration": ["calibration.json", "calibration.md", "calibration.png"],
    }
    for name, expected in files.items():
        more = [] if name == "sensitivity" else ["--n", "4"]
        assert cli.main(["evaluate", name, "--model", str(checkpoint), *options, *more]) == 0
        said = capsys.readouterr().out
        for file in expected:
            assert f"wrote {tmp_path / file}" in said
            assert (tmp_path / file).stat().st_size > 0
        document = json.loads((tmp_path / expected[0]).read_text())
        assert document["models"][0]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        assert name in document
        assert "NaN" not in (tmp_path / expected[0]).read_text()


@pytest.mark.parametrize("option", ["--output", "--sheet"])
def test_a_slip_does_not_write_over_the_checkpoint(
    option: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.read_bytes()
    assert asked(checkpoint, option, checkpoint) == 2
    assert f"{option}: expected a file name that ends in" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before


@pytest.fixture
def run_folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint, config.json, an image and a study, each of which an output might hit."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "last.safetensors").write_bytes(checkpoint.read_bytes())
    for name in ("config.json", "photo_sheet.png", "study.json", "study.md"):
        (folder / name).write_text("precious")
    return folder


def test_results_do_not_replace_what_is_read(
    engine: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, root = run_folder / "last.safetensors", ["--root", str(run_folder)]
    data = ["--data", "synthetic:pair"]
    before = {path: path.read_bytes() for path in (engine / "manifest.json", *run_folder.iterdir())}
    evaluate = ["evaluate", "--model", str(model), *data]
    for words in (
        ["evaluate", "--model", str(engine), *data, "--output", str(engine / "manifest.json")],
        [*evaluate, "--output", str(run_folder / "config.json")],
        [*evaluate, "--sheet", str(run_folder / "photo_sheet.png"), *root],
        *(
            ["evaluate", name, "--model", str(engine), *data, "--output", str(engine)]
            for name in ("robustness", "sensitivity", "calibration")
        ),
        *(
            ["evaluate", name, *data, "--output", str(run_folder / "new"), *root]
            for name in ("ablation", "peers")
        ),
        [
            "evaluate",
            "tables",
            "--studies",
            str(run_folder / "study.json"),
            "--output",
            str(run_folder / "study.md"),
        ],
        ["bench", "--checkpoint", str(model), "--json", str(run_folder / "config.json")],
        ["data", "show", str(run_folder), "--output", str(run_folder / "photo_sheet.png")],
        ["data", "split", str(run_folder), "--output", str(run_folder / "config.json")],
        [
            "demo",
            "--photo",
            str(run_folder / "photo_sheet.png"),
            "--box",
            "0",
            "0",
            "9",
            "9",
            "--output",
            str(run_folder),
        ],
    ):
        assert cli.main(words) == 2, words
        assert "apart from what is read" in capsys.readouterr().err, words
    assert {path: path.read_bytes() for path in before} == before
    assert not (run_folder / "new").exists()


def test_results_may_lie_beside_the_checkpoint(run_folder: Path) -> None:
    assert asked(run_folder / "last.safetensors", "--output", run_folder / "figures.json", "--n", "2") == 0


@pytest.mark.parametrize("place", ["file", "below a file", "no disk"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    (tmp_path / "file").write_text("")
    output = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "no disk": Path("/proc/x")}[
        place
    ]
    monkeypatch.setattr("asam.cli._evaluate.common.open_data", lambda *_, **__: pytest.fail("too late"))
    model = ["--model", str(checkpoint), "--data", "synthetic:pair"]
    for words in (
        [*model, "--output", str(output / "x.json")],
        [*model, "--sheet", str(output / "x.png")],
        *([name, *model, "--output", str(output)] for name in ("robustness", "sensitivity", "calibration")),
        ["tables", "--output", str(output / "x.md")],
    ):
        assert cli.main(["evaluate", *words]) == 2, words
        assert "expected a folder for the results" in capsys.readouterr().err, words


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ([], ["--n", "2", "65536"], "n: expected 1 to 8192"),
        ([], ["--limit", "0"], "expected at least 1 sample"),
        (["robustness"], ["--limit", "0"], "expected at least 1 sample"),
        (["peers"], ["--n", "65536"], "n: expected 1 to 8192"),
        (["ablation"], ["--limit", "0"], "expected at least 1 sample"),
    ],
)
def test_counts_are_checked_before_the_work(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: list[str],
    options: list[str],
    words: str,
) -> None:
    model = [] if name in (["peers"], ["ablation"]) else ["--model", str(checkpoint)]
    output = ["--output", str(tmp_path / "x")] if name else []
    assert cli.main(["evaluate", *name, *model, "--data", "synthetic:pair", *output, *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.fixture
def pictures(write_folder: Callable[..., None], tmp_path: Path) -> Path:
    """Twenty images of five patients in the layout of `folder`, without splits."""
    root = tmp_path / "pictures"
    write_folder(root, patients=[i % 5 for i in range(20)])
    return root


def of_run(folder: Path, checkpoint: Path, **source: str) -> Path:
    """The checkpoint of a run with this source."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"source": source, "model": {}, "training": {}}))
    (folder / "last.safetensors").write_bytes(checkpoint.read_bytes())
    return folder / "last.safetensors"


@pytest.mark.parametrize("command", ["", "robustness", "sensitivity", "calibration"])
def test_data_is_divided_as_the_run_of_the_checkpoint_divided_it(
    command: str, checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = of_run(tmp_path / "run", checkpoint, data="folder", split_scheme="index-order")
    output = tmp_path / "results" / ("" if command else "figures.json")
    words = ["evaluate", *([command] if command else []), "--model", str(model), "--data", "folder"]
    words += ["--root", str(pictures), "--output", str(output)]
    words += {"": ["--n", "2"], "sensitivity": [], "calibration": ["--n", "2", "--no-fit"]}.get(
        command, ["--n", "2"]
    )
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert "split validate (by index-order)" in said.out
    (line,) = [line for line in said.err.splitlines() if "divide" in line]
    assert line.startswith("note: folder is divided by index-order, as the run was; the protocol would")
    file = output / f"{command}.json" if command else output
    assert json.loads(file.read_text())["data"]["split_scheme"] == "index-order"

    everything = open_dataset("folder", pictures, "all")
    trained = make_split(everything, scheme="index-order").splits["train"]
    judged = make_split(everything, scheme="group").splits["validate"]
    shared = len({*trained} & {*judged})
    assert shared > 0
    assert cli.main([*words, "--split-scheme", "group"]) == 0
    said = capsys.readouterr()
    assert "split validate (by group)" in said.out
    (line,) = [line for line in said.err.splitlines() if "trained on" in line]
    assert line.startswith(f"warning: {shared} of the {len(judged)} samples of split validate, by group, are")
    assert "--split-scheme index-order leaves them out" in line


@pytest.mark.parametrize("command", ["", "robustness"])
def test_data_is_divided_by_a_manifest(
    command: str, checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything, manifest = open_dataset("folder", pictures, "all"), tmp_path / "split.json"
    splits = make_split(everything, scheme="index-order")
    splits.save(manifest)
    words = [
        "evaluate",
        *([command] if command else []),
        "--data",
        "folder",
        "--root",
        str(pictures),
        "--n",
        "2",
    ]
    words += ["--output", str(tmp_path / "results" / ("" if command else "figures.json")), "--model"]
    by_manifest = f"split validate (the manifest {manifest}, sha256 {splits.sha256[:12]})"

    assert cli.main([*words, str(checkpoint), "--manifest", str(manifest)]) == 0
    said = capsys.readouterr()
    assert by_manifest in said.out
    assert "note" not in said.err

    model = of_run(
        tmp_path / "run", checkpoint, data="folder", manifest=str(manifest), manifest_sha256=splits.sha256
    )
    assert cli.main([*words, str(model)]) == 0
    said = capsys.readouterr()
    assert by_manifest in said.out
    assert (
        f"note: folder is divided by the manifest {manifest}, sha256 {splits.sha256[:12]}, as the run"
        in said.err
    )

    shared = len({*splits.splits["train"]} & {*make_split(everything).splits["validate"]})
    assert shared > 0
    assert cli.main([*words, str(model), "--split-scheme", "group"]) == 0
    said = capsys.readouterr()
    assert "split validate (by group)" in said.out
    (line,) = [line for line in said.err.splitlines() if "trained on" in line]
    assert line.startswith(f"warning: {shared} of the ")
    assert f"--manifest {manifest} leaves them out" in line

    manifest.unlink()
    assert cli.main([*words, str(model)]) == 0
    said = capsys.readouterr()
    assert "split validate (by group)" in said.out
    assert f"was trained on a split of {manifest}, which is not there" in said.err


@pytest.fixture
def engine_of_run(checkpoint: Path, pictures: Path, tmp_path: Path) -> Path:
    """An engine of a run that was trained by a file of splits, and nothing else of that run."""
    manifest, run = tmp_path / "split.json", tmp_path / "run"
    make_split(open_dataset("folder", pictures, "all"), scheme="index-order").save(manifest)
    model = of_run(
        run,
        checkpoint,
        data="folder",
        manifest=str(manifest),
        manifest_sha256=Manifest.load(manifest).sha256,
    )
    engine = asam_trt.build_engine(model, tmp_path / "run.asam", progress=False)
    shutil.rmtree(run)
    manifest.unlink()
    return engine


def test_an_engine_is_judged_as_its_run_divided_the_data(
    engine_of_run: Path, checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, output = engine_of_run, tmp_path / "figures.json"
    words = ["evaluate", "--model", str(engine), "--data", "folder", "--root", str(pictures), "--n", "2"]
    splits = make_split(everything := open_dataset("folder", pictures, "all"), scheme="index-order")
    by_manifest = f"the manifest {engine / 'split.json'}, sha256 {splits.sha256[:12]}"

    assert cli.main([*words, "--split", "test", "--output", str(output)]) == 0
    said = capsys.readouterr()
    assert f"split test ({by_manifest})" in said.out
    assert said.err.splitlines()[0] == f"note: folder is divided by {by_manifest}, as the run was"
    document = json.loads(output.read_text())
    assert document["data"]["division"] == {
        "from": "run",
        "manifest_sha256": splits.sha256,
        "training_known": True,
    }
    assert document["models"][0]["built_from"]["division"]["data"] == "folder"

    assert cli.main([*words, "--split-scheme", "group"]) == 0
    shared = len({*splits.splits["train"]} & {*make_split(everything).splits["validate"]})
    assert shared > 0
    assert f"warning: {shared} of the " in capsys.readouterr().err

    # The run's checkpoint names its own file of the same splits: they agree.
    splits.save(tmp_path / "other.json")
    model = of_run(tmp_path / "again", checkpoint, data="folder", manifest=str(tmp_path / "other.json"))
    both = ["evaluate", "robustness", *words[1:3], str(model), *words[3:], "--output", str(tmp_path / "both")]
    assert cli.main(both) == 0
    said = capsys.readouterr()
    assert splits.sha256[:12] in said.out
    assert "trained on" not in said.err


def figures(words: list[str], output: Path) -> dict[str, Any]:
    """What the JSON of an evaluation says of the division."""
    assert cli.main([*words, "--output", str(output)]) == 0
    division: dict[str, Any] = json.loads(output.read_text())["data"]["division"]
    return division


def test_a_manifest_that_changed_after_the_training_is_not_taken_for_that_of_the_run(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything, manifest = open_dataset("folder", pictures, "all"), tmp_path / "split.json"
    trained, other = make_split(everything, seed=0), make_split(everything, seed=7)
    assert trained.sha256 != other.sha256
    other.save(manifest)
    source = {"data": "folder", "manifest": str(manifest)}
    model = of_run(tmp_path / "run", checkpoint, **source, manifest_sha256=trained.sha256)
    words = ["evaluate", "--data", "folder", "--root", str(pictures), "--n", "2", "--limit", "1", "--model"]

    found = figures([*words, str(model)], tmp_path / "figures.json")
    assert found == {"from": "run", "manifest_sha256": other.sha256, "training_known": False}
    said = capsys.readouterr().err
    assert "as the run was" not in said
    assert "it is not certain that this is the division of the training, which had the sha256" in said
    assert trained.sha256[:12] in said
    assert not figures([*words, str(model), "--split-scheme", "group"], tmp_path / "figures.json")[
        "training_known"
    ]
    assert f"{manifest} has changed since {model} was trained by it" in capsys.readouterr().err

    trained.save(model.parent / "split.json")  # as `asam train` keeps it
    found = figures([*words, str(model)], tmp_path / "figures.json")
    assert found == {"from": "run", "manifest_sha256": trained.sha256, "training_known": True}
    assert f"divided by the manifest {model.parent / 'split.json'}" in (said := capsys.readouterr().err)
    assert "as the run was" in said

    starts.save([], model.parent / "split-start.json")
    for name in ("split.json", "split-start.json"):  # which results must not take the place of
        assert cli.main([*words, str(model), "--output", str(model.parent / name)]) == 2
    assert Manifest.load(model.parent / "split.json") == trained
    capsys.readouterr()

    older = of_run(tmp_path / "older", checkpoint, **source)
    trained.save(older.parent / "split.json")  # somebody else's: an older run keeps none
    found = figures([*words, str(older)], tmp_path / "figures.json")
    assert found == {"from": "run", "manifest_sha256": other.sha256, "training_known": True}
    said = capsys.readouterr().err
    assert "not certain that this is the division of the training: the run kept neither a copy" in said
    assert "as the run was" not in said


def test_a_damaged_manifest_of_the_run_is_as_good_as_none(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest := tmp_path / "split.json").write_text("{")
    make_split(open_dataset("folder", pictures, "all")).save(other := tmp_path / "other.json")
    model = of_run(tmp_path / "run", checkpoint, data="folder", manifest=str(manifest))
    words = ["evaluate", "--model", str(model), "--data", "folder", "--root", str(pictures), "--n", "2"]
    for more in ([], ["--manifest", str(other)], ["--split-scheme", "group"]):
        found = figures([*words, "--limit", "1", *more], tmp_path / "figures.json")
        assert found["from"] == ("asked for" if more else "protocol")
        assert not found["training_known"]
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert line.startswith(
            f"warning: {model} was trained on a split of {manifest}, which cannot be used ("
        )


def test_samples_that_the_start_of_a_run_was_trained_on_are_counted(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = open_dataset("folder", pictures, "all")
    by_index, judged = make_split(everything, scheme="index-order"), make_split(everything).splits["validate"]
    shared = len({*by_index.splits["train"]} & {*judged})
    assert shared > 0
    first = of_run(
        tmp_path / "first", checkpoint, data="folder", manifest="x", manifest_sha256=by_index.sha256
    )
    by_index.save(first.parent / "split.json")
    model = of_run(tmp_path / "second", checkpoint, data="folder", start=str(first))
    words = ["evaluate", "--data", "folder", "--root", str(pictures), "--n", "2", "--model"]

    def told(model: Path, *more: str) -> tuple[list[str], bool]:
        known = figures([*words, str(model), *more], tmp_path / "figures.json")["training_known"]
        return [line for line in capsys.readouterr().err.splitlines() if "started from" in line], known

    (line,), known = told(model)  # an older run, which kept the name of its start alone
    assert line == (
        f"warning: {model} started from last.safetensors, and what that was trained on is not certain: "
        "samples of split validate may be among it"
    )
    assert not known
    assert told(model, "--split", "all")[0] == []

    starts.save(starts.of_start(first), model.parent / "split-start.json")
    engine = asam_trt.build_engine(model, tmp_path / "second.asam", progress=False)
    shutil.rmtree(first.parent)
    counted = f"warning: {shared} of the {len(judged)} samples of split validate are among those that"
    for judged_model in (model, engine):
        (line,), known = told(judged_model)
        assert line == f"{counted} last.safetensors was trained on, which {judged_model} started from"
        assert known

    # By a scheme: of these samples, or of others in a folder of the same layout.
    for samples, lines, certain in (
        (of_training("folder", open_dataset("folder", pictures, "train", scheme="index-order")), 1, True),
        ("0" * 64, 1, False),
    ):
        start = starts.Start("a.safetensors", "folder", "index-order", None, samples, True)
        starts.save([start], model.parent / "split-start.json")
        found, known = told(model)
        assert (len(found), known) == (lines, certain)
        assert found[0].startswith(counted) == certain

    # Of two, each has its own line.
    known_none = starts.Start("b.safetensors", "folder", None, ("not there",), None, True)
    starts.save([starts.Start("a.safetensors"), known_none], model.parent / "split-start.json")
    assert [line.split(",")[0] for line in told(model)[0]] == [f"warning: {model} started from a.safetensors"]

    # The network that ships has seen no files, nor has one of other data seen these.
    starts.save([starts.Start("b.safetensors", "lidc-v1", certain=True)], model.parent / "split-start.json")
    assert told(model) == ([], True)
    nano = of_run(tmp_path / "third", checkpoint, data="folder", start="nano")
    assert told(nano) == ([], True)


def test_other_data_of_the_same_name_is_told_from_that_of_the_run(
    engine_of_run: Path,
    write_folder: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_folder(other := tmp_path / "other", patients=[0, 1, 2, 3, 4])
    words = ["evaluate", "--model", str(engine_of_run), "--data", "folder", "--root", str(other), "--n", "2"]
    assert cli.main([*words, "--split", "test"]) == 2
    assert "of the model's run: --manifest or --split-scheme name another division" in capsys.readouterr().err
    assert cli.main([*words, "--split", "test", "--split-scheme", "group"]) == 0


def test_a_training_of_which_nothing_is_known_is_told(
    engine: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    words = ["evaluate", "--model", str(engine), "--data", "folder", "--root", str(pictures), "--n", "2"]
    words += ["--split", "test", "--output", str(output)]
    assert cli.main(words) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "not known" in line]
    assert line.startswith(
        f"warning: what divided the data that {engine} learned from is not known: samples of"
    )
    division = json.loads(output.read_text())["data"]["division"]
    assert division == {"from": "protocol", "manifest_sha256": None, "training_known": False}

    for more in (["--split-scheme", "group"], ["--split", "all"], ["--split", "train"]):
        assert cli.main([*words, *more]) == 0
        assert "not known" not in capsys.readouterr().err
    rows = [f"{i:02},{'train' if i < 12 else 'test'},{i}" for i in range(20)]
    (pictures / "index.csv").write_text("\n".join(["id,split,group", *rows]) + "\n")
    assert cli.main(words) == 0
    assert "not known" not in capsys.readouterr().err
    assert json.loads(output.read_text())["data"]["division"]["from"] == "data"


def test_the_network_that_ships_has_seen_no_data_of_files(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(NANO), "--data", "folder", "--root", str(pictures), "--n", "2", "--limit", "1"]
    assert cli.main(["evaluate", *words]) == 0
    assert "not known" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ({"data": "folder"}, True),  # made before the scheme was a choice
        ({"data": "synthetic:pair", "split_scheme": "index-order"}, True),
        ({"data": "folder", "split_scheme": "best"}, False),
        ({}, False),
    ],
)
def test_a_run_that_says_nothing_of_the_division_leaves_it_to_the_protocol(
    source: dict[str, str],
    known: bool,
    checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = of_run(tmp_path / "run", checkpoint, **source)
    words = ["--model", str(model), "--data", "folder", "--root", str(pictures), "--n", "2"]
    assert cli.main(["evaluate", *words]) == 0
    said = capsys.readouterr()
    assert "split validate (by group)" in said.out
    assert "is divided by" not in said.err
    assert ("learned from is not known" not in said.err) == known


def test_options_without_effect_are_told(
    checkpoint: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--model", str(checkpoint), "--n", "2", "--limit", "1"]
    assert cli.main([*words, "--data", "folder", "--root", str(pictures), "--size", "64"]) == 0
    said = capsys.readouterr().err
    assert "warning: --size has no effect: it is of synthetic data, and folder is of files" in said
    assert "--split-scheme has no effect" not in said
    assert cli.main([*words, "--data", "synthetic:pair", "--size", "64", "--split-scheme", "group"]) == 0
    said = capsys.readouterr().err
    assert "warning: --split-scheme has no effect: the splits of synthetic:pair are a seed for each" in said
    assert "--size" not in said


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """A folder of three samples whose names are no text."""
    root = tmp_path / "data"
    for i in range(3):
        name = os.fsdecode(b"caf\xe9 %d" % i)
        masks = root / "masks" / name
        (root / "images").mkdir(parents=True, exist_ok=True)
        try:
            masks.mkdir(parents=True)
        except OSError:
            pytest.skip("names are text on this file system")
        Image.fromarray(np.full((48, 48, 3), 50 * i, np.uint8)).save(root / "images" / f"{name}.png")
        for j in range(2):
            Image.fromarray(np.pad(np.ones((10, 20 + j), np.uint8), ((9, 29), (9, 19 - j)))).save(
                masks / f"{j}.png"
            )
    return root


def test_names_that_are_no_text(engine: Path, nameless: Path, tmp_path: Path) -> None:
    other = tmp_path / os.fsdecode(b"mod\xe8le.asam")
    shutil.copytree(engine, other)
    output, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    question = ["--data", "folder", "--root", str(nameless), "--split", "all", "--n", "4", "--limit", "2"]
    words = [*question, "--model", str(other), "--output", str(output), "--sheet", str(sheet)]
    done = subprocess.run(
        [sys.executable, "-c", "from asam.cli import main; raise SystemExit(main())", "evaluate", *words],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"checkpoints: 1, mod\xe8le.asam" in done.stdout
    assert json.loads(output.read_text(encoding="utf-8"))["models"][0]["name"] == other.name
    assert r"checkpoints: 1, mod\udce8le.asam" in output.with_suffix(".md").read_text(encoding="utf-8")
    assert sheet.stat().st_size > 0
    for experiment in ("calibration", "robustness"):
        words = [*question, "--model", str(other), "--output", str(tmp_path / experiment)]
        assert cli.main(["evaluate", experiment, *words]) == 0
        assert (tmp_path / experiment / f"{experiment}.json").is_file()
