"""Everything that the code uses of TensorRT, against NVIDIA's own Python bindings, oldest and newest supported.

The bindings are a package of 1.3 MB without TensorRT's library; stand-ins for its functions let them be imported. They
are taken from the folder ASAM_TENSORRT_BINDINGS (one subfolder a version), else installed into build/tensorrt-bindings.
What is used comes from the source itself and from a build and runs with `fake_tensorrt.py`, which notes every call.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asam_trt.bundle import EngineBundle
from asam_trt.errors import EngineError
from asam_trt.tensorrt import graphs
from asam_trt.tensorrt.builder import PlanBuilder

from .conftest import Machine
from .fake_tensorrt import LayerType
from .recording import USES, names_in_source, overrides_in_source
from .test_backend import noise, pixels, prompts

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "asam_trt"
SOURCES = sorted([*(PACKAGE / "tensorrt").glob("*.py"), PACKAGE / "backends" / "tensorrt.py"])
ROOTS = frozenset({"trt", "_trt"})
RELEASES = {
    "10.13.3.9": "10.13.2.6",
    "11.4.0.106": "11.4.0.106",
}  # version of the fake -> that of the package
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")


def bindings(version: str) -> Path:
    """A folder from which `tensorrt_bindings` of a version can be imported, or skip."""
    given = os.environ.get("ASAM_TENSORRT_BINDINGS")
    folder = Path(given) if given else HERE.parent.parent / "build" / "tensorrt-bindings"
    # The wheel is of one Python.
    place = folder / f"{version}-py{sys.version_info.major}{sys.version_info.minor}"
    if place.is_dir():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as staged:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", staged]
        done = subprocess.run(
            [*command, f"tensorrt-cu13-bindings=={version}"], capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            pytest.skip(f"tensorrt-cu13-bindings {version} cannot be installed: {why[0]}")
        if not place.exists():
            Path(staged).rename(place)
            Path(staged).mkdir()  # for the block to remove
    return place


def stand_ins(folder: Path, major: str) -> Path:
    """A folder with libraries of TensorRT's names."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    for name in LIBRARIES:
        file = f"lib{name}.so.{major}"
        subprocess.run(
            [compiler, "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file),
             str(HERE / "stub_libraries.cc")],
            check=True,
        )  # fmt: skip
    return folder


def exercise(machine: Machine, bundle: EngineBundle, tmp_path: Path) -> None:
    """Every way through the code: building, stripping, refitting, running, failing."""
    machine.world.mistyped = LayerType.MATRIX_MULTIPLY
    with pytest.raises(EngineError, match="expected layer"):
        machine.create(bundle, "bf16")
    machine.world.mistyped = None
    for precision, stripped in (("float32", False), ("bf16", True)):
        backend = machine.create(bundle, precision, stripped=stripped)
        for _ in range(3):
            image = backend.encode(pixels(bundle))
            for prompt in prompts(bundle).values():
                backend.sample(image, backend.prompt(image, *prompt), noise(bundle, 2))
        backend.close()
    tokens, dense = prompts(bundle)["box"]
    with pytest.raises(EngineError, match="within the plan's"):
        machine.create(bundle).prompt(image, np.repeat(tokens, 200, axis=0), dense)
    trt: Any = sys.modules["tensorrt"]
    (tmp_path / "bad.onnx").write_bytes(b"\x00")
    with pytest.raises(EngineError, match=r"bad\.onnx"):
        PlanBuilder(trt, "bf16", timing_cache=b"", step=machine.steps.append).from_onnx(
            tmp_path / "bad.onnx", {}
        )


def members(module: Any) -> set[str]:
    """What the fake has: the members of its classes."""
    return {
        f"{name}.{member}"
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and cls.__module__.endswith("fake_tensorrt")
        and not hasattr(cls, "__members__")
        for member in vars(cls)
        if not member.startswith(("_", "fake_", "Severity"))
    }


def test_all_that_is_used_is_in_the_bindings(machine: Machine, bundle: EngineBundle, tmp_path: Path) -> None:
    USES.clear()
    exercise(machine, bundle, tmp_path)
    used = {use.path for use in USES}
    assert members(sys.modules["tensorrt"]) <= used, "the fake has members that no code uses"
    names = names_in_source(SOURCES, ROOTS)
    assert {"BuilderFlag.STRIP_PLAN", "OnnxParser", "get_plugin_registry"} <= names
    overrides = overrides_in_source(SOURCES, ROOTS)
    assert ("IProgressMonitor.phase_start", 3) in overrides
    # Of constructors those that the source calls; other objects come from TensorRT.
    made = {f"{name}.__init__" for name in names}
    uses = sorted(use for use in USES if not use.path.endswith("__init__") or use.path in made)
    asked = {"names": sorted(names), "overrides": sorted(overrides), "uses": uses}
    assert differences(machine.world.version, asked, tmp_path) == []


