"""Video files that are playable whatever happens while they are written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from asam_trt.checks import as_path, integer, number
from asam_trt.files import beside
from asam_trt.geometry import as_image

# While it is written the file consists of whole parts of half a second, each on the disk at once: a process that is
# killed leaves all but the last one. Closing turns an MP4 into a plain one.
_MP4_OPTIONS = {
    "movflags": "+hybrid_fragmented",
    "frag_duration": "500000",
    "flush_packets": "1",
}  # microseconds
_MKV_OPTIONS = {"cluster_time_limit": "500", "flush_packets": "1"}  # milliseconds
_TICKS = 60_000  # of time, a second: all usual rates are whole numbers of them; MPEG-4 has 16 bits for it
_KEY_FRAME_EVERY = 50  # frames; a seek lands on one
_CODECS = ("libx264", "libopenh264", "mpeg4")


class VideoWriter:
    """Writes frames to a video file under a temporary name; closing gives it its own.

    Leaving the ``with`` block finishes the file also on an exception or an interrupt: the frames so far are
    kept and playable.

    Attributes:
        frames: added so far.
        kept: whether the file has taken its name.

    Args:
        path: .mp4, .mov or .mkv.
        fps: frames per second, above 0.
        quality: constant rate factor of x264, 0 (lossless) to 51.

    Raises:
        TypeError: an argument of another type.
        ValueError: another suffix, the name of a folder, fps that is not positive, or another quality.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float = 25.0, *, quality: int = 18) -> None:
        self.path = as_path(path, "path")
        if self.path.suffix.lower() not in {".mp4", ".mov", ".mkv"}:
            raise ValueError(f"expected a video path ending in .mp4, .mov or .mkv, came {self.path}")
        if self.path.is_dir():
            raise ValueError(f"expected the path of a video file, came the folder {self.path}")
        if not 1e-3 <= number(fps, "fps") <= 1e5:
            raise ValueError(f"expected fps from 0.001 to 100000, came {fps!r}")
        if not 0 <= integer(quality, "quality") <= 51:
            raise ValueError(f"expected quality from 0 to 51, came {quality}")
        self.frames = 0
        self.kept = False
        self._rate = Fraction(float(fps)).limit_denominator(1001)
        self._interval = max(1, round(_TICKS / self._rate))
        self._last = -1  # time of the newest frame, in ticks
        self._quality = quality
        self._temporary = beside(self.path, f".part{self.path.suffix}")
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._closed = False
        self._refused = False  # by the disk

    def add(self, image: Any, time: float | None = None) -> None:
        """Append one frame, uint8 or float [H, W, 3]; all of one size.

        Args:
            time: when it is shown, seconds; None is a frame's time after the one before.

        Raises:
            ValueError: a size other than the first frame's, one that the encoder refuses, or the file is finished.
            OSError: the disk refuses; what was written until then is kept where it can be played.
        """
        if self._closed:
            raise ValueError(f"expected no frame after close(), which finished {self.path}")
        array = as_image(image)
        if array.dtype != np.uint8:
            array = (array * 255 + 0.5).astype(np.uint8)
        if self._container is None:
            self._open(array.shape[0], array.shape[1])
        if array.shape[:2] != self._size:
            raise ValueError(f"expected frames {[*self._size, 3]} as the first, came {list(array.shape)}")
        if time is not None:
            wanted = round(number(time, "time") * _TICKS)
        else:
            wanted = self._last + self._interval if self.frames else 0
        self._last = max(wanted, self._last + 1)
        # 4:2:0 video has even sides; a repeated edge is not seen.
        even = np.pad(array, [(0, self._size[0] % 2), (0, self._size[1] % 2), (0, 0)], mode="edge")
        with self._named():
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        self.frames += 1

    def close(self) -> Path | None:
        """Finish the file and return its path; None, and no new file, where it has no frame that could be played."""
        self._closed = True
        if self._container is None:
            return self.path if self.kept else None
        container, self._container = self._container, None
        try:
            with self._named():
                for packet in self._stream.encode(None) if self.frames else ():
                    container.mux(packet)
        finally:
            # A full disk may stop the last step; the fragments that were written play all the same.
            try:
                with self._named():
                    container.close()
            finally:
                self.kept = self.frames > 0 and (not self._refused or _plays(self._temporary))
                if self.kept:
                    os.replace(self._temporary, self.path)
                else:
                    self._temporary.unlink(missing_ok=True)
        return self.path if self.kept else None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """The encoder's own exceptions as ValueError; what the disk refuses as OSError that names the file."""
        try:
            yield
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                self._refused = True
                raise OSError(
                    error.errno,
                    f"{error.strerror}; frames that can be played are kept, if there are any",
                    str(self.path),
                ) from error
            if isinstance(error, ValueError):
                raise
            raise ValueError(
                f"{self.path}: expected frames that the video encoder takes, came {[*self._size, 3]}: {error}"
            ) from error

    def _open(self, h: int, w: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        options = _MKV_OPTIONS if self.path.suffix.lower() == ".mkv" else _MP4_OPTIONS
        self._container = av.open(os.path.abspath(self._temporary), "w", options=options)
        codec = next(name for name in _CODECS if name in av.codecs_available)
        self._stream = self._container.add_stream(codec, rate=self._rate)
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._size = (h, w)
        self._stream.width, self._stream.height = w + w % 2, h + h % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.gop_size = _KEY_FRAME_EVERY
        # Frames are stored in the order they are shown in: a file says its length by the last one.
        self._stream.max_b_frames = 0
        if codec == "libx264":
            self._stream.options = {"crf": str(self._quality), "preset": "ultrafast"}
        else:
            self._stream.bit_rate = 8_000_000


def _plays(path: Path) -> bool:
    """Whether a file that the disk refused to take whole has a frame to show."""
    try:
        with av.open(os.path.abspath(path)) as container:
            return next(container.decode(video=0), None) is not None
    except (av.error.FFmpegError, OSError, IndexError):
        return False


def write_video(path: str | os.PathLike[str], frames: Iterable[npt.NDArray[Any]], fps: float = 25.0) -> Path:
    """Write frames, uint8 or float [H, W, 3] of one size, to a video file and return its path.

    An error or an interrupt in ``frames`` is raised after the file was finished with the frames before it.

    Raises:
        ValueError: no frame came, or see `VideoWriter`.
    """
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.add(frame)
    if writer.frames == 0:
        raise ValueError(f"expected at least one frame for {path}, came none")
    return writer.path
