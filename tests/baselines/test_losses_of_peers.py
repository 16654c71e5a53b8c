"""The papers' losses against the same quantities written another way."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import wasserstein_distance
from tiny_peers import config, one_batch, peer
from torch.distributions import Independent, LowRankMultivariateNormal, Normal, kl_divergence

from asam.baselines import SSN, MoSE, PHiSeg, ProbUNet
from asam.baselines.base import negative_log_likelihood, pooled
from asam.baselines.mose import soft_iou_distance
from asam.baselines.ssn import LowRankNormal
from asam.baselines.transport import coupling
from asam.model.latent import Gaussian, kl_terms


def test_cross_entropy_is_summed_over_pixels() -> None:
    """Cells of one value are pixels of that value; padding counts nothing."""
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target = (torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    valid = torch.ones(2, 8, 8)
    valid[:, 5:] = 0
    found = negative_log_likelihood(logits, target, valid)
    big_logits = logits.repeat_interleave(4, 2).repeat_interleave(4, 3).double()
    big_target = target.repeat_interleave(4, 1).repeat_interleave(4, 2).double()[:, None]
    p = big_logits.sigmoid()
    nats = -(big_target * p.log() + (1 - big_target) * (1 - p).log())[:, :, :20]
    torch.testing.assert_close(found.double(), nats.sum(dim=(2, 3)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["prob_unet", "phiseg"])
def test_divergences_have_full_precision_under_autocast(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"asam.baselines.{kind}")
    seen: list[torch.Tensor] = []

    def spy(q: Gaussian, p: Gaussian) -> torch.Tensor:
        assert not torch.is_autocast_enabled("cpu")
        seen.extend((q.mean, q.sigma, p.mean, p.sigma))
        return kl_terms(q, p)

    monkeypatch.setattr(module, "kl_terms", spy)
    model = peer(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.training_loss(one_batch(model, batch_size=2), config())
    assert seen
    for value in seen:
        assert value.dtype == torch.float32
        assert not torch.equal(value, value.bfloat16().float())


def test_ssn_covariance_is_the_low_rank_form() -> None:
    """The draw is a linear map A of its noise: A A' against torch's covariance, exactly."""
    generator = torch.Generator().manual_seed(0)
    rank, size = 3, 4
    state = LowRankNormal(
        torch.randn(1, size, size, generator=generator),
        torch.rand(1, size, size, generator=generator) + 0.1,
        torch.randn(1, rank, size, size, generator=generator),
    )
    basis = torch.eye(rank + size**2)[None]
    a = state.centred(basis)[0].flatten(1)
    expected = LowRankMultivariateNormal(
        state.mean[0].flatten(), state.factor[0].flatten(1).T, state.variance[0].flatten()
    )
    torch.testing.assert_close(a.T @ a, expected.covariance_matrix, rtol=1e-5, atol=1e-5)


def test_ssn_samples_have_its_mean_and_covariance() -> None:
    model = peer("ssn").eval()
    assert isinstance(model, SSN)
    with torch.no_grad():
        model.last.weight[2:] *= 20  # a fresh network's covariance is too small to be told from none
        batch = one_batch(model, batch_size=1)
        state = model.encode(model.inputs(batch.images, batch.prompts))
        draws = model.decode(state, model.draw(batch.seeds, 20000))[0].flatten(1).double()
    factor = state.factor[0].flatten(1).double()
    expected = factor.T @ factor + state.variance[0].flatten().double().diag()
    variances = expected.diagonal()
    assert (expected - variances.diag()).abs().max() > variances.mean() / 4  # pixels go together
    torch.testing.assert_close(
        draws.mean(dim=0),
        state.mean[0].flatten().double(),
        rtol=0,
        atol=5 * float(variances.max() / 20000) ** 0.5,
    )
    scale = (variances[:, None] * variances[None]).sqrt()
    assert ((draws.T.cov() - expected).abs() / scale).max() < 6 * (2 / 20000) ** 0.5


def test_ssn_loss_is_the_mean_likelihood_of_its_draws() -> None:
    model = peer("ssn")
    assert isinstance(model, SSN)
    batch = one_batch(model)
    loss, parts = model.training_loss(batch, config())
    state = model.encode(model.inputs(batch.images, batch.prompts))
    half = state.centred(model.draw(batch.seeds, model.config.samples // 2)[:, :, 0])
    draws = torch.cat([state.mean[:, None] + half, state.mean[:, None] - half], dim=1)
    size = model.config.logit_size
    log_p = -negative_log_likelihood(draws, pooled(batch.target, size), pooled(batch.valid, size)).double()
    top = log_p.max(dim=1, keepdim=True).values
    expected = -((log_p - top).exp().mean(dim=1).log() + top[:, 0]).mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert float(parts["ce"].detach()) == pytest.approx(-float(log_p.detach().mean()), rel=1e-5)


def test_prob_unet_divergence_is_torchs() -> None:
    model = peer("prob_unet")
    assert isinstance(model, ProbUNet)
    batch = one_batch(model)
    total, parts = model.training_loss(batch, config(), divergence_weight=0.5)
    inputs = model.inputs(batch.images, batch.prompts)
    prior = model.encode(inputs).prior
    posterior = model.posterior(torch.cat([inputs, batch.target[:, None]], dim=1))
    expected = kl_divergence(Normal(*posterior), Normal(*prior)).sum(dim=1).mean()
    torch.testing.assert_close(parts["kl"], expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(total, parts["ce"] + 0.5 * model.config.beta * parts["kl"])


def test_phiseg_divergences_are_torchs() -> None:
    """Level by level, the prior of each given the posterior's draw of the level above."""
    model = peer("phiseg", side=48)
    assert isinstance(model, PHiSeg)
    batch = one_batch(model)
    total, parts = model.training_loss(batch, config(), divergence_weight=0.5)
    inputs = model.inputs(batch.images, batch.prompts)
    seen = model.posterior.encoder(torch.cat([inputs, batch.target[:, None]], dim=1))
    noise = model.draw(batch.seeds, 1)[:, 0, 1]
    maps, above, first = model.prior.encoder(inputs), None, 0
    expected = parts["ce"] + parts["ce_coarser"]
    for level in reversed(range(5)):
        q, p = model.posterior(level, seen, above), model.prior(level, maps, above)
        kl = kl_divergence(Independent(Normal(*q), 3), Independent(Normal(*p), 3)).mean()
        torch.testing.assert_close(parts[f"kl_{level}"], kl, rtol=1e-4, atol=1e-5)
        expected = expected + 0.5 * 4**level * kl
        count = q.mean[0].numel()
        above = q.mean + q.sigma * noise[:, first : first + count].reshape(q.mean.shape)
        first += count
    assert first == model.noise_size
    torch.testing.assert_close(total, expected)


