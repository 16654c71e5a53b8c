"""Where user pixels become model space and back; no other module converts between the two.

User space: pixels of the image as given, x before y, boxes ``xyxy``; the centre of the top-left pixel is
(0.5, 0.5). Model space: SAM's ``S x S`` square, in which the image, its longest side resized to S, fills
the top-left corner and the rest is zero padding (Kirillov et al. 2023, ``ResizeLongestSide``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt import _ops
from asam_trt.checks import as_array
from asam_trt.encoder_spec import PATCH
from asam_trt.host_arrays import to_host
from asam_trt.intensities import is_deep

Float32Array = npt.NDArray[np.float32]

MAX_IMAGE_SIDE = 1 << 16
MAX_IMAGE_PIXELS = 1 << 28  # of one image: as many as all its copies on the way to the model can carry
MAX_COORDINATE = 4.0 * MAX_IMAGE_SIDE
MAX_POINTS = 4094  # with their padding they fit the token axis of the prior


@dataclass(frozen=True)
class Frame:
    """The place of one image in model space.

    Attributes:
        original: (height, width) of the user's image.
        input: (height, width) after the longest side was resized to ``side``.
        side: S, the side of model space in pixels.
        cell: pixels a side of one cell of the embedding there: 16, and 4 with LiteMedSAM's image encoder.
    """

    original: tuple[int, int]
    input: tuple[int, int]
    side: int
    cell: int = PATCH

    @classmethod
    def of(cls, h: int, w: int, side: int, cell: int = PATCH) -> Frame:
        """The frame of an image of ``h x w`` pixels.

        Raises:
            ValueError: a side is not positive, too large, or so short that nothing of it is left at S.
        """
        if not (0 < h <= MAX_IMAGE_SIDE and 0 < w <= MAX_IMAGE_SIDE):
            raise ValueError(
                f"expected image sides from 1 to {MAX_IMAGE_SIDE} pixels, came {w} x {h} (w x h)"
            )
        scale = side * 1.0 / max(h, w)
        resized = int(h * scale + 0.5), int(w * scale + 0.5)
        if min(resized) < 1:
            raise ValueError(
                f"expected an image at most {2 * side} times longer than wide, came {w} x {h} (w x h): its "
                f"short side vanishes at {side} pixels; crop the image around the object"
            )
        return cls((h, w), resized, side, cell)

    @property
    def logits_side(self) -> int:
        """4e, the side of masks in model space, where a cell is 4 x 4 of their pixels."""
        return 4 * self.side // self.cell

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per user pixel, (x, y); they differ by the rounding of the short side."""
        return self.input[1] / self.original[1], self.input[0] / self.original[0]

    def to_model_coords(self, xy: npt.ArrayLike) -> Float32Array:
        """User (x, y) [..., 2] -> model space, float32 [..., 2]."""
        coords = np.asarray(xy, np.float64)
        return np.asarray(coords * np.asarray(self.scale), np.float32)

    def to_model_boxes(self, boxes: npt.ArrayLike) -> Float32Array:
        """User boxes xyxy [..., 4] -> model space, float32 [..., 4]."""
        corners = np.asarray(boxes, np.float64)
        return self.to_model_coords(corners.reshape(*corners.shape[:-1], 2, 2)).reshape(corners.shape)

    def to_user_coords(self, xy: npt.ArrayLike) -> Float32Array:
        """Model-space (x, y) [..., 2] -> user pixels, float32 [..., 2]."""
        coords = np.asarray(xy, np.float64)
        return np.asarray(coords / np.asarray(self.scale), np.float32)


