"""The C++ tests of the core, as they are and under the sanitizers."""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

# The thread sanitizer cannot follow a fork of a process with threads, and allocations are no matter of threads.
SANITIZERS = {"": None, "address,undefined": None, "thread": "^fork_|scratch_is_allocated_once$"}


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
    targets = [
        "core_test",
        "sampler_test",
        "encoder_test",
        "kernels_test",
        "integers_test",
        *(["kernels"] if not sanitizer else []),
    ]
    run([cmake, "--build", str(tmp_path), "--target", *targets])
    exclude = SANITIZERS[sanitizer]
    found = run(
        [ctest, "--test-dir", str(tmp_path), "--output-on-failure", *(["-E", exclude] if exclude else [])]
    )
    assert "100% tests passed" in found
    if not sanitizer:
        assert "share of the ceiling" in run([str(tmp_path / "kernels"), "--once"])


@pytest.mark.slow
def test_files_of_an_instruction_set_share_no_function_with_others(repository: Path, tmp_path: Path) -> None:
    """Without optimisation too: of functions that several files have, the linker keeps any one."""
    cmake, nm = shutil.which("cmake"), shutil.which("nm")
    if cmake is None or nm is None or platform.machine() != "x86_64":
        pytest.skip("needs cmake and nm on the PATH, and an x86-64 processor")
    options = [
        "CMAKE_BUILD_TYPE=Debug",
        "CMAKE_EXPORT_COMPILE_COMMANDS=ON",
        "ASAM_PYTHON=OFF",
        "ASAM_CUDA=OFF",
    ]
    run([cmake, "-S", str(repository), "-B", str(tmp_path), *(f"-D{option}" for option in options)])
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    files = [one for one in commands if re.search(r"_avx\w+\.cc$", one["file"])]
    assert len(files) > 10
    for one in files:
        target = tmp_path / "one.o"
        words = shlex.split(one["command"])
        words[words.index("-o") + 1] = str(target)
        run(words)
        # Address, type, name; W, V and u are what other files may have as well.
        shared = re.findall(
            r"^[0-9a-f]+ [WVu] .*", run([nm, "-C", "--defined-only", str(target)]), re.MULTILINE
        )
        assert shared == [], one["file"]


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
