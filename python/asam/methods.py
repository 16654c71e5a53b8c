"""What is evaluated: anything that answers an image and a prompt with n masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from asam.data import Sample
from asam.model import sampling
from asam.model.network import ASAM
from asam.prompts import Perturbation
from asam_trt import Hypotheses, Session, _ops


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


def running(session: Session | None) -> dict[str, str]:
    """What computes hypotheses: of a Session "backend", "precision", "encoder" and on the CPU the instruction set,
    "isa"; without one those of PyTorch."""
    if session is None:
        capability = torch.backends.cpu.get_cpu_capability()
        return {"backend": "torch", "precision": "float32", "isa": capability.lower()}
    found = {"backend": session.backend, "precision": session.precision, "encoder": session.encoder}
    return found | ({"isa": _ops.isa()} if session.backend == "cpu" else {})


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
    """A deployed engine.

    Attributes:
        session: that runs it.
        name: as it stands in tables; by default what it holds, a plain SAM or an A-SAM, in which numbers it runs and on
            what, since the figures of one engine differ by these.
    """

    session: Session
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            found = running(self.session)
            held = "SAM" if self.session.engine.sampler.plain_sam else "A-SAM"
            place = " ".join(found[key] for key in ("backend", "isa") if key in found)
            object.__setattr__(self, "name", f"{held}, engine ({found['precision']}, {place})")

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """As :class:`Prior`, through the engine."""
        self.session.set_image(sample.image)
        hypotheses: Hypotheses = self.session.sample(**prompt_of(sample), n=n, seed=seed)
        return hypotheses
