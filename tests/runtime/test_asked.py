"""What hypotheses say of the question they answer, and that it is enough to draw them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import asam_trt
from asam_trt.bundle import read_manifest
from asam_trt.hypotheses import Hypotheses

BOX = (10, 5, 60, 40)
POINTS = {"point_coords": [(30, 20), (70, 45)], "point_labels": [1, 0]}


def again(session: asam_trt.Session, path: Path) -> npt.NDArray[np.float32]:
    """float32 [n, 4e, 4e], logits of a call with what a file says, by NumPy alone."""
    with np.load(path, allow_pickle=False) as file:
        prompt = {
            name: file[name] for name in ("box", "point_coords", "point_labels", "mask_input") if name in file
        }
        noise: dict[str, Any] = (
            {"eps": file["eps"]}
            if "eps" in file
            else {
                "seed": int(file["seed"]),
                "temperature": float(file["temperature"]),
                "latents": str(file["latents"]),
                "n": int(file["index"].max()) + 1,
            }
        )
        return session.sample(**prompt, **noise).logits[file["index"]]


@pytest.mark.parametrize(
    "question",
    [
        {"box": BOX, "n": 4, "seed": 2**64 - 1},
        {**POINTS, "n": 6, "seed": 3, "latents": "sobol", "temperature": 0.5},
        {"box": BOX, **POINTS, "mask_input": np.eye(50, 80, dtype=np.bool_), "n": 2},
        {"n": 3, "seed": 1},
        {"box": BOX, "eps": np.random.default_rng(0).normal(size=(3, 2, 64)), "temperature": 2},
    ],
    ids=["box", "points", "all", "none", "noise"],
)
def test_a_file_says_enough_to_draw_its_hypotheses_again(
    session: asam_trt.Session, image: npt.NDArray[np.uint8], tmp_path: Path, question: dict[str, Any]
) -> None:
    if "eps" in question:
        question = {**question, "eps": question["eps"][..., : session.engine.sampler.latent]}
    session.set_image(image)
    hypotheses = session.sample(**question)
    path = hypotheses.save(tmp_path / "all.npz")
    np.testing.assert_array_equal(again(session, path), hypotheses.logits)
    chosen = hypotheses[[1, 0]][::-1]
    np.testing.assert_array_equal(again(session, chosen.save(tmp_path / "some.npz")), hypotheses.logits[:2])
    with np.load(path) as file:
        assert str(file["engine"]) == str(session.engine.path)
        assert str(file["engine_digest"]) == read_manifest(session.engine.path)["digest"]
        assert str(file["precision"]) == "float32"
        assert ("seed" in file) == ("eps" not in question)
    loaded = Hypotheses.load(path).asked
    assert loaded is not None
    assert hypotheses.asked is not None
    expected = hypotheses.asked.arrays()
    assert loaded.arrays().keys() == expected.keys()
    for name, value in loaded.arrays().items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_frames_of_a_video_say_the_seed(
    session: asam_trt.Session, image: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    for noise, seeds in (("kept", [7, 7]), ("redrawn", [7, 8])):
        run = asam_trt.VideoSampler(session).run([image, image], box=BOX, n=3, seed=7, noise=noise)
        for seed, (_, hypotheses) in zip(seeds, run, strict=True):
            session.set_image(image)
            path = hypotheses.save(tmp_path / "frame.npz")
            with np.load(path) as file:
                assert int(file["seed"]) == seed
            np.testing.assert_array_equal(again(session, path), hypotheses.logits)
    eps = np.zeros((2, 2, session.engine.sampler.latent), np.float32)
    (_, hypotheses), *_ = asam_trt.VideoSampler(session).run([image], box=BOX, eps=eps)
    assert hypotheses.asked.seed is None
    np.testing.assert_array_equal(hypotheses.asked.eps, eps)


def test_a_file_of_before_comes_back_without(
    session: asam_trt.Session, image: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    session.set_image(image)
    hypotheses = session.sample(box=BOX, n=2)
    with np.load(hypotheses.save(tmp_path / "new.npz")) as file:
        old = {name: file[name] for name in ("logits", "scores", "packed_masks", "original", "input", "side")}
    np.savez(tmp_path / "old.npz", **old)
    loaded = Hypotheses.load(tmp_path / "old.npz")
    assert loaded.asked is None
    np.testing.assert_array_equal(loaded.masks, hypotheses.masks)
    # The prompt has pixels of the image, and not of another size.
    assert hypotheses.at((25, 40)).asked is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"box": np.array([60.0, 5, 10, 40])}, "box"),
        ({"box": np.array(["a"])}, "box"),
        ({"index": np.array([0, -1])}, "among the hypotheses that were drawn"),
        ({"index": np.array([0.0, 1])}, r"expected index of shape \[2\], came float64 \[2\]"),
        ({"index": np.arange(3)}, r"expected index of shape \[2\], came int64 \[3\]"),
        ({"temperature": np.array(np.nan)}, "expected temperature"),
        ({"eps": np.zeros((2, 2, 3))}, "came both"),
        ({"seed": np.array("seven")}, "expected seed"),
        ({"engine": np.array([{}], object)}, "."),
        ({"engine": None}, "without engine"),
        ({"seed": None}, "or none"),
    ],
)
def test_a_foreign_question_is_refused(
    session: asam_trt.Session,
    image: npt.NDArray[np.uint8],
    tmp_path: Path,
    change: dict[str, Any],
    said: str,
) -> None:
    session.set_image(image)
    with np.load(session.sample(box=BOX, n=2).save(tmp_path / "h.npz")) as file:
        values = {**file, **change}
    np.savez(tmp_path / "h.npz", **{name: value for name, value in values.items() if value is not None})
    with pytest.raises(ValueError, match=rf"h\.npz: .*{said}"):
        Hypotheses.load(tmp_path / "h.npz")
