"""What stops a run keeps the last good state, says so, and the run goes on from it to the same bits."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import TINY, tiny_data, tiny_train

from asam.data import DataError, Sample
from asam.training import Interrupted, NotWritten, UnreadableSample
from asam.training.batches import StepBatches
from asam.training.state import newest_state


class Watched:
    """A data set that does something before it gives one of its samples."""

    def __init__(self, index: int, act: Callable[[], None]) -> None:
        self.data, self.index, self.act = tiny_data(), index, act

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int, /) -> Sample:
        if index == self.index:
            self.act()
        return self.data[index]

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    @property
    def ids(self) -> Any:
        return self.data.ids

    @property
    def groups(self) -> Any:
        return self.data.groups


def damaged() -> None:
    raise DataError("images/7.png", "expected a PNG, got 3 bytes", "fetch it again")


def gone() -> None:
    raise FileNotFoundError(2, "No such file or directory", "images/7.png")


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def sample_of_step(step: int) -> int:
    """A sample that is first asked for in this step of a tiny run."""
    batch = int(TINY["batch_size"])
    places = list(StepBatches(length=6, batch_size=batch, seed=0, start=0, steps=step + 1))
    return places[step][0].sample


@contextmanager
def largest_file(limit: int) -> Iterator[None]:
    """Writes beyond ``limit`` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def assert_same(found: Path, expected: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        a, b = load_file(found / name), load_file(expected / name)
        assert all(torch.equal(a[k], b[k]) for k in b), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_train(folder, steps=6, eval_every=3)
    return folder


def test_full_disk_keeps_the_last_state(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Interrupted):
        tiny_train(tmp_path, steps=6, eval_every=3, data=Watched(sample_of_step(2), press_ctrl_c))
    kept = newest_state(tmp_path / "states")
    assert kept is not None
    with largest_file(1 << 20), pytest.raises(NotWritten, match=r"step-0000000.; go on with --resume"):
        tiny_train(tmp_path, steps=6, eval_every=100, save_every=1, resume=True)
    assert newest_state(tmp_path / "states") == kept
    assert [p.name for p in (tmp_path / "states").iterdir()] == [
        p.name for p in (tmp_path / "states").glob("step-*")
    ]
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


def test_full_disk_before_the_first_state(tmp_path: Path) -> None:
    with largest_file(1 << 20), pytest.raises(NotWritten, match="no state was saved yet"):
        tiny_train(tmp_path, steps=2)
    assert newest_state(tmp_path / "states") is None


@pytest.mark.parametrize("act", [damaged, gone])
@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_sample_is_named(
    tmp_path: Path, whole: Path, act: Callable[[], None], workers: int
) -> None:
    index = sample_of_step(2)
    with pytest.raises(UnreadableSample) as stop:
        tiny_train(tmp_path, steps=6, eval_every=3, save_every=1, workers=workers, data=Watched(index, act))
    for part in (f"training sample {index} ({tiny_data().ids[index]})", "images/7.png", "step-00000002"):
        assert part in str(stop.value)
    assert "Traceback" not in str(stop.value)
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


def test_unreadable_validation_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSample, match=r"validation data: images/7.png.*no state"):
        tiny_train(tmp_path, steps=2, eval_every=1, validation=Watched(0, damaged))


@pytest.mark.parametrize("ask", [press_ctrl_c, terminate])
def test_an_interrupt_saves_the_step_and_goes_on(
    tmp_path: Path, whole: Path, ask: Callable[[], None]
) -> None:
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"after step 3 of 6.*step-00000003.*--resume"):
        tiny_train(tmp_path, steps=6, eval_every=6, save_every=100, data=Watched(sample_of_step(2), ask))
    assert signal.getsignal(signal.SIGINT) is usual
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    # Evaluated at step 3 only after the resume.
    assert_same(tmp_path, whole)


def test_an_interrupted_evaluation_is_done_again(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Interrupted, match="after step 3 of 6"):
        tiny_train(tmp_path, steps=6, eval_every=3, validation=Watched(0, press_ctrl_c))
    assert not (tmp_path / "best.safetensors").exists()
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


def test_a_second_interrupt_is_obeyed_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt) as stop:
        tiny_train(tmp_path, steps=6, data=Watched(sample_of_step(2), twice))
    assert not isinstance(stop.value, Interrupted)


def test_an_empty_data_set_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty data set"):
        tiny_train(tmp_path / "run", data=[])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"validation: .* got an empty data set"):
        tiny_train(tmp_path / "run", validation=[])  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
