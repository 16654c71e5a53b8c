"""The C++ tests of the core, as they are and under the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

# The thread sanitizer cannot follow a fork of a process with threads.
SANITIZERS = {"": None, "address,undefined": None, "thread": "^fork_"}


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", SANITIZERS, ids=lambda name: name or "plain")
def test_core(repository: Path, tmp_path: Path, sanitizer: str) -> None:
    cmake, ctest = shutil.which("cmake"), shutil.which("ctest")
    if cmake is None or ctest is None:
        pytest.skip("cmake is not on the PATH")
    options = [
        "ASAM_PYTHON=OFF",
        "ASAM_TESTS=ON",
        "ASAM_BENCHMARKS=ON",
        "ASAM_CUDA=OFF",
        f"ASAM_SANITIZE={sanitizer}",
    ]
    run([cmake, "-S", str(repository), "-B", str(tmp_path), *(f"-D{option}" for option in options)])
    targets = ["core_test", "sampler_test", "encoder_test", *(["kernels"] if not sanitizer else [])]
    run([cmake, "--build", str(tmp_path), "--target", *targets])
    exclude = SANITIZERS[sanitizer]
    found = run(
        [ctest, "--test-dir", str(tmp_path), "--output-on-failure", *(["-E", exclude] if exclude else [])]
    )
    assert "100% tests passed" in found
    if not sanitizer:
        assert "share of the ceiling" in run([str(tmp_path / "kernels"), "--once"])


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
