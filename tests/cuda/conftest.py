"""The CUDA library of these tests: the same sources compiled for the CPU, or the real one where there is a GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from asam_trt import _runtime

_FLAGS = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-strict-aliasing"]
_FLAGS += ["-Wno-unknown-pragmas"]


def _conftest_of(folder: str) -> ModuleType:
    name = f"cuda_tests_borrow_{folder}"
    if name not in sys.modules:
        path = Path(__file__).parent.parent / folder / "conftest.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_sampler, _runtime_tests = _conftest_of("sampler"), _conftest_of("runtime")
# Their fixtures, under the names that they have there.
image, _one_torch_thread = _runtime_tests.image, _runtime_tests._one_torch_thread

# Beside those of tests/sampler: SAM's channels and heads on a small grid, and sizes that take the tiles for many
# rows, with a row that is wider than the narrow ones.
_EXTRA = {
    "wide": _sampler._config(channels=256, grid=2, mask_tokens=3, heads=8, mlp_dim=64, latent=16),
    "many": _sampler._config(channels=136, grid=4, mask_tokens=1, heads=4, mlp_dim=16, latent=4),
}


@pytest.fixture(scope="session")
def case_of() -> Callable[[str], Any]:
    """Cases by name, those of tests/sampler and more; "small" on a grid of 4, which a CPU emulates in time."""
    configs = {**_sampler._CONFIGS, **_EXTRA}
    configs["small"] = replace(configs["small"], side=64, grid=4)
    return cache(lambda name: _sampler.Case(configs[name]))


def _current(made: Path) -> bool:
    """Whether an object is newer than all that it was made of, as the compiler told."""
    told = made.with_suffix(".d")
    if not (made.exists() and told.exists()):
        return False
    inputs = [Path(name) for name in told.read_text().replace("\\\n", " ").split()[1:]]
    return all(path.exists() and path.stat().st_mtime <= made.stat().st_mtime for path in inputs)


@pytest.fixture(scope="session")
def emulated(repository: Path) -> Path:
    """libasam_cuda.so for the CPU; see `tests/cuda/emulation`."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ for the emulation of CUDA")
    emulation = repository / "tests" / "cuda" / "emulation"
    sources = [*sorted((repository / "csrc").rglob("*.cu")), emulation / "emulator.cc"]
    folder = repository / "build" / "cuda_emulation"
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> Path:
        made = folder / f"{source.parent.name}_{source.stem}.o"
        if not _current(made):
            unfinished = made.with_suffix(".part")
            command = [compiler, *_FLAGS, f"-I{emulation}", f"-I{repository / 'csrc'}", "-MMD", "-MF"]
            command += [str(made.with_suffix(".d")), "-x", "c++", "-c", str(source), "-o", str(unfinished)]
            subprocess.run(command, check=True)
            unfinished.rename(made)
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    library = folder / "libasam_cuda.so"
    if not library.exists() or library.stat().st_mtime < max(path.stat().st_mtime for path in objects):
        unfinished = library.with_suffix(".part")
        subprocess.run([compiler, "-shared", "-o", unfinished, *objects, "-Wl,--no-undefined"], check=True)
        unfinished.rename(library)
    return library


@pytest.fixture(params=["emulated", pytest.param("gpu", marks=pytest.mark.gpu)])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """ "emulated" or "gpu": what `_runtime.CudaSampler` runs on in this test."""
    if request.param == "emulated":
        monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(request.getfixturevalue("emulated")))
    return request.param


def prompt_of(case: Any, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [t, C] and dense [C], or [C, e, e] with a mask prompt."""
    tokens, dense = case.encode(kind)
    if kind not in ("mask", "mixed"):
        dense = np.ascontiguousarray(dense[:, 0, 0])
    return tokens, dense


def states(case: Any, sampler: Any, kind: str, inputs: Any) -> tuple[Any, Any]:
    """Image and prompt state."""
    image = sampler.image_state(inputs.embedding, *inputs.image)
    return image, sampler.prompt_state(image, *prompt_of(case, kind), *inputs.prompt)


@pytest.fixture
def drawn() -> Callable[..., Any]:
    """(case, kind, inputs, precision) -> a CudaSampler, its states and what it draws with the inputs' noise."""

    def draw(case: Any, kind: str, inputs: Any, precision: str = "float32") -> Any:
        sampler = _runtime.CudaSampler(case.config.as_dict(), case.weights, precision=precision)
        image, prompt = states(case, sampler, kind, inputs)
        return sampler, image, prompt, sampler.sample(image, prompt, inputs.eps)

    return draw
