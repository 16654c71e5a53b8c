"""TensorRT and PyCUDA replaced by what computes on the CPU."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from asam_trt.backends import tensorrt as backend
from asam_trt.bundle import EngineBundle
from asam_trt.tensorrt import device, graphs, libraries

from .fake_gpu import FakeGpu, cuda_library, pycuda_driver
from .fake_tensorrt import World, tensorrt

VERSIONS = ("10.13.3.9", "11.4.0.106")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def bundle(engine: Path, tmp_path: Path) -> EngineBundle:
    """A copy, for plans to be put into."""
    return EngineBundle.open(Path(shutil.copytree(engine, tmp_path / "nano.asam")))


class Machine(SimpleNamespace):
    """gpu: a `FakeGpu`; world: a `World`; package: where the two libraries lie; steps: what builds have said."""

    gpu: FakeGpu
    world: World
    package: Path
    steps: list[str]

    def create(
        self, bundle: EngineBundle, precision: str = "float32", **options: bool
    ) -> backend.TensorRtBackend:
        return backend.create(bundle, bundle.load_weights(), precision, step=self.steps.append, **options)


@pytest.fixture(params=VERSIONS)
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """A machine with TensorRT, for the oldest and the newest version."""
    gpu = FakeGpu()
    world = World(gpu, request.param)
    driver = pycuda_driver(gpu)
    package = ModuleType("pycuda")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt(world))
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(graphs, "cuda_driver", lambda: cuda_library(gpu))
    place = tmp_path / "package"
    place.mkdir()
    for name in (libraries.CUDA_LIBRARY, libraries.PLUGIN_LIBRARY):
        (place / name).write_bytes(name.encode())
    monkeypatch.setattr(libraries, "native_folder", lambda: place)
    yield Machine(gpu=gpu, world=world, package=place, steps=[])
    assert world.problems == gpu.problems == []
    device.gpu_of.cache_clear()
    libraries._logger.cache_clear()
