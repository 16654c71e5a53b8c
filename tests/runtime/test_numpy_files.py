"""NumPy's files as anybody may hand them over."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from asam_trt.numpy_files import map_npy, read_npz


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


GOOD = npy(np.arange(12, dtype=np.uint8))


def test_the_arrays_that_are_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.eye(2), z=np.array([object()]))
    found = read_npz(tmp_path / "a.npz", ("x", "y"))
    assert [*found] == ["x", "y"]
    assert found["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "came"),
    [
        (b"", "a file of another kind"),
        (GOOD, "a single array, no archive"),
        (npz(y=GOOD), "no array x, only y"),
        (npz(), "no array x, only nothing"),
        (npz(x=GOOD.replace(b"}", b" ", 1)), None),  # SyntaxError or TokenError
        (npz(x=GOOD.replace(b"(12,)", b"(1 2)", 1)), None),
        (npz(x=GOOD.replace(b"'shape'", b"'sh\xffpe'", 1)), None),
        (npz(x=GOOD.replace(b"|u1", b"|q9", 1)), None),
        (npz(x=GOOD[:-4]), None),
        (npz(x=GOOD)[:-30], None),
        (npz(x=GOOD).replace(b"x.npy", b"w.npy", 1), None),  # BadZipFile
        (npz(x=b"no array"), "no array under the name x, only 8 bytes"),
        (pickle.dumps([1]), "a file of another kind"),
        (npz(x=npy(np.zeros(1, np.uint8)).replace(b"|u1", b"|O' ", 1)), None),
    ],
)
def test_what_came_instead_is_a_value_error(tmp_path: Path, content: bytes, came: str | None) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=came):
        read_npz(tmp_path / "a.npz", ("x",))


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([print]))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_npz(tmp_path / "a.npz", ("x",))
    np.save(tmp_path / "a.npy", np.array([print]))
    with pytest.raises(ValueError, match="objects"):
        map_npy(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.filterwarnings("ignore")  # of NumPy and of Python, about headers
def test_whatever_is_damaged(tmp_path: Path, method: int) -> None:
    """Bytes changed anywhere give the arrays or a ValueError."""
    whole, path = npz(method, x=GOOD), tmp_path / "a"
    rng = np.random.default_rng(0)
    refused = 0
    for good, read in ((whole, lambda: read_npz(path, ("x",))), (GOOD, lambda: map_npy(path))):
        for _ in range(300):
            content = bytearray(good[: rng.integers(1, len(good)) if rng.random() < 0.2 else None])
            for place in rng.integers(0, len(content), 2):
                content[place] = rng.integers(256)
            path.write_bytes(content)
            try:
                read()
            except ValueError:
                refused += 1
    assert refused > 300


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz", ("x",))
