"""Prompt tables against segment_anything's PromptEncoder, and prompts that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asam_trt.geometry import Frame
from asam_trt.prompt import Prompt, PromptTables


@pytest.mark.parametrize("name", ["tiny", "odd", "small", "full"])
@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("box", 2), ("points1", 2), ("points4", 5), ("none", 0), ("mask", 0), ("mixed", 4)],
)
def test_encode_equals_sam(case_of: Callable[[str], Any], name: str, kind: str, tokens: int) -> None:
    case = case_of(name)
    want_tokens, want_dense = case.encode(kind)
    tables = PromptTables(case.weights, side=case.config.side)
    got_tokens, got_dense = tables.encode_model_space(**case.prompt(kind))
    assert got_tokens.shape == (tokens, case.config.channels)
    assert got_tokens.dtype == got_dense.dtype == np.float32
    # SAM computes angles of some 10 radians in float32.
    np.testing.assert_allclose(got_tokens, want_tokens, atol=2e-5)
    if "mask" in kind or kind == "mixed":
        np.testing.assert_allclose(got_dense, want_dense, atol=1e-5)
    else:
        np.testing.assert_array_equal(np.broadcast_to(got_dense[:, None, None], want_dense.shape), want_dense)


def test_points_with_box_have_no_padding_token(tiny: Any) -> None:
    arguments = tiny.prompt("points3") | tiny.prompt("box")
    tokens, _ = PromptTables(tiny.weights, side=tiny.config.side).encode_model_space(**arguments)
    assert len(tokens) == 5


def test_encode_converts_user_pixels(tiny: Any) -> None:
    side = tiny.config.side
    frame = Frame.of(2 * side, 4 * side, side)
    tables = PromptTables(tiny.weights, side=side)
    prompt = Prompt.checked(point_coords=[[40, 20]], point_labels=[1], box=[8, 4, 80, 60], frame=frame)
    got, _ = tables.encode(prompt, frame)
    want, _ = tables.encode_model_space(
        np.array([[10.0, 5.0]]), np.array([1]), np.array([2.0, 1.0, 20.0, 15.0])
    )
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"box": [1, 2, 3]}, ValueError, "box"),
        ({"box": [9, 2, 3, 8]}, ValueError, "x0 < x1"),
        ({"box": [3, 3, 3, 8]}, ValueError, "x0 < x1"),
        ({"box": [100, 2, 120, 8]}, ValueError, "overlaps"),
        ({"box": [1, 2, np.nan, 8]}, ValueError, "finite"),
        ({"box": "here"}, TypeError, "box"),
        ({"point_coords": [[1, 2]]}, ValueError, "point_coords alone"),
        ({"point_labels": [1]}, ValueError, "point_labels alone"),
        ({"point_coords": [[1, 2]], "point_labels": [1, 0]}, ValueError, "point_labels"),
        ({"point_coords": [[1, 2]], "point_labels": [7]}, ValueError, "point_labels"),
        ({"point_coords": [[1, 200]], "point_labels": [1]}, ValueError, "inside"),
        ({"point_coords": np.zeros((0, 2)), "point_labels": []}, ValueError, "k >= 1"),
        ({"mask_input": np.zeros((4, 4))}, ValueError, r"\[16, 16\]"),
        ({"mask_input": np.full((16, 16), np.inf)}, ValueError, "finite"),
        (
            {"mask_input": np.zeros((16, 16), bool)},
            ValueError,
            r"bool mask_input of the image's size, \[50, 60\]",
        ),
        (
            {"mask_input": np.zeros((50, 60))},
            ValueError,
            r"or a mask of the image, bool \[50, 60\], came float64",
        ),
        ({"mask_input": np.zeros((50, 60), "S1")}, TypeError, "mask_input"),
        (
            {"mask_input": np.zeros((16, 16), np.uint8)},
            TypeError,
            "a mask of the image as bool, came dtype uint8",
        ),
    ],
)
def test_bad_prompts(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Prompt.checked(**arguments, frame=Frame.of(50, 60, 64))


@pytest.mark.parametrize(("h", "w"), [(64, 64), (50, 60), (200, 131), (7, 9), (64, 32)])
def test_masks_of_the_image_are_resized_as_the_image(h: int, w: int) -> None:
    frame = Frame.of(h, w, 64)
    mask = np.random.default_rng(h).random((h, w)) > 0.6
    prompt = Prompt.checked(mask_input=mask, frame=frame)
    assert prompt.mask_input is not None
    resized = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        frame.input[::-1], Image.Resampling.BILINEAR
    )
    want = np.zeros((64, 64))
    want[: frame.input[0], : frame.input[1]] = np.asarray(resized) > 127
    share = want.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    np.testing.assert_array_equal(prompt.mask_input, np.float32(10 * (2 * share - 1)))
    np.testing.assert_array_equal(
        Prompt.checked(mask_input=mask[None], frame=frame).mask_input, prompt.mask_input
    )


def test_mask_with_leading_axis_is_taken() -> None:
    prompt = Prompt.checked(mask_input=np.ones((1, 16, 16)), frame=Frame.of(50, 60, 64))
    assert prompt.mask_input is not None
    assert prompt.mask_input.shape == (16, 16)
    assert prompt.mask_input.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prompt.no_mask", None, "prompt.no_mask.*found no such tensor"),
        ("prompt.point_embeddings", np.zeros((3, 32), np.float32), r"\(4, 32\).*found \(3, 32\)"),
        ("prompt.mask_downscaling.6.weight", np.zeros((32, 16), np.float32), "mask_downscaling.6.weight"),
    ],
)
def test_tables_name_a_broken_tensor(tiny: Any, name: str, value: Any, message: str) -> None:
    weights = {key: w for key, w in tiny.weights.items() if key != name}
    if value is not None:
        weights[name] = value
    with pytest.raises(ValueError, match=message):
        PromptTables(weights, side=tiny.config.side)
