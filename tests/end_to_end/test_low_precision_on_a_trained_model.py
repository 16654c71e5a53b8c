"""What int16 and int8 change for a user: the network that ships, in float32 PyTorch and as an engine, same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import asam_trt
from asam import metrics
from asam.assets import NANO
from asam.data import Dataset, LidcCrops, Synthetic
from asam.model import load_checkpoint
from asam_trt import precision as precisions
from asam_trt.modes import iou_distances
from asam_trt.paired_iou import mean_iou

N = 32  # hypotheses a picture

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Change:
    """From float32 PyTorch to the engine.

    Attributes:
        iou: of the masks of equal hypotheses, mean.
        ged: difference of the mean energy distance to the raters.
        spread: relative difference of the mean distance between hypotheses.
    """

    iou: float
    ged: float
    spread: float


def change(engine: Path, data: Dataset, pictures: int, precision: str, encoder: str) -> Change:
    try:
        precisions.choose(precision)
    except asam_trt.BackendUnavailable as error:
        pytest.skip(str(error))
    model = load_checkpoint(NANO)
    ious, geds, spreads = [], [], []
    with asam_trt.Session(engine, precision=precision, encoder=encoder) as session:
        assert session.precision == precision
        for i in range(pictures):
            sample = data[i * (len(data) // pictures)]
            session.set_image(sample.image)
            found = session.sample(box=sample.box, n=N, seed=i).masks
            expected = model.sample(sample.image, box=sample.box, n=N, seed=i).masks
            ious.append(mean_iou(found, expected))
            geds.append([metrics.ged(masks, sample.masks) for masks in (found, expected)])
            spreads.append([iou_distances(masks).mean() for masks in (found, expected)])
    ged, spread = np.mean(geds, axis=0), np.mean(spreads, axis=0)
    return Change(float(np.mean(ious)), float(ged[0] - ged[1]), float(spread[0] / spread[1] - 1))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asam_trt.build_engine(NANO, tmp_path_factory.mktemp("engine") / "nano.asam", progress=False)


@pytest.mark.parametrize(
    ("precision", "encoder"),
    [("int16", "onnxruntime"), ("int16", "native"), ("int8-encoder", "native"), ("int8", "native")],
)
def test_synthetic_pictures(engine: Path, precision: str, encoder: str) -> None:
    """The sampler in 16 bits behind an encoder in float32, one in 16 and one in 8, and both in 8 bits."""
    found = change(engine, Synthetic("mix", size=192, seed=7, length=40), 40, precision, encoder)
    assert found.iou >= (0.999 if precision == "int16" else 0.995)
    assert abs(found.ged) <= 0.002
    assert abs(found.spread) <= 0.01


@pytest.mark.data
@pytest.mark.parametrize("precision", ["int16", "int8-encoder", "int8"])
def test_lung_nodules(engine: Path, data_root: Path, precision: str) -> None:
    """Pictures unlike those it was trained on, and smaller masks, of which a pixel is a larger share."""
    found = change(engine, LidcCrops(data_root / "lidc", "validate"), 40, precision, "native")
    assert found.iou >= (0.999 if precision == "int16" else 0.99)
    assert abs(found.ged) <= 0.002
    assert abs(found.spread) <= 0.01
