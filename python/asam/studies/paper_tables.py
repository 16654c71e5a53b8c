"""The paper's tables with our rows beside the published ones, from studies that have been run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from asam.studies.published import ABLATION, DATA, PROMPTED, SPECIALISTS, Figures

_N: Final = 16
_COLUMNS: Final = {"GED": "ged", "HM-IoU": "hm_iou", "Dmax": "dmax", "Dmean": "dmean"}
_NOTE: Final = (
    "Rows marked *published* are the paper's, by its code's conventions and split: HM-IoU `rectangular`, Dmean "
    "`mean_logit`, patients in several splits, 16 samples of four checkpoints. Rows marked *ours* are of the strict "
    f"protocol: HM-IoU `repeated`, Dmean `pairs`, split by patient, n = {_N} of one checkpoint, mean over training "
    'seeds. Compare rows of one kind with each other, not across. "-": not printed there, or no study of that data set '
    "was given."
)

_ABLATED: Final = {
    "no ambiguity": "no-ambiguity, box shift",
    "no object ambiguity": "no-image-latent",
    "no prompt ambiguity": "no-prompt-latent",
    "no posterior": "no-posterior",
    "all": "asam",
}
"""Row of the paper's ablation -> our variant."""

_SPECIALISTS: Final = {
    "Prob U-Net": "prob_unet",
    "PHiSeg": "phiseg",
    "SSN": "ssn",
    "MoSE": "mose",
    "A-SAM": "asam",
}
_PROMPTED: Final = {
    "SAM, point shift": "sam-points, point shift",
    "SAM, box shift": "sam, box shift",
    "A-SAM": "asam",
}

Ours = dict[tuple[str, str], dict[str, float | None]]
"""(data set, method) -> figures."""


def read_studies(paths: Sequence[Path]) -> Ours:
    """Figures at n = 16 of the rows of ``study.json`` files; a later file's row replaces an earlier one's.

    Raises:
        ValueError: a file that is no study of the strict protocol; names it.
    """
    found: Ours = {}
    for path in paths:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["protocol"] != "strict":
                raise ValueError(f"protocol {document['protocol']!r}")
            found.update(
                {
                    (row["data"], row["method"]): dict(row["means"])
                    for row in document["rows"]
                    if row["n"] == _N
                }
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path}: expected the study.json of a strict study, got: {_reason(error)}"
            ) from error
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):  # its own words hold the whole file
        return "no text"
    return repr(error) if isinstance(error, LookupError) else str(error)


def render(ours: Ours) -> str:
    """Markdown of tables 1 to 5 and the ablation."""
    parts = ["# The paper's tables", _NOTE, "## Table 1: prompted models"]
    for data in DATA:
        published = {name: rows[data] for name, rows in PROMPTED.items()}
        parts.append(f"### {data}\n\n" + _table(published, _PROMPTED, data, ours))
    for number, (data, published) in enumerate(SPECIALISTS.items(), start=2):
        parts.append(f"## Table {number}: {data}\n\n" + _table(published, _SPECIALISTS, data, ours))
    parts.append("## Ablation on LIDC\n\n" + _table(ABLATION, _ABLATED, "LIDC", ours))
    return "\n\n".join(parts) + "\n"


def _table(published: Mapping[str, Figures], names: Mapping[str, str], data: str, ours: Ours) -> str:
    """Published rows, and for each that we have a counterpart of a row of ours for each data set of ours."""
    lines = ["| method | rows | " + " | ".join(_COLUMNS) + " |", "|---" * (2 + len(_COLUMNS)) + "|"]
    for name, figures in published.items():
        lines.append(f"| {name} | published | " + " | ".join(map(_number, figures)) + " |")
        if name not in names:
            continue
        present = [known for known in DATA[data] if (known, names[name]) in ours]
        for known in present:
            row = ours[(known, names[name])]
            cells = " | ".join(_number(row.get(figure)) for figure in _COLUMNS.values())
            lines.append(f"| {name} | ours, {known} | {cells} |")
        if not present:
            lines.append(f"| {name} | ours | " + " | ".join("-" for _ in _COLUMNS) + " |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"
