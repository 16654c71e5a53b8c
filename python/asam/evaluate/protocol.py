"""Protocols: what is asked, how many hypotheses answer, and by which conventions they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from asam.data import Sample, Scheme
from asam.metrics.checks import Empty
from asam.prompts import PERTURBATIONS, Perturbation, widest_box

_PROMPT_STREAM = 1  # keeps the prompt's random numbers apart from those of a method that jitters by itself

BoxSource = Literal["all labels", "widest rater"]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "ged": "ged_v",
        "ged_floor": "ged_floor",
        "hm_iou": "hm_iou_repeated",
        "dmax": "dmax_any",
        "dmean": "dmean_pairs",
    }
)
"""Of the strict protocol: name in a report -> convention of :mod:`asam.metrics`."""

LAW_METRICS: Mapping[str, str] = MappingProxyType(
    {"mode_recall": "mode_recall", "total_variation": "total_variation"}
)
"""Of the strict protocol where a sample's law has modes: name in a report -> function of :mod:`asam.metrics`."""

LOWER_IS_BETTER = ("ged", "total_variation")
"""Names in a report; of the others higher is better."""

MEAN_LOGIT = "dmean_mean_logit"
"""``metrics.dmean(kind="mean_logit")``: the one convention that is computed from logits, not from masks."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to judge.

    Attributes:
        name: as reports give it.
        figures: name in a report -> convention: one of :data:`asam.metrics.METRIC_NAMES`, or "dmean_mean_logit".
        law_figures: of samples whose law has modes: name in a report -> "mode_recall" or "total_variation".
        counts: numbers of hypotheses that a table shows by default.
        box: "all labels": the smallest box around all raters' masks (around the law's support where the law is
            known). "widest rater": see :func:`asam.prompts.widest_box`.
        jitter: moves the box, seeded; None leaves it.
        jitter_text: the jitter in words.
        empty: overlap of two empty masks.
        ensemble: whether hypotheses of several checkpoints may be thrown together.
        split_scheme: how data without splits of its own is divided, see :func:`asam.data.make_split`.
    """

    name: str
    figures: Mapping[str, str]
    counts: tuple[int, ...]
    box: BoxSource
    jitter: Perturbation | None = None
    jitter_text: str = "unperturbed"
    empty: Empty = "one"
    ensemble: bool = False
    split_scheme: Scheme = "group"
    law_figures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def prompt(self) -> str:
        """Where prompts come from, in words."""
        source = {
            "all labels": "smallest box of all labels",
            "widest rater": "widest box of a single rater with its margin of 2 px of 128",
        }[self.box]
        return f"{source}, {self.jitter_text}"

    def perturbed(self, name: str) -> Protocol:
        """The same protocol with its boxes perturbed by a family of :data:`asam.prompts.PERTURBATIONS`."""
        if name not in PERTURBATIONS:
            raise ValueError(f"perturbation: expected one of {sorted(PERTURBATIONS)}, got {name!r}")
        if name == "none":
            return replace(self, jitter=None, jitter_text="unperturbed")
        return replace(self, jitter=PERTURBATIONS[name], jitter_text=f"perturbed by '{name}', seeded")

    def ask(self, sample: Sample, *, seed: int) -> Sample:
        """The sample with the box that is asked; one whose question is a click is asked by its click.

        Args:
            sample: its masks are looked at for the box alone.
            seed: of the jitter; the same box for every n and every method.
        """
        if sample.click is not None:
            return sample
        box = sample.box
        if self.box == "widest rater":
            widest = widest_box(sample.masks)
            box = box if widest is None else widest
        if self.jitter is not None:
            height, width = sample.image.shape[:2]
            box = self.jitter(box, (height, width), np.random.default_rng([seed, _PROMPT_STREAM]))
        return replace(sample, box=box)


STRICT = Protocol(name="strict", figures=METRICS, law_figures=LAW_METRICS, counts=(16, 100), box="all labels")
"""Ours: GED V with its floor, HM-IoU `repeated`, Dmax `any`, Dmean `pairs`; n = 16 and 100; one checkpoint; where the
law of a sample is known, the probability of the modes that were found and how far their shares are from it."""

A2SAM = Protocol(
    name="a2sam",
    figures=MappingProxyType(
        {
            "ged": "ged_v",
            "ged_floor": "ged_floor",
            "hm_iou": "hm_iou_rectangular",
            "dmax": "dmax_any",
            "dmean": MEAN_LOGIT,
        }
    ),
    counts=(16,),
    box="widest rater",
    jitter=PERTURBATIONS["published"],
    jitter_text="scaled by [0.6, 1.5] about its top-left corner and shifted by +-10 px of 128, seeded",
    ensemble=True,
    split_scheme="index-order",
)
"""The published code's conventions, with its jitter seeded and the GED under GED's name."""

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({p.name: p for p in (STRICT, A2SAM)})
