"""Draw hypotheses of one prompt on an image or a slice of a scan: pictures, a page and the masks."""

from __future__ import annotations

import html
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from tyro.conf import Positional

import asam_trt
from asam.cli._coordinates import Box, Points
from asam.cli._outputs import earlier_run, numbered, tell_replaced
from asam.cli._questions import (
    Crop,
    Labels,
    ModeCount,
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
    tell_unprompted,
    typed,
)
from asam.cli._scans import area_in_mm2, read_seen, stem
from asam.cli._wording import counted
from asam.data.files import read_mask
from asam_trt import render, slice_masks
from asam_trt.bundle import read_manifest
from asam_trt.crops import remarks_on_region
from asam_trt.files import check_targets, replacing
from asam_trt.image_files import remarks_on_mask
from asam_trt.modes import Modes

_PICTURES = ("overlay", "sheet", "modes", "entropy")
_RESULTS = ("hypotheses.npz", *(f"{name}.png" for name in _PICTURES), "index.html")


@dataclass(frozen=True)
class Args:
    """Options of `asam sample`."""

    image: Positional[Path]
    """An image file: PNG, JPEG, TIFF, BMP, GIF, WebP. Of several pages the first is used; what is transparent is seen
    as white. Or a scan: NIfTI, DICOM (a file, or a folder with the slices of a series), .npy."""
    engine: Path
    """An engine folder, made by `asam build`."""
    box: Box = None
    """x0 y0 x1 y1 in pixels of the image."""
    points: Points = ()
    """x y of each point, in pixels of the image."""
    labels: Labels = ()
    mask: Path | None = None
    """A picture of an earlier or a corrected mask, as large as the image: 0, and one other value for the object. Of
    several pages the first is used."""
    slice: int | None = None
    """Number of the slice of a scan, from 0, which is the lowest; of --plane coronal the hindmost, of
    --plane sagittal the leftmost."""
    series: Series = None
    plane: Plane = None
    window: Window = None
    crop: Crop = None
    n: int = 32
    """Number of hypotheses."""
    seed: int = 0
    """The same seed gives the same hypotheses."""
    temperature: Temperature = 1.0
    latents: Literal["iid", "antithetic", "sobol"] = "iid"
    """How the noise of the hypotheses is drawn; the others need fewer of them for the same coverage."""
    modes: ModeCount = None
    output: Path | None = None
    """Folder for the results, where those of an earlier run are replaced; by default outputs/sample/<image name>, with
    a number where that is there."""
    threads: int | None = None
    """Threads of encoder and sampler; by default all processors of this process."""
    precision: Precision = "auto"


