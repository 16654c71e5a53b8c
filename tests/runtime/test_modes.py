from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from asam_trt.modes import find_modes, iou_distances, k_medoids, mean_silhouette


def boxes(*spans: tuple[int, int, int, int]) -> np.ndarray:
    """Masks [n, 40, 50] that are boxes xyxy."""
    masks = np.zeros((len(spans), 40, 50), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, spans, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def grouped(rng: np.random.Generator, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Masks of as many clearly different readings as there are sizes, shuffled, and which one each is."""
    base = [(2, 2, 22, 22), (20, 10, 48, 38), (2, 26, 14, 38), (30, 2, 48, 8)]
    masks, truth = [], []
    for reading, size in enumerate(sizes):
        for _ in range(size):
            x0, y0, x1, y1 = base[reading]
            dx, dy = rng.integers(0, 2, 2)
            masks.append(boxes((x0 + dx, y0, x1, y1 + dy))[0])
            truth.append(reading)
    order = rng.permutation(len(masks))
    return np.array(masks)[order], np.array(truth)[order]


def test_distances_are_one_minus_iou() -> None:
    masks = boxes((0, 0, 10, 10), (5, 0, 15, 10), (0, 0, 0, 0), (0, 0, 0, 0), (20, 20, 30, 30))
    expected = np.zeros((5, 5))
    for i, j in combinations(range(5), 2):
        union = (masks[i] | masks[j]).sum()
        expected[i, j] = expected[j, i] = 1 - (masks[i] & masks[j]).sum() / union if union else 0
    np.testing.assert_allclose(iou_distances(masks), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_medoids_are_as_good_as_the_best_of_all_choices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((9, 2))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    for k in (1, 2, 3):
        best = min(distances[:, list(c)].min(axis=1).sum() for c in combinations(range(9), k))
        cost = distances[:, k_medoids(distances, k)].min(axis=1).sum()
        # PAM ends in a local optimum; on nine points it is the global one or next to it.
        assert cost <= best * (1.0 + 1e-12 if k == 1 else 1.1)


@pytest.mark.parametrize("sizes", [[20], [16, 12], [14, 6, 4], [5, 5, 5, 5]])
def test_the_number_of_readings_is_found(sizes: list[int]) -> None:
    masks, truth = grouped(np.random.default_rng(len(sizes)), sizes)
    modes = find_modes(masks)
    assert len(modes) == len(sizes)
    np.testing.assert_allclose(modes.probabilities, sorted(np.array(sizes) / sum(sizes), reverse=True))
    for m in range(len(modes)):
        assert len(set(truth[modes.assignment == m])) == 1
        np.testing.assert_array_equal(modes[m].mask, masks[modes[m].index])


def test_spread_is_the_mean_distance_to_the_medoid() -> None:
    masks, _ = grouped(np.random.default_rng(0), [10, 7])
    modes = find_modes(masks, 2)
    distances = iou_distances(masks)
    for m, mode in enumerate(modes):
        members = np.flatnonzero(modes.assignment == m)
        assert mode.spread == pytest.approx(distances[members, mode.index].mean())


def test_empty_masks_are_a_mode_of_their_own() -> None:
    masks = np.concatenate([boxes((2, 2, 22, 22)).repeat(6, axis=0), np.zeros((3, 40, 50), bool)])
    modes = find_modes(masks)
    assert modes.probabilities.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert not modes[1].mask.any()


def test_equal_masks_share_a_mode_whatever_k() -> None:
    modes = find_modes(boxes((2, 2, 22, 22)).repeat(5, axis=0), 3)
    assert len(modes) == 1
    assert modes[0].probability == 1
    assert modes[0].spread == 0


def test_the_same_masks_give_the_same_modes() -> None:
    masks, _ = grouped(np.random.default_rng(3), [9, 8])
    first, again = find_modes(masks, 4), find_modes(masks.copy(), 4)
    np.testing.assert_array_equal(first.medoids, again.medoids)
    np.testing.assert_array_equal(first.assignment, again.assignment)


def test_silhouette_by_its_definition() -> None:
    points = np.array([0.0, 1.0, 10.0, 12.0, 30.0])
    distances = np.abs(points[:, None] - points)
    labels = np.array([0, 0, 1, 1, 2])
    expected = np.mean([(11 - 1) / 11, (10 - 1) / 10, (9.5 - 2) / 9.5, (11.5 - 2) / 11.5, 0])
    assert mean_silhouette(distances, labels) == pytest.approx(expected)


def test_wrong_k_is_refused() -> None:
    masks = boxes((0, 0, 5, 5), (0, 0, 6, 6))
    for k in (0, 3, -1):
        with pytest.raises(ValueError, match="expected k from 1 to"):
            find_modes(masks, k)
    for k in (1.5, True, "2"):
        with pytest.raises(TypeError, match="expected k"):
            find_modes(masks, k)  # type: ignore[arg-type]


def test_empty_masks_leave_loose_groups() -> None:
    rng = np.random.default_rng(0)
    loose = boxes(*((x, y, x + 18, y + 14) for x, y in rng.integers(0, 20, (9, 2)).tolist()))
    masks = np.concatenate([loose[:5], np.zeros((3, 40, 50), bool), loose[5:]])
    found = find_modes(masks)
    empty = ~masks.any(axis=(1, 2))
    assert not found.masks[-1].any()
    assert found.probabilities[-1] == 3 / 12
    np.testing.assert_array_equal(found.assignment == len(found) - 1, empty)
    assert len(find_modes(masks[empty])) == 1


def test_masks_without_a_pixel_in_common_are_not_taken_for_empty_ones() -> None:
    masks = boxes(*[(0, 0, 20, 20)] * 6, (30, 30, 40, 40), (0, 0, 0, 0))
    found = find_modes(masks)
    assert [i for i in range(len(found)) if not found.masks[i].any()] == [found.assignment[-1]]
    assert found.assignment[-2] != found.assignment[-1]


def test_one_mode_of_unlike_masks_says_so() -> None:
    alike, unlike = boxes(*[(2, 2, 22, 22)] * 4), boxes((0, 0, 40, 30), (5, 5, 20, 30), (0, 10, 45, 20))
    assert find_modes(alike).clear
    assert "no clear groups" not in repr(find_modes(alike))
    assert not find_modes(unlike, 1).clear
    assert "no clear groups" in repr(find_modes(unlike, 1))


def test_an_empty_mode_beside_a_loose_one_is_named() -> None:
    masks = np.zeros((4, 8, 8), np.bool_)
    for i in range(2):
        masks[i, 3 * i : 3 * i + 4] = True
    masks[2, 2:6] = True
    modes = find_modes(masks)
    assert not modes.clear
    assert repr(modes).endswith("25% empty of 4 hypotheses; no clear groups among the others)")
