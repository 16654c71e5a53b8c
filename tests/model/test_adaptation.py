"""What trains in each mode, low-rank adapters, and what becomes of them in files and exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asam.model import (
    ASAM,
    PRESETS,
    ModelConfig,
    adapt,
    freeze,
    load_checkpoint,
    merged,
    trainable_parameters,
)
from asam.model.lora import LowRankLinear, is_adapter
from asam.model.prompts import ABSENT, Prompts
from asam.training import TrainConfig

SIDE = 32
ALL_TARGETS = ("q", "k", "v", "proj", "lin1", "lin2")
# A box; a click; two clicks in a box; a click with a mask.
PROMPTS = Prompts(
    points=torch.tensor([[4.0, 5], [20, 25], [9, 8], [22, 23]]).expand(4, -1, -1),
    labels=torch.tensor(
        [[2, 3, ABSENT, ABSENT], [1, -1, ABSENT, ABSENT], [1, 0, 2, 3], [1, -1, ABSENT, ABSENT]]
    ),
    masks=torch.linspace(-3, 3, 64).reshape(1, 1, 8, 8).expand(4, -1, -1, -1),
    has_mask=torch.tensor([False, False, False, True]),
)
SINGLE_MASK = "mask_decoder.output_hypernetworks_mlps.0."


def nano(**changes: Any) -> ASAM:
    torch.manual_seed(0)
    return ASAM(ModelConfig(backbone="nano", image_size=SIDE, **changes))


def disturbed(model: ASAM) -> ASAM:
    """``up`` is zero at the start, where neither a wrong merge nor a still ``down`` would show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_adapter(name):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


def logits(model: ASAM) -> np.ndarray:
    return model.eval().sample(image(), box=(3, 4, 20, 25), n=3, seed=1).logits


def step(model: ASAM) -> set[str]:
    """One optimiser step that uses every kind of prompt; the names of the parameters that moved."""
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    latent, rows = model.config.sizes.latent, len(PROMPTS.points)
    images, masks = torch.randn(rows, 3, SIDE, SIDE), (torch.rand(rows, 1, SIDE, SIDE) > 0.5).float()
    out = model.train()(images, PROMPTS, masks, torch.randn(rows, 2, latent), torch.randn(rows, 2, 2, latent))
    loss = out.logits.sin().sum() + out.scores.square().sum() + out.kl_prompt.sum() + out.kl_image.sum()
    loss.backward()
    optimizer.step()
    return {k for k, p in model.named_parameters() if not torch.equal(p, before[k])}


@pytest.mark.parametrize("targets", [("q", "v"), ALL_TARGETS])
@pytest.mark.parametrize("mode", ["full", "lora", "frozen"])
def test_one_step_moves_what_should_train_and_nothing_else(mode: str, targets: tuple[str, ...]) -> None:
    model = disturbed(adapt(nano(), mode, targets=targets))
    expected = {
        name
        for name, _ in model.named_parameters()
        if not name.startswith(SINGLE_MASK)
        and (mode == "full" or not name.startswith("image_encoder.") or is_adapter(name))
    }
    assert any(map(is_adapter, expected)) == (mode == "lora")
    assert step(model) == expected


def test_a_frozen_group_stays() -> None:
    model = nano()
    freeze(model, "ensemble", "mask_decoder")
    moved = step(model)
    assert "image_prior.head.output.weight" in moved
    assert not any(name.startswith(("ensemble", "mask_decoder.")) for name in moved)
    with pytest.raises(ValueError, match="got \\['decoder'\\]"):
        freeze(model, "decoder")


def test_adapters_begin_as_the_plain_model() -> None:
    plain, adapted = nano(), nano(adaptation="lora", lora_rank=3)
    np.testing.assert_array_equal(logits(plain), logits(adapted))


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ALL_TARGETS])
def test_merge_is_exact(targets: tuple[str, ...]) -> None:
    model = disturbed(nano(adaptation="lora", lora_rank=3, lora_alpha=5.0, lora_targets=targets))
    plain = merged(model)
    assert plain.state_dict().keys() == nano().state_dict().keys()
    assert plain.config == ModelConfig(backbone="nano", image_size=SIDE, lora_rank=3, lora_alpha=5.0,
                                       lora_targets=targets)  # fmt: skip
    np.testing.assert_allclose(logits(plain), logits(model), atol=1e-6)
    assert np.abs(logits(nano()) - logits(model)).max() > 1e-4
    assert any(isinstance(m, LowRankLinear) for m in model.modules())


