"""The training loop, on one process or on many through accelerate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from asam.data import Dataset as SampleDataset
from asam.data import Sample, spread
from asam.model.network import ASAM
from asam.progress import OnSample, bars
from asam.training.batches import loader
from asam.training.board import ROWS
from asam.training.config import TrainConfig
from asam.training.failures import Interrupted, UnreadableSample, how_to_resume, loading, writing
from asam.training.interrupt import stop_request
from asam.training.items import Unreadable, check_validation
from asam.training.lock import only_run
from asam.training.run import Run
from asam.training.state import check_vacant
from asam.training.trainable import Trainable
from asam_trt.counting import counted
from asam_trt.files import replacing


def train(
    network: nn.Module,
    data: SampleDataset[Sample],
    *,
    validation: SampleDataset[Sample] | None = None,
    output: Path,
    config: TrainConfig,
    resume: bool = False,
    progress: bool = True,
    source: Mapping[str, Any] | None = None,
    beside: Mapping[str, Callable[[Path], None]] | None = None,
) -> Path:
    """Train a network and return the path of its best checkpoint.

    Writes under ``output``: ``best.safetensors`` (averaged weights of the best validation GED16, or the last
    ones where there is no validation data), ``last.safetensors``, ``log.jsonl`` (losses every 20 steps, figures of
    every evaluation), ``config.json`` and ``states/`` to resume from; ``tensorboard/`` where asked for.

    Ctrl-C and SIGTERM end the run after the present step, with its state saved; a second one changes nothing,
    a third one ends it at once. The samples of the evaluations are read before the first step. Where one of them or of
    the training data cannot be read later, the state is saved before the error, unless another process than the main
    one meets it.

    Args:
        network: :class:`asam.training.Trainable`.
        data, validation: sequences of :class:`asam.data.Sample`.
        resume: go on from the newest state under ``output``; the weights then equal those of a run that was
            never interrupted.
        progress: show on standard error how far it is and what time is left, see :func:`asam.progress.bars`.
        source: where the data came from, as ``config.json`` is to say.
        beside: files that lie beside it, by name, and what writes each, under a temporary name first.

    Raises:
        TypeError: no trainable network.
        ValueError: an empty data set, a batch that does not split over processes and ``config.accumulate``, or
            a state to resume that does not exist or does not fit.
        NonFiniteLoss: the loss is no longer a number.
        UnreadableSample: a sample is damaged or gone, or nothing the network could be asked about.
        LoaderStopped: a loader process ended, as for want of memory, or could not be started.
        MemoryError: a batch does not fit into memory.
        NotWritten: a file could not be written, as on a full disk.
        Interrupted: Ctrl-C or SIGTERM.
    """
    if not isinstance(network, Trainable):
        raise TypeError(
            f"train: expected a network with training_loss, sample and save, got {type(network).__name__}"
        )
    _check_objective(network, config)
    accelerator = make_accelerator(config)
    share, rest = divmod(config.batch_size, accelerator.num_processes * config.accumulate)
    if rest or not share:
        raise ValueError(
            f"batch_size: expected a multiple of {accelerator.num_processes} processes x accumulate "
            f"{config.accumulate}, got {config.batch_size}"
        )
    for name, some in (("data", data), ("validation", validation)):
        if some is not None and not len(some):
            raise ValueError(f"{name}: expected at least one sample, got an empty data set")
    if validation is not None and accelerator.is_main_process:
        _look_at(validation, network, config, progress=progress)
    with stop_request() as request, only_run(output) if accelerator.is_main_process else nullcontext():
        run = Run(network, config, accelerator, output, request)
        if resume:
            _check_same(output, network, config)
            run.restore()
            if run.step == config.steps and run.main and progress:
                print(f"finished already, at step {run.step}")
        elif run.main:
            check_vacant(output)
        batches = loader(
            data,
            network.config,
            config,
            start=run.step,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        if run.main and run.step < config.steps:  # a finished run keeps the settings that made it
            for name, write in (beside or {}).items():  # before the file that speaks of them
                with writing(str(output / name), run.states):
                    write(output / name)
            settings = {"model": network.config.to_dict(), "training": config.to_dict()}
            _write_config(run, settings if source is None else {"source": dict(source), **settings})
        run.open_board()
        try:
            # Closed, for loader processes that live on would keep the folder's lock.
            with loading(run.states), closing(batches), bars(shown=progress and run.main) as start:
                show, loss = start("training"), "-"
                _settle(run, validation, show, loss)
                for batch in batches:
                    if run.out_of_patience():
                        break
                    if isinstance(batch, Unreadable):
                        run.keep()
                        raise UnreadableSample(f"{batch.problem}. {how_to_resume(run.states)}")
                    loss = f"{run.advance(batch.to(accelerator.device)):.1f}"
                    _settle(run, validation, show, loss)
            if run.out_of_patience() and accelerator.is_main_process and progress:
                print(f"stopped at step {run.step}: {counted(run.stale, 'evaluation')} without a lower GED16")
            return run.finish(validated=validation is not None)
        finally:
            run.close()


def _look_at(
    validation: SampleDataset[Sample], network: Trainable, config: TrainConfig, *, progress: bool
) -> None:
    """Read what evaluations will read: else a bad file would be found hundreds of steps later.

    Raises:
        UnreadableSample: one of the samples cannot be read; names it.
    """
    places = {*spread(len(validation), config.eval_images)}
    if config.tensorboard:
        places |= {*spread(len(validation), ROWS)}
    with bars(shown=progress, keep=False) as start:
        check_validation(validation, sorted(places), network.config, start("reading validation samples"))


def _settle(run: Run, validation: SampleDataset[Sample] | None, show: OnSample, loss: str) -> None:
    """Evaluate and save where the step asks for it; stop where the user does."""
    config = run.config
    last = run.step == config.steps

    def tell(note: str) -> None:
        show(run.step, config.steps, f"loss {loss}, {note}")

    if validation is not None and run.step and run.evaluation_due():
        run.judge(validation, lambda done, total: tell(f"evaluating {done}/{total}"))
    tell("GED16 -" if math.isinf(run.best_ged) else f"GED16 {run.best_ged:.3f} (best)")
    over = last or run.out_of_patience()
    if run.step and (over or run.stopping or run.step % config.save_every == 0):
        run.save()
    if run.stopping and not over:
        raise Interrupted(f"interrupted after step {run.step} of {config.steps}. {how_to_resume(run.states)}")


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Of this process; ``accelerate launch`` says how many there are, the configuration in which precision."""
    # A state left by an earlier run of this process would insist on that run's precision.
    AcceleratorState._reset_state()
    # Which parameters a batch uses depends on its prompts: without a mask none of the mask encoder's.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=config.mixed_precision, kwargs_handlers=[unused])
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":  # accelerate would leave it out
        raise ValueError('mixed_precision: expected "bf16" or "no" on the CPU, got "fp16", which needs a GPU')
    return accelerator


