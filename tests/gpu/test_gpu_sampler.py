"""The CUDA sampler on a real GPU, at the sizes that matter, for as long as a leak takes, and under the sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_sampler import PlainSampler, RandomInputs, random_weights

from asam_trt import _runtime, philox
from asam_trt.sampler_spec import SamplerConfig

pytestmark = pytest.mark.gpu

TORCH = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SAM = {"channels": 256, "latent": 256, "mask_tokens": 6, "heads": 8, "mlp_dim": 2048}
CONFIGS = {
    "small": SamplerConfig(side=48, grid=3, channels=64, latent=32, mask_tokens=2, heads=4, mlp_dim=128),
    "a-sam": SamplerConfig(side=128, grid=8, **SAM),
    "sam": SamplerConfig(side=1024, grid=64, **SAM),
}


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x.astype(np.float64) ** 2).mean()))


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize(("name", "n"), [("small", 5), ("a-sam", 1), ("a-sam", 33), ("sam", 3)])
def test_as_near_to_float64_as_pytorch(name: str, n: int, precision: str) -> None:
    config = CONFIGS[name]
    weights, inputs = random_weights(config), RandomInputs(config)
    sampler = _runtime.CudaSampler(config.as_dict(), weights, precision=precision)
    eps = philox.normal(3, n, config.latent)
    got = sampler.sample(*inputs.states(sampler), eps)
    dtype = TORCH[precision]
    with torch.no_grad():
        noise = torch.as_tensor(eps, device="cuda")
        exact = PlainSampler(config, weights, inputs, torch.float64, "cuda")(noise.double())
        peer = PlainSampler(config, weights, inputs, dtype, "cuda")(noise.to(dtype))
    unit = torch.finfo(dtype).eps
    for a, b, c in zip(got, exact, peer, strict=True):
        want = b.cpu().numpy()
        assert rms(a - want) <= 2 * rms(c.double().cpu().numpy() - want) + 4 * unit * rms(want)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_replays_with_changing_seeds(precision: str) -> None:
    config = CONFIGS["a-sam"]
    weights, inputs = random_weights(config), RandomInputs(config)
    sampler = _runtime.CudaSampler(config.as_dict(), weights, precision=precision)
    image, prompt = inputs.states(sampler)
    first = {seed: sampler.sample_seeded(image, prompt, 8, seed)[0] for seed in range(5)}
    for seed in (4, 1, 3):
        np.testing.assert_array_equal(sampler.sample_seeded(image, prompt, 8, seed)[0], first[seed])
    assert len({first[seed].tobytes() for seed in first}) == 5
    assert sampler.graphs == 1
    given = sampler.sample(image, prompt, philox.normal(2, 8, config.latent))[0]
    unit = torch.finfo(TORCH[precision]).eps
    assert rms(given - first[2]) <= 8 * unit * rms(given)


def test_ten_thousand_replays_take_no_memory() -> None:
    config = CONFIGS["a-sam"]
    weights, inputs = random_weights(config), RandomInputs(config)
    sampler = _runtime.CudaSampler(config.as_dict(), weights, precision="fp16")
    used = []
    for i in range(10_000):
        if i % 100 == 0:  # states come and go with every frame
            image, prompt = inputs.states(sampler)
        sampler.sample_seeded(image, prompt, 32, i)
        if i in (200, 9_999):
            free, total = torch.cuda.mem_get_info()
            used.append(total - free)
    assert sampler.graphs == 1
    assert used[1] <= used[0]


_SMALL_RUN = """
import numpy as np
from plain_sampler import RandomInputs, random_weights
from asam_trt import _runtime
from asam_trt.sampler_spec import SamplerConfig
for changes in ({}, {"sampled_tokens": True}):
    config = SamplerConfig(
        side=48, grid=3, channels=64, latent=32, mask_tokens=2, heads=4, mlp_dim=128, **changes
    )
    weights, inputs = random_weights(config), RandomInputs(config)
    for precision in ("float32", "bf16", "fp16"):
        sampler = _runtime.CudaSampler(config.as_dict(), weights, precision=precision)
        image, prompt = inputs.states(sampler)
        logits, scores = sampler.sample_seeded(image, prompt, 3, 1)
        sampler.statistics(logits, (48, 30), (50, 31))
        assert np.isfinite(logits).all() and np.isfinite(scores).all()
"""


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_compute_sanitizer_finds_nothing(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if sanitizer is None:
        pytest.skip("no compute-sanitizer, which comes with the CUDA toolkit")
    benchmarks = Path(__file__).resolve().parent.parent.parent / "benchmarks"
    done = subprocess.run(
        [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", _SMALL_RUN],
        env={**os.environ, "PYTHONPATH": str(benchmarks)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
