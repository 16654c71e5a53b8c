"""What stops a run keeps the last good state, says so, and the run goes on from it to the same bits."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import TINY, tiny_config, tiny_data, tiny_train

from asam import cli
from asam.data import DataError, Sample
from asam.model import ModelConfig
from asam.training import Interrupted, LoaderStopped, NonFiniteLoss, NotWritten, UnreadableSample
from asam.training.batches import StepBatches, loader
from asam.training.failures import loading
from asam.training.lock import only_run
from asam.training.orphans import end_with_parent
from asam.training.state import newest_state, step_of


class Watched:
    """A data set that does something before it gives one of its samples, from the read after ``reads`` on."""

    def __init__(self, index: int, act: Callable[[], None], *, reads: int = 0) -> None:
        self.data, self.index, self.act, self.reads = tiny_data(), index, act, reads

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int, /) -> Sample:
        if index == self.index:
            self.reads -= 1
            if self.reads < 0:
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


class Spoilt(Watched):
    """Gives one sample changed."""

    def __init__(self, index: int, **changes: Any) -> None:
        super().__init__(index, lambda: None)
        self.changes = changes

    def __getitem__(self, index: int, /) -> Sample:
        sample = super().__getitem__(index)
        if index == self.index:
            for name, value in self.changes.items():
                object.__setattr__(sample, name, value)  # past the checks of a sample
        return sample


def misread() -> None:
    raise KeyError("pixels")


NAN = np.full((32, 32, 3), np.nan, dtype=np.float32)
LONG = {"image": np.zeros((1, 400, 3), np.uint8), "masks": np.ones((1, 1, 400), np.bool_)}


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)  # not os.kill, which may be answered by another thread, and later


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


_told: set[int] = set()


def terminate_the_group() -> None:
    """In a loader process, once: what a signal to the whole group does."""
    if os.getpid() not in _told:
        _told.add(os.getpid())
        os.kill(os.getppid(), signal.SIGTERM)
        terminate()


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """TimeoutError in place of waiting for ever."""

    def over(*_: object) -> None:
        raise TimeoutError

    usual = signal.signal(signal.SIGALRM, over)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)


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
    with largest_file(1 << 20), pytest.raises(NotWritten, match=r"step-0000000.; go on with resume=True"):
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


@pytest.mark.parametrize("eval_every", [2, 100])
def test_weights_that_are_no_numbers_are_never_kept(tmp_path: Path, eval_every: int) -> None:
    """Loss and gradient of the step are finite, what it makes of the weights is not."""
    tiny_train(tmp_path, steps=1, eval_every=1)
    best = (tmp_path / "best.safetensors").read_bytes()
    diverging = {"learning_rate": 1e10, "weight_decay": 1e30}
    with pytest.raises(NonFiniteLoss, match=r"step 2: expected finite weights .*step-00000001; go on with"):
        tiny_train(tmp_path, steps=2, eval_every=eval_every, save_every=1, resume=True, **diverging)
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["step-00000001"]
    assert (tmp_path / "best.safetensors").read_bytes() == best
    tiny_train(tmp_path, steps=2, eval_every=2, resume=True)


@pytest.mark.parametrize("act", [damaged, gone, misread])
@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_sample_is_named(
    tmp_path: Path, whole: Path, act: Callable[[], None], workers: int
) -> None:
    index = sample_of_step(2)
    with pytest.raises(UnreadableSample) as stop:
        tiny_train(tmp_path, steps=6, eval_every=3, save_every=1, workers=workers, data=Watched(index, act))
    name = f"training sample {index} ({tiny_data().ids[index]})"
    for part in (name, "KeyError('pixels')" if act is misread else "images/7.png", "step-00000002"):
        assert part in str(stop.value)
    assert "Traceback" not in str(stop.value)
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("changes", [{"image": NAN}, LONG, {"image": "none"}])
def test_a_sample_that_makes_no_item_is_named(tmp_path: Path, changes: dict[str, Any], workers: int) -> None:
    index = sample_of_step(1)
    name = rf"sample {index} \({tiny_data().ids[index]}\)"
    spoilt = Spoilt(index, **changes)
    with pytest.raises(UnreadableSample, match=f"training {name}"):
        tiny_train(tmp_path / "a", steps=3, workers=workers, data=spoilt, augment=False)
    if not workers:
        with pytest.raises(UnreadableSample, match=f"validation {name}"):
            tiny_train(tmp_path / "b", steps=1, eval_every=1, eval_images=6, validation=spoilt)


@pytest.mark.parametrize("tensorboard", [False, True])
def test_unreadable_validation_sample_is_named_before_the_first_step(
    tmp_path: Path, tensorboard: bool
) -> None:
    """Sample 2 is one of those on TensorBoard's sheet alone."""
    index = 2 if tensorboard else 5
    settings = {"tensorboard": tensorboard, "eval_images": 2}
    with pytest.raises(UnreadableSample, match=rf"validation sample {index} \(.*\): images/7.png") as stop:
        tiny_train(tmp_path / "run", steps=2, validation=Watched(index, damaged), **settings)
    assert "resume" not in str(stop.value)
    assert not (tmp_path / "run").exists()
    tiny_train(tmp_path / "unread", steps=2, validation=Watched(1, damaged), **settings)


