"""Who encodes images: the choice, what both choices give, and engines whose native weights are bad."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save

import asam_trt
from asam_trt import EngineError, _ops, backends, bundle, encoders
from asam_trt import precision as precisions
from asam_trt.backends import onnx_session
from asam_trt.backends.cpu import CpuParts
from asam_trt.backends.device_array import DeviceArray
from asam_trt.bundle import EngineBundle
from asam_trt.encoder_spec import EncoderConfig
from asam_trt.torch_parts import availability
from asam_trt.torch_parts.parts import TorchParts

BOX = (10, 8, 60, 40)
WEIGHTS = "image_encoder.safetensors"
PRIORS = ("image_prior.safetensors", "prompt_prior.safetensors")


@pytest.fixture
def folder(engine: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(engine, tmp_path / "copy.asam"))


def rewrite(folder: Path, *, without: tuple[str, ...] = (), **files: bytes) -> None:
    """Replace or remove files and make the manifest fit, as somebody hostile would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in without:
        (folder / name).unlink()
        del manifest["files"][name]
    for name, data in files.items():
        (folder / name).write_bytes(data)
        manifest["files"][name] = {"bytes": len(data), "sha256": bundle.sha256_of(folder / name)}
    manifest["digest"] = bundle.manifest_digest(manifest)
    (folder / "manifest.json").write_bytes(bundle.manifest_bytes(manifest))


def header(folder: Path, file: str = WEIGHTS) -> dict[str, str]:
    with safe_open(folder / file, "numpy") as stored:
        found: dict[str, str] = stored.metadata()
    return found


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_both_encoders_give_the_same(engine: Path, image: np.ndarray, precision: str) -> None:
    found = {}
    for encoder in ("native", "onnxruntime"):
        with asam_trt.load(engine, encoder=encoder, precision=precision) as session:
            assert (session.encoder, session.encoder_reason) == (encoder, "asked for")
            session.set_image(image)
            found[encoder] = session.sample(box=BOX, n=4)
            exact = session.precision == "float32"
    a, b = found["native"], found["onnxruntime"]
    largest = float(np.abs(b.logits).max())
    np.testing.assert_allclose(a.logits, b.logits, rtol=0, atol=(1e-4 if exact else 3e-2) * largest)
    np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=1e-4 if exact else 3e-2)


def test_auto_takes_the_faster_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "portable": "onnxruntime",
        "neon": "onnxruntime",
        "neondot": "onnxruntime",
        "avx2": "native",
        "avxvnni": "native",
        "avx512f": "native",
        "avx512vnni": "native",
    }
    for isa, encoder in expected.items():
        monkeypatch.setattr(_ops, "isa", lambda isa=isa: isa)
        name, reason = encoders.choose("auto", has_native=True)
        assert name == encoder
        assert isa in reason
        assert encoders.choose("auto", has_native=False)[0] == "onnxruntime"
        assert encoders.choose("native", has_native=True) == ("native", "asked for")
        # Who asks for 8 bits means those that ONNX Runtime's encoder has not.
        assert encoders.choose("auto", has_native=True, precision="int8")[0] == "native"
        assert encoders.choose("auto", has_native=False, precision="int8")[0] == "onnxruntime"


def test_unknown_encoders_are_refused(engine: Path) -> None:
    with pytest.raises(ValueError, match="encoder to be one of auto, native, onnxruntime, torch, came 'jax'"):
        asam_trt.Session(engine, encoder="jax")


