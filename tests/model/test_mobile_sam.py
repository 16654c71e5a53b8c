"""MobileSAM's file: read for training and as a plain SAM, and files that look like it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from asam.model import ASAM, CheckpointError, ModelConfig, load_checkpoint, load_sam
from asam.model.torch_file import PATCHES, POSITION, TOKENS
from asam.plain_sam import PlainSam, is_sam

SAM_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
PLAIN: dict[str, Any] = {"latents": (), "posterior": False}


@pytest.fixture(scope="module")
def state(mobile_sam: Path) -> dict[str, torch.Tensor]:
    """What the file holds; not to be written to."""
    found: dict[str, torch.Tensor] = torch.load(mobile_sam, weights_only=True)
    return found


@pytest.fixture(scope="module")
def model() -> ASAM:
    torch.manual_seed(0)
    return ASAM(ModelConfig(backbone="vit_t", image_size=96, mask_tokens=3, **PLAIN))


def test_it_is_copied_whole_whatever_the_size(
    model: ASAM, mobile_sam: Path, state: dict[str, torch.Tensor]
) -> None:
    report = load_sam(model, mobile_sam)
    assert (report.resized, report.repeated, report.unused) == ((), (), ())
    assert not any(name.startswith(SAM_PARTS) for name in report.fresh)
    own = {name: value for name, value in model.state_dict().items() if name.startswith(SAM_PARTS)}
    for name, value in own.items():
        assert torch.equal(value, state[name]), name
    left = {name.removeprefix("image_encoder.").split(".")[0] for name in set(state) - set(own)}
    assert left == {"patch_embed", "layers", "norm_head", "head"}
    assert all(name.endswith("num_batches_tracked") or "head." in name for name in set(state) - set(own))


def test_as_a_plain_sam_its_size_is_sams(mobile_sam: Path) -> None:
    assert is_sam(mobile_sam)
    config = PlainSam.read(mobile_sam).network.config
    assert (config.backbone, config.image_size, config.mask_tokens) == ("vit_t", 1024, 3)
    assert config.pixel_mean == (123.675, 116.28, 103.53)
    assert PlainSam.read(mobile_sam, image_size=64).network.config.image_size == 64


def test_lite_medsam_s_file_brings_its_size_pixels_and_mask(
    lite_medsam: Path, mobile_sam: Path, model: ASAM
) -> None:
    assert is_sam(lite_medsam)
    plain = PlainSam.read(lite_medsam)
    config = plain.network.config
    assert (config.backbone, config.image_size, config.grid, plain.masks) == (
        "lite_medsam",
        256,
        64,
        "single",
    )
    assert (config.pixel_mean, config.pixel_std) == ((0, 0, 0), (255, 255, 255))
    chosen = PlainSam.read(lite_medsam, image_size=32, pixels="sam", masks="multi")
    assert (chosen.network.config.pixel_std[0], chosen.network.config.grid, chosen.masks) == (
        58.395,
        8,
        "multi",
    )
    with pytest.raises(CheckpointError, match="of backbone vit_t, got those of lite_medsam; choose"):
        load_sam(model, lite_medsam)
    fresh = ASAM.from_preset(backbone="lite_medsam", image_size=32, sam_checkpoint=lite_medsam).config
    assert (fresh.start, fresh.pixel_std, fresh.grid, fresh.draws_prompts) == ("single", (255,) * 3, 8, False)
    published = ASAM.from_preset("a2sam", backbone="lite_medsam", image_size=32, adaptation="full")
    assert published.config.start == "fresh"
    with pytest.raises(ValueError, match="multiple of 16 pixels, 1024 at most, got 1040"):
        PlainSam.read(lite_medsam, image_size=1040)


def test_an_image_of_unit_pixels(mobile_sam: Path) -> None:
    config = PlainSam.read(mobile_sam, image_size=64, pixels="unit").network.config
    assert (config.pixel_mean, config.pixel_std) == ((0, 0, 0), (255, 255, 255))
    with pytest.raises(ValueError, match=r"pixels: expected one of \['sam', 'unit'\], got 'byte'"):
        PlainSam.read(mobile_sam, pixels="byte")


def vit(width: int, blocks: int) -> dict[str, torch.Tensor]:
    """As much of a SAM file as says its backbone."""
    names = [f"image_encoder.blocks.{i}.norm1.weight" for i in range(blocks)]
    return {POSITION: torch.zeros(1, 4, 4, width), **dict.fromkeys(names, torch.zeros(width))}


@pytest.mark.parametrize(("width", "blocks", "name"), [(768, 12, "vit_b"), (1280, 32, "vit_h")])
def test_another_backbone_s_file_is_named(
    model: ASAM, tmp_path: Path, width: int, blocks: int, name: str
) -> None:
    torch.save(vit(width, blocks), tmp_path / "sam.pth")
    with pytest.raises(
        CheckpointError,
        match=rf"sam\.pth: expected weights of backbone vit_t, got those of {name}; choose the backbone that the file",
    ):
        load_sam(model, tmp_path / "sam.pth")


def test_its_file_for_another_backbone_is_named(mobile_sam: Path) -> None:
    other = ASAM(ModelConfig(backbone="nano", image_size=32, **PLAIN))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(
        CheckpointError, match="expected weights of backbone nano, got those of vit_t; choose"
    ):
        load_sam(other, mobile_sam)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


STATISTICS = "image_encoder.layers.1.blocks.0.local_conv.bn"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({PATCHES: torch.zeros(32, 3, 5, 5)}, "kernels of 3 x 3, as MobileSAM's, or 1 x 1, .*got .*5, 5"),
        ({PATCHES: torch.zeros(48, 3, 3, 3)}, r"c\.weight \(32, 3, 3, 3\) for backbone vit_t, got \(48, 3, 3, 3\)"),
        ({PATCHES: torch.zeros(32, 3, 3, 3).to_sparse()}, "dense tensor"),
        ({f"{STATISTICS}.running_mean": None}, r"local_conv\.bn\.running_mean \(128,\), got no such tensor"),
        ({f"{STATISTICS}.running_mean": torch.full((128,), torch.nan)}, "finite numbers in .*running_mean"),
        ({f"{STATISTICS}.running_var": torch.full((128,), -0.1)}, "variances in .*running_var, got less than 0"),
        ({f"{STATISTICS}.running_var": torch.ones(128, dtype=torch.int64)}, "running_var as a dense tensor .*int64"),
        ({"image_encoder.layers.1.blocks.0.attn.attention_biases": torch.zeros(4, 196)}, r"\(4, 49\)"),
        ({TOKENS: torch.zeros(1, 256)}, "mask_tokens"),
        ({POSITION: torch.zeros(1, 4, 4, 768)}, "a TinyViT, came both; save the state dict of one network"),
    ],
)  # fmt: skip
def test_what_only_looks_like_it(
    model: ASAM,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    changes: dict[str, torch.Tensor | None],
    message: str,
) -> None:
    changed = {name: value for name, value in {**state, **changes}.items() if value is not None}
    torch.save(changed, tmp_path / "sam.pt")
    with pytest.raises(CheckpointError, match=message):
        load_sam(model, tmp_path / "sam.pt")
    with pytest.raises(CheckpointError, match=message):
        PlainSam.read(tmp_path / "sam.pt", image_size=64)


def test_a_saved_model_with_a_variance_below_zero(model: ASAM, tmp_path: Path) -> None:
    broken = copy.deepcopy(model)
    broken.get_buffer(f"{STATISTICS}.running_var")[3] = -0.1
    broken.save(tmp_path / "broken.safetensors")
    with pytest.raises(CheckpointError, match=r"variances in .*local_conv\.bn\.running_var, got less than 0"):
        load_checkpoint(tmp_path / "broken.safetensors")


def test_a_plain_sam_has_no_other_tensors(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({**state, "mask_decoder.hf_token.weight": torch.zeros(1, 256)}, tmp_path / "more.pt")
    with pytest.raises(CheckpointError, match=r"no others.*'mask_decoder\.hf_token\.weight'"):
        PlainSam.read(tmp_path / "more.pt", image_size=64)
    torch.save({k: v for k, v in state.items() if k != PATCHES}, tmp_path / "less.pt")
    assert not is_sam(tmp_path / "less.pt")


def test_it_is_no_a_sam(mobile_sam: Path, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"lite_medsam\.pth\), got SAM's state dict, which has no latents; .*asam build"
    ):
        load_checkpoint(mobile_sam)
    torch.save({PATCHES: state[PATCHES]}, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"SAM's state dict without mask_decoder\.mask_tokens\.weight"):
        load_checkpoint(tmp_path / "part.pt")
