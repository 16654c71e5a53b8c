"""Sample one object through the slices of a scan: masks in its grid, the distribution of its volume in ml."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

import asam_trt
from asam.cli._coordinates import Box, Points, numbers
from asam.cli._outputs import earlier_run, numbered, tell_replaced
from asam.cli._questions import (
    Crop,
    Labels,
    Plane,
    Precision,
    Series,
    Temperature,
    Window,
    check_counts,
    labels_of,
    remark_on_shares,
    tell_of_file,
    tell_outside,
    tell_precision,
    typed,
)
from asam.cli._scans import checked_slice, remarks_on, stem
from asam.progress import bars
from asam_trt import volume_render
from asam_trt.bundle import read_manifest
from asam_trt.central import central
from asam_trt.files import check_targets, replacing
from asam_trt.volume import MOST_VOXELS, Volume, write_stack
from asam_trt.volume_files import read_volume
from asam_trt.volume_hypotheses import VolumeHypotheses

_MASKS = ("mean", "majority", "hypotheses")
_ENDS = {
    "empty": "most readings see nothing beyond",
    "lost": "following was no longer believed beyond",
    "edge": "the scan ends there",
    "limit": "--slices ends there",
}


Slices = Annotated[
    tuple[float, float] | None,
    numbers("first", "last"),
    arg(help="The first and the last slice that the object may reach; by default those of the scan."),
]


@dataclass(frozen=True)
class Args:
    """Options of `asam volume`."""

    scan: Positional[Path]
    """A scan: NIfTI, DICOM (a file, or a folder with the slices of a series), .npy."""
    engine: Path
    """An engine folder, made by `asam build`."""
    slice: int | None = None
    """Number of the slice that is pointed at, from 0, which is the lowest; of --plane coronal the hindmost, of
    --plane sagittal the leftmost."""
    series: Series = None
    plane: Plane = None
    box: Box = None
    """x0 y0 x1 y1 in pixels of that slice."""
    points: Points = ()
    """x y of each point, in pixels of that slice."""
    labels: Labels = ()
    window: Window = None
    slices: Slices = None
    crop: Crop = None
    n: int = 32
    """Number of hypotheses."""
    seed: int = 0
    """The same seed gives the same hypotheses."""
    temperature: Temperature = 1.0
    latents: Literal["iid", "antithetic", "sobol"] = "iid"
    """How the noise of the hypotheses is drawn; the others need fewer of them for the same coverage."""
    level: float = 0.9
    """Share of the hypotheses within the reported intervals."""
    hypotheses: bool = False
    """Write the masks of all hypotheses also where they have more than 2^28 voxels together."""
    output: Path | None = None
    """Folder for the results, where those of an earlier run are replaced; by default outputs/volume/<scan name>, with
    a number where that is there."""
    threads: int | None = None
    """Threads of encoder and sampler; by default all processors of this process."""
    precision: Precision = "auto"


def run(args: Args) -> int:
    """Samples, writes everything into one folder at the end, and prints what and where."""
    labels = labels_of(args.points, args.labels)
    check_counts(args.n, None)
    if not 0 < args.level < 1:
        raise ValueError(f"expected 0 < --level < 1, came {args.level}")
    if args.box is None and not args.points:
        raise ValueError("expected --box or --points, came none of them")
    volume = read_volume(args.scan, series=args.series, plane=args.plane)
    index, slices = checked_slice(volume, args.slice), _slices(args.slices)
    read_manifest(args.engine)  # what is no engine is said as such
    out = args.output or numbered(Path("outputs") / "volume" / stem(args.scan))
    masks = f"hypotheses{volume.suffix}"
    voxels = args.n * volume.values.size
    names = [f"mean{volume.suffix}", f"majority{volume.suffix}", "slices.csv", "volume.json", "sheet.png"]
    names += [masks] * (args.hypotheses or voxels <= MOST_VOXELS)
    check_targets(out, names, [args.scan, args.engine])
    earlier = earlier_run(out, names, "volume.json")
    tell_of_file(args.scan, remarks_on(volume, args.window))
    tell_outside([args.box], *volume.size)
    print(volume)
    with (
        asam_trt.Session(args.engine, threads=args.threads, precision=args.precision) as session,
        bars() as bar,
    ):
        tell_precision(args.precision, session)
        show, done = bar("slices"), 0

        def count(_: int) -> None:
            nonlocal done
            done += 1
            show(done, None)

        found = asam_trt.VolumeSampler(session).run(
            volume,
            slice=index,
            box=args.box,
            point_coords=args.points or None,
            point_labels=labels if args.points else None,
            window=args.window,
            slices=slices,
            crop=args.crop,
            n=args.n,
            seed=args.seed,
            temperature=args.temperature,
            latents=args.latents,
            on_slice=count,
        )
        remark = remark_on_shares(session)
    tell_of_file(args.scan, typed(found.remarks, args))
    _tell(found, args, remark)
    writers = _writers(found, args)
    # All take their names at the end, so that no results of two runs are mixed, and none is half written.
    with ExitStack() as together:
        paths = {name: together.enter_context(replacing(out / name)) for name in names}
        for name, path in paths.items():
            writers[name.partition(".")[0]](path)
    if earlier:
        for name in {f"{kind}{end}" for kind in _MASKS for end in (".nii.gz", ".npy")} - set(names):
            (out / name).unlink(missing_ok=True)  # of another run
        tell_replaced(out)
    for name in names:
        print(out / name)
    if masks not in names:
        print(f"without {masks}, {voxels:,} voxels: --hypotheses writes it")
    return 0


def _slices(given: tuple[float, float] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    if not all(value.is_integer() for value in given):
        raise ValueError(f"expected --slices of two whole numbers, came {given[0]:g} {given[1]:g}")
    return int(given[0]), int(given[1])


def _tell(found: VolumeHypotheses, args: Args, remark: str | None) -> None:
    if remark is not None:
        print(remark)
    size = found.size(args.level)
    print(
        f"slices {found.slices[0].index} ({_ENDS[found.ends[0]]}) to {found.slices[-1].index} ({_ENDS[found.ends[1]]})"
    )
    print(
        f"volume: median {size.median:.4g} {size.unit}, {size.level:.0%} within {size.low:.4g} to {size.high:.4g} "
        f"{size.unit}, empty {found.p_empty:.0%}"
    )


def _writers(found: VolumeHypotheses, args: Args) -> dict[str, Callable[[Path], None]]:
    """What writes each result, by its name without endings."""
    grid = found.volume.grid
    return {
        "mean": lambda path: write_stack(path, grid, [found.mean()], np.float32),
        "majority": lambda path: write_stack(path, grid, [found.majority()], np.uint8),
        "hypotheses": lambda path: write_stack(
            path, grid, map(found.mask, range(len(found))), np.uint8, len(found)
        ),
        "slices": lambda path: _write_slices(path, found, args.level),
        "volume": lambda path: _write_summary(path, found, args),
        "sheet": lambda path: volume_render.sheet(found, level=args.level).save(path, "PNG"),
    }


def _write_summary(path: Path, found: VolumeHypotheses, args: Args) -> None:
    asked = {
        "scan": str(args.scan), "engine": str(args.engine), "series": args.series,
        "plane": found.volume.grid.plane, "slice": found.prompted,
        "box": args.box, "points": args.points, "labels": args.labels,
        "window": args.window or found.volume.window, "crop": args.crop, "slices": args.slices, "seed": args.seed,
        "temperature": args.temperature, "latents": args.latents,
    }  # fmt: skip
    content = {**found.summary(args.level), "remarks": typed(found.remarks, args), "asked": asked}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", errors="backslashreplace")


def _write_slices(path: Path, found: VolumeHypotheses, level: float) -> None:
    """A row a slice: where it lies, the distribution of the areas, and the area of each hypothesis."""
    scale, volume = found.volume.pixel_mm2, found.volume
    unit = "px" if scale is None else "mm2"
    along = f"{'xyz'[volume.grid.world[0]]}_mm"
    columns = ("slice", along, f"median_{unit}", f"low_{unit}", f"high_{unit}", "p_empty", "confidence")
    names = [f"h{i}_{unit}" for i in range(len(found))]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*columns, "box_x0", "box_y0", "box_x1", "box_y1", *names])
        for one in found.slices:
            areas = one.areas * (1.0 if scale is None else scale)
            low, middle, high = central(areas, level).tolist()
            writer.writerow(
                [
                    one.index,
                    _place(volume, one.index),
                    *(f"{value:.6g}" for value in (middle, low, high)),
                    f"{np.mean(one.areas == 0):.4f}",
                    f"{one.confidence:.4f}",
                    *([""] * 4 if one.box is None else (f"{value:.1f}" for value in one.box)),
                    *(f"{value:.6g}" for value in areas.tolist()),
                ]
            )


def _place(volume: Volume, index: int) -> str:
    """World coordinate of the middle of a slice, along the axis on which slices are counted, mm."""
    if volume.affine is None:
        return ""
    h, w = volume.size
    return f"{(volume.affine @ (index, (h - 1) / 2, (w - 1) / 2, 1))[volume.grid.world[0]]:.7g}"
