"""Wheel and sdist: what is in them, and that they install and run away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import asam_trt

pytest.importorskip("scikit_build_core")
pytest.importorskip("build")
pytestmark = pytest.mark.slow

SMOKE = """
import sys
import asam_trt
from asam_trt import _ops, _runtime, philox
assert asam_trt.__file__.startswith(sys.argv[1]), asam_trt.__file__
assert _ops.__file__.startswith(sys.argv[1]) and _runtime.__file__.startswith(sys.argv[1])
import numpy as np
assert np.allclose(_ops.philox_normal(5, 3, 8), philox.normal(5, 3, 8), atol=1e-6)
from asam.cli import main
assert main(["--help"]) == 0
print(asam_trt.__version__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=1800,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(
        sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, repository, cwd=folder
    )
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, so that the sdist is shown to be whole."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    # Neither CUDA nor optimisation: both belong to the build under test, and here they only take time.
    run(*pip, "-Ccmake.define.ASAM_CUDA=OFF", "-Ccmake.build-type=Debug", sdist, cwd=folder)
    (archive,) = folder.glob("*.whl")
    return archive


def test_sdist_holds_the_sources_alone(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "CMakeLists.txt", "LICENSE", "README.md", "cmake/AsamToolchain.cmake", "csrc/core/philox.cu",
        "csrc/bindings/ops.cc", "asam_trt/_version.py", "asam_trt/py.typed", "python/asam/cli/__init__.py",
    } <= names  # fmt: skip
    junk = (
        ".venv",
        "build/",
        "dist/",
        "outputs",
        ".git/",
        ".ci",
        "__pycache__",
        ".pytest_cache",
        ".hypothesis",
    )
    assert not [name for name in names if name.startswith(junk) or name.endswith((".so", ".pyc", "_ops.pyi"))]


def test_wheel_holds_packages_modules_and_stubs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {"asam/py.typed", "asam_trt/py.typed", "asam_trt/_ops.pyi", "asam_trt/_runtime.pyi"} <= set(names)
    for module in ("_ops", "_runtime"):
        assert [name for name in names if name.startswith(f"asam_trt/{module}.") and name.endswith(".so")]
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"asam", "asam_trt", f"asam_trt-{asam_trt.__version__}.dist-info"}
    assert f"Version: {asam_trt.__version__}\n" in metadata


def test_every_source_file_of_the_packages_ships(repository: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package, folder in (("asam", "python/asam"), ("asam_trt", "asam_trt")):
        root = repository / folder
        for path in root.rglob("*"):
            if path.suffix in (".py", ".pyi", ".safetensors", ".json") and not path.name.startswith("."):
                assert f"{package}/{path.relative_to(root).as_posix()}" in names


def test_wheel_runs_outside_the_checkout_and_in_it(repository: Path, wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel, cwd=tmp_path)
    # -S -E: neither the editable installation nor the environment is seen. NumPy's folder comes after ours.
    import numpy

    packages = [str(target), str(Path(numpy.__file__).parent.parent)]
    code = f"import sys; sys.path[:0] = {packages!r}\n" + SMOKE
    found = run(sys.executable, "-S", "-E", "-c", code, target, cwd=tmp_path)
    assert found.strip().endswith(asam_trt.__version__)

    # In a clone its sources come first, without compiled modules.
    clone = tmp_path / "clone"
    shutil.copytree(repository / "asam_trt", clone / "asam_trt", ignore=shutil.ignore_patterns("*.so"))
    code = f"import sys; sys.path[:0] = {['', *packages]!r}; import asam_trt.session; print(asam_trt.session.__file__)"
    found = run(sys.executable, "-S", "-E", "-c", code, cwd=clone)
    assert found.strip() == str(clone / "asam_trt" / "session.py")