def test_differences_are_found(machine: Machine, tmp_path: Path) -> None:
    """The comparison itself: wrong names, counts, keywords and types."""
    number, text = ["int"], ["str"]
    asked: dict[str, Any] = {
        "names": ["BuilderFlag.NO_SUCH", "Builder"],
        "overrides": [("IProgressMonitor.phase_start", 2), ("ILogger.log", 2)],
        "uses": [
            ("Builder.create_network", "call", [number], []),
            ("Builder.create_network", "call", [text], []),
            ("Builder.create_network", "call", [number, number], []),
            ("Builder.create_networks", "call", [], []),
            ("IBuilderConfig.set_timing_cache", "call", [["ITimingCache"]], [("ignore_mismatch", ["bool"])]),
            ("IBuilderConfig.set_timing_cache", "call", [["ITimingCache"]], [("ignore", ["bool"])]),
            ("ITensor.name", "set", [], []),
            ("INetworkDefinition.num_layers", "set", [], []),
            ("IExecutionContext.set_input_shape", "call", [text, ["tuple"]], []),
            ("IExecutionContext.set_input_shape", "call", [text, ["dict"]], []),
        ],
    }
    found = differences(machine.world.version, asked, tmp_path)
    assert [text.split(":")[0] for text in found] == [
        "BuilderFlag.NO_SUCH",
        "IProgressMonitor.phase_start is overridden with 2 arguments, declared with [3]",
        "Builder.create_network",
        "Builder.create_network",
        "no member Builder.create_networks",
        "IBuilderConfig.set_timing_cache",
        "INetworkDefinition.num_layers is no property that can be set",
        "IExecutionContext.set_input_shape",
    ]


def differences(version: str, asked: dict[str, Any], tmp_path: Path) -> list[str]:
    """What `check_bindings.py` finds beside the real bindings."""
    package = bindings(RELEASES[version])
    libraries = stand_ins(tmp_path, version.split(".")[0])
    done = subprocess.run(
        [sys.executable, str(HERE / "check_bindings.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(libraries),
            "PYTHONPATH": os.pathsep.join([str(package), str(PACKAGE.parent)]),
        },
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_the_driver_functions_are_those_of_cuda_h(tmp_path: Path) -> None:
    """Sizes of the arguments, and the numbers of the constants, as the header has them."""
    compiler, nvcc = shutil.which("c++"), shutil.which("nvcc")
    places = [
        os.environ.get("CUDA_HOME"),
        "/usr/local/cuda",
        *([Path(nvcc).resolve().parents[1]] if nvcc else []),
    ]
    includes = [Path(place) / "include" for place in places if place]
    include = next((folder for folder in includes if (folder / "cuda.h").is_file()), None)
    if compiler is None or include is None:
        pytest.skip(f"no cuda.h in {includes}")
    lines = [
        "#include <cuda.h>",
        "#include <cstddef>",
        "template <class... A> struct List {};",
        "template <class... A> constexpr auto sizes(CUresult (*)(A...)) {",
        "  struct Found { std::size_t n[sizeof...(A) + 1]; };",
        "  return Found{{sizeof(A)..., 0}};",
        "}",
        f"static_assert(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL == {graphs.THREAD_LOCAL});",
        "static_assert(CU_STREAM_NON_BLOCKING == 1 && sizeof(CUresult) == sizeof(int));",
    ]
    for name, types in graphs.SIGNATURES.items():
        plain = name.removesuffix("_v2")  # cuda.h maps the plain name to it
        lines.append(f"static_assert(sizeof(sizes(&{plain})) == sizeof(std::size_t) * {len(types) + 1});")
        for i, kind in enumerate(types):
            lines.append(f"static_assert(sizes(&{plain}).n[{i}] == {ctypes.sizeof(kind)});")
        lines.append(f"[[maybe_unused]] const void* {plain}_ = (const void*)&{name};")
    source = tmp_path / "signatures.cc"
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [compiler, "-std=c++20", "-fsyntax-only", f"-I{include}", str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_pycuda_has_what_is_used() -> None:
    driver = pytest.importorskip("pycuda.driver", exc_type=ImportError)
    names = names_in_source(SOURCES, frozenset({"driver"}))
    assert "memcpy_dtod_async" in names
    missing = [name for name in names if not _has(driver, name)]
    assert missing == []
    for owner, name in ((driver.Context, "push"), (driver.Context, "pop"), (driver.DeviceAllocation, "free")):
        assert hasattr(owner, name)


def _has(module: Any, path: str) -> bool:
    for part in path.split("."):
        module = getattr(module, part, None)
    return module is not None
