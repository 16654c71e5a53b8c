"""A session of the small engine, and stacks of masks whose groups are known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import asam_trt
from asam_trt.geometry import Frame
from asam_trt.hypotheses import Hypotheses

sys.path.insert(0, str(Path(__file__).parent))  # for plain_sams.py


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_session(engine: Path) -> Iterator[asam_trt.Session]:
    # float32, since results are compared with PyTorch's to the last digits.
    with asam_trt.Session(engine, precision="float32") as session:
        yield session


@pytest.fixture
def session(shared_session: asam_trt.Session) -> asam_trt.Session:
    """With no image set."""
    shared_session._current = None
    return shared_session


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)


DiscMaker = Callable[..., Hypotheses]


@pytest.fixture
def discs() -> DiscMaker:
    """Hypotheses that are discs, radius (pixels) 0 for none, in an image of 96 x 128."""

    def make(radii: list[float], centre: tuple[float, float] = (64, 48)) -> Hypotheses:
        frame = Frame.of(96, 128, 128)
        y, x = np.mgrid[:32, :32] * 4 + 2.0
        distance = np.hypot(x - centre[0], y - centre[1])
        logits = [radius - distance if radius else np.full_like(distance, -1) for radius in radii]
        return Hypotheses(
            np.array(logits, np.float32), np.linspace(0.5, 0.9, len(radii), dtype=np.float32), frame
        )

    return make
