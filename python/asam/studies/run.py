"""A whole study: train what is missing, judge it, write the tables and sheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from asam.data.registry import held_out
from asam.evaluate import STRICT, Measured
from asam.evaluate.provenance import of_software, sha256
from asam.progress import bars
from asam.studies.judging import judge, methods_of, samples_of
from asam.studies.runs import LAST, RunPlan, check_same, checkpoint_of, plan_runs
from asam.studies.sheets import methods_sheet
from asam.studies.study import Study, slug
from asam.studies.table import Row, markdown, rows_of
from asam_trt.counting import counted
from asam_trt.files import write_text

_SHEET_SAMPLES = 3


def run_study(study: Study, *, progress: bool = True) -> list[Row]:
    """Train the runs that are missing, judge all of them, and draw a contact sheet of each judged data set.

    A run counts as there when its folder, <output>/<variant>-<seed>, has ``last.safetensors`` and a ``config.json``
    of the same settings. What was trained or judged is kept, so that an interrupted study goes on where it was.

    Args:
        progress: say what is done, and show bars.

    Raises:
        ValueError: a folder holds a run of other settings.
        NonFiniteLoss, UnreadableSample, NotWritten, Interrupted: see :func:`asam.training.train`.
    """
    plans = plan_runs(study)
    # All before the first training: a folder that does not fit is found before hours have passed.
    for plan in plans:
        check_same(plan)
    if progress and (note := held_out(study.data, study.root, "train")):
        print(note, flush=True)
    for number, plan in enumerate(plans, start=1):
        if progress:
            print(f"run {number} of {len(plans)}: {plan.name}, {plan.folder}", flush=True)
        checkpoint_of(plan, progress=progress)
    rows: list[Row] = []
    for data in study.judged:
        samples = samples_of(study, data)
        with bars(shown=progress, keep=False) as start:
            # Variants first: the order of the study's list is that of the table.
            runs: list[tuple[int, Measured]] = [
                (plan.seed, measured)
                for variant in study.variants
                for plan in plans
                if plan.variant == variant
                for measured in judge(plan, data, start=start, samples_sha256=samples)
            ]
        if progress:
            print(f"judged {counted(len(plans), 'run')} on {data}", flush=True)
        rows += rows_of(data, runs, seed=study.eval_seed)
        _sheet(study, plans[: len(study.variants)], data)
    return rows


def _sheet(study: Study, plans: Sequence[RunPlan], data: str) -> None:
    """Of the runs of the first seed."""
    target = study.output / f"sheet-{slug(data)}.png"
    methods = [method for plan in plans for method in methods_of(plan, checkpoint_of(plan))]
    methods_sheet(target, methods, study.judged_data(data), rows=_SHEET_SAMPLES, seed=study.eval_seed)


def write_study(output: Path, studies: Sequence[Study], rows: Sequence[Row]) -> str:
    """Write ``study.json`` and ``study.md`` of finished studies into ``output``; returns the Markdown."""
    checkpoints = {
        str(plan.folder.relative_to(output)): sha256(plan.folder / LAST)
        for study in studies
        for plan in plan_runs(study)
    }
    document = {
        "protocol": STRICT.name,
        "conventions": {**STRICT.figures, **STRICT.law_figures, "empty": STRICT.empty},
        "prompt": STRICT.prompt,
        "studies": [study.to_dict() for study in studies],
        "checkpoints": checkpoints,
        "software": of_software(),
        "rows": [row.to_dict() for row in rows],
    }
    text = _header(studies[0]) + "\n\n" + markdown(rows) + "\n"
    for name, content in (
        ("study.json", json.dumps(document, indent=1, allow_nan=False)),
        ("study.md", text),
    ):
        write_text(output / name, content)
    return text


def _header(study: Study) -> str:
    seeds = ", ".join(map(str, study.seeds))
    conventions = ", ".join(f"{k} = {v}" for k, v in {**STRICT.figures, **STRICT.law_figures}.items())
    return "\n".join(
        [
            f"# Study: {study.name}",
            "",
            f"Protocol {STRICT.name}: {conventions}, two empty masks overlap fully; prompt: {STRICT.prompt}; one "
            f"checkpoint a run, its last; hypotheses of seed {study.eval_seed} + sample.",
            "",
            f"Training seeds {seeds}, the same budget for all. A cell is the mean over seeds ± their standard "
            "deviation [95 percent interval: patients drawn with replacement, seeds pooled]. The last columns are "
            f"paired differences from {study.variants[0].name}, seeds averaged, with the same kind of interval.",
        ]
    )
