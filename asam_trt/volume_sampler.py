"""Sampling through a volume: the same readings of one object, up and down from the slice it was pointed at in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import integer
from asam_trt.crops import region_around, remarks_on_region, shifted
from asam_trt.follow import LOST_BELOW, Box, BoxFollower, box_around
from asam_trt.geometry import as_image, box_corners
from asam_trt.hypotheses import Hypotheses
from asam_trt.intensities import OutsideWindow
from asam_trt.noise import hypotheses_of, latent_noise, most_hypotheses
from asam_trt.pictures import Window
from asam_trt.session import Session
from asam_trt.volume import Volume
from asam_trt.volume_hypotheses import VolumeHypotheses, VolumeSlice

_NOT_ENDED = 0.5  # share of the readings that saw the object where it was pointed at
_FILLS = (
    "the object goes from the first slice of the scan to the last: look at sheet.png; where that is not so, crop= or "
    "slices= is the remedy"
)


class VolumeSampler:
    """Runs a Session over the slices of a volume.

    From the slice of the prompt the object is followed upwards and downwards as through a video
    (`asam_trt.follow.BoxFollower`): the box of a slice comes from the consensus of the slice before. Hypothesis i keeps
    its noise, so that it stays the same reading of the object. A direction ends where most of the readings that saw the
    object in the slice of the prompt see none any more, or where following is lost; slices at such an end that were not
    believed are left out.

    Raises:
        TypeError: ``session`` is no `Session`.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise TypeError(f"expected session to be a Session, came {type(session).__name__}")
        self._session = session

    def run(
        self,
        volume: Volume,
        *,
        slice: int,
        box: npt.ArrayLike | None = None,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        window: Window | None = None,
        slices: tuple[int, int] | None = None,
        crop: int | None = None,
        n: int | None = None,
        seed: int = 0,
        eps: npt.ArrayLike | None = None,
        temperature: float = 1.0,
        latents: str = "iid",
        on_slice: Callable[[int], None] | None = None,
    ) -> VolumeHypotheses:
        """The hypotheses of one object; memory holds a bit a pixel, hypothesis and slice of it.

        Args:
            volume: see `asam_trt.read_volume`.
            slice: index of the slice of the prompt.
            box, point_coords, point_labels, mask_input: the prompt, pixels of that slice as seen.
            window: (low, high), see `Volume.picture`.
            slices: (first, last), which the object does not leave; None is all.
            crop: side in pixels of the square around the box or the points that is seen of every slice; None is the
                whole slice. For networks that were trained on crops, and for objects that are small in a slice.
            n, seed, eps, temperature, latents: as `Session.sample`.
            on_slice: called with the index of each slice that was sampled.

        Raises:
            TypeError, ValueError: a wrong argument, or no value of the prompted slice in the window.
        """
        if not isinstance(volume, Volume):
            raise TypeError(f"expected volume to be what read_volume returns, came {type(volume).__name__}")
        prompted = integer(slice, "slice")
        first, last = _bounds(volume, slices)
        if not first <= prompted <= last:
            within = "" if slices is None else ", which are the slices asked for"
            raise ValueError(
                f"expected the slice of the prompt within {first} to {last}{within}, came {prompted}"
            )
        if box is None and point_coords is None and mask_input is None:
            raise ValueError("expected a box, points or a mask to follow, came none of them")
        options: dict[str, Any] = {
            "n": hypotheses_of(n, eps), "seed": seed, "temperature": temperature, "latents": latents,
        }  # fmt: skip
        sizes = self._session.engine.sampler
        noise = latent_noise(latent=sizes.latent, eps=eps, most=most_hypotheses(sizes.logits_side), **options)
        region = region_around(volume.size, crop, box=box, point_coords=point_coords)
        x0, y0, x1, y1 = region
        if mask_input is not None and np.shape(mask_input) == volume.size:
            mask_input = np.asarray(mask_input)[y0:y1, x0:x1]

        def sample(index: int, **prompt: Any) -> tuple[npt.NDArray[Any], Hypotheses]:
            picture = _picture(volume, index, window, first=index == prompted)[y0:y1, x0:x1]
            drawn = self._session.sample(**prompt, eps=noise, image=self._session.encode(picture))
            if on_slice is not None:
                on_slice(index)
            return picture, drawn

        own = None if box is None else _box(shifted(box_corners(box), region))
        image, found = sample(
            prompted,
            box=own,
            point_coords=shifted(point_coords, region),
            point_labels=point_labels,
            mask_input=mask_input,
        )
        start = VolumeSlice(prompted, found.packed, found.areas, own, 1.0)
        seeing = found.areas > 0

        def followed(indices: range, *, whole: bool) -> tuple[list[VolumeSlice], str]:
            if not seeing.any():
                return [], "empty"
            follower = BoxFollower(own or _around(found[seeing]))
            follower.update(image, found[seeing])
            slices, end = _follow(sample, follower, indices, seeing)
            return slices, end or ("edge" if whole else "limit")

        below, end_below = followed(range(prompted - 1, first - 1, -1), whole=first == 0)
        above, end_above = followed(range(prompted + 1, last + 1), whole=last == len(volume) - 1)
        ends = end_below, end_above
        points = None
        if point_coords is not None and point_labels is not None:
            points = np.column_stack([np.asarray(point_coords), np.asarray(point_labels)]).astype(np.float64)
        placed = tuple(
            replace(one, box=None if one.box is None else _box(shifted(one.box, region, 1)))
            for one in (*below[::-1], start, *above)
        )
        remarks = remarks_on_region(
            volume.size, region, sizes.side, crop=crop, box=box, point_coords=point_coords
        )
        if len(volume) > 1 and (placed[0].index, placed[-1].index) == (0, len(volume) - 1):
            remarks += (_FILLS,)
        return VolumeHypotheses(volume, placed, prompted, ends, window, region, points, remarks)


