from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import asam_trt
from asam.assets import NANO
from asam.cli import main
from asam_trt import follow
from asam_trt.follow import BoxFollower, mask_box

RED, GREY = (200, 40, 30), (90, 90, 90)


def scene(centre: tuple[float, float] | None, radius: float = 15) -> np.ndarray:
    """A red disc on grey, 96 x 128."""
    y, x = np.mgrid[:96, :128] + 0.5
    image = np.full((96, 128, 3), GREY, np.uint8)
    if centre is not None:
        image[np.hypot(x - centre[0], y - centre[1]) < radius] = RED
    return image


def centre_of(box: tuple[float, float, float, float]) -> np.ndarray:
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def test_the_box_moves_with_the_object_and_keeps_its_slack(discs: Any) -> None:
    follower = BoxFollower((20, 20, 60, 60))
    for step in range(20):
        centre = (40.0 + 2 * step, 40.0 + 0.5 * step)
        result = follower.update(scene(centre), discs([15.0] * 4, centre))
        assert not result.lost
        assert result.confidence > 0.7
    assert np.abs(centre_of(result.box) - centre).max() < 3
    assert result.box[2] - result.box[0] == pytest.approx(40, abs=3)


def test_the_box_grows_with_the_object(discs: Any) -> None:
    follower = BoxFollower((44, 28, 84, 68))
    for radius in np.linspace(15, 30, 16):
        result = follower.update(scene((64, 48), radius), discs([float(radius)] * 4))
    assert result.box[2] - result.box[0] == pytest.approx(80, rel=0.1)
    assert not result.lost


@pytest.mark.parametrize("how", ["empty masks", "other colours", "masks that disagree"])
def test_a_lost_object_is_called_lost_and_the_box_stays(discs: Any, how: str) -> None:
    follower = BoxFollower((44, 28, 84, 68))
    for _ in range(3):
        seen = follower.update(scene((64, 48)), discs([15.0] * 4))
    steps = []
    for _ in range(6):
        if how == "empty masks":
            steps.append(follower.update(scene(None), discs([0.0] * 4)))
        elif how == "other colours":
            steps.append(follower.update(scene(None), discs([15.0] * 4)))
        else:
            steps.append(follower.update(scene((64, 48)), discs([40.0, 2.0, 2.0, 40.0, 2.0])))
    assert [s.lost for s in steps] == [False] * 4 + [True] * 2
    assert all(s.confidence < 0.2 for s in steps)
    assert all(s.box == seen.box for s in steps)


def test_a_short_occlusion_is_survived(discs: Any) -> None:
    follower = BoxFollower((44, 28, 84, 68))
    follower.update(scene((64, 48)), discs([15.0] * 4))
    for _ in range(4):
        assert follower.update(scene(None), discs([0.0] * 4)).confidence == 0
    again = follower.update(scene((64, 48)), discs([15.0] * 4))
    assert again.confidence > 0.7
    assert not again.lost


def test_specks_do_not_widen_the_box_of_a_mask() -> None:
    mask = np.zeros((96, 128), bool)
    mask[30:60, 40:80] = True
    assert mask_box(mask) == (40, 30, 80, 60)
    mask[2, 3] = True
    assert mask_box(mask) == (40, 30, 80, 60)


def test_continuity_is_the_iou_of_each_hypothesis_with_itself(discs: Any) -> None:
    follower = BoxFollower((44, 28, 84, 68))
    assert follower.update(scene((64, 48)), discs([15.0, 20.0])).continuity is None
    assert follower.update(scene((64, 48)), discs([15.0, 20.0])).continuity == 1
    # Areas of discs are as the squares of their radii; one pixel of the logits is four of the image.
    shrunk = follower.update(scene((64, 48)), discs([10.0, 20.0])).continuity
    assert shrunk == pytest.approx((10 / 15) ** 2 / 2 + 0.5, abs=0.05)
    exchanged = follower.update(scene((64, 48)), discs([20.0, 10.0])).continuity
    assert exchanged == pytest.approx((10 / 20) ** 2, abs=0.05)  # the union is the same
    assert follower.update(scene((64, 48)), discs([0.0, 10.0])).continuity == 0.5
    assert follower.update(scene((64, 48)), discs([0.0, 10.0])).continuity == 1


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of the network that ships."""
    return asam_trt.build_engine(NANO, tmp_path_factory.mktemp("shipped") / "nano.asam", progress=False)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("first", "second"), [("blackswan", "car-roundabout"), ("car-roundabout", "blackswan")]
)
def test_a_cut_in_a_video_is_told_and_a_whole_video_is_not(
    shipped: Path,
    data_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    first: str,
    second: str,
) -> None:
    with Image.open(data_root / "davis" / first / "masks" / "00000.png") as mask:
        box = mask_box(np.asarray(mask.convert("L")) > 0)
    words = ["--engine", str(shipped), "--box", *map(str, box), "--n", "16", "--follow", "--output"]
    frames = [data_root / "davis" / first / "frames" / f"{i:05d}.jpg" for i in range(24)]
    others = [data_root / "davis" / second / "frames" / f"{i:05d}.jpg" for i in range(12, 24)]
    for name, sequence in (("whole", frames), ("cut", frames[:12] + others)):
        (tmp_path / name).mkdir()
        for i, frame in enumerate(sequence):
            (tmp_path / name / f"{i:05d}.jpg").symlink_to(frame)
        assert main(["video", str(tmp_path / name), *words, str(tmp_path / f"{name}-out")]) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if "may be another one" in line]
        with (tmp_path / f"{name}-out" / "areas.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert rows[0]["continuity"] == ""
        continuity = [float(row["continuity"]) for row in rows[1:]]
        if name == "whole":
            assert told == []
            assert min(continuity) >= follow.DOUBTED_BELOW
        else:
            (line,) = told
            assert line.startswith(
                "frame 12: the object may be another one from here on, or the picture was cut"
            )
            assert f"an IoU of {continuity[11]:.2f} with those before" in line
            assert min(continuity[:11]) >= follow.DOUBTED_BELOW
