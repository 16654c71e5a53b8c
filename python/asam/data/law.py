"""Known distributions over masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["Law", "ModeLaw", "OffsetLaw"]


class Law(ABC):
    """A distribution over masks [H, W]: what a perfect sampler would draw from.

    `modes` and `probs` are None where the law is continuous; `quantised` then gives modes that stand for it.
    """

    modes: NDArray[np.bool_] | None
    probs: NDArray[np.float64] | None

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """n independent masks, bool [n, H, W]."""

    @abstractmethod
    def mean(self) -> NDArray[np.float32]:
        """The probability that a pixel belongs to the object, float32 [H, W]."""

    @abstractmethod
    def support(self) -> NDArray[np.bool_]:
        """Every pixel that some likely mask holds, bool [H, W]."""

    @abstractmethod
    def quantised(self, k: int) -> ModeLaw:
        """The law as modes: itself where it has modes, else k equally likely masks."""

    @property
    @abstractmethod
    def p_empty(self) -> float:
        """The probability of the empty mask."""


@dataclass(frozen=True, eq=False)
class ModeLaw(Law):
    """Finitely many masks.

    Attributes:
        modes: bool [M, H, W], all different.
        probs: float64 [M], positive, sums to 1.
    """

    modes: NDArray[np.bool_]
    probs: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.modes.dtype != np.bool_ or self.modes.ndim != 3 or self.probs.shape != self.modes.shape[:1]:
            raise ValueError(
                "a law needs modes bool [M, H, W] and probs [M], got "
                f"{self.modes.dtype} {list(self.modes.shape)} and {list(self.probs.shape)}"
            )
        if (self.probs <= 0).any() or not np.isclose(self.probs.sum(), 1.0, atol=1e-6):
            raise ValueError(f"probs: expected positive numbers that sum to 1, got {self.probs.tolist()}")

    @classmethod
    def of(cls, masks: NDArray[np.bool_], probs: NDArray[np.float64]) -> ModeLaw:
        """Joins masks that are equal, drops those of probability 0, and scales the rest to sum to 1."""
        slots: dict[bytes, int] = {}
        total: list[float] = []
        first: list[int] = []
        for index, (mask, prob) in enumerate(zip(masks, probs.tolist(), strict=True)):
            if prob <= 0:
                continue
            slot = slots.setdefault(np.packbits(mask).tobytes(), len(total))
            if slot == len(total):
                total.append(0.0)
                first.append(index)
            total[slot] += prob
        weights = np.array(total)
        return cls(masks[first], weights / weights.sum())

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        return self.modes[rng.choice(len(self.probs), size=n, p=self.probs)]

    def mean(self) -> NDArray[np.float32]:
        return np.tensordot(self.probs, self.modes, axes=1).astype(np.float32)

    def support(self) -> NDArray[np.bool_]:
        return np.asarray(self.modes.any(axis=0))

    def quantised(self, k: int) -> ModeLaw:
        return self

    @property
    def p_empty(self) -> float:
        return float(self.probs[~self.modes.any(axis=(1, 2))].sum())


@dataclass(frozen=True, eq=False)
class OffsetLaw(Law):
    """A boundary that every rater moves by their own normal offset: mask = (distance < offset).

    Attributes:
        distance: float32 [H, W], signed Euclidean distance to the mean boundary in pixels, negative inside.
        spread: standard deviation of the offset in pixels.
    """

    distance: NDArray[np.float32]
    spread: float
    modes = None
    probs = None

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        return self.distance < rng.normal(0.0, self.spread, size=(n, 1, 1))

    def mean(self) -> NDArray[np.float32]:
        return np.asarray(ndtr(-self.distance / np.float32(self.spread)), dtype=np.float32)

    def support(self) -> NDArray[np.bool_]:
        """The mask at +2 spreads: one rater in 44 goes further."""
        return self.distance < 2 * self.spread

    def quantised(self, k: int) -> ModeLaw:
        offsets = self.spread * ndtri((np.arange(k) + 0.5) / k)
        return ModeLaw.of(self.distance < offsets[:, None, None], np.full(k, 1.0 / k))

    @property
    def p_empty(self) -> float:
        return float(ndtr(self.distance.min() / self.spread))
