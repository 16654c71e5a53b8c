"""What `asam train` begins with: SAM's weights, a run before it, and how pixels come to the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import SMALL, dry, error
from safetensors.torch import load_file

from asam import cli
from asam.assets import NANO
from asam.model import ASAM, ModelConfig, load_checkpoint


def test_resume_does_not_need_what_the_run_started_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, start = tmp_path / "first", tmp_path / "second", tmp_path / "start.safetensors"
    assert cli.main(["train", *SMALL, "--output", str(first), "--config.steps", "2"]) == 0
    (first / "last.safetensors").rename(start)
    words = [*SMALL[:2], *SMALL[4:], "--output", str(second), "--config.steps"]
    assert cli.main(["train", *words, "2", "--start", str(start)]) == 0
    capsys.readouterr()
    line = error(capsys, *words, "4", "--resume", "--start", str(first / "best.safetensors"))
    assert f"start '{first / 'best.safetensors'}' in place of '{start}'" in line
    start.unlink()
    assert cli.main(["train", "--output", str(second), "--resume", "--config.steps", "4"]) == 0
    assert (second / "states" / "step-00000004").is_dir()


def test_pixels_win_over_the_preset_and_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "--output", str(tmp_path)]

    def scale(*more: str) -> list[float]:
        settings, _ = dry(capsys, *words, *more)
        (tmp_path / "part.json").write_text(json.dumps({"model": settings["model"]}))
        return [*settings["model"]["pixel_mean"], *settings["model"]["pixel_std"]]

    unit, sam = [0.0] * 3 + [255.0] * 3, [123.675, 116.28, 103.53, 58.395, 57.12, 57.375]
    assert scale() == sam
    assert scale("--pixels", "unit") == unit
    file = ["--config-file", str(tmp_path / "part.json")]
    assert scale(*file) == unit
    assert scale(*file, "--pixels", "sam") == sam
    assert scale("--preset", "paper") == unit
    assert scale("--preset", "paper", "--pixels", "sam") == sam


def test_a_sam_checkpoint_of_junk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sam.safetensors"
    file.write_bytes(b"junk")
    words = ["--output", str(tmp_path / "run"), "--sam-checkpoint", str(file)]
    assert "sam.safetensors: expected a file of tensors only" in error(capsys, *SMALL, *words)


@pytest.fixture
def sam_file(tmp_path: Path) -> Path:
    """SAM's names in nano's sizes."""
    state = ASAM(ModelConfig(backbone="nano", image_size=32, mask_tokens=3)).state_dict()
    parts = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
    torch.save({k: v for k, v in state.items() if k.startswith(parts)}, tmp_path / "sam.pth")
    return tmp_path / "sam.pth"


def test_the_backbone_is_that_of_the_sam_checkpoint(
    mobile_sam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--output", str(tmp_path), "--dry-run"]
    sam = ["--sam-checkpoint", str(mobile_sam)]
    assert cli.main(["train", *words, *sam]) == 0
    out, err = capsys.readouterr()
    settings, _ = json.JSONDecoder().raw_decode(out[out.index("{") :])
    assert settings["model"]["backbone"] == "vit_t"
    assert not settings["model"]["draws_prompts"], "which is for a backbone without SAM's weights"
    assert err == f"backbone: vit_t, that of {mobile_sam}\n"

    misfit = "expected weights of backbone nano, got those of vit_t"
    assert misfit in error(capsys, *words, *sam, "--backbone", "nano")
    file = tmp_path / "part.json"
    file.write_text(
        json.dumps({"model": {"backbone": "nano"}, "source": {"sam_checkpoint": str(mobile_sam)}})
    )
    assert misfit in error(capsys, *words, "--config-file", str(file))
    file.write_text(json.dumps({"source": {"sam_checkpoint": str(mobile_sam)}}))
    assert cli.main(["train", *words, "--config-file", str(file)]) == 0
    assert capsys.readouterr().err.startswith("backbone: vit_t")


def test_lite_medsam_s_pixels_and_mask_come_with_its_file(
    lite_medsam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--output", str(tmp_path), "--dry-run", "--sam-checkpoint", str(lite_medsam)]
    chosen = {}
    for name, options in (("own", []), ("chosen", ["--pixels", "sam", "--masks", "multi"])):
        assert cli.main(["train", *words, *options]) == 0
        out = capsys.readouterr().out
        chosen[name] = json.JSONDecoder().raw_decode(out[out.index("{") :])[0]["model"]
    assert {model["backbone"] for model in chosen.values()} == {"lite_medsam"}
    assert (chosen["own"]["pixel_std"], chosen["own"]["start"]) == ([255.0] * 3, "single")
    assert (chosen["chosen"]["pixel_std"][0], chosen["chosen"]["start"]) == (58.395, "repeat")
    # As a run keeps it: what it began with is what it goes on with.
    (tmp_path / "kept.json").write_text(json.dumps({"model": chosen["chosen"]}))
    assert cli.main(["train", *words, "--config-file", str(tmp_path / "kept.json")]) == 0
    out = capsys.readouterr().out
    assert json.JSONDecoder().raw_decode(out[out.index("{") :])[0]["model"] == chosen["chosen"]


def test_a_sam_checkpoint_of_no_backbone_that_is_known(
    sam_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(sam_file, weights_only=True)
    words = ["--output", str(tmp_path), "--sam-checkpoint", str(tmp_path / "other.pth")]
    torch.save({**state, "image_encoder.pos_embed": torch.zeros(1, 2, 2, 80)}, tmp_path / "other.pth")
    assert "out of {'vit_b': (768, 12)" in (line := error(capsys, *SMALL, *words))
    assert "came (80, 4) with position table (1, 2, 2, 80)" in line
    del state["image_encoder.pos_embed"]
    torch.save(state, tmp_path / "other.pth")
    assert "expected image_encoder.pos_embed or " in error(capsys, *SMALL, *words)
    (tmp_path / "other.pth").unlink()
    assert "other.pth: expected a checkpoint file, got: No such file" in error(capsys, *SMALL, *words)


def test_masks_choose_what_a_run_begins_with(
    sam_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    words = [*SMALL, "--sam-checkpoint", str(sam_file), "--config.steps"]
    assert cli.main(["train", *words, "1", "--output", str(run), "--masks", "single"]) == 0
    assert "mask tokens that begin as copies: 2, 3, 4, 5, 6, 7, 8\n" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text())["model"]["start"] == "single"
    for masks in ([], ["--masks", "multi"]):
        assert cli.main(["train", *words, "1", "--output", str(tmp_path), "--dry-run", *masks]) == 0
        assert "mask tokens that begin as copies: 4, 5, 6, 7, 8\n" in capsys.readouterr().out

    # Over the file of a run; those of a run that goes on, and of a checkpoint, are theirs.
    file = ["--config-file", str(run / "config.json"), "--output", str(tmp_path)]
    assert cli.main(["train", *file, "--dry-run"]) == 0
    assert "copies: 2, 3" in capsys.readouterr().out
    assert cli.main(["train", *file, "--dry-run", "--masks", "multi"]) == 0
    assert "copies: 4, 5" in capsys.readouterr().out
    assert not [record for record in caplog.records if "effect" in record.message]
    began = "--masks: expected those that {} began with (single), got 'multi'; leave it out"
    resumed = ["--output", str(run), "--resume", "--config.steps", "2", "--masks"]
    assert began.format(run) in error(capsys, *resumed, "multi")
    assert cli.main(["train", *resumed, "single"]) == 0
    capsys.readouterr()
    start = run / "last.safetensors"
    rest = [word for word in SMALL if word not in ("--image-size", "32")]
    line = error(capsys, *rest, "--start", str(start), "--output", str(run), "--masks", "multi", "--dry-run")
    assert began.format(start) in line


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "repeat"),
        (["--preset", "a2sam"], "fresh"),
        (["--preset", "a2sam", "--masks", "multi"], "repeat"),
        (["--preset", "a2sam", "--masks", "single"], "single"),
        (["--masks", "single"], "single"),
    ],
)
def test_masks_without_a_sam_are_told(
    words: list[str],
    start: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings, _ = dry(capsys, *SMALL, "--output", str(tmp_path), *words)
    assert settings["model"]["start"] == start
    told = [record.message for record in caplog.records if "effect" in record.message]
    line = "--masks has no effect: it is of the masks in a --sam-checkpoint, and there is none"
    assert told == ([line] if "--masks" in words else [])


def test_a_peer_has_no_masks_to_choose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--method", "ssn", "--masks", "single", "--dry-run"]
    assert "none of A-SAM's own options, got ['masks']" in error(capsys, *SMALL, *words)


def test_start_from_an_earlier_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert cli.main(["train", *SMALL, "--output", str(first), "--config.steps", "2"]) == 0
    start = ["--start", str(first / "last.safetensors")]
    rest = [word for word in SMALL if word not in ("--image-size", "32")]
    assert cli.main(["train", *rest, *start, "--output", str(second), "--config.steps", "1"]) == 0
    capsys.readouterr()
    settings = json.loads((second / "config.json").read_text())
    assert settings["model"]["image_size"] == 32
    moved = load_file(second / "last.safetensors")
    distance = max(
        float((value - moved[name]).abs().max())
        for name, value in load_file(first / "last.safetensors").items()
    )
    assert 0 < distance < 0.01, "one step away from where it started"
    conflict = error(capsys, *rest, *start, "--image-size", "64", "--output", str(tmp_path / "third"))
    assert "--image-size: expected 32" in conflict


def test_nano_names_the_network_that_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [word for word in SMALL if word not in ("--image-size", "32")]
    words = [*rest, "--start", "nano", "--config.steps", "1", "--config.workers", "0"]
    assert cli.main(["train", *words, "--output", "run"]) == 0
    settings = json.loads(Path("run/config.json").read_text())
    assert settings["source"]["start"] == "nano", "which another installation knows too"
    assert settings["model"]["image_size"] == load_checkpoint(NANO).config.image_size
    shipped, moved = load_file(NANO), load_file(Path("run/last.safetensors"))
    distance = max(float((moved[k] - value).abs().max()) for k, value in shipped.items())
    assert 0 < distance < 0.01, "one step away from where it started"
    assert cli.main(["train", "--output", "run", "--resume", "--config.steps", "2"]) == 0

    capsys.readouterr()
    line = error(capsys, *words, "--pixels", "unit", "--output", "other")
    assert "--pixels: expected those of nano (mean (123.675, 116.28, 103.53) and deviation" in line
    assert "), got 'unit'; leave it out" in line
    dry(capsys, *words, "--pixels", "sam", "--output", "other")

    Path("nano").write_bytes(b"junk")  # a file of that name is what is meant
    capsys.readouterr()
    assert "nano: expected" in error(capsys, *words, "--output", "other")


def test_a_start_brings_the_settings_of_its_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / "a2sam.safetensors"
    torch.manual_seed(0)
    ASAM.from_preset("a2sam", backbone="nano", image_size=32).save(start)
    words = ["--data", "synthetic:pair", "--length", "20", "--output", str(tmp_path / "run")]
    settings, _ = dry(capsys, *words, "--start", str(start))
    named, _ = dry(capsys, *words, "--preset", "a2sam", "--image-size", "32")
    assert settings["model"]["preset"] == "a2sam"
    assert settings["training"] == named["training"]
    assert settings["training"]["objective"] == "published"
    assert settings["training"]["steps"] == 50 * 20 // 10
    assert settings["source"]["split_scheme"] == "index-order"
    file = tmp_path / "config.json"
    file.write_text('{"model": {"preset": "paper"}}')
    conflict = error(capsys, *words, "--start", str(start), "--config-file", str(file))
    assert "preset: expected 'a2sam'" in conflict
    assert "preset: expected 'a2sam'" in error(capsys, *words, "--start", str(start), "--preset", "paper")
