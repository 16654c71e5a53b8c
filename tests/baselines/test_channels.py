"""Prompts as channels: areas of boxes, discs of points, and the same drawing in training as in use."""

from __future__ import annotations

import numpy as np
import torch
from tiny_peers import SIDE, one_batch, peer

from asam.baselines.channels import as_row, prompt_channels
from asam.baselines.noise import row_noise
from asam.data import Synthetic
from asam.model.prompts import ABSENT, Prompts
from asam_trt import philox
from asam_trt.geometry import Frame
from asam_trt.prompt import Prompt


def rows(points: list[list[list[float]]], labels: list[list[int]]) -> Prompts:
    count = len(points)
    return Prompts(
        torch.tensor(points),
        torch.tensor(labels),
        torch.zeros(count, 1, 1, 1),
        torch.zeros(count, dtype=torch.bool),
    )


def test_a_box_covers_its_area() -> None:
    """Against a picture eight times as fine, in which every corner lies between pixels."""
    corners = [[2.25, 3.5], [9.75, 4.125]]
    found = prompt_channels(rows([corners], [[2, 3]]), 16)[0]
    fine = (np.arange(16 * 8) + 0.5) / 8
    inside = ((fine > 3.5) & (fine < 4.125))[:, None] & ((fine > 2.25) & (fine < 9.75))
    expected = inside.reshape(16, 8, 16, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert not found[1:].any()


def test_boxes_are_cut_off_at_the_image() -> None:
    found = prompt_channels(rows([[[-5.0, -3.0], [40.0, 8.0]]], [[2, 3]]), 16)[0, 0]
    assert float(found.sum()) == 16 * 8


def test_points_are_discs_of_their_own_sort() -> None:
    """Three 128ths of the image in radius; padding and absent places draw nothing."""
    side = 128
    asked = rows([[[30.0, 40.0], [80.0, 90.0], [0.0, 0.0], [5.0, 5.0]]], [[1, 0, -1, ABSENT]])
    box, on, off, earlier = prompt_channels(asked, side)[0]
    y, x = np.mgrid[:side, :side] + 0.5
    for found, (cx, cy) in ((on, (30, 40)), (off, (80, 90))):
        near, far = np.hypot(x - cx, y - cy) <= 2.5, np.hypot(x - cx, y - cy) >= 3.5
        assert (found.numpy()[near] == 1).all()
        assert (found.numpy()[far] == 0).all()
    assert not box.any()
    assert not earlier.any()


def test_no_prompt_is_no_drawing() -> None:
    found = prompt_channels(rows([[], []], [[], []])._replace(points=torch.zeros(2, 0, 2)), 16)
    assert found.shape == (2, 4, 16, 16)
    assert not found.any()


def test_an_earlier_mask_counts_only_where_there_is_one() -> None:
    masks = torch.full((2, 1, 4, 4), 3.0)
    asked = Prompts(torch.zeros(2, 0, 2), torch.zeros(2, 0).long(), masks, torch.tensor([True, False]))
    found = prompt_channels(asked, 16)
    torch.testing.assert_close(found[0, 3], torch.full((16, 16), float(np.tanh(1.5))))
    assert not found[1].any()


def test_a_question_in_use_is_drawn_as_in_training() -> None:
    """Two clicks and a box: the loader's rows, unperturbed, and what `sample` makes of the sample's own prompt."""
    network = peer("ssn")
    for kind, prompt in (("click", True), ("pair", False)):
        batch = one_batch(
            network, kind=kind, size=48, length=4, augment=False, perturbation="none", shuffle=False
        )
        trained = prompt_channels(batch.prompts, SIDE)
        for row, sample in enumerate(Synthetic(kind, size=48, seed=0, length=4)):
            frame = Frame.of(48, 48, SIDE)
            if prompt:
                assert sample.click is not None
                asked = Prompt.checked(point_coords=sample.click[None], point_labels=[1], frame=frame)
            else:
                asked = Prompt.checked(box=sample.box, frame=frame)
            used = prompt_channels(as_row(asked, frame, torch.device("cpu")), SIDE)
            torch.testing.assert_close(used[0], trained[row], atol=1e-5, rtol=0)


def test_noise_is_that_of_the_engines() -> None:
    """Philox by seed and draw, cut to size; later draws can be had without the earlier ones."""
    cpu = torch.device("cpu")
    found = row_noise(torch.tensor([3, 2**62]), n=5, size=6, device=cpu)
    assert found.shape == (2, 5, 2, 6)
    for row, seed in enumerate((3, 2**62)):
        np.testing.assert_allclose(found[row], philox.normal(seed, 5, 8)[..., :6], atol=1e-6)
    later = row_noise([3], n=2, size=6, device=cpu, start=3)
    assert torch.equal(later[0], found[0, 3:])
