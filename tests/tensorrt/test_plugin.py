"""The plugin as TensorRT would use it, for every folder of headers in ASAM_TENSORRT_INCLUDE (separated by ":").

TensorRT's headers are public (NVIDIA/TensorRT, folder include) but not part of this project, so that these tests are
skipped where the variable is not set. CUDA is `host_cuda.cc`, the same C interface over the CPU's sampler, or the
kernels themselves, compiled for the CPU.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asam_trt import _runtime
from asam_trt.bundle import EngineBundle
from asam_trt.sampler_spec import SamplerConfig
from asam_trt.tensorrt import builder

from .test_backend import noise, prompts

INCLUDES = [
    Path(folder) for folder in os.environ.get("ASAM_TENSORRT_INCLUDE", "").split(os.pathsep) if folder
]
SOURCES = Path(__file__).resolve().parents[2] / "csrc"
HEADERS_MISSING = "ASAM_TENSORRT_INCLUDE names no folder with TensorRT's headers"


def write_case(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """As `read_case` of plugin_life.cc takes it."""
    with path.open("wb") as out:
        out.write(struct.pack("<I", len(arrays)))
        for name, array in arrays.items():
            integers = array.dtype == np.int32
            assert integers or array.dtype == np.float32
            head = struct.pack("<I", len(name)) + name.encode() + struct.pack("<II", integers, array.ndim)
            out.write(head + struct.pack(f"<{array.ndim}q", *array.shape) + array.tobytes())
    return path


def life_case(bundle: EngineBundle, prompt: str, n: int) -> dict[str, np.ndarray]:
    """Fields as the builder makes them, inputs of one kind of prompt, and what the CPU's sampler gives for them."""
    weights, sizes = bundle.load_weights(), bundle.sampler
    fields = builder.plugin_fields(sizes, weights, "float32")
    rng = np.random.default_rng(5)
    c, e, latent = sizes.channels, sizes.grid, sizes.latent
    tokens, dense = prompts(bundle)[prompt]
    mu = rng.normal(size=(2, latent)).astype(np.float32)
    sigma = rng.uniform(0.5, 1.5, size=(2, latent)).astype(np.float32)
    inputs = {
        "embedding": rng.normal(size=(1, c, e, e)).astype(np.float32),
        "mu_image": mu[:1],
        "sigma_image": sigma[:1],
        "tokens": tokens[None],
        "dense": np.ascontiguousarray(
            np.atleast_3d(dense)[None] if dense.ndim == 3 else dense[None, :, None, None]
        ),
        "mu_prompt": mu[1:],
        "sigma_prompt": sigma[1:],
        "eps": noise(bundle, n),
    }
    sampler = _runtime.Sampler(sizes.as_dict(), weights, precision="float32")
    image = sampler.image_state(inputs["embedding"][0], mu[0], sigma[0])
    state = sampler.prompt_state(image, tokens, dense, mu[1], sigma[1])
    logits, scores = sampler.sample(image, state, inputs["eps"])
    return {
        **{f"field:{name}": value for name, value in fields.items()},
        **{f"in:{name}": value for name, value in inputs.items()},
        "out:logits": logits,
        "out:scores": scores,
    }


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Header folder -> build folder with plugin, host CUDA and the program."""
    cmake = shutil.which("cmake")
    if not INCLUDES:
        pytest.skip(HEADERS_MISSING)
    if cmake is None:
        pytest.skip("cmake is not on the PATH")
    found = {}
    for include in INCLUDES:
        folder = tmp_path_factory.mktemp("plugin")
        options = [
            "ASAM_PYTHON=OFF",
            "ASAM_TESTS=ON",
            "ASAM_CUDA=OFF",
            f"TENSORRT_ROOT={include}",
            f"ASAM_CUDA_INCLUDE={os.environ.get('CUDA_HOME', '/usr/local/cuda')}/include",
        ]
        run([cmake, "-S", str(repository), "-B", str(folder), *(f"-D{option}" for option in options)])
        targets = ["asam_trt_plugin", "host_cuda", "plugin_life"]
        run([cmake, "--build", str(folder), "--parallel", "2", "--target", *targets])
        found[include] = folder
    return found


def emulated_cuda(repository: Path, folder: Path) -> Path:
    """The project's kernels as tests/cuda compiled them for the CPU, with streams that the program can wait for."""
    objects = sorted((repository / "build" / "cuda_emulation").glob("*.o"))
    if not objects:
        pytest.skip("no kernels compiled for the CPU; run tests/cuda first")
    emulation, library = repository / "tests" / "cuda" / "emulation", folder / "libemulated_cuda.so"
    command = ["c++", "-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{emulation}"]
    source = str(Path(__file__).parent / "emulated_streams.cc")
    run([*command, source, *map(str, objects), "-o", str(library), "-Wl,--no-undefined"])
    return library


