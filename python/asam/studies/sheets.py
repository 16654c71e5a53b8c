"""Contact sheets: samples, their raters, and what methods answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam.data import Dataset, Sample, sheet, spread
from asam.evaluate import STRICT, Protocol, sample_seed
from asam.methods import Method
from asam_trt.files import replacing

_SHOWN = 16  # hypotheses asked; the sheet shows the first eight, and the mean of all


def hypotheses_sheet(
    path: Path,
    method: Method,
    data: Dataset[Sample],
    *,
    rows: int,
    seed: int,
    protocol: Protocol = STRICT,
) -> None:
    """Samples spread evenly over ``data``, with the hypotheses that figures of n = 16 are made from."""
    seeds = {index: sample_seed(seed, index) for index in spread(len(data), rows)}
    asked = [(own, protocol.ask(data[index], seed=own)) for index, own in seeds.items()]
    answers = [method.hypotheses(sample, n=_SHOWN, seed=own).masks for own, sample in asked]
    _write(path, [sample for _, sample in asked], answers)


def methods_sheet(
    path: Path, methods: Sequence[Method], data: Dataset[Sample], *, rows: int, seed: int
) -> None:
    """For each of a few samples a row for each method, one under the other."""
    samples, answers = [], []
    for index in spread(len(data), rows):
        sample = data[index]
        for method in methods:
            answers.append(method.hypotheses(sample, n=_SHOWN, seed=sample_seed(seed, index)).masks)
            samples.append(replace(sample, id=method.name))
    _write(path, samples, answers)


def _write(path: Path, samples: list[Sample], answers: list[NDArray[np.bool_]]) -> None:
    with replacing(path) as temporary:
        Image.fromarray(sheet(samples, tile=112, answers=answers)).save(temporary, format="PNG")
