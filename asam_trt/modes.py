"""Which different answers a stack of masks holds: k-medoids under the distance 1 - IoU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt import _ops
from asam_trt.checks import integer

Distances = npt.NDArray[np.float64]

# Kaufman and Rousseeuw (1990): a mean silhouette above 0.5 is a reasonable structure, below it is not.
_STRUCTURE = 0.5
# Representatives closer than this (IoU above 0.9) are one reading to a person.
_SEPARATION = 0.1
# A lone mode whose masks are further from it than this is no group of like masks.
_LOOSE = 0.3
_MOST_MODES = 8
UNCLEAR = "no clear groups"  # said of a lone mode that is none, beside its share of 100%
# Masks that can be grouped: some ten matrices of distances [n, n] are held at once, 0.5 GiB each.
MAX_GROUPED = 1 << 13
_CALL_WORDS = 1 << 33  # of packed masks compared in one native call, which an interrupt has to wait for


@dataclass(frozen=True, eq=False)
class Mode:
    """One reading of the object.

    Attributes:
        mask: bool [H, W], the hypothesis nearest to all others of its group (its medoid).
        probability: share of the hypotheses in the group. It estimates a probability where hypotheses are draws
            from a model's distribution, not where they are a plain SAM's masks of moved prompts.
        spread: mean 1 - IoU between the group and its medoid; 0 means that all are equal.
        index: which hypothesis the medoid is.
    """

    mask: npt.NDArray[np.bool_]
    probability: float
    spread: float
    index: int

    def __repr__(self) -> str:
        area = int(np.count_nonzero(self.mask))
        return (
            f"Mode({self.probability:.0%}, area {area} px, spread {self.spread:.2f}, hypothesis {self.index})"
        )


@dataclass(frozen=True)
class Modes:
    """Representative masks, the most probable first.

    Attributes:
        masks: bool [k, H, W].
        probabilities: float64 [k], sum 1.
        spread: float64 [k]; see `Mode`.
        medoids: int64 [k], hypothesis indices of the masks.
        assignment: int64 [n], the mode that each hypothesis belongs to.
    """

    masks: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    medoids: npt.NDArray[np.int64]
    assignment: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.medoids)

    def __getitem__(self, i: int) -> Mode:
        return Mode(self.masks[i], float(self.probabilities[i]), float(self.spread[i]), int(self.medoids[i]))

    def __iter__(self) -> Iterator[Mode]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        share = ", ".join(
            f"{p:.0%} (spread {s:.2f})" if marked else f"{p:.0%} empty"
            for p, s, marked in zip(
                self.probabilities, self.spread, np.asarray(self.masks.any(axis=(1, 2))), strict=True
            )
        )
        others = " among the others" if len(self) > 1 else ""  # than the empty ones
        unclear = "" if self.clear else f"; {UNCLEAR}{others}"
        n = len(self.assignment)
        return f"Modes({len(self)}: {share} of {n} {'hypothesis' if n == 1 else 'hypotheses'}{unclear})"

    @property
    def clear(self) -> bool:
        """False where one mode stands for masks that differ much (spread above 0.3): its share is then no certainty."""
        spread = self.spread[self.masks.any(axis=(1, 2))]
        return len(spread) != 1 or bool(spread[0] <= _LOOSE)


def iou_distances(masks: npt.NDArray[np.bool_]) -> Distances:
    """Pairwise 1 - IoU of bool [n, H, W] -> float64 [n, n]; two empty masks are equal (distance 0)."""
    return packed_distances(_ops.pack_masks(np.ascontiguousarray(masks)))


def packed_distances(packed: npt.NDArray[np.uint64]) -> Distances:
    """`iou_distances` of masks as `_ops.pack_masks` gives them, uint64 [n, words]."""
    n, words = packed.shape
    step = max(1, _CALL_WORDS // max(1, n * words))
    inter = np.empty((n, n), np.float64)
    for first in range(0, n, step):
        part = slice(first, first + step)
        inter[part] = _ops.pairwise_intersections(packed[part], packed)
    area = np.diagonal(inter)
    union = area[:, None] + area[None, :] - inter
    return np.where(union > 0, 1.0 - inter / np.maximum(union, 1.0), 0.0)


def find_modes(masks: npt.NDArray[np.bool_], k: int | None = None) -> Modes:
    """Group bool [n, H, W] around at most k medoids; k=None chooses k.

    With k=None empty masks are a mode of their own, and the others are grouped by the k of 2 to 8 with the largest
    mean silhouette, or into one where none reaches 0.5 or where two medoids would have an IoU above 0.9. No random
    numbers: the same masks give the same modes. Equal masks share a mode, so fewer than k modes come back where
    fewer masks differ.

    Raises:
        TypeError, ValueError: k is not an integer from 1 to n, or n is above 8192.
    """
    k = check_count(len(masks), k)
    return group(_ops.pack_masks(np.ascontiguousarray(masks)), k, lambda medoids: masks[medoids])


def check_count(n: int, k: int | None) -> int | None:
    """The number of modes asked for, of n masks, as int; see `find_modes`."""
    if n > MAX_GROUPED:
        raise ValueError(
            f"expected at most {MAX_GROUPED} masks to group, came {n}; take fewer hypotheses, hyp[:{MAX_GROUPED}]"
        )
    if k is None:
        return None
    k = integer(k, "k")
    if not 1 <= k <= n:
        raise ValueError(f"expected k from 1 to the number of hypotheses, {n}, came {k}")
    return k


def group(
    packed: npt.NDArray[np.uint64],
    k: int | None,
    masks_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]],
) -> Modes:
    """`find_modes` of packed masks; ``masks_of`` gives the masks bool [k, H, W] of the chosen numbers."""
    n = len(packed)
    distances = packed_distances(packed)
    medoids = _choose(distances, np.asarray(packed.any(axis=1))) if k is None else k_medoids(distances, k)
    assignment = np.argmin(distances[:, medoids], axis=1)
    members = np.bincount(assignment, minlength=len(medoids))
    total = np.bincount(
        assignment, weights=distances[np.arange(n), medoids[assignment]], minlength=len(medoids)
    )
    order = np.argsort(-members, kind="stable")
    order = order[members[order] > 0]
    rank = np.empty(len(medoids), np.int64)
    rank[order] = np.arange(len(order))
    return Modes(
        masks_of(medoids[order]),
        members[order] / n,
        total[order] / members[order],
        medoids[order],
        rank[assignment],
    )


def k_medoids(distances: Distances, k: int) -> npt.NDArray[np.int64]:
    """Medoids of a distance matrix [n, n] by PAM: greedy start, then the best swap until none helps.

    The swaps of all candidates are weighed at once (FastPAM1, Schubert and Rousseeuw 2019).
    """
    n = len(distances)
    medoids = [int(np.argmin(distances.sum(axis=1)))]
    while len(medoids) < k:
        nearest = distances[:, medoids].min(axis=1)
        gain = np.maximum(nearest[:, None] - distances, 0).sum(axis=0)
        gain[medoids] = -1.0
        medoids.append(int(np.argmax(gain)))
    chosen = np.array(medoids, np.int64)
    if k == n:
        return chosen
    while True:
        to_medoids = distances[:, chosen]
        cluster = np.argmin(to_medoids, axis=1)
        first = to_medoids[np.arange(n), cluster]
        second = np.full(n, np.inf) if k == 1 else np.partition(to_medoids, 1, axis=1)[:, 1]
        # Change of the total when candidate j (column) joins, and, per cluster, when its medoid then leaves.
        joins = np.minimum(distances - first[:, None], 0)
        leaves = np.minimum(distances, second[:, None]) - first[:, None] - joins
        owner = np.equal(cluster[None, :], np.arange(k)[:, None]).astype(np.float64)
        change = joins.sum(axis=0)[None, :] + owner @ leaves
        change[:, chosen] = 0.0
        i, j = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[i, j] >= -1e-9:
            return chosen
        chosen[i] = j


def mean_silhouette(distances: Distances, assignment: npt.NDArray[Any]) -> float:
    """Rousseeuw's (1987) silhouette, averaged; an element alone in its group scores 0."""
    n = len(assignment)
    owner = np.equal(assignment[:, None], np.arange(assignment.max() + 1)[None, :]).astype(np.float64)
    size = owner.sum(axis=0)
    sums = distances @ owner
    own = np.arange(n), assignment
    within = sums[own] / np.maximum(size[assignment] - 1, 1)
    others = sums / np.maximum(size, 1)
    others[own] = np.inf
    others[:, size == 0] = np.inf
    between = others.min(axis=1)
    score = (between - within) / np.maximum(np.maximum(between, within), 1e-12)
    return float(np.where(size[assignment] > 1, score, 0.0).mean())


def _choose(distances: Distances, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Medoids: of the masks that are marked at all, and one that is not, where there are any."""
    some, none = np.flatnonzero(marked), np.flatnonzero(~marked)
    if not len(some):
        return none[:1]
    # The empty one comes last: masks without a pixel in common are as far from each other as from it.
    return np.concatenate([some[_choose_marked(distances[np.ix_(some, some)])], none[:1]])


def _choose_marked(distances: Distances) -> npt.NDArray[np.int64]:
    best, best_score = k_medoids(distances, 1), _STRUCTURE
    for k in range(2, min(_MOST_MODES, len(distances) - 1) + 1):
        medoids = k_medoids(distances, k)
        apart = distances[np.ix_(medoids, medoids)] + np.eye(k)
        if apart.min() < _SEPARATION:
            continue
        score = mean_silhouette(distances, np.argmin(distances[:, medoids], axis=1))
        if score > best_score + 1e-9:
            best, best_score = medoids, score
    return best
