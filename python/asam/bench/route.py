"""A route: one way from an image to hypotheses. Ours, and what every other one has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from asam.bench.settings import STAGES, Stage
from asam.bench.subject import Float32Array, Subject
from asam_trt import Hypotheses, Session, backends
from asam_trt.bundle import EngineBundle
from asam_trt.prompt import Prompt, PromptTables

OURS = "asam"


class Route(ABC):
    """Computes one subject. Images in and logits out are NumPy arrays; states in between are its own.

    Attributes:
        name: in the table.
        stages: that it can be timed in.
    """

    stages: tuple[Stage, ...] = STAGES

    def __init__(self, name: str, subject: Subject) -> None:
        self.name = name
        self.subject = subject

    def prepare(self, n: int) -> None:
        """Make what one batch of n needs, before anything is timed. An exception says why n cannot be run."""
        self.subject.room_for(n)

    @abstractmethod
    def encode(self, pixels: Float32Array) -> Any:
        """Model input [3, S, S] -> image state."""

    @abstractmethod
    def prompt(self, image: Any) -> Any:
        """The subject's box -> prompt state."""

    @abstractmethod
    def sample(self, image: Any, prompt: Any, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Noise [n, 2, L] -> logits [n, 4e, 4e] and scores [n]."""

    def embedding(self, image: Any) -> npt.NDArray[Any] | None:
        """F [C, e, e] of an image state; None where the route does not keep it."""
        return None

    def frame(self, n: int) -> Hypotheses:
        """All of it: resize, encode, prompt, n hypotheses, statistics."""
        pixels, frame = self.subject.pixels()
        image = self.encode(pixels)
        logits, scores = self.sample(image, self.prompt(image), self.subject.noise(n))
        return with_statistics(Hypotheses(logits, scores, frame))


class Ours(Route):
    """The engine on this machine's best backend."""

    def __init__(self, subject: Subject, precision: str, encoder: str, name: str = OURS) -> None:
        super().__init__(name, subject)
        self.session = Session(subject.engine, threads=subject.threads, precision=precision, encoder=encoder)
        bundle = EngineBundle.open(subject.engine)
        weights = bundle.load_weights()
        # Session hides its states; its parts are timed on a backend of the same engine.
        self._backend = backends.create(
            bundle,
            weights,
            subject.threads,
            self.session.precision,
            self.session.encoder,
            self.session.backend,
        )
        self._tables = bundle.prompt_tables(weights)

    def prepare(self, n: int) -> None:
        """Nothing: the native sampler works in blocks, whatever n."""

    def encode(self, pixels: Float32Array) -> Any:
        return self._backend.encode(pixels)

    def prompt(self, image: Any) -> Any:
        return self._backend.prompt(image, *box_prompt(self.subject, self._tables))

    def sample(self, image: Any, prompt: Any, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        return self._backend.sample(image, prompt, eps)

    def embedding(self, image: Any) -> npt.NDArray[Any] | None:
        embedding = getattr(image, "embedding", None)
        return embedding if isinstance(embedding, np.ndarray) else None

    def frame(self, n: int) -> Hypotheses:
        """As a user does it."""
        self.session.set_image(self.subject.image)
        return with_statistics(self.session.sample(box=self.subject.box, n=n, seed=self.subject.seed))


def box_prompt(subject: Subject, tables: PromptTables) -> tuple[Float32Array, Float32Array]:
    """Tokens [2, C] of the subject's box and dense embedding, [C], or [C, e, e] where the network draws it."""
    _, frame = subject.pixels()
    return tables.encode(Prompt.checked(box=subject.box, frame=frame), frame)


def with_statistics(hypotheses: Hypotheses) -> Hypotheses:
    """The same hypotheses with their maps made: mean, entropy and areas, at the image's size."""
    for name in ("mean", "entropy", "areas"):
        getattr(hypotheses, name)
    return hypotheses
