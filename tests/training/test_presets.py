"""The presets train as their tables say."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import TINY, tiny_data

from asam.model import ASAM, PRESETS, ModelConfig
from asam.model.presets import fresh_model
from asam.model.sampling import model_input
from asam.training import TrainConfig, train
from asam.training.batches import loader

SIDE = 32


def fresh(preset: str) -> ASAM:
    torch.manual_seed(0)
    return ASAM.from_preset(preset, backbone="nano", image_size=SIDE)


def settings(preset: str, **changes: Any) -> TrainConfig:
    values = {**TINY, **PRESETS[preset].training, "steps": 6, "batch_size": 2, "save_every": 3, **changes}
    return TrainConfig.from_dict(values)


def ensemble_of(path: Path) -> torch.Tensor:
    return load_file(path)["ensemble"]


def test_paper_freezes_the_ensemble_half_way(tmp_path: Path) -> None:
    model = fresh("paper")
    start = model.ensemble.detach().clone()
    train(
        model, tiny_data(SIDE), output=tmp_path, config=settings("paper", learning_rate=0.01), progress=False
    )
    half, last = (
        load_file(tmp_path / "states" / "step-00000003" / "model.safetensors"),
        tmp_path / "last.safetensors",
    )
    assert not torch.equal(half["ensemble"], start)
    assert torch.equal(half["ensemble"], ensemble_of(last))
    assert not torch.equal(
        half["combiner_image.layers.0.weight"], load_file(last)["combiner_image.layers.0.weight"]
    )


def test_a2sam_trains_adapters_and_new_parts_and_never_the_ensemble(tmp_path: Path) -> None:
    model = fresh("a2sam")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train(model, tiny_data(SIDE), output=tmp_path, config=settings("a2sam"), progress=False)
    after = load_file(tmp_path / "last.safetensors")
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert torch.allclose(after["ensemble"], torch.full((6,), 1 / 6))
    assert not any(k.startswith("image_encoder.") and ".down." not in k and ".up." not in k for k in moved)
    for part in ("image_prior.", "prompt_prior.full.", "prompt_posterior.upward.", "combiner_prompt."):
        assert any(k.startswith(part) for k in moved), part
    assert any(".up.v" in k for k in moved)


def test_the_published_network_takes_the_evidence_bound_too() -> None:
    model, config = fresh("a2sam"), settings("a2sam", objective="evidence", energy=1.0)
    batch = next(iter(loader(tiny_data(SIDE), model.config, config, start=0)))
    loss, terms = model.training_loss(batch, config)
    loss.backward()
    assert terms["kl_prompt"] > 0
    assert model.prompt_posterior.full[0].weight.grad.abs().max() > 0
    with pytest.raises(ValueError, match="rater_boxes: expected"):
        model(batch.images, batch.prompts, batch.target[:, None], batch.eps)


def test_a2sam_asks_the_widest_box_in_the_order_of_the_data() -> None:
    data, config = tiny_data(SIDE), settings("a2sam", steps=3)
    batches = list(loader(data, fresh("a2sam").config, config, start=0))
    shuffled = list(loader(data, fresh("a2sam").config, dataclasses.replace(config, shuffle=True), start=0))
    images = torch.cat([b.images for b in batches])
    assert len(images) == len(data) == 6
    for i in range(6):
        raw = torch.from_numpy(data[i].image.astype("float32")).permute(2, 0, 1)
        torch.testing.assert_close(
            images[i], raw / (255 if data[i].image.dtype == "uint8" else 1), atol=3e-3, rtol=0
        )
    assert not torch.equal(images, torch.cat([b.images for b in shuffled]))
    assert (batches[0].labels == torch.tensor([2, 3])).all()


def test_pixels_are_a_choice_beside_the_preset() -> None:
    scales = {
        (preset, pixels): ASAM.from_preset(preset, backbone="nano", image_size=SIDE, pixels=pixels)
        for preset, pixels in (("asam", None), ("asam", "unit"), ("paper", None), ("paper", "sam"))
    }
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    values = {choice: model_input(model, white)[0][0, :, 0, 0] for choice, model in scales.items()}
    by_sam = torch.tensor([(255 - 123.675) / 58.395, (255 - 116.28) / 57.12, (255 - 103.53) / 57.375])
    for choice, expected in (
        (("asam", None), by_sam),
        (("asam", "unit"), torch.ones(3)),
        (("paper", None), torch.ones(3)),
        (("paper", "sam"), by_sam),
    ):
        torch.testing.assert_close(values[choice], expected, rtol=1e-6, atol=0)
    assert scales["paper", "sam"].config.preset == "paper"
    with pytest.raises(ValueError, match=r"pixels: expected one of \['sam', 'unit'\], got 'byte'"):
        ASAM.from_preset(backbone="nano", pixels="byte")


@pytest.mark.parametrize(
    ("preset", "masks", "start"),
    [
        ("asam", None, "repeat"),
        ("asam", "single", "single"),
        ("paper", "multi", "repeat"),
        ("a2sam", None, "fresh"),
        ("a2sam", "multi", "repeat"),
        ("a2sam", "single", "single"),
    ],
)
def test_masks_are_a_choice_beside_the_preset(preset: str, masks: str | None, start: str) -> None:
    assert fresh_model(preset, masks=masks)["start"] == start


def test_masks_reach_the_model() -> None:
    assert ASAM.from_preset(backbone="nano", image_size=SIDE, masks="single").config.start == "single"
    with pytest.raises(ValueError, match=r"masks: expected one of \['multi', 'single'\], got 'three'"):
        ASAM.from_preset(backbone="nano", masks="three")


@pytest.mark.parametrize("preset", ["paper", "a2sam"])
def test_presets_are_saved_with_the_model(preset: str, tmp_path: Path) -> None:
    from asam.model import load_checkpoint

    model = fresh(preset).eval()
    model.save(tmp_path / "m.safetensors")
    again = load_checkpoint(tmp_path / "m.safetensors")
    assert again.config == model.config == ModelConfig.from_dict(model.config.to_dict())
    assert again.config.preset == preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latents": ("image", "image")}, "latents: expected some of"),
        ({"latents": ("prompt", "depth")}, "latents: expected some of"),
        ({"pooling": "max"}, "pooling: expected one of"),
        ({"prompt_prior": "published"}, "posterior_prompt: expected"),
        ({"image_prior_channels": 2}, "image_prior_channels: expected 1 or 3"),
        ({"prompt_prior": "published", "posterior_prompt": "box", "posterior": False}, "both latents"),
    ],
)
def test_impossible_choices(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(backbone="nano", **changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", 3),
        ("backbone", ["nano"]),
        ("image_size", 64.0),
        ("image_size", True),
        ("latents", "prompt"),
        ("latents", [1]),
        ("posterior", 1),
        ("log_sigma_range", [1.0]),
        ("log_sigma_range", "ab"),
        ("pixel_mean", 3),
        ("pixel_mean", [0.0, 0.0, "0"]),
        ("pixel_std", [1.0, 1.0]),
        ("pixel_std", [1.0, 1.0, math.inf]),
        ("lora_alpha", "4"),
        ("lora_targets", [["q"]]),
    ],
)
def test_a_choice_of_another_type_is_named(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected"):
        ModelConfig.from_dict({name: value})


@pytest.mark.parametrize("latents", [(), ("prompt",), ("image",)])
def test_a_latent_that_is_left_out_changes_nothing(latents: tuple[str, ...]) -> None:
    """Its noise has no effect on samples, and it costs no divergence."""
    import numpy as np

    torch.manual_seed(0)
    model = ASAM(ModelConfig(backbone="nano", image_size=SIDE, latents=latents)).eval()
    image = tiny_data(SIDE)[0].image
    noise = np.random.default_rng(0).standard_normal((3, 2, model.config.latent)).astype(np.float32)
    for i, name in enumerate(("prompt", "image")):
        other = noise.copy()
        other[:, i] += 1
        one, two = (model.sample(image, box=(4, 4, 20, 20), n=3, eps=e).logits for e in (noise, other))
        assert np.array_equal(one, two) == (name not in latents)
    batch = next(iter(loader(tiny_data(SIDE), model.config, TrainConfig.from_dict(TINY), start=0)))
    _, terms = model.training_loss(batch, TrainConfig.from_dict(TINY))
    assert (terms["kl_prompt"] > 0) == ("prompt" in latents)
    assert (terms["kl_image"] > 0) == ("image" in latents)


def test_without_posteriors_training_draws_from_the_priors() -> None:
    torch.manual_seed(0)
    model = ASAM(ModelConfig(backbone="nano", image_size=SIDE, posterior=False))
    assert not any("posterior" in name for name, _ in model.named_parameters())
    batch = next(iter(loader(tiny_data(SIDE), model.config, TrainConfig.from_dict(TINY), start=0)))
    same = batch._replace(prior_eps=batch.eps[:, None])
    with torch.no_grad():
        out = model(same.images, same.prompts, same.target[:, None], same.eps, same.prior_eps)
    torch.testing.assert_close(out.logits[:, 0], out.logits[:, 1])
    assert not out.kl_prompt.any()
