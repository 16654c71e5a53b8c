"""Keeps hypotheses up with what a viewer shows and what is drawn there. Works without a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes

from asam_trt.hypotheses import Hypotheses
from asam_trt.modes import Modes
from asam_trt.napari.picture import look_of, picture
from asam_trt.napari.plane import Plane, shown_plane
from asam_trt.napari.prompts import Prompt, add_box_layer, add_point_layer, read_prompt
from asam_trt.napari.results import Results
from asam_trt.render import reduced
from asam_trt.session import EncodedImage, Session


class Explorer:
    """One image layer, the layers of its prompt, and what a session answers.

    Args:
        viewer: a `napari.Viewer`, or a `ViewerModel` without a window.
        changed: called after layers or settings may have changed the answer, often many times for one change; calls
            `update` now or later.

    Attributes:
        session: None until there is one.
        n, seed: of `Session.sample`.
        image: the layer that is asked about; None until `start`.
        boxes, points: layers of the prompt; others may be set in their place.
        hypotheses, modes: the answer; None without a prompt.
        picked: number of the hypothesis in the layer `mask`.
    """

    def __init__(self, viewer: ViewerModel, changed: Callable[[], Any] = lambda: None) -> None:
        self.viewer = viewer
        self.session: Session | None = None
        self.n, self.seed = 32, 0
        self.image: Image | None = None
        self.boxes: Shapes | None = None
        self.points: Points | None = None
        self.hypotheses: Hypotheses | None = None
        self.modes: Modes | None = None
        self.picked = 0
        self._changed = changed
        self._results = Results(viewer)
        self._place: tuple[Any, ...] | None = None  # session, image, slice, and how it looks: what is encoded
        self._data: Any = None  # of that image
        self._plane: Plane | None = None
        self._encoded: EncodedImage | None = None
        self._asked: tuple[Any, ...] | None = None
        self._mask_input: npt.NDArray[Any] | None = None
        viewer.dims.events.connect(self._on_event)

    def images(self) -> list[Image]:
        """Layers that may be asked about: images that are no results."""
        return [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image) and not self._results.holds(layer)
        ]

    @property
    def refining(self) -> bool:
        """Whether a mask is part of the prompt, see `refine`."""
        return self._mask_input is not None

    def start(self, image: Image) -> None:
        """Ask about an image layer; adds the layers of its prompt where they are missing."""
        if image is not self.image:
            if self.image is not None:
                self.image.events.disconnect(self._on_event)
            image.events.connect(self._on_event)
            self.image = image
        for name, add in (("boxes", add_box_layer), ("points", add_point_layer)):
            if getattr(self, name) not in self.viewer.layers:
                layer = add(self.viewer, image)
                setattr(self, name, layer)
                layer.events.connect(self._on_event)
        self.viewer.layers.selection.active = self.boxes
        self._changed()

    def update(self) -> bool:
        """Encode and sample what has changed since the last call; returns whether the answer is another.

        Without a prompt on the slice that is shown there is no answer.

        Raises:
            RuntimeError: there is a prompt and no session.
            ValueError, TypeError: the slice or the prompt is none that can be asked about.
            EngineError: what the engine makes of it is not finite.
        """
        if self.image is None or self.image not in self.viewer.layers:
            return self._forget()
        try:
            return self._update(self.image)
        except Exception:
            self._forget()
            raise

    def pick(self, index: int) -> None:
        """Show hypothesis ``index``, or the medoid of a mode, in the layer `mask`."""
        if self.hypotheses is None or self.modes is None or self._plane is None or self.image is None:
            return
        self.picked = index
        self._results.show_mask(
            self.image, self._plane, self.hypotheses[index], int(self.modes.assignment[index])
        )

    def refine(self, on: bool = True) -> None:
        """Ask further from the mask that is picked, as SAM's mask prompt; False goes back to box and points alone.

        Of a mask that was painted over by hand it is that mask.
        """
        self._mask_input = self._picked_mask() if on else None
        self._asked = None
        self._changed()

    def keep(self, label: int = 1) -> Labels:
        """Write the layer `mask`, with what was painted by hand, into the Labels layer `kept`.

        Args:
            label: its number there, from 1 to 65535.

        Raises:
            RuntimeError: there is no mask.
        """
        if self.hypotheses is None or self._plane is None or self.image is None:
            raise RuntimeError("expected a mask to keep, came none: draw a box or points first")
        return self._results.keep(
            self.image, self._plane, self._shown_mask(self.hypotheses, self._plane), label
        )

    def clear(self) -> None:
        """Remove what is drawn; layers of the prompt that were deleted come back."""
        if self.boxes is not None:
            self.boxes.data = []
        if self.points is not None:
            self.points.data = np.empty((0, self.points.ndim))
        if self.image is not None:
            self.start(self.image)

    def _update(self, image: Image) -> bool:
        plane = shown_plane(image, self.viewer.dims)
        prompt = self._prompt(plane, image)
        if not prompt:
            return self._forget()
        if self.session is None:
            raise RuntimeError("expected an engine, came none: choose the folder that `asam build` made")
        place = (self.session, image, plane, look_of(image))
        if place != self._place or image.data is not self._data:
            if self._place is not None and place[:3] != self._place[:3]:
                self._mask_input = None  # of another slice or engine
            self._asked = self._place = None
            self._encoded = self.session.encode(picture(image, plane))
            self._place, self._plane, self._data = place, plane, image.data
        asked = (prompt, self.n, self.seed)
        if asked == self._asked:
            return False
        self.hypotheses = self.session.sample(
            box=prompt.box,
            point_coords=prompt.points or None,
            point_labels=prompt.labels or None,
            mask_input=self._mask_input,
            n=self.n,
            seed=self.seed,
            image=self._encoded,
        )
        self.modes = (reduced(self.hypotheses) or self.hypotheses).modes()
        self._asked = asked
        self._results.show(image, plane, self.hypotheses, self.modes)
        self.pick(int(self.modes.medoids[0]))
        return True

    def _prompt(self, plane: Plane, image: Image) -> Prompt:
        boxes, points = (
            layer if layer in self.viewer.layers else None for layer in (self.boxes, self.points)
        )
        return read_prompt(plane, image, boxes, points, self.viewer.dims.point)

    def _picked_mask(self) -> npt.NDArray[Any] | None:
        if self.hypotheses is None or self._plane is None:
            return None
        mask = self._shown_mask(self.hypotheses, self._plane)
        untouched = np.array_equal(mask, self.hypotheses[self.picked])
        return np.asarray(self.hypotheses.logits[self.picked]) if untouched else mask

    def _shown_mask(self, hypotheses: Hypotheses, plane: Plane) -> npt.NDArray[np.bool_]:
        """What the layer `mask` holds; where it was deleted, the hypothesis that it held."""
        mask = self._results.mask(plane)
        return hypotheses[self.picked] if mask is None else mask

    def _forget(self) -> bool:
        if self.hypotheses is None:
            return False
        self.hypotheses = self.modes = self._asked = self._mask_input = None
        self._results.clear()
        return True

    def _on_event(self, event: Any = None) -> None:
        self._changed()
