"""Where frames come from: files, folders, cameras, streams, iterables."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from asam_trt.geometry import as_image
from asam_trt.image_files import ImageFile, read_image_file
from asam_trt.intensities import OutsideWindow
from asam_trt.pictures import Window

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_STREAM_TIMEOUT = (10.0, 10.0)  # seconds to open, to read
_RTSP = {"rtsp_flags": "prefer_tcp"}  # UDP loses parts of frames; FFmpeg would try it first
_CAMERA = {"fflags": "nobuffer"}  # FFmpeg frees a picture it kept from probing after the camera that owns it
_MOST_UNDECODABLE = 500  # packets of a stream in a row
_PATIENCE, _LIVE_PATIENCE = 20.0, 1.0  # seconds; a silent camera or server may hold a read for longer
_CAMERA_SILENCE = 10.0  # seconds


@dataclass(frozen=True, eq=False)
class RawFrame:
    """One frame: uint8 or float32 [H, W, 3], its index in the source, seconds since the first frame.

    ``damaged``: the decoder found errors in its data, and guessed what they hid.
    """

    image: npt.NDArray[Any]
    index: int
    time: float
    damaged: bool = False


class Source(ABC):
    """Frames in order.

    Attributes:
        name: for messages.
        fps: frames per second; 25 where the source does not say.
        length: number of frames, None where it is not known.
        reads_ahead: whether a thread of its own may read it.
        live: frames come when they are made; others are there already, and can be asked for at any pace.
        patience: seconds that closing may wait for a read that is under way.
        silence: seconds without a frame that are an error; None where the source itself says when it has waited enough.
        remarks: what was wrong with frames that came all the same, in words; complete after the last frame.
    """

    def __init__(
        self, name: str, *, fps: float = 25.0, length: int | None = None, reads_ahead: bool = True
    ) -> None:
        self.name = name
        self.fps = fps
        self.length = length
        self.reads_ahead = reads_ahead
        self.live = False
        self.patience = _PATIENCE
        self.silence: float | None = None
        self.remarks: list[str] = []

    @abstractmethod
    def frames(self) -> Iterator[RawFrame]:
        """Yield the frames; callable once."""

    def close(self) -> None:  # noqa: B027 (most sources hold nothing)
        """Free what the source holds, now or at the end of a read that is under way in another thread."""


def is_url(source: Any) -> bool:
    """Whether a source is named by a URL."""
    return isinstance(source, str) and _URL.match(source) is not None


def open_source(source: Any, *, window: Window | None = None) -> Source:
    """A source for a path (video file or folder of images), a camera index, a URL, or an iterable of images.

    Args:
        window: (low, high) of the values of a folder's images, see `asam_trt.window`; more than 8 bits need one. The
            first image must have values in it.

    Raises:
        TypeError: none of these.
        ValueError: no such file, an empty folder, one image, something that is no video, or a window for anything
            but a folder.
    """
    if window is not None and not (isinstance(source, (str, os.PathLike)) and Path(source).is_dir()):
        raise ValueError(
            f"expected a window with a folder of images, came one with {source}: frames of a video have 8 bits"
        )
    if isinstance(source, Source):
        return source
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return _camera(int(source))
    if is_url(source):
        return _Container(source, live=True)
    if isinstance(source, (str, os.PathLike)):
        if not os.fspath(source):
            raise ValueError("expected a video file or a folder of images, came an empty name")
        path = Path(source)
        if path.is_dir():
            return _Folder(path, window)
        if not path.exists():
            raise ValueError(f"expected a video file or a folder of images, came {path}: no such file")
        return _Container(os.path.abspath(path))  # FFmpeg takes what comes before a colon for a protocol
    if isinstance(source, Iterable) and not isinstance(source, bytes):
        shape = list(getattr(source, "shape", ()))
        if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
            raise ValueError(f"expected an iterable of images, came one image {shape}; give [image]")
        return _Iterable(source)
    raise TypeError(
        "expected a video file, a folder of images, a camera index, a URL or an iterable of images, "
        f"came {type(source).__name__}"
    )


class _Container(Source):
    def __init__(self, location: str, *, live: bool = False, container_format: str | None = None) -> None:
        rtsp = live and location.lower().startswith("rtsp")
        try:
            self._container = av.open(
                location,
                format=container_format,
                options=_CAMERA if container_format else _RTSP if rtsp else {},
                timeout=_STREAM_TIMEOUT if live else None,
            )
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(
                f"{location}: expected a video that can be opened, came: {_words(error, _STREAM_TIMEOUT[0])}"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise ValueError(f"{location}: expected a video, came a file without a video stream")
        self._reading = threading.Lock()
        self._undecodable = self._in_a_row = 0
        self._stream = self._container.streams.video[0]
        # Threads that take a frame each hold back as many frames as they are.
        self._stream.thread_type = "SLICE" if live else "AUTO"
        rate = self._stream.average_rate
        super().__init__(location, fps=float(rate) if rate else 25.0, length=self._stream.frames or None)
        self.live = live
        if live:
            self.patience = _LIVE_PATIENCE
        if container_format:  # a driver waits for its camera whatever time limit FFmpeg was given
            self.silence = _CAMERA_SILENCE

    def frames(self) -> Iterator[RawFrame]:
        with self._reading:
            yield from self._read()

    def close(self) -> None:
        # Not under a read: it ends by its time limit, and the last reference to the container frees it.
        if self._reading.acquire(blocking=False):
            self._container.close()
            self._reading.release()

    def _read(self) -> Iterator[RawFrame]:
        times = array("d")
        index, damaged, first_damaged = 0, 0, 0
        start: float | None = None
        error = None
        for frame in self._decoded():
            if isinstance(frame, Exception):
                error = frame
                break
            now = index / self.fps
            if frame.pts is not None:
                # Not `frame.time`: what a decoder still holds at an error comes without a time base.
                seconds = float(frame.pts * self._stream.time_base)
                start = seconds - now if start is None else start
                now = seconds - start
            if not self.live:
                times.append(now)
            if frame.is_corrupt:
                first_damaged = first_damaged if damaged else index
                damaged += 1
            image = frame.to_ndarray(format="rgb24")
            turns = round(getattr(frame, "rotation", 0) / 90) % 4
            upright = np.ascontiguousarray(np.rot90(image, turns))
            yield RawFrame(upright, index, now, frame.is_corrupt)
            index += 1
        if damaged:
            self.remarks.append(
                f"{self.name}: {damaged} of {index} frames are damaged, the first is frame {first_damaged}"
            )
        if self.live and self._undecodable:
            self.remarks.append(
                f"{self.name}: {self._undecodable} frames could not be decoded and are left out"
            )
        if error is not None and index == 0 and not self.live:
            words = _words(error, _STREAM_TIMEOUT[1])
            raise ValueError(
                f"{self.name}: expected a video or a picture, came a file that is none: {words}"
            ) from error
        if error is not None:
            words = _words(error, _STREAM_TIMEOUT[1])
            raise ValueError(f"{self.name}: the video breaks off after {index} frames: {words}") from error
        if index == 0:
            raise ValueError(f"{self.name}: expected a video with frames, came none that can be decoded")
        if not self.live:
            self._check_whole(np.array(times))

    def _decoded(self) -> Iterator[Any]:
        """Frames, and as the last item the error that ended them; what the decoder still held comes before it."""
        try:
            for packet in self._container.demux(self._stream):
                yield from self._pictures(packet)
        except (av.error.FFmpegError, OSError) as error:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                yield from self._stream.codec_context.decode(None)
            # A traceback would keep the last packet, and a camera's must be given back before that is closed.
            yield error.with_traceback(None)

    def _pictures(self, packet: Any) -> list[Any]:
        try:
            found: list[Any] = packet.decode()
        except av.error.InvalidDataError:
            # A file ends here; a stream goes on behind what was lost on its way.
            self._undecodable += 1
            self._in_a_row += 1
            if not self.live or self._in_a_row == _MOST_UNDECODABLE:
                raise
            return []
        self._in_a_row = 0
        return found

    def _check_whole(self, times: npt.NDArray[np.float64]) -> None:
        """A file that was cut, or lost data in its middle, ends without an error of the decoder; its times tell."""
        frames, seconds = len(times), float(times[-1] - times[0])
        intervals = np.diff(times)
        usual = float(np.median(intervals)) if frames > 1 else 1 / self.fps
        missing = 0
        # Where nearly all intervals are alike, a longer one is a hole.
        if frames > 2 and usual > 0 and np.mean(np.abs(intervals - usual) < 0.1 * usual) > 0.8:
            holes = intervals[intervals > 1.5 * usual]
            missing = int(np.round(holes / usual - 1).sum())
        if missing:
            where = int(np.argmax(intervals > 1.5 * usual)) + 1
            self.remarks.append(
                f"{self.name}: {missing} frames are missing, the first after frame {where - 1}"
            )
        # The last frame of uneven times may have been meant to stay as long as any other.
        spare = max(0.5 * usual, float(intervals.max()) - usual) if frames > 1 else 1.0
        few = self.length is not None and frames + missing < self.length - max(2, self.length // 50)
        said, exact = self._said()
        if few or seconds + usual < said - (spare if exact else max(1.0, said / 20)):
            wanted = f"{self.length} frames" if few else f"{said:.1f} s"
            raise ValueError(
                f"{self.name}: expected {wanted}, the video breaks off after {frames} frames "
                f"({seconds:.1f} s): the file is not whole"
            )
        if self.length is not None and frames + missing < self.length:
            # A decoder that meets damaged data may drop a frame without a word; an edit list hides some by intent.
            self.remarks.append(
                f"{self.name}: {frames} frames came where the file announces {self.length}: the others are damaged, or "
                "hidden by the file's edit list"
            )

    def _said(self) -> tuple[float, bool]:
        """Seconds that the file says it has, and whether it says so of the pictures or of pictures and sound."""
        words = (self._stream.metadata.get("DURATION") or "").split(":")
        try:
            hours, minutes, rest = (float(word) for word in words)
        except ValueError:
            return (self._container.duration or 0) / av.time_base, False
        return 3600 * hours + 60 * minutes + rest, True


class _Folder(Source):
    def __init__(self, folder: Path, window: Window | None) -> None:
        self._window = window
        self._told: set[str] = set()
        found = [
            p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
        ]
        self._files = sorted(found, key=_natural)
        if not self._files:
            inner = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
            hint = f"; give one of its folders, such as {folder / inner[0]}" if inner else ""
            raise ValueError(
                f"{folder}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), came none{hint}"
            )
        super().__init__(str(folder), length=len(self._files))

    def frames(self) -> Iterator[RawFrame]:
        for index, file in enumerate(self._files):
            found = self._read(file, first=index == 0)
            if found.pages > 1:
                self._remark("page 1 is used of images with several pages", file)
            if found.transparent:
                self._remark("what is transparent is seen as white", file)
            if found.narrowed:
                self._remark("the window is of values 0 to 255 where images have 8 bits", file)
            yield RawFrame(found.pixels, index, index / self.fps)

    def _read(self, file: Path, *, first: bool) -> ImageFile:
        try:
            return read_image_file(file, self._window)
        except ValueError as error:
            # A window that is no slip may miss all of a later image: a slice of air.
            if first or not isinstance(error.__cause__, OutsideWindow):
                raise
            self._remark("images without a value in the window are all black or all white", file)
            return ImageFile(as_image(error.__cause__.shown))

    def _remark(self, words: str, file: Path) -> None:
        """Once for all images."""
        if words not in self._told:
            self._told.add(words)
            self.remarks.append(f"{self.name}: {words}; the first is {file.name}")


class _Iterable(Source):
    def __init__(self, images: Iterable[Any]) -> None:
        length = len(images) if isinstance(images, Sized) else None
        # A caller's generator runs in the caller's thread, where it expects to be.
        super().__init__("the iterable", length=length, reads_ahead=False)
        self.live = isinstance(images, Iterator)
        self._images = images

    def frames(self) -> Iterator[RawFrame]:
        index = -1
        for index, image in enumerate(self._images):
            # The caller may refill one buffer for all frames.
            yield RawFrame(as_image(image).copy(), index, index / self.fps)
        if index < 0:
            raise ValueError(f"{self.name}: expected images, came none")


def _camera(index: int) -> Source:
    if index < 0:
        raise ValueError(f"expected a camera index of 0 or more, came {index}")
    if sys.platform == "darwin":
        return _Container(str(index), live=True, container_format="avfoundation")
    device = f"/dev/video{index}"
    if not os.path.exists(device):
        raise ValueError(f"expected camera {index} at {device}, came no such device")
    return _Container(device, live=True, container_format="v4l2")


def _words(error: Exception, limit: float) -> str:
    """What an error of FFmpeg says; of a time limit in seconds it says "Immediate exit requested"."""
    return (
        f"no data within {limit:g} s"
        if isinstance(error, av.error.ExitError)
        else getattr(error, "strerror", None) or str(error)
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
