"""Settings for all tests: two processes share the machine, and what it lacks is skipped by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asam

# Before anyone imports NumPy or PyTorch: with several test processes, one thread of theirs is plenty.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The environment's own tools, such as its cmake, come before older ones of the system.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

# Tests of one process, since each would build for itself what they share: a wheel, the emulation of CUDA.
TOGETHER = ("tests/test_build_dist.py", "tests/cuda/")

TinyViTFile = Callable[[str, Path], Path]

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data; tests that use it carry the marker `data`."""
    return _data_root()


@pytest.fixture
def drawn_words(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All words that are drawn on pictures from now on: (picture, words, box (x0, y0, x1, y1) around them)."""
    from PIL.ImageDraw import ImageDraw

    found: list[Any] = []
    draw = ImageDraw.text

    def text(
        self: ImageDraw, xy: Any, text: str, fill: Any = None, font: Any = None, anchor: str | None = None
    ) -> None:
        found.append((self._image, text, self.textbbox(xy, text, font, anchor)))
        draw(self, xy, text, fill, font, anchor)

    monkeypatch.setattr(ImageDraw, "text", text)
    return found


@pytest.fixture(scope="session")
def model() -> asam.ASAM:
    """A small network of random weights."""
    import torch

    import asam

    torch.manual_seed(0)
    model = asam.ASAM.from_preset("asam", backbone="nano", image_size=64).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            # Logits and latents of the size that trained models have.
            if "hypernetworks" in name or "prior.head.output.weight" in name:
                value.mul_(4)
    return model


@pytest.fixture(scope="session")
def checkpoint(model: asam.ASAM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `model`."""
    path = tmp_path_factory.mktemp("model") / "nano.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def mobile_sam(tmp_path_factory: pytest.TempPathFactory, tiny_vit_file: TinyViTFile) -> Path:
    """A file of the names and shapes of MobileSAM's, with random weights."""
    return tiny_vit_file("vit_t", tmp_path_factory.mktemp("mobile_sam") / "mobile_sam.pt")


@pytest.fixture(scope="session")
def lite_medsam(tmp_path_factory: pytest.TempPathFactory, tiny_vit_file: TinyViTFile) -> Path:
    """The same of LiteMedSAM's."""
    return tiny_vit_file("lite_medsam", tmp_path_factory.mktemp("lite_medsam") / "lite_medsam.pth")


@pytest.fixture(scope="session")
def small_tiny_vit() -> Any:
    """Sizes of a TinyViT like MobileSAM's; `dataclasses.replace` gives it cells of 4 pixels, as LiteMedSAM's has."""
    from asam.model.config import TinyViTSizes

    return TinyViTSizes(
        widths=(8, 16, 16, 32), depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), windows=(7, 7, 14, 7)
    )


@pytest.fixture(scope="session")
def tiny_vit_file() -> TinyViTFile:
    """Writes a file of the names and shapes of a TinyViT backbone's, with random weights."""
    return _tiny_vit_file


def _tiny_vit_file(backbone: str, path: Path) -> Path:
    import torch

    import asam

    torch.manual_seed(6)
    sizes: dict[str, Any] = {"image_size": 64, "mask_tokens": 3, "latents": (), "posterior": False}
    network = asam.ASAM(asam.ModelConfig(backbone=backbone, **sizes))
    state: dict[str, torch.Tensor] = {}
    for name, value in network.state_dict().items():
        if not name.startswith(("image_encoder.", "prompt_encoder.", "mask_decoder.")):
            continue
        state[name] = value
        if name.endswith("running_mean"):
            value.normal_(std=0.3)
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
            state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
        if "hypernetworks" in name or name.endswith(("q_proj.weight", "k_proj.weight")):
            value.mul_(2.0)  # random weights give masks that are all alike
    width, classes = 320, 1000  # of the classifier that it was distilled with
    for part, shape in (("norm_head", (width,)), ("head", (classes, width))):
        state[f"image_encoder.{part}.weight"] = torch.ones(shape)
        state[f"image_encoder.{part}.bias"] = torch.zeros(shape[0])
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of `model`, built once a process: copy it to write to it."""
    import asam_trt

    return asam_trt.build_engine(checkpoint, tmp_path_factory.mktemp("engine") / "nano.asam", progress=False)


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., None]:
    """Writes one image and one rater for each number of a patient, in the layout of `folder` without splits."""
    import numpy as np
    from PIL import Image

    def write(root: Path, *, patients: list[int]) -> None:
        (root / "images").mkdir(parents=True)
        rows = ["id,group"]
        for i, patient in enumerate(patients):
            Image.new("L", (32, 32), 10 * i).save(root / "images" / f"{i:02}.png")
            (root / "masks" / f"{i:02}").mkdir(parents=True)
            mask = np.zeros((32, 32), np.uint8)
            mask[8:16, 8 : 12 + i] = 255
            Image.fromarray(mask).save(root / "masks" / f"{i:02}" / "one.png")
            rows.append(f"{i:02},{patient}")
        (root / "index.csv").write_text("\n".join(rows) + "\n")

    return write


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test to whichever process is free, those of TOGETHER to one; pytest 9.2 ignores xdist's own groups."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid)

    return Scheduling(config, log)


def _data_root() -> Path:
    return Path(os.environ.get("ASAM_DATA_ROOT") or REPOSITORY.parent / "shared" / "data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not _data_root().is_dir():
        pytest.skip(f"no data folder {_data_root()}; set ASAM_DATA_ROOT")
    if item.get_closest_marker("gpu"):
        from asam_trt import _runtime

        report = _runtime.cuda_report()
        if not report["devices"]:
            pytest.skip(report["problem"])
