"""`asam data`: reports, sheets and manifests, and the exit status."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from layouts import WRITERS
from PIL import Image

from asam.cli import main
from asam.data import Synthetic, open_dataset


@pytest.mark.parametrize("name", WRITERS)
def test_check_and_show_every_layout(written, tmp_path, capsys, name):
    root, _ = written(name)
    assert main(["data", "check", str(root)]) == 0
    told = capsys.readouterr().out
    assert f"{name}, " in told
    assert "no problems" in told
    output = tmp_path / "new" / "sheet.png"
    assert main(["data", "show", str(root), "--output", str(output), "--count", "2", "--tile", "64"]) == 0
    assert str(output) in capsys.readouterr().out
    assert np.asarray(Image.open(output)).std() > 10
    assert [path.name for path in output.parent.iterdir()] == ["sheet.png"]


def test_check_lists_problems_and_fails(write, capsys):
    root = write("folder")
    (root / "masks" / "img0" / "anna.png").write_bytes(b"x")
    (root / "masks" / "img1" / "bert.png").write_bytes(b"y")
    assert main(["data", "check", str(root)]) == 1
    told = capsys.readouterr().out
    assert "2 problems" in told
    assert "img0/anna.png" in told
    assert "img1/bert.png" in told
    assert main(["data", "check", str(root), "--limit", "1"]) == 1
    assert "1 more (--limit 0 lists all)" in capsys.readouterr().out


def test_samples_that_no_rater_marked_are_no_problem_but_told(write, capsys):
    root = write("folder")

    def told():
        assert main(["data", "check", str(root)]) == 0
        return capsys.readouterr().out

    assert "only empty masks" not in told()
    for number in range(4):
        for path in (root / "masks" / f"img{number}").iterdir():
            Image.fromarray(np.zeros((48, 48), np.uint8)).save(path)
        if number == 0:
            assert (
                "\n  1 sample has only empty masks; its box is the whole image: img0\n  no problems\n"
                in told()
            )
    assert (
        "\n  4 samples have only empty masks; their box is the whole image: img0, img1, img2, ...\n" in told()
    )


def test_show_says_boxes_as_numbers_and_names_of_raters(write, tmp_path, capsys, drawn_words):
    root, output = write("folder"), tmp_path / "sheet.png"
    (root / "masks" / "img1" / "bert.png").unlink()
    assert main(["data", "show", str(root), "--output", str(output)]) == 0
    shown = capsys.readouterr().out.splitlines()[1:]
    samples = list(open_dataset("folder", root, "all"))
    assert shown == [f"  {sample.id}: box {' '.join(map(str, sample.box.astype(int)))}" for sample in samples]
    captions = [said for _, said, _ in drawn_words]
    assert captions[:5] == ["img0", "anna", "bert", "cleo, empty", "mean of raters"]
    assert captions[5:9] == ["img1", "anna", "cleo, empty", "mean of raters"]

    assert main(["data", "show", "synthetic:click", "--output", str(output), "--count", "1"]) == 0
    x, y = Synthetic("click", length=1)[0].click
    assert capsys.readouterr().out.splitlines()[1] == f"  click-0-000000: click {x:g} {y:g}"


def test_show_takes_a_name_and_a_root_as_other_commands_do(written, tmp_path, capsys):
    root, _ = written("folder")
    output = ["--output", str(tmp_path / "sheet.png")]
    assert main(["data", "show", "folder", "--root", str(root), *output]) == 0
    assert "4 of 4 samples: wrote" in capsys.readouterr().out
    assert main(["data", "show", "folderr", "--root", str(root), *output]) == 2
    assert "expected one of lidc-crops" in capsys.readouterr().err
    for command in (["show", "folder"], ["check", "folder"], ["split", "folder"]):
        assert main(["data", *command]) == 2
        said = capsys.readouterr().err
        assert "expected a data set, got the name of a layout; give the path, and this as" in said
        assert "--layout folder" in said


def test_show_synthetic(tmp_path, capsys):
    output = tmp_path / "sheet.png"
    command = ["data", "show", "synthetic:absent", "--output", str(output), "--count", "2", "--size", "48"]
    assert main(command) == 0
    assert output.exists()


def test_show_skips_what_cannot_be_drawn_and_names_it(tmp_path, capsys):
    root, output = tmp_path / "set", tmp_path / "sheet.png"
    (root / "images").mkdir(parents=True)
    for number in range(4):
        (root / "masks" / f"img{number}").mkdir(parents=True)
        grey = np.full((40, 40), 60 * number, np.uint16 if number == 1 else np.uint8)
        Image.fromarray(grey).save(root / "images" / f"img{number}.png")
        Image.fromarray(np.eye(40, dtype=np.uint8)).save(root / "masks" / f"img{number}" / "anna.png")
    (root / "masks" / "img2" / "anna.png").write_bytes(b"x")
    command = ["data", "show", str(root), "--output", str(output), "--tile", "64"]
    assert main(command) == 1
    told = capsys.readouterr()
    whole, bad = told.err.splitlines()
    assert whole.startswith(f"skipped: {root}/masks/img2/anna.png: cannot be read as an image")
    assert bad.startswith(f"skipped: {root}/images/img1.png: has more than 8 bits a channel")
    assert told.out.startswith(f"2 of 3 samples: wrote {output}\n")
    for number in (0, 3):
        (root / "images" / f"img{number}.png").write_bytes(b"x")
    output.unlink()
    assert main(command) == 2
    told = capsys.readouterr().err
    assert len([line for line in told.splitlines() if line.startswith("skipped: ")]) == 4
    assert f"{root}: expected a sample that can be drawn, got none" in told
    assert not output.exists()


def test_one_sample_is_counted_as_one(tmp_path, capsys):
    assert main(["data", "show", "synthetic:pair", "--output", str(tmp_path / "a.png"), "--count", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 of 1 sample: ")


def test_a_manifest_is_shown_and_its_place_beside_the_files_own_splits_told(written, tmp_path, capsys):
    root, _ = written("lidc-crops")
    manifest, output = tmp_path / "split.json", tmp_path / "sheet.png"
    assert main(["data", "split", str(root), "--output", str(manifest)]) == 0
    told = capsys.readouterr()
    assert (
        f"{root} comes with splits of its own (train, validate), which are used without --manifest"
        in told.err
    )
    assert f"use it with --manifest {manifest}" in told.out
    splits = json.loads(manifest.read_text())["splits"]
    split = max(splits, key=lambda name: len(splits[name]))
    command = [
        "data",
        "show",
        str(root),
        "--output",
        str(output),
        "--manifest",
        str(manifest),
        "--tile",
        "64",
    ]
    assert main([*command, "--split", split]) == 0
    told = capsys.readouterr()
    assert f"the splits of {manifest} replace those that {root} comes with (train, validate)" in told.err
    assert f" of {len(splits[split])} sample" in told.out
    assert main(command) == 2
    assert "--split: expected one of train, validate, test, got 'all'" in capsys.readouterr().err
    command = ["data", "show", "synthetic:pair", "--manifest", str(manifest)]
    assert main(command) == 2
    assert "--manifest: expected it with a data set of files" in capsys.readouterr().err


def test_split_writes_a_manifest(written, tmp_path, capsys):
    root, _ = written("lidc-v1")
    output = tmp_path / "split.json"
    assert main(["data", "split", str(root), "--output", str(output), "--scheme", "index-order"]) == 0
    content = json.loads(output.read_text())
    assert content["dataset"] == "lidc-v1"
    assert {name: len(ids) for name, ids in content["splits"].items()} == {
        "train": 2,
        "validate": 0,
        "test": 1,
    }
    assert capsys.readouterr().err == "warning: no sample in validate: too few samples or groups\n"


def test_list_and_errors(tmp_path, capsys):
    assert main(["data", "list"]) == 0
    told = capsys.readouterr().out
    assert "synthetic:nested" in told.split()
    lines = dict(line.split(maxsplit=1) for line in told.splitlines())
    assert lines["lidc-crops"].startswith("LIDC-IDRI nodule crops, 64 x 64")
    assert lines["synthetic:absent"].startswith("A faint stain")
    assert {"folder", "qubiq", "synthetic:mix"} < set(lines)
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "none of a known layout" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "nonexist")]) == 2
    said = capsys.readouterr().err
    assert "nonexist: expected a data set, got no such file or folder" in said
    assert "lidc-crops" not in said
    assert main(["data", "show", "synthetic:nested", "--count", "0"]) == 2
    assert "--count: expected at least 1, got 0" in capsys.readouterr().err
    assert main(["data", "show", "synthetic:nestd"]) == 2


def test_outputs_may_have_long_names(written, tmp_path):
    root, _ = written("folder")
    output, split = tmp_path / f"{'x' * 246}.png", tmp_path / f"{'x' * 245}.json"
    assert main(["data", "show", str(root), "--output", str(output), "--count", "1"]) == 0
    assert main(["data", "split", str(root), "--output", str(split)]) == 0
    assert sorted(tmp_path.iterdir()) == sorted([output, split])


@contextmanager
def full_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_names_the_file(written, tmp_path, capsys):
    root, _ = written("folder")
    for command, name in (("show", "sheet.png"), ("split", "split.json")):
        output = tmp_path / name
        with full_disk():
            assert main(["data", command, str(root), "--output", str(output)]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"asam data: error: {output}: expected to write it, got: File too large; make room on the disk "
            "(--debug shows where)"
        )
        assert not [*tmp_path.iterdir()]


def test_want_of_memory_says_what_to_make_smaller(written, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(sys.modules["asam.data.sheet"], "sheet", fail)
    root, _ = written("folder")
    assert main(["data", "show", str(root), "--output", str(tmp_path / "a.png")]) == 2
    told = capsys.readouterr().err
    assert "out of memory (Unable to allocate 9 TiB); take a smaller --tile or --count" in told
    assert "hypotheses" not in told


def test_a_seed_below_0_is_refused(written, tmp_path, capsys):
    root, _ = written("lidc-v1")
    assert main(["data", "split", str(root), "--output", str(tmp_path / "a.json"), "--seed", "-1"]) == 2
    assert "--seed: expected a whole number >= 0, got -1" in capsys.readouterr().err
