"""The one sample type that every data set yields."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asam.data.law import Law
from asam_trt.counting import counted

__all__ = ["Dataset", "Promise", "Sample", "equal_weights", "smallest_box"]


class Promise(enum.Enum):
    """What a data set vouches for about the masks of one sample."""

    RATERS = "raters"  # independent answers of several people (or draws from a known law)
    NESTED = "nested"  # classes that contain one another; masks[i] is a subset of masks[i + 1]
    INSTANCES = "instances"  # readings of a scene with several objects: A, B, A or B


def smallest_box(masks: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Smallest box that holds every true pixel of `masks` [..., H, W].

    Returns:
        float32 [4], xyxy in pixels. Coordinates are pixel *edges*: x1 and y1 are the largest index plus one,
        so that a mask of one pixel at (3, 5) has the box (3, 5, 4, 6) and never a box of no area. None where
        no pixel is true.
    """
    union = np.asarray(masks.reshape(-1, *masks.shape[-2:]).any(axis=0))
    rows = np.flatnonzero(union.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(union.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def equal_weights(count: int) -> NDArray[np.float32]:
    """float32 [count], each 1 / count."""
    return np.full(count, 1.0 / count, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One image with every mask that was given for one object in it.

    Attributes:
        image: [H, W, 3], uint8 or float32 in [0, 1].
        masks: bool [R, H, W], one a rater; all false where a rater looked and saw no object.
        weights: float32 [R], sums to 1: how often each mask is to be drawn.
        seen: bool [R], which raters were shown the object and judged it. A rater who marked nothing but is
            known to have looked is True; one who never had the object before them is False.
        box: float32 [4], xyxy in pixels: the smallest box around the union of all masks (see `smallest_box`);
            where the law is known, around its support, so that the prompt does not tell which masks were
            drawn. The whole image where no rater marked anything.
        id: unique in its data set.
        group: what must not be split (the patient); equals `id` where nothing groups.
        promise: what the masks stand for.
        click: float32 [2], x and y in pixels, where the data set's question is a click; the masks (and the
            law) then answer that click and not the box.
        raters: their names, in the order of the masks; empty where the data do not name them.
        spacing: millimetres of a pixel, (row, column) or (row, column, slice); None where unknown.
        law: the true distribution of masks for this image and prompt; None where nobody knows it.
    """

    image: NDArray[np.uint8] | NDArray[np.float32]
    masks: NDArray[np.bool_]
    weights: NDArray[np.float32]
    seen: NDArray[np.bool_]
    box: NDArray[np.float32]
    id: str
    group: str
    promise: Promise
    click: NDArray[np.float32] | None = None
    raters: tuple[str, ...] = ()
    spacing: tuple[float, ...] | None = None
    law: Law | None = None

    def __post_init__(self) -> None:
        image, masks = self.image, self.masks
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"{self.id}: expected an image of uint8 or float32 [H, W, 3], got {image.dtype} {list(image.shape)}"
            )
        if image.dtype == np.float32 and not np.isfinite(image).all():
            raise ValueError(f"{self.id}: expected an image of finite numbers, got NaN or infinity")
        if masks.dtype != np.bool_ or masks.ndim != 3 or masks.shape[1:] != image.shape[:2] or not len(masks):
            raise ValueError(
                f"{self.id}: expected masks of bool [R >= 1, {image.shape[0]}, {image.shape[1]}] like the image, "
                f"got {masks.dtype} {list(masks.shape)}"
            )
        for name, vector in (("weights", self.weights), ("seen", self.seen)):
            if vector.shape != (len(masks),):
                raise ValueError(f"{self.id}: expected {name} of [{len(masks)}], got {list(vector.shape)}")
        if not np.isclose(self.weights.sum(), 1.0, atol=1e-4) or (self.weights < 0).any():
            raise ValueError(f"{self.id}: expected weights >= 0 that sum to 1, got {self.weights.tolist()}")
        if len(self.raters) not in (0, len(masks)):
            raise ValueError(f"{self.id}: expected a name for each of {len(masks)} raters, got {self.raters}")

    def __repr__(self) -> str:
        h, w = self.image.shape[:2]
        word = "rater" if self.promise is Promise.RATERS else "mask"
        empty = int((~self.masks.any(axis=(1, 2))).sum())
        return (
            f"Sample({self.id!r}, image {w} x {h} (w x h), {counted(len(self.masks), word)}"
            f"{f' ({empty} empty)' if empty else ''}, {self.prompt})"
        )

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        masks: NDArray[np.bool_],
        *,
        id: str,
        group: str | None = None,
        promise: Promise = Promise.RATERS,
        weights: NDArray[np.float32] | None = None,
        seen: NDArray[np.bool_] | None = None,
        box: NDArray[np.float32] | None = None,
        click: NDArray[np.float32] | None = None,
        raters: tuple[str, ...] = (),
        spacing: tuple[float, ...] | None = None,
        law: Law | None = None,
    ) -> Sample:
        """A sample from the parts that differ.

        A grey image [H, W] is made three channels. By default weights are equal, every rater looked, and the
        box goes around the union of the masks, or around the law's support where the law is known.
        """
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        if box is None:
            box = smallest_box(masks if law is None else law.support())
        if box is None:
            box = np.array([0, 0, masks.shape[2], masks.shape[1]], dtype=np.float32)
        return cls(
            image=image,
            masks=masks,
            weights=equal_weights(len(masks)) if weights is None else weights,
            seen=np.ones(len(masks), dtype=np.bool_) if seen is None else seen,
            box=box,
            id=id,
            group=id if group is None else group,
            promise=promise,
            click=click,
            raters=raters,
            spacing=spacing,
            law=law,
        )

    @property
    def prompt(self) -> str:
        """The question in words: "box" with its four numbers, or "click" with its two where that is asked."""
        name, numbers = ("box", self.box) if self.click is None else ("click", self.click)
        return " ".join([name, *(f"{number:g}" for number in numbers.tolist())])

    @property
    def float_image(self) -> NDArray[np.float32]:
        """The image as float32 [H, W, 3] in [0, 1], whatever it is stored as."""
        if self.image.dtype == np.uint8:
            return np.divide(self.image, np.float32(255), dtype=np.float32)
        return np.asarray(self.image, dtype=np.float32)


SampleT = TypeVar("SampleT", covariant=True)


@runtime_checkable
class Dataset(Protocol[SampleT]):
    """A sequence of samples: lazy, picklable, and the same sample for the same index every time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> SampleT: ...

    def __iter__(self) -> Iterator[SampleT]: ...

    @property
    def ids(self) -> Sequence[str]:
        """The id of every sample, in order, known without reading the images."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """The group of every sample, in order."""
        ...
