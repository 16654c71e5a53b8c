"""`asam bench`: what is computed, counted and reported. Times themselves are never asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from asam import bench, cli
from asam.bench import ceiling, machine, measure, subject, timing
from asam.bench.report import markdown
from asam.bench.route import Route
from asam.bench.torch_route import decode_noise
from asam.cli import bench as command
from asam.model import ASAM, ModelConfig, fresh_model
from asam.model.latent import Gaussian
from asam_trt import __version__
from asam_trt.paired_iou import mean_iou

PEERS = ("torch-float32", "torch-bf16", "ort-float32", "loop")
BROKEN = "torch-bf16-compiled"
SETTINGS = bench.Settings(
    backbone="nano",
    image_size=64,
    n=(1, 2),
    repeats=2,
    threads=1,
    peers=(*PEERS, BROKEN),
    precision="float32",
    loop_limit=1,
)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def report(steps: list[tuple[str, int, int]]) -> bench.Report:
    """One run serves all tests; in it, a peer fails."""
    open_peer = measure.open_peer

    def fail(name: str, *rest: Any) -> Route:
        if name == BROKEN:
            raise RuntimeError(f"{name} needs\n a compiler")
        return open_peer(name, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "open_peer", fail)
        return bench.run(SETTINGS, lambda text, done, total: steps.append((text, done, total)))


def rows_of(report: bench.Report, route: str) -> list[bench.Row]:
    return [row for row in report.rows if row.route == route]


def test_every_route_has_its_rows(report: bench.Report) -> None:
    batched = [
        (stage, n, route)
        for stage, counts in (("encode", (None,)), ("sample", (1, 2)), ("frame", (1, 2)))
        for n in counts
        for route in ("asam", *PEERS[:-1])
    ]
    expected = [*batched, ("frame", 1, "loop")]
    assert sorted(map(str, expected)) == sorted(str((row.stage, row.n, row.route)) for row in report.rows)
    assert [row.stage for row in report.rows] == sorted(
        (row.stage for row in report.rows), key=("encode", "sample", "frame").index
    )


def test_rows_carry_what_they_were_measured_with(report: bench.Report) -> None:
    for row in report.rows:
        assert (row.threads, row.side, row.backbone) == (1, 64, "nano")
        assert len(row.seconds) == 2
        assert min(row.seconds) > 0
        assert row.ratio > 0
    assert all(row.ratio == 1 for row in rows_of(report, "asam"))


def test_errors_are_those_of_the_number_format(report: bench.Report) -> None:
    for route in ("asam", "torch-float32", "ort-float32", "loop"):
        for row in rows_of(report, route):
            scale = report.largest_logit if row.n else 1.0
            assert row.max_error is not None
            assert 0 < row.max_error < 1e-4 * max(scale, 1e-3), row
            assert row.n is None or (row.mask_iou is not None and row.mask_iou > 0.999)
    for row in rows_of(report, "torch-bf16"):
        scale = report.largest_logit if row.n else 1.0
        assert row.max_error is not None
        # bf16 keeps 8 bits; an error as small as float32's would mean that it was not used.
        assert 1e-4 * scale < row.max_error < 0.5 * max(scale, 1.0), row


def test_reference_masks_are_worth_comparing(report: bench.Report) -> None:
    assert 0.01 < report.mask_share < 0.99


def test_what_did_not_run_is_named_with_its_reason(report: bench.Report) -> None:
    assert report.skipped == (
        bench.Skipped(BROKEN, None, f"{BROKEN} needs a compiler"),
        bench.Skipped("loop", 2, "n = 2 is above the loop limit of 1"),
    )
    assert f"not run: {BROKEN}: {BROKEN} needs a compiler" in str(report)
    assert "not run: loop, n = 2: n = 2 is above the loop limit of 1" in str(report)


def test_progress_ends_with_all_steps_done(report: bench.Report, steps: list[tuple[str, int, int]]) -> None:
    done = [step for _, step, _ in steps]
    assert done == sorted(done)
    text, last, total = steps[-1]
    assert (text, last) == ("done", total)


def test_json_has_everything(report: bench.Report, tmp_path: Path) -> None:
    path = tmp_path / "new" / "bench.json"
    report.save(path)
    values = json.loads(path.read_text())
    assert list(path.parent.iterdir()) == [path]
    assert values["format"] == 1
    assert set(values) == {
        "format", "machine", "weights", "engine", "threads", "side", "backbone", "repeats",
        "largest_logit", "mask_share", "rows", "skipped", "floor",
    }  # fmt: skip
    assert set(values["machine"]) == {
        "processor", "cores", "isa", "versions", "commit", "date", "command", "load", "busy",
    }  # fmt: skip
    assert len(values["rows"]) == len(report.rows)
    for row, source in zip(values["rows"], report.rows, strict=True):
        assert row["median"] == pytest.approx(np.median(source.seconds))
        assert row["seconds"] == list(source.seconds)
    assert set(values["floor"]["share"]) == {"1", "2"}
    assert [set(item) for item in values["skipped"]] == [{"route", "n", "reason"}] * 2


def test_text_has_a_header_and_one_line_a_row(report: bench.Report) -> None:
    text = str(report)
    for word in ("machine:", "versions:", "commit:", "command:", "model:", "float64:", "floor:"):
        assert word in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(report.rows)
    assert len({len(line) for line in lines}) == 1


def test_without_a_checkout_the_version_is_said(report: bench.Report) -> None:
    installed = replace(report, machine=replace(report.machine, commit=None))
    assert f"commit:   not a checkout: installed, version {__version__}, " in str(installed)


def test_busy_is_said(report: bench.Report) -> None:
    quiet = replace(report.machine, cores=2, load=0.2)
    assert not quiet.busy(2)
    assert replace(quiet, load=1.0).busy(2)
    assert not replace(quiet, load=1.0).busy(1)
    assert not replace(quiet, load=None).busy(2)
    said = str(replace(report, machine=replace(quiet, load=9.0)))
    assert "BUSY:" in said
    assert "/ ours (BUSY)" in said
    assert "BUSY" not in str(replace(report, machine=quiet))


def test_one_run_has_no_spread_and_no_floor_is_no_line(report: bench.Report) -> None:
    assert all(row.spread is not None for row in report.rows)
    assert replace(report.rows[0], seconds=(1.0,)).spread is None
    assert "floor:" not in str(replace(report, floor=None))


@pytest.mark.slow
def test_the_other_peers_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    words = "bench --backbone nano --image-size 32 --n 2 --repeats 1 --threads 1 --no-floor --json"
    # One compiled peer: the other is the same code in another type, and compiling takes minutes.
    peers = ["torch-bf16-compiled", "ort-int8", "ort-mixed"]
    assert cli.main([*words.split(), str(file), "--peers", *peers]) == 0
    assert f"wrote {file}" in capsys.readouterr().out
    values = json.loads(file.read_text())
    assert values["skipped"] == []
    frames = {row["route"]: row["mask_iou"] for row in values["rows"] if row["stage"] == "frame"}
    assert set(frames) == {"asam", *peers}
    assert min(frames.values()) > 0.9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": ()}, "n from 1"),
        ({"n": (0,)}, "n from 1"),
        ({"n": (8, 8)}, "8 more than once"),
        ({"repeats": 0}, "repeats of at least 1"),
        ({"threads": 0}, "threads from 1"),
        ({"peers": ("jax",)}, "jax"),
        ({"checkpoint": Path("a.safetensors")}, "either a checkpoint"),
    ],
)
def test_bad_settings(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SETTINGS, **changes)  # type: ignore[arg-type]


def test_options_are_the_settings() -> None:
    # The command spells the names out, so that --help need not load PyTorch.
    peers = get_type_hints(command.Args)["peers"]
    assert get_args(get_args(peers)[0]) == bench.PEERS
    options = vars(command.Args())
    assert options.pop("json") is None
    assert options == vars(bench.Settings())


def test_calls_take_turns_and_are_warm() -> None:
    order: list[str] = []

    def call(name: str) -> Callable[[], None]:
        return lambda: order.append(name)

    times = timing.interleaved({"a": call("a"), "b": call("b")}, 3, lambda i: order.append(str(i)))
    assert "".join(order) == "0aabb1aabb2aabb"
    assert [len(values) for values in times.values()] == [3, 3]


def test_mean_iou() -> None:
    a = np.zeros((3, 2, 2), np.bool_)
    b = a.copy()
    a[1, 0] = True  # half of b's
    b[1] = True
    a[2, 0], b[2, 1] = True, True  # apart
    assert mean_iou(a, b) == pytest.approx((1 + 0.5 + 0) / 3)


def test_a_batch_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_free_memory", lambda: 1_000_000)
    model = ASAM.from_preset(backbone="nano", image_size=64)
    image, box = subject.picture(64, 0)
    small = subject.Subject(model, Path(), image, box, seed=0, threads=1)
    small.room_for(1)
    with pytest.raises(MemoryError, match=r"one batch of 1000 takes about .* GB, 0\.0 GB is free"):
        small.room_for(1000)


@pytest.mark.parametrize(("side", "plain", "reduced"), [(128, 101e6, 71e6), (1024, 4527e6, 2635e6)])
def test_multiply_adds_of_sam(side: int, plain: float, reduced: float) -> None:
    """Counts worked out by hand, the second without identity 4."""
    counts = ceiling.multiply_adds(ModelConfig(image_size=side, mask_tokens=6))
    assert counts.plain == pytest.approx(plain, rel=0.005)
    assert counts.reduced + counts.prefix == pytest.approx(reduced, rel=0.015)


@pytest.mark.parametrize("draws", [False, True])
def test_multiply_adds_against_a_counter(draws: bool) -> None:
    """`ASAM.decode` has identities 1 to 3, so that one more hypothesis costs it what the count says."""
    torch.manual_seed(0)
    fields = fresh_model("asam", backbone="nano", image_size=64, draws_prompts=draws)
    model = ASAM(ModelConfig.from_dict(fields)).eval()
    sizes, config = model.config.sizes, model.config
    latent = Gaussian(torch.zeros(1, sizes.latent), torch.ones(1, sizes.latent))

    def flops(n: int) -> int:
        tokens, dense = model.embed_prompt(1, boxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]))
        embedding = torch.randn(1, sizes.channels, config.grid, config.grid)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            decode_noise(model, embedding, tokens, dense, latent, latent, torch.randn(n, 2, sizes.latent))
        return counter.get_total_flops()

    counts = ceiling.multiply_adds(config)
    assert (flops(3) - flops(2)) / 2 == pytest.approx(counts.reduced + counts.prefix, rel=0.01)


def test_a_checkout_is_recognised_by_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("asam.__file__", str(tmp_path / "__init__.py"))
    assert machine.look().commit is None


def test_markdown() -> None:
    table = markdown(["name", "value"], [["a", "1.0"], ["long name", "22.5"]], left=(0,))
    assert table.splitlines() == [
        "| name      | value |",
        "|-----------|------:|",
        "| a         |   1.0 |",
        "| long name |  22.5 |",
    ]
