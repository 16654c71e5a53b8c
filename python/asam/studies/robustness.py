"""How figures hold up when the prompt is perturbed: figure 5 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image

from asam.data import Dataset, Sample
from asam.evaluate import STRICT, Report, evaluate
from asam.evaluate.report import cell
from asam.methods import Method
from asam.progress import Start
from asam.studies.plots import Point, chart

FAMILIES: Final = ("none", "shift", "scale", "shift+", "scale+", "both")
"""Of :data:`asam.prompts.PERTURBATIONS`: the unperturbed box, and figure 5's families."""

SHOWN: Final = {"hm_iou": "IoU, best matching (repeated)", "ged": "GED, V form"}


def robustness(
    methods: Sequence[Method],
    data: Dataset[Sample],
    *,
    n: int = 16,
    seed: int = 0,
    limit: int | None = None,
    start: Start,
) -> dict[str, dict[str, Report]]:
    """Judge methods by the strict protocol with each family of perturbed boxes.

    Every method is asked the same perturbed boxes. A sample whose question is a click has no box, and is asked as it
    is.

    Returns:
        method -> family -> its report.
    """
    return {
        method.name: {
            family: evaluate(
                method,
                data,
                n=n,
                seed=seed,
                protocol=STRICT.perturbed(family),
                limit=limit,
                on_sample=start(f"{method.name}, {family}"),
            )
            for family in FAMILIES
        }
        for method in methods
    }


def table(found: dict[str, dict[str, Report]]) -> str:
    """Markdown: a table for each figure of :data:`SHOWN`, a row a method, a column a family."""
    parts = []
    for name, title in SHOWN.items():
        lines = [title, "", "| method | " + " | ".join(FAMILIES) + " |", "|---" * (len(FAMILIES) + 1) + "|"]
        for method, reports in found.items():
            cells = [cell(reports[f].means[name], reports[f].intervals[name]) for f in FAMILIES]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def plot(found: dict[str, dict[str, Report]], name: str) -> Image.Image:
    """A chart of one figure of :data:`SHOWN`."""

    def points(reports: dict[str, Report]) -> list[Point]:
        return [(reports[f].means[name], *reports[f].intervals[name]) for f in FAMILIES]

    series = {method: points(reports) for method, reports in found.items()}
    return chart(FAMILIES, series, title=f"{SHOWN[name]}, 95 percent intervals", y_label=name)