def _follow(
    sample: Callable[..., tuple[npt.NDArray[Any], Hypotheses]],
    follower: BoxFollower,
    indices: range,
    seeing: npt.NDArray[np.bool_],
) -> tuple[list[VolumeSlice], str | None]:
    """The slices of one direction, and why it ended, see `VolumeHypotheses.ends`; None where the indices did.

    Args:
        sample: the picture of a slice, by its index, and its hypotheses of ``box=``.
        seeing: bool [n], the readings that are followed.
    """
    found: list[VolumeSlice] = []
    for index in indices:
        box = follower.box
        image, hypotheses = sample(index, box=box)
        step = follower.update(image, hypotheses[seeing])
        if hypotheses.areas.any():
            found.append(VolumeSlice(index, hypotheses.packed, hypotheses.areas, box, step.confidence))
        if np.mean(hypotheses.areas[seeing] > 0) < _NOT_ENDED:
            return found, "empty"
        if step.lost:
            break
    doubted = bool(found) and found[-1].confidence < LOST_BELOW
    while found and found[-1].confidence < LOST_BELOW:
        found.pop()
    return found, "lost" if doubted else None


def _bounds(volume: Volume, slices: tuple[int, int] | None) -> tuple[int, int]:
    if slices is None:
        return 0, len(volume) - 1
    if not isinstance(slices, (tuple, list)) or len(slices) != 2:
        raise TypeError(f"expected slices as (first, last), came {slices!r}")
    first, last = integer(slices[0], "slices"), integer(slices[1], "slices")
    if not 0 <= first <= last < len(volume):
        raise ValueError(
            f"expected slices FIRST <= LAST within 0 to {len(volume) - 1}, came {first} and {last}"
        )
    return first, last


def _picture(volume: Volume, index: int, window: Window | None, *, first: bool) -> npt.NDArray[Any]:
    try:
        return volume.picture(index, window)
    except OutsideWindow as error:
        if first:
            raise
        return as_image(error.shown)  # a slice of air


def _around(hypotheses: Hypotheses) -> Box:
    """A box around what most of the hypotheses hold, or any where they do not meet."""
    mask = hypotheses.consensus()
    return box_around(mask if mask.any() else hypotheses.counts > 0)


def _box(corners: npt.NDArray[np.float64]) -> Box:
    x0, y0, x1, y1 = corners.tolist()
    return x0, y0, x1, y1