def as_image(image: Any) -> npt.NDArray[Any]:
    """Any image object -> a checked ``uint8`` or ``float32`` array [H, W, 3] (RGB).

    Takes NumPy arrays, PIL images, and whatever offers ``__array__``, DLPack or ``__cuda_array_interface__``
    (PyTorch, JAX, CuPy, ...; what lies on a GPU is copied to host memory):
    uint8 [H, W, 3] or grey [H, W], or floating point of the same shapes with values in [0, 1]. What is transparent in a
    PIL image becomes white; its EXIF orientation is left as it is (``PIL.ImageOps.exif_transpose`` turns it upright).

    Raises:
        TypeError: not an image, not to be read from here, or a dtype other than uint8 and floating point.
        ValueError: a wrong shape, more than 2^28 pixels, a value outside [0, 1], NaN or infinity, or a PIL image
            whose file is damaged or cut short.
    """
    pillow = sys.modules.get("PIL.Image")  # imported by whoever gives an image of its own
    if pillow is not None and isinstance(image, pillow.Image):
        if is_deep(image):
            raise TypeError(
                f"expected an 8-bit PIL image, came mode {image.mode!r}{_extrema(image)}: choose the window of values "
                "to be seen with asam_trt.window(image, low, high)"
            )
        _check_pixels(image.height, image.width)
        array = _of_pillow(image)
    else:
        array = to_host(image, "image")
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        advice = "convert it first"
        if array.dtype.kind in "iu":
            advice = "choose the window of values to be seen with asam_trt.window(image, low, high)"
        raise TypeError(
            f"expected an image of uint8 or floating point in [0, 1], came {array.dtype}{_span(array)}; {advice}"
        )
    if array.ndim >= 2:
        _check_pixels(array.shape[0], array.shape[1])
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(
            f"expected an image [H, W, 3] or [H, W], came {list(array.shape)}{_shape_hint(array)}"
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("expected finite image values in [0, 1], came NaN or infinity")
    if low < -1e-6 or high > 1 + 1e-6:
        raise ValueError(
            f"expected floating-point image values in [0, 1], came {low:g} to {high:g}; divide by the "
            "white level"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _span(array: npt.NDArray[Any]) -> str:
    """The range of integers, for a message."""
    return f" of values {array.min()} to {array.max()}" if array.dtype.kind in "iu" and array.size else ""


def _extrema(image: Any) -> str:
    """The range of a picture's values, for a message; nothing where its file is damaged."""
    from asam_trt.pictures import BROKEN

    try:
        low, high = image.getextrema()
    except BROKEN:
        return ""
    return f" of values {low:g} to {high:g}"


def _of_pillow(image: Any) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]; a picture that was only opened is read here."""
    from PIL import Image

    from asam_trt.pictures import BROKEN

    try:
        if image.has_transparency_data:
            seen = image.convert("RGBA")
            white = Image.new("RGBA", seen.size, "white")
            return np.asarray(Image.alpha_composite(white, seen).convert("RGB"))
        return np.asarray(image.convert("RGB"))
    except BROKEN as error:
        raise ValueError(f"expected a readable PIL image, came one whose file is damaged: {error}") from error


def resize_image(
    image: Any,
    side: int,
    mean: npt.ArrayLike = (0.0, 0.0, 0.0),
    std: npt.ArrayLike = (1.0, 1.0, 1.0),
    *,
    cell: int = PATCH,
) -> tuple[Float32Array, Frame]:
    """An image (see `as_image`) -> model input float32 [3, S, S] and its `Frame`.

    Longest side to S with Pillow's antialiased bilinear filter, rows first, then columns (for uint8 bit-equal to SAM's
    ``ResizeLongestSide.apply_image``; Pillow 13 takes the columns first where an image loses many more of its rows),
    then ``(x - mean) / std``, then zero padding right and bottom.

    Args:
        side: S in pixels.
        mean, std: of the three channels on the 0..255 scale, as in SAM; float images are scaled to it first.
        cell: of the frame.
    """
    array = as_image(image)
    frame = Frame.of(array.shape[0], array.shape[1], side, cell)
    shift = np.asarray(mean, np.float32).reshape(3)
    spread = np.asarray(std, np.float32).reshape(3)
    if array.dtype == np.uint8:
        pixels = array if frame.input == frame.original else _ops.resize_image(array, frame.input)
        values = (np.arange(256, dtype=np.float32)[:, None] - shift) / spread
        return np.asarray(_ops.model_input(pixels, side, np.ascontiguousarray(values.T))), frame
    out = np.zeros((3, side, side), np.float32)
    resized = _resize_planes(array, frame.input) * np.float32(255)
    out[:, : frame.input[0], : frame.input[1]] = ((resized - shift) / spread).transpose(2, 0, 1)
    return out, frame


def _resize_planes(array: Float32Array, size: tuple[int, int]) -> Float32Array:
    """float32 [H, W, 3] -> [size[0], size[1], 3], Pillow's bilinear filter."""
    if array.shape[:2] == size:
        return array
    from PIL import Image  # not needed by whoever gives images in 8 bits

    planes = [Image.fromarray(np.ascontiguousarray(array[:, :, c])) for c in range(3)]
    resized = [np.asarray(one.resize((size[1], size[0]), Image.Resampling.BILINEAR)) for one in planes]
    return np.stack(resized, axis=2)


