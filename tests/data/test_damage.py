"""Missing, truncated and mislabelled files: an error that names the file, and a check that finds them all."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from layouts import WRITERS, save, through_pickle
from PIL import Image

from asam.data import Brats2017, DataError, check
from asam.data.check import find
from asam.data.registry import FORMATS

FILES = dict.fromkeys(WRITERS)  # layout -> glob of the files to damage
FILES.update(
    {
        "lidc-crops": "*.npz",
        "lidc-v1": "*.pickle",
        "lidc-phiseg": "*.hdf5",
        "lidc-v2": "train/gt/*/*.png",
        "lidc-cimd": "training/*/label1*.jpg",
        "lidc-dicom": "*/*/*/000001.dcm",
        "brats2017": "HGG/*/*_seg.nii.gz",
        "isic2016": "*Training_GroundTruth/*.png",
        "sim10k": "Masks/*.png",
        "qubiq": "*/*/case01/task01_seg02.nii.gz",
        "bsds500": "BSDS500/data/groundTruth/val/*.mat",
        "davis": "Annotations/480p/bear/00001.png",
        "folder": "masks/img1/bert.png",
    }
)


def read_all(name, root):
    split = {} if FORMATS[name].splits is None else {"split": "all"}
    return list(FORMATS[name].load(root, **split))


@pytest.mark.parametrize("name", WRITERS)
def test_truncated_file_is_named(write, name):
    root = write(name)
    victim = next(iter(sorted(root.glob(FILES[name]))))
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError) as caught:
        read_all(name, root)
    assert caught.value.path == victim
    assert victim.name in str(caught.value)
    assert any(problem.path == victim for problem in check(root, name).problems)
    again = through_pickle(caught.value)  # raised in a worker, told in the parent
    assert (again.path, str(again)) == (victim, str(caught.value))


@pytest.mark.parametrize(
    "name", [name for name in WRITERS if name not in ("lidc-crops", "lidc-v1", "lidc-phiseg")]
)
def test_missing_file_is_reported(write, name):
    root = write(name)
    intact = check(root, name)
    assert not intact.problems
    victim = next(iter(sorted(root.glob(FILES[name]))))
    victim.unlink()
    report = check(root, name)
    if name in ("qubiq", "folder"):  # the number of raters is not written anywhere: one less is a smaller set
        assert report.raters != intact.raters
        return
    assert report.problems
    assert report.samples < intact.samples
    told = str(report.problems[0])
    assert victim.name in told or victim.parent.name in told or victim.stem in told or "slices" in told


@pytest.mark.parametrize("name", WRITERS)
def test_empty_folder_says_what_was_expected(tmp_path, name):
    pytest.importorskip({"lidc-phiseg": "h5py", "brats2017": "nibabel"}.get(name, "numpy"))
    with pytest.raises(DataError, match="expected"):
        read_all(name, tmp_path)
    with pytest.raises(DataError, match=r"not there|not found"):
        read_all(name, tmp_path / "nowhere")


def test_check_reports_all_problems_of_a_folder_at_once(write):
    root = write("folder")
    (root / "images" / "img0.png").write_bytes(b"not a picture")
    save(root / "masks" / "img1" / "anna.png", np.zeros((10, 12), bool))
    Image.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)).save(
        root / "masks" / "img2" / "anna.png"
    )
    for path in (root / "masks" / "img3").iterdir():
        path.unlink()
    (root / "masks" / "ghost").mkdir()
    (root / "images" / "notes.txt").write_text("hello")
    with (root / "index.csv").open("a") as file:
        file.write("img0,train,p0\nlost,train,p9\n")
    report = check(root)
    told = {str(problem.path.relative_to(root)): problem.problem for problem in report.problems}
    assert "cannot be read as an image" in told["images/img0.png"]
    assert told["masks/img1/anna.png"] == "mask is 12 x 10 (w x h), its image 48 x 48"
    assert "expected a mask with one value besides 0" in told["masks/img2/anna.png"]
    assert "no masks" in told["masks/img3"]
    assert "without an image" in told["masks/ghost"]
    assert "not an image" in told["images/notes.txt"]
    index = [problem.problem for problem in report.problems if problem.path.name == "index.csv"]
    assert any("line 6: id 'img0'" in text for text in index)
    assert any("'lost', which has no image" in text for text in index)
    assert report.samples == 0


def test_the_first_problem_counts_those_found_with_it(write):
    root = write("folder")
    for name in ("img0", "img1"):
        save(root / "masks" / name / "anna.png", np.zeros((10, 12), bool))
        with pytest.raises(DataError) as caught:
            read_all("folder", root)
        assert "img0/anna.png: mask is 12 x 10" in str(caught.value)
        if name == "img0":
            assert "more problem" not in str(caught.value)
    # Which opening does not find: it reads headers alone.
    Image.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)).save(
        root / "masks" / "img2" / "anna.png"
    )
    assert f"; 1 more problem so far: `asam data check {root}` reads every file and lists all" in str(
        caught.value
    )
    assert len(check(root).problems) == 3
    (root / "images" / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="; 2 more problems so far: "):
        read_all("folder", root)


def test_masks_without_folders_are_told_once(write):
    root = write("folder")
    for folder in sorted((root / "masks").iterdir())[:3]:
        for file in folder.iterdir():
            file.rename(root / "masks" / f"{folder.name}_{file.name}")
        folder.rmdir()
    (problem,) = check(root).problems
    assert problem.path == root / "masks"
    assert problem.problem == (
        "masks must be masks/<id>/<rater>.png; 9 files lie directly in masks/ (img0_anna.png, img0_bert.png, ...); "
        "3 images without a folder there"
    )


def test_a_stray_mask_hides_no_other_problem(write):
    root = write("folder")
    (root / "masks" / "img3" / "bert.png").rename(root / "masks" / "bert.png")
    (root / "masks" / "ghost").mkdir()
    stray, ghost = check(root).problems
    assert stray.problem.endswith("; 1 file lies directly in masks/ (bert.png)")
    assert ghost.path.name == "ghost"


def test_mislabelled_brats_names_the_labels(write):
    import nibabel

    root = write("brats2017")
    path = root / "HGG" / "Brats17_A_1" / "Brats17_A_1_seg.nii.gz"
    labels = np.asarray(nibabel.load(path).dataobj).copy()
    labels[0, 0, 0] = 3
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), path)
    with pytest.raises(DataError, match=r"labels \[3\], expected only 0, 1, 2 and 4"):
        read_all("brats2017", root)
    assert check(root).samples == 2  # the other patient's


def test_brats_modality_of_another_shape(write):
    import nibabel

    root = write("brats2017")
    path = root / "LGG" / "Brats17_B_1" / "Brats17_B_1_t2.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    with pytest.raises(DataError, match=r"_t2.nii.gz: is \(4, 4, 4\), its seg \(48, 48, 5\)"):
        read_all("brats2017", root)


def test_sim10k_box_without_an_instance(write):
    root = write("sim10k")
    notes = root / "Annotations" / "3384645.xml"
    notes.write_text(notes.read_text().replace("<xmax>109</xmax>", "<xmax>190</xmax>"))
    with pytest.raises(DataError, match="no instance colour fills the annotated box"):
        read_all("sim10k", root)


def change_crops(root, key, change):
    """Write the crops again with one array changed."""
    path = root / "lidc_crops_64.npz"
    with np.load(path) as archive:
        table = dict(archive)
    np.savez(path, **{**table, key: change(table[key])})
    return table


def test_crops_with_pickled_objects_are_refused(write):
    root = write("lidc-crops")
    change_crops(root, "id", lambda ids: ids.astype(object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        read_all("lidc-crops", root)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("image", np.nan, "expected finite intensities"),
        ("image", np.inf, "expected finite intensities"),
        ("masks", 2, "expected masks of 0 and 1, got also 2"),
        ("n_raters", 9, "expected n_raters from 0 to the 4 masks, got 9"),
    ],
)
def test_wrong_values_of_crops_are_reported(write, key, value, problem):
    root = write("lidc-crops")

    def spoil(array):
        spoilt = array.copy()
        spoilt[1:2].flat[0] = value
        return spoilt

    table = change_crops(root, key, spoil)
    report = check(root)
    assert report.samples == 3
    (found,) = report.problems
    assert f"slice {table['id'][1]}: {problem}" in found.problem


def test_crops_without_numbers_are_refused(write):
    root = write("lidc-crops")
    change_crops(root, "image", lambda image: image.astype(str))
    with pytest.raises(DataError, match="expected image of numbers"):
        read_all("lidc-crops", root)


def test_find_looks_one_level_down(write, tmp_path):
    write("folder")
    write("isic2016")
    assert {(name, path.name) for name, path in find(tmp_path)} == {
        ("folder", "folder"),
        ("isic2016", "isic2016"),
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of a known layout"):
        list(find(tmp_path / "empty"))


def test_unknown_option_and_layout():
    with pytest.raises(ValueError, match="unknown layout 'x'"):
        check(Path(), "x")


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("deep.png", np.full((48, 48), 4000, np.uint16)), ("real.tif", np.full((48, 48), 0.5, np.float32))],
)
def test_pictures_of_more_than_8_bits_are_not_clipped(write, name, pixels):
    root = write("folder")
    (root / "images" / "img0.png").unlink()
    Image.fromarray(pixels).save(root / "images" / f"img0{name[-4:]}")
    report = check(root)
    assert [problem.problem for problem in report.problems if "8 bits" in problem.problem]


def test_a_patient_in_two_splits_is_told(write):
    root = write("folder")
    index = (root / "index.csv").read_text().splitlines()
    (root / "index.csv").write_text(
        "\n".join([index[0], *(f"{row.rsplit(',', 1)[0]},p0" for row in index[1:])])
    )
    (problem,) = check(root).problems
    assert problem.problem == "group 'p0' is in the splits train and validate"


HEADERS = {
    "no end": lambda header: header.replace(b"}", b" ", 1),
    "other brackets": lambda header: header.replace(b"(", b"{", 1),
    "no text": lambda header: header.replace(b"descr", b"de\xffcr", 1),
    "no file": lambda header: b"",
}


def spoil_member(path, name, change):
    """Write an archive again with one member's bytes changed."""
    with ZipFile(path) as archive:
        content = {member: archive.read(member) for member in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(member, change(data) if member == name else data)


@pytest.mark.parametrize("header", HEADERS)
def test_crops_whose_headers_cannot_be_read(write, header):
    root = write("lidc-crops")
    path = root / "lidc_crops_64.npz"
    spoil_member(path, "image.npy", HEADERS[header])
    with pytest.raises(DataError, match="expected a NumPy archive of image, masks") as caught:
        read_all("lidc-crops", root)
    assert caught.value.path == path


def test_crops_without_rows(write):
    root = write("lidc-crops")
    change_crops(root, "id", lambda ids: ids[0])
    with pytest.raises(DataError, match="expected id with a row a slice"):
        read_all("lidc-crops", root)


@pytest.mark.parametrize("header", [*HEADERS, "no labels", "no numbers", "one array"])
def test_segments_that_cannot_be_read(tmp_path, header):
    save(tmp_path / "images" / "a.jpg", np.zeros((8, 9, 3), np.uint8))
    path = tmp_path / "labels" / "a.npz"
    path.parent.mkdir()
    labels = np.ones((2, 8, 9), np.uint16)
    np.savez(path, **{"other" if header == "no labels" else "labels": labels})
    if header == "no numbers":
        np.savez(path, labels=labels.astype(str) + "x")
    elif header == "one array":
        with path.open("wb") as file:
            np.save(file, labels)
    elif header in HEADERS:
        spoil_member(path, "labels.npy", HEADERS[header])
    with pytest.raises(DataError, match=r"expected a NumPy archive of labels|expected segments") as caught:
        read_all("bsds500", tmp_path)
    assert caught.value.path == path


@pytest.mark.parametrize("header", [*HEADERS, "another shape", "another type"])
def test_a_damaged_cache_is_made_again(write, tmp_path, header):
    root, cache = write("brats2017"), tmp_path / "cache"
    expected = Brats2017(root, cache=cache)[0]
    (path,) = (file for file in cache.glob("*.npy") if expected.group in file.name)
    whole = path.read_bytes()
    if header in HEADERS:
        path.write_bytes(HEADERS[header](whole))
    else:
        stack = np.load(path)
        np.save(path, stack[0] if header == "another shape" else stack.astype(np.float32))
    found = Brats2017(root, cache=cache)[0]
    assert np.array_equal(found.image, expected.image)
    assert np.array_equal(found.masks, expected.masks)
    assert path.read_bytes() == whole


def damaged(content: bytes, seed: int) -> bytes:
    """With some bytes flipped, more put in, or cut, every other time in the header."""
    rng = np.random.default_rng(seed)
    reach = min(len(content), 600) if seed % 2 else len(content)
    spoilt, place = bytearray(content), int(rng.integers(reach))
    if seed % 6 < 4:
        for one in rng.integers(reach, size=1 << rng.integers(5)).tolist():
            spoilt[one] ^= int(rng.integers(1, 256))
    elif seed % 6 == 4:
        spoilt[place:place] = rng.bytes(int(rng.integers(1, 64)))
    else:
        del spoilt[place:]
    return bytes(spoilt)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "bsds500"])
def test_random_damage_is_told_or_does_not_matter(write, capfd, name):
    """But for MATLAB's files, where SciPy's reader ends the whole process for some damage."""
    root = write(name)
    victim = next(iter(sorted(root.glob(FILES[name]))))
    content = victim.read_bytes()
    told: list[DataError] = []
    for seed in range(60):
        victim.write_bytes(damaged(content, seed))
        try:
            read_all(name, root)
        except DataError as error:
            told.append(error)
    assert len(told) >= 10
    # Where a size is damaged, the file beside it may be the one that does not fit.
    strangers = [
        error for error in told if victim.name not in str(error) and error.path.parent != victim.parent
    ]
    assert not strangers
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("name", ["lidc-v1", "lidc-dicom", "bsds500", "qubiq"])
def test_a_pipe_among_the_files_is_not_waited_for(write, name):
    root = write(name)
    notes = {"lidc-dicom": "*/*/*/*.xml"}
    victim = next(iter(sorted(root.glob(notes.get(name, FILES[name])))))
    victim.unlink()
    os.mkfifo(victim)
    problems = check(root, name).problems
    assert [problem.path for problem in problems if "got a folder, a pipe" in problem.problem] == [victim]
