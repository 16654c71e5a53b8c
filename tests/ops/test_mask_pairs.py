"""Bit-packed mask counting, every implementation that runs here, at sizes around lane edges."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from asam_trt import _ops

# Around words (64 pixels), 256- and 512-bit vectors of words, and the blocks of rows.
PIXELS = [1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1025, 4095, 4097]
KERNELS = _ops.mask_kernels()


def random_masks(n: int, pixels: int, seed: int) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    masks = rng.random((n, 1, pixels)) < rng.random((n, 1, 1))
    masks[0] = True
    masks[n // 2] = False
    return masks


def shared(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.asarray(np.einsum("ihw,jhw->ij", a.astype(np.int64), b.astype(np.int64)))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("pixels", PIXELS)
def test_packing_is_numpys(kernel: str, pixels: int) -> None:
    masks = random_masks(5, pixels, pixels)
    packed = _ops.pack_masks(masks, kernel)
    words = -(-pixels // 64)
    padded = np.zeros((5, words * 64), dtype=np.bool_)
    padded[:, :pixels] = masks[:, 0]
    assert packed.dtype == np.uint64
    np.testing.assert_array_equal(packed, np.packbits(padded, axis=1, bitorder="little").view("<u8"))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 7), (9, 8), (2, 17)])
def test_intersections_are_exact(kernel: str, pixels: int, n: int, m: int) -> None:
    a, b = random_masks(n, pixels, 1), random_masks(m, pixels, 2)
    found = _ops.pairwise_intersections(_ops.pack_masks(a, kernel), _ops.pack_masks(b, kernel), kernel)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, shared(a, b))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_counts_of_a_batch(kernel: str, images: int, threads: int) -> None:
    pred = random_masks(images * 11, 37, 3).reshape(images, 11, 37, 1)
    raters = random_masks(images * 4, 37, 4).reshape(images, 4, 37, 1)
    before = _ops.get_num_threads()
    _ops.set_num_threads(threads)
    try:
        cross, within_pred, within_raters = _ops.pair_counts(pred, raters, kernel)
    finally:
        _ops.set_num_threads(before)
    for b in range(images):
        np.testing.assert_array_equal(cross[b], shared(pred[b], raters[b]))
        np.testing.assert_array_equal(within_pred[b], shared(pred[b], pred[b]))
        np.testing.assert_array_equal(within_raters[b], shared(raters[b], raters[b]))


@pytest.mark.parametrize("kernel", KERNELS[1:])  # bit by bit, the reference takes seconds
def test_large_masks_on_several_threads(kernel: str) -> None:
    masks = random_masks(40, 300_001, 5)
    cross, within, _ = _ops.pair_counts(masks[None], masks[None, :3], kernel)
    flat = masks[:, 0].astype(np.float32)
    np.testing.assert_array_equal(within[0], flat @ flat.T)
    np.testing.assert_array_equal(cross[0], flat @ flat[:3].T)


@pytest.mark.parametrize("kernel", KERNELS)
def test_any_byte_that_is_not_zero_counts(kernel: str) -> None:
    masks = np.arange(256, dtype=np.uint8).reshape(1, 4, 64).view(np.bool_)
    packed = _ops.pack_masks(masks, kernel)
    assert _ops.pairwise_intersections(packed, packed, kernel).item() == 255


@pytest.mark.parametrize("isa", _ops.supported_isas())
def test_the_kernel_stays_within_the_forced_instruction_set(isa: str) -> None:
    script = (
        "import numpy as np; from asam_trt import _ops; "
        "m = np.random.default_rng(0).random((9, 31, 33)) < 0.5; "
        "print(_ops.mask_kernel(), int(_ops.pair_counts(m[None], m[None])[0].sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ASAM_FORCE_ISA": isa},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    masks = np.random.default_rng(0).random((9, 31, 33)) < 0.5
    kernel, total = done.stdout.split()
    assert int(total) == shared(masks, masks).sum()
    own = {"avxvnni": "avx2", "neondot": "neon"}
    best = KERNELS[-1] if isa.startswith("avx512") else own.get(isa, isa)
    assert kernel == best


def test_arguments_are_checked() -> None:
    masks = random_masks(2, 65, 0)
    packed = _ops.pack_masks(masks)
    with pytest.raises(ValueError, match=r"kernel: expected one of auto, reference, portable.*got 'sse9'"):
        _ops.pack_masks(masks, "sse9")
    with pytest.raises(ValueError, match="expected 2 words a mask as in a, got 1"):
        _ops.pairwise_intersections(packed, packed[:, :1].copy())
    with pytest.raises(ValueError, match="expected length 65 of axis 3 as in pred, got 64"):
        _ops.pair_counts(masks[None], masks[None, :, :, 1:].copy())
    with pytest.raises(TypeError):
        _ops.pack_masks(masks.astype(np.uint8))
    with pytest.raises(TypeError):
        _ops.pack_masks(masks[:, :, ::2])
