"""The loop learns, moves what it should, resumes to the same bits after a kill, and stops clearly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import EVERY_KIND, gradients, tiny_config, tiny_data, tiny_model, tiny_train

from asam.data import Synthetic
from asam.model import ASAM, BACKBONES, CheckpointError, adapt, load_checkpoint
from asam.model.config import TinyViTSizes
from asam.training import NonFiniteLoss, TrainConfig, train
from asam.training.lock import only_run
from asam.training.run import optimizer_of
from asam.training.state import load_state, newest_state


def test_every_parameter_moves(tmp_path: Path) -> None:
    """Prior and posterior, combiners, ensemble weights, quality head, every prompt: all are in the optimiser."""
    tiny_train(tmp_path, steps=3, batch_size=6, ema=0.0, weight_decay=0.0, prompts=EVERY_KIND)
    before, after = tiny_model().state_dict(), load_file(tmp_path / "last.safetensors")
    trained = [name for name, p in tiny_model().named_parameters() if p.requires_grad]
    assert [name for name in trained if torch.equal(before[name], after[name])] == []


def test_fixed_statistics_stay_and_their_encoder_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_tiny_vit: TinyViTSizes
) -> None:
    """MobileSAM's, made small: in the weights, in their average, and after a resume."""
    monkeypatch.setitem(BACKBONES, "vit_t", replace(BACKBONES["nano"], encoder=small_tiny_vit))

    def network() -> ASAM:
        torch.manual_seed(0)
        network = ASAM.from_preset(backbone="vit_t", image_size=32)
        for name, value in network.image_encoder.named_buffers():
            value.uniform_(0.5, 2.0) if name.endswith("running_var") else value.normal_(std=0.3)
        return network

    before = network().state_dict()
    fixed = {name for name in before if name.endswith(("running_mean", "running_var"))}
    assert len(fixed) == 2 * (2 + 3 + 9 + 4)  # patches, the first stage, three mergings, four blocks
    for steps in (1, 2):
        config = tiny_config(steps=steps, ema=0.5, weight_decay=0.0)
        train(network(), tiny_data(), output=tmp_path, config=config, resume=steps > 1, progress=False)
    assert load_state(tmp_path / "states" / "step-00000002")[0]["averaged"] == 2
    trained = {f"image_encoder.{name}" for name, _ in network().image_encoder.named_parameters()}
    for file in ("states/step-00000002/model.safetensors", "last.safetensors"):
        after = load_file(tmp_path / file)
        assert {name for name in fixed if not torch.equal(after[name], before[name])} == set()
        assert {name for name in trained if torch.equal(after[name], before[name])} == set()
    loaded = load_checkpoint(tmp_path / "last.safetensors")
    assert loaded.config == network().config
    assert all(torch.equal(loaded.state_dict()[name], before[name]) for name in fixed)


