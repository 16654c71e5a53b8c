"""Each loss against its formula written out."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from asam import losses
from asam.model.latent import Gaussian, kl_terms
from asam.model.network import TrainingOutput
from asam.training import TrainConfig
from asam.training.objective import evidence_bound


def masks(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) > 0.5).float()


def test_cross_entropy_ignores_padding() -> None:
    logits, target = torch.randn(2, 8, 8), masks(2, 8, 8)
    valid = torch.zeros(2, 8, 8)
    valid[:, :5, :6] = 1
    expected = functional.binary_cross_entropy_with_logits(
        logits[:, :5, :6], target[:, :5, :6], reduction="none"
    ).mean(dim=(1, 2))
    torch.testing.assert_close(losses.cross_entropy(logits, target, valid), expected)


def test_dice_of_perfect_and_opposite_masks() -> None:
    target, valid = masks(3, 16, 16), torch.ones(3, 16, 16)
    sure = (target * 2 - 1) * 50
    assert losses.dice(sure, target, valid).abs().max() < 1e-5
    worst = losses.dice(-sure, target, valid)
    torch.testing.assert_close(worst, torch.full((3,), 1 - 1 / (256 + 1)))


def test_dice_of_two_empty_masks_is_zero() -> None:
    empty = torch.zeros(1, 8, 8)
    assert losses.dice(empty - 50, empty, torch.ones(1, 8, 8)).item() == pytest.approx(0, abs=1e-6)


def test_score_regression_uses_true_iou() -> None:
    target = torch.zeros(2, 4, 4)
    target[0, :2] = 1
    logits = torch.full((2, 4, 4), -1.0)
    logits[0, :1] = 1.0
    scores = torch.tensor([0.75, 0.5])
    found = losses.score_regression(scores, logits, target, torch.ones(2, 4, 4))
    torch.testing.assert_close(found, torch.tensor([0.0625, 0.25]))


def test_score_regression_ignores_padding() -> None:
    target = torch.zeros(1, 4, 4)
    target[0, :2] = 1
    logits = torch.full((1, 4, 4), -1.0)
    logits[0, :1] = logits[0, 3:] = 1.0  # half of the object, and padding
    valid = torch.ones(1, 4, 4)
    valid[0, 3:] = 0
    found = losses.score_regression(torch.tensor([0.75]), logits, target, valid)
    torch.testing.assert_close(found, torch.tensor([0.0625]))


def test_energy_distance_is_the_double_sum() -> None:
    logits, raters = torch.randn(1, 3, 4, 4), masks(1, 2, 4, 4)
    weights, valid = torch.tensor([[0.25, 0.75]]), torch.ones(1, 4, 4)

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        overlap = float((a * b).sum())
        return 1 - (overlap + 1) / (float(a.sum() + b.sum()) - overlap + 1)

    soft = logits[0].sigmoid()
    cross = sum(
        float(weights[0, j]) * distance(soft[i], raters[0, j]) / 3 for i in range(3) for j in range(2)
    )
    among = sum(distance(soft[i], soft[j]) for i in range(3) for j in range(3) if i != j) / 6
    found = losses.energy_distance(logits, raters, weights, valid).item()
    assert found == pytest.approx(2 * cross - among, abs=1e-5)


def test_energy_distance_prefers_the_true_distribution() -> None:
    """A sampler that gives both modes as often as the raters do scores lower than one mode or the blend."""
    a, b = torch.zeros(16, 16), torch.zeros(16, 16)
    a[:8], b[8:] = 1, 1
    raters = torch.stack([a, b])[None]
    weights, valid = torch.full((1, 2), 0.5), torch.ones(1, 16, 16)

    def score(samples: list[torch.Tensor]) -> float:
        logits = torch.stack([(s * 2 - 1) * 30 for s in samples])[None]
        return losses.energy_distance(logits, raters, weights, valid).item()

    # The unbiased form averages over draws: two draws of a fair coin are a, b in any order.
    fair = (score([a, a]) + 2 * score([a, b]) + score([b, b])) / 4
    assert fair < score([a, a]) - 0.1
    assert fair < score([(a + b) / 2] * 2) - 0.1


def test_energy_distance_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        losses.energy_distance(
            torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.ones(1, 1), torch.ones(1, 2, 2)
        )


def test_upsample_keeps_constants() -> None:
    assert math.isclose(losses.upsample(torch.full((2, 3, 4, 4), 0.7), 16).std().item(), 0, abs_tol=1e-6)


def test_focal_is_its_formula() -> None:
    logits, target = torch.randn(2, 6, 6, dtype=torch.float64), masks(2, 6, 6).double()
    valid = torch.zeros(2, 6, 6, dtype=torch.float64)
    valid[:, :4] = 1
    expected = []
    for row in range(2):
        pixels = []
        for y in range(4):
            for x in range(6):
                p = 1 / (1 + math.exp(-float(logits[row, y, x])))
                on = bool(target[row, y, x])
                p_t, a_t = (p, 0.25) if on else (1 - p, 0.75)
                pixels.append(-a_t * (1 - p_t) ** 2 * math.log(p_t))
        expected.append(sum(pixels) / len(pixels))
    torch.testing.assert_close(
        losses.focal(logits, target, valid), torch.tensor(expected, dtype=torch.float64)
    )


def test_focal_without_focus_is_half_the_cross_entropy() -> None:
    logits, target, valid = torch.randn(2, 6, 6), masks(2, 6, 6), torch.ones(2, 6, 6)
    found = losses.focal(logits, target, valid, alpha=0.5, gamma=0)
    torch.testing.assert_close(found, losses.cross_entropy(logits, target, valid) / 2)


def test_free_bits_charge_each_dimension_at_least_the_floor() -> None:
    kl = torch.tensor([[0.1, 0.5, 2.0], [0.0, 0.0, 0.3]])
    torch.testing.assert_close(losses.free_bits(kl, 0.4), torch.tensor([0.4 + 0.5 + 2.0, 1.2]))
    torch.testing.assert_close(losses.free_bits(kl, 0.0), kl.sum(dim=1))


def test_dimensions_below_the_floor_are_not_pushed() -> None:
    kl = torch.tensor([[0.1, 0.5]], requires_grad=True)
    losses.free_bits(kl, 0.4).sum().backward()
    assert kl.grad is not None
    assert kl.grad.tolist() == [[0.0, 1.0]]


def test_divergence_of_each_dimension_is_the_integral() -> None:
    """KL of two normals by quadrature of q log(q / p)."""
    q = Gaussian(torch.tensor([[0.3, -1.0]]), torch.tensor([[0.5, 1.5]]))
    p = Gaussian(torch.tensor([[0.0, 0.5]]), torch.tensor([[1.0, 0.8]]))
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)[:, None]
    log_q, log_p = (torch.distributions.Normal(g.mean.double(), g.sigma.double()).log_prob(x) for g in (q, p))
    expected = (log_q.exp() * (log_q - log_p)).sum(dim=0) * 1e-4
    torch.testing.assert_close(kl_terms(q, p)[0].double(), expected, atol=1e-6, rtol=1e-5)


def test_what_lies_on_padding_changes_no_term_of_the_objective() -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    valid = torch.zeros(2, 32, 32)
    valid[:, :20] = 1
    target = masks(2, 32, 32) * valid
    raters = torch.stack([target, masks(2, 32, 32, seed=1) * valid], dim=1)
    batch = SimpleNamespace(target=target, valid=valid, raters=raters, weights=torch.full((2, 2), 0.5))
    other = logits.clone()
    other[:, :, 6:] = 9.0  # rows 24 to 31; the rows between are blended with the image's by resizing
    terms = [
        evidence_bound(
            TrainingOutput(some, torch.ones(2, 3), torch.ones(2, 4), torch.ones(2, 4)),
            batch,  # type: ignore[arg-type]
            TrainConfig(focal=1.0),
        )[1]
        for some in (logits, other)
    ]
    for name, value in terms[0].items():
        torch.testing.assert_close(value, terms[1][name], msg=name)