def test_adapter_is_the_equation() -> None:
    """y = W x + b + (alpha / rank) up down x in the rows of q and v, nothing in those of k."""
    base = torch.nn.Linear(6, 12)
    layer = LowRankLinear(base, rank=2, alpha=3.0, spans={"q": (0, 4), "v": (8, 12)})
    torch.nn.init.normal_(layer.up["q"])
    torch.nn.init.normal_(layer.up["v"])
    x = torch.randn(5, 6)
    change = layer(x) - base(x)
    assert torch.equal(change[:, 4:8], torch.zeros(5, 4))
    for name, rows in (("q", slice(0, 4)), ("v", slice(8, 12))):
        torch.testing.assert_close(change[:, rows], 1.5 * x @ layer.down[name].T @ layer.up[name].T)


def test_changing_the_mode_keeps_the_outputs() -> None:
    model = disturbed(nano(adaptation="lora"))
    before = logits(model)
    for mode, options in (("lora", {"rank": 2, "targets": ["proj"]}), ("frozen", {}), ("full", {})):
        assert adapt(model, mode, **options) is model  # type: ignore[arg-type]
        np.testing.assert_allclose(logits(model), before, atol=2e-6)
    assert not any(is_adapter(name) for name in model.state_dict())


def test_files_keep_adapters_and_mode(tmp_path: Path) -> None:
    model = disturbed(adapt(nano(), "lora", rank=3, alpha=2.0, targets=("q", "lin2")))
    model.save(tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    assert loaded.config.lora_targets == ("q", "lin2")
    np.testing.assert_array_equal(logits(loaded), logits(model))
    assert trainable_parameters(loaded) == trainable_parameters(model)

    merged(loaded).save(tmp_path / "plain.safetensors")
    np.testing.assert_allclose(
        logits(load_checkpoint(tmp_path / "plain.safetensors")), logits(model), atol=1e-6
    )


def test_files_written_before_adaptation_load(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path, model = tmp_path / "model.safetensors", nano()
    model.save(path)
    with safe_open(path, "pt") as reader:
        header = json.loads(reader.metadata()["asam"])
    for name in ("adaptation", "lora_rank", "lora_alpha", "lora_targets"):
        del header["config"][name]
    save_file(load_file(path), path, metadata={"asam": json.dumps(header)})
    assert load_checkpoint(path).config == model.config


def test_table_counts_every_parameter_once() -> None:
    model = nano(adaptation="lora", lora_rank=2)
    table = trainable_parameters(model)
    assert table.total.size == sum(p.numel() for p in model.parameters())
    assert table.total.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    rows = {row.name: row for row in table.rows}
    assert rows["image_encoder"].trained == 0
    adapters = 4 * 2 * (2 * 64 + 2 * 64)  # blocks, of q and v: down [2, 64] and up [64, 2]
    assert rows["image_encoder adapters"][1:] == (adapters, adapters)
    assert f"{table.total.trained:,}" in str(table).splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"adaptation": "half"}, "adaptation: expected one of .*got 'half'"),
        ({"lora_rank": 0}, "lora_rank: expected 1 to 64, got 0"),
        ({"lora_alpha": 0.0}, "lora_alpha"),
        ({"lora_targets": ("q", "x")}, "lora_targets"),
        ({"lora_targets": ()}, "lora_targets"),
        ({"lora_targets": ("q", "q")}, "each once"),
    ],
)
def test_configuration_names_what_is_wrong(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelConfig(backbone="nano", **changes)


def test_a_refused_mode_changes_nothing() -> None:
    model = disturbed(nano(adaptation="lora"))
    before, config = logits(model), model.config
    with pytest.raises(ValueError, match="half"):
        adapt(model, "half")
    assert model.config == config
    np.testing.assert_array_equal(logits(model), before)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_fit_the_trainer(name: str) -> None:
    preset = PRESETS[name]
    assert preset.model.preset == name
    config = TrainConfig(**preset.training)
    assert all(getattr(config, key) == value for key, value in preset.training.items())


def test_paper_sees_pixels_between_0_and_1() -> None:
    from asam.model.sampling import model_input

    model = ASAM.from_preset("paper", backbone="nano", image_size=SIDE)
    assert (model.config.mask_tokens, model.config.adaptation) == (8, "full")
    pixels, _ = model_input(model, image())
    torch.testing.assert_close(pixels[0], torch.from_numpy(image()).permute(2, 0, 1) / 255)
