"""The video interface of SAM 2 (facebookresearch/sam2, `SAM2VideoPredictor`) over `VideoSampler`.

Code that calls ``init_state``, ``add_new_points_or_box`` and ``propagate_in_video`` runs with another first
line. Differences:

- Frames are streamed: none is kept but the one that was prompted last, so a video may be of any length, and
  ``reverse=True`` is refused.
- Each object is followed by its box (`asam_trt.follow`), not by a memory of earlier masks; its box on each frame is
  kept. One that is lost answers with no mask from then on.
- Points on a frame that an object was followed to are asked within its box there. A propagation that starts behind the
  prompted frame goes on from the box that an earlier one found there, or runs unseen from where it knows one.
- Masks are NumPy arrays, with the ``.cpu()`` and ``.numpy()`` that callers of SAM 2 expect. Their logits are
  the log-odds of a pixel among the hypotheses, so that ``> 0`` is what more than half of them hold.
- ``state["hypotheses"]`` has the `Hypotheses` of each object on the frame that came last.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import as_array, integer
from asam_trt.follow import box_around
from asam_trt.host_arrays import to_host
from asam_trt.hypotheses import Hypotheses
from asam_trt.session import Session
from asam_trt.sources import RawFrame, Source, is_url, open_source
from asam_trt.video import VideoFrame, VideoSampler

NO_OBJECT = -1024.0  # SAM 2's own logit where an object is not there

State = dict[str, Any]
_STATE = ("video_path", "video_height", "video_width", "obj_ids", "hypotheses", "prompts", "boxes", "frame")
Answer = tuple[int, list[Hashable], "Masks"]


class Masks(npt.NDArray[np.float32]):
    """float32 [objects, 1, H, W], logits.

    Comparisons, indices, ``cpu()``, ``detach()``, ``float()`` and ``numpy()`` work as on SAM 2's tensor; for PyTorch's
    own functions ``torch.as_tensor`` makes a tensor of it.
    """

    def cpu(self) -> Masks:
        """Itself: it is in host memory."""
        return self

    def detach(self) -> Masks:
        """Itself: it has no gradient."""
        return self

    def float(self) -> Masks:
        """As float32; comparisons give bool."""
        return np.asarray(self, np.float32).view(Masks)

    def numpy(self) -> npt.NDArray[Any]:
        """A plain NumPy array."""
        return np.asarray(self)


class VideoPredictor:
    """SAM 2's video predictor over an engine.

    Args:
        session: an open `Session`.
        n, seed: of the hypotheses of each object, as `Session.sample`.
        follow: move each object's box with its consensus mask.
    """

    def __init__(self, session: Session, *, n: int = 32, seed: int = 0, follow: bool = True) -> None:
        self._session = session
        self._options: dict[str, Any] = {"n": n, "seed": seed}
        self._follow = follow

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> State:
        """Open a video, and return the state that all other calls take.

        Args:
            video_path: a video file, a folder of frames, or a list of images. What can be read only once, such as a
                camera, is for `VideoSampler`.
            offload_video_to_cpu, offload_state_to_cpu, async_loading_frames: without effect; frames are streamed.

        Raises:
            TypeError, ValueError: no such video, or one that can be read only once.
        """
        _check_repeatable(video_path)
        first = self._read(video_path, 0)
        source = open_source(video_path)
        try:
            length = source.length
        finally:
            source.close()
        height, width = first.image.shape[:2]
        return {
            "video_path": video_path,
            "video_height": height,
            "video_width": width,
            "num_frames": length,
            "obj_ids": [],
            "hypotheses": {},
            "prompts": {},  # object -> frame -> prompt
            "boxes": {},  # object -> frame -> box that it was followed to, None where it was lost
            "frame": first,
        }

    def add_new_points_or_box(
        self,
        inference_state: State,
        frame_idx: int,
        obj_id: Hashable,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> Answer:
        """Ask about an object on a frame; what was asked about it there before is added to or replaced.

        Points without a box, on a frame that the object was followed to, are asked together with its box there.

        Args:
            points: [k, 2] of (x, y), pixels of the video; shares of its size where not ``normalize_coords``.
            labels: [k], 1 object, 0 not.
            clear_old_points: forget earlier points and the box of this object on this frame.
            box: (x0, y0, x1, y1), in the same units.

        Returns:
            frame_idx, all objects, and their masks on that frame: float32 logits [objects, 1, H, W].

        Raises:
            TypeError, ValueError: no points and no box, or see `Session.sample`.
        """
        _check_state(inference_state)
        if (points is None) != (labels is None):
            raise ValueError("expected points and labels together, came one of them")
        if points is None and box is None:
            raise ValueError("expected points with labels, or a box, came neither")
        if box is not None and not clear_old_points:
            raise ValueError(
                "expected clear_old_points=True with a box, which comes before the points; came False"
            )
        size = (inference_state["video_width"], inference_state["video_height"])
        unit = np.ones(2) if normalize_coords else np.array(size, np.float64)
        prompt: dict[str, Any] = {}
        before = inference_state["prompts"].get(obj_id, {}).get(frame_idx, {})
        if not clear_old_points:
            prompt = {key: value for key, value in before.items() if key != "mask_input"}
        if box is not None:
            prompt["box"] = _numbers(box, "box").reshape(4) * np.tile(unit, 2)
        if points is not None:
            xy = _numbers(points, "points").reshape(-1, 2) * unit
            marks = _numbers(labels, "labels").reshape(-1)
            if "point_coords" in prompt:
                xy = np.concatenate([prompt["point_coords"], xy])
                marks = np.concatenate([prompt["point_labels"], marks])
            prompt |= {"point_coords": xy, "point_labels": marks}
        asked = frame_idx in inference_state["prompts"].get(obj_id, {})
        followed = inference_state["boxes"].get(obj_id, {}).get(frame_idx)
        if followed is not None and not asked:
            prompt.setdefault("box", followed)
        return self._ask(inference_state, frame_idx, obj_id, prompt)

    add_new_points = add_new_points_or_box

    def add_new_mask(self, inference_state: State, frame_idx: int, obj_id: Hashable, mask: Any) -> Answer:
        """Ask about the object that a mask [H, W] shows on a frame: by the box around it.

        Raises:
            ValueError: a mask of another size than the video, or without a pixel.
        """
        _check_state(inference_state)
        found = _numbers(mask, "mask")
        found = found.reshape(found.shape[-2:]) > 0
        size = inference_state["video_height"], inference_state["video_width"]
        if found.shape != size:
            raise ValueError(f"expected a mask of the video's size {list(size)}, came {list(found.shape)}")
        if not found.any():
            raise ValueError("expected a mask with pixels, came an empty one")
        return self._ask(inference_state, frame_idx, obj_id, {"box": np.array(box_around(found))})

    def propagate_in_video(
        self,
        inference_state: State,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Answer]:
        """Go through the video, and yield (frame_idx, objects, masks) of every frame.

        Args:
            start_frame_idx: None is the first frame that was asked about. A later one goes on from there: with the
                boxes that an earlier propagation found, else with frames before it that are sampled and not shown.
            max_frame_num_to_track: frames after the first one, as SAM 2 counts; None is all.
            reverse: refused where True.

        Raises:
            RuntimeError: nothing was asked.
            ValueError: ``reverse``, a frame that the video does not have, or see `VideoSampler.run`.
        """
        _check_state(inference_state)
        if reverse:
            raise ValueError("expected reverse=False, came True: frames are streamed in their order")
        prompts = inference_state["prompts"]
        asked = sorted({frame for of in prompts.values() for frame in of})
        if not asked:
            raise RuntimeError("expected points, a box or a mask first: call add_new_points_or_box(...)")
        start = asked[0] if start_frame_idx is None else integer(start_frame_idx, "start_frame_idx")
        count = None if max_frame_num_to_track is None else integer(max_frame_num_to_track, "frames")
        length = inference_state["num_frames"]
        if start < 0 or (length is not None and start >= length):
            raise ValueError(f"expected start_frame_idx to be a frame of the video, came {start} of {length}")
        if count is not None and count < 0:
            raise ValueError(f"expected max_frame_num_to_track of 0 or more, came {count}")
        end = None if count is None else start + count
        return self._propagate(inference_state, start, end)

    def reset_state(self, inference_state: State) -> None:
        """Forget all objects."""
        _check_state(inference_state)
        inference_state["prompts"].clear()
        inference_state["boxes"].clear()
        inference_state["obj_ids"].clear()
        inference_state["hypotheses"].clear()

    def remove_object(
        self, inference_state: State, obj_id: Hashable, strict: bool = False, need_output: bool = True
    ) -> tuple[list[Hashable], list[tuple[int, Masks]]]:
        """Forget one object; return the others, and the masks of the frames where it was asked about."""
        _check_state(inference_state)
        if obj_id not in inference_state["prompts"]:
            if strict:
                raise RuntimeError(
                    f"expected one of the objects {inference_state['obj_ids']}, came {obj_id!r}"
                )
            return list(inference_state["obj_ids"]), []
        frames = sorted(inference_state["prompts"].pop(obj_id))
        inference_state["boxes"].pop(obj_id, None)
        inference_state["obj_ids"].remove(obj_id)
        inference_state["hypotheses"].pop(obj_id, None)
        if not need_output or not inference_state["obj_ids"]:
            return list(inference_state["obj_ids"]), []
        return list(inference_state["obj_ids"]), [
            (frame, self._answer(inference_state, frame)[2]) for frame in frames
        ]

    def clear_all_prompts_in_frame(
        self, inference_state: State, frame_idx: int, obj_id: Hashable, need_output: bool = True
    ) -> Answer | None:
        """Forget what was asked about an object on one frame, and where it was followed to from there."""
        _check_state(inference_state)
        inference_state["prompts"].get(obj_id, {}).pop(frame_idx, None)
        _forget_from(inference_state, obj_id, frame_idx)
        return self._answer(inference_state, frame_idx) if need_output else None

    def _ask(self, state: State, frame_idx: int, obj_id: Hashable, prompt: dict[str, Any]) -> Answer:
        frame_idx = integer(frame_idx, "frame_idx")
        of = state["prompts"].setdefault(obj_id, {})
        before = of.get(frame_idx)
        of[frame_idx] = prompt
        try:
            answer = self._answer(state, frame_idx, new=obj_id)
        except (TypeError, ValueError):
            # What cannot be asked is not remembered.
            if before is None:
                del of[frame_idx]
            else:
                of[frame_idx] = before
            if not of:
                del state["prompts"][obj_id]
            raise
        # What comes behind this frame was followed from another answer.
        _forget_from(state, obj_id, frame_idx + 1)
        return answer

    def _answer(self, state: State, frame_idx: int, new: Hashable | None = None) -> Answer:
        """Masks of all objects on a frame: of those that were asked about there, and those that were followed to it."""
        if state["frame"].index != frame_idx:
            state["frame"] = self._read(state["video_path"], frame_idx)
        encoded = self._session.encode(state["frame"].image)
        questions = {name: _question(state, name, frame_idx) for name in state["prompts"]}
        found = {
            name: self._session.sample(**question, **self._options, image=encoded)
            for name, question in questions.items()
            if question
        }
        if new is not None and new not in state["obj_ids"]:
            state["obj_ids"].append(new)
        state["hypotheses"] = found
        return frame_idx, list(state["obj_ids"]), _masks(state, found)

    def _propagate(self, state: State, start: int, end: int | None) -> Iterator[Answer]:
        joins = _starts(state, start)
        first = min(joins.values())
        shown = max(first, start)
        begun = {name: _question(state, name, first) for name in joins if joins[name] == first}
        sampler = VideoSampler(self._session)
        source = _Tail(open_source(state["video_path"]), first)
        stream = sampler.run(source, objects=begun, follow=self._follow, **self._options)
        under_way = set(begun)
        for frame, found in stream:
            there = {
                name: hyp
                for name, hyp in found.items()
                if name in state["prompts"] and not frame.tracks[name].lost
            }
            if self._follow:
                _remember(state, frame)
            if frame.index >= shown:
                state["hypotheses"] = there
                yield frame.index, list(state["obj_ids"]), _masks(state, there)
            if end is not None and frame.index >= end:
                break
            following = frame.index + 1
            for name, of in state["prompts"].items():
                joined = joins.get(name, -1)  # -1: whatever is asked about it later
                if joined == following or (joined < following and following in of):
                    sampler.set_prompt(object=name, **_question(state, name, following))
                    under_way.add(name)
            gone = [name for name in under_way if name not in state["prompts"]]
            if len(gone) == len(under_way):
                break
            for name in gone:
                sampler.remove(name)
                under_way.remove(name)
        stream.close()

    def _read(self, video: Any, index: int) -> RawFrame:
        if index < 0:
            raise ValueError(f"expected a frame of the video, came frame {index}")
        source = open_source(video)
        try:
            last = -1  # a source without frames says so itself
            for raw in source.frames():
                if raw.index == index:
                    return raw
                last = raw.index
        finally:
            source.close()
        raise ValueError(f"expected a frame of the video, came frame {index}: it has {last + 1}")


class _Tail(Source):
    """A source from one of its frames on."""

    def __init__(self, source: Source, start: int) -> None:
        super().__init__(source.name, fps=source.fps, length=source.length, reads_ahead=source.reads_ahead)
        self._source, self._start = source, start
        self.remarks = source.remarks

    def frames(self) -> Iterator[RawFrame]:
        return (raw for raw in self._source.frames() if raw.index >= self._start)

    def close(self) -> None:
        self._source.close()


def _check_state(state: Any) -> None:
    """Raise TypeError or ValueError for anything but what `VideoPredictor.init_state` returns."""
    if not isinstance(state, dict):
        raise TypeError(f"expected inference_state as init_state returns it, came {type(state).__name__}")
    missing = [key for key in _STATE if key not in state]
    if missing:
        raise ValueError(
            f"expected inference_state as init_state returns it, came a dict without {missing[0]!r}"
        )


def _check_repeatable(video: Any) -> None:
    """Raise TypeError for what is gone once it was read: it is opened anew for each question."""
    if isinstance(video, (Iterator, int, np.integer)) or is_url(video):
        raise TypeError(
            "expected a video that can be read again, a file, a folder of frames or a list of images, came "
            f"{video!r}: that is for VideoSampler.run"
        )


def _question(state: State, name: Hashable, frame: int) -> dict[str, Any]:
    """What was asked about an object on a frame, else the box that it was followed to; empty where neither is known."""
    box = state["boxes"].get(name, {}).get(frame)
    followed = {} if box is None else {"box": box}
    question: dict[str, Any] = state["prompts"].get(name, {}).get(frame, followed)
    return question


def _starts(state: State, start: int) -> dict[Hashable, int]:
    """For each object the frame to begin at, so that it is known at ``start``; objects lost there are left out.

    Objects that are asked about later only are left out too, unless there are no others: then the first of these begin.
    """
    found: dict[Hashable, int] = {}
    for name, of in state["prompts"].items():
        boxes = state["boxes"].get(name, {})
        known = [frame for frame in {*of, *boxes} if frame <= start]
        if known and (max(known) in of or boxes[max(known)] is not None):
            found[name] = max(known)
    if not found:
        later = [frame for of in state["prompts"].values() for frame in of if frame > start]
        if not later:
            raise ValueError(
                f"expected an object to follow from frame {start}, came none: all were lost before"
            )
        found = {name: min(later) for name, of in state["prompts"].items() if min(later) in of}
    return found


def _remember(state: State, frame: VideoFrame) -> None:
    """The boxes that the objects of a frame were followed to."""
    for name, track in frame.tracks.items():
        if name in state["prompts"] and (track.lost or track.box is not None):
            state["boxes"].setdefault(name, {})[frame.index] = None if track.lost else track.box


def _forget_from(state: State, name: Hashable, frame: int) -> None:
    """Forget where an object was followed to, from a frame on."""
    boxes = state["boxes"].get(name, {})
    state["boxes"][name] = {index: box for index, box in boxes.items() if index < frame}


def _masks(state: State, found: dict[Hashable, Hypotheses]) -> Masks:
    """Smoothed log-odds of each pixel, so that the logits are finite and above 0 where more than half hold it."""
    names = state["obj_ids"]
    out = np.full((len(names), 1, state["video_height"], state["video_width"]), NO_OBJECT, np.float32)
    for i, name in enumerate(names):
        if name in found:
            n = len(found[name])
            odds = np.log((np.arange(n + 1) + 0.5) / (n - np.arange(n + 1) + 0.5)).astype(np.float32)
            out[i, 0] = odds[found[name].counts]
    return out.view(Masks)


def _numbers(value: Any, name: str) -> npt.NDArray[Any]:
    """Numbers as callers of SAM 2 give them: lists, arrays, tensors."""
    array = as_array(value, name) if isinstance(value, Sequence) else to_host(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected {name} to hold real numbers, came {array.dtype}")
    return array.astype(np.float64)
