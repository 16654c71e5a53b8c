"""What is evaluated: anything that answers an image and a prompt with n masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from asam.data import Sample
from asam.model import sampling
from asam.model.network import ASAM
from asam.prompts import Perturbation
from asam_trt import Hypotheses, Session


class Method(Protocol):
    """A segmenter of ambiguous objects."""

    @property
    def name(self) -> str:
        """As it stands in tables."""

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """n hypotheses for the sample's image and its box; the masks of the raters are not to be looked at."""


class Network(Protocol):
    """What draws hypotheses of one prompt: :class:`asam.ASAM` and every network of :mod:`asam.baselines`."""

    def sample(
        self,
        image: Any,
        *,
        box: Any = None,
        point_coords: Any = None,
        point_labels: Any = None,
        n: int = 32,
        seed: int = 0,
    ) -> Hypotheses:
        """As :meth:`asam.ASAM.sample`."""


def prompt_of(sample: Sample) -> dict[str, Any]:
    """The question that the sample's masks answer, as arguments of ``sample``: its click, else its box."""
    if sample.click is None:
        return {"box": sample.box}
    return {"point_coords": sample.click[None], "point_labels": [1]}


@dataclass(frozen=True)
class Prior:
    """A network as it is meant: hypotheses drawn from the distribution that it predicts."""

    model: Network
    name: str = "A-SAM"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """n draws."""
        return self.model.sample(sample.image, **prompt_of(sample), n=n, seed=seed)


@dataclass(frozen=True)
class PromptJitter:
    """A network that gives one mask a prompt, and its prompt jittered: what SAM offers in place of a distribution.

    Of an A-SAM both latents stay at their means; without latents it is a SAM.

    Attributes:
        model: the network.
        perturbation: of the box, or of a box of two pixels around the point, whose centre is then asked.
        name: as it stands in tables.
        prompt: "own" jitters the question that the sample's masks answer, its box or its click. "point" asks by a
            point whatever the question: the click, or the centre of the box.
    """

    model: ASAM
    perturbation: Perturbation
    name: str = "no ambiguity, prompt jittered"
    prompt: Literal["own", "point"] = "own"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """One mask for each of n perturbed prompts."""
        height, width = sample.image.shape[:2]
        rng = np.random.default_rng(seed)
        if self.prompt == "own" and sample.click is None:
            boxes = [self.perturbation(sample.box, (height, width), rng) for _ in range(n)]
            return sampling.mean_masks(self.model, sample.image, np.stack(boxes))
        point = (sample.box[:2] + sample.box[2:]) / 2 if sample.click is None else sample.click
        around = np.concatenate([point - 1, point + 1])
        boxes = [self.perturbation(around, (height, width), rng) for _ in range(n)]
        points = np.stack(boxes).reshape(n, 2, 2).mean(axis=1)
        return sampling.mean_masks(self.model, sample.image, points)


@dataclass(frozen=True)
class Engine:
    """A deployed engine."""

    session: Session
    name: str = "A-SAM, engine"

    @classmethod
    def of(cls, session: Session) -> Engine:
        """Named after what the engine holds: a plain SAM, or an A-SAM."""
        return cls(session, "SAM, engine" if session.engine.sampler.separate_masks else cls.name)

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """As :class:`Prior`, through the engine."""
        self.session.set_image(sample.image)
        hypotheses: Hypotheses = self.session.sample(**prompt_of(sample), n=n, seed=seed)
        return hypotheses
