"""The native sampler against the definition in float64, and its promise of the same bits everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from asam_trt import _ops, _runtime, philox
from asam_trt.reference import ReferenceSampler

ISAS = _ops.supported_isas()
# Every way to compute: an instruction set and a precision. Without AVX512-VNNI the reference of int8 stands in.
MODES = [
    *((isa, "float32") for isa in ISAS),
    *((isa, "int16") for isa in ISAS if isa == ISAS[-1] or isa in ("avx2", "avxvnni")),
    (ISAS[-1], "int8"),
]
mode = pytest.mark.parametrize(("isa", "precision"), MODES)


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    before = _runtime.get_num_threads()
    yield
    _runtime.set_num_threads(before)


def states(case: Any, sampler: Any, kind: str, inputs: Any) -> tuple[Any, Any]:
    tokens, dense = case.encode(kind)
    if "mask" not in kind and kind != "mixed":
        dense = np.ascontiguousarray(dense[:, 0, 0])
    image = sampler.image_state(inputs.embedding, *inputs.image)
    return image, sampler.prompt_state(image, tokens, dense, *inputs.prompt)


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error * error).mean()))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["tiny", "odd", "chunks", "small", "full", "sampled", "sam"])
@pytest.mark.parametrize("kind", ["box", "points1", "points5", "points200", "none", "mask", "mixed"])
def test_native_equals_the_literal_equations(
    case_of: Callable[[str], Any], name: str, kind: str, isa: str
) -> None:
    case = case_of(name)
    inputs = case.inputs(9)
    sampler = _runtime.Sampler(case.config.as_dict(), case.weights, isa=isa)
    assert sampler.isa == isa
    image, prompt = states(case, sampler, kind, inputs)
    assert prompt.tokens == case.config.mask_tokens + 2 + len(case.encode(kind)[0])
    results = sampler.sample(image, prompt, inputs.eps)

    tokens, dense = case.encode(kind)
    exact = case.literal(inputs, tokens, dense, torch.float64)
    single = case.literal(inputs, tokens, dense, torch.float32)
    for got, want, torch32 in zip(results, exact, single, strict=True):
        assert got.dtype == np.float32
        assert got.shape == want.shape
        # At most twice PyTorch's own float32 error. The floor, a few roundings of numbers of unit size, is
        # for the scores: a dozen numbers, near which PyTorch lands by luck.
        assert rms(got - want) <= 2 * rms(torch32 - want) + 4 * np.finfo(np.float32).eps
        assert np.abs(got - want).max() <= 2e-5


@pytest.mark.parametrize("name", ["tiny", "odd", "chunks", "small", "full", "sampled", "sam"])
@pytest.mark.parametrize("kind", ["box", "points5", "points200", "none", "mixed"])
@pytest.mark.parametrize(("precision", "share"), [("int16", 0.3), ("int8", 3)])
def test_integers_beside_pytorch_in_bf16(
    case_of: Callable[[str], Any], name: str, kind: str, precision: str, share: float
) -> None:
    case = case_of(name)
    inputs = case.inputs(9)
    sampler = _runtime.Sampler(case.config.as_dict(), case.weights, precision=precision)
    assert sampler.precision == precision
    results = sampler.sample(*states(case, sampler, kind, inputs), inputs.eps)
    tokens, dense = case.encode(kind)
    exact = case.literal(inputs, tokens, dense, torch.float64)
    peer = case.literal(inputs, tokens, dense, torch.bfloat16)
    for got, want, torch16 in zip(results, exact, peer, strict=True):
        assert got.dtype == np.float32
        error = rms(got - want)
        assert error <= share * rms(torch16 - want)
        assert error > 1e-6, "float32 would be this near: nothing was rounded"


def test_native_equals_reference(case_of: Callable[[str], Any]) -> None:
    case = case_of("small")
    inputs = case.inputs(3)
    native = _runtime.Sampler(case.config.as_dict(), case.weights)
    reference = ReferenceSampler(case.config, case.weights)
    got = native.sample(*states(case, native, "box", inputs), inputs.eps)
    want = reference.sample(*states(case, reference, "box", inputs), inputs.eps)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


@mode
@pytest.mark.parametrize("kind", ["points1", "mixed"])
@pytest.mark.parametrize("name", ["odd", "chunks", "small", "sampled", "sam"])
def test_same_bits_for_threads_blocks_and_batches(
    case_of: Callable[[str], Any], name: str, kind: str, isa: str, precision: str
) -> None:
    case = case_of(name)
    inputs = case.inputs(13)
    sampler = _runtime.Sampler(case.config.as_dict(), case.weights, isa=isa, precision=precision)
    _runtime.set_num_threads(1)
    image, prompt = states(case, sampler, kind, inputs)
    logits, scores = sampler.sample(image, prompt, inputs.eps)
    assert not np.array_equal(logits[0], logits[1])

    for threads in (2, 3):
        _runtime.set_num_threads(threads)
        again = sampler.sample(image, prompt, inputs.eps)
        np.testing.assert_array_equal(again[0], logits)
        np.testing.assert_array_equal(again[1], scores)
    for block in (1, 2, 5, 13):
        other = _runtime.Sampler(
            case.config.as_dict(), case.weights, isa=isa, precision=precision, block=block
        )
        again = other.sample(*states(case, other, kind, inputs), inputs.eps)
        np.testing.assert_array_equal(again[0], logits)
        np.testing.assert_array_equal(again[1], scores)
    for threads in (1, 2, 3):  # which share a single hypothesis where the grid is large enough
        _runtime.set_num_threads(threads)
        one, score = sampler.sample(image, prompt, inputs.eps[7:8])
        masks = slice(7 * case.config.masks, 8 * case.config.masks)
        np.testing.assert_array_equal(one, logits[masks])
        np.testing.assert_array_equal(score, scores[masks])


def test_seeded_equals_given_philox_noise(tiny: Any) -> None:
    inputs = tiny.inputs(1)
    sampler = _runtime.Sampler(tiny.config.as_dict(), tiny.weights)
    image, prompt = states(tiny, sampler, "box", inputs)
    seed = 2**64 - 3
    eps = _ops.philox_normal(seed, 60, tiny.config.latent)
    np.testing.assert_allclose(eps, philox.normal(seed, 60, tiny.config.latent), atol=1e-6)
    given = sampler.sample(image, prompt, eps)
    for threads in (1, 2):
        _runtime.set_num_threads(threads)
        seeded = sampler.sample_seeded(image, prompt, 60, seed)
        later = sampler.sample_seeded(image, prompt, 20, seed, start=40)
        for a, b, c in zip(seeded, given, later, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(c, b[40:])


def test_many_hypotheses_and_prompts_reuse_one_scratch(tiny: Any) -> None:
    inputs = tiny.inputs(1)
    sampler = _runtime.Sampler(tiny.config.as_dict(), tiny.weights)
    kinds = ["none", "points5", "box"]  # the scratch grows, then is larger than needed
    for kind in kinds:
        image, prompt = states(tiny, sampler, kind, inputs)
        logits, _ = sampler.sample_seeded(image, prompt, 1024, 5)
        few, _ = sampler.sample_seeded(image, prompt, 3, 5, start=1000)
        np.testing.assert_array_equal(logits[1000:1003], few)


def test_one_sampler_from_several_threads(tiny: Any) -> None:
    inputs = tiny.inputs(1)
    sampler = _runtime.Sampler(tiny.config.as_dict(), tiny.weights)
    image, prompt = states(tiny, sampler, "box", inputs)
    want, _ = sampler.sample_seeded(image, prompt, 40, 1)
    failures = []

    def work() -> None:
        for _ in range(20):
            got, _ = sampler.sample_seeded(image, prompt, 40, 1)
            if not np.array_equal(got, want):
                failures.append(got)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_states_outlive_their_sampler(tiny: Any) -> None:
    inputs = tiny.inputs(2)
    sampler = _runtime.Sampler(tiny.config.as_dict(), tiny.weights)
    foreign = states(tiny, sampler, "box", inputs)
    del sampler
    other = _runtime.Sampler(tiny.config.as_dict(), tiny.weights)
    image, _ = states(tiny, other, "box", inputs)
    with pytest.raises(ValueError, match="image_state: expected one of this sampler"):
        other.sample(*foreign, inputs.eps)
    with pytest.raises(ValueError, match="prompt_state: expected one of this sampler"):
        other.sample(image, foreign[1], inputs.eps)
