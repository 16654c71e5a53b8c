"""What holds for every peer: its interface, its noise, its checkpoints, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_peers import EVERY_KIND, NAMES, SIDE, batches, config, fitted, one_batch, peer

from asam.baselines import BASELINES, create, load
from asam.baselines.base import stability
from asam.data import Sample, Synthetic
from asam.data.base import ArrayDataset
from asam.model import ASAM, CheckpointError, load_checkpoint
from asam.training import Trainable, TrainConfig, train
from asam.training.batches import loader

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
BOX = (10, 8, 40, 30)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [32, 48])
def test_hypotheses_lie_in_the_frame_of_the_image(name: str, side: int) -> None:
    found = peer(name, side=side).eval().sample(IMAGE, box=BOX, n=3, seed=5)
    assert found.logits.shape == (3, side // 4, side // 4)
    assert found.masks.shape == (3, 40, 60)
    assert np.isfinite(found.logits).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_hypothesis_i_depends_on_seed_and_i_alone(name: str) -> None:
    model = peer(name).eval()
    many = model.sample(IMAGE, box=BOX, n=70, seed=3).logits
    torch.manual_seed(99)
    few = model.sample(IMAGE, box=BOX, n=3, seed=3).logits
    np.testing.assert_allclose(few, many[:3], rtol=0, atol=1e-5)
    assert len(np.unique(many.round(4), axis=0)) > 35  # later blocks do not repeat the first
    other = model.sample(IMAGE, box=BOX, n=3, seed=2**64 - 1).logits
    assert np.abs(few - other).max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_prompt_is_seen(name: str) -> None:
    model = peer(name).eval()
    asked = [
        {},
        {"box": BOX},
        {"point_coords": [[20, 20]], "point_labels": [1]},
        {"point_coords": [[20, 20]], "point_labels": [0]},
        {"mask_input": np.eye(SIDE // 4, dtype=np.float32)},
        {"box": BOX, "point_coords": [[20, 20]], "point_labels": [1]},
    ]
    answers = [model.sample(IMAGE, **prompt, n=1, seed=0).logits for prompt in asked]
    for i, one in enumerate(answers):
        assert all(np.abs(one - other).max() > 1e-4 for other in answers[:i])


@pytest.mark.parametrize("name", NAMES)
def test_bad_requests_are_refused(name: str) -> None:
    model = peer(name)
    for wrong, message in (
        ({"n": 0}, "n from 1"),
        ({"seed": -1}, "seed from 0"),
        ({"seed": 2**64}, "seed from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            model.sample(IMAGE, box=BOX, **wrong)
    with pytest.raises(TypeError, match="n to be an integer"):
        model.sample(IMAGE, box=BOX, n=1.5)
    with pytest.raises(ValueError, match="x0 < x1"):
        model.sample(IMAGE, box=(5, 5, 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_the_mean_over_rows(name: str) -> None:
    """So batches may be computed in parts, on one process or several."""
    model = peer(name)
    batch = one_batch(model, batch_size=8, kind="mix", prompts=EVERY_KIND)
    total, parts = model.training_loss(batch, config())
    halves = [model.training_loss(half, config()) for half in batch.split(4)]
    assert float(total.detach()) == pytest.approx(np.mean([float(t.detach()) for t, _ in halves]), rel=1e-5)
    for key, value in parts.items():
        assert value.shape == ()
        mean = np.mean([float(p[key].detach()) for _, p in halves])
        assert float(value.detach()) == pytest.approx(mean, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_training_noise_comes_from_the_rows_seeds(name: str) -> None:
    model = peer(name)
    batch = one_batch(model)
    first, _ = model.training_loss(batch, config())
    torch.manual_seed(1234)
    again, _ = model.training_loss(batch, config())
    assert torch.equal(first, again)
    other, _ = model.training_loss(batch._replace(seeds=batch.seeds + 1), config())
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = peer(name)
    total, _ = model.training_loss(one_batch(model), config())
    total.backward()
    without = [key for key, p in model.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls(name: str) -> None:
    model = peer(name)
    losses = fitted(model, batches(model, steps=40, length=4, augment=False))
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_products_leave_the_loss_near(name: str) -> None:
    model = peer(name)
    batch = one_batch(model)
    _, exact = model.training_loss(batch, config())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, half = model.training_loss(batch, config())
    assert total.dtype == torch.float32
    # The gate's target jumps where two samples are almost equally near a rater.
    for key in exact.keys() - {"gate"}:
        assert float(half[key].detach()) == pytest.approx(float(exact[key].detach()), rel=0.03), key


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_brings_the_network_back(name: str, tmp_path: Path) -> None:
    model = peer(name, seed=4).eval()
    model.save(tmp_path / "peer.safetensors")
    found = load(tmp_path / "peer.safetensors")
    assert type(found) is BASELINES[name]
    assert found.config == model.config
    assert not found.training
    expected = model.sample(IMAGE, box=BOX, n=2, seed=1).logits
    np.testing.assert_array_equal(found.sample(IMAGE, box=BOX, n=2, seed=1).logits, expected)


def test_load_also_reads_an_asam(tmp_path: Path) -> None:
    model = create("sam", image_size=SIDE)
    model.save(tmp_path / "sam.safetensors")
    found = load(tmp_path / "sam.safetensors")
    assert isinstance(found, ASAM)
    assert found.config.latents == ()


def test_asams_own_reader_says_what_it_was_given(tmp_path: Path) -> None:
    peer("ssn").save(tmp_path / "peer.safetensors")
    with pytest.raises(CheckpointError, match="expected an A-SAM, got 'ssn'"):
        load_checkpoint(tmp_path / "peer.safetensors")


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "peer.safetensors"
    peer("ssn").save(whole)
    tensors = load_file(whole)
    header = {"format": 1, "kind": "ssn", "config": peer("ssn").config.to_dict()}

    def refused(message: str, content: bytes | None = None, **changes: object) -> None:
        file = tmp_path / "bad.safetensors"
        if content is not None:
            file.write_bytes(content)
        else:
            save_file(tensors, file, metadata={"asam": json.dumps({**header, **changes})})
        with pytest.raises(CheckpointError, match=message):
            load(file)

    refused("expected a checkpoint written by asam", whole.read_bytes()[:5000])
    refused("expected a checkpoint written by asam", b"not safetensors")
    refused("expected a network of", kind="unet")
    refused("format 1, got 2", format=2)
    refused("fits its own configuration.*got also", config={"depth": 3})
    refused("fits its own configuration", config={**header["config"], "rank": 3})
    tensors["last.bias"] = torch.full_like(tensors["last.bias"], torch.nan)
    refused("finite numbers in last.bias")
    save_file(tensors, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="as asam writes it"):
        load(tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint file, got: .*No such file"):
        load(tmp_path / "none.safetensors")


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = peer("mose", seed=1).state_dict()
    assert torch.equal(torch.rand(3), expected)  # the caller's random numbers go on undisturbed
    two = peer("mose", seed=1).state_dict()
    other = peer("mose", seed=2).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["narrow.weight"], other["narrow.weight"])
    with pytest.raises(ValueError, match=r"method: expected one of \['prob_unet'.*got 'unet'"):
        create("unet")
    with pytest.raises(ValueError, match="multiple of 16"):
        create("ssn", image_size=100)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("ssn", {"rank": 0}, "rank, samples: .* got 0 and 20"),
        ("ssn", {"samples": 5}, "rank, samples: .* got 10 and 5"),
        ("mose", {"experts": 0}, "at least 1 of each"),
        ("mose", {"most": 0.05}, "most: expected 1 / 16 samples to 1, got 0.05"),
        ("phiseg", {"widths": (24, 36)}, "positive multiples of 8"),
        ("prob_unet", {"widths": (32,)}, "positive multiples of 8"),
        ("prob_unet", {"pixel_std": (1.0, 0.0, 1.0)}, "three positive numbers"),
        ("mose", {"depth": 3}, "MoSEConfig: expected the fields .* got also"),
    ],
)
def test_sizes_out_of_range_are_named(name: str, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BASELINES[name].Config.from_dict(wrong)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("ssn", {"rank": "10"}, "rank: expected int, got '10'"),
        ("ssn", {"image_size": True}, "image_size: expected int, got True"),
        ("phiseg", {"beta": "1"}, "beta: expected float, got '1'"),
        ("mose", {"experts": 4.0}, "experts: expected int, got 4.0"),
        ("phiseg", {"widths": 32}, "widths: expected a list of whole numbers, got 32"),
        ("prob_unet", {"prior_widths": [16, "32"]}, "prior_widths: expected a list of whole numbers, got"),
        ("prob_unet", {"pixel_std": [1.0, 2.0]}, "pixel_std: expected a list of 3 finite numbers, got"),
        ("mose", None, "MoSEConfig: expected fields by name, got NoneType"),
    ],
)
def test_values_of_another_type_are_named(name: str, wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        BASELINES[name].Config.from_dict(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_json(name: str) -> None:
    sizes = BASELINES[name].Config(image_size=64, widths=(8, 16, 24), stem=8)
    assert BASELINES[name].Config.from_dict(json.loads(json.dumps(sizes.to_dict()))) == sizes


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_training_loop_trains_and_resumes_a_peer(name: str, tmp_path: Path) -> None:
    data = Synthetic("mix", size=SIDE, seed=0, length=8)
    shared = {"batch_size": 4, "warmup": 0, "schedule": "constant", "workers": 0, "eval_images": 2}

    def run(folder: Path, steps: int, *, resume: bool = False) -> None:
        network = peer(name)
        assert isinstance(network, Trainable)
        settings = TrainConfig(steps=steps, eval_every=10, save_every=2, prompts=EVERY_KIND, **shared)
        train(network, data, validation=data, output=folder, config=settings, resume=resume, progress=False)

    run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    run(tmp_path / "parts", 4, resume=True)
    whole, parts = (load_file(tmp_path / folder / "last.safetensors") for folder in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert type(load(tmp_path / "whole" / "best.safetensors")) is BASELINES[name]


def test_stability_is_the_iou_of_two_thresholds() -> None:
    logits = torch.tensor([[[3.0, 0.5], [-0.5, -3.0]], [[2.0, 2.0], [-2.0, -2.0]], [[-2.0] * 2] * 2])
    assert stability(logits).tolist() == pytest.approx([1 / 3, 1, 1])


class Alone(ArrayDataset[Sample]):
    """A data set of one sample."""

    def __init__(self, sample: Sample) -> None:
        super().__init__(ids=[sample.id], groups=[sample.id])
        self.sample = sample

    def _load(self, index: int) -> Sample:
        return self.sample


# Steps, and those of them in which the KL rises: without that the Probabilistic U-Net may never use its latent.
TWO = {"mose": (120, 0), "phiseg": (120, 0), "prob_unet": (400, 200), "ssn": (120, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_readings_of_one_picture_are_both_learnt(name: str) -> None:
    """Two raters mark two objects apart in one box; some hypotheses are the one, some the other."""
    masks = np.zeros((2, SIDE, SIDE), dtype=np.bool_)
    masks[0, 8:20, 4:14] = True
    masks[1, 12:26, 18:30] = True
    image = np.random.default_rng(0).integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    image[masks.any(axis=0)] += 120
    sample = Sample.of(image, masks, id="two")
    model = peer(name)
    steps, kl_warmup = TWO[name]
    settings = config(steps=steps, batch_size=8, augment=False, perturbation="none")
    fitted(model, iter(loader(Alone(sample), model.config, settings, start=0)), kl_warmup=kl_warmup)
    found = model.eval().sample(image, box=sample.box, n=200, seed=1).masks
    overlap = (found[:, None] & masks).sum(axis=(2, 3))
    union = (found[:, None] | masks).sum(axis=(2, 3))
    often = (overlap / union > 0.7).mean(axis=0)
    assert often.min() >= 0.05
