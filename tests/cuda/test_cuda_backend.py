"""`Session(backend="cuda")` end to end, with its kernels on the CPU or on a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asam_trt
from asam_trt import _runtime, backends, encoders
from asam_trt.backends import cuda
from asam_trt.backends.onnx_gpu import OnnxParts
from asam_trt.encoder_spec import TinyEncoderConfig
from asam_trt.sampler_spec import SamplerConfig
from asam_trt.torch_parts import availability

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))
from plain_engine import random_engine

BOX = (10, 5, 60, 40)


@pytest.fixture(scope="module")
def on_cpu(engine: Path) -> Any:
    with asam_trt.Session(engine, backend="cpu", precision="float32") as session:
        yield session


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_hypotheses_are_the_cpus(
    library: str, engine: Path, on_cpu: asam_trt.Session, image: np.ndarray, precision: str
) -> None:
    on_cpu.set_image(image)
    with asam_trt.Session(engine, backend="cuda", precision=precision) as session:
        assert session.backend == "cuda"
        assert session.precision == ("bf16" if precision == "auto" else precision)
        assert "images encoded" in repr(session)
        session.set_image(image)
        mask = on_cpu.sample(box=BOX, n=1).logits[0]
        for prompt in (
            {"box": BOX},
            {},
            {"point_coords": [[30, 20]], "point_labels": [1], "mask_input": mask},
        ):
            want, got = (each.sample(**prompt, n=3, seed=4) for each in (on_cpu, session))
            scale = float(np.abs(want.logits).max())
            most = 1e-4 if precision == "float32" else 0.05
            np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=most * scale)
            np.testing.assert_allclose(got.scores, want.scores, rtol=0, atol=most)


def test_auto_takes_the_gpu_that_runs_it(library: str, engine: Path) -> None:
    assert cuda.problem() == ""
    name, why = backends.choose("auto")
    assert (name, why.split(",")[0]) == ("cuda", "the GPU runs it")


def test_a_gpu_that_computes_nonsense_is_not_taken(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runtime, "cuda_normal", lambda *_: np.zeros((1, 2, 4), np.float32))
    assert "wrong numbers" in cuda.problem()
    assert backends.choose("auto") == ("cpu", "no GPU that runs it: " + cuda.problem())
    with pytest.raises(asam_trt.BackendUnavailable, match="wrong numbers"):
        backends.choose("cuda")


def test_logits_that_are_not_the_cpus_are_refused(
    library: str, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        precision = "fp16"

        def __init__(self, *arguments: Any, precision: str) -> None:
            self.right = _runtime.Sampler(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.right, name)

        def sample(self, *arguments: Any) -> Any:
            logits, scores = self.right.sample(*arguments)
            return 1.1 * logits, scores

    monkeypatch.setattr(_runtime, "CudaSampler", Wrong)
    with pytest.raises(asam_trt.EngineError, match="of the CPU's in fp16"):
        asam_trt.Session(engine, backend="cuda", precision="fp16")


def test_a_provider_that_is_not_there(engine: Path) -> None:
    bundle = asam_trt.bundle.EngineBundle.open(engine)
    with pytest.raises(asam_trt.BackendUnavailable, match=r"no TeapotExecutionProvider.*pip install"):
        OnnxParts(bundle, "TeapotExecutionProvider", "cuda")


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-3), ("bf16", 0.1), ("fp16", 0.05)])
@pytest.mark.parametrize("encoder", ["torch", "onnxruntime-cuda"])
def test_images_are_encoded_on_the_gpu_where_something_has_its_code(
    emulated: Path,
    engine: Path,
    on_cpu: asam_trt.Session,
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    encoder: str,
    precision: str,
    most: float,
) -> None:
    """With the CPU in the GPU's place, whose memory the emulation reads as it would a GPU's."""
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    monkeypatch.setattr(cuda, "_DEVICE", "cpu")
    monkeypatch.setattr(availability, "problem", lambda: "" if encoder == "torch" else "no PyTorch")
    monkeypatch.setattr(encoders, "PROVIDER", "CPUExecutionProvider")
    with asam_trt.Session(engine, backend="cuda", precision=precision) as session:
        assert session.encoder == encoder
        assert f"images encoded by {encoder}" in repr(session)
        first = session.set_image(image)
        session.set_image(image[::-1].copy())
        got = session.sample(box=BOX, n=2, image=first)  # while another image is there too
    on_cpu.set_image(image)
    want = on_cpu.sample(box=BOX, n=2)
    np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=most * float(np.abs(want.logits).max()))


def test_pytorch_encodes_by_mobilesams_encoder_too(
    emulated: Path, tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    monkeypatch.setattr(cuda, "_DEVICE", "cpu")
    monkeypatch.setattr(availability, "problem", lambda: "")
    sampler = SamplerConfig(side=64, grid=4, channels=32, latent=8, mask_tokens=2, heads=4, mlp_dim=32)
    encoder = TinyEncoderConfig(
        side=64,
        channels=32,
        widths=(8, 12, 16, 16),
        depths=(1,) * 4,
        heads=(1, 1, 2, 2),
        windows=(7, 7, 3, 2),
    )
    engine = random_engine(tmp_path / "tiny.asam", sampler, encoder)
    found = []
    for options in ({"backend": "cuda", "encoder": "torch"}, {"backend": "cpu", "encoder": "native"}):
        with asam_trt.Session(engine.path, precision="float32", **options) as session:
            assert (session.encoder, session.encoder_reason) == (options["encoder"], "asked for")
            session.set_image(image)
            found.append(session.sample(box=BOX, n=2).logits)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-4 * float(np.abs(found[1]).max()))


def test_neither_pytorch_nor_onnx_runtime_for_the_gpu(
    emulated: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    monkeypatch.setattr(availability, "problem", lambda: "no PyTorch")
    with asam_trt.Session(engine, backend="cuda", precision="float32") as session:
        assert session.encoder in ("native", "onnxruntime")
        assert "nothing encodes on the GPU: no PyTorch" in session.encoder_reason
    with pytest.raises(asam_trt.BackendUnavailable, match="encoder 'torch' cannot run: no PyTorch"):
        asam_trt.Session(engine, backend="cuda", encoder="torch")


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_precisions_of_a_gpu(library: str, engine: Path, precision: str) -> None:
    with pytest.raises(ValueError, match="auto, float32, bf16, fp16"):
        asam_trt.Session(engine, backend="cuda", precision=precision)