def out_of_order() -> None:
    raise RuntimeError("no kernel")


@pytest.mark.parametrize("act", [damaged, out_of_order])
def test_an_error_in_an_evaluation_loses_no_step(
    tmp_path: Path, whole: Path, act: Callable[[], None]
) -> None:
    """The file is in order when the run begins, and no longer at step 3."""
    message = r"validation sample 0 .*step-00000003; go on" if act is damaged else "no kernel"
    with pytest.raises(UnreadableSample if act is damaged else RuntimeError, match=message):
        tiny_train(tmp_path, steps=6, eval_every=3, save_every=100, validation=Watched(0, act, reads=1))
    assert newest_state(tmp_path / "states") == tmp_path / "states" / "step-00000003"
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_training_sample_loses_no_step(tmp_path: Path, whole: Path, workers: int) -> None:
    data = Watched(sample_of_step(2), damaged)
    with pytest.raises(UnreadableSample, match=r"training sample .*step-00000002; go on"):
        tiny_train(tmp_path, steps=6, eval_every=100, save_every=100, workers=workers, data=data)
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("ask", [press_ctrl_c, terminate])
def test_an_interrupt_saves_the_step_and_goes_on(
    tmp_path: Path, whole: Path, ask: Callable[[], None]
) -> None:
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"after step 3 of 6.*step-00000003.*resume=True"):
        tiny_train(tmp_path, steps=6, eval_every=6, save_every=100, data=Watched(sample_of_step(2), ask))
    assert signal.getsignal(signal.SIGINT) is usual
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    # Evaluated at step 3 only after the resume.
    assert_same(tmp_path, whole)


def test_batches_need_no_shared_memory() -> None:
    """Its files fall under the same limit; a full /dev/shm acts alike."""
    model = ModelConfig(backbone="nano", image_size=32)
    with largest_file(1024), seconds(60):
        batches = list(loader(tiny_data(), model, tiny_config(workers=1, steps=2), start=0))
    assert [tuple(batch.images.shape) for batch in batches] == [(2, 3, 32, 32)] * 2


def test_a_signal_to_the_whole_group_saves_the_step(tmp_path: Path) -> None:
    data = Watched(sample_of_step(2), terminate_the_group)
    with seconds(60), pytest.raises(Interrupted, match=r"of 100.*resume=True"):
        tiny_train(tmp_path, steps=100, eval_every=100, save_every=100, workers=1, data=data)
    assert newest_state(tmp_path / "states") is not None


def test_a_killed_loader_process_is_told(tmp_path: Path) -> None:
    data = Watched(sample_of_step(2), killed)
    with seconds(60), pytest.raises(LoaderStopped, match=r"workers=0\. (kept|no state)"):
        tiny_train(tmp_path, steps=6, save_every=1, eval_every=100, workers=1, data=data)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a loader half made
def test_loader_processes_that_cannot_start_are_told(tmp_path: Path) -> None:
    """A semaphore is a small file."""
    with largest_file(1), pytest.raises(LoaderStopped, match=r"start 1 loader processes.*workers=0"):
        next(loader(tiny_data(), ModelConfig(image_size=32), tiny_config(workers=1), start=0))


def test_want_of_memory_says_what_to_make_smaller(tmp_path: Path) -> None:
    for ask in (lambda: torch.empty(1 << 50), lambda: np.empty(1 << 55)):
        with pytest.raises(MemoryError, match=r"--config.batch-size"), loading(tmp_path):
            ask()


