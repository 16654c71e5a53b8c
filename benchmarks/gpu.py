"""The CUDA sampler beside PyTorch on one GPU: milliseconds a prompt, with two floors beside each time.

    python benchmarks/gpu.py --output outputs/gpu

Needs an NVIDIA GPU, PyTorch and NumPy; writes gpu.json and gpu.md. All routes draw n hypotheses of one image and a box
from noise on the GPU to logits and scores on the GPU, over the same random weights, and take turns. Routes: ours (one
CUDA graph), PyTorch eager, torch.compile (max-autotune, which captures CUDA graphs) and the published way, one
hypothesis after the other (without the encoder, which the published loop runs each time too).

Floors: what the identities of docs/architecture.md leave to multiply, over the rate of a large matrix product that is
measured here; and the bytes that must move once (weights, image state, logits), over the bandwidth of a large copy that
is measured here.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from gpu_timing import TYPES, interleaved, parsed, table_head, table_line, write
from plain_sampler import PlainSampler, RandomInputs, Weights, random_weights

from asam_trt import _runtime
from asam_trt.sampler_spec import SamplerConfig


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
    layer = t * (c * half * 3 + 2 * c * m) + t * half * c
    self_attention = (config.depth - 1) * (t * 4 * c * c + 2 * t * t * c)
    last = t * 2 * c * half
    heads = k * (2 * c * c + c * (c // 8)) + (config.iou_layers - 1) * c * c + c
    upscale = p * (c * c + 4 * (c // 4) * (c // 2) + 16 * (c // 8))
    return combine + cells + looks + config.depth * layer + self_attention + last + heads + upscale


def least_bytes(config: SamplerConfig, weights: Weights, n: int) -> int:
    """What must move once: weights and position terms of two bytes, the image state, and the results."""
    parameters = sum(value.size for value in weights.values())
    return 2 * parameters + 4 * config.cells * config.channels + n * 4 * (16 * config.cells + 1)


def rates(dtype: torch.dtype) -> tuple[float, float]:
    """Multiply-adds a second of a product of 8192 x 8192, and bytes a second of a copy of 1 GiB (read and written)."""
    a = torch.randn(8192, 8192, device="cuda", dtype=dtype)
    big = torch.empty(1 << 30, device="cuda", dtype=torch.uint8)
    other = torch.empty_like(big)
    times = interleaved({"product": lambda: a @ a, "copy": lambda: other.copy_(big)}, 20)
    return 8192**3 / min(times["product"]) * 1e3, 2 * (1 << 30) / min(times["copy"]) * 1e3


def routes(
    config: SamplerConfig, weights: Weights, inputs: RandomInputs, precision: str, n: int, compiled: bool
) -> dict[str, Callable[[], object]]:
    """By name. Noise is drawn on the GPU in each."""
    sampler = _runtime.CudaSampler(config.as_dict(), weights, precision=precision)
    image, prompt = inputs.states(sampler)
    out = sampler.sample_on_device(image, prompt, n, 1)
    dtype = TYPES[precision]
    plain = PlainSampler(config, weights, inputs, dtype, "cuda").eval()

    def noise(count: int) -> torch.Tensor:
        return torch.randn(count, 2, config.latent, device="cuda", dtype=dtype)

    def run(model: Callable[..., Any], count: int) -> Any:
        with torch.no_grad():
            return model(noise(count))

    def one_by_one() -> None:
        for _ in range(n):
            run(plain, 1)

    found: dict[str, Callable[[], object]] = {
        "asam": lambda: sampler.sample_on_device(image, prompt, n, 1, out=out),
        "eager": lambda: run(plain, n),
    }
    if compiled:
        quick = torch.compile(plain, mode="max-autotune", dynamic=False)
        found["compile"] = lambda: run(quick, n)
    found["loop"] = one_by_one
    return found


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = []
    peaks = {name: rates(dtype) for name, dtype in TYPES.items()}
    for side in arguments.sides:
        config = config_of(side)
        weights, inputs = random_weights(config), RandomInputs(config)
        work = multiply_adds(config, len(inputs.tokens))
        for precision in arguments.precisions:
            products, bandwidth = peaks[precision]
            for n in arguments.n:
                row: dict[str, Any] = {"side": side, "precision": precision, "n": n}
                row["floor_products_ms"] = 1e3 * n * work / products
                row["floor_bytes_ms"] = 1e3 * least_bytes(config, weights, n) / bandwidth
                try:
                    calls = routes(config, weights, inputs, precision, n, not arguments.no_compile)
                    times = interleaved(calls, arguments.repeats)
                    row["ms"] = {name: statistics.median(each) for name, each in times.items()}
                    row["runs_ms"] = times
                except torch.cuda.OutOfMemoryError as error:
                    row["problem"] = str(error).splitlines()[0]
                torch.compiler.reset()
                torch.cuda.empty_cache()
                rows.append(row)
                print(line(row), flush=True)
    return {
        "rates": {
            name: {"multiply_adds_a_second": both[0], "bytes_a_second": both[1]}
            for name, both in peaks.items()
        },
        "rows": rows,
    }


HEAD = ("S", "type", "n", "asam", "eager", "compile", "loop", "floor: products", "floor: bytes")


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    ms = row.get("ms", {})
    cells = [str(row["side"]), row["precision"], str(row["n"])]
    cells += [f"{ms[name]:.3f}" if name in ms else "-" for name in ("asam", "eager", "compile", "loop")]
    cells += [f"{row['floor_products_ms']:.3f}", f"{row['floor_bytes_ms']:.3f}"]
    return table_line(cells)


def main() -> int:
    arguments = parsed(__doc__, n=(1, 8, 32, 64, 256))
    print(table_head(HEAD), flush=True)
    report = measure(arguments)
    write(arguments.output, "gpu", report, [table_head(HEAD), *map(line, report["rows"])])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
