"""Studies: variants trained alike with several seeds and judged alike, and the paper's experiments."""

from asam.studies.run import run_study, write_study
from asam.studies.runs import RunPlan, plan_runs
from asam.studies.study import Study, Variant
from asam.studies.table import Row

__all__ = ["Row", "RunPlan", "Study", "Variant", "plan_runs", "run_study", "write_study"]
