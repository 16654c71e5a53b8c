"""Lets the tests of this folder import `plain_sampler` of the benchmarks: PyTorch and NumPy are all that they need."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))
