"""Through the public functions: `build_engine`, `Session`, `doctor`, and what they say of what is missing."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import asam_trt
from asam_trt import _runtime, backends
from asam_trt.bundle import MANIFEST, EngineBundle, read_manifest
from asam_trt.errors import BackendUnavailable
from asam_trt.tensorrt import libraries, plans

from .conftest import Machine
from .fake_gpu import pycuda_driver

BOX = (10, 10, 50, 40)


def test_a_session_draws_what_the_cpu_draws(machine: Machine, bundle: EngineBundle) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    drawn = {}
    for backend in ("tensorrt", "cpu"):
        with asam_trt.Session(bundle.path, backend=backend, precision="float32") as session:
            session.set_image(image)
            first = session.sample(box=BOX, n=5, seed=1)
            second = session.sample(
                mask_input=first.logits[0], point_coords=[[20, 20]], point_labels=[1], n=3
            )
            drawn[backend] = (first, second, *session.sample(boxes=[BOX, (5, 5, 30, 30)], n=2))
            assert session.backend == backend
            assert backend == "cpu" or f"TensorRT {machine.world.version}" in repr(session)
    for found, wanted in zip(drawn["tensorrt"], drawn["cpu"], strict=True):
        np.testing.assert_allclose(found.logits, wanted.logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=0, atol=1e-5)
    assert machine.world.alive == 0


def test_the_program_of_the_document(
    machine: Machine, bundle: EngineBundle, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = re.findall(
        r"```python\n(.*?)```", (repository / "docs" / "tensorrt.md").read_text(), flags=re.DOTALL
    )
    monkeypatch.chdir(bundle.path.parent)
    names = {"image": np.zeros((50, 80, 3), np.uint8)}
    exec(program, names)
    assert len(names["hypotheses"]) == 32
    assert machine.world.runs > 0


def test_auto_is_bf16_and_fp16_can_be_asked_for(machine: Machine, bundle: EngineBundle) -> None:
    for asked, given in (("auto", "bf16"), ("fp16", "fp16")):
        with asam_trt.Session(bundle.path, backend="tensorrt", precision=asked) as session:
            assert session.precision == given
            assert session.encoder == "tensorrt"
    with pytest.raises(ValueError, match="encoder='auto' with the backend 'tensorrt', came 'native'"):
        asam_trt.Session(bundle.path, backend="tensorrt", encoder="native")


@pytest.fixture
def exported(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds take the parts of `engine`, which is of the same checkpoint, in place of an export that takes seconds."""

    def write_parts(model: object, folder: Path, *rest: object) -> dict[str, object]:
        for file in engine.iterdir():
            if file.name != MANIFEST:
                shutil.copy(file, folder / file.name)
        return {name: read_manifest(engine)[name] for name in ("sampler", "preprocessing")}

    monkeypatch.setattr("asam_trt.build._write_parts", write_parts)


@pytest.mark.usefixtures("exported")
def test_building_for_tensorrt_leaves_plans_in_the_engine(
    machine: Machine, checkpoint: Path, tmp_path: Path
) -> None:
    def build(*, strip_weights: bool = False) -> Path:
        target = tmp_path / "a.asam"
        return asam_trt.build_engine(
            checkpoint, target, backend="tensorrt", progress=False, strip_weights=strip_weights
        )

    engine = build(strip_weights=True)
    (folder,) = (engine / "tensorrt").iterdir()
    assert {file.name for file in folder.iterdir()} == {*plans.SOURCES, plans.RECORD, plans.TIMING_CACHE}
    built = len(machine.world.builds)
    with asam_trt.Session(engine, backend="tensorrt"):
        assert len(machine.world.builds) == built
    (folder / plans.SAMPLER_PLAN).unlink()
    build(strip_weights=True)  # the engine is current, its plans are not
    assert len(machine.world.builds) == 2 * built
    machine.world.noise = 1e3
    (folder / plans.SAMPLER_PLAN).unlink()
    with pytest.raises(asam_trt.EngineError, match="not kept"):
        build()
    assert EngineBundle.open(engine).path == engine