def run(args: Args) -> int:
    """Samples, writes everything into one folder, and prints what and where."""
    labels = labels_of(args.points, args.labels)
    check_counts(args.n, args.modes)
    found = read_seen(
        args.image,
        args.slice,
        args.window,
        series=args.series,
        plane=args.plane,
        crop=args.crop,
        box=args.box,
        points=args.points,
    )
    read_manifest(args.engine)  # what is no engine is said as such
    out = args.output or numbered(Path("outputs") / "sample" / stem(args.image))
    names = (
        *_RESULTS,
        *(slice_masks.NAMES if found.volume is not None and found.volume.affine is not None else ()),
    )
    check_targets(out, names, [args.image, args.engine] + ([] if args.mask is None else [args.mask]))
    earlier = earlier_run(out, names, _RESULTS[0])
    tell_of_file(args.image, found.remarks)
    tell_outside([args.box], *found.size)
    box, points = found.inside(args.box), found.inside(args.points)
    mask = None
    if args.mask is not None:
        mask = found.part(read_mask(args.mask, found.size))
        tell_of_file(args.mask, remarks_on_mask(args.mask))
    with asam_trt.Session(args.engine, threads=args.threads, precision=args.precision) as session:
        tell_precision(args.precision, session)
        start = time.perf_counter()
        session.set_image(found.pixels)
        encoded = time.perf_counter()
        hypotheses = session.sample(
            box=box,
            point_coords=points or None,
            point_labels=labels if points else None,
            mask_input=mask,
            n=args.n,
            seed=args.seed,
            temperature=args.temperature,
            latents=args.latents,
        )
        sampled = time.perf_counter()
        tell_unprompted(args.box, args.points, args.mask)  # now that it was not refused
        if found.region is not None:
            seen = remarks_on_region(
                found.size,
                found.region,
                session.engine.sampler.side,
                crop=args.crop,
                box=args.box,
                point_coords=args.points or None,
            )
            tell_of_file(args.image, typed(seen, args))
        remark = remark_on_shares(session)
    if remark is not None:
        print(remark)
    place = found.place()
    if place is not None:
        print(place)
    print(
        f"{hypotheses!r}\nencode {1e3 * (encoded - start):.1f} ms, sample {1e3 * (sampled - encoded):.1f} ms"
    )
    measured = None if found.volume is None else area_in_mm2(hypotheses.area(), found.volume)
    if measured is not None:
        print(measured)
    small = render.reduced(hypotheses)
    if small is not None:
        (h, w), (high, wide) = hypotheses.frame.original, small.frame.original
        print(
            f"grouped and drawn at {wide} x {high} pixels (w x h), since {w} x {h} would take minutes; masks and areas "
            "are of the whole image"
        )
    modes = (small or hypotheses).modes(args.modes)
    print(modes)
    drawn = (
        Image.fromarray(
            render.overlay(hypotheses, box=box, point_coords=points, point_labels=labels, modes=modes)
        ),
        render.sheet(hypotheses, modes=modes),
        render.mode_cards(hypotheses, modes=modes),
        render.entropy_map(hypotheses),
    )
    # All take their names at the end, so that no results of two runs are mixed.
    with ExitStack() as together:
        paths = {name: together.enter_context(replacing(out / name)) for name in names}
        hypotheses.save(paths["hypotheses.npz"], "npz")
        for name, picture in zip(_PICTURES, drawn, strict=True):
            picture.save(paths[f"{name}.png"], "PNG")
        if found.volume is not None:
            for name, write in slice_masks.writers(
                found.volume, found.index, hypotheses, found.region
            ).items():
                write(paths[name])
        page = _page(args, hypotheses, modes, remark, measured, place)
        # Names of files need not be text.
        paths["index.html"].write_text(page, encoding="utf-8", errors="replace")
    if earlier:
        for name in set(slice_masks.NAMES) - set(names):
            (out / name).unlink(missing_ok=True)  # of another scan
        tell_replaced(out)
    for name in names:
        print(out / name)
    if found.volume is not None and slice_masks.without_place(found.volume, args.n):
        print("masks.nii.gz is the slice alone, and has no place: the scan does not say how it lies in space")
    return 0


def _page(
    args: Args,
    hypotheses: asam_trt.Hypotheses,
    modes: Modes,
    remark: str | None,
    measured: str | None,
    place: str | None,
) -> str:
    prompt = _describe(args) if place is None else f"{place}; {_describe(args)}"
    sections = "".join(f'<h2>{name}</h2><img src="{name}.png" alt="{name}">' for name in _PICTURES)
    origin = "" if remark is None else f"<br>{html.escape(remark)}"
    millimetres = "" if measured is None else f"<br>{measured}"
    title = html.escape(f"{args.image.name}: {counted(len(hypotheses), 'hypothesis')}")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{background:#16181c;color:#ececec;font:15px/1.5 system-ui,sans-serif;max-width:1300px;
margin:2em auto;padding:0 1em}}img{{max-width:100%;border-radius:4px}}h1{{font-size:1.4em}}
h2{{font-size:1.1em;font-weight:500}}
p{{color:#b4b8be}}</style>
<h1>{title}</h1>
<p>{html.escape(prompt)}, seed {args.seed}, engine {html.escape(str(args.engine))}<br>
{html.escape(repr(hypotheses))}{millimetres}<br>
{html.escape(repr(modes))}</p>
<p>Entropy says where these readings disagree, not how likely the model is to be wrong.{origin}</p>
{sections}</html>
"""


def _describe(args: Args) -> str:
    parts = []
    if args.box is not None:
        parts.append("box " + " ".join(f"{v:g}" for v in args.box))
    if args.points:
        parts.append(counted(len(args.points), "point"))
    if args.mask is not None:
        parts.append(f"the mask {args.mask.name}")
    return ", ".join(parts) or "no prompt"
