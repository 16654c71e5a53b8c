"""Figures of a method on a data set, each with its convention, n, seed, prompt source and interval."""

from asam.evaluate.asking import check_asked, sample_seed
from asam.evaluate.comparison import Comparison, compare
from asam.evaluate.ensemble import Ensemble
from asam.evaluate.measure import Measured, data_sha256, evaluate, measure
from asam.evaluate.protocol import A2SAM, METRICS, PROTOCOLS, STRICT, Protocol
from asam.evaluate.report import OfSample, Report, markdown, summarise

__all__ = [
    "A2SAM",
    "METRICS",
    "PROTOCOLS",
    "STRICT",
    "Comparison",
    "Ensemble",
    "Measured",
    "OfSample",
    "Protocol",
    "Report",
    "check_asked",
    "compare",
    "data_sha256",
    "evaluate",
    "markdown",
    "measure",
    "sample_seed",
    "summarise",
]
