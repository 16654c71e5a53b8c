"""The network against Segment Anything's own modules and against the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from asam.model import ASAM, ModelConfig
from asam.model.latent import Gaussian, GaussianHead, kl_terms
from asam_trt import philox


@pytest.fixture(scope="module")
def model() -> ASAM:
    torch.manual_seed(0)
    return ASAM.from_preset(backbone="nano", image_size=64).eval()


def noise(rows: int, n: int, latent: int) -> torch.Tensor:
    return torch.from_numpy(philox.normal(3, rows * n, latent)).unflatten(0, (rows, n))


def test_decode_is_the_weighted_sum_of_sam_masks(model: ASAM) -> None:
    """Equation (13) with SAM's own decoder, one row at a time, K full maps."""
    sizes, grid = model.config.sizes, model.config.grid
    embedding = torch.randn(2, sizes.channels, grid, grid)
    tokens = torch.randn(2, 3, sizes.channels)
    dense = torch.randn(2, sizes.channels, 1, 1)
    eps = noise(2, 3, sizes.latent)
    with torch.no_grad():
        model.ensemble.copy_(torch.linspace(-0.3, 0.6, model.config.mask_tokens))
        logits, scores = model.decode(embedding, tokens, dense, eps[:, :, 0], eps[:, :, 1])
        for row in range(2):
            for i in range(3):
                tiled = eps[row, i, :, :, None, None].expand(-1, -1, grid, grid)
                mixed = [
                    torch.nn.Sequential(*_with_relu(combiner.layers))(torch.cat([feature, z[None]], dim=1))
                    for combiner, feature, z in (
                        (model.combiner_image, embedding[row : row + 1], tiled[1]),
                        (model.combiner_prompt, dense[row : row + 1].expand(-1, -1, grid, grid), tiled[0]),
                    )
                ]
                masks, ious = model.mask_decoder(
                    image_embeddings=mixed[0],
                    image_pe=model.position(),
                    sparse_prompt_embeddings=tokens[row : row + 1],
                    dense_prompt_embeddings=mixed[1],
                    multimask_output=True,
                )
                expected = torch.einsum("k,khw->hw", model.ensemble, masks[0])
                torch.testing.assert_close(logits[row, i], expected, atol=2e-5, rtol=1e-4)
                torch.testing.assert_close(scores[row, i], ious[0] @ model.ensemble, atol=2e-5, rtol=1e-4)


def _with_relu(layers: nn.ModuleList) -> list[nn.Module]:
    out: list[nn.Module] = []
    for layer in layers:
        out += [layer, nn.ReLU()]
    return out[:-1]


def test_kl_is_the_closed_form() -> None:
    q, p = (Gaussian(torch.randn(4, 8), torch.rand(4, 8) + 0.1) for _ in range(2))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(*q), normal(*p)).sum(dim=1)
    torch.testing.assert_close(kl_terms(q, p).sum(dim=1), expected)
    assert kl_terms(p, p).abs().max() < 1e-6


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_head_learns_in_bf16_on_any_map(side: int) -> None:
    """On a map of one cell PyTorch's own gradient of a strided bf16 kernel is whatever lay in memory."""
    torch.manual_seed(0)
    head = GaussianHead(inputs=16, widths=(16, 32), convs=1, latent=8, log_sigma_range=None)
    strided = head.blocks[1][0]
    x = torch.randn(4, 16, side, side)
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        head.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            latent = head(x)
        (latent.mean.sum() + latent.sigma.sum()).backward()
        gradients.append(strided.weight.grad.clone())
    full, half = gradients
    torch.testing.assert_close(half, full, atol=0.1 * float(full.abs().max()), rtol=0)

    plain = torch.nn.functional.conv2d(x, strided.weight, strided.bias, stride=2, padding=1)
    torch.testing.assert_close(strided(x), plain)


