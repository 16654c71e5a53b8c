"""Frames and their hypotheses in the Rerun viewer, live or as a recording. Needs the extra `rerun`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from asam_trt import palette
from asam_trt.errors import BackendUnavailable
from asam_trt.files import beside
from asam_trt.hypotheses import Hypotheses
from asam_trt.video import VideoFrame

_OUTLINES = 32  # of an object: what a viewer draws with ease


class RerunLog:
    """Logs frames: image, entropy, outlines, boxes; areas, confidence and times as curves.

    Args:
        path: a .rrd file that takes its name when it is closed; None opens the viewer.

    Raises:
        BackendUnavailable: rerun-sdk cannot be imported.
        ValueError: another suffix.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            import rerun
        except ImportError as error:
            raise BackendUnavailable(
                f"showing in Rerun needs rerun-sdk, which cannot be imported here ({error}): "
                "pip install 'rerun-sdk>=0.23'"
            ) from error
        if path is not None and path.suffix != ".rrd":
            raise ValueError(f"expected the path of a recording ending in .rrd, came {path}")
        self._rr = rerun
        self._path = path
        self._stream = rerun.RecordingStream("asam")
        if path is None:
            self._stream.spawn()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = beside(path, ".part.rrd")
            self._stream.save(self._temporary)

    def log(self, frame: VideoFrame, objects: Mapping[Any, Hypotheses]) -> None:
        """Log one frame of `VideoSampler.run` with the hypotheses of each object."""
        rr, to = self._rr, self._stream
        to.set_time("frame", sequence=frame.index)
        to.set_time("time", duration=frame.time)
        to.log("video/image", rr.Image(_as_uint8(frame.image)).compress(jpeg_quality=85))
        for i, (name, hypotheses) in enumerate(objects.items()):
            colour = palette.CATEGORIES[i % len(palette.CATEGORIES)]
            track = frame.tracks[name]
            where = f"video/{name}"
            to.log(f"entropy/{name}", rr.Image(palette.cividis(hypotheses.entropy)).compress(jpeg_quality=85))
            outlines = [
                np.concatenate([ring, ring[:1]])
                for k in range(min(len(hypotheses), _OUTLINES))
                for ring in hypotheses.contours(k, exact=False)
            ]
            to.log(f"{where}/outlines", rr.LineStrips2D(outlines, colors=[colour] * len(outlines), radii=0.7))
            if track.box is not None:
                x0, y0, x1, y1 = track.box
                to.log(
                    f"{where}/box", rr.Boxes2D(mins=[[x0, y0]], sizes=[[x1 - x0, y1 - y0]], colors=[colour])
                )
            area = hypotheses.area()
            to.log(f"area/{name}", rr.Scalars([area.low, area.median, area.high]))
            to.log(f"empty/{name}", rr.Scalars([hypotheses.p_empty]))
            if track.confidence is not None:
                to.log(f"confidence/{name}", rr.Scalars([track.confidence]))
        to.log("milliseconds", rr.Scalars([frame.encode_ms, frame.sample_ms]))

    def close(self) -> None:
        """Write what still waits, and give the recording its name."""
        self._stream.flush()
        self._stream.disconnect()
        if self._path is not None and self._temporary.exists():
            os.replace(self._temporary, self._path)

    def __enter__(self) -> RerunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _as_uint8(image: Any) -> Any:
    return image if image.dtype == np.uint8 else (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
