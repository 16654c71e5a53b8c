"""Sample hypotheses through a video: an overlay video, areas per frame, a plot."""

from __future__ import annotations

import csv
import os
import re
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from tyro.conf import Positional

import asam_trt
from asam.cli._coordinates import Box, Boxes, Points
from asam.cli._outputs import earlier_run, numbered, tell_replaced
from asam.cli._questions import (
    Labels,
    ModeCount,
    Precision,
    Temperature,
    Window,
    check_counts,
    labels_of,
    remark_on_shares,
    tell_outside,
    tell_precision,
    tell_unprompted,
)
from asam.cli._wording import counted
from asam.progress import bars
from asam_trt import palette, plots, render
from asam_trt.ahead import Behind
from asam_trt.bundle import read_manifest
from asam_trt.files import beside, check_targets, replacing
from asam_trt.follow import DOUBTED_BELOW
from asam_trt.modes import Modes
from asam_trt.rerun_log import RerunLog
from asam_trt.saving import SUFFIXES
from asam_trt.sources import Source, open_source
from asam_trt.video import VideoFrame, VideoSampler, VideoWriter

_COLUMNS = (
    "frame", "object", "time_s", "area_median", "area_low", "area_high", "area_mean", "p_empty", "modes",
    "box_x0", "box_y0", "box_x1", "box_y1", "confidence", "continuity", "lost", "dropped", "encode_ms", "sample_ms",
)  # fmt: skip


_RESULTS = ("overlay.mp4", "areas.csv", "areas.png")
_SAVED = "hypotheses"  # the folder
_WARM_UP = 5  # frames
_LEAST_FOR_TAILS = 20  # frames from which p95 and p99 are told


@dataclass(frozen=True)
class Args:
    """Options of `asam video`."""

    source: Positional[str]
    """A video file, a folder of frames, a camera index, or a URL (rtsp://, http://)."""
    engine: Path
    """An engine folder, made by `asam build`."""
    box: Box = None
    """x0 y0 x1 y1 in pixels of the first frame."""
    boxes: Boxes = ()
    """Several objects instead of one: x0 y0 x1 y1 of each, in pixels of the first frame."""
    points: Points = ()
    """x y of each point, in pixels of the first frame."""
    labels: Labels = ()
    window: Window = None
    n: int = 32
    """Hypotheses a frame."""
    seed: int = 0
    """The same seed gives the same hypotheses."""
    temperature: Temperature = 1.0
    latents: Literal["iid", "antithetic", "sobol"] = "iid"
    """How the noise of the hypotheses is drawn."""
    modes: ModeCount = None
    follow: bool = False
    """Move the box with the object until it is lost; the run ends where all objects are."""
    realtime: bool = False
    """Leave out frames to stay live."""
    frames: int | None = None
    """Stop after so many frames."""
    level: float = 0.9
    """Share of the hypotheses within the reported area interval."""
    save: Literal["npz", "png", "coco", "polygons"] | None = None
    """Also keep the hypotheses of each frame, as `Hypotheses.save` writes them, in the folder hypotheses of the
    results; it must not be there yet."""
    rerun: bool = False
    """Show it live in the Rerun viewer; needs the extra `rerun`."""
    rerun_file: Path | None = None
    """Record it for the Rerun viewer, into a .rrd file; needs the extra `rerun`."""
    output: Path | None = None
    """Folder for the results, where those of an earlier run are replaced; by default outputs/video/<source name>, with
    a number where that is there."""
    threads: int | None = None
    """Threads of encoder and sampler; by default all processors of this process."""
    precision: Precision = "auto"