def test_sample_depends_on_seed_and_index_only(model: ASAM) -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 60, 3), dtype=np.uint8)
    few = model.sample(image, box=(5, 6, 40, 40), n=3, seed=7)
    many = model.sample(image, box=(5, 6, 40, 40), n=70, seed=7)
    np.testing.assert_allclose(few.logits, many.logits[:3], atol=1e-5)
    other = model.sample(image, box=(5, 6, 40, 40), n=3, seed=8)
    assert np.abs(other.logits - few.logits).max() > 1e-4
    assert few.masks.shape == (3, 48, 60)


def test_zero_noise_gives_the_means(model: ASAM) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    eps = np.zeros((2, 2, model.config.sizes.latent), np.float32)
    still = model.sample(image, box=(5, 6, 40, 40), n=2, eps=eps)
    cold = model.sample(image, box=(5, 6, 40, 40), n=2, temperature=0.0)
    np.testing.assert_allclose(still.logits[0], still.logits[1], atol=1e-6)
    np.testing.assert_allclose(still.logits, cold.logits, atol=1e-6)


@pytest.mark.parametrize(
    "prompt",
    [
        {"box": (5, 6, 40, 40)},
        {"point_coords": [[10, 12]], "point_labels": [1]},
        {"point_coords": [[10, 12], [30, 30]], "point_labels": [1, 0], "box": (5, 6, 40, 40)},
        {"mask_input": np.ones((16, 16), np.float32)},
        {},
    ],
    ids=["box", "point", "mixed", "mask", "none"],
)
def test_every_prompt_of_sam(model: ASAM, prompt: dict[str, object]) -> None:
    hypotheses = model.sample(np.zeros((64, 64, 3), np.uint8), n=2, **prompt)  # type: ignore[arg-type]
    assert hypotheses.logits.shape == (2, 16, 16)
    assert np.isfinite(hypotheses.logits).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"backbone": "vit_x"}, "vit_x"),
        ({"image_size": 100_000_000}, "image_size: .*4096 at most"),
        ({"image_size": 100}, "multiple of 16"),
        ({"image_size": 0}, "multiple of 16"),
        ({"mask_tokens": 0}, "mask_tokens"),
        ({"log_sigma_range": (1.0, 1.0)}, "log_sigma_range"),
    ],
)
def test_configuration_names_what_is_wrong(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelConfig.from_dict({**ModelConfig().to_dict(), **changes})


def test_configuration_survives_json() -> None:
    import json

    config = ModelConfig(backbone="nano", image_size=96)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="colour"):
        ModelConfig.from_dict({"colour": 1})


def test_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected one of \['a2sam', 'asam', 'paper'\], got 'best'"):
        ASAM.from_preset("best")


def test_tokens_go_through_the_combiner_one_by_one() -> None:
    """prompt_latent_on="tokens and dense": each prompt token is mixed with the prompt latent as a grid cell is."""
    torch.manual_seed(0)
    model = ASAM(ModelConfig(backbone="nano", image_size=32, prompt_latent_on="tokens and dense")).eval()
    plain = ASAM(ModelConfig(backbone="nano", image_size=32)).eval()
    plain.load_state_dict(model.state_dict())
    embedding, tokens, dense = torch.randn(1, 64, 2, 2), torch.randn(1, 3, 64), torch.randn(1, 64, 1, 1)
    prompt, image = torch.randn(1, 2, 32), torch.randn(1, 2, 32)
    with torch.no_grad():
        logits, _ = model.decode(embedding, tokens, dense, prompt, image)
        for s in range(2):
            mixed = [
                model.combiner_prompt(tokens[:, t, :, None, None], prompt[:, s : s + 1]).flatten(1)
                for t in range(3)
            ]
            one = (prompt[:, s : s + 1], image[:, s : s + 1])
            expected, _ = plain.decode(embedding, torch.stack(mixed, dim=1), dense, *one)
            torch.testing.assert_close(logits[:, s : s + 1], expected)
        none, _ = model.decode(embedding, tokens[:, :0], dense, prompt, image)
        assert none.shape == (1, 2, 8, 8)
