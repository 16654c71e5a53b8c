"""Every layout, written with its own library: what is read is what was written."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import WRITERS, partition, through_pickle

from asam.data import (
    Brats2017,
    Bsds500,
    DataError,
    Isic2016,
    LidcCrops,
    LidcDicom,
    LidcV1,
    Promise,
    Sim10k,
    detect,
    open_dataset,
)
from asam.data.registry import FORMATS


def everything(name, root, **options):
    split = {} if FORMATS[name].splits is None else {"split": "all"}
    return FORMATS[name].load(root, **split, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_layout_is_recognised(written, name):
    root, _ = written(name)
    assert detect(root) == name


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "bsds500"])
def test_masks_ids_and_groups_are_those_written(written, name):
    root, truth = written(name)
    data = everything(name, root)
    assert set(data.ids) == set(truth.masks)
    for sample in data:
        expected = truth.masks[sample.id]
        assert sample.masks.shape == expected.shape
        np.testing.assert_array_equal(sample.masks, expected)
        assert sample.group == truth.groups[sample.id]
        assert sample.image.shape == (*expected.shape[1:], 3)
        if sample.image.dtype == np.float32:
            assert 0 <= sample.image.min() <= sample.image.max() <= 1


@pytest.mark.parametrize("name", WRITERS)
def test_samples_are_reproducible_and_nothing_is_shared(written, name):
    root, _ = written(name)
    one, two = everything(name, root), everything(name, root)
    first = one[0]
    before = first.masks.copy(), first.image.copy()
    copied = through_pickle(one)  # as a worker process receives it
    for array in (first.masks, first.image):
        if array.flags.writeable:
            array[...] = 1 - array
    for other in (one, two, copied):
        np.testing.assert_array_equal(other[0].masks, before[0])
        np.testing.assert_array_equal(other[0].image, before[1])
    assert one[-1].id == one.ids[-1]
    with pytest.raises(IndexError, match=f"{len(one)} samples"):
        one[len(one)]


def test_lidc_crops_empty_masks_are_kept_or_dropped(written):
    root, _ = written("lidc-crops")
    keep, drop = LidcCrops(root, "train"), LidcCrops(root, "train", empty="drop")
    assert [len(sample.masks) for sample in keep] == [4, 4, 4]
    assert [len(sample.masks) for sample in drop] == [3, 3, 3]
    assert keep[0].seen.tolist() == [True, True, True, False]  # three outlined the nodule somewhere
    assert keep[1].seen.tolist() == [True] * 4  # the fourth did, but not in this slice
    assert keep[0].weights.tolist() == [0.25] * 4
    assert drop[0].weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_lidc_v1_reads_every_pickle_protocol(tmp_path, protocol):
    from layouts import lidc_v1

    truth = lidc_v1(tmp_path, protocol=protocol)
    for index, sample in enumerate(LidcV1(tmp_path)):
        np.testing.assert_array_equal(sample.masks, truth.masks[sample.id])
        image = np.random.default_rng(index).random(sample.image.shape[:2]).astype(np.float32)
        np.testing.assert_array_equal(sample.image[..., 0], image)


def test_phiseg_images_lose_their_offset(written):
    root, _ = written("lidc-phiseg")
    sample = everything("lidc-phiseg", root)[0]
    expected = np.random.default_rng(0).random((2, 48, 48))[0]
    np.testing.assert_allclose(sample.image[..., 1], expected, atol=1e-6)


def test_dicom_values_raters_and_spacing(written):
    root, _ = written("lidc-dicom")
    sample = LidcDicom(root)[0]
    assert sample.seen.tolist() == [True, True, False, False]
    assert sample.spacing == (0.5, 0.5)
    np.testing.assert_allclose(sample.image[64, 64], 0, atol=1e-6)  # -1000 HU
    assert LidcDicom(root)[1].image[64, 64, 0] == pytest.approx(300 / 1400, abs=1e-6)
    assert len(LidcDicom(root, min_readers=2)) == 1
    coarse = LidcDicom(root, resolution=1.0, crop=64)[0]
    assert coarse.masks[0].sum() == pytest.approx(sample.masks[0].sum() / 4, rel=0.15)


def test_brats_masks_are_nested_and_the_cache_changes_nothing(written, tmp_path):
    root, _ = written("brats2017")
    plain, cached = Brats2017(root), Brats2017(root, cache=tmp_path)
    for again in (cached, Brats2017(root, cache=tmp_path)):
        for one, other in zip(plain, again, strict=True):
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.masks, other.masks)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}
    for sample in plain:
        assert sample.promise is Promise.NESTED
        assert not (sample.masks[:-1] & ~sample.masks[1:]).any()
    assert len(Brats2017(root, slices="all")) == 10


def test_isic_published_size(written):
    root, _ = written("isic2016")
    sample = Isic2016(root, "train", size="published")[0]
    assert sample.image.shape == (256, 256, 3)
    assert not sample.image[192:].any()
    assert not sample.masks[:, 192:].any()
    assert sample.masks[:, :192].mean() == pytest.approx(Isic2016(root, "train")[0].masks.mean(), rel=0.02)


def test_sim10k_pairs_and_verified_list(written, tmp_path):
    root, _ = written("sim10k")
    sample = Sim10k(root)[0]
    assert sample.promise is Promise.INSTANCES
    np.testing.assert_array_equal(sample.masks[0] | sample.masks[1], sample.masks[2])
    listed = Sim10k(root, verified=tmp_path / "pairs.json")
    assert listed.ids == Sim10k(root, verified=tmp_path / "pairs.json").ids == ("3384645/0",)


def test_sim10k_pairs_that_match_no_instances_are_left_out(write, caplog, cache_of_ones_own):
    root = write("sim10k")
    notes = root / "Annotations" / "3384645.xml"
    box = "<bndbox><xmin>15</xmin><ymin>5</ymin><xmax>60</xmax><ymax>60</ymax></bndbox>"
    notes.write_text(notes.read_text().replace("</annotation>", f"<object>{box}</object></annotation>"))
    with pytest.raises(DataError, match="no instance colour fills"):
        list(Sim10k(root))
    for _ in range(2):
        data = open_dataset("sim10k", root, "all")
        assert [sample.id for sample in data] == ["3384645/0"]
    assert [record.message for record in caplog.records] == [
        f"{root}: reading 2 pairs once, to find those whose boxes match two instances",
        f"{root}: 1 of 2 pairs are left out, as their boxes match no two instances; "
        f"`asam data check {root}` lists them",
    ]
    assert len(list(cache_of_ones_own.rglob("sim10k-*.json"))) == 1
    assert len(open_dataset("sim10k", root, "all", verified=None)) == 2
    # A list of other pairs is made again.
    (root / "Annotations" / "3384646.xml").write_text(notes.read_text())
    for folder, suffix in (("JPEGImages", "jpg"), ("Masks", "png")):
        (root / folder / f"3384646.{suffix}").write_bytes((root / folder / f"3384645.{suffix}").read_bytes())
    assert open_dataset("sim10k", root, "all").ids == ("3384645/0", "3384646/0")


def test_qubiq_spacing_and_tasks(written):
    root, _ = written("qubiq")
    assert everything("qubiq", root)[0].spacing == pytest.approx((0.75, 0.5))
    assert everything("qubiq", root, task=2).ids == tuple(
        f"brain-growth/Training/case0{n}/task02" for n in (1, 2)
    )


def test_bsds_answers_a_click_with_each_annotators_segment(written):
    root, _ = written("bsds500")
    data = Bsds500(root, "train", clicks=5, area=(0.0, 1.0))
    assert len(data) == 5
    assert len({tuple(sample.click) for sample in data}) > 1
    for index, sample in enumerate(data):
        x, y = (int(value) for value in sample.click)
        expected = np.stack([partition(k) == partition(k)[y, x] for k in range(2)])
        np.testing.assert_array_equal(sample.masks, expected)
        np.testing.assert_array_equal(data.answer(index, x, y), expected)
    with pytest.raises(ValueError, match="outside the image of 60 x 40"):
        data.answer(0, 60, 0)
    for seed in range(3):
        small = Bsds500(root, "train", area=(0.3, 0.4), seed=seed)[0]
        assert 0.3 <= np.median(small.masks.mean(axis=(1, 2))) <= 0.4


def test_mat_and_npz_hold_the_same_answers(written, tmp_path):
    root, _ = written("bsds500")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    source = root / "BSDS500" / "data" / "images" / "train" / "100075.jpg"
    (tmp_path / "images" / source.name).write_bytes(source.read_bytes())
    np.savez(tmp_path / "labels" / "100075.npz", labels=np.stack([partition(k) for k in range(2)]))
    ours, official = Bsds500(tmp_path)[0], Bsds500(root, "train")[0]
    np.testing.assert_array_equal(ours.masks, official.masks)
    np.testing.assert_array_equal(ours.click, official.click)


@pytest.mark.parametrize(
    ("package", "name"),
    [("h5py", "lidc-phiseg"), ("nibabel", "brats2017"), ("nibabel", "qubiq"), ("pydicom", "lidc-dicom")],
)
def test_missing_optional_package_is_named(written, monkeypatch, package, name):
    import sys

    root, _ = written(name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs the package {package}; install it with: pip install"):
        everything(name, root)[0]