@pytest.mark.usefixtures("exported")
def test_a_build_whose_plans_fail_leaves_nothing(machine: Machine, checkpoint: Path, tmp_path: Path) -> None:
    machine.world.refuse_build = True
    with pytest.raises(asam_trt.EngineError, match="no kernel for this node"):
        asam_trt.build_engine(checkpoint, tmp_path / "out" / "a.asam", backend="tensorrt", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_options_that_are_not_for_it(checkpoint: Path, machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="strip_weights for the backend 'tensorrt' alone"):
        asam_trt.build_engine(checkpoint, tmp_path / "a.asam", backend="cpu", strip_weights=True)
    with pytest.raises(
        ValueError, match="precision to be one of auto, float32, int16, int8-encoder, int8, bf16, came 'fp16'"
    ):
        asam_trt.build_engine(checkpoint, tmp_path / "a.asam", backend="tensorrt", precision="fp16")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (
            "tensorrt",
            r"TensorRT's Python bindings cannot be imported .*; pip install 'tensorrt>=10\.13,<12' 'pycuda",
        ),
        (
            "version",
            r"expected TensorRT 10\.13 to 11\.x, came 10\.12\.0; pip install 'tensorrt>=10\.13,<12' 'pycuda",
        ),
        ("pycuda", r"PyCUDA cannot be imported .*; pip install 'tensorrt>=10\.13,<12' 'pycuda"),
        ("plugin", r"no libasam_trt_plugin\.so; .* pip install \. -Ccmake\.define\.TENSORRT_ROOT="),
        ("cuda", r"no libasam_cuda\.so; .* pip install \. -Ccmake\.define\.ASAM_CUDA=ON"),
        ("driver", r"cuInit failed; an NVIDIA GPU with a recent driver is needed"),
        ("device", r"no CUDA device; an NVIDIA GPU is needed"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(
    machine: Machine, bundle: EngineBundle, monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    if missing == "tensorrt":
        monkeypatch.setitem(sys.modules, "tensorrt", None)
    elif missing == "version":
        monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "10.12.0")
    elif missing == "pycuda":
        monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    elif missing == "plugin":
        (machine.package / libraries.PLUGIN_LIBRARY).unlink()
    elif missing == "cuda":
        (machine.package / libraries.CUDA_LIBRARY).unlink()
    elif missing == "driver":

        def init() -> None:
            raise sys.modules["pycuda.driver"].Error("cuInit failed")

        monkeypatch.setattr(sys.modules["pycuda.driver"], "init", init)
    else:
        monkeypatch.setitem(sys.modules, "pycuda.driver", pycuda_driver(machine.gpu, devices=0))
    with pytest.raises(BackendUnavailable, match=said):
        backends.choose("tensorrt")
    with pytest.raises(BackendUnavailable, match=said):
        asam_trt.Session(bundle.path, backend="tensorrt")
    assert not (bundle.path / "tensorrt").exists()


def test_the_libraries_lie_beside_the_compiled_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which in an editable installation is not where the sources are."""
    if library := _runtime.cuda_report()["library"]:
        assert libraries.native_folder() == Path(library).parent
    for name in (libraries.CUDA_LIBRARY, libraries.PLUGIN_LIBRARY):
        (tmp_path / name).touch()
    monkeypatch.setattr(_runtime, "__file__", str(tmp_path / "_runtime.so"))
    assert libraries.plugin_library() == tmp_path / libraries.PLUGIN_LIBRARY
    (tmp_path / libraries.CUDA_LIBRARY).unlink()
    with pytest.raises(BackendUnavailable, match=r"no libasam_cuda\.so"):
        libraries.plugin_library()


def test_doctor_says_what_no_gpu_has_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from asam_trt import _doctor

    report = asam_trt.doctor(show=False)
    assert report["TensorRT plugin"].fix or report["TensorRT plugin"].status == "compiled, not run"
    (tmp_path / libraries.PLUGIN_LIBRARY).touch()
    monkeypatch.setattr(libraries, "native_folder", lambda: tmp_path)
    monkeypatch.setattr(
        _doctor, "_version_of", lambda name: {"tensorrt-cu13": "11.1", "pycuda": "2026.1"}.get(name)
    )
    report = asam_trt.doctor(show=False)
    assert report["TensorRT"].detail == "Python bindings: tensorrt-cu13 11.1"
    assert report["PyCUDA"].status == "ok"
    assert report["TensorRT plugin"].status == "compiled, not run"
    assert "no GPU has run it" in report["TensorRT plugin"].detail