@pytest.mark.parametrize("backend", ["cpu", "auto"])
def test_pytorch_encodes_for_the_backend_cuda_alone(
    engine: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(backends, "choose", lambda name: ("cpu", "no GPU"))
    with pytest.raises(ValueError, match="'torch' with the backend 'cuda' alone, came the backend 'cpu'"):
        asam_trt.Session(engine, backend=backend, encoder="torch")


class Here:
    """What encodes on the GPU of the next test: `torch` and `onnx` are "" or what is wrong with them."""

    torch, onnx = "", ""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(availability, "problem", lambda: self.torch)
        monkeypatch.setattr(onnx_session, "problem", lambda provider: self.onnx)

    def choose(self, name: str, *, native: bool = True, priors: bool = True) -> tuple[str, str]:
        return encoders.choose(name, has_native=native, has_torch_parts=native and priors, backend="cuda")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(monkeypatch)


def test_the_gpu_takes_pytorch_then_onnx_runtime_then_the_cpu(here: Here) -> None:
    assert here.choose("auto") == ("torch", "PyTorch runs on the GPU")
    assert here.choose("torch") == ("torch", "asked for")
    here.torch = "no PyTorch"
    name, why = here.choose("auto")
    assert name == "onnxruntime-cuda"
    assert "no PyTorch" in why
    here.onnx = "no provider"
    name, why = here.choose("auto")
    assert (name, why.split("; ")[1:]) == (
        encoders.choose("auto", has_native=True)[0],
        ["nothing encodes on the GPU: no PyTorch", "no provider"],
    )
    with pytest.raises(
        asam_trt.BackendUnavailable, match=r"'torch' cannot run: no PyTorch; .*encoder='auto'"
    ):
        here.choose("torch")


@pytest.mark.parametrize(("native", "priors"), [(False, True), (True, False)])
def test_networks_that_have_no_native_weights(here: Here, native: bool, priors: bool) -> None:
    """Such as those of the preset a2sam."""
    name, why = here.choose("auto", native=native, priors=priors)
    assert name == "onnxruntime-cuda"
    assert "the engine has no weights of its encoder and latent networks" in why
    with pytest.raises(EngineError, match=r"the engine has no weights.*encoder='auto'"):
        here.choose("torch", native=native, priors=priors)


@pytest.mark.parametrize("name", ["native", "onnxruntime"])
def test_encoders_of_the_cpu_may_be_asked_for_on_the_gpu(here: Here, name: str) -> None:
    assert here.choose(name) == (name, "asked for")


def test_pytorch_that_does_not_run_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch, "ones", broken)
    assert re.search(r"does not run .*: no kernel image is available \(install", availability.problem())
    monkeypatch.setattr(torch, "ones", lambda *_, **__: torch.tensor([1.0, 1.0]))
    assert availability.problem() == ""
    monkeypatch.setattr(torch, "ones", lambda *_, **__: torch.tensor([1.0, 2.0]))
    assert "wrong numbers" in availability.problem()
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "has no CUDA" in availability.problem()
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "cannot be imported" in availability.problem()


def test_pytorchs_parts_are_the_native_ones(engine: Path) -> None:
    found = EngineBundle.open(engine)
    parts, native = TorchParts(found, "float32", "cpu"), CpuParts(found, 1, "float32", "native")
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    sizes = found.sampler
    pixels = [draw(3, sizes.side, sizes.side) for _ in range(2)]
    images = [parts.encode(each) for each in pixels]
    for each, image in zip(pixels, images, strict=True):
        want = native.encode(each)
        for a, b in zip(image, want, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a.owner.numpy(), b, rtol=0, atol=1e-4 * np.abs(b).max())
        for tokens, dense in (
            (draw(2, sizes.channels), draw(sizes.channels)),
            (draw(0, sizes.channels), draw(*image[0].shape)),
        ):
            told = zip(
                parts.prior(image[0], tokens, dense), native.prior(want[0], tokens, dense), strict=True
            )
            for a, b in told:
                np.testing.assert_allclose(a.owner.numpy(), b, rtol=0, atol=1e-4 * np.abs(b).max())


def test_what_parts_leave_on_a_gpu_is_described_as_pytorch_takes_it() -> None:
    numbers = np.zeros((2, 3), np.float32)
    described = DeviceArray(numbers, numbers.ctypes.data, numbers.shape).__cuda_array_interface__
    assert described == {
        "version": 3,
        "typestr": "<f4",
        "shape": (2, 3),
        "data": (numbers.ctypes.data, False),  # torch.as_tensor refuses what is read-only
        "strides": None,
        "stream": None,
    }


@pytest.mark.parametrize("file", [WEIGHTS, *PRIORS])
def test_pytorch_refuses_bad_weights_with_fitting_hashes(folder: Path, file: str) -> None:
    key = "encoder" if file == WEIGHTS else "prior"
    sizes = {key: header(folder, file)[key]}
    weights = load_file(folder / file)
    rewrite(folder, **{file: save(weights | {"extra": np.zeros(3, np.float32)}, sizes)})
    with pytest.raises(EngineError, match=rf"{file}: weights: unknown tensor 'extra'"):
        TorchParts(EngineBundle.open(folder), "bf16", "cpu")


@pytest.mark.parametrize("file", PRIORS)
def test_pytorch_misses_a_latent_network(folder: Path, file: str) -> None:
    rewrite(folder, without=(file,))
    with pytest.raises(
        EngineError, match=rf"{file}: expected weights of a latent network, came no such file"
    ):
        TorchParts(EngineBundle.open(folder), "bf16", "cpu")