def check_box(box: npt.ArrayLike, frame: Frame) -> npt.NDArray[np.float64]:
    """A user box -> float64 [4], checked.

    Raises:
        TypeError: not numbers.
        ValueError: not four finite numbers, x0 >= x1 or y0 >= y1, or no part of it inside the image.
    """
    corners = box_corners(box)
    x0, y0, x1, y1 = corners.tolist()
    h, w = frame.original
    if x0 >= w or y0 >= h or x1 <= 0 or y1 <= 0:
        raise ValueError(f"expected a box that overlaps the {w} x {h} (w x h) image, came {(x0, y0, x1, y1)}")
    if max(-x0, -y0, x1, y1) > MAX_COORDINATE:
        raise ValueError(
            f"expected box corners within {MAX_COORDINATE:g} pixels, came {(x0, y0, x1, y1)}; clip it to "
            "the image"
        )
    return corners


def box_corners(box: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A box -> float64 [4], checked as far as that goes without an image; see `check_box`."""
    corners = _numbers(box, "box")
    if corners.shape != (4,):
        raise ValueError(f"expected box = (x0, y0, x1, y1), came shape {list(corners.shape)}")
    _finite(corners, "box")
    x0, y0, x1, y1 = corners.tolist()
    if x0 >= x1 or y0 >= y1:
        raise ValueError(
            f"expected box = (x0, y0, x1, y1) with x0 < x1 and y0 < y1, came {(x0, y0, x1, y1)}; "
            "it is empty, inverted, or given as (x, y, width, height)"
        )
    return corners


def check_points(
    coords: npt.ArrayLike, labels: npt.ArrayLike, frame: Frame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """User points -> (float64 [k, 2], int32 [k]), checked; label 1 is object, 0 is background.

    Raises:
        TypeError: not numbers.
        ValueError: shapes that disagree, no point, a point outside the image, a label other than 0 and 1.
    """
    xy = _numbers(coords, "point_coords")
    marks = as_array(labels, "point_labels")
    marks = marks.astype(np.int32) if marks.dtype.kind == "b" else _numbers(marks, "point_labels")
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) == 0:
        raise ValueError(f"expected point_coords [k, 2] with k >= 1, came shape {list(xy.shape)}")
    if marks.shape != (len(xy),):
        raise ValueError(f"expected point_labels [{len(xy)}], one a point, came shape {list(marks.shape)}")
    if len(xy) > MAX_POINTS:
        raise ValueError(f"expected at most {MAX_POINTS} points, came {len(xy)}")
    _finite(xy, "point_coords")
    h, w = frame.original
    outside = ((xy < 0) | (xy > (w, h))).any(axis=1)
    if outside.any():
        raise ValueError(
            f"expected points inside the {w} x {h} (w x h) image, came {xy[outside][0].tolist()}"
        )
    if not np.isin(marks, (0, 1)).all():
        raise ValueError(
            f"expected point_labels of 1 (object) or 0 (background), came {np.unique(marks).tolist()}; the padding "
            "point that SAM labels -1 is added where it is needed"
        )
    return xy, marks.astype(np.int32)


def _check_pixels(h: int, w: int) -> None:
    if h * w > MAX_IMAGE_PIXELS:
        raise ValueError(
            f"expected an image of at most {MAX_IMAGE_PIXELS} pixels, came {w} x {h} (w x h); crop it around "
            "the object, or make it smaller"
        )


def _shape_hint(array: npt.NDArray[Any]) -> str:
    if array.ndim == 3 and array.shape[2] == 4:
        return (
            "; drop the alpha channel, image[..., :3], or give PIL.Image.fromarray(image), where what is transparent "
            "becomes white"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        return "; drop the last axis, image[..., 0]"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return "; move the channels last, image.transpose(1, 2, 0)"
    if array.ndim == 4:
        return "; give one image at a time"
    return ""


def _numbers(value: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    found = as_array(value, name)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"expected {name} to hold real numbers, came dtype {found.dtype}")
    if found.size > 4 * MAX_POINTS:
        raise ValueError(
            f"expected {name} of at most {4 * MAX_POINTS} numbers, came shape {list(found.shape)}"
        )
    return found.astype(np.float64)


def _finite(array: npt.NDArray[np.float64], name: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite {name}, came {array.tolist()}")