def test_phiseg_refines_from_coarse_to_fine() -> None:
    """Levels have their own resolutions, and a level's sum does not see the finer latents."""
    model = peer("phiseg", side=64)
    assert isinstance(model, PHiSeg)
    assert model.config.sides == (16, 8, 4, 2, 1)
    latents = [torch.randn(1, 2, side, side) for side in model.config.sides]
    before = model.likelihood(latents)
    after = model.likelihood([latents[0], latents[1] + 1, *latents[2:]])
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
    coarsest = before[0, 0].reshape(1, 16, 1, 16)
    assert torch.equal(coarsest, coarsest[:, :1, :, :1].expand_as(coarsest))


def random_problem(rows: int, samples: int, raters: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows + samples + raters)
    weights = torch.rand(rows, raters, generator=generator)
    return torch.rand(rows, samples, raters, generator=generator), weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("most", [0.25, 0.3, 0.5, 1.0])
def test_transport_solves_each_row(most: float) -> None:
    """Against SciPy on one dense problem a row, and the constraints."""
    cost, weights = random_problem(5, 6, 4)
    plan = coupling(cost, weights, most=most)
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(dim=1), weights, atol=1e-6, rtol=0)
    assert (plan.sum(dim=2) <= most + 1e-6).all()
    for row in range(5):
        bound = np.kron(np.eye(6), np.ones(4))
        rater = np.kron(np.ones(6), np.eye(4))
        dense = linprog(
            cost[row].flatten().double().numpy(),
            A_ub=bound,
            b_ub=np.full(6, most),
            A_eq=rater,
            b_eq=weights[row].double().numpy(),
        )
        assert float((plan[row] * cost[row]).sum()) == pytest.approx(dense.fun, abs=1e-6)