_BARE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np, asam_trt
import asam_trt.backends.cuda
with asam_trt.Session({engine!r}, encoder="native") as session:
    session.set_image(np.zeros((64, 64, 3), np.uint8))
    print(len(session.sample(n=1)), "torch" in sys.modules)
import asam_trt.torch_parts.parts
"""


@pytest.mark.parametrize(
    "missing", [{"torch"}, {"onnxruntime", "segment_anything", "asam", "PIL", "torchvision"}]
)
def test_what_a_machine_may_lack(engine: Path, missing: set[str]) -> None:
    code = _BARE.format(missing=missing, engine=str(engine))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "1 False\n", done.stderr
    assert (done.returncode != 0) == ("torch" in missing), done.stderr  # which the last line alone needs


def test_an_engine_without_native_weights(folder: Path, image: np.ndarray) -> None:
    """As engines were before there was a native encoder."""
    rewrite(folder, without=(WEIGHTS, *PRIORS))
    with asam_trt.Session(folder) as session:
        assert session.encoder == "onnxruntime"
        assert "no weights" in session.encoder_reason
        session.set_image(image)
        assert len(session.sample(box=BOX, n=2)) == 2
    with pytest.raises(EngineError, match=r"without: build it again"):
        asam_trt.Session(folder, encoder="native")


HOSTILE: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("one missing", lambda w: w.pop("position")),
    ("another shape", lambda w: w.update(position=w["position"][1:].copy())),
    ("transposed", lambda w: w.update({"patch.weight": w["patch.weight"].T.copy()})),
    ("NaN", lambda w: w["neck.2.weight"].__setitem__((0, 0), np.nan)),
    ("float64", lambda w: w.update(position=w["position"].astype(np.float64))),
    ("a stranger", lambda w: w.update(extra=np.zeros(3, np.float32))),
    ("nothing", lambda w: w.clear()),
]


@pytest.mark.parametrize(("name", "change"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_bad_weights_with_fitting_hashes(folder: Path, name: str, change: Callable[..., Any]) -> None:
    sizes = header(folder)
    weights = load_file(folder / WEIGHTS)
    change(weights)
    rewrite(folder, **{WEIGHTS: save(weights, sizes)})
    with pytest.raises(EngineError, match=r"image_encoder\.safetensors"):
        asam_trt.Session(folder, encoder="native")


BAD_PRIORS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("one missing", lambda w: w.pop("output.bias")),
    ("another shape", lambda w: w.update({"output.bias": w["output.bias"][1:].copy()})),
    ("infinite", lambda w: w["blocks.0.0.weight"].__setitem__((0, 0), np.inf)),
    ("float64", lambda w: w.update({"output.bias": w["output.bias"].astype(np.float64)})),
    ("a stranger", lambda w: w.update(extra=np.zeros(3, np.float32))),
]


@pytest.mark.parametrize("file", PRIORS)
@pytest.mark.parametrize(("name", "change"), BAD_PRIORS, ids=[name for name, _ in BAD_PRIORS])
def test_bad_priors_with_fitting_hashes(
    folder: Path, name: str, change: Callable[..., Any], file: str
) -> None:
    sizes = header(folder, file)
    weights = load_file(folder / file)
    change(weights)
    rewrite(folder, **{file: save(weights, sizes)})
    with pytest.raises(EngineError, match=file):
        asam_trt.Session(folder, encoder="native")
    with asam_trt.Session(folder, encoder="onnxruntime") as session:
        assert session.encoder == "onnxruntime"


@pytest.mark.parametrize("file", PRIORS)
@pytest.mark.parametrize(
    "change", [{"grid": 8}, {"latent": "32"}, {"widths": {}}, {"convs": 1 << 70}, {"more": 1}]
)
def test_sizes_of_priors_that_do_not_fit(folder: Path, change: dict[str, Any], file: str) -> None:
    sizes = {"prior": json.dumps({**json.loads(header(folder, file)["prior"]), **change})}
    rewrite(folder, **{file: save(load_file(folder / file), sizes)})
    with pytest.raises(EngineError, match=file):
        asam_trt.Session(folder, encoder="native")


@pytest.mark.parametrize("high", [10**400, 1e999])
def test_a_range_beyond_floating_point(folder: Path, high: float) -> None:
    sizes = {
        "prior": json.dumps({**json.loads(header(folder, PRIORS[0])["prior"]), "log_sigma_range": [0, high]})
    }
    rewrite(folder, **{PRIORS[0]: save(load_file(folder / PRIORS[0]), sizes)})
    with pytest.raises(EngineError, match="log_sigma_range"):
        asam_trt.Session(folder, encoder="native")


@pytest.mark.parametrize("precision", ["float32", "int16", "int8"])
def test_an_encoder_that_overflows_is_the_engines_mistake(
    folder: Path, image: np.ndarray, precision: str
) -> None:
    try:
        precisions.choose(precision)
    except asam_trt.BackendUnavailable as error:
        pytest.skip(str(error))
    sizes, weights = header(folder), load_file(folder / WEIGHTS)
    weights["patch.weight"] *= np.float32(1e38)
    weights["position"] += np.float32(3e38)
    rewrite(folder, **{WEIGHTS: save(weights, sizes)})
    with asam_trt.Session(folder, encoder="native", precision=precision) as session:
        with pytest.raises(EngineError, match=str(folder)):
            session.set_image(image)
        for wrong in (np.full((8, 8, 3), np.nan), np.zeros((3, 3, 3, 3))):
            with pytest.raises(ValueError, match="expected"):
                session.set_image(wrong)


def test_priors_that_changed_places(folder: Path) -> None:
    first, second = ((folder / file).read_bytes() for file in PRIORS)
    rewrite(folder, **dict(zip(PRIORS, (second, first), strict=True)))
    with pytest.raises(EngineError, match="whether it sees the prompt"):
        asam_trt.Session(folder, encoder="native")


def test_native_priors_are_those_of_onnx_runtime(engine: Path, folder: Path, image: np.ndarray) -> None:
    """A session that encodes natively and takes the prompt's prior from ONNX Runtime, as engines of before do."""
    rewrite(folder, without=("prompt_prior.safetensors",))
    prompts = ({"box": BOX}, {"point_coords": [[20, 30]], "point_labels": [1]}, {})
    with (
        asam_trt.Session(engine, encoder="native", precision="float32") as native,
        asam_trt.Session(folder, encoder="native", precision="float32") as mixed,
    ):
        for session in (native, mixed):
            session.set_image(image)
        for prompt in prompts:
            a, b = (session.sample(**prompt, n=4) for session in (native, mixed))
            np.testing.assert_allclose(a.logits, b.logits, rtol=0, atol=1e-4 * np.abs(b.logits).max())
            assert not np.array_equal(a.logits, b.logits)