def test_an_interrupted_evaluation_is_done_again(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Interrupted, match="after step 3 of 6"):
        tiny_train(tmp_path, steps=6, eval_every=3, validation=Watched(0, press_ctrl_c, reads=1))
    assert not (tmp_path / "best.safetensors").exists()
    tiny_train(tmp_path, steps=6, eval_every=3, resume=True)
    assert_same(tmp_path, whole)


def test_a_second_interrupt_changes_nothing_and_a_third_is_obeyed_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    def thrice() -> None:
        twice()
        press_ctrl_c()

    with pytest.raises(Interrupted, match=r"after step 3 of 6.*step-00000003"):
        tiny_train(tmp_path / "two", steps=6, data=Watched(sample_of_step(2), twice))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "stopping" in line]
    assert "a third signal ends the run at once" in line
    with pytest.raises(KeyboardInterrupt) as stop:
        tiny_train(tmp_path / "three", steps=6, data=Watched(sample_of_step(2), thrice))
    assert not isinstance(stop.value, Interrupted)
    assert not (tmp_path / "three" / "states" / "step-00000003").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_command_that_is_told_to_end_twice_saves_its_step(tmp_path: Path, workers: int) -> None:
    """A real process group, and signals that reach all of it."""
    words = ["train", "--output", str(tmp_path), "--data", "synthetic:nested", "--image-size", "64"]
    words += ["--config.batch-size", "128", "--config.steps", "500", "--config.workers", str(workers)]
    run = subprocess.Popen(
        [sys.executable, "-c", "import sys; from asam.cli import main; sys.exit(main())", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with seconds(120):
        while not (tmp_path / "config.json").exists():  # written after the handlers are set
            assert run.poll() is None
            time.sleep(0.02)
        time.sleep(1)
        os.killpg(run.pid, signal.SIGTERM)
        time.sleep(0.05)  # two that are pending at once would be one; a step takes far longer than this
        os.killpg(run.pid, signal.SIGTERM)
        _, said = run.communicate()
    assert run.returncode == 130, said
    assert "stopping: the step under way is finished" in said
    assert "asam train: interrupted after step" in said
    assert newest_state(tmp_path / "states") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends orphans on Linux alone")
def test_a_run_that_is_killed_leaves_no_loader_process_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its loader process is blocked then: the pipe is full, since batches are read faster than they are trained."""
    words = ["train", "--output", str(tmp_path), "--data", "synthetic:nested", "--image-size", "32"]
    words += [
        "--config.save-every",
        "1",
        "--config.batch-size",
        "16",
        "--config.workers",
        "1",
        "--config.no-augment",
    ]
    run = subprocess.Popen(
        [sys.executable, "-c", "import sys; from asam.cli import main; sys.exit(main())", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with seconds(120):
        while newest_state(tmp_path / "states") is None:
            assert run.poll() is None
            time.sleep(0.02)
        workers = children(run.pid)
        assert workers
        run.kill()
        run.wait()
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            time.sleep(0.02)
    last = newest_state(tmp_path / "states")
    assert last is not None
    steps = step_of(last) + 1
    resumed = ["train", "--output", str(tmp_path), "--resume", "--config.steps", str(steps)]
    assert cli.main([*resumed, "--config.eval-images", "1", "--config.workers", "0"]) == 0
    assert step_of(newest_state(tmp_path / "states") or last) == steps
    capsys.readouterr()


def children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(child) for child in found.split()]


def ended_with_parent() -> None:
    end_with_parent()
    os._exit(7)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_process_whose_parent_lives_goes_on(method: str) -> None:
    """The parent of a process of a fork server is another one than who asked for it."""
    process = multiprocessing.get_context(method).Process(target=ended_with_parent)  # type: ignore[attr-defined]
    process.start()
    process.join(60)
    assert process.exitcode == 7


def test_a_forked_process_does_not_hold_the_folder(tmp_path: Path) -> None:
    ready, done = os.pipe(), os.pipe()
    with only_run(tmp_path):
        child = os.fork()
        if not child:
            os.close(done[1])
            os.write(ready[1], b"1")
            os.read(done[0], 1)  # until the parent closes it
            os._exit(0)
        os.read(ready[0], 1)
        with pytest.raises(ValueError, match="another process is training there now"), only_run(tmp_path):
            pass
    with only_run(tmp_path):
        pass
    os.close(done[1])
    os.waitpid(child, 0)
    for end in (*ready, done[0]):
        os.close(end)


def test_an_empty_data_set_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty data set"):
        tiny_train(tmp_path / "run", data=[])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"validation: .* got an empty data set"):
        tiny_train(tmp_path / "run", validation=[])  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
