"""SegGPT's adapter: a tiny random model, and a stand-in that paints what it is shown, to see where crops land."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from asam.baselines.seggpt import SegGPT
from asam.data import Sample, Synthetic
from asam.prompts import PERTURBATIONS


class Painter(torch.nn.Module):
    """Paints the picture that it is asked about, or with ``example`` the example's mask."""

    def __init__(self, *, example: bool = False) -> None:
        super().__init__()
        self.config = SimpleNamespace(image_size=(64, 32))
        self.example = example
        self.anchor = torch.nn.Parameter(torch.zeros(()))

    def forward(self, **given: torch.Tensor) -> Any:
        answer = given["prompt_masks" if self.example else "pixel_values"]
        return SimpleNamespace(pred_masks=torch.cat([given["prompt_masks"] * 0, answer], dim=2))


def picture(mask: np.ndarray, box: tuple[float, ...]) -> Sample:
    image = np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 255
    return Sample.of(image, mask[None], id="picture", box=np.array(box, dtype=np.float32))


def rectangle(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_crops_land_where_they_were_cut() -> None:
    """A white rectangle comes back within a pixel or two; white outside the window does not."""
    mask = rectangle(96, 160, 60, 30, 84, 62)
    far = mask | rectangle(96, 160, 140, 80, 155, 92)
    asked = picture(far, (60, 30, 84, 62))
    method = SegGPT(Painter(), asked, perturbation=PERTURBATIONS["none"])
    found = method.hypotheses(asked, n=1, seed=0).masks[0]
    assert not found[78:, 136:].any()
    overlap, union = (found & mask).sum(), (found | mask).sum()
    assert overlap / union > 0.9


def test_the_example_is_cropped_like_the_question() -> None:
    """The painted example mask fills the same part of its crop as the object does of its box's surroundings."""
    example = picture(rectangle(96, 96, 40, 40, 56, 56), (40, 40, 56, 56))
    asked = picture(rectangle(200, 200, 80, 80, 120, 120), (80, 80, 120, 120))
    method = SegGPT(Painter(example=True), example, perturbation=PERTURBATIONS["none"])
    found = method.hypotheses(asked, n=1, seed=0).masks[0]
    overlap, union = (found & asked.masks[0]).sum(), (found | asked.masks[0]).sum()
    assert overlap / union > 0.85


def test_a_click_is_cropped_with_the_size_of_the_example() -> None:
    example = picture(rectangle(96, 96, 40, 40, 56, 56), (40, 40, 56, 56))
    asked = Sample.of(
        example.image, example.masks, id="click", click=np.array([20.0, 70.0], dtype=np.float32)
    )
    method = SegGPT(Painter(example=True), example, perturbation=PERTURBATIONS["none"])
    found = method.hypotheses(asked, n=1, seed=0).masks[0]
    expected = rectangle(96, 96, 12, 62, 28, 78)
    assert (found & expected).sum() / (found | expected).sum() > 0.85


def test_hypotheses_are_seeded_and_differ() -> None:
    data = Synthetic("pair", size=96, seed=0, length=2)
    method = SegGPT(Painter(example=True), data[0])
    one, two, other = (method.hypotheses(data[1], n=6, seed=s).logits for s in (1, 1, 2))
    assert one.shape == (6, 128, 128)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert len(np.unique(one, axis=0)) == 6


def test_refusals(tmp_path: Path) -> None:
    empty = picture(np.zeros((32, 32), dtype=np.bool_), (4, 4, 8, 8))
    some = picture(rectangle(32, 32, 4, 4, 8, 8), (4, 4, 8, 8))
    with pytest.raises(ValueError, match="where all are empty"):
        SegGPT(Painter(), empty)
    with pytest.raises(ValueError, match="context"):
        SegGPT(Painter(), some, context=0.5)
    with pytest.raises(ValueError, match="multiple of 16"):
        SegGPT(Painter(), some, image_size=100)
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="expected a folder"):
        SegGPT.from_folder(tmp_path / "none", some)
    with pytest.raises(ValueError, match="expected the weights of a SegGPT"):
        SegGPT.from_folder(tmp_path, some)


def test_a_tiny_random_model_from_its_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.SegGptConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=(64, 32),
        patch_size=8,
        pretrain_image_size=32,
        merge_index=0,
        intermediate_hidden_state_indices=[0, 1, 2, 3],
        decoder_hidden_size=8,
    )
    torch.manual_seed(0)
    model = transformers.SegGptForImageSegmentation(config).eval()
    model.save_pretrained(tmp_path)
    data = Synthetic("pair", size=64, seed=0, length=3)
    method = SegGPT.from_folder(tmp_path, data[0], image_size=64)
    found = method.hypotheses(data[1], n=5, seed=0)
    assert found.masks.shape == (5, 64, 64)
    assert np.isfinite(found.logits).all()
    direct = SegGPT(model, data[0], image_size=64).hypotheses(data[1], n=5, seed=0)
    np.testing.assert_allclose(found.logits, direct.logits, atol=1e-5)
    other = SegGPT(model, data[2], image_size=64).hypotheses(data[1], n=5, seed=0)
    assert np.abs(found.logits - other.logits).max() > 0  # the example counts