def test_balanced_transport_is_the_wasserstein_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(7, generator=generator), torch.rand(3, generator=generator)
    weights = torch.tensor([[0.2, 0.5, 0.3]])
    cost = (a[:, None] - b).abs()[None]
    found = float((coupling(cost, weights, most=1 / 7) * cost).sum())
    assert found == pytest.approx(wasserstein_distance(a, b, None, weights[0]), abs=1e-6)


def test_transport_of_equal_counts_is_an_assignment() -> None:
    cost, _ = random_problem(1, 5, 5)
    plan = coupling(cost, torch.full((1, 5), 0.2), most=0.2)
    i, j = linear_sum_assignment(cost[0])
    expected = torch.zeros(5, 5)
    expected[i, j] = 0.2
    torch.testing.assert_close(plan[0], expected, atol=1e-6, rtol=0)


def test_unbounded_transport_takes_the_nearest_sample() -> None:
    cost, weights = random_problem(3, 8, 4)
    plan = coupling(cost, weights, most=1)
    expected = torch.zeros_like(cost).scatter(1, cost.argmin(dim=1, keepdim=True), weights[:, None])
    torch.testing.assert_close(plan, expected, atol=1e-6, rtol=0)


def test_impossible_transport_is_refused() -> None:
    cost, weights = random_problem(1, 4, 2)
    with pytest.raises(ValueError, match=r"at least 1 / 4 samples, got 0\.2"):
        coupling(cost, weights, most=0.2)


def test_soft_distance_of_hard_masks_is_one_minus_iou() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 3, 8, 8)) < 0.4, rng.random((1, 2, 8, 8)) < 0.4
    found = soft_iou_distance(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    for i in range(3):
        for j in range(2):
            overlap, union = (a[0, i] & b[0, j]).sum(), (a[0, i] | b[0, j]).sum()
            assert float(found[0, i, j]) == pytest.approx(1 - (overlap + 1) / (union + 1), abs=1e-6)
    nothing = torch.zeros(1, 1, 8, 8)
    assert float(soft_iou_distance(nothing, nothing)) == 0


def test_mose_loss_is_transport_plus_the_gates_divergence() -> None:
    model = peer("mose")
    assert isinstance(model, MoSE)
    batch = one_batch(model, batch_size=2)
    total, parts = model.training_loss(batch, config(), divergence_weight=0.5)
    state = model.encode(model.inputs(batch.images, batch.prompts))
    experts, each = model.config.experts, model.config.samples
    noise = model.draw(batch.seeds, experts * each)
    size = model.config.logit_size
    transport, divergence = 0.0, 0.0
    for row in range(2):
        logits = []
        for sample in range(experts * each):
            expert = sample // each
            latent = model.mean[expert] + model.log_sigma[expert].exp() * noise[row, sample, 0]
            logits.append(model.injection(state.features[row : row + 1], latent[None, None])[0, 0])
        raters = pooled(batch.raters, size)[row : row + 1]
        cost = soft_iou_distance(torch.stack(logits)[None].sigmoid(), raters)
        plan = coupling(cost, batch.weights[row : row + 1], most=model.config.most)
        transport += float((plan * cost).detach().sum()) / 2
        share = plan[0].sum(dim=1).reshape(experts, each).sum(dim=1).double()
        gate = state.gate[row].detach().double().exp()
        divergence += sum(float(s * math.log(s / g)) for s, g in zip(share, gate, strict=True) if s > 0) / 2
    assert float(parts["transport"].detach()) == pytest.approx(transport, rel=1e-4)
    assert float(parts["gate"].detach()) == pytest.approx(divergence, rel=1e-4)
    torch.testing.assert_close(total, parts["transport"] + 0.5 * model.config.beta * parts["gate"])


def test_mose_draws_experts_by_their_probability() -> None:
    """Experts far apart, so that the latent tells which one was drawn."""
    model = peer("mose").eval()
    assert isinstance(model, MoSE)
    gate = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    with torch.no_grad():
        model.mean.copy_(torch.tensor([[0.0], [10.0], [20.0], [30.0]]))
        seen: list[torch.Tensor] = []
        model.injection.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
        features = torch.zeros(1, model.config.injection, 8, 8)
        model.decode(
            type(model.encode(torch.zeros(1, 7, 32, 32)))(features, gate.log()),
            model.draw(torch.tensor([5]), 20000),
        )
    counts = torch.bincount((seen[0][0, :, 0] / 10).round().long(), minlength=4) / 20000
    torch.testing.assert_close(counts, gate[0], atol=0.015, rtol=0)
