"""The CUDA sampler against the definition in float64 and against the CPU's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from asam_trt import _runtime, philox

Drawn = Callable[..., Any]
CaseOf = Callable[[str], Any]
TORCH = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error * error).mean()))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny", "box"),
        ("tiny", "mixed"),
        ("odd", "none"),
        ("odd", "points5"),
        ("sampled", "points5"),
        ("sampled", "mask"),
        ("sam", "box"),
        ("sam", "mixed"),
        ("small", "points1"),
        ("wide", "box"),
    ],
)
def test_float32_equals_the_literal_equations(
    library: str, case_of: CaseOf, drawn: Drawn, name: str, kind: str
) -> None:
    case = case_of(name)
    inputs = case.inputs(5)
    *_, results = drawn(case, kind, inputs)
    tokens, dense = case.encode(kind)
    exact = case.literal(inputs, tokens, dense, torch.float64)
    single = case.literal(inputs, tokens, dense, torch.float32)
    for got, want, torch32 in zip(results, exact, single, strict=True):
        assert got.dtype == np.float32
        assert got.shape == want.shape
        assert rms(got - want) <= 2 * rms(torch32 - want) + 4 * np.finfo(np.float32).eps
        assert rms(got - want) <= 1e-5 * rms(want)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("tiny", "mixed"), ("odd", "box"), ("sampled", "points5"), ("sam", "box"), ("wide", "points1")],
)
def test_narrow_types_are_as_near_as_pytorch(
    library: str, case_of: CaseOf, drawn: Drawn, name: str, kind: str, precision: str
) -> None:
    case = case_of(name)
    inputs = case.inputs(5)
    *_, (logits, scores) = drawn(case, kind, inputs, precision)
    tokens, dense = case.encode(kind)
    exact = case.literal(inputs, tokens, dense, torch.float64)
    peer = case.literal(inputs, tokens, dense, TORCH[precision])
    unit = torch.finfo(TORCH[precision]).eps
    error = rms(logits - exact[0])
    assert error <= 2 * rms(peer[0] - exact[0])
    assert error > 1e-5, "float32 would be this near: nothing was rounded"
    # Scores are a few numbers, near which PyTorch lands by luck.
    assert rms(scores - exact[1]) <= 2 * rms(peer[1] - exact[1]) + unit * rms(exact[1])


def test_tiles_for_many_rows(library: str, case_of: CaseOf, drawn: Drawn) -> None:
    case = case_of("many")
    inputs = case.inputs(65)  # 1040 cells
    cpu = _runtime.Sampler(case.config.as_dict(), case.weights)
    image = cpu.image_state(inputs.embedding, *inputs.image)
    tokens, dense = case.encode("points1")
    prompt = cpu.prompt_state(image, tokens, np.ascontiguousarray(dense[:, 0, 0]), *inputs.prompt)
    want = cpu.sample(image, prompt, inputs.eps)
    for precision, most in (("float32", 1e-5), ("fp16", 1e-2)):
        *_, got = drawn(case, "points1", inputs, precision)
        for a, b in zip(got, want, strict=True):
            assert rms(a - b) <= most * rms(b)


def test_seeds_are_the_numbers_of_philox(library: str, case_of: CaseOf, drawn: Drawn) -> None:
    case = case_of("tiny")
    sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    seed = 2**64 - 3
    eps = philox.normal(seed, 5, case.config.latent)
    given = sampler.sample(image, prompt, eps)
    seeded = sampler.sample_seeded(image, prompt, 5, seed)
    later = sampler.sample_seeded(image, prompt, 2, seed, start=3)
    for a, b, c in zip(given, seeded, later, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(b[3:], c)


def test_one_graph_a_shape_serves_every_seed_image_and_prompt(library: str, case_of: CaseOf) -> None:
    case = case_of("tiny")
    inputs = case.inputs(2)
    sampler = _runtime.CudaSampler(case.config.as_dict(), case.weights, precision="bf16")

    def fresh(embedding: np.ndarray, tokens: np.ndarray, seed: int) -> np.ndarray:
        other = _runtime.CudaSampler(case.config.as_dict(), case.weights, precision="bf16")
        image = other.image_state(embedding, *inputs.image)
        return other.sample_seeded(image, other.prompt_state(image, tokens, dense, *inputs.prompt), 2, seed)[
            0
        ]

    tokens, dense = case.encode("box")
    dense = np.ascontiguousarray(dense[:, 0, 0])
    embeddings, prompts = (inputs.embedding, -inputs.embedding), (tokens, tokens[::-1].copy())
    images = [sampler.image_state(embedding, *inputs.image) for embedding in embeddings]
    states = [sampler.prompt_state(images[0], each, dense, *inputs.prompt) for each in prompts]
    seen = []
    for which, seed in [(0, 1), (0, 2), (1, 2), (0, 1)]:
        logits, _ = sampler.sample_seeded(images[which], states[which], 2, seed)
        np.testing.assert_array_equal(logits, fresh(embeddings[which], prompts[which], seed))
        seen.append(logits)
    assert sampler.graphs == 1
    np.testing.assert_array_equal(seen[0], seen[3])
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])
    sampler.sample_seeded(images[0], states[0], 1, 1)
    sampler.sample(images[0], states[0], inputs.eps)
    assert sampler.graphs == 3  # another n, and noise that is given


def test_shapes_that_come_and_go_are_captured_again(library: str, case_of: CaseOf) -> None:
    case = case_of("odd")
    inputs = case.inputs(1)
    sampler = _runtime.CudaSampler(case.config.as_dict(), case.weights)
    image = sampler.image_state(inputs.embedding, *inputs.image)
    tokens, dense = (
        np.zeros((0, case.config.channels), np.float32),
        np.zeros(case.config.channels, np.float32),
    )
    prompt = sampler.prompt_state(image, tokens, dense, *inputs.prompt)
    first = {n: sampler.sample_seeded(image, prompt, n, 1) for n in range(1, 11)}
    again = sampler.sample_seeded(image, prompt, 1, 1)
    assert sampler.graphs == 11  # more shapes than are kept
    np.testing.assert_array_equal(again[0], first[1][0])
    np.testing.assert_array_equal(first[10][0][:1], first[1][0])


def test_states_outlive_their_sampler_and_serve_no_other(library: str, case_of: CaseOf, drawn: Drawn) -> None:
    case = case_of("tiny")
    inputs = case.inputs(2)
    sampler, *foreign, _ = drawn(case, "box", inputs)
    del sampler
    other, image, prompt, _ = drawn(case, "box", inputs)
    with pytest.raises(ValueError, match="image_state: expected one of this sampler"):
        other.sample(foreign[0], prompt, inputs.eps)
    with pytest.raises(ValueError, match="prompt_state: expected one of this sampler"):
        other.sample(image, foreign[1], inputs.eps)


def test_two_streams_do_not_meet(library: str, case_of: CaseOf, drawn: Drawn) -> None:
    """Two sessions at once, and images encoded while hypotheses of another are drawn."""
    case = case_of("tiny")
    inputs = case.inputs(3)
    first, second = (drawn(case, "box", inputs, "fp16") for _ in range(2))
    want = first[3][0]
    failures: list[Any] = []

    def work(sampler: Any, image: Any, prompt: Any, _: Any) -> None:
        for _ in range(3):
            if not np.array_equal(sampler.sample(image, prompt, inputs.eps)[0], want):
                failures.append(sampler)

    def encode() -> None:
        for _ in range(5):
            first[0].image_state(-inputs.embedding, *inputs.image)

    threads = [threading.Thread(target=work, args=each) for each in (first, second)]
    threads.append(threading.Thread(target=encode))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("order", ["reverse", "shuffled"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_order_of_threads_changes_no_bit(
    emulated: Any,
    monkeypatch: pytest.MonkeyPatch,
    case_of: CaseOf,
    drawn: Drawn,
    order: str,
    precision: str,
) -> None:
    """As a missing barrier would: between two of them threads run in the order asked for."""
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    for name in ("sampled", "wide"):
        case = case_of(name)
        inputs = case.inputs(2)
        monkeypatch.delenv("ASAM_EMULATION_ORDER", raising=False)
        *_, want = drawn(case, "mixed", inputs, precision)
        monkeypatch.setenv("ASAM_EMULATION_ORDER", order)
        *_, got = drawn(case, "mixed", inputs, precision)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"precision": "int8"}, ValueError, "unknown precision 'int8'"),
        ({"channels": 272}, ValueError, "up to 256, got 272"),
        ({"heads": 1, "channels": 128}, ValueError, "heads of up to 64 channels, got 128"),
        ({"weights": "pe"}, ValueError, "expected 'pe' of shape"),
        ({"weights": "hyper.0.2.weight"}, ValueError, "expected 'hyper.0.2.weight' of shape"),
    ],
)
def test_what_it_cannot_run_is_refused(
    library: str, case_of: CaseOf, change: dict[str, Any], error: type[Exception], match: str
) -> None:
    case = case_of("tiny")
    config, weights = case.config.as_dict(), dict(case.weights)
    if "weights" in change:
        del weights[change["weights"]]
    config |= {name: value for name, value in change.items() if name in config}
    with pytest.raises(error, match=match):
        _runtime.CudaSampler(config, weights, precision=change.get("precision", "float32"))


def test_bad_arguments_are_refused(library: str, case_of: CaseOf, drawn: Drawn) -> None:
    case = case_of("tiny")
    inputs = case.inputs(2)
    sampler, image, prompt, _ = drawn(case, "box", inputs)
    nan = inputs.eps.copy()
    nan[1, 0, 3] = np.nan
    with pytest.raises(ValueError, match=r"eps: expected shape \[\*, 2, 16\], got \[2, 2, 15\]"):
        sampler.sample(image, prompt, np.ascontiguousarray(inputs.eps[..., :15]))
    with pytest.raises(ValueError, match="eps: expected finite numbers"):
        sampler.sample(image, prompt, nan)
    with pytest.raises(TypeError, match="eps: expected dtype float32, got float64"):
        sampler.sample(image, prompt, inputs.eps.astype(np.float64))
    with pytest.raises(ValueError, match="at least one hypothesis, got 0"):
        sampler.sample_seeded(image, prompt, 0, 1)
    with pytest.raises(ValueError, match="expected 0 to 65535 hypotheses"):
        sampler.sample_seeded(image, prompt, 1 << 17, 1)
    mu, sigma = inputs.prompt
    with pytest.raises(ValueError, match="no negative scale"):
        sampler.prompt_state(image, *(np.zeros((1, 32), np.float32), np.zeros(32, np.float32)), mu, -sigma)


def test_numbers_beyond_fp16_are_not_hidden(
    library: str, case_of: Callable[[str], Any], drawn: Callable[..., Any]
) -> None:
    case = case_of("tiny")
    inputs = case.inputs(2)
    inputs = replace(inputs, embedding=inputs.embedding * np.float32(1e7))
    assert np.isfinite(drawn(case, "box", inputs, "bf16")[3][0]).all()
    assert np.isnan(drawn(case, "box", inputs, "fp16")[3][0]).any()
