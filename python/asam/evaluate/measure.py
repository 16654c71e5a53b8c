"""A method asked about every sample of a data set, and each answer judged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam import metrics
from asam.data import Dataset, Sample, spread
from asam.data.base import encoded
from asam.evaluate.asking import check_asked, sample_seed
from asam.evaluate.protocol import MEAN_LOGIT, STRICT, Protocol
from asam.evaluate.report import Report, summarise
from asam.methods import Method
from asam_trt import Hypotheses

_OF_LAWS = {"mode_recall": metrics.mode_recall, "total_variation": metrics.total_variation}


@dataclass(frozen=True)
class Measured:
    """Figures of each sample.

    Attributes:
        method, protocol: their names.
        prompt: where prompts came from.
        conventions: figure -> convention, and "empty" -> policy.
        n: hypotheses a sample.
        seed: sample i was drawn with seed + i, modulo 2^64.
        ids, groups: of the samples.
        values: figure -> one value a sample; NaN where it is undefined.
        data_sha256: of the samples' ids, groups, pixels, masks, weights, boxes and clicks.
    """

    method: str
    protocol: str
    prompt: str
    conventions: dict[str, str]
    n: int
    seed: int
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    data_sha256: str

    @property
    def table(self) -> NDArray[np.float64]:
        """float64 [samples, figures]."""
        return np.array(list(self.values.values()), dtype=np.float64).T

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        values = {k: [None if np.isnan(x) else x for x in v] for k, v in self.values.items()}
        return {**vars(self), "ids": list(self.ids), "groups": list(self.groups), "values": values}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Measured:
        """Inverse of :meth:`to_dict`."""
        values = {
            k: tuple(float("nan") if x is None else float(x) for x in v) for k, v in found["values"].items()
        }
        return cls(
            **{**found, "ids": tuple(found["ids"]), "groups": tuple(found["groups"]), "values": values}
        )


def measure(
    method: Method,
    data: Dataset[Sample],
    *,
    n: int = 16,
    seed: int = 0,
    protocol: Protocol = STRICT,
    limit: int | None = None,
    on_sample: Callable[[int, int], Any] | None = None,
) -> Measured:
    """Ask a method about every sample and judge each answer.

    Args:
        method: what answers.
        data: sequence of samples.
        n: hypotheses a sample, 1 to 8192.
        seed: sample i is asked and drawn with seed + i, modulo 2^64.
        protocol: prompts and conventions.
        limit: look at this many samples only, evenly spread over the data set.
        on_sample: called with (done, total) after each sample.

    Raises:
        TypeError, ValueError: no sample, one that the method refuses, or n, seed or limit out of range.
    """
    check_asked(n=n, limit=limit)
    chosen = spread(len(data), limit)
    if not chosen:
        raise ValueError("evaluation: expected at least one sample, got an empty data set")
    digest = hashlib.sha256()
    rows, ids, groups = [], [], []
    for done, index in enumerate(chosen, start=1):
        sample = data[index]
        _digest(digest, sample)
        own = sample_seed(seed, index)
        try:
            answer = method.hypotheses(protocol.ask(sample, seed=own), n=n, seed=own)
        except ValueError as error:
            raise ValueError(f"{sample.id}: {error}") from error
        rows.append(figures(answer, sample, protocol))
        ids.append(sample.id)
        groups.append(sample.group)
        if on_sample is not None:
            on_sample(done, len(chosen))
    names = [name for name in (*protocol.figures, *protocol.law_figures) if any(name in row for row in rows)]
    conventions = {**protocol.figures, **protocol.law_figures}
    return Measured(
        method=method.name,
        protocol=protocol.name,
        prompt=protocol.prompt,
        conventions={**{name: conventions[name] for name in names}, "empty": protocol.empty},
        n=n,
        seed=seed,
        ids=tuple(ids),
        groups=tuple(groups),
        values={name: tuple(row.get(name, math.nan) for row in rows) for name in names},
        data_sha256=digest.hexdigest(),
    )


def evaluate(
    method: Method,
    data: Dataset[Sample],
    *,
    n: int = 16,
    seed: int = 0,
    protocol: Protocol = STRICT,
    limit: int | None = None,
    on_sample: Callable[[int, int], Any] | None = None,
) -> Report:
    """Means over samples with 95 percent intervals; arguments and errors as :func:`measure`."""
    measured = measure(method, data, n=n, seed=seed, protocol=protocol, limit=limit, on_sample=on_sample)
    return summarise(measured)


def data_sha256(data: Dataset[Sample], *, limit: int | None = None) -> str:
    """:attr:`Measured.data_sha256` of a measurement of these samples, which are read for it."""
    digest = hashlib.sha256()
    for index in spread(len(data), limit):
        _digest(digest, data[index])
    return digest.hexdigest()


def figures(hypotheses: Hypotheses, sample: Sample, protocol: Protocol) -> dict[str, float]:
    """Every figure of the protocol for one sample; NaN where it is undefined, as the floor with one rater.

    Those of a law are there where the sample's law has modes.
    """
    wanted = protocol.figures.values()
    found = metrics.evaluate_masks(
        hypotheses.masks,
        sample.masks,
        names=[name for name in wanted if name != MEAN_LOGIT],
        empty=protocol.empty,
        weights=sample.weights,
    )
    if MEAN_LOGIT in wanted:
        found[MEAN_LOGIT] = _dmean_of_mean_logit(hypotheses, sample, protocol)
    result = {name: found[convention] for name, convention in protocol.figures.items()}
    if sample.law is not None and sample.law.modes is not None:
        for name, convention in protocol.law_figures.items():
            judge = _OF_LAWS[convention]
            result[name] = judge(hypotheses.masks, sample.law.modes, sample.law.probs)
    return result


def _dmean_of_mean_logit(hypotheses: Hypotheses, sample: Sample, protocol: Protocol) -> float:
    """Resizing is linear, so the mean of the logits is resized instead of each of them."""
    mean = hypotheses.logits.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
    one = Hypotheses(mean, np.ones(1, dtype=np.float32), hypotheses.frame)
    return metrics.dmean(
        one.resized_logits(0)[None],
        sample.masks,
        kind="mean_logit",
        empty=protocol.empty,
        weights=sample.weights,
    )


def _digest(digest: Any, sample: Sample) -> None:
    click = np.empty(0, dtype=np.float32) if sample.click is None else sample.click
    for text in (sample.id, sample.group, str(sample.image.dtype), str(sample.masks.shape)):
        digest.update(encoded(text) + b"\0")
    for array in (sample.image, np.packbits(sample.masks), sample.weights, sample.box, click):
        digest.update(np.ascontiguousarray(array).tobytes())
