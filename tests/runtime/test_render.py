from __future__ import annotations

import re
import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asam_trt import _ops, canvas, legend, palette, plots, render, words
from asam_trt.bundles import bundles
from asam_trt.geometry import Frame
from asam_trt.hypotheses import Area, Hypotheses
from asam_trt.modes import Modes

RADII = [30.0] * 6 + [14.0] * 3 + [0.0]


# Machado et al. (2009), full severity, of linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def cielab(colour: tuple[int, int, int], sight: str) -> np.ndarray:
    linear = np.clip(np.array(SIGHT[sight]) @ (np.array(colour) / 255) ** 2.2, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(("sight", "least"), [("normal", 30), ("protan", 16), ("deutan", 16), ("tritan", 14)])
def test_mode_colours_stay_apart_for_every_sight(sight: str, least: float) -> None:
    for a, b in combinations((*palette.CATEGORIES, palette.SHADE), 2):
        assert np.linalg.norm(cielab(a, sight) - cielab(b, sight)) > least


def test_the_entropy_scale_gets_steadily_brighter() -> None:
    colours = palette.cividis(np.linspace(0, 1, 50)).astype(float)
    brightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > 0).all()
    np.testing.assert_array_equal(
        palette.cividis(np.array([-1.0, 2.0])), palette.cividis(np.array([0.0, 1.0]))
    )


def test_an_overlay_shows_outlines_shade_and_panel(discs: Any) -> None:
    hyp = discs(RADII)
    picture = render.overlay(
        hyp, np.full((96, 128, 3), 90, np.uint8), box=(20, 10, 110, 90), notes=["31 frames/s"]
    )
    assert picture.dtype == np.uint8
    assert picture.shape[0] == 480
    assert picture.shape[1] > 640
    modes = hyp.modes()
    colours = render.ModeColours().of(modes)
    for m, radius in ((0, 30), (1, 14)):
        where = picture[48 * 5, int((64 + radius) * 5) - 3 : int((64 + radius) * 5) + 4].astype(int)
        assert np.abs(where - colours[m]).sum(axis=1).min() < 30
    assert np.array_equal(picture[10, 10], [90, 90, 90])
    sure, unsure = picture[48 * 5, 64 * 5 + 40].astype(int), picture[48 * 5, 64 * 5 + 110].astype(int)
    towards = np.array(palette.SHADE)
    assert np.linalg.norm(unsure - towards) < np.linalg.norm(sure - towards)
    panel = picture[:, 640:].reshape(-1, 3).astype(int)
    for colour in colours[:2]:
        assert (np.abs(panel - colour).sum(axis=1) == 0).sum() > 50


def test_points_are_drawn_as_plus_and_minus(discs: Any) -> None:
    image = np.full((96, 128, 3), 90, np.uint8)
    plain = render.overlay(discs(RADII), image)
    both = render.overlay(discs(RADII), image, point_coords=[(10, 20), (100, 80)], point_labels=[1, 0])
    for (x, y), upright in (((10, 20), True), ((100, 80), False)):
        beside = [both[5 * y, 5 * x + 3], both[5 * y + 3, 5 * x]]
        expected = [palette.INK, palette.INK if upright else palette.PAPER]
        np.testing.assert_array_equal(beside, expected)
    changed = (both != plain).any(axis=2)
    assert changed[5 * 13 : 5 * 27, 5 * 3 : 5 * 17].any()
    assert not changed[:, 5 * 20 : 5 * 90].any()


def test_large_images_keep_their_size(discs: Any) -> None:
    hyp = discs(RADII)
    assert render.overlay(hyp)[:, :640].shape == (480, 640, 3)
    big = render.overlay(hyp, np.zeros((96, 128, 3), np.float32))
    assert big.shape[0] == 480


@pytest.mark.parametrize("n", [1, 5, 32, 40])
def test_sheets_hold_every_hypothesis(discs: Any, n: int) -> None:
    page = render.sheet(discs([20.0] * n), most=32)
    assert page.mode == "RGB"
    shown = np.asarray(page).reshape(-1, 3)
    assert (np.abs(shown.astype(int) - palette.CATEGORIES[0]).sum(axis=1) < 12).sum() > 30 * min(n, 32)
    assert page.width < 2000


def test_cards_and_entropy_map(discs: Any) -> None:
    hyp = discs(RADII)
    cards = render.mode_cards(hyp)
    assert cards.width > 2 * 150
    map_ = np.asarray(render.entropy_map(hyp))
    assert map_.shape[0] == 480
    expected = palette.cividis(hyp.entropy)[48, 64 + 22]
    np.testing.assert_allclose(map_[48 * 5, 86 * 5], expected, atol=3)


