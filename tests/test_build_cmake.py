"""A missing or broken tool ends the configuration with one line that names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CMAKE = shutil.which("cmake")
pytestmark = pytest.mark.skipif(CMAKE is None, reason="cmake is not on the PATH")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A compiler that starts and fails."""
    path = tmp_path / "broken-compiler"
    path.write_text("#!/bin/sh\necho 'fatal error: out of order' >&2\nexit 3\n")
    path.chmod(0o755)
    return path


class Configure:
    def __init__(self, source: Path, build: Path) -> None:
        self.command = [str(CMAKE), "-S", str(source), "-B", str(build)]

    def __call__(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX", "CUDACXX", "CUDAHOSTCXX")}
        command = [*self.command, *(f"-D{option}" for option in options)]
        return subprocess.run(
            command, env={**inherited, **environment}, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def configure(repository: Path, tmp_path: Path) -> Configure:
    return Configure(repository, tmp_path / "build")


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.strip() for line in done.stderr.splitlines() if "asam:" in line]


def fails_in_one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    lines = complaints(done)
    assert len(lines) == 1, done.stderr
    assert done.stderr.count("CMake Error") == 1, done.stderr
    return lines[0]


def test_cuda_on_without_nvcc(configure: Configure, tmp_path: Path) -> None:
    line = fails_in_one_line(configure("ASAM_CUDA=ON", "ASAM_PYTHON=OFF", CUDACXX=str(tmp_path / "nvcc")))
    assert "ASAM_CUDA=ON, but" in line
    assert str(tmp_path / "nvcc") in line
    assert "CUDACXX=<path>" in line


def test_cuda_on_where_none_is_installed(configure: Configure) -> None:
    # An empty result of the search, as on a machine without nvcc.
    line = fails_in_one_line(configure("ASAM_CUDA=ON", "ASAM_PYTHON=OFF", "ASAM_NVCC="))
    assert line.startswith("asam: ASAM_CUDA=ON, but nvcc was not found; install the CUDA toolkit")


def test_cuda_on_with_a_broken_nvcc(configure: Configure, broken: Path) -> None:
    line = fails_in_one_line(configure("ASAM_CUDA=ON", "ASAM_PYTHON=OFF", CUDACXX=str(broken)))
    assert "out of order" in line


def test_cuda_auto_with_a_broken_nvcc_warns_and_builds_for_the_cpu(
    configure: Configure, broken: Path
) -> None:
    done = configure("ASAM_CUDA=AUTO", "ASAM_PYTHON=OFF", CUDACXX=str(broken))
    assert done.returncode == 0, done.stderr
    (line,) = complaints(done)
    assert "building for the CPU alone" in line
    assert str(broken) in line


def test_cuda_on_with_a_host_compiler_that_does_not_work(configure: Configure, broken: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc")
    line = fails_in_one_line(configure("ASAM_CUDA=ON", "ASAM_PYTHON=OFF", CUDAHOSTCXX=str(broken)))
    assert str(broken) in line
    assert "host compiler" in line


def test_cuda_takes_three_values(configure: Configure) -> None:
    line = fails_in_one_line(configure("ASAM_CUDA=MAYBE", "ASAM_PYTHON=OFF"))
    assert "'MAYBE'; expected AUTO, ON or OFF" in line


def test_a_broken_compiler(configure: Configure, broken: Path) -> None:
    line = fails_in_one_line(configure(CXX=str(broken)))
    assert str(broken) in line
    assert "out of order" in line
    assert "CXX=<path>" in line


def test_a_missing_compiler(configure: Configure, tmp_path: Path) -> None:
    assert str(tmp_path / "c++") in fails_in_one_line(configure(CXX=str(tmp_path / "c++")))


@pytest.mark.parametrize("package", ["pybind11", "nanobind"])
def test_a_missing_python_package(configure: Configure, package: str) -> None:
    options = [
        "ASAM_CUDA=OFF",
        f"Python_EXECUTABLE={sys.executable}",
        f"CMAKE_DISABLE_FIND_PACKAGE_{package}=ON",
    ]
    line = fails_in_one_line(configure(*options))
    assert f"the Python package {package} was not found; run: " in line
    assert f"pip install {package}" in line


def test_masks_are_resized_without_fused_multiply_adds(configure: Configure, tmp_path: Path) -> None:
    done = configure("CMAKE_EXPORT_COMPILE_COMMANDS=ON", "ASAM_CUDA=OFF", "ASAM_PYTHON=OFF")
    assert done.returncode == 0, done.stderr
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    (resize,) = [one["command"] for one in commands if one["file"].endswith("resize_masks.cc")]
    assert "-ffp-contract=off" in resize
