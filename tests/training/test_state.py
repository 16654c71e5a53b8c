"""A damaged state to resume from is refused with the name of what is wrong, and an older one is pointed at."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import tiny_model, tiny_train

from asam.model import CheckpointError
from asam.training.evaluations import best_evaluation, evaluations
from asam.training.state import DamagedState

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the states of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("finished")
    tiny_train(folder, steps=2, save_every=1, eval_every=100)
    return folder


@pytest.fixture
def state(tmp_path: Path, finished: Path) -> Path:
    """The newest state of a copy of that run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run" / "states" / "step-00000002"


def refused(state: Path, message: str, *, fits: bool = True) -> None:
    """A state that fits no more is no damaged one, which alone is to be removed."""
    with pytest.raises(CheckpointError, match=message) as stop:
        tiny_train(state.parents[1], steps=3, eval_every=100, resume=True)
    assert isinstance(stop.value, DamagedState) == fits
    older = f"remove it to go on from {state.parent / 'step-00000001'}"
    other = f"of other options than these, see {state.parents[1] / 'config.json'}"
    assert str(stop.value).endswith(older if fits else other)


def moment(tensors: Tensors, name: str) -> str:
    """One of a parameter with several rows, or a step."""
    return next(k for k, v in tensors.items() if k.endswith(name) and (not v.ndim or len(v) > 1))


def shorten(tensors: Tensors) -> None:
    key = moment(tensors, ".exp_avg")
    tensors[key] = tensors[key][:1].clone()


def empty(tensors: Tensors) -> None:
    tensors[moment(tensors, ".exp_avg_sq")] = torch.zeros(0)


def halve(tensors: Tensors) -> None:
    key = moment(tensors, ".exp_avg")
    tensors[key] = tensors[key].half()


def drop_step(tensors: Tensors) -> None:
    del tensors[moment(tensors, ".step")]


def drop_moment(tensors: Tensors) -> None:
    del tensors[moment(tensors, ".exp_avg_sq")]


def negative(tensors: Tensors) -> None:
    tensors[moment(tensors, ".exp_avg_sq")] -= 1


def spoil_moment(tensors: Tensors) -> None:
    tensors[moment(tensors, ".exp_avg")][0] = math.inf


def add_moment(tensors: Tensors) -> None:
    tensors[moment(tensors, ".step").replace("step", "exp_max")] = torch.zeros(3)


def add(key: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[key] = torch.zeros(3)

    return change


def drop_weight(tensors: Tensors) -> None:
    del tensors["ensemble"]


def reshape_weight(tensors: Tensors) -> None:
    tensors["ensemble"] = torch.zeros(3, 3)


def spoil_weight(tensors: Tensors) -> None:
    tensors["ensemble"][0] = math.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, r"expected \d+.exp_avg "),
        (empty, r"expected \d+.exp_avg_sq "),
        (halve, r"expected \d+.exp_avg .*float32, got .*float16"),
        (drop_step, r"expected \d+.step \(\), got no such tensor"),
        (drop_moment, r"expected \d+.exp_avg_sq .*got no such tensor"),
        (add_moment, r"got also .'\d+.exp_max'"),
        (negative, r"exp_avg_sq of \d+ >= 0"),
        (spoil_moment, r"expected finite numbers in \d+.exp_avg,"),
        (add("99999.step"), "parameters, got 99999.step"),
        (add("-1.step"), "parameters, got -1.step"),
        (add("step"), "parameters, got step"),
    ],
)
def test_damaged_moments(state: Path, change: Callable[[Tensors], None], message: str) -> None:
    rewrite(state / "optimizer.safetensors", change)
    refused(state, rf"optimizer.safetensors: .*{message}", fits=change in (negative, spoil_moment))


@pytest.mark.parametrize("name", ["model", "average"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_weight, "expected ensemble .*got no such tensor"),
        (reshape_weight, r"expected ensemble .*got \(3, 3\)"),
        (spoil_weight, "expected finite numbers in ensemble"),
        (add("more"), "got also .'more'"),
    ],
)
def test_damaged_weights(state: Path, name: str, change: Callable[[Tensors], None], message: str) -> None:
    rewrite(state / f"{name}.safetensors", change)
    refused(state, rf"{name}.safetensors: .*{message}", fits=change is spoil_weight)


