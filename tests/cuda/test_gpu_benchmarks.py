"""The programs of `make gpu-bench` on the CPU, with small networks: that they run, not how fast."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from asam.bench import ceiling
from asam.model.config import ModelConfig
from asam_trt.backends import cuda
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig
from asam_trt.sampler_spec import SamplerConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))
import gpu
import gpu_frames
import gpu_timing

SIDE = 64


@pytest.mark.parametrize("side", [128, 1024])
def test_the_floor_counts_what_asam_bench_counts(side: int) -> None:
    counts = ceiling.multiply_adds(ModelConfig(image_size=side, mask_tokens=6), prompt_tokens=2)
    assert gpu.multiply_adds(gpu.config_of(side), tokens=2) == counts.reduced


@pytest.fixture
def on_cpu(emulated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    for module in (cuda, gpu, gpu_frames):
        monkeypatch.setattr(module, "_DEVICE", "cpu")
    for name, value in {
        "is_available": lambda: True,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "get_device_properties": lambda _: SimpleNamespace(name="none", major=9, minor=0, total_memory=0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    monkeypatch.setattr(gpu_timing, "_WARM_UPS", 1)
    monkeypatch.setattr(gpu_frames, "_FRAMES", 2)
    monkeypatch.setattr(gpu, "rates", lambda _: (1e12, 1e12))

    def small(side: int) -> SamplerConfig:
        return SamplerConfig(
            side=side, grid=side // 16, channels=32, latent=8, mask_tokens=2, heads=4, mlp_dim=32
        )

    def smaller(side: int) -> EncoderConfig:
        return EncoderConfig(side=side, width=32, heads=2, mlp_dim=64, channels=32, windows=(3, 0))

    def tiny(side: int) -> TinyEncoderConfig:
        widths = (8, 12, 16, 16)
        return TinyEncoderConfig(
            side=side, channels=32, widths=widths, depths=(1,) * 4, heads=(1, 1, 2, 2), windows=(7, 7, 3, 3)
        )

    for module in (gpu, gpu_frames):
        monkeypatch.setattr(module, "config_of", small)
    monkeypatch.setattr(gpu_frames, "ENCODERS", {"vit_b": smaller, "vit_t": tiny})


def report_of(
    program: Any, output: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> list[dict[str, Any]]:
    given = ["--output", str(output), "--sides", str(SIDE), "--repeats", "1", *arguments]
    monkeypatch.setattr(sys, "argv", [program.__name__, *given])
    assert program.main() == 0
    rows: list[dict[str, Any]] = json.loads((output / f"{program.__name__}.json").read_text())["rows"]
    assert len((output / f"{program.__name__}.md").read_text().splitlines()) == 4 + len(rows)
    return rows


@pytest.mark.usefixtures("on_cpu")
def test_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = report_of(gpu, tmp_path, monkeypatch, "--precisions", "fp16", "--n", "2", "3")
    assert [(row["n"], *row["ms"]) for row in rows] == [
        (n, *names) for names in (("asam", "eager"), ("asam", "loop"), ("asam", "compile")) for n in (2, 3)
    ]


@pytest.mark.usefixtures("on_cpu")
def test_a_row_that_fails_says_why_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--precisions", "bf16", "--no-compile")
    rows = report_of(gpu, tmp_path, monkeypatch, *few, "--n", "70000", "1")
    assert [row.get("problem", "")[:10] for row in rows] == ["ValueError", "", "ValueError", ""]
    assert all(("ms" in row) == ("problem" not in row) for row in rows)


@pytest.mark.usefixtures("on_cpu")
def test_whole_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = report_of(gpu_frames, tmp_path, monkeypatch, "--precisions", "bf16", "--n", "2")
    assert [(row["encoder"], *row["ms"]["frame"]) for row in rows] == [
        (encoder, *names)
        for names in (("asam", "eager", "asam-no-cudnn"), ("asam", "compile"))
        for encoder in ("vit_b", "vit_t")
    ]
    assert all(set(row["ms"]) == {"prepare", "encode", "frame"} for row in rows)


@pytest.mark.usefixtures("on_cpu")
def test_rows_are_on_disk_before_the_next_one_is_measured(tmp_path: Path) -> None:
    seen = []

    def look() -> dict[str, Any]:
        found = tmp_path / "gpu.json"
        seen.append(len(json.loads(found.read_text())["rows"]) if found.exists() else 0)
        return {"ms": {}}

    report = gpu_timing.Report(tmp_path, "gpu", ("n",), lambda row: str(row["n"]))
    for n in range(3):
        report.add({"n": n}, look)
    assert seen == [0, 1, 2]


def test_the_row_that_tells_most_comes_first() -> None:
    asked = SimpleNamespace(sides=[1024, 128], precisions=["bf16", "fp16"], n=[1, 32])
    found = gpu_timing.cases(asked)
    assert found[0] == (128, "fp16", 32)
    assert len(set(found)) == 8