def test_nothing_to_draw_is_drawn_too(discs: Any) -> None:
    hyp = discs([0.0, 0.0])
    assert render.overlay(hyp).shape[0] == 480
    for picture in (render.sheet(hyp), render.mode_cards(hyp), render.entropy_map(hyp)):
        assert picture.width > 0


@pytest.mark.parametrize("size", [(20, 3000), (60, 3000), (1, 500), (3000, 20)])
def test_flat_and_narrow_images_are_drawn_too(size: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 256, 256)).astype(np.float32)
    hyp = Hypotheses(logits, np.zeros(3, np.float32), Frame.of(*size, 1024))
    for picture in (render.sheet(hyp), render.mode_cards(hyp), render.entropy_map(hyp)):
        assert min(picture.size) > 0


def made(shape: tuple[int, int], discs: list[tuple[float, float, float]]) -> Hypotheses:
    """Hypotheses that are discs (x, y, radius) of a picture of h, w: shares of its sides, and of the shorter one."""
    frame = Frame.of(*shape, 1024)
    (h, w), (y, x) = frame.input, np.mgrid[:256, :256] * 4 + 2.0
    logits = [r * min(h, w) - np.hypot(x - cx * w, y - cy * h) for cx, cy, r in discs]
    return Hypotheses(np.array(logits, np.float32), np.zeros(len(discs), np.float32), frame)


ROUND = [(0.1 + 0.11 * i, 0.3 + 0.4 * (i % 2), 0.05) for i in range(8)]
SPREAD = [(0.5 + 0.3 * np.cos(a), 0.5 + 0.2 * np.sin(a), 0.1 + 0.05 * np.sin(3 * a)) for a in range(20)]


def meet(a: Any, b: Any) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


@pytest.mark.parametrize("notes", [[], ["31 frames/s", "confidence 0.73"], ["a note"] * 40])
@pytest.mark.parametrize(
    "shape",
    [
        (37, 501),
        (501, 37),
        (40, 40),
        (60, 2000),
        (240, 320),
        (285, 2000),
        (1, 300),
        (300, 1),
        (1, 1),
        (2000, 60),
    ],
)
def test_words_of_legends_stay_apart(
    shape: tuple[int, int], notes: list[str], drawn_words: list[Any]
) -> None:
    sizes = set()
    for discs in ([ROUND[0]], ROUND[:2], ROUND[:6], ROUND, [*SPREAD, (0, 0, -1)]):
        hypotheses = made(shape, discs * 2)
        modes = hypotheses.modes(None if len(discs) > 8 or min(shape) < 10 else len(discs))
        drawn_words.clear()
        sizes.add(render.overlay(hypotheses, modes=modes, notes=notes).shape)
        for picture, said, (x0, y0, x1, y1) in drawn_words:
            assert min(x0, y0) >= 0, said
            assert x1 <= picture.width, said
            assert y1 <= picture.height, said
        for a, b in combinations(drawn_words, 2):
            assert a[0] is not b[0] or not meet(a[2], b[2]), (a[1], b[1])
        words = [said for _, said, _ in drawn_words]
        shares = sum(re.fullmatch(r"\d+%", said) is not None for said in words)
        rest = [int(said.split()[1]) for said in words if said.endswith(" more")]
        assert shares + sum(rest) == len(modes)
        assert shares > 0
    assert len(sizes) == 1


def test_the_sixth_mode_is_in_the_legend(drawn_words: list[Any]) -> None:
    render.overlay(made((240, 320), ROUND[:6] * 2))
    assert sum(said == "17%" for _, said, _ in drawn_words) == 6


def test_pictures_say_that_a_lone_mode_is_no_group(drawn_words: list[Any]) -> None:
    unlike, alike = made((96, 128), SPREAD), made((96, 128), [ROUND[0]] * 4)
    for draw in (render.overlay, render.sheet, render.mode_cards):
        for hypotheses in (unlike, alike):
            drawn_words.clear()
            draw(hypotheses)
            said = any("no clear groups" in words for _, words, _ in drawn_words)
            assert said == (hypotheses is unlike), draw.__name__


def test_both_ends_of_an_interval_are_in_digits() -> None:
    area = Area(np.array([390_146, 1_490_023]), 0, 0, 390_146.2, 1_490_022.8, 0.9)
    assert legend.interval(area) == "90%: 390,146 to 1,490,023"


