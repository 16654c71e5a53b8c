"""Short versions of the soak and of the fuzzing; benchmarks/ has the commands of the long ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(repository: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=repository, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_memory_and_open_files_do_not_grow(repository: Path, engine: Path) -> None:
    script = repository / "benchmarks" / "soak.py"
    words = ["--frames", "1500", "--settled", "500", "--n", "4", "--size", "48", "80"]
    assert "1500 frames of 80 x 48" in run(repository, str(script), "--engine", str(engine), *words)


@pytest.mark.slow
def test_damage_and_hostile_calls_give_errors(repository: Path, engine: Path) -> None:
    script = repository / "benchmarks" / "fuzz.py"
    text = run(repository, str(script), "--engine", str(engine), "--engines", "150", "--calls", "300")
    assert "150 engines: 0 bad" in text
    assert "300 calls: 0 bad" in text
    assert "EngineError" in text


@pytest.mark.slow
def test_a_case_that_takes_the_process_down_is_found(repository: Path, engine: Path, tmp_path: Path) -> None:
    """The fuzzer itself: a crash, an error of another kind and a wrong answer are each told apart."""
    source = (repository / "benchmarks" / "fuzz.py").read_text()
    broken = source.replace(
        "        rng = np.random.default_rng([2, number])\n",
        "        rng = np.random.default_rng([2, number])\n"
        "        if number == 1:\n            os.abort()\n"
        "        if number == 2:\n            raise KeyError('x')\n",
    )
    assert broken != source
    script = tmp_path / "fuzz.py"
    script.write_text(broken)
    done = subprocess.run(
        [sys.executable, str(script), "--engine", str(engine), "--engines", "0", "--calls", "4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "4 calls: 2 bad" in done.stdout
    assert "calls:1 ended with -6" in done.stdout
    assert "calls:2 KeyError: 'x'" in done.stdout