@pytest.mark.parametrize(
    "change",
    [
        {"side": 128},
        {"side": 1 << 40},
        {"side": "64"},
        {"channels": 32},
        {"heads": 3},
        {"windows": []},
        {"windows": [0] * 1000},
        {"windows": [0, 1 << 30]},
        {"windows": {"0": 1}},
        {"depth": 3},
    ],
    ids=str,
)
def test_sizes_that_do_not_fit(folder: Path, change: dict[str, Any]) -> None:
    sizes = {"encoder": json.dumps({**json.loads(header(folder)["encoder"]), **change})}
    rewrite(folder, **{WEIGHTS: save(load_file(folder / WEIGHTS), sizes)})
    with pytest.raises(EngineError, match=r"image_encoder\.safetensors: expected"):
        asam_trt.Session(folder, encoder="native")


@pytest.mark.parametrize("text", [None, "", "null", "[]", "{", "[" * 100_000, "{}"], ids=lambda t: str(t)[:8])
def test_headers_that_are_none(folder: Path, text: str | None) -> None:
    sizes = None if text is None else {"encoder": text}
    rewrite(folder, **{WEIGHTS: save(load_file(folder / WEIGHTS), sizes)})
    with pytest.raises(EngineError, match=r"image_encoder\.safetensors: expected the encoder's sizes"):
        asam_trt.Session(folder, encoder="native")


def test_a_file_that_is_no_safetensors(folder: Path) -> None:
    rewrite(folder, **{WEIGHTS: b"no tensors"})
    with pytest.raises(EngineError, match=r"image_encoder\.safetensors: expected a readable"):
        asam_trt.Session(folder, encoder="native")


def test_a_foreign_image_prior(folder: Path) -> None:
    other = (folder / "prompt_prior.onnx").read_bytes()
    rewrite(folder, without=("image_prior.safetensors",), **{"image_prior.onnx": other})
    with pytest.raises(EngineError, match=r"image_prior\.onnx: expected inputs"):
        asam_trt.Session(folder, encoder="native")


def test_sizes_of_an_engine(engine: Path) -> None:
    found = EngineBundle.open(engine)
    config, weights = found.load_encoder()
    assert found.has_native_encoder
    assert isinstance(config, EncoderConfig)
    assert (config.side, config.channels, config.grid) == (64, found.sampler.channels, 4)
    assert weights["position"].shape == (16, config.width)
