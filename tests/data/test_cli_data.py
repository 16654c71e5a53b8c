"""`asam data`: reports, sheets and manifests, and the exit status."""

from __future__ import annotations

import json

import numpy as np
import pytest
from layouts import WRITERS
from PIL import Image

from asam.cli import main


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


def test_show_synthetic(tmp_path, capsys):
    output = tmp_path / "sheet.png"
    command = ["data", "show", "synthetic:absent", "--output", str(output), "--count", "2", "--size", "48"]
    assert main(command) == 0
    assert output.exists()


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
    assert "synthetic:nested" in capsys.readouterr().out.split()
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "none of a known layout" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "nonexist")]) == 2
    said = capsys.readouterr().err
    assert "nonexist: expected a data set, got no such file or folder" in said
    assert "lidc-crops" not in said
    assert main(["data", "show", "synthetic:nested", "--count", "0"]) == 2
