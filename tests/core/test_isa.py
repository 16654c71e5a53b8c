from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from asam_trt import _ops

KNOWN = ["portable", "neon", "neondot", "avx2", "avxvnni", "avx512f", "avx512vnni"]
ARM = platform.machine() in ("aarch64", "arm64")
ORDER = [isa for isa in KNOWN if isa == "portable" or isa.startswith("neon") == ARM]


def isa_under(forced: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from asam_trt import _ops; print(_ops.isa())"],
        env={**os.environ, "ASAM_FORCE_ISA": forced},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_supported_sets_are_a_ladder() -> None:
    supported = _ops.supported_isas()
    # Processors with AVX-512 may lack AVX-VNNI.
    ladder = [isa for isa in ORDER if isa != "avxvnni" or isa in supported]
    assert supported == ladder[: len(supported)]
    assert supported


def test_the_best_one_is_used() -> None:
    assert isa_under("").stdout.strip() == _ops.supported_isas()[-1]


@pytest.mark.parametrize("isa", _ops.supported_isas())
def test_a_supported_set_can_be_forced(isa: str) -> None:
    assert isa_under(isa).stdout.strip() == isa


def test_an_unknown_set_is_an_error() -> None:
    done = isa_under("sse9")
    assert done.returncode != 0
    text = "ValueError: the environment variable ASAM_FORCE_ISA: unknown instruction set 'sse9'; expected one of "
    assert text + ", ".join(KNOWN) + "; unset it, or correct it" in done.stderr


@pytest.mark.parametrize("isa", [isa for isa in KNOWN if isa not in _ops.supported_isas()])
def test_a_set_that_the_processor_lacks_is_an_error(isa: str) -> None:
    stderr = isa_under(isa).stderr
    assert f"ASAM_FORCE_ISA: '{isa}' does not run on this processor, which has portable" in stderr
