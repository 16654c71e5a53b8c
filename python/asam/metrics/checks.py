"""Input checks shared by the metrics: what a mask array is, what weights are."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from asam_trt.checks import unmasked
from asam_trt.host_arrays import how_to_read

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int32]
Empty: TypeAlias = Literal["one", "zero", "skip"]
Form: TypeAlias = Literal["V", "U"]

EMPTY_CHOICES: Final = ("one", "zero", "skip")
FORM_CHOICES: Final = ("V", "U")


def choice(value: str, name: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, came {value!r}")


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """NumPy view of an array or tensor; a CPU tensor shares its memory, nothing else is copied either.

    Raises:
        TypeError: a masked array, whose masked elements would count, or a tensor that NumPy cannot read.
    """
    unmasked(array, "masks, maps and weights")
    if not hasattr(array, "detach"):
        return np.asarray(array)
    try:
        return np.asarray(array.detach().cpu().numpy())
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"expected masks, maps and weights that NumPy can read, came {type(array).__name__} ({error}); "
            f"{how_to_read(array, 'x')}"
        ) from error


def masks(array: Any, name: str, *, batched: bool = False) -> BoolArray:
    """Check a stack of masks and return it as a C-contiguous array.

    Args:
        array: bool [n, H, W] (bool [B, n, H, W] when `batched`), NumPy or torch.
        name: how to call it in an error.

    Raises:
        TypeError: not bool.
        ValueError: wrong number of axes, or an axis of length zero.
    """
    found = to_numpy(array)
    wanted = "bool [B, n, H, W]" if batched else "bool [n, H, W]"
    if found.dtype != np.bool_:
        raise TypeError(
            f"{name}: expected {wanted}, came {found.dtype} {list(found.shape)}; threshold first (logits > 0)"
        )
    if found.ndim != (4 if batched else 3) or 0 in found.shape:
        raise ValueError(f"{name}: expected {wanted} with no empty axis, came shape {list(found.shape)}")
    return np.ascontiguousarray(found)


def mask_pair(pred: Any, raters: Any, *, batched: bool = False) -> tuple[BoolArray, BoolArray]:
    """Check hypotheses and raters together: both `masks`, on the same pixels (and the same batch)."""
    a = masks(pred, "pred", batched=batched)
    b = masks(raters, "raters", batched=batched)
    if a.shape[-2:] != b.shape[-2:] or a.shape[:-3] != b.shape[:-3]:
        raise ValueError(
            f"pred and raters: expected the same images, came shapes {list(a.shape)} and {list(b.shape)}; "
            "resize the hypotheses to the image first"
        )
    return a, b


def share(stack: BoolArray) -> FloatArray:
    """Share of masks that hold each pixel: float64 [..., H, W] of bool [..., n, H, W]."""
    # Adding bytes vectorises; counting booleans does not.
    total = np.add.reduce(stack.view(np.uint8), axis=-3, dtype=np.uint32)
    return np.asarray(total / np.float64(stack.shape[-3]))


def probability_map(pred: Any) -> FloatArray:
    """Share of hypotheses that hold each pixel, float64 [H, W], of bool [n, H, W] or of a map float [H, W].

    Raises:
        TypeError: neither bool nor floating.
        ValueError: wrong shape, or a map with values outside [0, 1] or NaN.
    """
    found = to_numpy(pred)
    if found.dtype == np.bool_:
        return share(masks(found, "pred"))
    if not np.issubdtype(found.dtype, np.floating):
        raise TypeError(
            f"pred: expected bool [n, H, W] or a floating map [H, W], came {found.dtype} {list(found.shape)}"
        )
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"pred: expected a probability map [H, W], came shape {list(found.shape)}")
    if not (found.min() >= 0.0 and found.max() <= 1.0):
        raise ValueError(
            f"pred: expected probabilities in [0, 1], came values from {found.min():g} to {found.max():g}; "
            "apply a sigmoid to logits first"
        )
    return found.astype(np.float64)


def map_and_raters(pred: Any, raters: Any, weights: Any) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Probability map [H, W] of `pred`, raters bool [m, H, W] and their weights [m], checked together."""
    chance = probability_map(pred)
    stack = masks(raters, "raters")
    if chance.shape != stack.shape[1:]:
        raise ValueError(
            f"pred and raters: expected one image size, came {list(chance.shape)} and {list(stack.shape[1:])}"
        )
    return chance, stack, rater_weights(weights, (len(stack),))


def rater_weights(weights: Any, shape: tuple[int, ...], name: str = "weights") -> FloatArray:
    """Weights normalised to sum one over the last axis; uniform for None.

    Args:
        weights: float, at least zero, broadcastable to `shape`; None for equal weights.
        shape: [..., m].
    """
    if weights is None:
        return np.full(shape, 1.0 / shape[-1])
    found = to_numpy(weights)
    if found.ndim == 0 or found.shape[-1] != shape[-1] or found.ndim > len(shape):
        raise ValueError(f"{name}: expected one weight a mask, {list(shape)}, came shape {list(found.shape)}")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, came {found.dtype}")
    values = np.broadcast_to(found.astype(np.float64), shape)
    largest = values.max(axis=-1, keepdims=True)
    if not (np.all(np.isfinite(values)) and values.min() >= 0.0 and largest.min() > 0.0):
        raise ValueError(
            f"{name}: expected finite weights of at least 0 with a positive sum, came {found.tolist()}"
        )
    # Sums of numbers up to 1 neither overflow nor vanish.
    scaled = values / largest
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))
