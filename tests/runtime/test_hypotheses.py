from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from asam_trt import files, rle, saving
from asam_trt.contours import signed_area
from asam_trt.geometry import Frame
from asam_trt.hypotheses import Hypotheses

RADII = [30.0, 30.0, 20.0, 12.0, 0.0]


def test_masks_maps_and_areas_agree(discs: Any) -> None:
    hyp = discs(RADII)
    masks = hyp.masks
    assert masks.dtype == np.bool_
    assert masks.shape == (5, 96, 128)
    np.testing.assert_array_equal(hyp.counts, masks.sum(axis=0))
    np.testing.assert_allclose(hyp.mean, masks.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(hyp.areas, masks.sum(axis=(1, 2)))
    np.testing.assert_allclose(hyp.areas[:4], np.pi * np.square(RADII[:4]), rtol=0.03)
    assert hyp.p_empty == 0.2
    assert hyp.mean.dtype == hyp.entropy.dtype == np.float32


@pytest.mark.parametrize("n", [5, 300])
def test_counts_are_the_same_before_and_after_the_masks_are_made(n: int) -> None:
    logits = np.random.default_rng(0).normal(size=(n, 16, 16)).astype(np.float32) + 0.5
    before, after = (Hypotheses(logits, np.zeros(n, np.float32), Frame.of(40, 60, 64)) for _ in range(2))
    assert after.masks.any()
    np.testing.assert_array_equal(after.counts, before.counts)
    np.testing.assert_array_equal(after.areas, before.areas)
    assert after.counts.dtype == before.counts.dtype


def test_entropy_is_that_of_the_mean_in_bits(discs: Any) -> None:
    hyp = discs([30.0, 20.0])
    assert hyp.entropy[48, 64] == 0
    assert hyp.entropy[48, 64 + 25] == 1
    p = discs(RADII).mean.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.nan_to_num(-p * np.log2(p)) + np.nan_to_num(-(1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(discs(RADII).entropy, expected, atol=1e-6)


def test_area_quantiles_and_interval(discs: Any) -> None:
    hyp = discs([float(r) for r in range(10, 31)])
    area = hyp.area(0.5)
    assert (area.low, area.median, area.high) == (hyp.areas[5], hyp.areas[10], hyp.areas[15])
    assert area.quantile(0) == hyp.areas.min()
    assert area.mean == pytest.approx(hyp.areas.mean())
    for level in (0, 1, -1, 2):
        with pytest.raises(ValueError, match="0 < level < 1"):
            hyp.area(level)


def test_consensus_counts_votes(discs: Any) -> None:
    hyp = discs([30.0] * 3 + [20.0] * 3 + [12.0] * 4)
    for threshold, radius in ((1.0, 12), (0.6, 20), (0.3, 30), (0.61, 12), (0.05, 30)):
        found = hyp.consensus(threshold)
        np.testing.assert_array_equal(found, hyp.masks.sum(axis=0) >= np.ceil(threshold * 10 - 1e-6))
        assert found.sum() == pytest.approx(np.pi * radius**2, rel=0.04)
    for threshold in (0, 1.1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            hyp.consensus(threshold)


def test_contours_enclose_the_mask(discs: Any) -> None:
    hyp = discs(RADII)
    for exact, tolerance in ((True, 0.01), (False, 0.02)):
        (ring,) = hyp.contours(0, exact=exact)
        assert signed_area(ring) == pytest.approx(hyp.areas[0], rel=tolerance)
        np.testing.assert_allclose(ring.mean(axis=0), (64, 48), atol=0.5)
        assert hyp.contours(4, exact=exact) == []
    assert len(hyp.polygons(-2)) == 1


def test_contours_stay_within_the_image(discs: Any) -> None:
    hyp = discs([70.0], centre=(120, 90))
    for exact in (True, False):
        points = np.concatenate(hyp.contours(0, exact=exact))
        assert points.min() >= 0
        assert (points <= (128, 96)).all()


def test_indexing_and_iteration(discs: Any) -> None:
    hyp = discs(RADII)
    one = hyp[2]
    np.testing.assert_array_equal(one, hyp.masks[2])
    np.testing.assert_array_equal(hyp[-1], hyp.masks[4])
    np.testing.assert_array_equal(np.stack(list(discs(RADII))), hyp.masks)
    part = hyp[1:3]
    assert isinstance(part, Hypotheses)
    assert len(part) == 2
    np.testing.assert_array_equal(part.masks, hyp.masks[1:3])
    np.testing.assert_array_equal(hyp[[4, 0]].scores, hyp.scores[[4, 0]])
    for i in (5, -6):
        with pytest.raises(IndexError, match="from -5 to 4"):
            hyp[i]


def test_iterating_does_not_keep_all_masks(discs: Any) -> None:
    hyp = discs(RADII)
    for _ in hyp:
        pass
    assert hyp.mean is not None
    assert "masks" not in vars(hyp)


def test_texts_say_what_is_there(discs: Any) -> None:
    hyp = discs(RADII)
    assert "n=5, image 128 x 96 (w x h)" in repr(hyp)
    assert "empty 20%" in repr(hyp)
    html = hyp._repr_html_()
    assert "data:image/png;base64," in html


@pytest.mark.parametrize(
    ("logits", "scores", "error"),
    [
        (np.zeros((2, 4, 4)), np.zeros(2, np.float32), TypeError),
        (np.zeros((2, 8, 8), np.float32), np.zeros(2, np.float32), ValueError),
        (np.zeros((0, 4, 4), np.float32), np.zeros(0, np.float32), ValueError),
        (np.zeros((2, 4, 4), np.float32), np.zeros(3, np.float32), ValueError),
    ],
)
def test_wrong_arrays_are_refused(logits: Any, scores: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        Hypotheses(logits, scores, Frame.of(9, 9, 16))


class TestSaving:
    def test_npz_holds_everything(self, discs: Any, tmp_path: Path) -> None:
        hyp = discs(RADII)
        path = hyp.save(tmp_path / "deep" / "h.npz")
        with np.load(path, allow_pickle=False) as found:
            np.testing.assert_array_equal(found["logits"], hyp.logits)
            masks = np.unpackbits(found["packed_masks"], axis=2, count=128).astype(bool)
            np.testing.assert_array_equal(masks, hyp.masks)

    def test_npz_comes_back(self, discs: Any, tmp_path: Path) -> None:
        all_of_them = discs(RADII)
        # Of LiteMedSAM, whose logits are at every pixel of model space.
        fine = Hypotheses(
            all_of_them.logits, all_of_them.scores, Frame.of(20, 30, all_of_them.logits.shape[1], 4)
        )
        for hyp in (all_of_them, all_of_them[1:3].at((50, 77)), fine):
            found = Hypotheses.load(hyp.save(tmp_path / "h.npz"))
            np.testing.assert_array_equal(found.masks, hyp.masks)
            np.testing.assert_array_equal(found.scores, hyp.scores)
            assert found.frame == hyp.frame

    @pytest.mark.parametrize(
        "change",
        [
            {"side": 0},
            {"original": [3]},
            {"input": [1.5, 2]},
            {"logits": [[1.0]]},
            {"scores": object()},
            {"side": 512},
            {"original": [1 << 16, 1 << 16]},
            {"original": [1 << 15, (1 << 13) + 1]},
            {"logits": np.full((5, 32, 32), np.nan, np.float32)},
            {"logits": np.full((5, 32, 32), np.inf, np.float32)},
            {"logits": np.zeros((5, 32, 32))},
            {"scores": np.full(5, np.nan, np.float32)},
            {"side": 3, "input": [3, 3], "logits": np.zeros((5, 0, 0), np.float32)},
        ],
    )
    def test_a_foreign_npz(self, discs: Any, tmp_path: Path, change: dict[str, Any]) -> None:
        path = discs(RADII).save(tmp_path / "h.npz")
        with np.load(path) as file:
            values = dict(file)
        np.savez(path, **{**values, **{name: np.asarray(value) for name, value in change.items()}})
        with pytest.raises(ValueError, match="expected"):
            Hypotheses.load(path)

    @pytest.mark.parametrize("damage", ["stream", "method", "password"])
    def test_a_damaged_npz(self, discs: Any, tmp_path: Path, damage: str) -> None:
        path = discs(RADII).save(tmp_path / "h.npz")
        content = bytearray(path.read_bytes())
        with ZipFile(path) as archive:
            directory = archive.start_dir
        name = int.from_bytes(content[26:28], "little")
        extra = int.from_bytes(content[28:30], "little")
        if damage == "stream":
            content[30 + name + extra] = 0xFF  # a kind of block that deflate does not have
        else:
            # Offsets of the flags and of the method in the file's own header and in the directory.
            for place in (6, directory + 8) if damage == "password" else (8, directory + 10):
                content[place] = 1 if damage == "password" else 99
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"expected hypotheses as Hypotheses\.save writes them"):
            Hypotheses.load(path)

    @pytest.mark.parametrize(("lost", "left"), [(b")", b" "), (b"}", b" "), (b"{", b" {\n  x\n y")])
    def test_an_array_whose_header_cannot_be_read(
        self, discs: Any, tmp_path: Path, lost: bytes, left: bytes
    ) -> None:
        with ZipFile(discs(RADII).save(tmp_path / "h.npz")) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        header = content["logits.npy"]
        content["logits.npy"] = header.replace(lost, left, 1)
        with ZipFile(tmp_path / "h.npz", "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        with pytest.raises(ValueError, match=r"expected hypotheses as Hypotheses\.save writes them"):
            Hypotheses.load(tmp_path / "h.npz")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
    def test_a_file_that_is_no_npz(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "h.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"expected hypotheses as Hypotheses\.save writes them"):
            Hypotheses.load(tmp_path / "h.npz")

    def test_png_folder(self, discs: Any, tmp_path: Path) -> None:
        hyp = discs(RADII)
        folder = hyp.save(tmp_path / "masks")
        for i, mask in enumerate(hyp):
            with Image.open(folder / f"mask_{i:03d}.png") as image:
                np.testing.assert_array_equal(np.asarray(image) == 255, mask)
        with Image.open(folder / "mean_16bit.png") as image:
            np.testing.assert_allclose(np.asarray(image) / 65535, hyp.mean, atol=1e-5)

    def test_coco(self, discs: Any, tmp_path: Path) -> None:
        hyp = discs(RADII)
        document = json.loads(hyp.save(tmp_path / "h.json").read_text())
        for annotation, mask in zip(document["annotations"], hyp, strict=True):
            np.testing.assert_array_equal(rle.decode(annotation["segmentation"]), mask)
            x, y, w, h = annotation["bbox"]
            assert mask[y : y + h, x : x + w].sum() == mask.sum() == annotation["area"]
            assert w * h == 0 or mask[y].any()
            assert annotation["iscrowd"] == 0

    def test_polygons(self, discs: Any, tmp_path: Path) -> None:
        hyp = discs(RADII)
        document = json.loads(hyp.save(tmp_path / "h.geojson").read_text())
        assert len(document["features"]) == 5
        for feature, area in zip(document["features"], hyp.areas, strict=True):
            rings = [r for polygon in feature["geometry"]["coordinates"] for r in polygon]
            assert all(ring[0] == ring[-1] for ring in rings)
            total = sum(signed_area(np.array(ring[:-1])) for ring in rings)
            assert total == pytest.approx(area, rel=0.02)

    def test_a_failure_leaves_the_old_file(
        self, discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = discs([30.0]).save(tmp_path / "h.npz")
        before = path.read_bytes()

        def broken(hypotheses: Hypotheses, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setitem(saving._WRITERS, "npz", broken)
        with pytest.raises(OSError, match="space"):
            discs([20.0]).save(path)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["h.npz"]

    @pytest.mark.parametrize("name", ["b" * 251, "\u00fc" * 125])
    def test_a_name_as_long_as_may_be(self, discs: Any, tmp_path: Path, name: str) -> None:
        discs([9.0]).save(tmp_path / f"{name}.npz")
        assert [p.name for p in tmp_path.iterdir()] == [f"{name}.npz"]

    @pytest.mark.parametrize("kind", ["npz", "png"])
    def test_links_in_a_circle(self, discs: Any, tmp_path: Path, kind: str) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(ValueError, match="came links in a circle"):
            discs([9.0]).save(tmp_path / "a", kind)
        assert (tmp_path / "a").is_symlink()

    @pytest.mark.skipif(files._told() is None, reason="this system tells no umask")
    def test_permissions_are_those_of_the_process_and_stay_so(
        self, discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = os.umask(0o027)
        try:
            with monkeypatch.context() as patch:
                # For as long as it is another, files of other threads would come out with that one.
                patch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
                path = discs([9.0]).save(tmp_path / "h.npz")
            assert files._asked() == 0o027
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640

    def test_unknown_kinds_are_refused(self, discs: Any, tmp_path: Path) -> None:
        for path, kind in (("h.tiff", None), ("h.npz", "tiff")):
            with pytest.raises(ValueError, match="expected"):
                discs([9.0]).save(tmp_path / path, kind)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threshold", [1e-300, 1e-10, 0.2])
def test_no_threshold_holds_pixels_that_no_mask_has(discs: Any, threshold: float) -> None:
    hyp = discs(RADII)
    np.testing.assert_array_equal(hyp.consensus(threshold), hyp.masks.any(axis=0))


@pytest.mark.parametrize("size", [(0, 10), (-1, 5), (70_000, 70_000)])
def test_sizes_that_no_mask_has(discs: Any, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        discs(RADII).at(size)


@pytest.mark.parametrize("size", [(10, 10, 3), 5, (10.5, 10)])
def test_what_is_no_size(discs: Any, size: Any) -> None:
    with pytest.raises(TypeError):
        discs(RADII).at(size)


def test_a_bool_is_no_number_of_a_hypothesis(discs: Any) -> None:
    with pytest.raises(TypeError, match="came a bool"):
        discs(RADII)[True]


def test_a_link_stays_and_its_file_is_written(discs: Any, tmp_path: Path) -> None:
    (tmp_path / "link.npz").symlink_to(tmp_path / "file.npz")
    discs(RADII).save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert np.load(tmp_path / "file.npz")["scores"].shape == (5,)


def test_a_pipe_is_not_replaced(discs: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match="came a device, a pipe or a socket"):
        discs(RADII).save(tmp_path / "pipe.npz")
    assert (tmp_path / "pipe.npz").is_fifo()


def test_hypotheses_do_not_wait_for_the_masks_of_others(discs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, begun, go = discs(RADII), threading.Event(), threading.Event()

    def wait(logits: Any) -> Any:
        begun.set()
        assert go.wait(20)
        return np.zeros((len(logits), *slow.frame.original), np.bool_)

    monkeypatch.setattr(slow, "_masks", wait)
    held = threading.Thread(target=lambda: slow.masks)
    held.start()
    assert begun.wait(20)
    other = discs(RADII)
    free = threading.Thread(target=lambda: other.masks, daemon=True)
    free.start()
    free.join(10)
    in_time = not free.is_alive()
    go.set()
    held.join(20)
    assert in_time
    assert "masks" in vars(other)


def test_masks_are_kept_once_made(discs: Any) -> None:
    hyp = discs(RADII)
    assert hyp.masks is hyp.masks
    assert "bool [n, H, W]" in (Hypotheses.masks.__doc__ or "")


def test_only_its_own_archives_are_read_back(discs: Any, tmp_path: Path) -> None:
    discs(RADII).save(tmp_path / "coins.json")
    discs(RADII).save(tmp_path / "coins")
    for name, came in (("coins.json", "a file of another kind"), ("coins", "came a folder")):
        with pytest.raises(ValueError, match=came) as refused:
            Hypotheses.load(tmp_path / name)
        assert "pickle" not in str(refused.value)
