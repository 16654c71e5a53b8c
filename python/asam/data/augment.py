"""Random flips, turns, scalings and lighting, by torchvision, on image, masks, click and law alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam.data.base import ArrayDataset
from asam.data.law import ModeLaw
from asam.data.sample import Dataset, Sample

__all__ = ["Augment", "Augmented"]

_QUANTISED = 16  # modes that stand for a continuous law


@dataclass(frozen=True)
class Augment:
    """A random change of a sample, a function of the sample and the seed.

    The transforms are `torchvision.transforms.v2`. The box is taken anew from the changed masks, as the image
    of a box is not a smallest box. Where the object or the click would leave the image, the geometry stays as
    it was and only the light changes. A continuous law becomes 16 equally likely modes.

    Attributes:
        flip: chance of a mirror image, left to right.
        flip_vertical: chance of one upside down.
        degrees: largest turn either way.
        shift: largest move, as a share of the side.
        scale: smallest and largest scaling.
        brightness, contrast: largest relative change.
        noise: standard deviation of added noise, in [0, 1] units.
    """

    flip: float = 0.5
    flip_vertical: float = 0.0
    degrees: float = 15.0
    shift: float = 0.05
    scale: tuple[float, float] = (0.9, 1.1)
    brightness: float = 0.2
    contrast: float = 0.2
    noise: float = 0.0

    def __call__(self, sample: Sample, seed: int) -> Sample:
        """The changed sample; `seed` is 0 or more."""
        import torch

        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which also notes a stack trace for GPUs to come: a fifth of the whole change.
            torch.default_generator.manual_seed(seed)
            moved = self._move(sample)
            return replace(moved, image=self._relight(moved.image))

    def _move(self, sample: Sample) -> Sample:
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        height, width = sample.image.shape[:2]
        law = None if sample.law is None else sample.law.quantised(_QUANTISED)
        masks = sample.masks if law is None else np.concatenate([sample.masks, law.modes])
        click = np.zeros((0, 2), np.float32) if sample.click is None else sample.click[None]
        mirror = v2.Compose([v2.RandomHorizontalFlip(self.flip), v2.RandomVerticalFlip(self.flip_vertical)])
        turn = v2.RandomAffine(
            self.degrees,
            (self.shift, self.shift),
            self.scale,
            interpolation=v2.InterpolationMode.BILINEAR,
            fill={tv_tensors.Image: _edge_color(sample), "others": 0},
        )
        image, moved, point = mirror(
            tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)),
            tv_tensors.Mask(torch.from_numpy(masks)),
            # torchvision mirrors x to side - 1 - x, which is for numbers of pixels: a click's mirror is width - x.
            tv_tensors.KeyPoints(torch.from_numpy(click), canvas_size=(height + 1, width + 1)),
        )
        point = tv_tensors.KeyPoints(point, canvas_size=(height, width))
        image, moved, point = turn(image, moved, point)
        new = moved.numpy().astype(np.bool_)
        spot = point.numpy().astype(np.float32)
        lost = (masks.any(axis=(1, 2)) & ~new.any(axis=(1, 2))).any()
        # torchvision clamps a point that leaves the image to its border.
        off = sample.click is not None and not ((spot > 0) & (spot < [width, height])).all()
        if lost or off:
            return sample
        raters = len(sample.masks)
        return Sample.of(
            np.ascontiguousarray(image.permute(1, 2, 0).numpy()),
            new[:raters],
            id=sample.id,
            group=sample.group,
            promise=sample.promise,
            weights=sample.weights,
            seen=sample.seen,
            box=None if law is not None or new.any() else sample.box,
            click=None if sample.click is None else spot[0],
            raters=sample.raters,
            spacing=sample.spacing,
            law=None if law is None else ModeLaw.of(new[raters:], law.probs),
        )

    def _relight(self, image: NDArray[Any]) -> NDArray[Any]:
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        light = v2.ColorJitter(brightness=self.brightness, contrast=self.contrast)
        pixels = light(tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)))
        if self.noise:
            grain = torch.randn(pixels.shape) * self.noise
            if image.dtype == np.uint8:
                pixels = (pixels.float() + 255 * grain).round().clamp(0, 255).to(torch.uint8)
            else:
                pixels = (pixels + grain).clamp(0, 1)
        return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _edge_color(sample: Sample) -> list[float]:
    """Mean colour of the border: what a turned image shows in its corners."""
    image = sample.image
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return [float(value) for value in border.mean(axis=0)]


class Augmented(ArrayDataset[Sample]):
    """A data set whose samples are changed. `epoch` is part of the seed: set it to see other changes."""

    def __init__(self, data: Dataset[Sample], augment: Augment, *, seed: int = 0, epoch: int = 0) -> None:
        super().__init__(ids=data.ids, groups=data.groups)
        self.data, self.augment, self.seed, self.epoch = data, augment, seed, epoch

    def _load(self, index: int) -> Sample:
        words = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(2)
        return self.augment(self.data[index], int(words[0]) | int(words[1]) << 32)