def rewrite(file: Path, change: Callable[[Tensors], None]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize("record", [[], None, 3, {}])
def test_a_record_of_another_kind(state: Path, record: Any) -> None:
    (state / "state.json").write_text(json.dumps(record))
    refused(state, "state.json: expected (a JSON object|the step of the folder)")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", "2"),
        ("step", 1),
        ("step", True),
        ("averaged", 2**70),
        ("averaged", None),
        ("judged_step", -1),
        ("stale", "0"),
        ("best_ged", None),
        ("best_ged", math.nan),
        ("decayed", 3),
        ("decayed", [1]),
    ],
)
def test_a_damaged_record(state: Path, name: str, value: Any) -> None:
    record = json.loads((state / "state.json").read_text())
    (state / "state.json").write_text(json.dumps({**record, name: value}))
    refused(state, rf"state.json: expected .*{name}.*got")


def test_a_state_with_other_weight_decay_is_refused(state: Path) -> None:
    file = state / "state.json"
    record = json.loads(file.read_text())
    names = record.pop("decayed")
    assert "image_encoder.pos_embed" not in names
    file.write_text(json.dumps(record))  # as before decay was on the weights of layers alone
    with pytest.raises(ValueError, match=r"with weight decay on .* as image_encoder.blocks.0.attn.rel_pos_h"):
        tiny_train(state.parents[1], steps=3, eval_every=100, resume=True)
    file.write_text(json.dumps({**record, "decayed": [*names[1:], names[0]]}))
    with pytest.raises(ValueError, match=f"with weight decay on the {len(names)} .*another version"):
        tiny_train(state.parents[1], steps=3, eval_every=100, resume=True)


def test_a_resume_cleans_up_after_a_killed_run(state: Path) -> None:
    run = state.parents[1]
    (state.parent / ".step-00000003.99-abcdef01.tmp").mkdir()
    (state.parent / ".step-00000003.99-abcdef01.tmp" / "model.safetensors").write_bytes(b"half")
    (run / ".best.safetensors.99-abcdef01.tmp").write_bytes(b"half")
    lines = [
        '{"step": 1, "loss": 1.0}',
        '{"step": 2, "loss": 2.0}',
        '{"step": 3, "loss": 3.0}',
        '{"step": 3, "lo',
    ]
    (run / "log.jsonl").write_text("\n".join(lines))
    tiny_train(run, steps=3, eval_every=3, resume=True)
    assert not list(run.rglob("*.tmp"))
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [1, 2, 3]
    assert "evaluation" in entries[-1]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_file_that_is_cut_or_gone(state: Path, name: str) -> None:
    content = (state / name).read_bytes()
    (state / name).write_bytes(content[: len(content) // 2])
    refused(state, "expected a complete training state")
    (state / name).unlink()
    refused(state, "expected a complete training state")


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (0.5, 0.0)])
def test_a_state_of_another_ensemble_share_is_not_called_damaged(
    tmp_path: Path, before: float, after: float
) -> None:
    tiny_train(tmp_path, steps=1, eval_every=100, ensemble_share=before)
    (tmp_path / "config.json").write_text(
        json.dumps({"model": tiny_model().config.to_dict(), "training": {"ensemble_share": before}})
    )
    expected = rf"^ensemble_share: expected .* \({before:g}\), got {after:g}; leave it out"
    with pytest.raises(ValueError, match=expected) as stop:
        tiny_train(tmp_path, steps=2, eval_every=100, ensemble_share=after, resume=True)
    assert "remove" not in str(stop.value)
    tiny_train(tmp_path, steps=2, eval_every=100, ensemble_share=before and 0.25, resume=True)


def test_best_weights_that_are_gone_are_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_train(tmp_path, steps=4, eval_every=2)
    best, log = tmp_path / "best.safetensors", tmp_path / "log.jsonl"
    assert best_evaluation(log) is not None
    best.unlink()
    assert tiny_train(tmp_path, steps=4, eval_every=2, resume=True) == best
    last = load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(value, last[name]) for name, value in load_file(best).items())
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == f"{best} is gone; the best weights from here on are kept in its place"
    assert len(evaluations(log)) == 2
    assert best_evaluation(log) is None, "its figures are of weights that are gone"

    best.unlink()
    tiny_train(tmp_path, steps=6, eval_every=2, resume=True)
    assert best_evaluation(log) == evaluations(log)[-1], "the first since, whatever the figures before"
    last = load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(value, last[name]) for name, value in load_file(best).items())


def test_a_record_nested_too_deeply(state: Path) -> None:
    (state / "state.json").write_text("[" * 100_000)
    refused(state, "expected a complete training state")