def _check_objective(network: Trainable, config: TrainConfig) -> None:
    """Raise ValueError where the published loss has not the published network's latents to look at."""
    published = isinstance(network, ASAM) and network.config.prompt_prior == "published"
    if config.objective == "published" and not published:
        raise ValueError(
            'objective: "published" needs the published network; take the preset "a2sam" (--preset a2sam), '
            'or the objective "evidence"'
        )


def _check_same(output: Path, network: Trainable, config: TrainConfig) -> None:
    """Raise ValueError where the folder's config.json is of another network, or of one that trains other weights."""
    try:
        found = json.loads((output / "config.json").read_text(encoding="utf-8"))
        saved, trained = found["model"], TrainConfig.from_dict(found.get("training", {}))
        # A field that came after the run was made has its default.
        wanted = json.loads(json.dumps(network.config.to_dict()))
        different = sorted(k for k, v in saved.items() if k not in wanted or wanted[k] != v)
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{output / 'config.json'}: expected the file of a run, got: {error}") from error
    if different:
        raise ValueError(
            f"{output}: expected the network of the run that is resumed, got one with another {different}; leave these "
            "choices out, or start another run in another output folder"
        )
    if isinstance(network, ASAM) and bool(trained.ensemble_share) != bool(config.ensemble_share):
        share = "above 0, so that the ensemble weights train" if trained.ensemble_share else "0"
        raise ValueError(
            f"ensemble_share: expected {share}, as in the run that is resumed ({trained.ensemble_share:g}), got "
            f"{config.ensemble_share:g}; leave it out, or start another run in another output folder"
        )


def _write_config(run: Run, settings: Mapping[str, Any]) -> None:
    path = run.output / "config.json"
    with writing(str(path), run.states), replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1))
