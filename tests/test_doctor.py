from __future__ import annotations

import os
import subprocess
import sys

import pytest

import asam_trt
from asam_trt import _ops, _runtime
from asam_trt._doctor import Check
from asam_trt.torch_parts import availability


def test_rows_say_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    report = asam_trt.doctor()
    printed = capsys.readouterr().out
    assert report.ok
    assert report["instruction set"].detail.startswith(_ops.isa())
    assert report["threads"].detail == str(_runtime.get_num_threads())
    assert "CPU" in report["onnxruntime"].detail
    for check in report.checks:
        assert check.name in printed
        assert check.detail
        if check.status in ("missing", "broken") and check.name != "TensorRT plugin":
            assert check.fix
        assert check.name in str(report)
        if check.fix:  # whole, whatever the width of the terminal
            assert f"  {check.name}: {check.fix}" in printed.splitlines()
    with pytest.raises(KeyError):
        report["perpetual motion"]


def test_an_instruction_set_without_timings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASAM_FORCE_ISA", raising=False)
    emulated, encoded = "tested under emulation", "tested in AVX-512's encoding of the same instructions"
    for isa, tested in {"portable": "", "neon": emulated, "neondot": emulated, "avxvnni": encoded}.items():
        monkeypatch.setattr(_ops, "isa", lambda isa=isa: isa)
        detail = asam_trt.doctor(show=False)["instruction set"].detail
        assert detail == (f"{isa}, {tested}, not timed on hardware" if tested else isa)


def test_cuda_that_nothing_here_has_run_is_not_called_ok() -> None:
    report = asam_trt.doctor(show=False)
    found = _runtime.cuda_report()
    if found["devices"]:
        assert report["GPU"].status == "ok"
    elif found["library"]:
        assert report["CUDA code"].status == "compiled, not run"
        assert report["GPU"].status == "missing"
    else:
        assert report["CUDA code"].status == "missing"


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    device = {
        "name": "GPU [x]",
        "compute_capability": (9, 0),
        "multiprocessors": 132,
        "memory_bytes": 80 << 30,
    }
    found = {"library": "l", "problem": "", "runtime": 13000, "driver": 12080, "devices": [device]}
    monkeypatch.setattr(_runtime, "cuda_report", lambda: found)
    monkeypatch.setattr(availability, "problem", lambda: "no PyTorch")
    missing = asam_trt.doctor(show=False)["GPU encoder"]
    assert missing.status == "missing"
    assert missing.detail.startswith("images are encoded on the CPU: no PyTorch; ")
    monkeypatch.setattr(availability, "problem", lambda: "")
    report = asam_trt.doctor()
    assert report["GPU encoder"] == Check("GPU encoder", "ok", "torch: PyTorch runs on the GPU")
    assert report["CUDA code"] == Check("CUDA code", "ok", "built with runtime 13.0")
    assert report["CUDA driver"].detail == "supports CUDA 12.8"
    assert report["GPU"].detail == "GPU [x], SM 9.0, 80 GiB"
    assert "GPU [x]" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("variable", "row"), [("ASAM_FORCE_ISA", "instruction set"), ("ASAM_NUM_THREADS", "threads")]
)
def test_bad_settings_are_rows_and_fail_the_command(variable: str, row: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from asam.cli import main; raise SystemExit(main(['doctor']))"],
        env={**os.environ, variable: "rubbish", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(row)]
    assert "broken" in line
    assert "rubbish" in line
    (fix,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {row}: ")]
    assert f"unset {variable}" in fix