@dataclass
class _Log:
    """What was measured."""

    rows: list[dict[str, Any]] = field(default_factory=list)  # a frame and object each
    times: list[tuple[float, float]] = field(default_factory=list)  # encode and sample, milliseconds
    output_ms: list[tuple[float, float]] = field(default_factory=list)  # drawing and writing, milliseconds
    first_ms: float = 0.0  # from the start to the first frame's hypotheses
    done: list[float] = field(default_factory=list)  # when each frame was written, seconds from the start
    earlier: bool = False  # whether another run's results are replaced
    video: VideoWriter | None = None

    @property
    def kept(self) -> bool:
        """Whether there are results."""
        return bool(self.rows) and self.video is not None and self.video.kept

    def rate(self) -> float | None:
        """Frames a second of late, with drawing and writing; None before the second."""
        recent = self.done[-25:]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else None

    def column(self, name: str, of: Any) -> list[float]:
        return [float(row[name]) for row in self.rows if row["object"] == of]

    def lost(self, of: Any) -> float | None:
        """When an object was lost, seconds; None where it was not."""
        times = (float(row["time_s"]) for row in self.rows if row["object"] == of and row["lost"])
        return next(times, None)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A frame that waits to be written."""

    frame: VideoFrame
    objects: dict[Any, asam_trt.Hypotheses]
    rows: list[dict[str, Any]]
    picture: npt.NDArray[np.uint8]
    milliseconds: float  # that drawing took


def _row(
    frame: VideoFrame, name: Any, hypotheses: asam_trt.Hypotheses, modes: int, level: float
) -> dict[str, Any]:
    area = hypotheses.area(level)
    track = frame.tracks[name]
    x0, y0, x1, y1 = ("", "", "", "") if track.box is None else (f"{v:.1f}" for v in track.box)
    return dict(
        zip(
            _COLUMNS,
            (
                frame.index, name, f"{frame.time:.4f}",
                *(f"{pixels:.1f}" for pixels in (area.median, area.low, area.high, area.mean)),
                f"{hypotheses.p_empty:.4f}", modes, x0, y0, x1, y1,
                *("" if value is None else f"{value:.4f}" for value in (track.confidence, track.continuity)),
                int(track.lost), frame.dropped, f"{frame.encode_ms:.3f}", f"{frame.sample_ms:.3f}",
            ),
            strict=True,
        )
    )  # fmt: skip


def run(args: Args) -> int:
    """Samples frame by frame; what is written so far is kept and playable when it is interrupted.

    A run that does not finish its first frame leaves the results of an earlier one as they are.
    """
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"expected --frames of at least 1, came {args.frames}")
    if not 0 < args.level < 1:
        raise ValueError(f"expected 0 < --level < 1, came {args.level}")
    if args.boxes and (args.box is not None or args.points):
        raise ValueError("expected either --boxes, or one object by --box and --points, came both")
    if args.follow and not (args.box or args.boxes or args.points):
        raise ValueError("expected --box, --boxes or --points with --follow, got none of them")
    asked = _objects(args)
    check_counts(args.n, args.modes)
    camera = args.source.isdecimal() and args.source.isascii() and not Path(args.source).exists()
    read_manifest(args.engine)  # what is no engine is said as such
    source = open_source(int(args.source) if camera else args.source, window=args.window)
    name = "camera" + args.source if camera else Path(args.source.rstrip("/")).stem
    out = args.output or numbered(Path("outputs") / "video" / name)
    console = Console(markup=False, emoji=False, highlight=False)  # names of files may look like markup
    log = _Log()
    try:
        check_targets(out, _RESULTS, (args.source, args.engine))
        log.earlier = earlier_run(out, _RESULTS, _RESULTS[0])
        if (out / _SAVED).exists() and not _is_empty(out / _SAVED):
            raise ValueError(
                f"expected no {out / _SAVED} yet, which holds the hypotheses of another run's frames; move it away, or "
                "choose another --output"
            )
        with (
            asam_trt.Session(args.engine, threads=args.threads, precision=args.precision) as session,
            _rerun(args) as viewers,
        ):
            tell_precision(args.precision, session)
            console.print(f"{session!r}", soft_wrap=True)
            if (remark := remark_on_shares(session)) is not None:
                console.print(remark, soft_wrap=True)
            _loop(args, asked, session, source, out, log, console, viewers)
    except BaseException:
        if log.kept:
            with suppress(OSError):  # of a disk that is full, which is what the first error says
                _finish(args, out, log, console)
        raise
    finally:
        source.close()
        if args.save is not None:
            with suppress(OSError):  # something is in it, or it is not there
                (out / _SAVED).rmdir()
    if log.kept:
        _finish(args, out, log, console)
    return 0


def _objects(args: Args) -> dict[int, dict[str, Any]]:
    labels = labels_of(args.points, args.labels)
    if args.boxes:
        return {i: {"box": box} for i, box in enumerate(args.boxes, 1)}
    prompt: dict[str, Any] = {"box": args.box}
    if args.points:
        prompt |= {"point_coords": args.points, "point_labels": labels}
    return {1: prompt}


def _loop(
    args: Args,
    asked: dict[int, dict[str, Any]],
    session: asam_trt.Session,
    source: Source,
    out: Path,
    log: _Log,
    console: Console,
    viewers: list[RerunLog],
) -> None:
    start = time.perf_counter()
    stream = VideoSampler(session).run(
        source,
        objects=asked,
        n=args.n,
        seed=args.seed,
        temperature=args.temperature,
        latents=args.latents,
        follow=args.follow,
        realtime=args.realtime,
    )
    colours = render.ModeColours()
    total = min((x for x in (args.frames, source.length) if x is not None), default=None)
    video = log.video = VideoWriter(out / "overlay.mp4", source.fps)
    with _table(out / "areas.csv", video) as table, video, bars() as bar:
        show = bar("sampling")

        def write(drawn: _Drawn) -> None:
            begun = time.perf_counter()
            frame = drawn.frame
            table.writerows(drawn.rows)
            video.add(drawn.picture, frame.time)
            for viewer in viewers:
                viewer.log(frame, drawn.objects)
            if args.save is not None:
                _save(out / _SAVED, args.save, drawn)
            log.rows += drawn.rows
            log.times.append((frame.encode_ms, frame.sample_ms))
            now = time.perf_counter()
            log.output_ms.append((drawn.milliseconds, (now - begun) * 1e3))
            log.done.append(now - start)
            show(len(log.done), total, _pace(frame, log))

        def draw(item: tuple[VideoFrame, dict[Any, asam_trt.Hypotheses], dict[Any, Modes]]) -> None:
            frame, objects, modes = item
            begun = time.perf_counter()
            rows = [
                _row(frame, name, hypotheses, len(modes[name]), args.level)
                for name, hypotheses in objects.items()
            ]
            picture = _picture(frame, objects, modes, colours, _notes(frame, log))
            writing.put(_Drawn(frame, objects, rows, picture, (time.perf_counter() - begun) * 1e3))

        # A frame is drawn while the next one is sampled, and the one before is written. What may take long stays in
        # the thread that an interrupt reaches: sampling, and grouping thousands of masks.
        lost: set[Any] = set()
        doubted: set[Any] = set()
        ended = 0  # frames after which nothing was left to follow
        with (
            warnings.catch_warnings(),
            Behind(write, name="asam-write") as writing,
            Behind(draw, name="asam-draw") as drawing,
        ):
            # The source's remarks are printed below.
            warnings.filterwarnings("ignore", re.escape(source.name), RuntimeWarning)
            for count, (frame, objects) in enumerate(stream, 1):
                if count == 1:
                    log.first_ms = (time.perf_counter() - start) * 1e3
                    tell_unprompted(args.box, args.points, args.boxes)  # now that it was not refused
                    tell_outside([args.box, *args.boxes], *frame.image.shape[:2])
                drawing.put(
                    (frame, objects, {name: found.modes(args.modes) for name, found in objects.items()})
                )
                _say_lost(frame, lost)
                _say_doubted(frame, doubted)
                if count == args.frames:
                    break
                if len(lost) == len(frame.tracks):
                    ended = count
                    break
    stream.close()
    if ended and ended != total:
        left = "" if total is None else f", {counted(total - ended, 'frame')} before the end"
        console.print(f"stopped{left}: nothing is left to follow", soft_wrap=True)
    for remark in source.remarks:
        console.print(remark, soft_wrap=True)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _save(folder: Path, kind: str, drawn: _Drawn) -> None:
    """A file a frame and object, or with "png" a folder, by the number of the frame."""
    for name, hypotheses in drawn.objects.items():
        of = f"-{name}" if len(drawn.objects) > 1 else ""
        hypotheses.save(folder / f"{drawn.frame.index:06d}{of}{SUFFIXES[kind]}", kind)


def _picture(
    frame: VideoFrame,
    objects: dict[Any, asam_trt.Hypotheses],
    modes: dict[Any, Modes],
    colours: render.ModeColours,
    notes: list[str],
) -> npt.NDArray[np.uint8]:
    if len(objects) > 1:
        boxes = {name: track.box for name, track in frame.tracks.items() if track.box is not None}
        return render.overlay_objects(objects, frame.image, boxes=boxes, notes=notes)
    ((name, hypotheses),) = objects.items()
    return render.overlay(
        hypotheses, box=frame.box, modes=modes[name], colours=colours.of(modes[name]), notes=notes
    )


def _notes(frame: VideoFrame, log: _Log) -> list[str]:
    rate = log.rate()
    notes = [] if rate is None else [f"{rate:.0f} frames/s"]
    for name, track in frame.tracks.items():
        of = f" of {name}" if len(frame.tracks) > 1 else ""
        if track.confidence is not None:
            notes.append(f"{name} is lost" if track.lost else f"confidence{of} {track.confidence:.2f}")
    return notes


def _pace(frame: VideoFrame, log: _Log) -> str:
    rate = log.rate()
    notes = [] if rate is None else [f"{rate:.1f} frames/s"]
    return ", ".join(notes + [f"{frame.dropped} dropped"] * bool(frame.dropped))


def _say_lost(frame: VideoFrame, known: set[Any]) -> None:
    for name, track in frame.tracks.items():
        if track.lost and name not in known:
            known.add(name)
            which = "the object" if len(frame.tracks) == 1 else f"object {name}"
            print(f"frame {frame.index}: {which} is lost")


def _say_doubted(frame: VideoFrame, known: set[Any]) -> None:
    for name, track in frame.tracks.items():
        if track.continuity is None or track.lost or name in known or track.continuity >= DOUBTED_BELOW:
            continue
        known.add(name)
        which = "the object" if len(frame.tracks) == 1 else f"object {name}"
        print(
            f"frame {frame.index}: {which} may be another one from here on, or the picture was cut: its masks have an "
            f"IoU of {track.continuity:.2f} with those before (below {DOUBTED_BELOW:g}, told once)"
        )


@contextmanager
def _rerun(args: Args) -> Iterator[list[RerunLog]]:
    with ExitStack() as stack:
        wanted = [None] * args.rerun + ([args.rerun_file] if args.rerun_file is not None else [])
        yield [stack.enter_context(RerunLog(path)) for path in wanted]


def _finish(args: Args, out: Path, log: _Log, console: Console) -> None:
    objects = list(dict.fromkeys(row["object"] for row in log.rows))
    bands = [
        plots.band(
            log.column("time_s", of),
            log.column("area_low", of),
            log.column("area_median", of),
            log.column("area_high", of),
            title=("" if len(objects) == 1 else f"object {of}: ")
            + f"area in pixels: median and the interval of {args.level:.0%} of {counted(args.n, 'hypothesis')}",
            x_label="seconds",
            mark=None if (lost := log.lost(of)) is None else (lost, "lost"),
            colour=palette.CATEGORIES[i % len(palette.CATEGORIES)],  # as in `render.overlay_objects`
        )
        for i, of in enumerate(objects)
    ]
    with replacing(out / "areas.png") as temporary:
        plots.stacked(bands).save(temporary, "PNG")
    console.print(_latency(args, log), soft_wrap=True)
    if log.earlier:
        tell_replaced(out)
    for file in (*_RESULTS, *[_SAVED] * (args.save is not None)):
        console.print(str(out / file), soft_wrap=True)


def _latency(args: Args, log: _Log) -> str:
    """As a user feels it; the first frames warm caches and threads up."""
    frames = len(log.done)
    warm = min(_WARM_UP, frames - 1)
    encode, sample = np.array(log.times[warm:frames]).T
    drawing, writing = np.median(log.output_ms[warm:frames], axis=0)
    shares = (50, 95, 99) if frames - warm >= _LEAST_FOR_TAILS else (50,)
    percentiles = np.percentile(encode + sample, shares)
    spans = ", ".join(f"p{share} {span:.1f}" for share, span in zip(shares, percentiles, strict=True))
    rate = (
        (frames - 1 - warm) / (log.done[-1] - log.done[warm]) if frames > warm + 1 else frames / log.done[-1]
    )
    unit = 1 if sys.platform == "darwin" else 1 << 10  # bytes there, else KiB
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)
    return (
        f"{counted(frames, 'frame')}, {counted(args.n, 'hypothesis')} each: "
        f"{rate:.1f} frames/s with drawing and writing\n"
        f"from image to hypotheses {spans} ms a frame "
        f"(encode {np.median(encode):.1f}, sample {np.median(sample):.1f})\n"
        f"while others are decoded, encoded, drawn ({drawing:.1f} ms) and written ({writing:.1f} ms)\n"
        f"first frame after {log.first_ms:.0f} ms, {warm} to warm up; at most {memory:.0f} MiB of memory"
    )


@contextmanager
def _table(path: Path, video: VideoWriter) -> Iterator[Any]:
    """A csv writer whose file takes its name at the end, also after an error, if ``video`` has taken its own then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path, ".part")
    try:
        # A line at a time, so that a disk that is full later has what came before.
        with temporary.open("w", buffering=1, newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            yield writer
    finally:
        if video.kept and _has_whole_lines(temporary):
            # The plot of another run does not belong to this table.
            path.with_suffix(".png").unlink(missing_ok=True)
            os.replace(temporary, path)
        else:
            temporary.unlink(missing_ok=True)


def _has_whole_lines(path: Path) -> bool:
    """Whether a text has more than its first line, after what a full disk left of a last one is cut off."""
    with path.open("rb+") as stream:
        lines = stream.read()
        whole = lines.rfind(b"\n") + 1
        stream.truncate(whole)
    return lines.count(b"\n") > 1
