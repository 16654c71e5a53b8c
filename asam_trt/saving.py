"""Hypotheses as files: NumPy archive, PNG folder, COCO run lengths, polygons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from asam_trt import rle
from asam_trt.asked import FIELDS, Asked
from asam_trt.contours import Polygon
from asam_trt.encoder_spec import CELLS, PATCH
from asam_trt.files import replacing
from asam_trt.geometry import MAX_IMAGE_SIDE, Frame
from asam_trt.hypotheses import LEAST_LOGITS_SIDE, MAX_MASK_PIXELS, Hypotheses
from asam_trt.numpy_files import read_npz

_LEAST_SIDE = 4 * LEAST_LOGITS_SIDE  # of model space

SUFFIXES = {"npz": ".npz", "coco": ".json", "polygons": ".geojson", "png": ""}
"""Kind -> how its path ends; a folder's has no ending."""
_KINDS = {suffix: kind for kind, suffix in SUFFIXES.items()}


def save(hypotheses: Hypotheses, path: Path, kind: str | None = None) -> Path:
    """See `Hypotheses.save`."""
    if kind is None:
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise ValueError(
                f"expected a path ending in .npz, .json (COCO), .geojson (polygons) or nothing (a PNG "
                f"folder), came {path}; or say kind="
            )
    if kind not in _WRITERS:
        raise ValueError(f"expected kind to be one of {', '.join(_WRITERS)}, came {kind!r}")
    if kind == "png":
        if path.exists() and not path.is_dir():
            raise ValueError(f"expected a folder or nothing at {path} for PNG files, came a file")
        if path.is_dir() and any(path.iterdir()):
            raise ValueError(
                f"expected an empty folder or nothing at {path}, came a folder with files; choose another"
            )
    elif path.is_dir():
        raise ValueError(f"expected the path of a file, came the folder {path}")
    with replacing(path) as temporary:
        _WRITERS[kind](hypotheses, temporary)
    return path


def load(path: Path) -> Hypotheses:
    """See `Hypotheses.load`."""
    if path.is_dir():
        raise ValueError(
            f"{path}: expected an .npz file of Hypotheses.save, came a folder; pictures are not read back"
        )
    try:
        values = read_npz(path, ("logits", "scores", "original", "input", "side"), FIELDS)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected hypotheses as Hypotheses.save writes them to .npz, came: {error}"
        ) from error
    try:
        low = values["logits"].shape[-1] if values["logits"].ndim else 0
        frame = _frame(values["original"], values["input"], values["side"], low=low)
        found = Hypotheses(values["logits"], values["scores"], frame)
        found.asked = Asked.from_arrays(values, frame, len(found))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    for name in ("logits", "scores"):
        if not np.isfinite(values[name]).all():
            raise ValueError(f"{path}: expected finite {name}, came NaN or infinity")
    return found


def _frame(
    original: npt.NDArray[Any], resized: npt.NDArray[Any], side: npt.NDArray[Any], *, low: int
) -> Frame:
    """Of sizes read from a file: (h, w), (h, w), S and the side of the logits, pixels."""
    sizes = original, resized, side
    if [size.size for size in sizes] != [2, 2, 1] or any(size.dtype.kind not in "iu" for size in sizes):
        shapes = ", ".join(f"{size.dtype} {list(size.shape)}" for size in sizes)
        raise ValueError(
            f"expected sizes of an image and its place in model space as integers, came {shapes}"
        )
    (h, w), (high, wide), (s,) = (size.ravel().tolist() for size in sizes)
    if not (0 < h <= MAX_IMAGE_SIDE and 0 < w <= MAX_IMAGE_SIDE and h * w <= MAX_MASK_PIXELS):
        raise ValueError(f"expected an image of at most {MAX_MASK_PIXELS} pixels, came {h} x {w} (h x w)")
    if s < _LEAST_SIDE or not (0 < high <= s and 0 < wide <= s):
        raise ValueError(
            f"expected the image's place in model space, came {high} x {wide} (h x w) in side {s}"
        )
    cell = next((cell for cell in CELLS if low * cell == 4 * s), PATCH)
    return Frame((h, w), (high, wide), s, cell)


def _npz(hypotheses: Hypotheses, path: Path) -> None:
    frame = hypotheses.frame
    asked: dict[str, Any] = {} if hypotheses.asked is None else hypotheses.asked.arrays()
    with path.open("wb") as stream:
        np.savez_compressed(
            stream,
            logits=hypotheses.logits,
            scores=hypotheses.scores,
            packed_masks=np.stack(
                [np.packbits(mask, axis=1) for mask in hypotheses]
            ),  # np.unpackbits(..., axis=2, count=W)
            original=np.array(frame.original),
            input=np.array(frame.input),
            side=np.array(frame.side),
            **asked,
        )


def _png(hypotheses: Hypotheses, folder: Path) -> None:
    folder.mkdir()
    digits = max(3, len(str(len(hypotheses) - 1)))
    for i, mask in enumerate(hypotheses):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"mask_{i:0{digits}d}.png")
    mean = np.round(hypotheses.mean * 65535).astype(np.uint16)
    Image.fromarray(mean).save(folder / "mean_16bit.png")


def _coco(hypotheses: Hypotheses, path: Path) -> None:
    h, w = hypotheses.frame.original
    annotations = []
    for i, mask in enumerate(hypotheses):
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        x, y = (int(columns[0]), int(rows[0])) if len(rows) else (0, 0)
        size = [int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y] if len(rows) else [0, 0]
        annotations.append(
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": rle.encode(mask),
                "area": int(hypotheses.areas[i]),
                "bbox": [x, y, *size],
                "iscrowd": 0,  # 1 would leave it out of evaluation
                "score": float(hypotheses.scores[i]),
            }
        )
    document = {
        "images": [{"id": 1, "width": w, "height": h}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    _write_json(document, path)


def _polygons(hypotheses: Hypotheses, path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "properties": {
                "hypothesis": i,
                "score": float(hypotheses.scores[i]),
                "area": int(hypotheses.areas[i]),
            },
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [_closed(polygon) for polygon in hypotheses.polygons(i)],
            },
        }
        for i in range(len(hypotheses))
    ]
    h, w = hypotheses.frame.original
    document = {
        "type": "FeatureCollection",
        "coordinate_unit": "pixels, x before y, y down",
        "image": {"width": w, "height": h},
        "features": features,
    }
    _write_json(document, path)


def _closed(polygon: Polygon) -> list[list[list[float]]]:
    rings = [polygon.exterior, *polygon.holes]
    return [np.round(np.concatenate([ring, ring[:1]]).astype(np.float64), 2).tolist() for ring in rings]


def _write_json(document: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document, separators=(",", ":"), allow_nan=False), encoding="utf-8")


_WRITERS: dict[str, Callable[[Hypotheses, Path], None]] = {
    "npz": _npz,
    "png": _png,
    "coco": _coco,
    "polygons": _polygons,
}
