from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

import asam_trt
from asam_trt import latents, philox
from asam_trt.noise import latent_noise

KINDS = list(latents.DRAWS)
BOX = (10.0, 8.0, 60.0, 45.0)


@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_do_not_depend_on_how_many_there_are(kind: str) -> None:
    draw = latents.DRAWS[kind]
    many = draw(7, 33, 24)
    assert many.shape == (33, 2, 24)
    assert many.dtype == np.float32
    assert np.isfinite(many).all()
    for n in (1, 2, 5, 32):
        np.testing.assert_array_equal(draw(7, n, 24), many[:n])
    assert np.abs(draw(8, 33, 24) - many).max() > 0.5
    assert np.abs(draw(7 + 2**40, 33, 24) - many).max() > 0.5


def test_iid_is_what_it_always_was() -> None:
    np.testing.assert_allclose(latents.iid(3, 9, 16), philox.normal(3, 9, 16), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_hypothesis_is_standard_normal_over_the_seeds(kind: str) -> None:
    draws = np.stack([latents.DRAWS[kind](seed, 5, 16) for seed in range(400)])  # [seeds, n, 2, dim]
    for i in range(5):
        assert stats.kstest(draws[:, i].ravel(), "norm").pvalue > 1e-4
    # Two latents, two elements and two seeds have nothing to do with each other.
    values = draws[:, 4].reshape(400, 32)
    correlation = np.corrcoef(values.T) - np.eye(32)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(400)


def test_antithetic_pairs_are_mirror_images() -> None:
    noise = latents.antithetic(1, 8, 12)
    np.testing.assert_array_equal(noise[1::2], -noise[0::2])
    np.testing.assert_array_equal(noise[0::2], latents.iid(1, 4, 12))


def test_directions_are_those_of_joe_and_kuo() -> None:
    plain = qmc.Sobol(4, scramble=False).random(64)
    index = np.arange(64, dtype=np.uint32)
    # SciPy walks in the order of the Gray code; the points of 2^k are the same.
    for axis in range(4):
        ours = latents._point(index, axis) * 2.0**-32
        np.testing.assert_array_equal(ours[index ^ (index >> 1)], plain[:, axis])


@pytest.mark.parametrize("n", [2, 8, 64])
def test_sobol_has_one_point_in_every_slice_and_box(n: int) -> None:
    unit = stats.norm.cdf(latents.sobol(5, n, 32).reshape(n, 16, 4).astype(np.float64))
    slices = np.sort(np.floor(unit * n), axis=0)
    np.testing.assert_array_equal(slices, np.broadcast_to(np.arange(n)[:, None, None], unit.shape))
    # The first two dimensions are a (0, m, 2)-net: one point in each elementary box of every shape.
    for columns in (2**k for k in range(n.bit_length())):
        rows = n // columns
        boxes = np.floor(unit[:, :, 0] * columns) * rows + np.floor(unit[:, :, 1] * rows)
        np.testing.assert_array_equal(np.sort(boxes, axis=0), np.repeat(np.arange(n)[:, None], 16, axis=1))


def test_even_noise_estimates_means_better() -> None:
    """Of a smooth function of all elements, over 200 seeds, n = 32."""
    weights = np.random.default_rng(0).standard_normal((2, 16)) / 4

    def error(kind: str) -> float:
        means = []
        for seed in range(200):
            value = (latents.DRAWS[kind](seed, 32, 16) * weights).sum(axis=(1, 2))
            means.append(np.tanh(value + 0.3).mean())
        return float(np.std(means))

    plain = error("iid")
    assert error("antithetic") < 0.75 * plain
    assert error("sobol") < 0.5 * plain


def test_sessions_take_them(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    latent = session.engine.sampler.latent
    for kind, draw in latents.DRAWS.items():
        found = session.sample(box=BOX, n=4, seed=9, latents=kind)
        same = session.sample(box=BOX, eps=draw(9, 4, latent))
        np.testing.assert_array_equal(found.logits, same.logits)
    (boxed,) = session.sample(boxes=[BOX], n=4, seed=9, latents="sobol")
    np.testing.assert_array_equal(boxed.logits, found.logits)
    for _, hyp in asam_trt.VideoSampler(session).run([image], box=BOX, n=4, seed=9, latents="sobol"):
        np.testing.assert_array_equal(hyp.logits, found.logits)


@pytest.mark.parametrize(
    "arguments", [{"latents": "halton"}, {"latents": None}, {"latents": "sobol", "eps": np.zeros((2, 2, 8))}]
)
def test_wrong_kinds_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="latents"):
        latent_noise(n=2, latent=8, **arguments)
