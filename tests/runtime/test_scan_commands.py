"""asam sample and asam volume with scans, as they are typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from scans import affine_of, write_dicom, write_series

import asam_trt
from asam.cli import main

BOX = ["--box", "8", "6", "24", "20"]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """int16 [30, 9, 40] in the file, 9 axial slices of 40 x 30 (h x w): a bright ball in the slices 2 to 6."""
    affine = affine_of((0, 2, 1), (1, -1, 1), (0.5, 2.0, 0.8))
    x, z, y = np.mgrid[:30, :9, :40]
    inside = ((x - 14) * 0.5) ** 2 + ((z - 4) * 2.0) ** 2 + ((y - 27) * 0.8) ** 2 < 4.5**2
    noise = np.random.default_rng(0).integers(-40, 40, inside.shape)
    nibabel.save(
        nibabel.Nifti1Image((inside * 900 - 800 + noise).astype(np.int16), affine), tmp_path / "scan.nii.gz"
    )
    return tmp_path / "scan.nii.gz"


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    done = capsys.readouterr()
    return status, done.out, done.err


def test_sample_of_a_slice(
    engine: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["sample", scan, "--engine", engine, *BOX, "--n", 5, "--output", out, "--window", -1000, 400]
    status, text, _ = run(capsys, *words, "--slice", 3)
    assert status == 0
    file = nibabel.load(scan)
    majority, mean, masks = (nibabel.load(out / f"{name}.nii.gz") for name in ("majority", "mean", "masks"))
    for found in (majority, mean):
        assert found.shape == file.shape
        np.testing.assert_array_equal(found.affine, file.affine)
    assert masks.shape == (30, 1, 40, 5)
    # Slice 3 from below is the file's slice 5 from above.
    np.testing.assert_allclose(masks.affine @ (0, 0, 0, 1), file.affine @ (0, 5, 0, 1), atol=1e-4)
    hypotheses = np.asarray(masks.dataobj)[:, 0]
    np.testing.assert_allclose(np.asarray(mean.dataobj)[:, 5], hypotheses.mean(axis=-1), atol=1e-6)
    assert not np.delete(np.asarray(majority.dataobj), 5, axis=1).any()
    areas = hypotheses.sum(axis=(0, 1)) * 0.5 * 0.8
    assert f"area in mm2: median {np.median(areas):.4g}, 90% within" in text
    assert "area in mm2" in (out / "index.html").read_text()
    place = "slice 3, pixels 0 0 30 40 (x0 y0 x1 y1) of 30 x 40 (w x h), window -1000 to 400"
    assert place in text
    assert place in (out / "index.html").read_text()
    # Those of a scan do not stay beside those of a photo.
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    assert run(capsys, "sample", tmp_path / "photo.png", *words[2:-3])[0] == 0
    assert not list(out.glob("*.nii.gz"))


@pytest.mark.parametrize(("plane", "axis", "world"), [("coronal", 2, 1), ("sagittal", 0, 0)])
def test_masks_of_another_plane_lie_in_the_grid_of_the_scan(
    engine: Path,
    scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    plane: str,
    axis: int,
    world: int,
) -> None:
    """The slices of the plane lie along this axis of the file and of the world."""
    file = nibabel.load(scan)
    volume = asam_trt.read_volume(scan, plane=plane)
    index = len(volume) // 2
    there = np.linalg.inv(file.affine) @ volume.affine @ (index, 0, 0, 1)
    options = ["--engine", engine, "--plane", plane, "--slice", index, "--window", -1000, 400, "--n", 4]
    options += ["--box", 8, 2, 20, 7, "--output"]
    status, text, _ = run(capsys, "sample", scan, *options, tmp_path / "one")
    assert status == 0
    assert f"{plane} slice {index}, pixels" in text
    majority, mean, masks = (
        nibabel.load(tmp_path / "one" / f"{name}.nii.gz") for name in ("majority", "mean", "masks")
    )
    for found in (majority, mean):
        assert found.shape == file.shape
        np.testing.assert_array_equal(found.affine, file.affine)
    seen = asam_trt.Hypotheses.load(tmp_path / "one" / "hypotheses.npz")
    zooms = np.delete(file.header.get_zooms(), axis)
    middle = np.median(seen.areas) * zooms.prod()
    assert f"area in mm2: median {middle:.4g}" in text
    alone = np.take(np.asarray(mean.dataobj), round(there[axis]), axis=axis)
    np.testing.assert_allclose(alone.sum(), seen.mean.sum(), rtol=1e-5)
    np.testing.assert_array_equal(alone, np.asarray(mean.dataobj).sum(axis=axis))
    np.testing.assert_array_equal(np.asarray(masks.dataobj).sum(axis=(0, 1, 2)), seen.masks.sum(axis=(1, 2)))

    assert run(capsys, "volume", scan, *options, tmp_path / "all")[0] == 0
    found = nibabel.load(tmp_path / "all" / "hypotheses.nii.gz")
    np.testing.assert_array_equal(found.affine, file.affine)
    masks = np.asarray(found.dataobj)
    assert masks.shape == (*file.shape, 4)
    said = json.loads((tmp_path / "all" / "volume.json").read_text())
    assert said["asked"]["plane"] == plane
    voxel = np.prod(file.header.get_zooms()) / 1000
    np.testing.assert_allclose(said["sizes"], masks.sum(axis=(0, 1, 2)) * voxel, rtol=1e-5)
    with (tmp_path / "all" / "slices.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        place = float(row[f"{'xyz'[world]}_mm"])
        voxels = np.linalg.inv(file.affine[:3, :3]) @ (np.eye(3)[world] * (place - file.affine[world, 3]))
        slab = np.take(masks, round(voxels[axis]), axis=axis)
        areas = [float(row[f"h{i}_mm2"]) for i in range(4)]
        np.testing.assert_allclose(areas, slab.sum(axis=(0, 1)) * zooms.prod(), atol=0.01)
    assert sum(float(row["h0_mm2"]) for row in rows) > 0


def test_masks_of_a_scan_without_a_place_lie_over_it(
    engine: Path,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Readers place what has no place, each as it likes: only the same grid is placed as the scan is."""
    file = nibabel.load(scan)
    file.set_sform(None, 0)
    file.set_qform(None, 0)
    nibabel.save(file, tmp_path / "nowhere.nii.gz")
    file, out = nibabel.load(tmp_path / "nowhere.nii.gz"), tmp_path / "out"
    words = ["sample", tmp_path / "nowhere.nii.gz", "--engine", engine, "--slice", 3, "--window", -1000, 400]
    words += ["--n", 2, "--box", 8, 2, 24, 8, "--output", out]
    status, text, told = run(capsys, *words)
    assert status == 0
    assert "the file does not say how it lies in space" in told
    assert "has no place" not in text
    for name in ("majority", "mean", "masks"):
        found = nibabel.load(out / f"{name}.nii.gz")
        assert found.shape[:3] == file.shape
        np.testing.assert_array_equal(found.affine, file.affine)
        for field in ("qform_code", "sform_code"):
            assert found.header[field] == 0
        np.testing.assert_array_equal(found.header["pixdim"][:4], file.header["pixdim"][:4])
    masks, mean = (np.asarray(nibabel.load(out / f"{name}.nii.gz").dataobj) for name in ("masks", "mean"))
    np.testing.assert_allclose(masks.mean(axis=-1), mean, atol=1e-6)
    assert masks.any()
    monkeypatch.setattr("asam_trt.slice_masks.MOST_VOXELS", 3)
    status, text, _ = run(capsys, *words)
    assert status == 0
    assert "masks.nii.gz is the slice alone, and has no place" in text
    alone = np.asarray(nibabel.load(out / "masks.nii.gz").dataobj)
    assert alone.size == masks.size // len(asam_trt.read_volume(tmp_path / "nowhere.nii.gz"))
    assert alone.sum() == masks.sum()


