"""Splits keep patients together, are the same for everyone, and say so in a file."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from layouts import disc, lidc_crops, picture, qubiq, save

from asam.data import DataError, Folder, Manifest, Synthetic, make_split, open_dataset
from asam.data.base import ArrayDataset
from asam.data.registry import FORMATS, divided_by, held_out


class _Named(ArrayDataset):
    def __init__(self, groups):
        super().__init__(ids=[f"s{i}" for i in range(len(groups))], groups=groups)

    def _load(self, index: int) -> object:
        raise AssertionError(f"splitting needs no sample, but number {index} was read")


def _patients(count: int = 200, each: int = 7) -> _Named:
    return _Named([f"patient {n % count}" for n in range(count * each)])


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_two_splits_and_none_is_lost(seed):
    data = _patients()
    manifest = make_split(data, seed=seed)
    group = dict(zip(data.ids, data.groups, strict=True))
    patients = {name: {group[i] for i in ids} for name, ids in manifest.splits.items()}
    assert not patients["train"] & patients["validate"]
    assert not patients["train"] & patients["test"]
    assert not patients["validate"] & patients["test"]
    assert sorted(i for ids in manifest.splits.values() for i in ids) == sorted(data.ids)
    shares = [len(ids) / len(data) for ids in manifest.splits.values()]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.01)


def test_seed_decides_and_order_of_samples_does_not():
    data = _patients()
    assert make_split(data, seed=1) == make_split(_patients(), seed=1)
    assert make_split(data, seed=1).splits != make_split(data, seed=2).splits


def test_index_order_is_the_published_cut():
    manifest = make_split(_patients(10, 10), scheme="index-order")
    assert manifest.splits["train"] == tuple(f"s{i}" for i in range(60))
    assert manifest.splits["validate"] == tuple(f"s{i}" for i in range(60, 80))
    assert manifest.splits["test"] == tuple(f"s{i}" for i in range(80, 100))


def test_manifest_survives_the_file_and_notices_edits(tmp_path):
    data = Synthetic("plain", size=32, length=10)
    manifest = make_split(data, name="toy", seed=3)
    path = tmp_path / "deep" / "split.json"
    manifest.save(path)
    assert Manifest.load(path) == manifest
    chosen = manifest.select(data, "validate")
    assert chosen.ids == manifest.splits["validate"]
    assert chosen[0].id == chosen.ids[0]
    content = json.loads(path.read_text())
    content["splits"]["train"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="ids have the hash"):
        Manifest.load(path)
    path.write_text("{")
    with pytest.raises(DataError, match="not a split manifest"):
        Manifest.load(path)
    with pytest.raises(DataError, match="not found"):
        Manifest.load(tmp_path / "none.json")
    with pytest.raises(ValueError, match="names 6 ids that the data set lacks"):
        manifest.select(_patients(), "train")
    with pytest.raises(ValueError, match="split: expected one of train, validate, test"):
        manifest.select(data, "dev")


MANIFEST = make_split(Synthetic("plain", size=32, length=10), name="toy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": float("inf")}, "seed: expected int, got inf"),
        ({"seed": "x"}, "seed: expected int, got 'x'"),
        ({"sha256": 5}, "sha256: expected str, got 5"),
        ({"sha256": None}, "sha256: expected str, got None"),
        ({"format": "1"}, "is of format '1', expected 1"),
        ({"format": True}, "is of format True, expected 1"),
        ({"dataset": None}, "dataset: expected str, got None"),
        ({"splits": []}, r"splits: expected dict, got \[\]"),
        ({"splits": {"train": "abc"}}, "splits: expected a list of ids for train, got 'abc'"),
        ({"splits": {"train": [1]}}, "splits: expected a list of ids for train"),
        ({"splits": {"train": ["a", "a"]}}, "expected each id once, got 'a' in train and again in train"),
        (
            {"splits": {"train": ["a"], "test": ["a"]}},
            "expected each id once, got 'a' in train and again in test",
        ),
    ],
)
def test_a_manifest_of_other_parts_is_told(tmp_path, changes, message):
    path = tmp_path / "split.json"
    MANIFEST.save(path)
    content = {**json.loads(path.read_text()), **changes}
    if isinstance(content["splits"], dict) and "splits" in changes:
        content["sha256"] = replace(MANIFEST, splits=content["splits"]).sha256
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"split.json: is not a split manifest: {message}.*make it again"):
        Manifest.load(path)


def test_what_is_no_manifest_is_told(tmp_path):
    path = tmp_path / "split.json"
    for content in ("[" * 100_000, "[1]", "\0", "3"):
        path.write_text(content)
        with pytest.raises(DataError, match=r"split\.json: is not a split manifest"):
            Manifest.load(path)
    with pytest.raises(DataError, match="expected a file, got a folder"):
        Manifest.load(tmp_path)


def test_a_manifest_of_another_layout_is_refused(written, tmp_path):
    root, _ = written("folder")
    data = open_dataset("folder", root, "all")
    for name in ("folder", "", "my own"):
        make_split(data, name=name).save(tmp_path / "split.json")
        assert open_dataset("folder", root, "train", manifest=tmp_path / "split.json")
    make_split(data, name="davis").save(tmp_path / "split.json")
    with pytest.raises(DataError, match="expected a manifest of folder, got one of davis"):
        open_dataset("folder", root, "train", manifest=tmp_path / "split.json")


def test_bad_requests():
    with pytest.raises(ValueError, match="seed: expected a whole number >= 0, got -1"):
        make_split(_patients(), seed=-1)
    with pytest.raises(ValueError, match="sum to 1"):
        make_split(_patients(), fractions={"train": 0.6})
    with pytest.raises(ValueError, match="scheme: expected"):
        make_split(_patients(), scheme="random")
    twice = _patients()
    twice._ids = ("a",) * len(twice)
    with pytest.raises(ValueError, match="occur twice"):
        make_split(twice)


def test_sets_with_their_own_splits_use_them(written, tmp_path):
    root, _ = written("folder")
    assert open_dataset("folder", root, "train").ids == ("img0", "img1")
    with pytest.raises(
        ValueError, match=r"split: expected one in .*index\.csv .train, validate.*, got 'test'"
    ):
        Folder(root, "test")
    crops = tmp_path / "crops"
    crops.mkdir()
    lidc_crops(crops)
    assert len(open_dataset("lidc-crops", crops, "validate")) == 1
    with pytest.raises(ValueError, match="split: expected"):
        open_dataset("lidc-crops", crops, "test")


def test_sets_without_splits_are_divided_by_group(written, tmp_path):
    root, _ = written("brats2017")
    parts = [open_dataset("brats2017", root, split) for split in ("train", "validate", "test")]
    assert sum(len(part) for part in parts) == len(open_dataset("brats2017", root, "all")) == 4
    groups = [set(part.groups) for part in parts]
    assert not groups[0] & groups[1]
    manifest = make_split(open_dataset("brats2017", root, "all"), scheme="index-order")
    manifest.save(tmp_path / "split.json")
    chosen = open_dataset("brats2017", root, "train", manifest=tmp_path / "split.json")
    assert chosen.ids == manifest.splits["train"]
    assert open_dataset("brats2017", root, "train", scheme="index-order").ids == manifest.splits["train"]


def test_names_and_synthetic_splits():
    train, validate = (
        open_dataset("synthetic:pair", None, split, size=32) for split in ("train", "validate")
    )
    assert train.kind == "pair"
    assert set(train.ids).isdisjoint(validate.ids)
    assert open_dataset("synthetic", size=32).kind == "mix"
    with pytest.raises(ValueError, match=r"data: expected one of lidc-crops, .*got 'cats'"):
        open_dataset("cats")
    with pytest.raises(ValueError, match=r"data: expected one of synthetic:plain, .*got 'synthetic:nestd'"):
        open_dataset("synthetic:nestd")
    with pytest.raises(ValueError, match="manifest: expected it with a data set of files"):
        open_dataset("synthetic:pair", manifest="split.json")
    with pytest.raises(ValueError, match="data: expected root= with 'folder'"):
        open_dataset("folder")


def test_what_splits_are_made_by(written):
    assert divided_by("lidc-crops", written("lidc-crops")[0], "group") == "the files' own"
    assert divided_by("lidc-v1", written("lidc-v1")[0], "index-order") == "index-order"
    assert divided_by("synthetic:pair", None, "group") == "a seed for each"


def _isic(root, train=10):
    for part, numbers in (("Training", range(train)), ("Test", range(50, 52))):
        for n in numbers:
            save(root / f"ISBI2016_ISIC_Part1_{part}_Data" / f"ISIC_{n:07d}.jpg", picture(n, (32, 32, 3)))
            mask = root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth" / f"ISIC_{n:07d}_Segmentation.png"
            save(mask, disc(32, 16, 16, 8))
    return root


def test_a_part_of_train_is_held_out_where_the_files_have_no_validation_split(tmp_path):
    root = _isic(tmp_path)
    train, validate, test = (open_dataset("isic2016", root, split) for split in ("train", "validate", "test"))
    assert (len(train), len(validate), len(test)) == (8, 2, 2)
    assert {*train.ids, *validate.ids} == {f"ISIC_{n:07d}" for n in range(10)}
    assert open_dataset("isic2016", root, "validate", scheme="index-order").ids == validate.ids
    assert divided_by("isic2016", root, "group").startswith("the files' own, with a fifth of train")
    assert "a fifth of its train split, by group" in held_out("isic2016", root, "validate")
    assert held_out("isic2016", root, "test") is None


def test_a_held_out_part_keeps_patients_together(written, tmp_path):
    for n in range(20):
        save(tmp_path / "images" / f"{n}.png", picture(n))
        save(tmp_path / "masks" / f"{n}" / "anna.png", disc(48, 24, 24, 8))
    rows = [f"{n},{'test' if n > 14 else 'train'},p{n % 5}" for n in range(20)]
    (tmp_path / "index.csv").write_text("\n".join(["id,split,group", *rows]) + "\n")
    train, validate = (open_dataset("folder", tmp_path, split) for split in ("train", "validate"))
    assert len(train) + len(validate) == 15
    assert len(validate) == 3
    assert not {*train.groups} & {*validate.groups}
    root, _ = written("folder")
    assert held_out("folder", root, "validate") is None


@pytest.mark.parametrize("name", ["val", "valid", "validation", "validate"])
def test_a_validation_split_has_several_names(name, tmp_path):
    for n in range(3):
        save(tmp_path / "images" / f"{n}.png", picture(n))
        save(tmp_path / "masks" / f"{n}" / "anna.png", disc(48, 24, 24, 8))
    (tmp_path / "index.csv").write_text(f"id,split\n0,train\n1,{name}\n2,train\n")
    assert open_dataset("folder", tmp_path, "validate").ids == ("1",)
    assert open_dataset("folder", tmp_path, name).ids == ("1",)
    assert open_dataset("folder", tmp_path, "train").ids == ("0", "2")


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("lidc-crops", ("train", "validate")),
        ("lidc-phiseg", ("train", "validate", "test")),
        ("lidc-v2", ("train", "validate", "test")),
        ("lidc-cimd", ("train", "test")),
        ("isic2016", ("train", "test")),
        ("bsds500", ("train", "validate", "test")),
        ("folder", ("train", "validate")),
    ],
)
def test_which_splits_the_files_have(written, name, own):
    assert FORMATS[name].splits(written(name)[0]) == own


def test_qubiq_is_divided_by_its_folders_where_there_are_several(tmp_path):
    pytest.importorskip("nibabel")
    qubiq(tmp_path)
    assert FORMATS["qubiq"].splits(tmp_path) == ()  # all of it is in Training
    assert divided_by("qubiq", tmp_path, "group") == "group"
    brain = tmp_path / "brain-growth"
    (brain / "Validation").mkdir()
    (brain / "Training" / "case02").rename(brain / "Validation" / "case02")
    assert FORMATS["qubiq"].splits(tmp_path) == FORMATS["qubiq"].splits(brain) == ("train", "validate")
    for split, case in (("train", "Training/case01"), ("validate", "Validation/case02")):
        data = open_dataset("qubiq", tmp_path, split)
        assert {*data.groups} == {f"brain-growth/{case}"}
    assert FORMATS["qubiq"].splits(brain / "Training") == ()
    with pytest.raises(ValueError, match="split: expected one of train, validate, test, all"):
        open_dataset("qubiq", tmp_path, "dev")


def test_groups_that_are_no_text_are_divided():
    data = _Named([os.fsdecode(b"caf\xe9 %d" % i) for i in range(40)])
    assert all(make_split(data).splits.values())
