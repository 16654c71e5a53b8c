"""The CUDA sampler beside PyTorch on one GPU: milliseconds a prompt, with two floors beside each time.

    python benchmarks/gpu.py --output outputs/gpu

Needs an NVIDIA GPU, PyTorch and NumPy; writes gpu.json and gpu.md. All routes draw n hypotheses of one image and a box
from noise on the GPU to logits and scores on the GPU, over the same random weights, and take turns. Routes: ours (one
CUDA graph), PyTorch eager, torch.compile (max-autotune, which captures CUDA graphs) and the published way, one
hypothesis after the other (without the encoder, which the published loop runs each time too). Eager comes first, for
all sizes, then the loop, then torch.compile, which takes longest; ours is measured beside each, and the files hold the
rows so far.

Floors: what the identities of docs/architecture.md leave to multiply, over the rate of a large matrix product that is
measured here; and the bytes that must move once (weights, image state, logits), over the bandwidth of a large copy that
is measured here.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from gpu_timing import TYPES, Report, cases, interleaved, parsed, table_line
from plain_module import Weights
from plain_sampler import PlainSampler, RandomInputs, random_weights

from asam_trt import _runtime
from asam_trt.sampler_spec import SamplerConfig

_DEVICE = "cuda"
PARTS = (("asam", "eager"), ("asam", "loop"), ("asam", "compile"))  # what takes turns


def config_of(side: int) -> SamplerConfig:
    """SAM's decoder with six mask tokens."""
    return SamplerConfig(
        side=side, grid=side // 16, channels=256, latent=256, mask_tokens=6, heads=8, mlp_dim=2048
    )


def multiply_adds(config: SamplerConfig, tokens: int) -> int:
    """Of one hypothesis and t prompt tokens, with identities 1-6."""
    c, p, k, m = config.channels, config.cells, config.mask_tokens, config.mlp_dim
    t, half = k + 2 + tokens, c // 2
    combine = 2 * config.latent * c + (config.combiner_layers - 1) * (c * c * (p + 1))
    # Keys and values of the cells once more than layers, queries and outputs of the cells once a layer.
    cells = p * ((config.depth + 1) * c * c + config.depth * 2 * c * half)
    looks = 2 * t * p * half * (2 * config.depth + 1)
    layer = t * (c * half * 4 + 2 * c * m)  # projections between tokens and cells, MLP
    self_attention = (config.depth - 1) * (t * 4 * c * c + 2 * t * t * c)
    last = (
        t * c * half
    )  # of two, one goes for the first layer's queries, which are made once a prompt (identity 4)
    heads = k * (2 * c * c + c * (c // 8)) + (config.iou_layers - 1) * c * c + c
    upscale = p * (c * c + 4 * (c // 4) * (c // 2) + 16 * (c // 8))
    return combine + cells + looks + config.depth * layer + self_attention + last + heads + upscale


def least_bytes(config: SamplerConfig, weights: Weights, n: int) -> int:
    """What must move once: weights and position terms of two bytes, the image state, and the results."""
    parameters = sum(value.size for value in weights.values())
    return 2 * parameters + 4 * config.cells * config.channels + n * 4 * (16 * config.cells + 1)


def rates(dtype: torch.dtype) -> tuple[float, float]:
    """Multiply-adds a second of a product of 8192 x 8192, and bytes a second of a copy of 1 GiB (read and written)."""
    a = torch.randn(8192, 8192, device=_DEVICE, dtype=dtype)
    big = torch.empty(1 << 30, device=_DEVICE, dtype=torch.uint8)
    other = torch.empty_like(big)
    times = interleaved({"product": lambda: a @ a, "copy": lambda: other.copy_(big)}, 20)
    return 8192**3 / min(times["product"]) * 1e3, 2 * (1 << 30) / min(times["copy"]) * 1e3


def routes(
    config: SamplerConfig, weights: Weights, precision: str, n: int, names: Sequence[str]
) -> dict[str, Callable[[], object]]:
    """By name. Noise is drawn on the GPU in each."""
    inputs, dtype = RandomInputs(config), TYPES[precision]
    sampler = _runtime.CudaSampler(config.as_dict(), weights, precision=precision)
    image, prompt = inputs.states(sampler)
    out = sampler.sample_on_device(image, prompt, n, 1)
    plain = PlainSampler(config, weights, inputs, dtype, _DEVICE).eval()

    def run(model: Callable[..., Any], count: int) -> Any:
        with torch.no_grad():
            return model(torch.randn(count, 2, config.latent, device=_DEVICE, dtype=dtype))

    def one_by_one() -> None:
        for _ in range(n):
            run(plain, 1)

    found: dict[str, Callable[[], object]] = {
        "asam": lambda: sampler.sample_on_device(image, prompt, n, 1, out=out),
        "eager": lambda: run(plain, n),
        "loop": one_by_one,
    }
    if "compile" in names:
        quick = torch.compile(plain, mode="max-autotune", dynamic=False)
        found["compile"] = lambda: run(quick, n)
    return {name: found[name] for name in names}


def floors(
    config: SamplerConfig, weights: Weights, n: int, products: float, bandwidth: float
) -> dict[str, float]:
    """Milliseconds, by the machine's rates."""
    work = multiply_adds(config, len(RandomInputs(config).tokens))
    return {
        "floor_products_ms": 1e3 * n * work / products,
        "floor_bytes_ms": 1e3 * least_bytes(config, weights, n) / bandwidth,
    }


HEAD = ("S", "type", "n", "asam", "eager", "compile", "loop", "floor: products", "floor: bytes")


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    cells = [str(row["side"]), row["precision"], str(row["n"])]
    if "problem" in row:
        return table_line([*cells, row["problem"]])
    ms = row["ms"]
    cells += [f"{ms[name]:.3f}" if name in ms else "-" for name in ("asam", "eager", "compile", "loop")]
    cells += [f"{row['floor_products_ms']:.3f}", f"{row['floor_bytes_ms']:.3f}"]
    return table_line(cells)


def main() -> int:
    arguments = parsed(__doc__, n=(1, 8, 32, 64, 256))
    peaks = {precision: rates(TYPES[precision]) for precision in arguments.precisions}
    told = {
        precision: {"multiply_adds_a_second": products, "bytes_a_second": bandwidth}
        for precision, (products, bandwidth) in peaks.items()
    }
    report = Report(arguments.output, "gpu", HEAD, line, rates=told)
    weights_of = cache(lambda side: random_weights(config_of(side)))

    def measured(side: int, precision: str, n: int, names: Sequence[str]) -> dict[str, Any]:
        config, weights = config_of(side), weights_of(side)
        times = interleaved(routes(config, weights, precision, n, names), arguments.repeats)
        ms = {name: statistics.median(each) for name, each in times.items()}
        return {**floors(config, weights, n, *peaks[precision]), "ms": ms, "runs_ms": times}

    for names in PARTS[: 2 if arguments.no_compile else 3]:
        for side, precision, n in cases(arguments):
            row = {"side": side, "precision": precision, "n": n}
            report.add(row, partial(measured, side, precision, n, names))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
