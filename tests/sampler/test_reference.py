"""The NumPy sampler against SAM's own modules: every identity of the fused sampler is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from asam_trt import philox
from asam_trt.reference import ReferenceSampler


@pytest.mark.parametrize("name", ["tiny", "odd", "chunks", "small", "full", "sampled", "sam"])
@pytest.mark.parametrize("kind", ["box", "points1", "points5", "none", "mask", "mixed"])
def test_reference_equals_the_literal_equations(case_of: Callable[[str], Any], name: str, kind: str) -> None:
    case = case_of(name)
    inputs = case.inputs(2)
    tokens, dense = case.encode(kind)
    want, want_scores = case.literal(inputs, tokens, dense, torch.float64)

    sampler = ReferenceSampler(case.config, case.exact_weights)
    image = sampler.image_state(inputs.embedding, *inputs.image)
    compact = dense if "mask" in kind or kind == "mixed" else dense[:, 0, 0]
    prompt = sampler.prompt_state(image, tokens, compact, *inputs.prompt)
    logits, scores = sampler.sample(image, prompt, inputs.eps)

    assert want.std() > 0.05  # a test on vanishing logits would prove nothing
    np.testing.assert_allclose(logits, want, rtol=0, atol=1e-10 * np.abs(want).max())
    np.testing.assert_allclose(scores, want_scores, rtol=0, atol=1e-10)


def test_constant_map_equals_vector(tiny: Any) -> None:
    inputs = tiny.inputs(2)
    tokens, dense = tiny.encode("box")
    sampler = ReferenceSampler(tiny.config, tiny.exact_weights)
    image = sampler.image_state(inputs.embedding, *inputs.image)
    results = [
        sampler.sample(image, sampler.prompt_state(image, tokens, d, *inputs.prompt), inputs.eps)[0]
        for d in (dense, dense[:, 0, 0])
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=1e-12)


def test_seeded_noise(tiny: Any) -> None:
    inputs = tiny.inputs(1)
    sampler = ReferenceSampler(tiny.config, tiny.weights, dtype=np.float32)
    image = sampler.image_state(inputs.embedding, *inputs.image)
    prompt = sampler.prompt_state(image, *tiny.encode("box"), *inputs.prompt)
    eps = philox.normal(7, 5, tiny.config.latent)
    seeded, _ = sampler.sample_seeded(image, prompt, 2, 7, start=3)
    given, _ = sampler.sample(image, prompt, eps[3:])
    assert seeded.dtype == np.float32
    np.testing.assert_array_equal(seeded, given)