@pytest.mark.parametrize(("preset", "backbone"), [("asam", "nano"), ("a2sam", "nano"), ("asam", "vit_t")])
def test_weight_decay_leaves_biases_norms_and_tables(preset: str, backbone: str) -> None:
    network = ASAM.from_preset(preset, backbone=backbone, image_size=32)
    names = {id(p): name for name, p in network.named_parameters()}
    decayed, spared = optimizer_of(network, TrainConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    tables = (
        "pos_embed",
        "rel_pos_",
        "attention_biases",
        "embeddings.",
        "_embed.weight",
        "mask_tokens",
        "iou_token",
        "null_token",
    )
    for p in decayed["params"]:
        assert p.ndim > 1
        assert not any(table in names[id(p)] for table in tables), names[id(p)]
    kept = [names[id(p)] for p in spared["params"] if p.ndim > 1]
    assert all(any(table in name for table in tables) for name in kept), kept
    assert kept
    both = [names[id(p)] for p in (*decayed["params"], *spared["params"])]
    assert sorted(both) == sorted(name for name, p in network.named_parameters() if p.requires_grad)
    adapters = [name for name in both if ".down." in name or ".up." in name]
    assert bool(adapters) == (preset == "a2sam")
    assert {*adapters} <= {names[id(p)] for p in decayed["params"]}


def test_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    tiny_train(whole)

    program = "import sys; from pathlib import Path; from tiny_runs import tiny_train; tiny_train(Path(sys.argv[1]))"
    # Sums depend on the number of threads, which other tests may have set in this process.
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": threads}
    process = subprocess.Popen([sys.executable, "-c", program, str(broken)], env=environment)
    deadline = time.monotonic() + 120
    while newest_state(broken / "states") is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    state = newest_state(broken / "states")
    assert state is not None
    assert load_state(state)[0]["step"] < 12
    tiny_train(broken, resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        expected, found = load_file(whole / name), load_file(broken / name)
        assert all(torch.equal(expected[k], found[k]) for k in expected), name


def test_best_is_the_lowest_ged(tmp_path: Path) -> None:
    best = tiny_train(tmp_path)
    evaluations = [
        entry["evaluation"]["ged"]
        for entry in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
        if "evaluation" in entry
    ]
    assert len(evaluations) == 2
    state = newest_state(tmp_path / "states")
    assert state is not None
    assert load_state(state)[0]["best_ged"] == pytest.approx(min(evaluations))
    assert load_checkpoint(best).config.image_size == 32


def test_a_second_run_does_not_overwrite(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=2)
    with pytest.raises(ValueError, match="resume=True"):
        tiny_train(tmp_path, steps=2)


def test_two_runs_do_not_write_one_folder_at_once(tmp_path: Path) -> None:
    with only_run(tmp_path), pytest.raises(ValueError, match="another process is training there now"):
        tiny_train(tmp_path, steps=2)
    assert not list(tmp_path.glob("*.json*"))
    tiny_train(tmp_path, steps=2)


def test_resume_of_another_network_is_refused(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=2)
    with pytest.raises(ValueError, match=r"with another \['image_size'\]"):
        tiny_train(tmp_path, side=48, steps=4, resume=True)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: expected the file of a run"):
        tiny_train(tmp_path, steps=4, resume=True)


def test_a_finished_run_keeps_its_settings(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=2)
    before = (tmp_path / "config.json").read_bytes()
    tiny_train(tmp_path, steps=2, resume=True, learning_rate=5.0)
    assert (tmp_path / "config.json").read_bytes() == before


def test_resume_without_a_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none"):
        tiny_train(tmp_path, resume=True)


def test_damaged_state_is_named(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=2)
    state = newest_state(tmp_path / "states")
    assert state is not None
    file = state / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="step-00000002") as stop:
        tiny_train(tmp_path, steps=4, resume=True)
    assert "remove it" not in str(stop.value)


def test_a_damaged_state_names_the_one_before(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=4)
    (tmp_path / "states" / "step-00000004" / "state.json").write_text("junk")
    with pytest.raises(CheckpointError, match=r"remove it to go on from .*step-00000002"):
        tiny_train(tmp_path, steps=6, resume=True)
    shutil.rmtree(tmp_path / "states" / "step-00000004")
    assert tiny_train(tmp_path, steps=6, resume=True).exists()


def test_loss_that_is_no_number_stops_and_keeps_the_state(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="lower learning rate"):
        tiny_train(tmp_path, learning_rate=1e30, clip=1e30, steps=12, save_every=1)
    assert newest_state(tmp_path / "states") is not None


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    """Loss of a few samples falls to a fraction."""
    data = Synthetic("plain", size=64, seed=0, length=8)
    torch.manual_seed(0)
    model = ASAM.from_preset(backbone="nano", image_size=64)
    config = TrainConfig(
        steps=150, batch_size=8, warmup=10, augment=False, eval_every=150, workers=0, ema=0.9
    )
    train(model, data, validation=data, output=tmp_path, config=config, progress=False)
    entries = list(map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines()))
    losses = [e["loss"] for e in entries if "loss" in e]
    assert losses[-1] < 0.35 * losses[0]
    assert entries[-1]["evaluation"]["dmean"] > 0.6


def logged(folder: Path, key: str) -> list[float]:
    entries = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [entry[key] for entry in entries if key in entry]