def test_sheets_have_a_key_of_their_colours(drawn_words: list[Any]) -> None:
    pixels = np.asarray(render.sheet(made((96, 128), ROUND * 2)))
    place = [box[1] for _, said, box in drawn_words if said.startswith("modes,")]
    assert len(place) == 1
    key = pixels[place[0] - 3 : place[0] + 14]
    for colour in palette.CATEGORIES:
        assert (key == colour).all(axis=2).sum() == 100
    assert sum(said == "12%" for _, said, _ in drawn_words) == 8
    drawn_words.clear()
    render.sheet(
        made((96, 128), ROUND * 4),
        cell=40,
        modes=made((96, 128), [(0.03 * i, 0.5, 0.05) for i in range(32)]).modes(32),
    )
    shares = sum(said == "3%" for _, said, _ in drawn_words)
    assert f"and {32 - shares} more" in [said for _, said, _ in drawn_words]


def test_the_outline_of_an_entropy_map_is_explained_where_there_is_one(drawn_words: list[Any]) -> None:
    for discs, outlined in ((ROUND[:1], True), (ROUND[:4], False)):
        drawn_words.clear()
        render.entropy_map(made((96, 128), discs))
        assert ("black outline:" in [said for _, said, _ in drawn_words]) == outlined


def test_words_are_made_to_fit() -> None:
    for text in ("short", "sam-points, point shift", "x" * 300, "", "an id with words " * 20):
        for width in (0, 5, 60, 200):
            said, font = words.fitted(text, 16, width)
            assert font.getlength(said) <= width
            for line in words.broken(text, font, max(width, 20)):
                assert font.getlength(line) <= max(width, 20)
    said, _ = words.fitted("mix-8589934592-000005", 12, 80)
    assert said.startswith("mix-8")
    assert said.endswith("0005")
    assert words.fitted("short", 16, 100)[0] == "short"
    lines = words.broken("sam-points, point shift", palette.font(10), 70)
    assert lines == ["sam-points,", "point shift"]


def assigned(*labels: int) -> Modes:
    assignment = np.array(labels)
    k = assignment.max() + 1
    counts = np.bincount(assignment)
    return Modes(np.zeros((k, 1, 1), bool), counts / len(labels), np.zeros(k), np.arange(k), assignment)


def test_colours_stay_with_their_hypotheses() -> None:
    keeper = render.ModeColours()
    first = keeper.of(assigned(0, 0, 0, 0, 1, 1, 1))
    # The second mode has become the larger one, and so the first.
    second = keeper.of(assigned(1, 1, 1, 0, 0, 0, 0))
    assert second == [first[1], first[0]]
    third = keeper.of(assigned(2, 2, 1, 0, 0, 0, 0))
    assert third[0] == first[1]
    assert third[2] == first[0]
    assert third[1] not in (first[0], first[1])


def test_outlines_are_smooth_and_stay_in_the_picture() -> None:
    picture = Image.new("RGB", (40, 40))
    t = np.linspace(0, 2 * np.pi, 100)
    canvas.outline(picture, [np.stack([20 + 30 * np.cos(t), 20 + 12 * np.sin(t)], axis=1)], (255, 255, 255))
    assert np.asarray(picture).max() == 255
    assert len(np.unique(picture)) > 4
    untouched = Image.new("RGB", (40, 40))
    canvas.outline(untouched, [np.array([[90.0, 90], [95, 95], [90, 95]])], (255, 255, 255))
    assert not np.asarray(untouched).any()


