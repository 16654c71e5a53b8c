"""Every kind of prompt: drawn so that it gives nothing away, and embedded as SAM embeds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asam.data import Sample, Synthetic
from asam.model import ASAM
from asam.model.prompts import ABSENT, tokens_of
from asam.prompts import PERTURBATIONS, PromptBox, PromptMix, moved_mask, rater_box, widest_box
from asam.training import TrainConfig
from asam.training.batches import Batch, collate
from asam.training.items import Place, TrainingItems, Unreadable
from asam.training.questions import Question, ask
from asam_trt.mask_prompt import SURE

KINDS = ("own", "box", "points", "mask", "mixed", "none")
EVERY = PromptMix(own=1, box=1, points=1, mask=1, mixed=2, none=1)


def only(kind: str) -> PromptMix:
    return PromptMix(**{"own": 0.0, kind: 1.0})


def raters(click: tuple[float, float] | None = None) -> Sample:
    masks = np.zeros((3, 40, 60), dtype=np.bool_)
    masks[0, 10:30, 20:40] = True
    masks[1, 12:25, 22:35] = True
    where = None if click is None else np.array(click, dtype=np.float32)
    return Sample.of(np.zeros((40, 60, 3), dtype=np.uint8), masks, id="s", click=where)


def questions(kind: str, sample: Sample, count: int = 60) -> list[Question]:
    return [
        ask(sample, sample.box, only(kind), np.random.default_rng([7, number])) for number in range(count)
    ]


@pytest.fixture(scope="module")
def model() -> ASAM:
    torch.manual_seed(0)
    return ASAM.from_preset(backbone="nano", image_size=64).eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    """24 rows with every kind of prompt."""
    data = Synthetic("pair", size=64, seed=0, length=6)
    config = TrainConfig(prompts=EVERY, prior_samples=2)
    items = TrainingItems(data, ASAM.from_preset(backbone="nano", image_size=64).config, config)
    stacked = collate([items[Place(serial % 6, serial)] for serial in range(24)])
    assert not isinstance(stacked, Unreadable)
    return Batch.of(stacked)


@pytest.mark.parametrize(
    ("kind", "has_points", "has_box", "has_mask"),
    [
        ("own", False, True, {False}),
        ("box", False, True, {False}),
        ("points", True, False, {False}),
        ("mask", False, False, {True}),
        ("mixed", True, True, {False, True}),
        ("none", False, False, {False}),
    ],
)
def test_a_kind_holds_its_parts(kind: str, has_points: bool, has_box: bool, has_mask: set[bool]) -> None:
    asked = questions(kind, raters())
    assert {len(q.points) > 0 for q in asked} == {has_points}
    assert {q.box is not None for q in asked} == {has_box}
    assert {q.mask is not None for q in asked} == has_mask


def test_points_lie_where_raters_agree() -> None:
    sample = raters()
    asked = questions("points", sample)
    for question in asked:
        assert (question.points % 1 == 0.5).all()  # the middle of a pixel
        x, y = question.points.astype(int).T
        held = sample.masks[:2, y, x]
        assert held[:, question.labels == 1].all()
        assert not held[:, question.labels == 0].any()
    assert {(q.labels == 1).sum() for q in asked} == {1, 2, 3}
    assert {(q.labels == 0).sum() for q in asked} == {0, 1, 2, 3}


def test_earlier_mask_is_a_raters_moved_as_the_box() -> None:
    sample = raters()
    drawn = {q.mask.tobytes() for q in questions("mask", sample) if q.mask is not None}
    assert drawn == {sample.masks[0].tobytes(), sample.masks[1].tobytes()}
    moved = ask(sample, sample.box + 5, only("mask"), np.random.default_rng(0)).mask
    assert moved is not None
    assert any(np.array_equal(moved[5:, 5:], mask[:-5, :-5]) for mask in sample.masks[:2])


@pytest.mark.parametrize("box", ["smallest", "widest"])
@pytest.mark.parametrize("left", [0, 20])  # at the edge the widest box would reach over it
def test_without_jitter_an_earlier_mask_is_the_rater_s_own(box: PromptBox, left: int) -> None:
    masks = np.zeros((2, 64, 64), dtype=np.bool_)
    masks[0, 12:40, left : left + 20] = True
    masks[1, 20:32, left + 8 : left + 16] = True
    sample = Sample.of(np.zeros((64, 64, 3), np.uint8), masks, id="s")
    plain = TrainConfig(prompts=only("mask"), box=box, perturbation="none", augment=False)
    config = ASAM.from_preset(backbone="nano", image_size=64).config
    items = TrainingItems([sample], config, plain)  # type: ignore[arg-type]
    expected = {mask.reshape(16, 4, 16, 4).mean(axis=(1, 3)).tobytes() for mask in masks}
    found = [items[Place(0, serial)] for serial in range(8)]
    drawn = {((item["mask_inputs"][0] / SURE + 1) / 2).astype(np.float64).tobytes() for item in found}
    assert drawn == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_stays_the_question(kind: str) -> None:
    for question in questions(kind, raters(click=(25, 15)), count=5):
        assert question.points.tolist() == [[25, 15]]
        assert question.labels.tolist() == [1]
        assert question.box is None
        assert question.mask is None


@pytest.mark.parametrize("kind", ["points", "mask", "mixed"])
def test_where_nobody_marked_anything_the_box_is_asked(kind: str) -> None:
    sample = Sample.of(np.zeros((8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.bool_), id="empty")
    (question,) = questions(kind, sample, count=1)
    assert question.box is not None
    assert not len(question.points)


def test_shares_are_kept() -> None:
    rng = np.random.default_rng(0)
    mix = PromptMix(own=0, box=3, none=1)
    drawn = [mix.draw(rng) for _ in range(4000)]
    assert set(drawn) == {"box", "none"}
    assert drawn.count("box") / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"own": 0.0}, "share above 0"),
        ({"box": -1.0}, "prompts.box"),
        ({"mask": float("nan")}, "prompts.mask"),
        ({"most_points": 0}, "most_points"),
    ],
)
def test_impossible_shares(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptMix(**values)  # type: ignore[arg-type]


def test_moved_mask_scales_about_the_box() -> None:
    mask = np.zeros((30, 30), np.bool_)
    mask[5:10, 5:15] = True
    doubled = moved_mask(mask, (5, 5, 15, 10), (0, 10, 20, 20))
    expected = np.zeros((30, 30), np.bool_)
    expected[10:20, 0:20] = True
    np.testing.assert_array_equal(doubled, expected)


@pytest.mark.parametrize("name", sorted(set(PERTURBATIONS) - {"published"}))
def test_perturbations_stay_in_their_bounds(name: str) -> None:
    family, size, box = PERTURBATIONS[name], (128, 128), np.array([40, 44, 72, 84], np.float32)
    for seed in range(200):
        x0, y0, x1, y1 = family(box, size, np.random.default_rng(seed))
        centre = np.array([x0 + x1 - 112, y0 + y1 - 128]) / 2
        assert (np.abs(centre) <= family.shift + 1e-4).all()
        factors = np.array([(x1 - x0) / 32, (y1 - y0) / 40])
        assert (factors >= family.scale[0] - 1e-4).all()
        assert (factors <= family.scale[1] + 1e-4).all()
    np.testing.assert_array_equal(
        family(box, size, np.random.default_rng(3)), family(box, size, np.random.default_rng(3))
    )


def test_published_jitter_scales_about_the_corner_and_shifts_by_whole_pixels() -> None:
    box, moved, factors = np.array([40, 44, 72, 84], np.float32), set(), []
    for seed in range(500):
        x0, y0, x1, y1 = PERTURBATIONS["published"](box, (128, 128), np.random.default_rng(seed))
        moved |= {x0 - 40, y0 - 44}
        factors.append((x1 - x0) / 32)
        assert (y1 - y0) / 40 == pytest.approx(factors[-1], abs=1e-5)
    assert moved == set(range(-10, 11))
    assert 0.6 <= min(factors) < 0.65
    assert 1.45 < max(factors) <= 1.5


def test_widest_box_is_the_largest_raters_with_a_margin() -> None:
    masks = np.zeros((3, 128, 128), np.bool_)
    masks[0, 10:20, 30:50] = True
    masks[2, 12:40, 31:49] = True
    np.testing.assert_array_equal(widest_box(masks), [29, 10, 50, 41])
    np.testing.assert_array_equal(rater_box(masks[0]), [28, 8, 51, 21])
    assert rater_box(masks[1]) is None
    assert widest_box(masks[1:2]) is None


def test_the_batch_has_every_layout(batch: Batch) -> None:
    layouts = {tuple(sorted(set(row.tolist()) - {ABSENT})) for row in batch.labels}
    assert {(2, 3), (-1, 1), (-1, 0, 1), ()} <= layouts
    assert batch.has_mask.any()
    assert not batch.has_mask.all()


def test_tokens_are_sams_own(model: ASAM, batch: Batch) -> None:
    """Each row alone, given to SAM's PromptEncoder as its points, box and mask."""
    seen = set()
    for rows in batch.prompts.alike():
        alike = batch.prompts.take(rows)
        found = tokens_of(model.prompt_encoder, alike)
        for i, labels in enumerate(alike.labels):
            real = (labels == 0) | (labels == 1)
            points = (alike.points[i : i + 1, real], labels[None, real]) if real.any() else None
            box = alike.points[i, labels >= 2].reshape(1, 4) if (labels >= 2).any() else None
            masks = alike.masks[i : i + 1] if alike.has_mask[i] else None
            expected, dense = model.prompt_encoder(points=points, boxes=box, masks=masks)
            torch.testing.assert_close(found[i : i + 1], expected.expand(1, -1, -1))
            seen.add((points is not None, box is not None, masks is not None))
            if masks is not None:
                assert not torch.equal(dense, model.prompt_encoder(points, box, None)[1])
    assert len(seen) >= 5


