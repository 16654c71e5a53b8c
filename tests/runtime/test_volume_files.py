"""Scans as they are read, and masks that go back to the voxels of their file."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
from itertools import permutations, product
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import nibabel
import numpy as np
import pydicom
import pytest
from scans import affine_of, write_dicom, write_series

import asam_trt
from asam_trt.intensities import OutsideWindow
from asam_trt.volume import Volume, write_stack

RNG = np.random.default_rng(0)
DIRECTIONS = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}  # of slices, rows and columns
OPPOSITE = dict(zip("SPLAIR", "IARPSL", strict=True))


def save(path: Path, data: np.ndarray, affine: Any = None, **header: Any) -> Path:
    image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    axes=st.sampled_from(list(permutations(range(3)))),
    signs=st.sampled_from(list(product((1, -1), repeat=3))),
    sizes=st.tuples(*[st.sampled_from([0.5, 0.8, 2.0, 5.0])] * 3),
    turn=st.sampled_from([0.0, 0.2, -0.35]),
    codes=st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 1)]),
    shape=st.permutations([4, 5, 7]),
    plane=st.sampled_from([None, *DIRECTIONS]),
)
def test_masks_land_on_the_voxels_they_were_drawn_on(
    tmp_path_factory: pytest.TempPathFactory,
    axes: tuple[int, ...],
    signs: tuple[int, ...],
    sizes: tuple[float, ...],
    turn: float,
    codes: tuple[int, int],
    shape: list[int],
    plane: str | None,
) -> None:
    folder = tmp_path_factory.mktemp("grid")
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(data, affine_of(axes, signs, sizes, turn))
    image.set_sform(image.affine, codes[0])
    image.set_qform(image.affine, codes[1])
    nibabel.save(image, folder / "scan.nii.gz")
    file = nibabel.load(folder / "scan.nii.gz")
    volume = asam_trt.read_volume(folder / "scan.nii.gz", plane=plane)

    assert volume.affine is not None
    assert "".join(nibabel.aff2axcodes(volume.affine)) == DIRECTIONS[plane or "axial"]
    assert volume.grid.plane == (plane or "axial")
    of_file = dict(zip(nibabel.aff2axcodes(file.affine), file.header.get_zooms(), strict=True))
    mm = [of_file.get(code, of_file.get(OPPOSITE[code])) for code in DIRECTIONS[plane or "axial"]]
    assert volume.spacing == pytest.approx(mm, rel=1e-5)
    assert volume.pixel_mm2 == pytest.approx(mm[1] * mm[2], rel=1e-5)
    # Each value is where it was in the world.
    at = tuple(RNG.integers(volume.values.shape))
    there = tuple(int(v) for v in np.argwhere(data == volume.values[at])[0])
    np.testing.assert_allclose(volume.affine @ (*at, 1), file.affine @ (*there, 1), atol=1e-4)

    mask = RNG.random(volume.values.shape) < 0.3
    volume.save(folder / "mask.nii.gz", mask)
    back = nibabel.load(folder / "mask.nii.gz")
    np.testing.assert_array_equal(back.affine, file.affine)
    assert back.get_data_dtype() == np.uint8
    for name in ("sform_code", "qform_code", "pixdim", "srow_x", "quatern_b", "qoffset_z", "xyzt_units"):
        np.testing.assert_array_equal(back.header[name], file.header[name], err_msg=name)
    found = np.asarray(back.dataobj)
    assert set(data[found == 1].tolist()) == set(volume.values[mask].tolist())
    # The volume in millilitres is voxels by their size.
    assert volume.voxel_ml == pytest.approx(np.prod(file.header.get_zooms()) / 1000, rel=1e-5)

    index = int(RNG.integers(len(volume)))
    slab = volume.grid.slab(index)
    write_stack(folder / "slab.nii.gz", slab, [mask[index : index + 1], mask[index : index + 1]], np.uint8, 2)
    part = nibabel.load(folder / "slab.nii.gz")
    assert part.shape == (*slab.shape, 2)
    np.testing.assert_allclose(part.affine @ (0, 0, 0, 1), file.affine @ (*slab.first, 1), atol=1e-4)
    one = tuple(slice(f, f + s) for f, s in zip(slab.first, slab.shape, strict=True))
    for i in range(2):
        np.testing.assert_array_equal(np.asarray(part.dataobj)[..., i], found[one])


def test_nifti_scaled_with_units_and_of_one_slice(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.full((3, 4, 5), 100, np.int16), np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(0.5, -1024)
    nibabel.save(image, tmp_path / "a.nii")
    volume = asam_trt.read_volume(tmp_path / "a.nii")
    assert volume.spacing == pytest.approx((3, 2, 1))
    assert volume.values.dtype == np.float32
    np.testing.assert_array_equal(volume.values, -974)
    sagittal = save(tmp_path / "b.nii.gz", RNG.integers(0, 255, (1, 6, 7)).astype(np.uint8))
    assert asam_trt.read_volume(sagittal).values.shape == (1, 7, 6)  # rows to inferior, columns to posterior
    np.testing.assert_array_equal(
        asam_trt.read_volume(sagittal).values[0], np.asarray(nibabel.load(sagittal).dataobj)[0, ::-1, ::-1].T
    )
    flat = asam_trt.read_volume(save(tmp_path / "c.nii.gz", np.zeros((6, 7), np.uint8)))
    assert flat.values.shape == (1, 7, 6)
    assert flat.pixel_mm2 == 1
    holes = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    holes[0, 0] = np.nan
    seen = asam_trt.read_volume(save(tmp_path / "holes.nii", holes))
    assert seen.limits == (4, 23)
    assert "no numbers are seen as the least value" in seen.remarks[0]
    lost = save(tmp_path / "d.nii", np.zeros((2, 3, 4), np.uint8), None)
    found = nibabel.load(lost)
    found.set_sform(None, 0)
    found.set_qform(None, 0)
    nibabel.save(found, tmp_path / "e.nii")
    assert "left and right may be exchanged" in asam_trt.read_volume(tmp_path / "e.nii").remarks[0]


def test_a_scaled_volume_takes_its_own_memory(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((100, 100, 200), np.uint8), np.eye(4))
    image.header.set_slope_inter(2, 1)
    nibabel.save(image, tmp_path / "a.nii")
    tracemalloc.start()
    try:
        values = asam_trt.read_volume(tmp_path / "a.nii").values
        assert tracemalloc.get_traced_memory()[1] < 6 * values.size  # one byte as stored, four as float32
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(values, 3)


def test_masks_of_a_file_whose_qform_is_no_rotation(tmp_path: Path) -> None:
    """Readers take the sform then; the masks have that alone."""
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([2, 3, 4, 1]))
    image.header["qform_code"] = 1
    for name in ("quatern_b", "quatern_c", "quatern_d"):
        image.header[name] = 0.9
    with gzip.open(tmp_path / "a.nii.gz", "wb") as stream:  # nibabel would mend it
        stream.write(image.header.binaryblock + bytes(4) + bytes(60))
    volume = asam_trt.read_volume(tmp_path / "a.nii.gz")
    volume.save(tmp_path / "mask.nii.gz", np.ones((5, 4, 3), np.bool_))
    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(written.affine, np.diag([2, 3, 4, 1]))
    assert written.header["qform_code"] == 0


def test_nifti_that_is_none(tmp_path: Path) -> None:
    save(tmp_path / "film.nii.gz", np.zeros((3, 4, 5, 2), np.uint8))
    save(tmp_path / "nan.nii.gz", np.full((3, 4, 5), np.nan, np.float32))
    whole = gzip.decompress(save(tmp_path / "good.nii.gz", np.zeros((3, 4, 5), np.int16)).read_bytes())
    (tmp_path / "cut.nii").write_bytes(whole[:400])
    (tmp_path / "text.nii.gz").write_text("no scan")
    absurd = bytearray(whole)
    absurd[42:50] = np.array([32767] * 4, "<i2").tobytes()
    (tmp_path / "absurd.nii").write_bytes(absurd)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bytes(absurd)))
    flat = save(tmp_path / "flat.nii", np.zeros((3, 4, 5), np.int16))
    header = bytearray(flat.read_bytes())
    header[280:328] = bytes(48)  # srow
    flat.write_bytes(header)
    for name, said in (
        ("film", r"expected one volume \[I, J, K\], came \[3, 4, 5, 2\]; save one"),
        ("nan", "expected voxels of finite numbers"),
        ("cut", "truncated, damaged or not NIfTI"),
        ("text", "truncated, damaged or not NIfTI"),
        ("absurd", "its header asks for"),
        ("bomb", "its header asks for"),
        ("flat", "affine that can be inverted"),
        ("gone", "not found"),
    ):
        path = next(tmp_path.glob(f"{name}.nii*"), tmp_path / f"{name}.nii")
        with pytest.raises(ValueError, match=rf"{path.name}: .*{said}"):
            asam_trt.read_volume(path)


@pytest.mark.parametrize(("package", "name"), [("nibabel", "a.nii.gz"), ("pydicom", "a.dcm")])
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs the package {package}; .* pip install '.\[data\]'"):
        asam_trt.read_volume(tmp_path / name)


@pytest.mark.parametrize(("turn", "said"), [(0.0, ()), (0.05, ()), (0.2, ("oblique by 16 degrees",))])
def test_oblique_scans_are_told(tmp_path: Path, turn: float, said: tuple[str, ...]) -> None:
    affine = affine_of((0, 1, 2), (-1, -1, 1), (1.0, 1.0, 2.0), turn)
    found = asam_trt.read_volume(save(tmp_path / "a.nii", np.zeros((4, 5, 6), np.int16), affine))
    assert tuple(remark.partition(":")[0] for remark in found.remarks) == said
    alone = asam_trt.read_volume(save(tmp_path / "b.nii", np.zeros((4, 5, 1), np.int16), affine))
    assert alone.remarks == ()


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    volume = asam_trt.read_volume(tmp_path / "a.npy")
    assert (volume.values.shape, volume.spacing, volume.voxel_ml, volume.suffix) == (
        (2, 3, 4),
        None,
        None,
        ".npy",
    )
    volume.save(tmp_path / "b.npy", volume.values > 5)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), volume.values > 5)
    for path, values, error in (
        ("b.nii.gz", volume.values, r"ends in \.npy, came .*b.nii.gz"),
        ("b.npy", volume.values[:1], r"expected values \[2, 3, 4\], came \[1, 3, 4\]"),
        ("b.npy", volume.values.astype(np.float16), "came float16"),
    ):
        with pytest.raises((TypeError, ValueError), match=error):
            volume.save(tmp_path / path, values)
    np.save(tmp_path / "flat.npy", np.zeros((3, 4), np.float32))
    assert len(asam_trt.read_volume(tmp_path / "flat.npy")) == 1
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    np.save(tmp_path / "complex.npy", np.zeros((2, 2), complex))
    np.save(tmp_path / "line.npy", np.zeros(3))
    cut = (tmp_path / "a.npy").read_bytes().replace(b"(2, 3, 4)", b"(9, 9**9)")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:140])
    (tmp_path / "absurd.npy").write_bytes(cut)
    for name in ("objects", "complex", "line", "cut", "absurd", "gone"):
        with pytest.raises(ValueError, match=rf"{name}\.npy: "):
            asam_trt.read_volume(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_is_cut_while_it_is_read(tmp_path: Path, order: str) -> None:
    """What was cut off is an error, or was read before; mapped, it would end the process."""
    stack = np.asarray(RNG.integers(0, 99, (4, 70, 80)).astype(np.int32), order=order)
    np.save(tmp_path / "a.npy", stack)
    program = """if True:
        import os, sys
        import asam_trt
        volume = asam_trt.read_volume(sys.argv[1])
        os.truncate(sys.argv[1], 128 + 2 * 70 * 80 * 4)
        print(volume.slice(1).sum())
        for look in (lambda: volume.slice(3).sum(), lambda: volume.limits, lambda: volume.picture(2, (0, 99))):
            try:
                print(look())
            except ValueError as error:
                print(error)
    """
    path = str(tmp_path / "a.npy")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert int(first) == stack[1].sum()
    if order == "F":
        assert others[0] == str(stack[3].sum())
        return
    places = [128 + i * 70 * 80 * 4 for i in (3, 2, 2)]
    said = "a.npy: expected a byte {}, came the end: it was cut while it was read; copy it again"
    assert others == [f"{tmp_path}/{said.format(place)}" for place in places]


def test_a_series_is_sorted_scaled_and_placed(tmp_path: Path) -> None:
    stack = RNG.integers(0, 2000, (6, 5, 4)).astype(np.int16)
    folder = write_series(
        tmp_path / "ct",
        stack,
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=[40, 50],
        WindowWidth=[400, 60],
    )
    (folder / "scan.xml").write_text("<no/>")
    volume = asam_trt.read_volume(folder)
    np.testing.assert_array_equal(volume.values, 2 * stack.astype(np.float32) - 1024)
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.75))
    assert volume.window == (-160, 240)
    assert volume.remarks == ("left out: 1 file of the folder without a DICOM image",)
    assert volume.affine is not None
    np.testing.assert_allclose(
        volume.affine @ (1, 0, 2, 1), (10 - 1.5, 20, 32.5, 1)
    )  # RAS of (-8.5, -20, 32.5)
    volume.save(tmp_path / "mask.nii.gz", volume.values > 0)
    back = nibabel.load(tmp_path / "mask.nii.gz")
    at = np.argwhere(np.asarray(back.dataobj))
    expected = np.argwhere(volume.values > 0)
    world = {tuple(v) for v in np.round(np.c_[at, np.ones(len(at))] @ back.affine.T, 3).tolist()}
    assert world == {
        tuple(v) for v in np.round(np.c_[expected, np.ones(len(expected))] @ volume.affine.T, 3).tolist()
    }
    assert volume.voxel_ml == pytest.approx(2.5 * 0.5 * 0.75 / 1000)


@pytest.fixture
def several_series(tmp_path: Path) -> Path:
    """A folder of two CTs, one of them numbered, and a coloured report."""
    folder = tmp_path / "study"
    write_series(
        folder,
        np.full((3, 5, 4), 7, np.int16),
        SeriesNumber=12,
        SeriesDescription="thin",
        SeriesInstanceUID="1.7",
    )
    for i in range(4):
        place = {"ImagePositionPatient": [0, 0, 1.25 * i], "SeriesInstanceUID": "1.4", "SeriesNumber": 3}
        write_dicom(folder / f"b{i}", np.full((5, 4), 4, np.int16), **place)
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "SeriesInstanceUID": "1.1"}
    write_dicom(folder / "report", np.zeros((5, 4), np.uint8), **colours)
    return folder


def test_one_of_several_series_is_chosen(several_series: Path, tmp_path: Path) -> None:
    listed = (
        "[1] no description, series number 3, 4 slices of 1.25 x 0.5 x 0.75 mm; "
        "[2] thin, series number 12, 3 slices of 2.5 x 0.5 x 0.75 mm; [3] no description, 1 file, no grey slices"
    )
    with pytest.raises(ValueError, match="came 3: ") as stop:
        asam_trt.read_volume(several_series)
    assert f"came 3: {listed}; choose one by its number here or by its Series" in str(stop.value)
    for asked, value in ((1, 4), ("1", 4), ("1.4", 4), (2, 7), ("1.7", 7)):
        volume = asam_trt.read_volume(several_series, series=asked)
        assert (len(volume), volume.limits) == (4 if value == 4 else 3, (value, value))
    for wrong in (0, 4, "1.9", ""):
        with pytest.raises(ValueError, match="expected one of its 3 DICOM series, came") as stop:
            asam_trt.read_volume(several_series, series=wrong)
        assert listed in str(stop.value)
    with pytest.raises(ValueError, match="expected grey values, came RGB"):
        asam_trt.read_volume(several_series, series=3)
    with pytest.raises(
        TypeError, match="series: expected a SeriesInstanceUID or a number of the list, came float"
    ):
        asam_trt.read_volume(several_series, series=1.0)  # type: ignore[arg-type]
    # Of the only series of a folder it is checked too; a file has none to choose among.
    alone = write_series(tmp_path / "alone", np.zeros((2, 5, 4), np.int16))
    assert len(asam_trt.read_volume(alone, series="1.2.3")) == 2
    with pytest.raises(ValueError, match=r"expected one of its 1 DICOM series, came 1\.7: "):
        asam_trt.read_volume(alone, series="1.7")
    with pytest.raises(ValueError, match=r"b0: expected no series=1 with a file"):
        asam_trt.read_volume(several_series / "b0", series=1)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_damaged_header_of_a_series_is_no_obstacle_to_its_list(several_series: Path) -> None:
    path = several_series / "b0"
    damaged = path.read_bytes().replace(b"IS\x02\x003 ", b"IS\x02\x00x ")  # SeriesNumber
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"\[1\] thin, .*\[3\] no description, 4 slices"):
        asam_trt.read_volume(several_series)


def test_a_coronal_series_is_seen_axially(tmp_path: Path) -> None:
    stack = RNG.integers(0, 99, (3, 5, 4)).astype(np.int16)
    for i, pixels in enumerate(stack):  # rows go to inferior, slices to posterior
        place = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": [0, 2.5 * i, 0]}
        write_dicom(tmp_path / f"{9 - i}", pixels, **place)
    volume = asam_trt.read_volume(tmp_path)
    np.testing.assert_array_equal(volume.values, stack.transpose(1, 0, 2)[::-1])
    own = asam_trt.read_volume(tmp_path, plane="coronal")
    np.testing.assert_array_equal(own.values, stack[::-1])
    one = asam_trt.read_volume(tmp_path / "9")  # of a single slice its own plane
    np.testing.assert_array_equal(one.values, stack[:1])


def test_planes_that_a_file_does_not_have(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    film = write_dicom(
        tmp_path / "us.dcm", np.zeros((2, 4, 5), np.uint8), NumberOfFrames=2, PixelSpacing=None
    )
    flat = save(tmp_path / "flat.nii", np.zeros((1, 6, 7), np.uint8))
    for path, plane, said in (
        (tmp_path / "a.npy", "axial", "a.npy: expected no plane='axial': the file does not say how it lies"),
        (film, "coronal", "us.dcm: expected no plane='coronal'"),
        (flat, "axial", "flat.nii: expected plane='sagittal', in which its single slice lies, came 'axial'"),
        (flat, "front", "expected plane to be one of sagittal, coronal, axial, came 'front'"),
    ):
        with pytest.raises(ValueError, match=said):
            asam_trt.read_volume(path, plane=plane)
    assert asam_trt.read_volume(flat, plane="sagittal").values.shape == (1, 7, 6)


def test_frames_of_one_file(tmp_path: Path) -> None:
    stack = RNG.integers(0, 99, (4, 5, 6)).astype(np.uint8)
    film = asam_trt.read_volume(write_dicom(tmp_path / "us.dcm", stack, NumberOfFrames=4, PixelSpacing=None))
    np.testing.assert_array_equal(film.values, stack)
    assert (film.affine, film.spacing) == (None, None)
    assert film.picture(1).dtype == np.uint8

    def item(**values: Any) -> Any:
        made = pydicom.Dataset()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    frames = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, -3.0 * i])],
            PixelValueTransformationSequence=[item(RescaleSlope=i + 1, RescaleIntercept=-5)],
        )
        for i in range(4)
    ]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=3)],
    )
    groups = {"PerFrameFunctionalGroupsSequence": frames, "SharedFunctionalGroupsSequence": [shared]}
    bare = dict.fromkeys(
        ("PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient")
    )
    path = write_dicom(tmp_path / "enhanced.dcm", stack, NumberOfFrames=4, **bare, **groups)
    volume = asam_trt.read_volume(path)
    assert volume.spacing == pytest.approx((3, 2, 2))
    scaled = stack * np.arange(1, 5)[:, None, None] - 5.0
    np.testing.assert_array_equal(volume.values, scaled[::-1])


def test_monochrome1_is_turned_round_in_pictures_alone(tmp_path: Path) -> None:
    pixels = np.array([[0, 1000], [500, 250]], np.uint16)
    path = write_dicom(
        tmp_path / "xray.dcm", pixels, PhotometricInterpretation="MONOCHROME1", ImagePositionPatient=None
    )
    volume = asam_trt.read_volume(path)
    np.testing.assert_array_equal(volume.values[0], pixels)
    np.testing.assert_allclose(volume.picture(0, (0, 1000))[..., 0], [[1, 0], [0.5, 0.75]], atol=1e-6)
    assert (volume.spacing, volume.affine, volume.pixel_mm2) == ((2.5, 0.5, 0.75), None, 0.375)


def test_series_that_are_none(tmp_path: Path) -> None:
    stack = np.zeros((8, 5, 4), np.int16)
    write_series(tmp_path / "gap", stack, skip=(3,))
    write_series(tmp_path / "sizes", stack[:3])
    write_dicom(
        tmp_path / "sizes" / "IM9.dcm", np.zeros((5, 9), np.int16), ImagePositionPatient=[-10, -20, 37.5]
    )
    write_series(tmp_path / "twice", stack[:3])
    write_dicom(tmp_path / "twice" / "IM9.dcm", stack[0], ImagePositionPatient=[-10, -20, 30])
    write_series(tmp_path / "nowhere", stack[:2])
    write_dicom(tmp_path / "nowhere" / "IM9.dcm", stack[0], ImagePositionPatient=None)
    write_series(tmp_path / "cut", stack[:2])
    (tmp_path / "cut" / "IM9.dcm").write_bytes(b"\0" * 60)
    (tmp_path / "study" / "ax").mkdir(parents=True)
    write_series(tmp_path / "study" / "series", stack[:2])
    (tmp_path / "notes" / "inner").mkdir(parents=True)
    (tmp_path / "notes" / "inner" / "a.txt").write_text("no image")
    for name, said in (
        ("gap", r"2.5 mm apart, came 5 mm between IM\d+.dcm and IM\d+.dcm: 1 slice missing there; copy"),
        ("sizes", r"one size \(h, w\), came .*5, 9.*IM9.dcm"),
        ("twice", r"one slice at each position, came .* at 30.00 mm"),
        ("nowhere", "slices with positions"),
        ("cut", "IM9.dcm: truncated, damaged or not DICOM"),
        ("study", r"images of a DICOM series, came none in it; give one of its folders, such as \S*series$"),
        ("notes", "images of a DICOM series, came none in it$"),
    ):
        with pytest.raises(ValueError, match=said):
            asam_trt.read_volume(tmp_path / name)


def test_dicom_that_is_none(tmp_path: Path) -> None:
    pixels = np.zeros((5, 4), np.int16)
    for name, said, changes in (
        (
            "colour",
            "expected grey values, came RGB",
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        ),
        ("palette", "came PALETTE COLOR", {"PhotometricInterpretation": "PALETTE COLOR"}),
        ("wide", "pixels cannot be read", {"Rows": 60000}),
        (
            "absurd",
            "more than can be meant",
            {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2_000_000_000},
        ),
        ("turned", "ImageOrientationPatient of", {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}),
        ("spacing", "PixelSpacing of", {"PixelSpacing": [0, 1]}),
    ):
        path = write_dicom(tmp_path / f"{name}.dcm", pixels, **changes)
        with pytest.raises(ValueError, match=rf"{name}.dcm: .*{said}"):
            asam_trt.read_volume(path)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="expected a scan"):
        asam_trt.read_volume(tmp_path / "photo.png")


def test_pictures_of_slices() -> None:
    volume = Volume.of(np.stack([np.full((4, 5), -1000, np.int16), np.full((4, 5), 50, np.int16)]), "ct")
    np.testing.assert_allclose(volume.picture(1, (0, 100)), 0.5)
    hole = Volume.of(np.full((2, 4, 5), np.nan, np.float32), "ct")
    with pytest.raises(ValueError, match="ct, slice 1: expected finite image values"):
        hole.picture(1, (0, 1))
    with pytest.raises(
        ValueError, match=r"ct: .* values of 8 bits, came int16 of -1000 to 50: .*window=\(low, high\)"
    ):
        volume.picture(1)
    with pytest.raises(OutsideWindow, match="ct, slice 0: expected a window that overlaps") as stop:
        volume.picture(0, (0, 100))
    assert not stop.value.shown.any()
    with pytest.raises(ValueError, match="ct: expected a slice from 0 to 1, came 2"):
        volume.picture(2, (0, 100))
    assert Volume.of(np.eye(3)).picture(0).max() == 1
