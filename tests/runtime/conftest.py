"""A small random model, its engine, and stacks of masks whose groups are known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import asam
import asam_trt
from asam_trt.geometry import Frame
from asam_trt.hypotheses import Hypotheses

sys.path.insert(0, str(Path(__file__).parent))  # for plain_sams.py

SIDE = 64


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model() -> asam.ASAM:
    torch.manual_seed(0)
    model = asam.ASAM.from_preset("asam", backbone="nano", image_size=SIDE).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            # Logits and latents of the size that trained models have.
            if "hypernetworks" in name or "prior.head.output.weight" in name:
                value.mul_(4)
    return model


@pytest.fixture(scope="session")
def checkpoint(model: asam.ASAM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "nano.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to; see `copied_engine`."""
    return asam_trt.build_engine(checkpoint, tmp_path_factory.mktemp("engine") / "nano.asam", progress=False)


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
