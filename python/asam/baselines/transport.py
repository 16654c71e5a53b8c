"""Optimal transport between the samples of a network and the raters, with a bound on what a sample may take."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linprog


def coupling(cost: torch.Tensor, weights: torch.Tensor, *, most: float) -> torch.Tensor:
    """min_g sum_ij g_ij cost_ij subject to sum_i g_ij = weights_j, sum_j g_ij <= most, g >= 0; exact.

    The relaxed transport problem of MoSE (Gao et al., ICLR 2023): raters keep their weight, a sample's is free up to
    ``most``. With most = 1 / N it is the balanced problem; with most = 1 every rater goes to its nearest sample.

    Args:
        cost: [B, N, M], of sample i and rater j.
        weights: [B, M], of the raters; each row sums to 1.
        most: at least 1 / N.

    Returns:
        float32 [B, N, M] on the device of ``cost``, without a gradient.

    Raises:
        ValueError: ``most`` leaves no room for the raters' weight.
    """
    rows, samples, raters = cost.shape
    if most * samples < 1 - 1e-6:
        raise ValueError(f"most: expected at least 1 / {samples} samples, got {most}")
    # One linear programme for the whole batch, its rows independent: a call costs more than a row does.
    each, group = sparse.identity(rows * samples), sparse.identity(rows)
    by_sample = sparse.kron(each, np.ones((1, raters)), format="csr")
    by_rater = sparse.kron(group, sparse.kron(np.ones((1, samples)), sparse.identity(raters)), format="csr")
    wanted = weights.detach().cpu().double().numpy()
    wanted = wanted / wanted.sum(axis=1, keepdims=True)
    found = linprog(
        cost.detach().cpu().double().numpy().reshape(-1),
        A_ub=by_sample,
        b_ub=np.full(rows * samples, max(most, 1 / samples)),
        A_eq=by_rater,
        b_eq=wanted.reshape(-1),
        method="highs",
    )
    if found.x is None:
        raise ValueError(
            f"expected finite costs and weights >= 0 for the transport problem, got: {found.message}"
        )
    return torch.from_numpy(found.x.reshape(cost.shape)).to(cost)
