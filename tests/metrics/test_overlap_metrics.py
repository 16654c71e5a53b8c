"""GED, HM-IoU, Dmax and Dmean against brute force from their formulas, on masks that hypothesis makes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asam import metrics

Masks = npt.NDArray[np.bool_]
POLICIES = ("one", "zero", "skip")


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def stacks(count: st.SearchStrategy[int], height: int, width: int) -> st.SearchStrategy[Masks]:
    """Stacks of masks in which empty, full and one-pixel masks are common."""

    def mask(kind: int, bits: int) -> Masks:
        flat = np.zeros(height * width, dtype=np.bool_)
        if kind == 1:
            flat[bits % flat.size] = True
        elif kind == 2:
            flat[:] = True
        elif kind >= 3:
            flat[:] = [(bits >> k) & 1 for k in range(flat.size)]
        return flat.reshape(height, width)

    one = st.builds(mask, st.integers(0, 6), st.integers(0, 2 ** (height * width) - 1))
    return count.flatmap(lambda n: st.lists(one, min_size=n, max_size=n)).map(np.stack)


@st.composite
def images(draw: st.DrawFn, most_pred: int = 5, most_raters: int = 4) -> tuple[Masks, Masks]:
    height, width = draw(st.sampled_from([(1, 1), (2, 3), (3, 5), (8, 8), (5, 13)]))
    pred = draw(stacks(st.integers(1, most_pred), height, width))
    return pred, draw(stacks(st.integers(1, most_raters), height, width))


weight_lists = st.lists(st.floats(0.1, 3.0), min_size=4, max_size=4)


def iou(a: Masks, b: Masks, empty: str) -> float:
    union = np.logical_or(a, b).sum()
    if union == 0:
        return {"one": 1.0, "zero": 0.0, "skip": math.nan}[empty]
    return float(np.logical_and(a, b).sum() / union)


def dice(a: Masks, b: Masks, empty: str) -> float:
    total = a.sum() + b.sum()
    if total == 0:
        return {"one": 1.0, "zero": 0.0, "skip": math.nan}[empty]
    return float(2 * np.logical_and(a, b).sum() / total)


def weighted(terms: list[tuple[float, float]]) -> float:
    """Mean of (weight, value), NaN values left out."""
    kept = [(w, v) for w, v in terms if not math.isnan(v)]
    mass = sum(w for w, _ in kept)
    return sum(w * v for w, v in kept) / mass if mass > 0 else math.nan


def spread(masks: Masks, w: list[float], form: str, empty: str) -> float:
    pairs = [
        (w[i] * w[j], 1 - iou(masks[i], masks[j], empty))
        for i, j in itertools.product(range(len(masks)), repeat=2)
        if form == "V" or i != j
    ]
    mean = weighted(pairs)
    return 0.0 if math.isnan(mean) and pairs else mean


def brute_ged(pred: Masks, raters: Masks, form: str, empty: str, w: list[float]) -> float:
    even = [1.0] * len(pred)
    cross = weighted([(b, 1 - iou(s, y, empty)) for s in pred for b, y in zip(w, raters, strict=True)])
    return 2 * cross - spread(pred, even, form, empty) - spread(raters, w, form, empty)


def same(value: float, expected: float) -> None:
    assert value == near(expected)


@given(images(), st.sampled_from(["V", "U"]), st.sampled_from(POLICIES), weight_lists)
@settings(max_examples=150, deadline=None)
def test_ged_is_its_formula(image: tuple[Masks, Masks], form: Any, empty: Any, weights: list[float]) -> None:
    pred, raters = image
    w = weights[: len(raters)]
    if form == "U" and min(len(pred), len(raters)) < 2:
        with pytest.raises(ValueError, match="at least 2"):
            metrics.ged(pred, raters, form=form, empty=empty, weights=w)
        return
    same(
        metrics.ged(pred, raters, form=form, empty=empty, weights=w), brute_ged(pred, raters, form, empty, w)
    )


@given(images(), st.sampled_from(["one", "zero"]), weight_lists)
@settings(max_examples=80, deadline=None)
def test_ged_v_is_a_squared_distance(image: tuple[Masks, Masks], empty: Any, weights: list[float]) -> None:
    """Intersection over union is a positive definite kernel, and GED its squared mean discrepancy."""
    pred, raters = image
    value = metrics.ged(pred, raters, empty=empty, weights=weights[: len(raters)])
    assert -1e-12 <= value <= 2.0
    same(metrics.ged(raters, pred, empty=empty), metrics.ged(pred, raters, empty=empty))
    same(metrics.ged(np.tile(raters, (3, 1, 1)), raters, empty=empty), 0.0)


@given(images(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_of_masks_and_pixels_does_not_matter(image: tuple[Masks, Masks], random: Any) -> None:
    pred, raters = image
    shuffled_pred = pred[random.sample(range(len(pred)), len(pred))]
    shuffled_raters = raters[random.sample(range(len(raters)), len(raters))]
    pixels = random.sample(range(pred[0].size), pred[0].size)

    def rearranged(stack: Masks) -> Masks:
        return stack.reshape(len(stack), -1)[:, pixels].reshape(stack.shape)

    names = [n for n in metrics.METRIC_NAMES if n not in {"ged_u", "ged_floor"}]
    straight = metrics.evaluate_masks(pred, raters, names=names)
    crooked = metrics.evaluate_masks(rearranged(shuffled_pred), rearranged(shuffled_raters), names=names)
    assert crooked == near(straight)


@given(images(most_pred=2), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_floor_of_independent_raters(image: tuple[Masks, Masks], n: int) -> None:
    _, raters = image
    m = len(raters)
    if m == 1:
        with pytest.raises(ValueError, match="at least 2"):
            metrics.ged_floor(raters, n)
        return
    distance = spread(raters, [1.0] * m, "U", "one")
    same(metrics.ged_floor(raters, n), distance * (1 / n + 1 / m))
    assert metrics.ged_floor(raters, n, form="U") == 0.0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_floor_of_a_known_law_is_the_mean_over_all_draws(n: int) -> None:
    rng = np.random.default_rng(3)
    modes = rng.random((3, 6, 7)) < 0.4
    probs = [0.5, 0.3, 0.2]
    expected = sum(
        math.prod(probs[k] for k in draw) * metrics.ged(modes[list(draw)], modes, weights=probs)
        for draw in itertools.product(range(3), repeat=n)
    )
    same(metrics.ged_floor(modes, n, weights=probs, raters_are="law"), expected)


@pytest.mark.parametrize("form", ["V", "U"])
def test_floor_is_what_draws_from_one_law_score_on_average(form: Any) -> None:
    """All equally likely draws of 2 hypotheses and 2 raters from three modes, enumerated."""
    rng = np.random.default_rng(5)
    modes = rng.random((3, 6, 7)) < 0.4
    ged, floor = [], []
    for draw in itertools.product(range(3), repeat=4):
        pred, raters = modes[list(draw[:2])], modes[list(draw[2:])]
        ged.append(metrics.ged(pred, raters, form=form))
        floor.append(metrics.ged_floor(raters, 2, form=form))
    same(float(np.mean(ged)), float(np.mean(floor)))


def brute_repeated(pred: Masks, raters: Masks, empty: str) -> float:
    total = math.lcm(len(pred), len(raters))
    table = np.array([[iou(s, y, empty) for y in raters] for s in pred])
    table = np.repeat(np.repeat(table, total // len(pred), 0), total // len(raters), 1)
    return max(float(table[range(total), order].mean()) for order in itertools.permutations(range(total)))


@given(
    st.sampled_from([(1, 1), (2, 2), (3, 3), (4, 2), (6, 2), (6, 3), (2, 6), (3, 2), (1, 4)]),
    st.data(),
    st.sampled_from(["one", "zero"]),
)
@settings(max_examples=60, deadline=None)
def test_repeated_matching_is_the_best_permutation(
    sizes: tuple[int, int], data: st.DataObject, empty: Any
) -> None:
    pred = data.draw(stacks(st.just(sizes[0]), 3, 4))
    raters = data.draw(stacks(st.just(sizes[1]), 3, 4))
    expected = brute_repeated(pred, raters, empty)
    same(metrics.hm_iou(pred, raters, matching="repeated", empty=empty), expected)
    same(metrics.hm_iou(pred, raters, matching="emd", empty=empty), expected)


@given(images(most_pred=5, most_raters=4), st.sampled_from(["one", "zero"]))
@settings(max_examples=80, deadline=None)
def test_rectangular_matching_is_the_best_injection(image: tuple[Masks, Masks], empty: Any) -> None:
    pred, raters = image
    small, large = sorted((pred, raters), key=len)
    expected = max(
        sum(iou(a, large[k], empty) for a, k in zip(small, chosen, strict=True)) / len(small)
        for chosen in itertools.permutations(range(len(large)), len(small))
    )
    value = metrics.hm_iou(pred, raters, matching="rectangular", empty=empty)
    same(value, expected)
    if len(pred) >= len(raters):
        assert value >= metrics.hm_iou(pred, raters, empty=empty) - 1e-12


@given(st.data(), st.lists(st.integers(1, 4), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_transport_with_whole_weights_is_a_matching_of_copies(data: st.DataObject, copies: list[int]) -> None:
    pred = data.draw(stacks(st.just(4), 3, 4))
    raters = data.draw(stacks(st.just(3), 3, 4))
    value = metrics.hm_iou(pred, raters, matching="emd", weights=copies)
    same(value, metrics.hm_iou(pred, np.repeat(raters, copies, axis=0), matching="repeated"))


@pytest.mark.parametrize(("n", "m"), [(16, 7), (20, 9), (5, 13)])
def test_many_copies_give_what_the_transport_program_gives(n: int, m: int) -> None:
    """Sizes whose least common multiple is large are solved without copies; the value must not show it."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(n)
    pred, raters = rng.random((n, 9, 9)) < 0.3, rng.random((m, 9, 9)) < 0.3
    total = math.lcm(n, m)
    table = np.array([[iou(s, y, "one") for y in raters] for s in pred])
    table = np.repeat(np.repeat(table, total // n, 0), total // m, 1)
    expected = table[linear_sum_assignment(table, maximize=True)].mean()
    same(metrics.hm_iou(pred, raters), float(expected))


def test_skipping_leaves_matched_empties_out() -> None:
    masks = np.zeros((3, 2, 2), dtype=np.bool_)
    masks[0, 0], masks[1, 1] = True, True
    for matching in ("repeated", "rectangular", "emd"):
        assert metrics.hm_iou(masks, masks[[0, 2, 2]], matching=matching, empty="skip") == pytest.approx(0.5)
        assert math.isnan(metrics.hm_iou(masks[2:], masks[2:], matching=matching, empty="skip"))


@pytest.mark.parametrize("matching", ["repeated", "rectangular", "emd"])
def test_skipped_empties_are_matched_to_each_other(matching: Any) -> None:
    """Matching them to the rest would cost nothing in sum, but more in the mean of what is left."""
    masks = np.zeros((4, 2, 2), dtype=np.bool_)
    masks[0, 0], masks[1, 1, 0], masks[2, 1, 1] = True, True, True
    assert metrics.hm_iou(masks[[0, 1, 3]], masks[[0, 3, 2]], matching=matching, empty="skip") == near(0.5)


@given(images(), st.sampled_from(POLICIES), weight_lists)
@settings(max_examples=120, deadline=None)
def test_dmax_and_dmean_are_their_formulas(
    image: tuple[Masks, Masks], empty: Any, weights: list[float]
) -> None:
    pred, raters = image
    w = weights[: len(raters)]
    table = [[dice(s, y, empty) for y in raters] for s in pred]

    def best(values: list[float]) -> float:
        return max((v for v in values if not math.isnan(v)), default=math.nan)

    same(metrics.dmax(pred, raters, kind="any", empty=empty), best([v for row in table for v in row]))
    same(
        metrics.dmax(pred, raters, kind="per_sample", empty=empty),
        weighted([(1.0, best(row)) for row in table]),
    )
    columns = [best([row[j] for row in table]) for j in range(len(raters))]
    expected = weighted(list(zip(w, columns, strict=True)))
    same(metrics.dmax(pred, raters, kind="per_rater", empty=empty, weights=w), expected)
    pairs = weighted([(w[j], row[j]) for row in table for j in range(len(raters))])
    same(metrics.dmean(pred, raters, empty=empty, weights=w), pairs)


def test_dmax_leaves_out_who_has_no_pair_left() -> None:
    some, none = np.ones((1, 2, 2), dtype=np.bool_), np.zeros((1, 2, 2), dtype=np.bool_)
    both = np.concatenate([some, none])
    assert metrics.dmax(both, none, kind="per_sample", empty="skip") == 0.0
    assert metrics.dmax(none, both, kind="per_rater", empty="skip") == 0.0
    assert math.isnan(metrics.dmax(none, none, kind="any", empty="skip"))


def test_mean_logit_thresholds_the_mean_and_not_the_mean_mask() -> None:
    logits = np.array([[[3.0, -1.0]], [[-1.0, -1.0]]], dtype=np.float32)
    raters = np.array([[[True, False]], [[True, True]]])
    assert metrics.dmean(logits, raters, kind="mean_logit") == pytest.approx((1.0 + 2 / 3) / 2)
    with pytest.raises(TypeError, match="expected floating logits"):
        metrics.dmean(logits > 0, raters, kind="mean_logit")
    with pytest.raises(ValueError, match="expected finite logits"):
        metrics.dmean(np.full_like(logits, np.nan), raters, kind="mean_logit")


def test_a_model_that_answers_nothing_is_not_excused_by_skipping() -> None:
    pred = np.zeros((3, 4, 4), dtype=np.bool_)
    raters = np.ones((2, 4, 4), dtype=np.bool_)
    assert metrics.ged(pred, raters, empty="skip") == pytest.approx(2.0)
    assert math.isnan(metrics.ged(pred, pred, empty="skip"))
    # Two empty masks at distance 1 from each other, and from themselves.
    assert metrics.ged(pred, pred, empty="zero") == pytest.approx(0.0)
