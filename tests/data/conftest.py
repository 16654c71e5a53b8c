"""The layouts of all formats, written once a session."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `layouts` is shared by several test files

from layouts import WRITERS, Truth

_NEEDS = {"lidc-phiseg": "h5py", "lidc-dicom": "pydicom", "brats2017": "nibabel", "qubiq": "nibabel"}


@pytest.fixture(autouse=True)
def cache_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in the user's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Truth]]:
    """name of a layout -> (root, truth). Shared: read only."""
    made: dict[str, tuple[Path, Truth]] = {}

    def make(name: str) -> tuple[Path, Truth]:
        if name in _NEEDS:
            pytest.importorskip(_NEEDS[name])
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            made[name] = (root, WRITERS[name](root))
        return made[name]

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """name of a layout -> a root of one's own, to be damaged."""

    def make(name: str) -> Path:
        if name in _NEEDS:
            pytest.importorskip(_NEEDS[name])
        root = tmp_path / name
        root.mkdir()
        WRITERS[name](root)
        return root

    return make


@pytest.fixture
def within_a_minute() -> Iterator[None]:
    """TimeoutError in place of waiting for ever."""

    def over(*_: object) -> None:
        raise TimeoutError

    usual = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, usual)
