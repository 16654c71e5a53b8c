"""`asam evaluate sensitivity` of a plain SAM's file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asam import cli
from asam.cli._evaluate import sensitivity
from asam.data import Synthetic
from asam.plain_sam import PlainSam


@pytest.mark.slow
def test_sensitivity_of_mobile_sam(
    mobile_sam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "evaluate",
        "sensitivity",
        "--model",
        str(mobile_sam),
        "--data",
        "synthetic:pair",
        "--size",
        "64",
    ]
    words += ["--limit", "1", "--output", str(tmp_path), "--sam"]
    assert cli.main([*words, "vit_t"]) == 0
    found = json.loads((tmp_path / "sensitivity.json").read_text())["sensitivity"]
    assert list(found["raters"]["left"]) == ["single", "granularity 1", "granularity 2", "granularity 3"]
    capsys.readouterr()
    assert cli.main([*words, "vit_b"]) == 2
    assert "mobile_sam.pt: expected SAM's checkpoint of vit_b, got that of vit_t" in capsys.readouterr().err

    sample = Synthetic("pair", size=64, seed=0, length=1)[0]
    network = sensitivity._network(sensitivity.Args(mobile_sam, "synthetic:pair", tmp_path, sam="vit_t"))
    masks = network.masks(sample.image, sample.box[None])[:, 0]
    expected = PlainSam.read(mobile_sam).sample(sample.image, box=sample.box, n=3).masks
    assert 0 < expected.mean() < 1
    assert (masks[1:] != expected).mean() < 1e-3
