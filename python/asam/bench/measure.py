"""One benchmark from settings to report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

import asam_trt
from asam.bench import machine
from asam.bench.accuracy import Reference
from asam.bench.ceiling import matmul_peak, multiply_adds
from asam.bench.report import Floor, Report, Row, Skipped
from asam.bench.route import OURS, Ours, Route
from asam.bench.routes import open_peer
from asam.bench.settings import STAGES, Settings, Stage
from asam.bench.subject import Subject, make_subject
from asam.bench.timing import interleaved

Progress = Callable[[str, int, int], None]
Errors = dict[str, tuple[float | None, float | None]]


def run(settings: Settings, on_progress: Progress = lambda text, done, total: None) -> Report:
    """Measure.

    Args:
        settings: what.
        on_progress: is told what begins, the steps done, and the steps in all.

    Raises:
        ValueError: a backbone, image size or checkpoint that is not one.
        EngineError: the engine cannot be built. A peer that cannot run is no error: the report says why.
    """
    seen = machine.look()
    threads = settings.threads or asam_trt.get_num_threads()
    steps = _Steps(settings, on_progress)
    with tempfile.TemporaryDirectory(prefix="asam-bench-") as folder, _threads(threads):
        steps.begin("building the model and its engine")
        subject = make_subject(settings, Path(folder), threads)
        steps.begin("computing the float64 reference")
        reference = Reference(subject, max(settings.n))
        steps.begin(f"opening {OURS}")
        ours = Ours(subject, settings.precision, settings.encoder)
        bench = _Bench(settings, subject, reference, ours, steps)
        bench.open_peers()
        bench.encode()
        for n in settings.n:
            bench.hypotheses(n)
        floor = None
        if settings.floor:
            steps.begin("multiplying large matrices")
            floor = _floor(subject, bench.rows, ours.session.precision)
        steps.finish()
    config = subject.model.config
    return Report(
        machine=seen,
        weights=f"random weights, seed {settings.seed}"
        if settings.checkpoint is None
        else f"weights {settings.checkpoint.name}",
        engine=f"backend {ours.session.backend}, precision {ours.session.precision} "
        f"({ours.session.precision_reason}), encoder {ours.session.encoder} ({ours.session.encoder_reason})",
        threads=threads,
        side=config.image_size,
        backbone=config.backbone,
        repeats=settings.repeats,
        largest_logit=reference.largest_logit,
        mask_share=reference.mask_share,
        rows=tuple(sorted(bench.rows, key=lambda row: STAGES.index(row.stage))),
        skipped=tuple(bench.skipped),
        floor=floor,
    )


class _Steps:
    """Counts the steps of a benchmark for whoever shows them."""

    def __init__(self, settings: Settings, on_progress: Progress) -> None:
        routes = 1 + len(settings.peers)
        # Model and reference; opening; encode; for each n preparing, sample and frame; the matrices.
        self._total = 2 + routes + 1 + len(settings.n) * (routes + 2) + int(settings.floor)
        self._done = -1
        self._text = ""
        self._on_progress = on_progress

    def begin(self, text: str) -> None:
        self._done += 1
        self._text = text
        self._on_progress(text, self._done, self._total)

    def finish(self) -> None:
        # A peer that fails leaves out its steps.
        self._on_progress("done", self._total, self._total)

    def round(self, i: int, repeats: int) -> None:
        self._on_progress(f"{self._text}, round {i + 1} of {repeats}", self._done, self._total)


class _Bench:
    """The rows as they come. Ours must work; a peer may fail, and then its reason is kept."""

    def __init__(
        self, settings: Settings, subject: Subject, reference: Reference, ours: Ours, steps: _Steps
    ) -> None:
        self.rows: list[Row] = []
        self.skipped: list[Skipped] = []
        self._settings = settings
        self._subject = subject
        self._reference = reference
        self._steps = steps
        self._routes: list[Route] = [ours]

    def open_peers(self) -> None:
        for name in self._settings.peers:
            self._steps.begin(f"opening {name}")
            try:
                self._routes.append(open_peer(name, self._subject, self._settings))
            except Exception as error:  # exporters, compilers and runtimes raise what they like
                self._skip(name, None, error)

    def encode(self) -> None:
        """Rows of the image encoder. A peer that fails here is not asked again."""
        self._steps.begin("encode")
        pixels, _ = self._subject.pixels()
        errors: Errors = {}
        for route in self._routes.copy():
            try:
                errors[route.name] = self._reference.embedding_error(route, route.encode(pixels)), None
            except Exception as error:
                if route.name == OURS:
                    raise
                self._skip(route.name, None, error)
                self._routes.remove(route)
        routes = [route for route in self._routes if "encode" in route.stages]
        self._time("encode", None, {route.name: partial(route.encode, pixels) for route in routes}, errors)

    def hypotheses(self, n: int) -> None:
        """Rows of the sampler and of the whole frame."""
        pixels, _ = self._subject.pixels()
        noise = self._subject.noise(n)
        errors: Errors = {}
        samples: dict[str, Callable[[], Any]] = {}
        frames: dict[str, Callable[[], Any]] = {}
        for route in self._routes:
            self._steps.begin(f"n = {n}: preparing {route.name}")
            try:
                route.prepare(n)
                found = route.frame(n)
                image = route.encode(pixels)
                prompt = route.prompt(image)
            except Exception as error:
                if route.name == OURS:
                    raise
                self._skip(route.name, n, error)
                continue
            errors[route.name] = self._reference.logit_error(found), self._reference.mask_iou(found)
            if "sample" in route.stages:
                samples[route.name] = partial(route.sample, image, prompt, noise)
            frames[route.name] = partial(route.frame, n)
        self._steps.begin(f"n = {n}: sample")
        self._time("sample", n, samples, errors)
        self._steps.begin(f"n = {n}: frame")
        self._time("frame", n, frames, errors)

    def _time(
        self, stage: Stage, n: int | None, calls: Mapping[str, Callable[[], Any]], errors: Errors
    ) -> None:
        repeats = self._settings.repeats
        times = interleaved(calls, repeats, lambda i: self._steps.round(i, repeats))
        config = self._subject.model.config
        for name, seconds in times.items():
            max_error, iou = errors[name]
            self.rows.append(
                Row(
                    stage=stage,
                    route=name,
                    n=n,
                    seconds=seconds,
                    ratio=median(seconds) / median(times[OURS]),
                    max_error=max_error,
                    mask_iou=iou,
                    threads=self._subject.threads,
                    side=config.image_size,
                    backbone=config.backbone,
                )
            )

    def _skip(self, route: str, n: int | None, error: Exception) -> None:
        text = " ".join(str(error).split())
        self.skipped.append(Skipped(route, n, text or type(error).__name__))


def _floor(subject: Subject, rows: list[Row], precision: str) -> Floor:
    counts = multiply_adds(
        subject.model.config, combiner_layers=len(list(subject.model.combiner_image.layers))
    )
    name, dtype = ("float32", torch.float32) if precision == "float32" else ("bf16", torch.bfloat16)
    peak = matmul_peak(dtype)
    share = {
        row.n: row.n * counts.reduced / row.median / peak
        for row in rows
        if row.stage == "sample" and row.route == OURS and row.n is not None
    }
    return Floor(counts.plain, counts.reduced, name, peak, share)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many for PyTorch and for the native code, and what was set before afterwards."""
    before = torch.get_num_threads(), asam_trt.get_num_threads()
    torch.set_num_threads(count)
    asam_trt.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        asam_trt.set_num_threads(before[1])
