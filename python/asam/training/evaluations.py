"""What the log of a run says of its evaluations."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

BEST_GONE = "best_gone"
"""Key of a line of the log: the best checkpoint was not there any more, so that a new one was begun."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation on the validation split.

    Attributes:
        step: after which it was made.
        ged: GED of 16 hypotheses a sample.
        hm_iou: HM-IoU of them; None where it was not measured.
    """

    step: int
    ged: float
    hm_iou: float | None

    def __str__(self) -> str:
        overlap = "" if self.hm_iou is None else f", HM-IoU {self.hm_iou:.3f}"
        return f"step {self.step}: GED16 {self.ged:.3f}{overlap}"


def evaluations(log: Path) -> list[Evaluation]:
    """Those that ``log.jsonl`` tells of, in their order; none where there is no such file.

    Lines that cannot be read are left out: the file is for people, and a run does not depend on it.
    """
    return [found for line in _lines(log) if (found := _evaluation(line)) is not None]


def best_evaluation(log: Path) -> Evaluation | None:
    """The one whose weights are the best checkpoint; None where the log tells of none."""
    lines = _lines(log)
    begun = max((place for place, line in enumerate(lines) if f'"{BEST_GONE}"' in line), default=0)
    found = [one for line in lines[begun:] if (one := _evaluation(line)) is not None]
    # Of several lowest ones the first was kept.
    return min(found, key=lambda one: one.ged, default=None)


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []


def _evaluation(line: str) -> Evaluation | None:
    try:
        entry = json.loads(line)
        means = entry["evaluation"]
        step, ged, hm_iou = int(entry["step"]), float(means["ged"]), float(means.get("hm_iou", math.nan))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None
    return None if math.isnan(ged) else Evaluation(step, ged, None if math.isnan(hm_iou) else hm_iou)
