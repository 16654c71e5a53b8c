"""Sampling through a video: the same readings of each object, frame after frame."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.ahead import Ahead
from asam_trt.checks import integer
from asam_trt.follow import Box, BoxFollower, box_around
from asam_trt.geometry import Frame, box_corners
from asam_trt.hypotheses import Hypotheses
from asam_trt.noise import hypotheses_of, latent_noise, most_hypotheses
from asam_trt.prompt import Prompt
from asam_trt.session import EncodedImage, Session
from asam_trt.sources import RawFrame, Source, open_source
from asam_trt.video_writer import VideoWriter, write_video

__all__ = ["Track", "VideoFrame", "VideoRun", "VideoSampler", "VideoWriter", "write_video"]

NOISE = ("kept", "redrawn")
_ONLY = 0  # the object of a run that was asked about one
_KINDS = ("box", "point_coords", "point_labels", "mask_input")


@dataclass(frozen=True)
class Track:
    """How one object of a frame was treated.

    Attributes:
        box: xyxy that the hypotheses answer; None without a box prompt.
        confidence: 0..1 of following (`asam_trt.follow.BoxFollower`); None when not following.
        lost: following has ended; the box stays where it was last believed.
        continuity: 0..1, how far the hypotheses are those of the frame before (`asam_trt.follow.BoxFollower`): below
            0.5 another object may be followed, or the picture was cut. None in the first frame, when not following, and
            with noise that is redrawn, which makes other hypotheses of every frame.
    """

    box: Box | None
    confidence: float | None
    lost: bool
    continuity: float | None = None


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame and how it was treated. ``np.asarray(frame)`` is its image.

    Attributes:
        image: uint8 or float32 [H, W, 3].
        index: in the source, from 0; dropped frames are counted.
        time: seconds since the first frame.
        tracks: a `Track` for each object.
        dropped: frames before this one that were left out to stay live.
        damaged: the decoder found errors in this frame's data.
        encode_ms, sample_ms: time that the image and the hypotheses of all objects took.
        encoded: for more questions about this frame, ``session.sample(image=frame.encoded, ...)``.
    """

    image: npt.NDArray[Any]
    index: int
    time: float
    tracks: Mapping[Hashable, Track]
    dropped: int
    damaged: bool
    encode_ms: float
    sample_ms: float
    encoded: EncodedImage

    def __repr__(self) -> str:
        h, w = self.image.shape[:2]
        return f"VideoFrame({self.index}, {self.time:.2f} s, {w} x {h} (w x h), {dict(self.tracks)})"

    @property
    def box(self) -> Box | None:
        """`Track.box` of the only object."""
        return self._only().box

    @property
    def confidence(self) -> float | None:
        """`Track.confidence` of the only object."""
        return self._only().confidence

    @property
    def continuity(self) -> float | None:
        """`Track.continuity` of the only object."""
        return self._only().continuity

    @property
    def lost(self) -> bool:
        """`Track.lost` of the only object."""
        return self._only().lost

    def _only(self) -> Track:
        if len(self.tracks) != 1:
            raise ValueError(f"expected one object, came {len(self.tracks)}: see tracks[object]")
        return next(iter(self.tracks.values()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        image = np.asarray(self.image, dtype=dtype)
        return image.copy() if copy else image


class _Object:
    """What is asked about one object; may change from frame to frame."""

    def __init__(self, prompt: dict[str, Any], *, follow: bool) -> None:
        if (
            follow
            and prompt["box"] is None
            and prompt["point_coords"] is None
            and prompt["mask_input"] is None
        ):
            raise ValueError("expected a box, points or a mask to follow, came follow=True without any")
        self.prompt = prompt
        self._follow = follow
        self._follower: BoxFollower | None = None
        if follow and prompt["box"] is not None:
            self._follower = BoxFollower(_as_box(prompt["box"]))

    def question(self) -> dict[str, Any]:
        """The prompt for the next frame."""
        if self._follower is None:
            return self.prompt
        # Points and a mask say where the object was in their own frame; from then on the box says it.
        if self._follower.steps:
            return {**_prompt(None, None, None, None), "box": self._follower.box}
        return {**self.prompt, "box": self._follower.box}

    def answered(self, image: npt.NDArray[Any], question: dict[str, Any], hypotheses: Hypotheses) -> Track:
        """Take the hypotheses of a frame in, and say how it went."""
        box = question["box"]
        box = None if box is None else _as_box(box)
        if not self._follow:
            return Track(box, None, False)
        if self._follower is None:
            consensus = hypotheses.consensus()
            if not consensus.any():
                # Nothing yet that a box could be put around: the points are asked again in the next frame.
                return Track(box, 0.0, False)
            self._follower = BoxFollower(box_around(consensus))
        step = self._follower.update(image, hypotheses)
        return Track(box, step.confidence, step.lost, step.continuity)


@dataclass(frozen=True, eq=False)
class _Encoded:
    raw: RawFrame
    image: EncodedImage
    milliseconds: float


@dataclass(eq=False)
class _Run:
    """What one run asks.

    named: whether its objects have names. noise: where that of all frames is from, in the fields of `Asked`; empty
    where the caller gave it or each frame has its own. frame: the place of its newest image in model space, None before
    the first. over: it has ended.
    """

    objects: dict[Hashable, _Object]
    follow: bool
    named: bool
    noise: dict[str, Any]
    frame: Frame | None = None
    over: bool = False


class VideoRun(Iterator[tuple[VideoFrame, Any]]):
    """Frames of one run with their hypotheses, in order; see `VideoSampler.run`.

    ``close()``, or leaving a ``with`` block, ends its threads and closes the source, also before the first frame. So
    does dropping the last reference.
    """

    def __init__(self, frames: Generator[tuple[VideoFrame, Any], None, None], source: Source) -> None:
        self._frames = frames
        self._source = source

    def __next__(self) -> tuple[VideoFrame, Any]:
        return next(self._frames)

    def close(self) -> None:
        """End the run; there are no more frames."""
        self._frames.close()
        # A generator that was not begun has no end of its own.
        self._source.close()

    def __enter__(self) -> VideoRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class VideoSampler:
    """Runs a Session over the frames of a video.

    Hypothesis i keeps its noise from frame to frame, so that it stays the same reading of the object while
    mean and scale of the latents follow the image. Several runs may be under way, each with its own prompts.

    Raises:
        TypeError: ``session`` is no `Session`.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise TypeError(f"expected session to be a Session, came {type(session).__name__}")
        self._session = session
        self._newest: _Run | None = None

    def set_prompt(
        self,
        *,
        box: npt.ArrayLike | None = None,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        object: Hashable = _ONLY,
    ) -> None:
        """Ask the newest run about something else from its next frame on; pixels of that frame.

        Args:
            object: one of the run's objects, or a new one that joins them; to be left out where the run was
                started without ``objects``.

        Raises:
            RuntimeError: there is no run yet, or it has ended.
            TypeError, ValueError: a prompt that is none in these frames, nothing to follow in a run that follows, or
                an object's name in a run without ``objects``; the run goes on as before. Before the first frame its
                size is not known, and the run says it then.
        """
        run = self._run_under_way("set_prompt")
        if object != _ONLY and not run.named:
            raise ValueError(
                f"expected no object in a run of one prompt, came {object!r}; start it by run(source, objects="
                "{name: {'box': ...}}) to add others"
            )
        prompt = _prompt(box, point_coords, point_labels, mask_input)
        if run.frame is not None:
            boxes_only = self._session.engine.preprocessing.boxes_only
            Prompt.checked(**prompt, frame=run.frame, boxes_only=boxes_only)
        run.objects[object] = _Object(prompt, follow=run.follow)

    def remove(self, object: Hashable) -> None:
        """Ask the newest run no more about an object, from its next frame on.

        Raises:
            RuntimeError: there is no run yet, or it has ended.
            ValueError: no such object, or the last one.
        """
        objects = self._run_under_way("remove").objects
        if object not in objects:
            raise ValueError(f"expected one of the objects {list(objects)}, came {object!r}")
        if len(objects) == 1:
            raise ValueError(
                f"expected a run to keep an object, came the last one, {object!r}; close the run"
            )
        del objects[object]

    def run(
        self,
        source: Any,
        *,
        box: npt.ArrayLike | None = None,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        objects: Mapping[Any, Mapping[str, Any]] | None = None,
        n: int | None = None,
        seed: int = 0,
        eps: npt.ArrayLike | None = None,
        temperature: float = 1.0,
        latents: str = "iid",
        noise: str = "kept",
        follow: bool = False,
        realtime: bool = False,
        read_ahead: int = 4,
    ) -> VideoRun:
        """Yield every frame with its hypotheses.

        Files, folders, cameras and streams are decoded in one thread and encoded in another, while the caller
        samples and uses the frame before; both threads end with the generator. At most ``read_ahead`` decoded
        frames and one encoded frame wait at any time. An iterable runs in the caller's thread, one frame
        after the other, unless the run is ``realtime``.

        Args:
            source: a video file, a folder of images in natural order, a camera index, a URL (rtsp://, http://),
                or an iterable of images.
            box, point_coords, point_labels, mask_input: the prompt, pixels of the first frame.
            objects: several objects, a name each, with the prompt as a dict of the arguments above: then a
                dict of `Hypotheses` comes with every frame. `set_prompt` and `remove` change them under way.
            n, seed, eps, temperature, latents: as `Session.sample`; all objects have the same noise.
            noise: "kept" or, to compare, "redrawn" every frame (seed + frame index).
            follow: move the box of each object with its consensus mask until it is lost. Without a box, that
                of the first consensus mask is followed.
            realtime: leave out frames that come while another is worked on, and count them. The frame that is
                worked on is the newest: it is encoded when it is wanted, not ahead. The frames of a file, a folder
                or a list come at their times, as from a camera.
            read_ahead: decoded frames that may wait.

        Raises:
            TypeError, ValueError: a wrong argument, or a source that cannot be opened. While iterating: a
                source that breaks off or changes its frame size, after all frames before it were yielded.

        Warns:
            RuntimeWarning: at the end, of frames that were damaged or missing in the middle.
        """
        if not isinstance(noise, str) or noise not in NOISE:
            raise ValueError(f"expected noise to be one of {', '.join(NOISE)}, came {noise!r}")
        if noise == "redrawn" and eps is not None:
            raise ValueError("expected either eps or noise='redrawn', came both; leave one out")
        if not 1 <= integer(read_ahead, "read_ahead") <= 1024:
            raise ValueError(f"expected read_ahead from 1 to 1024 frames, came {read_ahead}")
        sizes = self._session.engine.sampler
        options: dict[str, Any] = {
            "n": hypotheses_of(n, eps),
            "seed": seed,
            "temperature": temperature,
            "latents": latents,
        }
        drawn = latent_noise(latent=sizes.latent, eps=eps, most=most_hypotheses(sizes.logits_side), **options)
        one = _prompt(box, point_coords, point_labels, mask_input)
        seeded = {"seed": int(seed), "eps": None, "temperature": float(temperature), "latents": latents}
        run = _Run(
            _asked(one, objects, follow),
            follow,
            named=objects is not None,
            noise=seeded if noise == "kept" and eps is None else {},
        )
        sampling = {**options, "seed": int(seed)} if noise == "redrawn" else {"eps": drawn}
        opened = open_source(source)
        self._newest = run
        return VideoRun(self._run(opened, run, sampling, realtime, read_ahead), opened)

    def _run_under_way(self, name: str) -> _Run:
        if self._newest is None:
            raise RuntimeError(f"expected a run first: call run(source, ...) before {name}(...)")
        if self._newest.over:
            raise RuntimeError(
                f"expected a run under way, came {name}(...) after its end; call run(source, ...)"
            )
        return self._newest

    def _run(
        self,
        source: Source,
        run: _Run,
        sampling: dict[str, Any],
        realtime: bool,
        read_ahead: int,
    ) -> Generator[tuple[VideoFrame, Any], None, None]:
        stages: list[Ahead[Any]] = []
        stopped = threading.Event()
        try:
            frames: Iterator[RawFrame] = source.frames()
            if realtime and not source.live:
                frames = _at_their_times(frames, stopped)
            if source.reads_ahead or realtime:
                decoding: Ahead[RawFrame] = Ahead(
                    frames, depth=read_ahead, newest=realtime, silence=source.silence, name="asam-decode"
                )
                stages.append(decoding)
                frames = _in_time(decoding, source)
            encoded = self._encode(source, frames)
            if source.reads_ahead and not realtime:
                stages.append(Ahead(encoded, depth=1, name="asam-encode"))
                encoded = iter(stages[1])
            for count, item in enumerate(encoded):
                frame, found = self._frame(item, run, sampling, item.raw.index - count if realtime else 0)
                yield frame, found if run.named else next(iter(found.values()))
            for remark in source.remarks:
                warnings.warn(remark, RuntimeWarning, stacklevel=2)
        finally:
            run.over = True
            stopped.set()
            for stage in stages:
                stage.stop()
            for stage in stages:
                stage.join(source.patience)
            source.close()

    def _encode(self, source: Source, frames: Iterator[RawFrame]) -> Iterator[_Encoded]:
        size: tuple[int, ...] | None = None
        for raw in frames:
            size = _same_size(source, raw, size)
            start = time.perf_counter()
            image = self._session.encode(raw.image)
            yield _Encoded(raw, image, (time.perf_counter() - start) * 1e3)

    def _frame(
        self, item: _Encoded, run: _Run, sampling: dict[str, Any], dropped: int
    ) -> tuple[VideoFrame, dict[Hashable, Hypotheses]]:
        raw = item.raw
        run.frame = item.image.frame
        if "seed" in sampling:
            sampling = {**sampling, "seed": (sampling["seed"] + raw.index) % 2**64}
        # Another thread may change the objects: this frame's are those of its beginning.
        current = [(name, one, one.question()) for name, one in list(run.objects.items())]
        start = time.perf_counter()
        found = {
            name: self._session.sample(**question, **sampling, image=item.image)
            for name, _, question in current
        }
        milliseconds = (time.perf_counter() - start) * 1e3
        for hypotheses in found.values():
            if hypotheses.asked is not None:
                hypotheses.asked = replace(hypotheses.asked, **run.noise)
        tracks = {name: one.answered(raw.image, asked, found[name]) for name, one, asked in current}
        if "seed" in sampling:
            tracks = {name: replace(track, continuity=None) for name, track in tracks.items()}
        frame = VideoFrame(
            image=raw.image,
            index=raw.index,
            time=raw.time,
            tracks=tracks,
            dropped=dropped,
            damaged=raw.damaged,
            encode_ms=item.milliseconds,
            sample_ms=milliseconds,
            encoded=item.image,
        )
        return frame, found


def _at_their_times(frames: Iterator[RawFrame], stopped: threading.Event) -> Iterator[RawFrame]:
    """The frames of a recording as a camera would give them."""
    start = time.perf_counter()
    for frame in frames:
        if stopped.wait(max(0.0, start + frame.time - time.perf_counter())):
            return
        yield frame


def _in_time(frames: Iterable[RawFrame], source: Source) -> Iterator[RawFrame]:
    """The frames of a source, whose silence is an error like any other end of it."""
    count = 0
    try:
        for frame in frames:
            count = frame.index + 1
            yield frame
    except TimeoutError as error:
        raise ValueError(f"{source.name}: the video breaks off after {count} frames: {error}") from error


def _same_size(source: Source, raw: RawFrame, size: tuple[int, ...] | None) -> tuple[int, ...]:
    found = raw.image.shape[:2]
    if size is not None and found != size:
        raise ValueError(
            f"{source.name}: expected frames of {size[1]} x {size[0]} (w x h) as the first, came {found[1]} x "
            f"{found[0]} at frame {raw.index}; start again with a prompt in the new pixels"
        )
    return found


def _asked(
    one: dict[str, Any], objects: Mapping[Any, Mapping[str, Any]] | None, follow: bool
) -> dict[Hashable, _Object]:
    if objects is None:
        return {_ONLY: _Object(one, follow=follow)}
    if not isinstance(objects, Mapping):
        raise TypeError(
            f"expected objects to be a mapping of names to prompts, came {type(objects).__name__}"
        )
    if any(value is not None for value in one.values()):
        raise ValueError("expected either objects, or one prompt of box, points and mask_input, came both")
    if not objects:
        raise ValueError("expected at least one object in objects, came none")
    found: dict[Hashable, _Object] = {}
    for name, prompt in objects.items():
        if not isinstance(prompt, Mapping):
            raise TypeError(
                f"expected objects[{name!r}] to be a dict such as {{'box': (x0, y0, x1, y1)}}, came "
                f"{type(prompt).__name__}"
            )
        unknown = [key for key in prompt if key not in _KINDS]
        if unknown:
            raise ValueError(f"expected objects[{name!r}] to have {', '.join(_KINDS)}, came {unknown[0]!r}")
        found[name] = _Object({kind: prompt.get(kind) for kind in _KINDS}, follow=follow)
    return found


def _prompt(box: Any, point_coords: Any, point_labels: Any, mask_input: Any) -> dict[str, Any]:
    return dict(zip(_KINDS, (box, point_coords, point_labels, mask_input), strict=True))


def _as_box(box: npt.ArrayLike) -> Box:
    x0, y0, x1, y1 = box_corners(box).tolist()
    return x0, y0, x1, y1