def test_patience_ends_a_run_that_does_not_improve(tmp_path: Path) -> None:
    """At a learning rate of almost nothing no evaluation beats the first."""
    tiny_train(tmp_path, learning_rate=1e-30, eval_every=1, patience=3, ema=0.0)
    assert len(logged(tmp_path, "evaluation")) == 4
    state = newest_state(tmp_path / "states")
    assert state is not None
    assert state.name == "step-00000004"
    assert (tmp_path / "last.safetensors").is_file()
    tiny_train(tmp_path, learning_rate=1e-30, eval_every=1, patience=3, ema=0.0, resume=True)
    assert len(logged(tmp_path, "evaluation")) == 4


def test_half_precision_is_near_the_full_one(tmp_path: Path) -> None:
    full, half = (
        gradients(tmp_path, tiny_config(mixed_precision=precision, prompts=EVERY_KIND))
        for precision in ("no", "bf16")
    )
    assert half[1]["ce"] != full[1]["ce"]
    assert half[1] == pytest.approx(full[1], rel=0.05, abs=1e-4)
    name = "mask_decoder.output_upscaling.0.weight"
    assert half[0][name].dtype == torch.float32
    assert torch.cosine_similarity(half[0][name].flatten(), full[0][name].flatten(), dim=0) > 0.99


def test_half_precision_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    tiny_train(whole, steps=4, eval_every=4, mixed_precision="bf16")
    tiny_train(broken, steps=4, save_every=2, eval_every=4, mixed_precision="bf16")
    shutil.rmtree(broken / "states" / "step-00000004")
    tiny_train(broken, steps=4, eval_every=4, mixed_precision="bf16", resume=True)
    expected, found = load_file(whole / "last.safetensors"), load_file(broken / "last.safetensors")
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_fp16_is_not_taken_for_granted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'expected "bf16" or "no" on the CPU, got "fp16"'):
        tiny_train(tmp_path, mixed_precision="fp16")


def test_tensorboard_gets_curves_and_sheets(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tiny_train(tmp_path, steps=20, eval_every=10, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/kl_prompt", "train/kl_image", "validation/ged"} <= set(tags["scalars"])
    (loss,) = events.Scalars("train/loss")
    assert (loss.step, loss.value) == (20, pytest.approx(logged(tmp_path, "loss")[0]))
    assert [image.step for image in events.Images("hypotheses")] == [10, 20]
    assert events.Images("hypotheses")[0].width > 300


def test_a_sheet_that_cannot_be_drawn_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")

    def fail(*_: object, **__: object) -> None:
        raise ValueError("x1 must be greater than or equal to x0")

    monkeypatch.setattr("asam.training.board.sheet", fail)
    tiny_train(tmp_path, steps=2, eval_every=2, tensorboard=True)
    assert (tmp_path / "last.safetensors").exists()
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (
        told
        == "TensorBoard's sheet of step 2 is left out, drawing it failed: x1 must be greater than or equal to x0"
    )


def test_tensorboard_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        tiny_train(tmp_path, tensorboard=True)


def test_the_published_objective_needs_its_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"objective: .*--preset a2sam"):
        tiny_train(tmp_path / "run", objective="published")
    assert not (tmp_path / "run").exists()


def test_steps_before_the_state_are_refused(tmp_path: Path) -> None:
    tiny_train(tmp_path, steps=4)
    with pytest.raises(ValueError, match="at least the 4"):
        tiny_train(tmp_path, steps=2, resume=True)


def test_cached_embeddings_change_nothing(tmp_path: Path) -> None:
    for name, cached in (("plain", False), ("cached", True)):
        model = adapt(tiny_model(), "frozen")
        config = tiny_config(steps=20, eval_every=20, augment=False, cache_embeddings=cached)
        train(model, tiny_data(), output=tmp_path / name, config=config, progress=False)
    assert len(list((tmp_path / "cached" / "embeddings").rglob("*.safetensors"))) == len(tiny_data())
    assert logged(tmp_path / "cached", "loss") == pytest.approx(logged(tmp_path / "plain", "loss"), rel=1e-3)


def test_cached_embeddings_need_a_frozen_encoder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        tiny_train(tmp_path, augment=False, cache_embeddings=True)
    with pytest.raises(ValueError, match="augment=False"):
        tiny_train(tmp_path, cache_embeddings=True)