@pytest.mark.parametrize("step", [1, 3])
def test_layers_are_what_laying_them_one_by_one_gives(step: int) -> None:
    rng = np.random.default_rng(step)
    ground, first, second = (rng.integers(0, 256, (7, 9), dtype=np.uint8) for _ in range(3))
    first[rng.random(first.shape) < 0.5] = 0
    expected = np.full((7, 9, 3), 90.0)
    layer = canvas.Layer(ground.copy(), (255, 0, 0))
    for alpha, colour in ((ground, (255, 0, 0)), (first, (0, 255, 0)), (second, (10, 20, 255))):
        expected += (np.array(colour) - expected) * alpha[:, :, None] / 255
        if alpha is not ground:
            layer.add(alpha, colour)
    picture = np.full((7 * step, 9 * step + 2, 3), 90, np.uint8)
    layer.lay(picture[:, 2:], step)
    found = picture[step // 2 :: step, 2 + step // 2 :: step].astype(int)
    np.testing.assert_allclose(found, expected, atol=1)
    assert (picture[:, :2] == 90).all()


@pytest.mark.parametrize("n", [1, 8, 9, 33])
def test_bundles_are_the_edges_of_their_masks(n: int) -> None:
    masks = np.random.default_rng(n).random((n, 20, 30)) > 0.5
    edges = np.zeros_like(masks)
    edges[:, :, :-1] |= masks[:, :, 1:] != masks[:, :, :-1]
    edges[:, :-1] |= masks[:, 1:] != masks[:, :-1]
    weights = np.outer([1, 2, 1], [1, 2, 1]) / 8
    for assignment in (np.zeros(n, int), np.arange(n), np.arange(n) % 3 - 1):
        for x0, y0, x1, y1 in ((0, 0, 30, 20), (7, 3, 19, 16), (29, 19, 30, 20)):
            found = bundles(_ops.pack_masks(masks), (20, 30), assignment, (x0, y0, x1, y1), opacity=0.6)
            assert found.shape == (assignment.max() + 1, y1 - y0, x1 - x0)
            for group, layer in enumerate(found):
                drawn = edges[assignment == group].any(axis=0)[y0:y1, x0:x1]
                padded = np.pad(drawn.astype(float), 1)
                smooth = sum(
                    weights[i, j] * padded[i : i + y1 - y0, j : j + x1 - x0]
                    for i in range(3)
                    for j in range(3)
                )
                np.testing.assert_allclose(layer, 0.6 * np.minimum(smooth * 256, 255), atol=1)


def test_a_picture_of_one_pixel_has_no_edges() -> None:
    packed = _ops.pack_masks(np.ones((2, 1, 1), bool))
    assert not bundles(packed, (1, 1), np.zeros(2, int), (0, 0, 1, 1)).any()


@pytest.mark.parametrize(
    ("size", "group", "groups", "region"),
    [
        ((20, 32), [0, 0], 1, (0, 0, 30, 20)),
        ((20, 30), [0], 1, (0, 0, 30, 20)),
        ((20, 30), [0, 1], 1, (0, 0, 30, 20)),
        ((20, 30), [0, -2], 1, (0, 0, 30, 20)),
        ((20, 30), [0, 0], 3, (0, 0, 30, 20)),
        ((20, 30), [0, 0], 1, (0, 0, 31, 20)),
        ((20, 30), [0, 0], 1, (5, 0, 5, 20)),
        ((0, 30), [0, 0], 1, (0, 0, 30, 20)),
        ((2**33, 2**33), [0, 0], 1, (0, 0, 30, 20)),
    ],
)
def test_outlines_of_what_is_not_there_are_refused(size: Any, group: Any, groups: int, region: Any) -> None:
    packed, table = _ops.pack_masks(np.zeros((2, 20, 30), bool)), np.zeros(17, np.uint8)
    if size == (20, 32):
        packed = packed[:, :-1].copy()
    with pytest.raises(ValueError, match="expected"):
        _ops.outline_layers(packed, size, np.array(group), groups, region, table)


@pytest.mark.parametrize(
    "prompt",
    [
        {"box": (0, 0, np.inf, np.inf)},
        {"box": (np.nan, 0, 5, 5)},
        {"box": (1, 2)},
        {"point_coords": [(np.nan, 0)], "point_labels": [1]},
        {"point_coords": [(1,)], "point_labels": [1]},
        {"point_coords": [(1, 2)], "point_labels": []},
    ],
)
def test_prompts_that_cannot_be_drawn_are_refused(discs: Any, prompt: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        render.overlay(discs(RADII), **prompt)


@pytest.mark.parametrize("image", [np.zeros((96, 128), np.uint8), np.zeros((96, 128, 3), np.int32)])
def test_images_that_cannot_be_drawn_are_refused(discs: Any, image: np.ndarray) -> None:
    hyp = discs(RADII)
    with pytest.raises((TypeError, ValueError), match="expected an image"):
        Hypotheses(hyp.logits, hyp.scores, hyp.frame, image=image)


def test_layers_that_do_not_cover_the_picture_are_refused() -> None:
    picture, alpha = np.zeros((10, 12, 3), np.uint8), [np.zeros((5, 6), np.uint8)] * 2
    _ops.lay_over(picture, alpha, np.zeros((2, 3), np.uint8), 2)
    for step, colours in ((1, 2), (0, 2), (2, 3)):
        with pytest.raises(ValueError, match="expected"):
            _ops.lay_over(picture, alpha, np.zeros((colours, 3), np.uint8), step)
    for wrong in ([], [alpha[0], np.zeros((5, 7), np.uint8)]):
        with pytest.raises(ValueError, match="expected"):
            _ops.lay_over(picture, wrong, np.zeros((len(wrong), 3), np.uint8), 2)


def test_huge_images_are_drawn_small_and_soon() -> None:
    y, x = np.mgrid[:32, :32] * 4 + 2.0
    logits = np.stack([r - np.hypot(x - 64, y - 64) for r in (40.0, 30.0)]).astype(np.float32)
    for shape in ((9000, 9000), (300, 9000)):
        hyp = Hypotheses(
            logits, np.ones(2, np.float32), Frame.of(*shape, 128), image=np.full((*shape, 3), 90, np.uint8)
        )
        modes = hyp.modes()
        start = time.perf_counter()
        picture = render.overlay(hyp, box=(10, 10, shape[1] - 10, shape[0] - 10), modes=modes)
        pages = [render.sheet(hyp, modes=modes), render.mode_cards(hyp, modes=modes), render.entropy_map(hyp)]
        assert time.perf_counter() - start < 20
        assert max(picture.shape) < 2900
        assert max(page.width for page in pages) < 2800


def test_large_images_are_reduced_once() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 16, 16)).astype(np.float32)
    image = np.full((1500, 3000, 3), 90, np.uint8)
    large = Hypotheses(logits, np.zeros(3, np.float32), Frame.of(1500, 3000, 64), image=image)
    small = render.reduced(large)
    assert small is not None
    assert small.frame.original == (1024, 2048)
    assert render.reduced(large) is small
    assert render.overlay(large, modes=small.modes(1)).shape[0] == 1024
    assert render.reduced(large.at((100, 200))) is None


