"""A tiny study that trains in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asam.studies import Study, Variant

TRAINING = {"steps": 4, "batch_size": 2, "save_every": 2, "warmup": 2, "workers": 0}


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """Makes one of A-SAM alone; keyword arguments replace its fields."""

    def make(**changes: Any) -> Study:
        settings: dict[str, Any] = {
            "name": "tiny",
            "variants": (Variant(name="asam"),),
            "seeds": (0,),
            "output": tmp_path / "study",
            "data": "synthetic:pair",
            "length": 8,
            "image_size": 32,
            "training": TRAINING,
            "counts": (2, 3),
            "limit": 3,
        }
        return Study(**{**settings, **changes})

    return make
