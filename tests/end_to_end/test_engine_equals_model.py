"""PyTorch `model.sample` against `Session.sample`: same seed, every prompt, to 1e-4 on logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import asam_trt
from asam.model import ASAM
from asam.model.config import BACKBONES, TinyViTSizes

IMAGE = np.random.default_rng(5).integers(0, 255, (90, 120, 3), dtype=np.uint8)
PROMPTS: dict[str, dict[str, Any]] = {
    "box": {"box": (20, 15, 80, 70)},
    "point": {"point_coords": [[40, 30]], "point_labels": [1]},
    "points": {"point_coords": [[40, 30], [90, 60]], "point_labels": [1, 0]},
    "box and point": {"box": (20, 15, 80, 70), "point_coords": [[40, 30]], "point_labels": [1]},
    "none": {},
}


def spread_out(model: ASAM) -> ASAM:
    """Random weights whose hypotheses differ visibly, so that an error in the latents cannot hide."""
    with torch.no_grad():
        for net in (model.image_prior, model.prompt_prior):
            net.head.output.bias.normal_()
        for combiner in (model.combiner_image, model.combiner_prompt):
            for layer in combiner.layers:
                layer.weight.mul_(2)
    return model.eval()


@pytest.fixture(
    scope="module",
    params=[("asam", "nano", 64), ("asam", "nano", 80), ("paper", "nano", 64), ("asam", "fine", 48)],
    ids=lambda p: f"{p[0]}-{p[1]}-{p[2]}",
)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_tiny_vit: TinyViTSizes
) -> Iterator[tuple[ASAM, Path]]:
    preset, backbone, size = request.param
    torch.manual_seed(2)
    with pytest.MonkeyPatch.context() as patch:
        # LiteMedSAM's kind of image encoder, made small: cells of 4 pixels.
        fine = replace(BACKBONES["nano"], encoder=replace(small_tiny_vit, cell=4))
        patch.setitem(BACKBONES, "fine", fine)
        yield made(preset, backbone, size, tmp_path_factory.mktemp("engine"))


def made(preset: str, backbone: str, size: int, folder: Path) -> tuple[ASAM, Path]:
    model = spread_out(ASAM.from_preset(preset, backbone=backbone, image_size=size))
    model.save(folder / "model.safetensors")
    return model, asam_trt.build_engine(folder / "model.safetensors", progress=False)


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_same_logits(pair: tuple[ASAM, Path], prompt: dict[str, Any]) -> None:
    model, engine = pair
    expected = model.sample(IMAGE, **prompt, n=8, seed=11)
    with asam_trt.Session(engine, precision="float32") as session:
        session.set_image(IMAGE)
        found = session.sample(**prompt, n=8, seed=11)
    assert np.abs(expected.logits - expected.logits[:1]).max() > 1e-2, "hypotheses must differ"
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    sure = np.abs(np.stack([expected.resized_logits(i) for i in range(8)])) > 1e-3
    assert np.array_equal(found.masks[sure], expected.masks[sure])


def test_same_logits_for_a_mask_prompt(pair: tuple[ASAM, Path]) -> None:
    model, engine = pair
    side = 4 * model.config.grid
    mask = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32) * 4
    expected = model.sample(IMAGE, box=(20, 15, 80, 70), mask_input=mask, n=3, seed=1)
    with asam_trt.Session(engine, precision="float32") as session:
        session.set_image(IMAGE)
        found = session.sample(box=(20, 15, 80, 70), mask_input=mask, n=3, seed=1)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


@pytest.mark.slow
def test_same_logits_at_the_size_of_sam(tmp_path: Path) -> None:
    """ViT-B at 128 pixels, the paper's own setting."""
    torch.manual_seed(3)
    model = spread_out(ASAM.from_preset(backbone="vit_b"))
    model.save(tmp_path / "model.safetensors")
    engine = asam_trt.build_engine(tmp_path / "model.safetensors", progress=False)
    expected = model.sample(IMAGE, box=(20, 15, 80, 70), n=8, seed=11)
    with asam_trt.Session(engine, precision="float32") as session:
        session.set_image(IMAGE)
        found = session.sample(box=(20, 15, 80, 70), n=8, seed=11)
    largest = np.abs(expected.logits).max()
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4 * max(1.0, largest))
