"""SAM's encoder without padded cells, as it is exported, against segment_anything itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from asam.export_encoder import encoder_config, encoder_tensors
from asam.model.backbone import image_encoder
from asam.model.config import ModelConfig
from asam.model.grid_encoder import GridEncoder
from asam_trt.encoder_spec import encoder_from_json
from asam_trt.torch_parts.windows import Stripe, stripes

from .conftest import CASES, embed, make_case, small_encoder


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error * error).mean()))


@pytest.mark.parametrize(
    ("grid", "window", "expected"),
    [
        (8, 14, [Stripe(0, 1, 8)]),
        (14, 14, [Stripe(0, 1, 14)]),
        (16, 14, [Stripe(0, 1, 14), Stripe(14, 1, 2)]),
        (64, 14, [Stripe(0, 4, 14), Stripe(56, 1, 8)]),
    ],
)
def test_stripes(grid: int, window: int, expected: list[Stripe]) -> None:
    assert stripes(grid, window) == expected


@pytest.mark.parametrize("name", CASES)
def test_no_padded_cell_is_missed(case_of: Callable[[str], Any], name: str) -> None:
    case = case_of(name)
    exact = embed(GridEncoder(case.encoder), case.image, torch.float64)
    np.testing.assert_allclose(exact, case.exact, rtol=0, atol=1e-12 * np.abs(case.exact).max())
    single = embed(GridEncoder(case.encoder), case.image, torch.float32) - case.exact
    assert rms(single) <= 2 * rms(case.torch_error(torch.float32))


def test_a_batch_is_row_by_row(case_of: Callable[[str], Any]) -> None:
    case = case_of("many windows, one column over")
    images = torch.from_numpy(np.stack([case.image, 2 * case.image, -case.image]))
    encoder = GridEncoder(case.encoder)
    with torch.no_grad():
        np.testing.assert_allclose(encoder(images), case.encoder(images), atol=2e-5)


def test_scores_far_apart_between_real_and_padded_keys(case_of: Callable[[str], Any]) -> None:
    """Scores of hundreds, where a sum of powers that is not scaled would overflow or vanish."""
    case = make_case(small_encoder(128, depth=1, global_blocks=()))
    with torch.no_grad():
        case.encoder.blocks[0].attn.rel_pos_h.mul_(60)
        case.encoder.blocks[0].attn.rel_pos_w.mul_(60)
    want = embed(case.encoder, case.image, torch.float64)
    np.testing.assert_allclose(
        embed(GridEncoder(case.encoder), case.image, torch.float64), want, rtol=0, atol=1e-11
    )


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "side"), [("vit_b", 128), ("vit_b", 256), ("nano", 128), ("nano", 240)])
def test_backbones(backbone: str, side: int) -> None:
    torch.manual_seed(0)
    case = make_case(image_encoder(ModelConfig(backbone=backbone, image_size=side)))
    found = embed(GridEncoder(case.encoder), case.image, torch.float32)
    single = embed(case.encoder, case.image, torch.float32)
    np.testing.assert_allclose(
        found, single, rtol=0, atol=2e-6 * np.abs(single).max() * len(case.encoder.blocks)
    )


def test_sizes_and_names() -> None:
    encoder = small_encoder(80, width=48, heads=3, channels=24, window=3)
    config = encoder_config(encoder)
    assert config.as_dict() == {
        "side": 80,
        "width": 48,
        "heads": 3,
        "mlp_dim": 192,
        "channels": 24,
        "windows": [3, 0, 3],
    }
    assert encoder_from_json(config.to_json()) == config
    weights = encoder_tensors(encoder)
    assert weights["blocks.0.relative_h"].shape == (5, 16)
    assert weights["blocks.1.relative_w"].shape == (9, 16)
    assert weights["neck.2.weight"].shape == (9 * 24, 24)
    np.testing.assert_array_equal(
        weights["blocks.0.relative_h"], encoder.blocks[0].attn.rel_pos_h.detach().numpy()
    )


def test_tables_of_another_grid_are_interpolated_as_sam_does() -> None:
    """A checkpoint made for another image side carries tables of another length."""
    encoder = small_encoder(80)
    encoder.blocks[1].attn.rel_pos_h = torch.nn.Parameter(torch.randn(15, 16))
    case = make_case(encoder)
    assert case.weights["blocks.1.relative_h"].shape == (9, 16)
    found = embed(GridEncoder(encoder), case.image, torch.float64)
    np.testing.assert_allclose(found, case.exact, rtol=0, atol=1e-12 * np.abs(case.exact).max())
