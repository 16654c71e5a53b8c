"""Prompts drawn as masks: the same in PyTorch and in NumPy, where they are asked for, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asam.model import ASAM, ModelConfig, fresh_model
from asam.model.prompts import ABSENT, Prompts, drawn
from asam_trt.prompt import DRAWN, draw_prompt

SIDE = 16  # of the mask; 64 pixels of model space
_PLACES = st.floats(-10, 74)
_POINTS = st.integers(0, 4).flatmap(
    lambda k: st.tuples(
        arrays(np.float64, (k, 2), elements=_PLACES), arrays(np.int64, k, elements=st.integers(-1, 1))
    )
)
_BOXES = st.none() | arrays(np.float64, (2, 2), elements=_PLACES).map(lambda c: np.sort(c, axis=0))


def row(points: Any, labels: Any, corners: Any, *, room: int = 0) -> Prompts:
    """One row in float64, with ``room`` absent places after its tokens."""
    if corners is not None:
        points, labels = np.concatenate([points, corners]), np.concatenate([labels, [2, 3]])
    points = np.concatenate([points, np.full((room, 2), 9.0)])
    labels = np.concatenate([labels, np.full(room, ABSENT)])
    bare = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    return Prompts(
        torch.from_numpy(points)[None], torch.from_numpy(labels)[None].long(), bare, torch.tensor([False])
    )


@given(_POINTS, _BOXES, st.integers(0, 3), st.sampled_from([16, 4]))
def test_torch_draws_what_numpy_draws(points: Any, corners: Any, room: int, cell: int) -> None:
    found = drawn(row(*points, corners, room=room), cell=cell)
    expected = draw_prompt(*points, None if corners is None else corners.reshape(4), side=SIDE, cell=cell)
    assert bool(found.has_mask[0]) == (expected is not None)
    if expected is not None:
        np.testing.assert_allclose(found.masks[0, 0].numpy(), expected, atol=1e-12)
        assert np.abs(expected).max() <= DRAWN


def test_a_box_is_filled_and_points_are_discs_on_it() -> None:
    box = np.array([8.0, 4.0, 40.0, 30.0])  # to the middle of a row of pixels
    points, labels = np.array([[18.0, 14.0], [58.0, 58.0], [10.0, 10.0]]), np.array([0, 1, -1])
    logits = draw_prompt(points, labels, box, side=SIDE)
    assert logits is not None
    assert logits[2, 6] == DRAWN
    assert logits[7, 6] == pytest.approx(0)  # half of it
    assert logits[8, 6] == logits[2, 12] == -DRAWN
    assert logits[3, 4] == -DRAWN  # the centre of the point off the object
    assert logits[14, 14] == DRAWN
    assert logits[2, 2] == DRAWN  # padding draws nothing
    fine = draw_prompt(points / 4, labels, box / 4, side=SIDE, cell=4)
    np.testing.assert_array_equal(fine, logits)  # where a cell is 4 pixels, a pixel of the mask is one


def test_a_given_mask_is_kept_and_no_prompt_draws_nothing() -> None:
    asked = row(np.zeros((0, 2)), np.zeros(0), np.array([[8.0, 8.0], [30.0, 30.0]]))
    kept = drawn(asked._replace(masks=asked.masks + 7, has_mask=torch.tensor([True])))
    assert (kept.masks == 7).all()
    nothing = drawn(row(np.zeros((0, 2)), np.zeros(0), None, room=2))
    assert not nothing.has_mask.any()


def test_the_model_sees_the_drawing_in_training_and_in_use() -> None:
    torch.manual_seed(0)
    fields = fresh_model("asam", backbone="nano", image_size=64)
    model = ASAM(ModelConfig.from_dict(fields)).eval()
    plain = ASAM(ModelConfig.from_dict({**fields, "draws_prompts": False})).eval()
    plain.load_state_dict(model.state_dict())
    box = torch.tensor([[8.0, 8.0, 30.0, 40.0]])
    tokens, dense = model.embed_prompt(1, boxes=box)
    mask = draw_prompt(None, None, box[0].numpy(), side=SIDE)
    given_tokens, given_dense = plain.embed_prompt(
        1, boxes=box, masks=torch.from_numpy(mask)[None, None].float()
    )
    assert torch.equal(tokens, given_tokens)
    assert torch.equal(dense, given_dense)
    assert plain.embed_prompt(1, boxes=box)[1].shape[2:] == (1, 1)

    asked = row(np.zeros((0, 2)), np.zeros(0), box.reshape(2, 2).numpy())
    asked = Prompts(asked.points.float(), asked.labels, asked.masks.float(), asked.has_mask)
    images, masks = torch.randn(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    eps = torch.randn(1, 2, model.config.latent)
    with torch.no_grad():
        found = model(images, asked, masks, eps)
        expected = plain(images, drawn(asked), masks, eps)
        other = plain(images, asked, masks, eps)
    assert torch.equal(found.logits, expected.logits)
    assert not torch.allclose(found.logits, other.logits)


@pytest.mark.parametrize(
    ("preset", "backbone", "draws"),
    [("asam", "nano", True), ("asam", "vit_b", False), ("paper", "nano", False), ("a2sam", "nano", False)],
)
def test_what_a_fresh_model_does(preset: str, backbone: str, draws: bool) -> None:
    assert fresh_model(preset, backbone=backbone)["draws_prompts"] is draws
    assert fresh_model(preset, backbone=backbone, draws_prompts=False)["draws_prompts"] is False


def test_an_older_configuration_does_not_draw() -> None:
    older = ModelConfig(backbone="nano").to_dict()
    del older["draws_prompts"]
    assert not ModelConfig.from_dict(older).draws_prompts


def test_the_published_prompt_network_knows_no_masks() -> None:
    with pytest.raises(ValueError, match="draws_prompts: expected False"):
        ModelConfig.from_dict(fresh_model("a2sam", draws_prompts=True))