def test_sample_sees_a_slice_as_its_array(engine: Path, scan: Path, tmp_path: Path) -> None:
    """The hypotheses of a slice are those of the same slice as a picture."""
    file = nibabel.load(scan)
    axial = np.asarray(file.dataobj)[::-1, 5, ::-1].T  # columns to the left, rows to posterior
    np.save(tmp_path / "slice.npy", axial)
    found = []
    for path, more in ((scan, ["--slice", "3"]), (tmp_path / "slice.npy", [])):
        words = ["sample", str(path), "--engine", str(engine), *BOX, "--n", "3", "--window", "-1000", "400"]
        assert main([*words, *more, "--output", str(tmp_path / "out")]) == 0
        with np.load(tmp_path / "out" / "hypotheses.npz") as saved:
            found.append(saved["logits"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("command", ["sample", "volume"])
def test_a_crop_is_seen_alone_and_put_back(engine: Path, scan: Path, tmp_path: Path, command: str) -> None:
    """As a scan of nothing else; the square lies around (16, 13) and is cut where the slice ends."""
    volume = asam_trt.read_volume(scan)
    np.save(tmp_path / "part.npy", volume.values[:, 3:23, 6:26])
    words = ["--engine", str(engine), "--slice", "4", "--window", "-1000", "400", "--n", "3", "--points"]
    whole = [command, str(scan), "--crop", "20", *words, "16", "13", "--output", str(tmp_path / "whole")]
    part = [command, str(tmp_path / "part.npy"), *words, "10", "10", "--output", str(tmp_path / "part")]
    assert (main(whole), main(part)) == (0, 0)
    if command == "volume":
        found = nibabel.load(tmp_path / "whole" / "hypotheses.nii.gz")
        seen = np.stack([volume.grid.seen(np.asarray(found.dataobj)[..., i]) for i in range(3)])
        expected = np.load(tmp_path / "part" / "hypotheses.npy")
    else:
        found = nibabel.load(tmp_path / "whole" / "masks.nii.gz")
        seen = np.asarray(found.dataobj)[:, 0].transpose(2, 1, 0)[:, ::-1, ::-1]
        expected = asam_trt.Hypotheses.load(tmp_path / "part" / "hypotheses.npz").masks
    np.testing.assert_array_equal(seen[..., 3:23, 6:26], expected)
    assert seen.sum() == expected.sum() > 0


def test_what_sample_says_of_scans(
    engine: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 900, (30, 40)).astype(np.int16)
    one = write_dicom(tmp_path / "one.dcm", pixels, WindowCenter=500, WindowWidth=800)
    status, text, told = run(
        capsys, "sample", one, "--engine", engine, *BOX, "--n", 2, "--output", tmp_path / "out"
    )
    assert status == 0
    assert "one.dcm: seen through the file's own window, 100 to 900: --window takes another" in told
    assert "area in mm2" in text
    words = ["sample", scan, "--engine", engine, "--points", 16, 13, "--slice", 4, "--window", -1000, 400]
    words += ["--n", 2, "--output", tmp_path / "out"]
    assert "points do not say how large the object is: --crop shows" in run(capsys, *words)[2]
    _, _, told = run(capsys, *words, "--crop", 50)
    assert "--crop 50 is larger than the slice, 30 x 40 (w x h): all of it is seen" in told
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "photo.png")
    for words, said in (
        ([scan], "expected --slice from 0 to 8, came none: it has 9 slices"),
        ([scan, "--slice", 9], "expected --slice from 0 to 8, came 9: it has 9 slices"),
        ([one, "--slice", 2], "it has 1 slice; give its folder to read the whole series"),
        ([scan, "--slice", 1], "choose the window of values to be seen with --window LOW HIGH"),
        (
            [scan, "--slice", 0, "--window", 200, 400],
            "slice 0: expected a window that overlaps the image's values",
        ),
        ([scan, "--slice", 1, "--crop", 5], "expected crop of at least 16 pixels, came 5"),
        ([tmp_path / "photo.png", "--slice", 0], "expected no --slice with an image file, came 0"),
        ([tmp_path / "photo.png", "--plane", "axial"], "expected no --plane with an image file, came axial"),
    ):
        status, _, told = run(capsys, "sample", *words, "--engine", engine, *BOX)
        assert status == 2
        assert said in told


def test_volume_writes_masks_in_the_grid_of_the_scan(
    engine: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["volume", scan, "--engine", engine, "--slice", 4, *BOX, "--window", -1000, 400, "--n", 5]
    status, text, _ = run(capsys, *words, "--slices", 2, 6, "--output", out)
    assert status == 0
    names = ["hypotheses.nii.gz", "majority.nii.gz", "mean.nii.gz", "sheet.png", "slices.csv", "volume.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    file = nibabel.load(scan)
    hypotheses, majority, mean = (nibabel.load(out / name) for name in names[:3])
    for found in (hypotheses, majority, mean):
        np.testing.assert_array_equal(found.affine, file.affine)
        assert found.shape[:3] == file.shape
    masks = np.asarray(hypotheses.dataobj)
    assert masks.shape[3] == 5
    np.testing.assert_allclose(np.asarray(mean.dataobj), masks.mean(axis=-1), atol=1e-6)
    np.testing.assert_array_equal(np.asarray(majority.dataobj), masks.mean(axis=-1) >= 0.5)
    said = json.loads((out / "volume.json").read_text())
    assert (said["asked"]["slices"], said["remarks"]) == ([2, 6], [])
    voxel = np.prod(file.header.get_zooms()) / 1000
    np.testing.assert_allclose(said["sizes"], masks.sum(axis=(0, 1, 2)) * voxel, rtol=1e-5)
    assert f"volume: median {said['median']:.4g} ml, 90% within" in text
    with (out / "slices.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == said["slices"]["last"] - said["slices"]["first"] + 1
    for row in rows:
        index = int(row["slice"])
        assert float(row["z_mm"]) == pytest.approx(file.affine[2, 3] - 2 * (8 - index), abs=1e-3)
        areas = [float(row[f"h{i}_mm2"]) for i in range(5)]
        np.testing.assert_allclose(areas, masks[:, 8 - index].sum(axis=(0, 1)) * 0.5 * 0.8, atol=0.01)
    with Image.open(out / "sheet.png") as picture:
        picture.verify()


@pytest.mark.parametrize("command", ["sample", "volume"])
def test_a_series_is_chosen(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """The results are those of a folder of that series alone."""
    pixels = np.random.default_rng(1).integers(0, 900, (6, 30, 40)).astype(np.int16)
    write_series(tmp_path / "both", pixels, SeriesInstanceUID="1.5")
    write_series(tmp_path / "alone", pixels, SeriesInstanceUID="1.5")
    write_dicom(tmp_path / "both" / "scout", pixels[0], SeriesInstanceUID="1.6")
    words = ["--engine", engine, "--slice", 3, *BOX, "--window", 0, 900, "--n", 2, "--output"]
    status, _, told = run(capsys, command, tmp_path / "both", *words, tmp_path / "out")
    assert status == 2
    assert "[1] no description, 6 slices of 2.5 x 0.5 x 0.75 mm; [2]" in told
    assert "by its SeriesInstanceUID, such as --series 1" in told
    for name, more in (("alone", []), ("both", ["--series", "1.5"]), ("both", ["--series", 1])):
        assert run(capsys, command, tmp_path / name, *words, tmp_path / f"{name}{len(more)}", *more)[0] == 0
    expected, found = (nibabel.load(tmp_path / out / "mean.nii.gz") for out in ("alone0", "both2"))
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
    assert np.asarray(found.dataobj).any()
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    told = run(capsys, command, tmp_path / "photo.png", "--engine", engine, *BOX, "--series", 1)[2]
    assert "expected no --series " in told


def test_a_volume_without_millimetres(
    engine: Path,
    scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hypotheses are those of the same voxels in a NIfTI file; many are only written when asked for."""
    volume = asam_trt.read_volume(scan)
    np.save(tmp_path / "scan.npy", volume.values)
    words = ["--engine", engine, "--slice", 4, *BOX, "--window", -1000, 400, "--n", 3]
    assert run(capsys, "volume", scan, *words, "--output", tmp_path / "a")[0] == 0
    monkeypatch.setattr("asam.cli.volume.MOST_VOXELS", 3)
    status, text, _ = run(capsys, "volume", tmp_path / "scan.npy", *words, "--output", tmp_path / "b")
    assert (status, (tmp_path / "b" / "hypotheses.npy").exists()) == (0, False)
    assert "without hypotheses.npy, 32,400 voxels: --hypotheses writes it" in text
    assert "voxels, empty" in text
    assert (
        run(capsys, "volume", tmp_path / "scan.npy", *words, "--hypotheses", "--output", tmp_path / "b")[0]
        == 0
    )
    expected = np.asarray(nibabel.load(tmp_path / "a" / "hypotheses.nii.gz").dataobj)
    found = np.load(tmp_path / "b" / "hypotheses.npy")
    for i in range(3):
        np.testing.assert_array_equal(found[i], volume.grid.seen(expected[..., i]))
    # Masks of another run do not stay beside the summary of this one.
    assert run(capsys, "volume", tmp_path / "scan.npy", *words, "--output", tmp_path / "a")[0] == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "majority.npy", "mean.npy", "sheet.png", "slices.csv", "volume.json",
    ]  # fmt: skip


def test_an_interrupt_leaves_earlier_results_as_they_were(
    engine: Path,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    words = [
        "volume",
        scan,
        "--engine",
        engine,
        "--slice",
        4,
        *BOX,
        "--window",
        -1000,
        400,
        "--n",
        3,
        "--output",
        out,
    ]
    assert run(capsys, *words)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("asam_trt.volume_render.sheet", interrupted)  # other files are written before it
    assert run(capsys, *words, "--seed", 1)[0] == 130
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_what_volume_refuses(
    engine: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    window = ["--window", -1000, 400]
    for words, said in (
        ([scan, *BOX, *window], "expected --slice from 0 to 8, came none: it has 9 slices"),
        ([scan, "--slice", 4, *window], "expected --box or --points, came none of them"),
        ([scan, "--slice", 4, *BOX], "choose the window of values to be seen with --window LOW HIGH"),
        (
            [scan, "--slice", 4, *BOX, *window, "--slices", 5, 7],
            "within 5 to 7, which are the slices asked for",
        ),
        ([scan, "--slice", 4, *BOX, *window, "--slices", 1.5, 7], "expected --slices of two whole numbers"),
        ([scan, "--slice", 4, *BOX, *window, "--slices", 0, "inf"], "expected --slices of two whole numbers"),
        ([tmp_path / "photo.png", *BOX], "photo.png: expected a scan (.nii, .nii.gz, .npy, DICOM"),
        ([scan, "--slice", 4, *BOX, *window, "--output", scan], "scan.nii.gz is a file"),
    ):
        status, _, told = run(capsys, "volume", *words, "--engine", engine)
        assert status == 2
        assert said in told
