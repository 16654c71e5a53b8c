"""Which precision a session takes, where it says so, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import asam_trt
from asam_trt import _ops, build, precision
from asam_trt.bundle import EngineBundle

BOX = (10, 5, 60, 40)
ISA = _ops.isa()
INTEGERS = [name for name, isas in precision._INTEGERS.items() if ISA in isas]
needs_int16 = pytest.mark.skipif("int16" not in INTEGERS, reason="int16 needs AVX2")
needs_int8 = pytest.mark.skipif(
    "int8" not in INTEGERS, reason="int8 needs AVX-VNNI, AVX512-VNNI or NEON's dot product"
)
needs_avx2 = pytest.mark.skipif("avx2" not in _ops.supported_isas(), reason="forces AVX2")


def under(isa: str, script: str, engine: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, asam_trt\n" + script, str(engine)],
        env={**os.environ, "ASAM_FORCE_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_auto_takes_int16_where_it_is_faster(engine: Path) -> None:
    with asam_trt.Session(engine) as session:
        assert session.precision == ("int16" if ISA in ("avx2", "avxvnni", "avx512vnni") else "float32")
        assert f"{session.precision}, {session.precision_reason}" in repr(session)
    assert asam_trt.doctor(show=False)["precision"].detail.startswith(f"auto is {session.precision}: ")


@needs_int16
def test_precisions_are_near_and_not_equal(engine: Path, image: np.ndarray) -> None:
    found = {}
    for name in ("float32", *INTEGERS):
        with asam_trt.load(engine, precision=name) as session:
            assert (session.precision, session.precision_reason) == (name, "asked for")
            session.set_image(image)
            found[name] = session.sample(box=BOX, n=8, seed=1).logits
    largest = np.abs(found["float32"]).max()
    for name, (least, most) in {
        "int16": (1e-6, 0.005),
        "int8-encoder": (1e-5, 0.05),
        "int8": (1e-5, 0.05),
    }.items():
        if name in found:
            assert least < np.abs(found[name] - found["float32"]).max() < most * largest
    if "int8" in found:
        assert np.abs(found["int8"] - found["int16"]).max() > 1e-5


@needs_int8
def test_8_bits_in_the_encoder_alone(engine: Path, image: np.ndarray) -> None:
    """The image state of int8, and from there on what int16 computes, or float32 where that is not."""
    _, beside = precision.of_parts("int8-encoder")
    eps = np.random.default_rng(0).standard_normal((4, 2, asam_trt.Session(engine).engine.sampler.latent))
    found = {}
    for name in ("int8-encoder", "int8"):
        with asam_trt.Session(engine, precision=name, encoder="native") as session:
            session.set_image(image)
            hyp = session.sample(box=BOX, eps=eps.astype(np.float32))
            found[name] = session._current._state.embedding, hyp.logits
    assert np.array_equal(found["int8-encoder"][0], found["int8"][0])
    assert not np.array_equal(found["int8-encoder"][1], found["int8"][1])
    with (
        asam_trt.Session(engine, precision="int8-encoder", encoder="onnxruntime") as one,
        asam_trt.Session(engine, precision=beside, encoder="onnxruntime") as other,
    ):
        for session in (one, other):
            session.set_image(image)
        np.testing.assert_array_equal(*(session.sample(box=BOX, n=4).logits for session in (one, other)))


@needs_int8
def test_integers_behind_an_encoder_in_float32(engine: Path, image: np.ndarray) -> None:
    with asam_trt.Session(engine, precision="int8", encoder="onnxruntime") as session:
        assert (session.precision, session.encoder) == ("int8", "onnxruntime")
        session.set_image(image)
        assert np.isfinite(session.sample(box=BOX, n=2).logits).all()


@needs_int16
def test_bf16_means_int16_on_the_cpu(engine: Path, tmp_path: Path) -> None:
    with asam_trt.Session(engine, precision="bf16") as session:
        assert session.precision == "int16"
        assert "in place of bf16" in session.precision_reason


def test_what_auto_is_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision.of_engine("int8", "cuda") == precision.choose("auto", "cuda")
    assert precision.of_engine("int16", "tensorrt") == precision.choose("auto", "tensorrt")
    assert precision.of_engine("bf16", "cuda") == ("bf16", "the engine was built for bf16")
    for isa, built_for, expected in (
        ("avx512vnni", "auto", "int16"),
        ("avxvnni", "auto", "int16"),
        ("avxvnni", "int8", "int8"),
        ("avxvnni", "int8-encoder", "int8-encoder"),
        ("avx512vnni", "int8", "int8"),
        ("avx512vnni", "bf16", "int16"),
        ("avx512f", "int16", "int16"),
        ("avx512vnni", "int8-encoder", "int8-encoder"),
        ("avx512f", "int8", "float32"),
        ("avx2", "int8-encoder", "int16"),
        ("avx2", "float32", "float32"),
        ("avx2", "int8", "int16"),
        ("neon", "int8", "float32"),
        ("neondot", "auto", "float32"),
        ("neondot", "int8", "int8"),
        ("neondot", "int8-encoder", "int8-encoder"),
        ("neondot", "int16", "float32"),
    ):
        monkeypatch.setattr(_ops, "isa", lambda isa=isa: isa)
        chosen, why = precision.of_engine(built_for, "cpu")
        assert chosen == expected
        if (isa, built_for) == ("avx2", "int8"):
            assert (
                "this processor has AVX2; int8, which the engine was built for, needs AVX-VNNI, AVX512-VNNI or NEON's "
                "dot product, and " in why
            )


def test_what_the_parts_of_int8_encoder_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for isa, beside in {"avxvnni": "int16", "avx512vnni": "int16", "neondot": "float32"}.items():
        monkeypatch.setattr(_ops, "isa", lambda isa=isa: isa)
        assert precision.of_parts("int8-encoder") == ("int8", beside)
        assert precision.of_parts("int8") == ("int8", "int8")


def test_before_avx2_auto_is_float32_and_integers_are_refused(engine: Path) -> None:
    said = under("portable", "print(asam_trt.Session(sys.argv[1]))", engine)
    assert "float32, int16 needs AVX2, and " in said
    for name, needed in {
        "int16": "AVX2",
        "bf16": "AVX2",
        "int8-encoder": "AVX-VNNI, AVX512-VNNI or NEON's dot product",
        "int8": "AVX-VNNI, AVX512-VNNI or NEON's dot product",
    }.items():
        said = under("portable", f"asam_trt.Session(sys.argv[1], precision={name!r})", engine)
        assert f"BackendUnavailable: precision {name!r} cannot run: it needs {needed}, and " in said
        assert "use precision='float32' or 'auto'" in said
        if name in INTEGERS:
            assert "ASAM_FORCE_ISA allows portable at most" in said


@needs_avx2
def test_avx2_has_int16_and_no_int8(engine: Path) -> None:
    assert "int16, this processor has AVX2" in under("avx2", "print(asam_trt.Session(sys.argv[1]))", engine)
    said = under("avx2", "asam_trt.Session(sys.argv[1], precision='int8')", engine)
    assert "use precision='int16', precision='float32' or 'auto'" in said


@needs_int16
def test_an_engine_keeps_the_precision_that_it_was_built_for(
    engine: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_write_parts", lambda model, folder, *_: _copy_parts(engine, folder))
    target = tmp_path / "a.asam"
    asam_trt.build_engine(checkpoint, target, precision="float32", progress=False)
    with asam_trt.Session(target) as session:
        assert session.precision == "float32"
        assert session.precision_reason == "the engine was built for float32"
    with asam_trt.Session(target, precision="int16") as session:
        assert session.precision == "int16"
    # The same checkpoint for another precision is another engine.
    asam_trt.build_engine(checkpoint, target, precision="int16", progress=False)
    assert EngineBundle.open(target).precision == "int16"


def _copy_parts(engine: Path, folder: Path) -> dict[str, object]:
    for file in engine.iterdir():
        if file.name != "manifest.json":
            (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((engine / "manifest.json").read_text())
    return {name: manifest[name] for name in ("sampler", "preprocessing")}


@pytest.mark.parametrize("name", ["", "BF16"])
def test_unknown_precisions_are_refused(engine: Path, name: str) -> None:
    known = "auto, float32, int16, int8-encoder, int8, bf16"
    with pytest.raises(ValueError, match=f"expected precision to be one of {known}, came {name!r}"):
        asam_trt.Session(engine, precision=name)
    with pytest.raises(ValueError, match="expected precision to be one of"):
        precision.choose(name)


def test_a_precision_of_the_other_kind_of_processor_says_where_it_runs(engine: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"expected a GPU \(backend cuda or tensorrt\) for precision='fp16', came the CPU; on it, use one of "
        "auto, float32, int16, int8-encoder, int8, bf16",
    ):
        asam_trt.Session(engine, precision="fp16")
    for name in ("int16", "int8"):
        with pytest.raises(
            ValueError,
            match=f"expected the CPU for precision='{name}', came the backend cuda; on it, use one of auto, float32, "
            "bf16, fp16",
        ):
            precision.choose(name, "cuda")
