"""TinyViT, MobileSAM's and LiteMedSAM's, against a readable one, against timm's, and what training does to it."""

from __future__ import annotations

import copy
import re

import pytest
import tiny_vit_reference as reference
import torch

from asam.model.config import BACKBONES, TinyViTSizes
from asam.model.tiny_vit import TinyViT

CHANNELS = BACKBONES["vit_t"].channels
# Relative to outputs of size 1 in float64; both sides come to about 1e-14.
EXACT = {"rtol": 0, "atol": 1e-12}


def sizes() -> TinyViTSizes:
    found = BACKBONES["vit_t"].encoder
    assert isinstance(found, TinyViTSizes)
    return found


def moved(sizes: TinyViTSizes) -> TinyViT:
    """In float64; no norm, bias or statistic is left as it begins."""
    torch.manual_seed(0)
    encoder = TinyViT(sizes, channels=CHANNELS).double()
    with torch.no_grad():
        for name, value in encoder.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith("attention_biases"):
                value.normal_()
            elif value.ndim == 1:  # norms, their statistics, biases
                value.add_(0.3 * torch.randn_like(value))
    return encoder.eval()


@pytest.fixture(scope="module")
def encoder() -> TinyViT:
    return moved(sizes())


class Read(dict[str, torch.Tensor]):
    """Remembers which of its tensors were looked at."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__(state)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> torch.Tensor:
        self.names.add(name)
        return super().__getitem__(name)


# Windows of 7, 14 and 7 cells on grids of 8, 4, 4; 14, 7, 7; 16, 8, 8; 26, 13, 13: whole, short, and both.
@pytest.mark.parametrize("side", [64, 112, 128, 208])
@torch.no_grad()
def test_it_is_the_encoder_with_padded_windows(encoder: TinyViT, side: int) -> None:
    image = torch.randn(2, 3, side, side, dtype=torch.float64)
    state = Read(encoder.state_dict())
    expected = reference.encode(state, image, sizes())
    assert state.names == set(state), "every tensor of the file has a part in it"
    assert expected.shape == (2, CHANNELS, side // 16, side // 16)
    assert expected.std() > 0.5
    torch.testing.assert_close(encoder(image), expected, **EXACT)


@pytest.mark.parametrize("side", [16, 48])
@torch.no_grad()
def test_lite_medsam_s_has_cells_of_four_pixels(side: int) -> None:
    lite = BACKBONES["lite_medsam"].encoder
    assert isinstance(lite, TinyViTSizes)
    encoder = moved(lite)
    image = torch.randn(1, 3, side, side, dtype=torch.float64)
    expected = reference.encode(encoder.state_dict(), image, lite)
    assert expected.shape == (1, CHANNELS, side // 4, side // 4)
    torch.testing.assert_close(encoder(image), expected, **EXACT)


@torch.no_grad()
def test_an_embedding_is_of_its_image(encoder: TinyViT) -> None:
    """In a fresh network too; otherwise nothing above says much of the early stages."""
    images = torch.randn(8, 3, 64, 64, dtype=torch.float64)
    torch.manual_seed(1)
    fresh = TinyViT(sizes(), channels=CHANNELS).double()
    for network in (encoder, fresh):
        embedding = network(images)
        assert embedding.std(dim=0).mean() > 0.15 * embedding.std()


@torch.no_grad()
def test_the_grid_need_not_be_square(encoder: TinyViT) -> None:
    image = torch.randn(1, 3, 64, 160, dtype=torch.float64)
    expected = reference.encode(encoder.state_dict(), image, sizes())
    torch.testing.assert_close(encoder(image), expected, **EXACT)


@torch.no_grad()
def test_it_is_timms_with_another_stride(encoder: TinyViT) -> None:
    """timm's TinyViT before the neck; its last stage halves the grid, MobileSAM's does not."""
    pytest.importorskip("timm")
    from timm.models.tiny_vit import TinyVit

    found = sizes()
    theirs = TinyVit(
        num_classes=0,
        embed_dims=found.widths,
        depths=found.depths,
        num_heads=found.heads,
        window_sizes=found.windows,
        drop_path_rate=0.0,
    ).double()
    theirs.stages[3].downsample.conv2.conv.stride = (1, 1)
    state = {_name_of_timm(k): v for k, v in encoder.state_dict().items() if not k.startswith("neck.")}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(re.search(r"num_batches_tracked$|^head\.", name) for name in missing)
    image = torch.randn(1, 3, 208, 208, dtype=torch.float64)
    expected = reference.neck(encoder.state_dict(), theirs.eval().forward_features(image))
    torch.testing.assert_close(encoder(image), expected, **EXACT)


def _name_of_timm(name: str) -> str:
    """Downsampling is at the end of a stage here and at the beginning of the next one there."""
    name = re.sub(r"\.c\.weight$", ".conv.weight", name)
    name = re.sub(r"^patch_embed\.seq\.(\d)", lambda m: f"patch_embed.conv{int(m[1]) // 2 + 1}", name)
    name = re.sub(r"^layers\.(\d)\.downsample", lambda m: f"stages.{int(m[1]) + 1}.downsample", name)
    return re.sub(r"^layers\.", "stages.", name)


def test_every_parameter_trains_and_no_statistic_moves(encoder: TinyViT) -> None:
    network = copy.deepcopy(encoder).train()
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    assert {name.rpartition(".")[2] for name in statistics} == {"running_mean", "running_var"}
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    embedding = network(image)
    (embedding * torch.randn_like(embedding)).sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert all(torch.equal(value, statistics[name]) for name, value in network.named_buffers())


@torch.no_grad()
def test_an_embedding_does_not_depend_on_its_batch(encoder: TinyViT) -> None:
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    together = copy.deepcopy(encoder).train()(images)
    torch.testing.assert_close(together[1:2], encoder(images[1:2]), **EXACT)