EACH_INCLUDE: list[Any] = [*INCLUDES] or [pytest.param(None, marks=pytest.mark.skip(HEADERS_MISSING))]


@pytest.mark.slow
@pytest.mark.parametrize("cuda", ["host", "emulated"])
@pytest.mark.parametrize("prompt", ["box", "none", "points and mask"])
@pytest.mark.parametrize("program", EACH_INCLUDE)
@pytest.mark.parametrize("plugin", EACH_INCLUDE)
def test_the_plugin_lives(
    built: dict[Path, Path],
    bundle: EngineBundle,
    repository: Path,
    tmp_path: Path,
    program: Path,
    plugin: Path,
    prompt: str,
    cuda: str,
) -> None:
    """Also a plugin and a program that were compiled with the headers of two versions."""
    case = write_case(tmp_path / "case", life_case(bundle, prompt, n=5))
    command = [
        built[program] / "tests" / "tensorrt" / "plugin_life",
        built[plugin] / "libasam_trt_plugin.so",
        case,
    ]
    environment = dict(os.environ)
    if cuda == "emulated":
        environment["ASAM_CUDA_LIBRARY"] = str(emulated_cuda(repository, tmp_path))
    assert "the plugin lived" in run([str(part) for part in command], environment)


@pytest.mark.slow
@pytest.mark.parametrize("include", EACH_INCLUDE)
def test_the_library_asks_nothing_of_tensorrt(built: dict[Path, Path], include: Path) -> None:
    library = built[include] / "libasam_trt_plugin.so"
    needed = re.findall(r"Shared library: \[(.*?)\]", run(["readelf", "--dynamic", str(library)]))
    assert {name.split(".so")[0] for name in needed} <= {
        "libstdc++",
        "libm",
        "libgcc_s",
        "libc",
        "ld-linux-x86-64",
    }
    undefined = run(["nm", "--dynamic", "--undefined-only", "--demangle", str(library)])
    assert "nvinfer" not in undefined.lower()
    defined = run(["nm", "--dynamic", "--defined-only", str(library)]).split()
    assert {name for name in defined if not re.fullmatch(r"[0-9a-f]{16}|\w", name)} == {
        "getCreators",
        "setLoggerFinder",
    }


@pytest.mark.parametrize("include", EACH_INCLUDE)
def test_the_program_of_the_document_compiles(repository: Path, tmp_path: Path, include: Path) -> None:
    (program,) = re.findall(
        r"```cpp\n(.*?)```", (repository / "docs" / "tensorrt.md").read_text(), flags=re.DOTALL
    )
    (tmp_path / "program.cc").write_text(program)
    cuda = f"{os.environ.get('CUDA_HOME', '/usr/local/cuda')}/include"
    run(["c++", "-std=c++17", "-fsyntax-only", "-I", str(include), "-I", cuda, str(tmp_path / "program.cc")])


def test_the_fields_are_those_that_the_plugin_reads() -> None:
    """Order and numbers, which the two languages share without seeing each other."""
    source = (SOURCES / "tensorrt" / "fields.cc").read_text()
    table = re.search(r"kSizes\[\] = \{(.*?)\}", source, re.DOTALL)
    assert table is not None
    assert tuple(re.findall(r"asam_cuda_config::(\w+)", table[1])) == builder.CONFIG_ORDER
    header = (SOURCES / "tensorrt" / "fields.h").read_text() + (
        SOURCES / "tensorrt" / "sampler_plugin.h"
    ).read_text()
    constants = dict(re.findall(r'constexpr const char\* k(\w+) = "(.*?)"', header))
    assert constants["Config"] == builder.CONFIG_FIELD
    names = tuple(constants[f"Plugin{part}"] for part in ("Name", "Version", "Namespace"))
    assert names == (builder.PLUGIN_NAME, builder.PLUGIN_VERSION, builder.PLUGIN_NAMESPACE)
    api = (SOURCES / "core" / "cuda_api.h").read_text()
    numbers = {name.lower(): int(value) for name, value in re.findall(r"ASAM_CUDA_(\w+) = (\d+)", api)}
    for precision, number in builder.PRECISION_NUMBERS.items():
        assert numbers[precision] == number
    assert set(builder.CONFIG_ORDER) <= set(SamplerConfig.__dataclass_fields__)


def test_fields_carry_all_but_the_prompt_encoder(bundle: EngineBundle) -> None:
    weights = bundle.load_weights()
    fields = builder.plugin_fields(bundle.sampler, weights, "fp16")
    assert fields["config"].tolist()[-1] == 2
    kept = {name for name in weights if not name.startswith("prompt.")}
    assert set(fields) == {"config", *kept, *(f"{name}.shape" for name in kept)}
    for name in kept:
        np.testing.assert_array_equal(fields[name].reshape(fields[f"{name}.shape"]), weights[name])


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