def test_a_mixed_batch_gives_each_row_what_it_gets_alone(model: ASAM, batch: Batch) -> None:
    with torch.no_grad():
        whole = model(batch.images, batch.prompts, batch.target[:, None], batch.eps, batch.prior_eps)
        for row in range(0, 24, 3):
            one = Batch(*(t[row : row + 1] for t in batch))
            alone = model(one.images, one.prompts, one.target[:, None], one.eps, one.prior_eps)
            for field in ("logits", "scores"):
                found, expected = getattr(whole, field)[row : row + 1], getattr(alone, field)
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(whole.kl_prompt[row], alone.kl_prompt[0], atol=1e-6, rtol=1e-3)


def test_training_prompts_are_those_of_sampling(model: ASAM, batch: Batch) -> None:
    """The prior's hypothesis of a training row is the one that sampling decodes for the same prompt and noise."""
    with torch.no_grad():
        whole = model(batch.images, batch.prompts, batch.target[:, None], batch.eps, batch.prior_eps)
        row = int((batch.labels[:, 0] == 2).nonzero()[0])
        state = model.encode_image(batch.images[row : row + 1])
        prompted = model.encode_prompt(state, boxes=batch.points[row, :2].reshape(1, 4))
        noise = batch.prior_eps[row : row + 1]
        drawn = [latent.sample(noise[:, :, i]) for i, latent in enumerate((prompted.latent, state.latent))]
        logits, _ = model.decode(state.embedding, prompted.tokens, prompted.dense, *drawn)
    torch.testing.assert_close(whole.logits[row, 1:], logits[0], atol=1e-5, rtol=1e-4)