def test_small_images_are_drawn_from_the_logits_not_from_pixels(discs: Any) -> None:
    hyp = discs([30.0])
    picture = render.overlay(hyp, np.full((96, 128, 3), 90, np.uint8)).astype(int)[:, :640]
    y, x = np.nonzero(np.abs(picture - palette.CATEGORIES[0]).sum(axis=2) < 12)
    # The line is a circle of 5 * 30 pixels; enlarged masks would have steps of 5.
    assert np.abs(np.hypot(x + 0.5 - 320, y + 0.5 - 240) - 150).max() < 4


def test_numbers_in_the_title_of_a_sheet_are_whole(discs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    fitted = render.fitted

    def recorded(*arguments: Any) -> Any:
        found = fitted(*arguments)
        shown.append(found[0])
        return found

    monkeypatch.setattr(render, "fitted", recorded)
    for size in ((96, 128), (2400, 3200)):
        hyp = discs([5.0, 40.0] * 20).at(size)
        render.sheet(hyp, most=3)
        assert shown[-1].startswith("40 hypotheses, the first 3    area ")
        assert ("q: IoU" in shown[-1]) == (size == (96, 128))
        assert "..." not in shown[-1]
        low, high = (f"{value:,.0f}" for value in (hyp.area().low, hyp.area().high))
        assert low in shown[-1]
        assert high in shown[-1]


def test_bands() -> None:
    x = np.linspace(0, 2, 20)
    for colour in palette.CATEGORIES[:3]:
        curve = plots.band(x, 100 - 10 * x, 110 + x, 120 + 5 * x, title="area", x_label="s", colour=colour)
        assert (np.asarray(curve) == colour).all(axis=2).sum() > 300
    for values in ([0.0], [5.0, 5.0], [0.0, 0.0]):
        plots.band(range(len(values)), values, values, values, title="", x_label="")
    for place in (0.0, 0.9, 1.1, 2.0):
        marked = plots.band(x, x, x, x, title="area", x_label="s", mark=(place, "lost"))
        bare = plots.band(x, x, x, x, title="area", x_label="s")
        changed = (np.asarray(marked) != np.asarray(bare)).any(axis=2)
        column = round(76 + place / 2 * (900 - 24 - 76))
        assert changed[24:250, column - 1 : column + 2].any(axis=1).all()
        word = np.flatnonzero(changed.any(axis=0))
        assert (word.min() if place > 1 else word.max()) == pytest.approx(
            column + (-30 if place > 1 else 30), abs=12
        )
    with pytest.raises(ValueError, match="expected"):
        plots.band([1], [1, 2], [1], [1], title="", x_label="")
