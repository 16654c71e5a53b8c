"""What sampling gives: a stack of plausible masks, and what can be read off it."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from asam_trt import _ops
from asam_trt.asked import Asked
from asam_trt.central import central
from asam_trt.checks import as_path, integer, number, unmasked
from asam_trt.contours import Polygon, Ring, polygons, rings, split, trace
from asam_trt.geometry import Float32Array, Frame
from asam_trt.kept import kept
from asam_trt.modes import Modes, check_count, group

BoolArray = npt.NDArray[np.bool_]

LEAST_LOGITS_SIDE = 4  # that can be resized
MAX_MASK_BYTES = 1 << 33  # of `Hypotheses.masks`, a byte a pixel
MAX_MASK_PIXELS = 1 << 28  # of one mask
# Pixels of one native call, during which Python cannot see an interrupt.
_CALL_PIXELS = 1 << 28  # of masks that come back
_COUNTED_PIXELS = 1 << 31  # of masks that are only counted
_DRAWING_SIDES = 128, 256  # the least and the most of the map that outlines are drawn from


@dataclass(frozen=True)
class Area:
    """Areas of the hypotheses, pixels.

    Attributes:
        values: int64 [n], one a hypothesis.
        mean, median: of the values.
        low, high: the central interval that holds the share ``level`` of the values.
        level: 0 < level < 1.
    """

    values: npt.NDArray[np.int64]
    mean: float
    median: float
    low: float
    high: float
    level: float

    def quantile(self, q: float | npt.NDArray[np.floating]) -> Any:
        """Quantiles (0..1) of the values, linear between neighbours."""
        return np.quantile(self.values, q)

    def __repr__(self) -> str:
        return f"Area(median {self.median:.0f} px, {self.level:.0%} within {self.low:.0f} to {self.high:.0f})"


class Hypotheses:
    """n masks that the prompt may have meant, drawn from the model's distribution.

    Masks, maps and statistics are made when first asked for, in pixels of the user's image, as SAM's
    ``postprocess_masks`` does: bilinear to the model side, crop the padding, bilinear to the image, above 0.

    ``len(hyp)`` is n; ``hyp[i]`` is mask i, bool [H, W]; ``hyp[2:5]`` and ``hyp[[0, 3]]`` are `Hypotheses`.

    Args:
        logits: float32 [n, 4e, 4e] in model space.
        scores: float32 [n], the model's own estimate of each mask's quality (IoU).
        frame: where the image lies in model space.
        image: the user's image, uint8 or float [H, W, 3], for pictures; not copied.
        asked: what was asked and what answered; None where that is not known.

    Raises:
        TypeError, ValueError: dtypes or shapes that are not as above.
    """

    def __init__(
        self,
        logits: Float32Array,
        scores: Float32Array,
        frame: Frame,
        *,
        image: npt.NDArray[Any] | None = None,
        asked: Asked | None = None,
    ) -> None:
        for name, value in (("logits", logits), ("scores", scores)):
            unmasked(value, name)
            if not isinstance(value, np.ndarray):
                raise TypeError(f"expected {name} as a NumPy array, came {type(value).__name__}")
        if not isinstance(frame, Frame):
            raise TypeError(f"expected frame to be an asam_trt Frame, came {type(frame).__name__}")
        if image is not None and not isinstance(image, np.ndarray):
            raise TypeError(f"expected image as a NumPy array, came {type(image).__name__}")
        if logits.dtype != np.float32 or scores.dtype != np.float32:
            raise TypeError(f"expected float32 logits and scores, came {logits.dtype} and {scores.dtype}")
        m = frame.logits_side
        if logits.ndim != 3 or logits.shape[1:] != (m, m) or len(logits) == 0:
            raise ValueError(f"expected logits [n, {m}, {m}] with n >= 1, came {list(logits.shape)}")
        if m < LEAST_LOGITS_SIDE:
            raise ValueError(
                f"expected logits of at least {LEAST_LOGITS_SIDE} x {LEAST_LOGITS_SIDE}, came {m} x {m}"
            )
        if scores.shape != (len(logits),):
            raise ValueError(f"expected scores [{len(logits)}], one a hypothesis, came {list(scores.shape)}")
        if image is not None and image.shape != (*frame.original, 3):
            raise ValueError(f"expected an image {[*frame.original, 3]}, came {list(image.shape)}")
        if image is not None and image.dtype != np.uint8 and image.dtype.kind != "f":
            raise TypeError(f"expected an image of uint8 or floating point, came {image.dtype}")
        self.logits = np.ascontiguousarray(logits)
        self.scores = np.asarray(scores)
        self.frame = frame
        self.image = None if image is None else np.asarray(image)
        self.asked = asked

    @kept
    def masks(self) -> BoolArray:
        """bool [n, H, W]; kept once made. Iterate over ``hyp`` to hold one mask at a time instead.

        Raises:
            ValueError: they would take more than 8 GiB.
        """
        self._check_size()
        (h, w), n = self.frame.original, len(self)
        out = np.empty((n, h, w), np.bool_)
        for part in self._parts():
            out[part] = self._masks(self.logits[part])
        return out

    @kept
    def packed(self) -> npt.NDArray[np.uint64]:
        """uint64 [n, ceil(H W / 64)], the masks a bit a pixel: pixel 64 w + b, row by row, is bit b of word w.

        An eighth of the memory of `masks`, which they do not need; kept once made.

        Raises:
            ValueError: as `masks`.
        """
        self._check_size()
        if "masks" in self.__dict__:
            return np.asarray(_ops.pack_masks(self.masks))
        parts = [_ops.packed_masks_from_logits(self.logits[part], *self._geometry) for part in self._parts()]
        return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    @property
    def counts(self) -> npt.NDArray[np.int32]:
        """int32 [H, W], how many hypotheses hold each pixel."""
        return self._statistics[0]

    @kept
    def mean(self) -> Float32Array:
        """float32 [H, W], the fraction of hypotheses that hold each pixel."""
        n = len(self)
        return np.asarray(_ops.look_up(self.counts, (np.arange(n + 1) / n).astype(np.float32)))

    @kept
    def entropy(self) -> Float32Array:
        """float32 [H, W], bits: -p log2 p - (1 - p) log2(1 - p) of p = `mean`; 1 where p is a half.

        It says where the model's readings disagree. It does not say how likely the model is to be wrong: an
        image unlike the training data can get one confident, mistaken reading. Nor does it see that pixels go
        together: two clean readings and pure pixel noise can share a map. `modes` tells these apart.
        """
        return np.asarray(_ops.look_up(self.counts, self.entropy_of_counts))

    @property
    def entropy_of_counts(self) -> Float32Array:
        """float32 [n + 1], bits: the `entropy` of a pixel that 0, 1, ..., n hypotheses hold."""
        n = len(self)
        p = np.arange(n + 1) / n
        q = 1 - p
        bits = -(p * np.log2(np.where(p > 0, p, 1)) + q * np.log2(np.where(q > 0, q, 1)))
        return np.asarray(bits, np.float32)

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """int64 [n], pixels in each mask."""
        return self._statistics[1]

    @property
    def p_empty(self) -> float:
        """Fraction of hypotheses without a pixel: how likely nothing here is the object."""
        return float(np.mean(self.areas == 0))

    def area(self, level: float = 0.9) -> Area:
        """Distribution of the areas, with the central interval that holds the share ``level``.

        Raises:
            ValueError: level is not between 0 and 1.
        """
        if not 0 < number(level, "level") < 1:
            raise ValueError(f"expected 0 < level < 1, came {level!r}")
        low, median, high = central(self.areas, level)
        return Area(self.areas, float(self.areas.mean()), float(median), float(low), float(high), level)

    def modes(self, k: int | None = None) -> Modes:
        """Representative masks with probabilities, the most probable first; k=None chooses how many.

        See `asam_trt.modes.find_modes`.

        Raises:
            TypeError, ValueError: k is not an integer from 1 to n, or see `masks`.
        """
        k = check_count(len(self), k)
        made = self.__dict__.get("masks")
        return group(
            self.packed,
            k,
            lambda medoids: self._masks(self.logits[medoids]) if made is None else made[medoids],
        )

    def consensus(self, threshold: float = 0.5) -> BoolArray:
        """bool [H, W], pixels that at least the fraction ``threshold`` of the hypotheses hold.

        1 is what all agree on; anything up to 1/n is what any of them holds.

        Raises:
            ValueError: threshold is not above 0 and at most 1.
        """
        if not 0 < number(threshold, "threshold") <= 1:
            raise ValueError(f"expected 0 < threshold <= 1, came {threshold!r}")
        # 1e-9 keeps 0.3 * 10 from asking for four masks; no threshold asks for none.
        return np.asarray(self.counts >= max(threshold * len(self) - 1e-9, 1))

    def at(self, size: tuple[int, int]) -> Hypotheses:
        """The same hypotheses as masks of ``size`` (h, w), made from the logits, not resized.

        They are without the image and the prompt, which has its pixels.

        Raises:
            TypeError, ValueError: not two integers of at least 1, or more pixels than masks may have.
        """
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise TypeError(f"expected size as (h, w), came {size!r}")
        h, w = integer(size[0], "h"), integer(size[1], "w")
        if h < 1 or w < 1 or h * w > MAX_MASK_PIXELS:
            raise ValueError(
                f"expected a size of 1 to {MAX_MASK_PIXELS} pixels in all, came {w} x {h} (w x h)"
            )
        frame = replace(self.frame, original=(h, w))
        return Hypotheses(self.logits, self.scores, frame)

    def resized_logits(self, i: int) -> Float32Array:
        """float32 [H, W], the logits of hypothesis i at the image's size."""
        i = self._index(i)
        return np.asarray(self._resized(self.logits[i : i + 1])[0])

    def contours(self, i: int, *, exact: bool = True) -> list[Ring]:
        """Outlines of mask i: rings float32 [k, 2] of (x, y) in pixels of the image, not closed.

        Holes run the other way round (negative `asam_trt.contours.signed_area`).

        Args:
            exact: follow the logits at the image's size; False follows them at the model's own, at most 256,
                which is many times faster on large images and a fraction of a model pixel apart: for drawing.
        """
        i = self._index(i)
        if exact:
            return rings(self.resized_logits(i))
        h, w = self.frame.original
        side, low = self.frame.side, self.logits.shape[1]
        fine = max(low, min(max(side, _DRAWING_SIDES[0]), _DRAWING_SIDES[1]))
        values = _ops.resize_logits(self.logits[i : i + 1], side, (side, side), (fine, fine))[0]
        points, ends = trace(values)
        user = np.clip(self.frame.to_user_coords(points * (side / fine)), 0, (w, h)).astype(np.float32)
        return split(user, ends)

    def polygons(self, i: int) -> list[Polygon]:
        """Connected pieces of mask i with their holes, the largest first; coordinates as in `contours`."""
        return polygons(self.contours(i))

    def save(self, path: str | os.PathLike[str], kind: str | None = None) -> Path:
        """Write the hypotheses to ``path``, whole or not at all, and return it.

        Args:
            kind: ``"npz"`` (logits, scores, bit-packed masks, frame, what was asked), ``"png"`` (a folder: one 0/255
                image a mask, the mean as 16-bit), ``"coco"`` (JSON, one run-length annotation a mask) or
                ``"polygons"`` (a GeoJSON-like feature a mask, in pixels). None decides by the suffix: .npz,
                .json (coco), .geojson (polygons), none (png).

        Raises:
            ValueError: an unknown kind or suffix.
            OSError: the disk refuses.
        """
        from asam_trt import saving

        return saving.save(self, as_path(path, "path"), kind)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Hypotheses:
        """The hypotheses that `save` wrote to an .npz file, without their image.

        Raises:
            ValueError: the file holds something else.
            OSError: it cannot be read.
        """
        from asam_trt import saving

        return saving.load(as_path(path, "path"))

    def show(self) -> Any:
        """The hypothesis sheet as a PIL image, which a notebook displays."""
        from asam_trt import render

        return render.sheet(self)

    def __len__(self) -> int:
        return len(self.logits)

    def __iter__(self) -> Iterator[BoolArray]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, i: int) -> BoolArray: ...

    @overload
    def __getitem__(self, i: slice | npt.NDArray[Any] | list[int]) -> Hypotheses: ...

    def __getitem__(self, i: int | slice | npt.NDArray[Any] | list[int]) -> BoolArray | Hypotheses:
        if isinstance(i, (bool, np.bool_)):
            raise TypeError("expected the number of a hypothesis, a slice or a list of numbers, came a bool")
        if not isinstance(i, slice) and np.ndim(i) == 0:
            i = self._index(i)  # type: ignore[arg-type]
            if "masks" in self.__dict__:
                return np.asarray(self.masks[i])
            return np.asarray(self._masks(self.logits[i : i + 1])[0])
        chosen = self.logits[i]
        if len(chosen) == 0:
            raise ValueError(f"expected at least one of the {len(self)} hypotheses, came none of them: {i!r}")
        asked = None if self.asked is None else self.asked.of(i)
        return Hypotheses(chosen, self.scores[i], self.frame, image=self.image, asked=asked)

    def __repr__(self) -> str:
        h, w = self.frame.original
        return (
            f"Hypotheses(n={len(self)}, image {w} x {h} (w x h), {self.area()}, empty {self.p_empty:.0%}, "
            f"score {self.scores.mean():.2f})"
        )

    def _repr_html_(self) -> str:
        from asam_trt import render

        return f"<div><code>{self!r}</code><br>{render.html_image(self.show())}</div>"

    @kept
    def _statistics(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        areas = np.empty(len(self), np.int64)
        if "masks" in self.__dict__:
            # Adding what is there takes a quarter of the time of making it.
            small = np.uint8 if len(self) < 256 else np.int32
            for i, mask in enumerate(self.masks):
                areas[i] = np.count_nonzero(mask)
            return np.add.reduce(self.masks.view(np.uint8), axis=0, dtype=small).astype(np.int32), areas
        counts: npt.NDArray[np.int32] | None = None
        for part in self._parts(_COUNTED_PIXELS):
            some, areas[part] = _ops.mask_statistics(self.logits[part], *self._geometry)
            counts = some if counts is None else np.add(counts, some, out=counts)
        assert counts is not None  # there is at least one hypothesis
        return counts, areas

    def _check_size(self) -> None:
        (h, w), n = self.frame.original, len(self)
        if n * h * w > MAX_MASK_BYTES:
            raise ValueError(
                f"expected n * H * W of at most {MAX_MASK_BYTES} pixels in all masks together, came {n} * {h} "
                f"* {w}; take fewer hypotheses, hyp[:{max(1, MAX_MASK_BYTES // (h * w))}], or iterate over them"
            )

    def _parts(self, pixels: int | None = None) -> Iterator[slice]:
        h, w = self.frame.original
        step = max(1, (_CALL_PIXELS if pixels is None else pixels) // (h * w))
        return (slice(first, first + step) for first in range(0, len(self), step))

    @property
    def _geometry(self) -> tuple[int, tuple[int, int], tuple[int, int]]:
        return self.frame.side, self.frame.input, self.frame.original

    def _masks(self, logits: Float32Array) -> BoolArray:
        return np.asarray(_ops.masks_from_logits(logits, *self._geometry), np.bool_)

    def _resized(self, logits: Float32Array) -> Float32Array:
        return np.asarray(_ops.resize_logits(logits, *self._geometry), np.float32)

    def _index(self, i: int) -> int:
        n = len(self)
        try:
            i = operator.index(i)
        except TypeError as error:
            raise TypeError(
                f"expected the number of a hypothesis as an integer, came {type(i).__name__}"
            ) from error
        if not -n <= i < n:
            raise IndexError(f"expected a hypothesis from {-n} to {n - 1}, came {i}")
        return i % n
