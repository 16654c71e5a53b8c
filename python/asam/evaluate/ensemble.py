"""Hypotheses of several checkpoints thrown together, as the published evaluation does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asam.data import Sample
from asam.methods import Method
from asam_trt import Hypotheses

_APART = 1 << 40  # between the seeds of two members, so that they do not share their noise


@dataclass(frozen=True)
class Ensemble:
    """Equally many hypotheses of each member; its name says how many checkpoints they come from.

    Attributes:
        members: at least one, of one image size.
    """

    members: tuple[Method, ...]

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return f"{self.members[0].name}, {len(self.members)} checkpoints"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """n / members hypotheses of each member.

        Raises:
            ValueError: n is no multiple of the number of members, or members differ in image size.
        """
        share, rest = divmod(n, len(self.members))
        if rest or not share:
            raise ValueError(f"n: expected a multiple of the {len(self.members)} checkpoints, got {n}")
        parts = [
            member.hypotheses(sample, n=share, seed=(seed + i * _APART) % (1 << 64))
            for i, member in enumerate(self.members)
        ]
        if len({part.frame for part in parts}) > 1:
            sides = [part.frame.side for part in parts]
            raise ValueError(f"checkpoints: expected one image size, got {sides}")
        return Hypotheses(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.scores for part in parts]),
            parts[0].frame,
        )
