"""Batches are a function of (seed, step): restarts, processes and workers change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asam.data import Synthetic, smallest_box
from asam.model import ModelConfig
from asam.training import TrainConfig
from asam.training.batches import Batch, StepBatches, collate, loader
from asam.training.items import Item, Place, TrainingItems, Unreadable

MODEL = ModelConfig(backbone="nano", image_size=64)


def item_of(items: TrainingItems, place: Place) -> Item:
    item = items[place]
    assert not isinstance(item, Unreadable)
    return item


@settings(max_examples=50, deadline=None)
@given(
    length=st.integers(1, 30),
    batch=st.integers(1, 6),
    world=st.integers(1, 3),
    start=st.integers(0, 20),
    seed=st.integers(0, 5),
)
def test_places_depend_on_seed_and_step_only(
    length: int, batch: int, world: int, start: int, seed: int
) -> None:
    whole = list(StepBatches(length=length, batch_size=batch * world, seed=seed, start=0, steps=24))
    parts = [
        list(
            StepBatches(
                length=length,
                batch_size=batch * world,
                seed=seed,
                start=start,
                steps=24,
                rank=rank,
                world=world,
            )
        )
        for rank in range(world)
    ]
    for i, step in enumerate(whole[start:]):
        assert sorted((p[i] for p in parts), key=lambda b: b[0].serial)
        assert sorted((x for p in parts for x in p[i]), key=lambda x: x.serial) == step
    epochs = [place.sample for step in whole for place in step]
    first = epochs[:length]
    assert len(set(first)) == len(first)


def test_batches_hold_what_they_say() -> None:
    data = Synthetic("mix", size=64, seed=0, length=12)
    config = TrainConfig(batch_size=6, steps=2, workers=0)
    for batch in loader(data, MODEL, config, start=0):
        assert batch.images.shape == (6, 3, 64, 64)
        assert batch.target.shape == batch.valid.shape == (6, 64, 64)
        assert set(batch.target.unique().tolist()) <= {0.0, 1.0}
        assert batch.raters.shape[0] == 6
        torch.testing.assert_close(batch.weights.sum(dim=1), torch.ones(6))
        boxed = batch.labels[:, 0] == 2
        assert boxed.any()
        assert (batch.points[boxed, 1] > batch.points[boxed, 0]).all()
        assert set(map(tuple, batch.labels.tolist())) <= {(2, 3), (1, -1)}
        assert not batch.has_mask.any()
        assert batch.eps.shape == (6, 2, MODEL.sizes.latent)


def test_the_target_is_one_of_the_raters() -> None:
    items = TrainingItems(Synthetic("pair", size=64, seed=1, length=4), MODEL, TrainConfig())
    drawn = set()
    for serial in range(40):
        item = item_of(items, Place(0, serial))
        matches = [(item["target"] == rater).all() for rater in item["raters"]]
        assert any(matches)
        drawn.add(tuple(int(x) for x in np.unique(item["target"])))
    assert drawn


def test_augmentation_moves_masks_and_box_together() -> None:
    """The unperturbed box holds every rater's mask, before and after."""
    data = Synthetic("nested", size=64, seed=2, length=8)
    plain, moved = (
        TrainingItems(data, MODEL, TrainConfig(perturbation="none", augment=augment))
        for augment in (False, True)
    )
    changed = 0
    for serial in range(8):
        for items in (plain, moved):
            item = item_of(items, Place(serial, serial))
            box = smallest_box(item["raters"].astype(bool))
            if box is not None:
                assert (item["points"][0] <= box[:2] + 1).all()
                assert (item["points"][1] >= box[2:] - 1).all()
        changed += int(not np.allclose(item_of(plain, Place(serial, serial))["points"], item["points"]))
    assert changed > 4


def test_fewer_raters_are_filled_with_weight_zero() -> None:
    items = TrainingItems(Synthetic("pair", size=64, seed=1, length=4), MODEL, TrainConfig())
    one, two = item_of(items, Place(0, 0)), item_of(items, Place(1, 1))
    two = {**two, "raters": two["raters"][:1], "weights": np.ones(1, np.float32)}
    stacked = collate([one, two])
    assert not isinstance(stacked, Unreadable)
    batch = Batch.of(stacked)
    assert batch.raters.shape[1] == len(one["raters"])
    assert batch.weights[1].tolist() == [1.0] + [0.0] * (len(one["raters"]) - 1)


def test_empty_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="empty data set"):
        StepBatches(length=0, batch_size=4, seed=0, start=0, steps=1)
