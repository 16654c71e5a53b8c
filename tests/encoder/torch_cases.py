"""Image encoders of both kinds, SAM's and MobileSAM's, for PyTorch's from the same tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

from . import conftest, test_tiny

TINY: dict[str, tuple[Any, ...]] = {f"TinyViT: {name}": case for name, case in test_tiny.CASES.items()}
_, _MOBILE_SAM, _CHANNELS = test_tiny.CASES["MobileSAM's at S = 128"]
TINY |= {f"TinyViT: MobileSAM's at S = {side}": (side, _MOBILE_SAM, _CHANNELS) for side in (64, 208)}
NAMES = (*conftest.CASES, *TINY)


@cache
def torch_case(name: str) -> conftest.Case:
    """One of `NAMES`."""
    if name in TINY:
        return test_tiny.make_case(*TINY[name])
    return conftest.make_case(conftest.small_encoder(**conftest.CASES[name]))
