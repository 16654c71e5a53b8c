"""csrc/ops/resize_masks against segment_anything's postprocess_masks, by torch's interpolate twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from asam_trt import _ops
from asam_trt.geometry import Frame

# Up, down, equal, thin, tiny, and sizes around the tile edges (64 rows, 1024 columns).
SIZES = [
    (48, 85, 64), (100, 37, 128), (128, 128, 128), (33, 500, 256), (240, 180, 256), (9, 7, 16),
    (540, 960, 64), (50, 70, 512), (64, 63, 64), (65, 1025, 64), (1, 2, 16), (63, 1024, 512), (129, 3, 128),
]  # fmt: skip


def reference(logits: np.ndarray, frame: Frame, dtype: torch.dtype = torch.float32) -> np.ndarray:
    ih, iw = frame.input
    maps = torch.from_numpy(logits).to(dtype)[None]
    maps = functional.interpolate(maps, (frame.side, frame.side), mode="bilinear", align_corners=False)
    maps = functional.interpolate(maps[..., :ih, :iw], frame.original, mode="bilinear", align_corners=False)
    return maps[0].numpy()


def rounding(logits: np.ndarray, frame: Frame) -> float:
    """What one rounding of a position in model space, where PyTorch may or may not have one, changes a value by."""
    step = max(float(np.abs(np.diff(logits, axis=axis)).max(initial=0)) for axis in (1, 2))
    apart = frame.logits_side / frame.side  # model pixels, in those of the logits
    return 1e-5 + float(np.spacing(np.float32(frame.side - 1))) * step * apart


# Logits at every fourth pixel of model space, or, with cells of 4 pixels, at every one.
@pytest.fixture(
    params=[*((*size, 16) for size in SIZES), *((*size, 4) for size in SIZES[:5])],
    ids=lambda s: "x".join(map(str, s)),
)
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, Frame]:
    h, w, side, cell = request.param
    frame = Frame.of(h, w, side, cell)
    # Four maps: for three, PyTorch may take its kernel for colour images, which rounds positions otherwise.
    logits = 5 * np.random.default_rng(0).standard_normal((4, frame.logits_side, frame.logits_side))
    return logits.astype(np.float32), frame


def arguments(frame: Frame) -> tuple[int, tuple[int, int], tuple[int, int]]:
    return frame.side, frame.input, frame.original


def test_logits_agree_with_two_interpolations(case: tuple[np.ndarray, Frame]) -> None:
    logits, frame = case
    found = _ops.resize_logits(logits, *arguments(frame))
    np.testing.assert_allclose(found, reference(logits, frame), rtol=0, atol=rounding(logits, frame))


def test_masks_differ_on_the_boundary_only(case: tuple[np.ndarray, Frame]) -> None:
    logits, frame = case
    expected = reference(logits, frame)
    found = _ops.masks_from_logits(logits, *arguments(frame))
    assert found.dtype == np.bool_
    assert found.shape == (4, *frame.original)
    flipped = found != (expected > 0)
    assert np.abs(expected[flipped]).max(initial=0) < rounding(logits, frame)
    assert flipped.mean() < 1e-4


def test_is_as_near_the_exact_resize_as_sam_itself() -> None:
    """SAM's own masks are not the same to the last pixel on every processor: both round, by as much as each other."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs, flipped, pixels = [], [], 0, 0
    for h, w, side in SIZES:
        frame = Frame.of(h, w, side)
        smooth = 5 * torch.randn(4, 1, 6, 6, generator=generator)
        maps = functional.interpolate(smooth, (side // 4, side // 4), mode="bicubic")[:, 0].numpy()
        exact, sam = reference(maps, frame, torch.float64), reference(maps, frame)
        ours.append(np.abs(_ops.resize_logits(maps, *arguments(frame)) - exact).max())
        theirs.append(np.abs(sam - exact).max())
        flipped += int((_ops.masks_from_logits(maps, *arguments(frame)) != (sam > 0)).sum())
        pixels += sam.size
    assert np.mean(ours) <= 1.05 * np.mean(theirs)
    assert flipped <= 1e-6 * pixels


def test_packed_masks_are_those_of_the_masks(case: tuple[np.ndarray, Frame]) -> None:
    logits, frame = case
    for threshold in (0.0, 1.5):
        masks = _ops.masks_from_logits(logits, *arguments(frame), threshold)
        packed = _ops.packed_masks_from_logits(logits, *arguments(frame), threshold)
        np.testing.assert_array_equal(packed, _ops.pack_masks(masks))


def test_statistics_are_those_of_the_masks(case: tuple[np.ndarray, Frame]) -> None:
    logits, frame = case
    for threshold in (0.0, 1.5):
        masks = _ops.masks_from_logits(logits, *arguments(frame), threshold)
        counts, areas = _ops.mask_statistics(logits, *arguments(frame), threshold)
        np.testing.assert_array_equal(counts, masks.sum(axis=0))
        np.testing.assert_array_equal(areas, masks.sum(axis=(1, 2)))


@settings(max_examples=200)
@given(
    h=st.integers(1, 400),
    w=st.integers(1, 400),
    side=st.sampled_from([16, 64, 192]),
    seed=st.integers(0, 2**31),
    patches=st.integers(1, 8),
    level=st.sampled_from([0.0, 1.2e-7, 1e-6, 1e-38, 1.0, 1e30]),
    noise=st.sampled_from([0.0, 1e-7]),
    threshold=st.sampled_from([0.0, 1.0, -1.0]),
    spoiled=st.sampled_from([None, np.nan, np.inf, -np.inf]),
)
def test_pieces_on_one_side_of_the_threshold_are_known_without_their_pixels(
    h: int,
    w: int,
    side: int,
    seed: int,
    patches: int,
    level: float,
    noise: float,
    threshold: float,
    spoiled: float | None,
) -> None:
    """Flat patches, at, just above and just below the threshold: every pixel as where all of them are made."""
    try:
        frame = Frame.of(h, w, side)
    except ValueError:
        return
    generator = np.random.default_rng(seed)
    m = side // 4
    coarse = threshold + level * generator.integers(-2, 3, (3, patches, patches))
    at = np.arange(m) * patches // m
    logits = np.ascontiguousarray(coarse[:, at][:, :, at], np.float32)
    logits *= generator.choice([1, 1 + noise, 1 - noise], logits.shape).astype(np.float32)
    if spoiled is not None:
        logits[generator.random(logits.shape) < 0.01] = spoiled
    expected = _ops.resize_logits(logits, *arguments(frame)) > threshold
    masks = _ops.masks_from_logits(logits, *arguments(frame), threshold)
    counts, areas = _ops.mask_statistics(logits, *arguments(frame), threshold)
    np.testing.assert_array_equal(counts, masks.sum(axis=0))
    np.testing.assert_array_equal(areas, masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(
        _ops.packed_masks_from_logits(logits, *arguments(frame), threshold), _ops.pack_masks(masks)
    )
    np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, 0.3])
@pytest.mark.parametrize("size", [(100, 130, 16), (301, 400, 64), (500, 37, 64)])
def test_a_map_that_rounding_takes_over_the_threshold(size: tuple[int, int, int], threshold: float) -> None:
    """All of one number a step or two of float32 from the threshold: some pixels come out on the other side."""
    frame = Frame.of(*size)
    steps = np.float32(threshold) + np.arange(-3, 4, dtype=np.float32) * np.spacing(np.float32(threshold))
    logits = np.repeat(steps, (frame.side // 4) ** 2).reshape(-1, frame.side // 4, frame.side // 4)
    expected = _ops.resize_logits(logits, *arguments(frame)) > np.float32(threshold)
    np.testing.assert_array_equal(_ops.masks_from_logits(logits, *arguments(frame), threshold), expected)


def test_what_has_no_weight_counts_where_it_is_not_finite() -> None:
    """0 times NaN is NaN: a tile beside such a logit is not known by the others."""
    logits = np.ones((1, 30, 30), np.float32)
    logits[0, :, 5] = np.nan
    arguments = 30, (20, 20), (256, 300)
    expected = _ops.resize_logits(logits, *arguments) > 0
    np.testing.assert_array_equal(_ops.masks_from_logits(logits, *arguments), expected)


def test_masks_beyond_what_the_c_library_keeps() -> None:
    """More than 16 MiB: memory in huge pages."""
    frame = Frame.of(2100, 2100, 128)
    logits = np.random.default_rng(0).standard_normal((8, 32, 32)).astype(np.float32)
    masks = _ops.masks_from_logits(logits, *arguments(frame))
    assert masks.nbytes > 1 << 24
    np.testing.assert_array_equal(masks[5], _ops.masks_from_logits(logits[5:6], *arguments(frame))[0])


def test_results_do_not_depend_on_threads(case: tuple[np.ndarray, Frame]) -> None:
    logits, frame = case
    before = _ops.get_num_threads()
    try:
        _ops.set_num_threads(1)
        one = _ops.resize_logits(logits, *arguments(frame)), *_ops.mask_statistics(logits, *arguments(frame))
        _ops.set_num_threads(3)
        three = (
            _ops.resize_logits(logits, *arguments(frame)),
            *_ops.mask_statistics(logits, *arguments(frame)),
        )
    finally:
        _ops.set_num_threads(before)
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_constant_stays_itself_and_padding_has_no_weight() -> None:
    frame = Frame.of(30, 64, 64)
    logits = np.full((1, 16, 16), 2.5, np.float32)
    # What SAM's crop cuts off must not leak in: the two rows that border it still touch the last input row.
    logits[:, frame.input[0] // 4 + 2 :] = np.nan
    np.testing.assert_array_equal(_ops.resize_logits(logits, *arguments(frame)), np.full((1, 30, 64), 2.5))


def test_zero_is_background_and_no_hypotheses_give_none() -> None:
    frame = Frame.of(16, 16, 16)
    assert not _ops.masks_from_logits(np.zeros((1, 4, 4), np.float32), *arguments(frame)).any()
    counts, areas = _ops.mask_statistics(np.zeros((0, 4, 4), np.float32), *arguments(frame))
    assert areas.shape == (0,)
    assert not counts.any()


@pytest.mark.parametrize(
    ("logits", "side", "inputs", "output"),
    [
        (np.zeros((1, 4, 8), np.float32), 16, (16, 16), (9, 9)),
        (np.zeros((1, 2, 2), np.float32), 16, (16, 16), (9, 9)),
        (np.zeros((0, 16385, 16385), np.float32), 40000, (40000, 40000), (9, 9)),
        (np.zeros((1, 8, 8), np.float32), 4, (4, 4), (9, 9)),
        (np.zeros((1, 4, 4), np.float32), 16, (17, 16), (9, 9)),
        (np.zeros((1, 4, 4), np.float32), 16, (0, 16), (9, 9)),
        (np.zeros((1, 4, 4), np.float32), 16, (16, 16), (0, 9)),
        (np.zeros((1, 4, 4), np.float32), 16, (16, 16), (9, 1 << 40)),
    ],
)
def test_wrong_sizes_are_refused(logits: np.ndarray, side: int, inputs: Any, output: Any) -> None:
    for operation in (_ops.masks_from_logits, _ops.mask_statistics, _ops.resize_logits):
        with pytest.raises(ValueError, match="expected"):
            operation(logits, side, inputs, output)


def test_other_dtypes_are_not_converted_silently() -> None:
    with pytest.raises(TypeError):
        _ops.resize_logits(np.zeros((1, 4, 4)), 16, (16, 16), (9, 9))


def test_counts_stand_for_numbers() -> None:
    table = np.random.default_rng(0).standard_normal(33).astype(np.float32)
    counts = np.random.default_rng(1).integers(0, 33, (300, 400)).astype(np.int32)
    np.testing.assert_array_equal(_ops.look_up(counts, table), table[counts])
    assert _ops.look_up(np.zeros((0, 3), np.int32), table).shape == (0, 3)


@pytest.mark.parametrize("count", [-1, 33, -(2**31), 2**31 - 1])
def test_counts_without_a_number_are_refused(count: int) -> None:
    counts = np.zeros((300, 400), np.int32)
    counts[-1, -1] = count
    with pytest.raises(ValueError, match="expected 0 to 32"):
        _ops.look_up(counts, np.zeros(33, np.float32))
    with pytest.raises(ValueError, match="at least one number"):
        _ops.look_up(counts, np.zeros(0, np.float32))
