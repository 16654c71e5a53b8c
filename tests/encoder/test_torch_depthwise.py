"""Convolutions by channel on the GPU's own kernel: which one PyTorch takes follows from how a map lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from asam_trt.torch_parts.depthwise import Depthwise
from asam_trt.torch_parts.tensors import TensorReader


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("grid", "stride"), [(5, 1), (6, 2), (5, 2), (1, 1)])
def test_maps_lie_channel_by_channel(
    monkeypatch: pytest.MonkeyPatch, grid: int, stride: int, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "mix.weight": rng.standard_normal((9, 3)).astype(np.float32),
        "mix.bias": rng.standard_normal(3).astype(np.float32),
    }
    reader = TensorReader(weights, torch.device("cpu"))
    mix = Depthwise(reader, "mix", grid=grid, channels=3, stride=stride)
    conv2d, given = functional.conv2d, []

    def watched(x: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        given.append((x.dtype, x.stride()))
        return conv2d(x, *arguments, **named)

    monkeypatch.setattr(functional, "conv2d", watched)
    rows = torch.from_numpy(rng.standard_normal((grid * grid, 3))).to(dtype)
    found = mix(rows)
    assert given == [(torch.float32, (3 * grid * grid, grid * grid, grid, 1))]

    padded = np.zeros((grid + 2, grid + 2, 3))
    padded[1:-1, 1:-1] = rows.double().numpy().reshape(grid, grid, 3)
    tops = range(0, grid, stride)
    want = [
        (padded[y : y + 3, x : x + 3].reshape(9, 3) * weights["mix.weight"]).sum(0) + weights["mix.bias"]
        for y in tops
        for x in tops
    ]
    np.testing.assert_allclose(found.numpy(), want, rtol=0, atol=1e-5)
