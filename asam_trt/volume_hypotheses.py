"""What sampling through a volume gives: readings of one object in space, and what can be read off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.canvas import Region
from asam_trt.central import central
from asam_trt.checks import number
from asam_trt.follow import Box
from asam_trt.geometry import Float32Array
from asam_trt.hypotheses import BoolArray
from asam_trt.kept import kept
from asam_trt.pictures import Window
from asam_trt.volume import Volume


@dataclass(frozen=True, eq=False)
class VolumeSlice:
    """The hypotheses of one slice.

    Attributes:
        index: of the slice.
        packed: uint64 [n, ceil(h w / 64)], as `Hypotheses.packed`, of the region of `VolumeHypotheses`.
        areas: int64 [n], pixels.
        box: xyxy that they answer, pixels of the slice; None for a prompt without one.
        confidence: 0..1 of following, see `asam_trt.follow.BoxFollower`.
    """

    index: int
    packed: npt.NDArray[np.uint64]
    areas: npt.NDArray[np.int64]
    box: Box | None
    confidence: float

    def masks(self, shape: tuple[int, int], of: list[int] | None = None) -> BoolArray:
        """bool [n, h, w] of the region, whose ``shape`` is (h, w); of all hypotheses, or of some."""
        packed = self.packed if of is None else self.packed[of]
        h, w = shape
        bits = np.unpackbits(packed.view(np.uint8), axis=1, count=h * w, bitorder="little")
        return bits.view(np.bool_).reshape(-1, h, w)


@dataclass(frozen=True)
class Size:
    """Sizes of the hypotheses in space.

    Attributes:
        values: float64 [n], one a hypothesis.
        unit: "ml", or "voxels" of a volume without millimetres.
        mean, median: of the values.
        low, high: the central interval that holds the share ``level`` of the values.
        level: 0 < level < 1.
    """

    values: npt.NDArray[np.float64]
    unit: str
    mean: float
    median: float
    low: float
    high: float
    level: float

    def __repr__(self) -> str:
        return f"Size(median {self.median:.4g} {self.unit}, {self.level:.0%} within {self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True, eq=False)
class VolumeHypotheses:
    """n readings of one object in a volume: hypothesis i is the same reading in all slices.

    Attributes:
        volume: that was sampled.
        slices: those of the object, by their indices; all others are empty.
        prompted: index of the slice that was pointed at.
        ends: why nothing follows below and above: "empty" (most readings that saw the object there see none any more),
            "lost" (following was no longer believed), "edge" (of the volume) or "limit" (of the slices asked for).
        window: that the slices were seen through.
        region: (x0, y0, x1, y1), the part of the slices that was seen.
        points: float64 [k, 3], x, y and label of the points that were given, pixels of the prompted slice.
        remarks: what makes the answer doubtful, in words.
    """

    volume: Volume
    slices: tuple[VolumeSlice, ...]
    prompted: int
    ends: tuple[str, str]
    window: Window | None
    region: Region
    points: npt.NDArray[np.float64] | None = None
    remarks: tuple[str, ...] = ()

    @kept
    def areas(self) -> npt.NDArray[np.int64]:
        """int64 [n, S], pixels of each hypothesis in each of ``slices``."""
        return np.stack([one.areas for one in self.slices], axis=1)

    @property
    def box(self) -> Box | None:
        """That of the prompt."""
        return next(one.box for one in self.slices if one.index == self.prompted)

    @property
    def p_empty(self) -> float:
        """Fraction of hypotheses without a voxel: how likely nothing here is the object."""
        return float(np.mean(~self.areas.any(axis=1)))

    def size(self, level: float = 0.9) -> Size:
        """Distribution of the sizes, with the central interval that holds the share ``level``.

        Raises:
            ValueError: level is not between 0 and 1.
        """
        if not 0 < number(level, "level") < 1:
            raise ValueError(f"expected 0 < level < 1, came {level!r}")
        voxel = self.volume.voxel_ml
        values = self.areas.sum(axis=1) * (1.0 if voxel is None else voxel)
        low, median, high = central(values, level).tolist()
        return Size(
            values, "voxels" if voxel is None else "ml", float(values.mean()), median, low, high, level
        )

    def mask(self, i: int) -> BoolArray:
        """bool [D, H, W], hypothesis i."""
        out = np.zeros(self.volume.values.shape, np.bool_)
        for one in self.slices:
            self.part(out[one.index])[...] = one.masks(self.shape, [i])[0]
        return out

    def mean(self) -> Float32Array:
        """float32 [D, H, W], the fraction of hypotheses that hold each voxel."""
        out = np.zeros(self.volume.values.shape, np.float32)
        for one in self.slices:
            masks = one.masks(self.shape)
            self.part(out[one.index])[...] = masks.sum(axis=0, dtype=np.int32) / np.float32(len(masks))
        return out

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the region."""
        x0, y0, x1, y1 = self.region
        return y1 - y0, x1 - x0

    def part(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The region of a slice [H, W, ...], a view."""
        x0, y0, x1, y1 = self.region
        return image[y0:y1, x0:x1]

    def majority(self) -> BoolArray:
        """bool [D, H, W], voxels that at least half of the hypotheses hold."""
        return np.asarray(self.mean() >= 0.5)

    def summary(self, level: float = 0.9) -> dict[str, Any]:
        """What a JSON file says of it."""
        size = self.size(level)
        return {
            "n": len(self),
            "unit": size.unit,
            "median": size.median,
            "mean": size.mean,
            "interval": {"level": level, "low": size.low, "high": size.high},
            "p_empty": self.p_empty,
            "sizes": size.values.tolist(),
            "slices": {
                "prompted": self.prompted,
                "first": self.slices[0].index,
                "last": self.slices[-1].index,
                "below": self.ends[0],
                "above": self.ends[1],
            },
            "voxel_ml": self.volume.voxel_ml,
            "spacing_mm": self.volume.spacing,
        }

    def __len__(self) -> int:
        return len(self.slices[0].areas)

    def __repr__(self) -> str:
        first, last = self.slices[0].index, self.slices[-1].index
        return f"VolumeHypotheses(n={len(self)}, slices {first} to {last}, {self.size()}, empty {self.p_empty:.0%})"
