"""The C++ tests for another processor: cross-compiled for aarch64, where `neon` and `neondot` are, and run by an
emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .test_cpp import run

COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
LIBRARIES = Path("/usr/aarch64-linux-gnu")

# What depends on no instruction set: counting allocations takes a minute there, and QEMU may fail itself in the child
# of a process with threads.
LEFT_OUT = "^(scratch_is_allocated_once|fork_.*)$"


@pytest.mark.slow
@pytest.mark.skipif(
    not (COMPILER and EMULATOR and LIBRARIES.is_dir()),
    reason="needs g++-aarch64-linux-gnu and qemu-user",
)
def test_core_on_aarch64(repository: Path, tmp_path: Path) -> None:
    cmake, ctest = shutil.which("cmake"), shutil.which("ctest")
    if cmake is None or ctest is None:
        pytest.skip("cmake is not on the PATH")
    options = [
        "CMAKE_SYSTEM_NAME=Linux",
        "CMAKE_SYSTEM_PROCESSOR=aarch64",
        f"CMAKE_CXX_COMPILER={COMPILER}",
        f"CMAKE_CROSSCOMPILING_EMULATOR={EMULATOR};-L;{LIBRARIES}",
        "CMAKE_CXX_FLAGS_RELEASE=-O1",  # -O3 takes twice as long to compile
        "ASAM_PYTHON=OFF",
        "ASAM_TESTS=ON",
        "ASAM_CUDA=OFF",
    ]
    run([cmake, "-S", str(repository), "-B", str(tmp_path), *(f"-D{option}" for option in options)])
    run(
        [
            cmake,
            "--build",
            str(tmp_path),
            "--target",
            "core_test",
            "sampler_test",
            "encoder_test",
            "kernels_test",
            "integers_test",
        ]
    )
    found = run([ctest, "--test-dir", str(tmp_path), "--output-on-failure", "-E", LEFT_OUT])
    assert "100% tests passed" in found

    # A Raspberry Pi 4's processor has no dot product, a Raspberry Pi 5's has.
    for processor, ladder in {
        "cortex-a72": "portable, neon",
        "cortex-a76": "portable, neon, neondot",
    }.items():
        emulated = [str(EMULATOR), "-L", str(LIBRARIES), "-cpu", processor]
        run([*emulated, str(tmp_path / "tests" / "core" / "integers_test"), "products_in_8_bits"])
        forced = [*emulated, "-E", "ASAM_FORCE_ISA=avx2", str(tmp_path / "tests" / "core" / "sampler_test")]
        refused = subprocess.run([*forced, "many_tokens"], capture_output=True, text=True, timeout=60)
        assert f"which has {ladder}; " in refused.stderr
