"""The preset a2sam against a plain transcription of the published network, and the file format of its weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import asam_trt
from asam import cli
from asam.bench.published import PublishedNetwork, StepInput, batch_of, training_loss
from asam.model import ASAM, PRESETS, CheckpointError, EpochEnsemble, load_checkpoint
from asam.model.config import SAM_SIDE
from asam.training import TrainConfig
from asam.training.batches import Batch

SIDE = 128
ROWS = 2
EPOCHS = (10, 20)


@pytest.fixture(scope="module")
def published() -> PublishedNetwork:
    torch.manual_seed(3)
    network = PublishedNetwork(PRESETS["a2sam"].model).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "linear_b" in name or "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(std=0.05)
    return network


@pytest.fixture(scope="module")
def entry(published: PublishedNetwork) -> dict[str, Any]:
    return {"model_state_dict": published.state_dict(), "mask_weights": torch.linspace(0.05, 0.3, 6)[:, None]}


@pytest.fixture(scope="module")
def file(entry: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "final_weights.pth"
    earlier = dict(entry, mask_weights=torch.full((6, 1), 1 / 6))
    torch.save({"epoch_10": earlier, "epoch_20": entry}, path)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> ASAM:
    return load_checkpoint(file)


def batch() -> tuple[Batch, StepInput]:
    """The same rows for the trainer and for the transcription."""
    generator = torch.Generator().manual_seed(5)
    grey = torch.rand(ROWS, 1, SIDE, SIDE, generator=generator)
    masks = torch.zeros(ROWS, SIDE, SIDE)
    masks[0, 40:70, 30:80] = 1
    boxes = torch.tensor([[24.0, 33, 90, 75], [10, 20, 50, 90]])
    rater = torch.tensor([[28.0, 38, 81, 71], [14, 18, 60, 80]])
    eps = torch.randn(ROWS, 2, 256, generator=generator)
    images = grey.expand(-1, 3, -1, -1)
    scale = SAM_SIDE / SIDE
    theirs = StepInput(images, grey, boxes * scale, rater * scale, masks.long(), eps)
    return batch_of(theirs), theirs


def settings() -> TrainConfig:
    return TrainConfig.from_dict({**PRESETS["a2sam"].training, "batch_size": ROWS})


def test_loss_and_gradients_are_the_published_ones(
    published: PublishedNetwork, model: ASAM, entry: dict[str, Any]
) -> None:
    ours, theirs = batch()
    expected = training_loss(published, theirs, entry["mask_weights"])
    expected.backward()
    loss, terms = model.training_loss(ours, settings())
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(terms) == {"ce", "dice", "focal", "kl_prompt", "kl_image", "norms"}
    pairs = {
        "image_prior.head.output.weight": published.prior_object.conv_layer.weight,
        "prompt_posterior.full.0.weight": published.posterior_box.fc1.weight,
        "prompt_prior.upward.4.weight": published.prior_box.box_conv[12].weight,
        "combiner_prompt.layers.3.weight": published.fcomb_box.last_layer.weight,
        "image_encoder.blocks.0.attn.qkv.up.v": published.sam.image_encoder.blocks[
            0
        ].attn.qkv.linear_b_v.weight,
        "mask_decoder.output_hypernetworks_mlps.6.layers.0.weight": (
            published.sam.mask_decoder.output_hypernetworks_mlps[6].layers[0].weight
        ),
        "prompt_encoder.no_mask_embed.weight": published.sam.prompt_encoder.no_mask_embed.weight,
    }
    found = dict(model.named_parameters())
    for name, parameter in pairs.items():
        want, got = parameter.grad, found[name].grad
        assert want is not None
        assert got is not None
        assert want.abs().max() > 0, name
        torch.testing.assert_close(got, want, atol=1e-4 * float(want.abs().max()), rtol=2e-3, msg=name)
    for name, parameter in model.named_parameters():
        theirs_train = not (
            name.startswith("image_encoder.") and not any(s in name for s in (".down.", ".up."))
        )
        single_mask = name.startswith("mask_decoder.output_hypernetworks_mlps.0.")
        if name != "ensemble" and not single_mask:
            assert parameter.requires_grad == theirs_train, name
    model.zero_grad()
    published.zero_grad()


def test_samples_are_the_published_ones(
    published: PublishedNetwork, model: ASAM, entry: dict[str, Any]
) -> None:
    """Prior draws of one image: masks of the tokens, weighed and summed."""
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8), 3, axis=2)
    box, eps = np.array([20.0, 30, 90, 100]), rng.standard_normal((2, 2, 256)).astype(np.float32)
    hypotheses = model.sample(image, box=box, n=2, eps=eps)
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        embedding = published.sam.image_encoder(pixels)
        corners = torch.tensor(box / SIDE * 1024, dtype=torch.float32)[None]
        tokens, dense = published.sam.prompt_encoder(points=None, boxes=corners, masks=None)
        prompt, image_latent = published.prior_box(embedding, tokens), published.prior_object(pixels[:, :1])
        for i in range(2):
            noise = torch.from_numpy(eps[i])
            z_prompt = prompt.base_dist.loc + prompt.base_dist.scale * noise[0]
            z_image = image_latent.base_dist.loc + image_latent.base_dist.scale * noise[1]
            low = published._masks(
                published.fcomb_object(embedding, z_image), tokens, published.fcomb_box(dense, z_prompt)
            )
            expected = (low[0] * entry["mask_weights"][:, :, None]).sum(dim=0).numpy()
            scale = np.abs(expected).max()
            np.testing.assert_allclose(hypotheses.logits[i], expected, atol=2e-5 * scale)


def test_engine_of_published_weights_equals_the_network(model: ASAM, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    again = load_checkpoint(tmp_path / "model.safetensors")
    assert again.config == model.config
    folder = asam_trt.build_engine(
        tmp_path / "model.safetensors", output=tmp_path / "model.asam", precision="float32"
    )
    image = np.random.default_rng(1).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    expected = model.sample(image, box=(20, 30, 90, 80), n=4, seed=7)
    with asam_trt.load(folder) as session:
        session.set_image(image)
        got = session.sample(box=(20, 30, 90, 80), n=4, seed=7)
        np.testing.assert_allclose(got.logits, expected.logits, atol=1e-4 * np.abs(expected.logits).max())
        for wrong in ({"point_coords": [[5, 5]], "point_labels": [1]}, {}):
            with pytest.raises(ValueError, match="boxes alone"):
                session.sample(**wrong, n=2)
            with pytest.raises(ValueError, match="boxes alone"):
                model.sample(image, **wrong, n=2)


def test_epochs_are_picked_or_answer_together(
    file: Path, model: ASAM, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "asam"):
        both = load_checkpoint(file, epochs=EPOCHS)
    assert "epochs [10, 20], of which [10, 20] are read" in caplog.text
    assert isinstance(both, EpochEnsemble)
    assert list(both.members) == [10, 20]
    assert torch.equal(model.ensemble, both.members[20].ensemble)
    assert not torch.equal(model.ensemble, both.members[10].ensemble)
    assert torch.equal(load_checkpoint(file, epochs=10).ensemble, both.members[10].ensemble)

    image, box = np.zeros((SIDE, SIDE, 3), np.uint8), (20, 30, 90, 80)
    noise = np.random.default_rng(0).standard_normal((4, 2, 256)).astype(np.float32)
    together = both.sample(image, box=box, n=4, eps=noise)
    alone = both.members[20].sample(image, box=box, n=2, eps=noise[2:])
    np.testing.assert_array_equal(together.logits[2:], alone.logits)
    with pytest.raises(ValueError, match="multiple of the 2 epochs, got 5"):
        both.sample(image, box=box, n=5)
    with pytest.raises(CheckpointError, match=r"epochs out of \[10, 20\], got \[30\]"):
        load_checkpoint(file, epochs=30)


def test_epochs_are_judged_together_from_the_command_line(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    words = [
        "--model",
        str(file),
        "--epochs",
        "10",
        "20",
        "--data",
        "synthetic:pair",
        "--limit",
        "1",
        "--n",
        "4",
    ]
    assert cli.main(["evaluate", *words, "--protocol", "a2sam", "--output", str(output)]) == 0
    document = json.loads(output.read_text())
    assert (document["checkpoints"], document["epochs"]) == (2, [10, 20])
    (report,) = document["reports"]
    assert (report["method"], report["n"], report["samples"]) == ("A-SAM, 2 checkpoints", 4, 1)
    assert cli.main(["evaluate", *words]) == 2


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry["model_state_dict"].pop(name)


def _set(name: str, value: torch.Tensor) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry["model_state_dict"].update({name: value})


CONV = "posterior_box.encoder.layers.7.weight"
DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (
        _drop(CONV),
        r"expected prompt_posterior.head.blocks.1.1.weight \(64, 32, 3, 3\), got no tensor",
    ),
    "unknown": (_set("prior_box.fc4.weight", torch.zeros(2, 2)), "got prior_box.fc4.weight"),
    "other shape": (_set(CONV, torch.zeros(1, 2)), rf"expected {CONV} \(64, 32, 3, 3\), got \(1, 2\)"),
    "not finite": (
        _set("fcomb_box.last_layer.bias", torch.full((256,), torch.nan)),
        "finite numbers in fcomb_box.last_layer.bias",
    ),
    "integers": (_set(CONV, torch.zeros(64, 32, 3, 3, dtype=torch.int8)), f"{CONV} as a dense .*int8"),
    "meta": (_set(CONV, torch.zeros(64, 32, 3, 3, device="meta")), f"{CONV} as a dense .*meta"),
    "twins differ": (
        _set("lora_sam.sam.prompt_encoder.no_mask_embed.weight", torch.zeros(1, 256)),
        "expected lora_sam.sam.prompt_encoder.no_mask_embed.weight equal to sam.prompt_encoder",
    ),
    "no weights": (
        lambda entry: entry.pop("mask_weights"),
        "epoch_20 to hold model_state_dict and mask_weights",
    ),
    "weights of another shape": (
        lambda entry: entry.update(mask_weights=torch.ones(6)),
        r"mask_weights \[K, 1\]",
    ),
    "fewer weights": (lambda entry: entry.update(mask_weights=torch.ones(5, 1)), "hypernetworks_mlps.6"),
    "no position table": (_drop("sam.image_encoder.pos_embed"), "expected sam.image_encoder.pos_embed of 4"),
}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damaged_entries_are_refused_by_name(
    name: str, entry: dict[str, Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage, message = DAMAGE[name]
    copy = {"model_state_dict": dict(entry["model_state_dict"]), "mask_weights": entry["mask_weights"]}
    damage(copy)
    monkeypatch.setattr(torch, "load", lambda *_, **__: {"epoch_20": copy})  # 400 MB less to write for each
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "epochs by name"),
        ({"epoch_x": {}}, "entries 'epoch_<n>'"),
        ([1], "got list"),
        ({"epoch_1": 3}, "epoch_1 to hold"),
    ],
)
def test_foreign_torch_files_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "w.pth")


def test_sam_weights_leave_the_new_heads_alone(tmp_path: Path) -> None:
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    torch.save(sam.state_dict(), tmp_path / "sam_vit_b.pth")
    torch.manual_seed(1)
    fresh = ASAM.from_preset("a2sam")
    torch.manual_seed(1)
    model = ASAM.from_preset("a2sam", sam_checkpoint=tmp_path / "sam_vit_b.pth")
    assert torch.equal(model.mask_decoder.mask_tokens.weight, fresh.mask_decoder.mask_tokens.weight)
    head = "output_hypernetworks_mlps.2.layers.0.weight"
    assert torch.equal(model.mask_decoder.get_parameter(head), fresh.mask_decoder.get_parameter(head))
    assert torch.equal(model.mask_decoder.iou_token.weight, sam.mask_decoder.iou_token.weight)
    assert torch.equal(model.image_encoder.neck[0].weight, sam.image_encoder.neck[0].weight)
