"""Robustness and sensitivity: what is asked, and the numbers by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from asam.data import Sample, Subset, Synthetic
from asam.model import ASAM
from asam.model.sampling import mean_masks
from asam.progress import bars
from asam.studies.robustness import FAMILIES, plot, robustness, table
from asam.studies.sensitivity import (
    DIRECTIONS,
    AsamOutputs,
    SamOutputs,
    moved_boxes,
    sensitivity,
)
from asam.studies.sensitivity import plot as sensitivity_plot
from asam.studies.sensitivity import table as sensitivity_table
from asam_trt import Hypotheses
from asam_trt.geometry import Frame

SIDE = 128


def samples(click: bool = False) -> Subset:
    """Two plain samples of two groups, each of two raters: a box of 40 x 40 and its left half."""

    class Boxes:
        ids = ("a", "b")
        groups = ("p", "q")

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Sample:
            masks = np.zeros((2, SIDE, SIDE), np.bool_)
            masks[0, 40:80, 40:80] = True
            masks[1, 40:80, 40:60] = True
            point = np.array([50, 50], np.float32) if click else None
            image = np.full((SIDE, SIDE, 3), 9 * index, np.uint8)
            return Sample.of(image, masks, id=self.ids[index], group=self.groups[index], click=point)

    return Subset(Boxes(), [0, 1])  # type: ignore[arg-type]


@dataclass
class BoxFiller:
    """Answers every box with the box itself, rounded to pixels, and remembers what it was asked."""

    name: str = "filler"
    asked: list[tuple[float, ...]] = field(default_factory=list)

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        self.asked.append(tuple(sample.box.tolist()))
        x0, y0, x1, y1 = np.round(sample.box).astype(int)
        logits = np.full((n, SIDE, SIDE), -1, np.float32)
        logits[:, y0:y1, x0:x1] = 1
        return Hypotheses(logits, np.ones(n, np.float32), Frame.of(SIDE, SIDE, 4 * SIDE))


def test_every_method_is_asked_the_same_boxes_of_each_family() -> None:
    one, two = BoxFiller("one"), BoxFiller("two")
    with bars(shown=False) as start:
        found = robustness([one, two], samples(), n=2, seed=7, start=start)
    assert list(found) == ["one", "two"]
    assert list(found["one"]) == list(FAMILIES) == ["none", "shift", "scale", "shift+", "scale+", "both"]
    assert one.asked == two.asked
    assert len(set(one.asked)) == 1 + 2 * (len(FAMILIES) - 1)  # both samples have the same box until it moves
    moved = np.abs(np.array(one.asked) - one.asked[0]).reshape(len(FAMILIES), 2, 4)
    assert moved[0].max() == 0
    assert 0 < moved[1].max() <= 5.001
    width = moved[1, :, 2] - moved[1, :, 0]
    assert np.abs(width).max() < 1e-3  # a shift keeps the size
    for reports in found.values():
        assert reports["none"].means["hm_iou"] == pytest.approx((1 + 0.5) / 2)
        assert reports["none"].means["hm_iou"] > reports["both"].means["hm_iou"]
        assert "'scale+'" in reports["scale+"].prompt
    text = table(found)
    assert f"| one | {found['one']['none'].cell('hm_iou')} |" in text
    assert plot(found, "ged").size[0] > 0


@dataclass(frozen=True)
class Half:
    """Two outputs: the box, and its left half."""

    names = ("whole", "left half")

    def masks(self, image: Any, boxes: np.ndarray) -> np.ndarray:
        out = np.zeros((2, len(boxes), *np.shape(image)[:2]), np.bool_)
        for m, (x0, y0, x1, y1) in enumerate(np.round(boxes).astype(int)):
            out[0, m, y0:y1, x0:x1] = True
            out[1, m, y0:y1, x0 : (x0 + x1) // 2] = True
        return out


def test_sensitivity_by_hand() -> None:
    found = sensitivity(Half(), samples(), shift=8)
    assert (found.samples, found.groups) == (2, 2)
    for direction in ("left", "right", "up", "down"):
        assert found.itself[direction]["whole"][0] == pytest.approx(32 / 48)
    assert found.itself["none"]["left half"][0] == 1
    assert found.itself["left"]["left half"][0] == pytest.approx(12 / 28)
    assert found.itself["up"]["left half"][0] == pytest.approx(32 / 48)
    assert found.raters["none"]["whole"][0] == pytest.approx((1 + 0.5) / 2)
    # Moved left by 8, the whole box shares 32 columns with the first rater and 20 with the second.
    assert found.raters["left"]["whole"][0] == pytest.approx((32 / 48 + 20 / 40) / 2)
    assert found.raters["right"]["whole"][0] == pytest.approx((32 / 48 + 12 / 48) / 2)
    assert found.between[0] == pytest.approx(0.5)
    text = sensitivity_table({"half": found})
    assert "| left | 0.583 " in text
    assert "between two of its outputs, box unmoved: 0.500" in text
    assert sensitivity_plot(found, "half").size[0] > 0


def test_the_shift_grows_with_the_image() -> None:
    masks = np.ones((1, 64, 256), np.bool_)
    sample = Sample.of(
        np.zeros((64, 256, 3), np.uint8), masks, id="a", box=np.array([10, 20, 30, 40], np.float32)
    )
    moves = moved_boxes(sample, 5) - sample.box
    assert dict(zip(DIRECTIONS, moves.tolist(), strict=True)) == {
        "none": [0, 0, 0, 0],
        "left": [-10, 0, -10, 0],
        "right": [10, 0, 10, 0],
        "up": [0, -10, 0, -10],
        "down": [0, 10, 0, 10],
    }


def test_clicks_have_no_box_to_move() -> None:
    with pytest.raises(ValueError, match="asked by a box, got none of 2"):
        sensitivity(Half(), samples(click=True))


def test_the_ensemble_of_an_asam_is_its_mean_mask_and_the_sum_of_its_tokens() -> None:
    torch.manual_seed(0)
    model = ASAM.from_preset(backbone="nano", image_size=64).eval()
    sample = Synthetic("pair", size=64, seed=0, length=1)[0]
    boxes = moved_boxes(sample, 5)
    network = AsamOutputs(model)
    masks = network.masks(sample.image, boxes)
    assert masks.shape == (len(network.names), 5, 64, 64) == (1 + 8, 5, 64, 64)
    # Summed in another order: a pixel on an edge may fall on the other side.
    assert (masks[0] != mean_masks(model, sample.image, boxes).masks).mean() < 1e-3
    found = sensitivity(network, Synthetic("pair", size=64, seed=0, length=3), limit=2)
    assert found.samples == 2
    assert found.itself["none"]["token 8"][0] == 1


def test_an_official_sam_has_a_single_mask_and_three_granularities() -> None:
    torch.manual_seed(0)
    grid, side, channels = 4, 64, 32
    sam = Sam(
        ImageEncoderViT(
            img_size=side,
            patch_size=16,
            embed_dim=32,
            depth=1,
            num_heads=2,
            out_chans=channels,
            global_attn_indexes=(0,),
        ),
        PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(side, side),
            mask_in_chans=4,
        ),
        MaskDecoder(
            transformer_dim=channels,
            transformer=TwoWayTransformer(depth=1, embedding_dim=channels, num_heads=2, mlp_dim=32),
            num_multimask_outputs=3,
            iou_head_hidden_dim=16,
        ),
    ).eval()
    network = SamOutputs(sam)
    assert network.names == ["single", "granularity 1", "granularity 2", "granularity 3"]
    found = sensitivity(network, Synthetic("pair", size=side, seed=0, length=2))
    assert list(found.raters["left"]) == network.names
    assert all(value == 1 for value, _ in found.itself["none"].values())
