"""PyTorch's latent networks against the native ones and the model's own, and sizes that they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from plain_encoder import PlainPrior

from asam_trt.torch_parts.prior import LatentPrior

from .test_prior import Case, image_net, prompt_net

CPU = torch.device("cpu")


def error(case: Case) -> float:
    """Of PyTorch's answer from the file's tensors, in units of what the model's own float32 is off."""
    given = (torch.from_numpy(x) for x in case.asked)
    found = torch.stack(LatentPrior(case.config, case.weights, device=CPU)(*given)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack(case.native().run(*case.asked)), rtol=1e-4, atol=1e-5)
    off = max(float(np.abs(case.single - case.exact).max()), 1e-7 * float(np.abs(case.exact).max()))
    return float(np.abs(found - case.exact).max()) / off


@pytest.mark.parametrize("pooling", ["strided", "average"])
@pytest.mark.parametrize("grid", [1, 2, 3, 8, 13])
def test_image_network(grid: int, pooling: str) -> None:
    assert error(Case(image_net(pooling=pooling), grid=grid, tokens=None)) <= 4


@pytest.mark.parametrize(("tokens", "dense_map"), [(0, False), (1, True), (2, False), (41, True)])
@pytest.mark.parametrize("grid", [1, 4, 9])
def test_prompt_network(grid: int, tokens: int, dense_map: bool) -> None:
    assert error(Case(prompt_net(), grid=grid, tokens=tokens, dense_map=dense_map)) <= 4


def test_log_sigma_is_clamped_where_it_is_asked() -> None:
    assert error(Case(image_net(span=(-0.01, 0.02)), grid=4, tokens=None)) <= 4
    assert error(Case(image_net(span=None), grid=4, tokens=None)) <= 4


def test_the_plain_network_of_the_benchmarks_is_the_models() -> None:
    for case in (Case(image_net(), grid=9, tokens=None), Case(prompt_net(), grid=9, tokens=2)):
        given = (torch.from_numpy(x).double() for x in case.asked)
        found = torch.stack(PlainPrior(case.config, case.weights, torch.float64)(*given))
        np.testing.assert_allclose(found.numpy(), case.exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"grid": 0},
        {"latent": 0},
        {"convs": 0},
        {"heads": 5},
        {"widths": ()},
        {"widths": (0, 3)},
        {"log_sigma_range": (1.0, 1.0)},
    ],
)
def test_sizes_that_no_network_has(change: dict[str, Any]) -> None:
    case = Case(prompt_net(), grid=2, tokens=1)
    (name,) = change
    with pytest.raises(ValueError, match=rf"config\['{name}'\]"):
        LatentPrior(replace(case.config, **change), case.weights, device=CPU)


def test_weights_that_are_wrong() -> None:
    case = Case(prompt_net(), grid=2, tokens=1)
    with pytest.raises(ValueError, match=r"expected 'q\.bias' of shape \[4, 24\], got \[3, 24\]"):
        LatentPrior(case.config, case.weights | {"q.bias": case.weights["q.bias"][1:]}, device=CPU)
    with pytest.raises(ValueError, match=r"unknown tensor '(null_token|[qkv]\.|out)"):
        LatentPrior(
            replace(case.config, heads=0, channels=2 * case.config.channels), case.weights, device=CPU
        )
