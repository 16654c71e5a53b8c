"""Stills and videos of the synthetic suite as data sets."""

from __future__ import annotations

from typing import Final

import numpy as np

from asam.data.base import ArrayDataset
from asam.data.sample import Sample
from asam.data.synthetic.kinds import KINDS
from asam.data.synthetic.scene import Scene

__all__ = ["MIX", "Synthetic", "SyntheticVideo"]

MIX: Final = {
    "plain": 0.2,
    "nested": 0.2,
    "pair": 0.2,
    "fuzzy": 0.12,
    "absent": 0.08,
    "click": 0.12,
    "rare": 0.08,
}
SMALLEST = 32  # side in pixels
_STILL, _VIDEO = 0, 1  # separate streams of random numbers


def _check(kind: str, size: int, seed: int, raters: int) -> None:
    known = [*KINDS, "mix"]
    if kind not in known:
        raise ValueError(f"kind: expected one of {', '.join(known)}, got {kind!r}")
    if size < SMALLEST:
        raise ValueError(f"size: expected at least {SMALLEST} pixels, got {size}")
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    if raters < 1:
        raise ValueError(f"raters: expected at least 1, got {raters}")


def _number(kind: str) -> int:
    """A number that stays a kind's own when others are added."""
    return 255 if kind == "mix" else list(KINDS).index(kind)


def _choose(kind: str, rng: np.random.Generator) -> str:
    return kind if kind != "mix" else str(rng.choice(list(MIX), p=list(MIX.values())))


def _sample(
    scene: Scene, t: float, seeds: tuple[list[int], list[int]], raters: int, name: str, group: str
) -> Sample:
    noise, opinions = (np.random.default_rng(seed) for seed in seeds)
    image, law, click = scene.render(t, noise)
    return Sample.of(image, law.draw(raters, opinions), id=name, group=group, click=click, law=law)


_MOST_SAMPLES = 10_000_000  # each has its name in memory


class Synthetic(ArrayDataset[Sample]):
    """Still pictures of ambiguous objects, each with the true distribution of its masks.

    Sample i is a function of (kind, size, seed, i) alone: any worker makes the same picture.

    Args:
        kind: what is ambiguous, see `asam.data.synthetic.kinds`: "plain", "nested", "pair", "fuzzy",
            "absent", "click", "rare", or "mix" for all of them in the shares of `MIX`.
        size: side of the image in pixels.
        seed: 0 or more; pictures of different seeds have nothing in common.
        length: number of samples.
        raters: masks a sample, drawn independently from its law.
    """

    def __init__(
        self, kind: str, size: int = 128, seed: int = 0, length: int = 1000, *, raters: int = 4
    ) -> None:
        _check(kind, size, seed, raters)
        if not 1 <= length <= _MOST_SAMPLES:
            raise ValueError(f"length: expected 1 to {_MOST_SAMPLES:,}, got {length}")
        names = [f"{kind}-{seed}-{index:06d}" for index in range(length)]
        super().__init__(ids=names, groups=names)
        self.kind, self.size, self.seed, self.raters = kind, size, seed, raters

    def _load(self, index: int) -> Sample:
        key = [self.seed, _STILL, _number(self.kind), index]
        rng = np.random.default_rng(key)
        scene = Scene(rng, _choose(self.kind, rng), self.size)
        name = self.ids[index]
        return _sample(scene, 0.0, ([*key, 1], [*key, 2]), self.raters, name, name)


class SyntheticVideo(ArrayDataset[Sample]):
    """One moving scene, a sample a frame; the objects are the same throughout and move smoothly.

    A rater keeps their reading: masks[r] is the same mode in every frame while its probability stays.

    Args:
        kind: as for `Synthetic`; "mix" picks one kind for the whole video.
        frames: number of frames.
        size: side of the image in pixels.
        seed: 0 or more.
        raters: masks a frame.
    """

    def __init__(
        self, kind: str, frames: int = 64, size: int = 128, seed: int = 0, *, raters: int = 4
    ) -> None:
        _check(kind, size, seed, raters)
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        group = f"{kind}-video-{seed}"
        super().__init__(ids=[f"{group}-{t:04d}" for t in range(frames)], groups=[group] * frames)
        self.size, self.seed, self.raters = size, seed, raters
        self._key = [seed, _VIDEO, _number(kind)]
        rng = np.random.default_rng(self._key)
        self.kind = _choose(kind, rng)
        self._scene = Scene(rng, self.kind, size, moving=True)

    def _load(self, index: int) -> Sample:
        seeds = ([*self._key, 1, index], [*self._key, 2])
        return _sample(self._scene, float(index), seeds, self.raters, self.ids[index], self.groups[index])
