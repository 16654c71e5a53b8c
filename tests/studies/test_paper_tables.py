"""The paper's tables: published rows as printed, ours where there are some."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asam import cli
from asam.studies import Variant, paper_tables
from asam.studies.judging import WAYS
from asam.studies.paper_tables import read_studies, render
from asam.studies.variants import NETWORK, peers


def row(data: str, method: str, n: int = 16, ged: float = 0.1234) -> dict[str, object]:
    means = {"ged": ged, "ged_floor": 0.05, "hm_iou": 0.7, "dmax": 0.9, "dmean": None}
    return {"data": data, "method": method, "n": n, "means": means}


def study(path: Path, *rows: dict[str, object], protocol: str = "strict") -> Path:
    path.write_text(json.dumps({"protocol": protocol, "rows": rows}))
    return path


def section(text: str, title: str) -> list[str]:
    return text.partition(title)[2].partition("##")[0].splitlines()


def test_without_studies_only_the_published_rows_have_numbers() -> None:
    text = render({})
    assert "| A-SAM | published | 0.228 | 0.717 | 0.948 | 0.356 |" in section(text, "### LIDC")
    assert "| SAM, box shift | published | 0.255 | 0.160 | 0.239 | 0.199 |" in section(text, "### Sim10k")
    assert "| MoSE | published | 0.234 | 0.623 | - | - |" in section(text, "## Table 2: LIDC")
    assert "| A-SAM | published | 0.267 | 0.834 | 0.918 | 0.905 |" in section(text, "## Table 4: ISBI")
    assert "| no posterior | published | 0.266 | 0.385 | 0.805 | 0.341 |" in section(text, "## Ablation")
    ours = [line for line in text.splitlines() if "| ours |" in line]
    assert ours
    assert all(line.endswith("| ours | - | - | - | - |") for line in ours)
    assert "Compare rows of one kind" in text


@pytest.mark.parametrize(
    ("table", "variants"),
    [("_ABLATED", NETWORK), ("_SPECIALISTS", peers()), ("_PROMPTED", peers())],
)
def test_every_row_of_ours_is_one_that_its_study_gives(table: str, variants: tuple[Variant, ...]) -> None:
    given = {WAYS[way](None, variant.name).name for variant in variants for way in variant.judged_as}
    assert {*getattr(paper_tables, table).values()} <= given


def test_rows_of_studies_fill_the_tables_of_their_data_set(tmp_path: Path) -> None:
    one = study(
        tmp_path / "a.json",
        row("lidc-crops", "asam"),
        row("lidc-crops", "asam", n=100, ged=0.9),
        row("lidc-crops", "no-image-latent", ged=0.2),
        row("synthetic:pair", "asam", ged=0.8),
    )
    two = study(
        tmp_path / "b.json", row("lidc-crops", "sam, box shift", ged=0.3), row("brats2017", "asam", ged=0.4)
    )
    text = render(read_studies([one, two]))
    ours = "| A-SAM | ours, lidc-crops | 0.123 | 0.700 | 0.900 | - |"
    assert ours in section(text, "### LIDC")
    assert ours in section(text, "## Table 2: LIDC")
    assert "| SAM, box shift | ours, lidc-crops | 0.300 | 0.700 | 0.900 | - |" in section(text, "### LIDC")
    assert "| A-SAM | ours, brats2017 | 0.400 | 0.700 | 0.900 | - |" in section(text, "## Table 3: BraTS")
    assert "| no object ambiguity | ours, lidc-crops | 0.200 | 0.700 | 0.900 | - |" in section(
        text, "## Ablation"
    )
    assert "| A-SAM | ours | - | - | - | - |" in section(text, "### ISBI")
    assert not {"0.900 | 0.700", "0.800 | 0.700"} & {line[-31:-18] for line in text.splitlines()}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"protocol": "a2sam", "rows": []}', '{"protocol": "strict"}']
)
def test_what_is_no_strict_study_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.json: expected the study\.json of a strict study"):
        read_studies([path])


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study(tmp_path / "a.json", row("isic2016", "asam"))
    output = tmp_path / "tables.md"
    assert cli.main(["evaluate", "tables", "--studies", str(path), "--output", str(output)]) == 0
    assert "| A-SAM | ours, isic2016 | 0.123 |" in output.read_text()
    assert capsys.readouterr().out == f"{output.read_text()}\nwrote {output}\n"
