"""The zip that ``torch.save`` writes: whether a file is one, and whether it is still as it was written."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from asam.model.errors import CheckpointError

_BEGIN = b"PK\x03\x04"
_TENSORS = "/data/"  # the folder of their numbers
_BLOCK = 1 << 20  # bytes that are in memory at a time
_FOLDER = 0x10  # of a record's attributes: PyTorch would leave its tensor unfilled
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    LookupError,
    RuntimeError,
    ValueError,
)  # what zipfile raises on damaged files


def is_torch_file(path: Path) -> bool:
    """Whether ``path`` looks like a file of ``torch.save``, not like safetensors.

    Raises:
        CheckpointError: no file that can be read; a pipe would be waited for for ever.
    """
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path}: expected a checkpoint file, got a folder, a pipe or a device")
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError as error:
        raise CheckpointError(f"{path}: expected a checkpoint file, got: {error}") from error


def check_records(path: Path, *, tensors: bool) -> None:
    """Compare a file with its checksums, which PyTorch does not look at; one that is no zip has none.

    Args:
        path: the file, read in blocks.
        tensors: whether the numbers of tensors are compared too, and not their names and shapes alone.

    Raises:
        CheckpointError: the file is cut off, a record is another than was written, or none that ``torch.save`` writes,
            such as a compressed one, which may be of any size; names it.
    """
    if not is_torch_file(path):
        return
    part = "the list of records at its end"
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                part = f"the record {record.filename}"
                if record.compress_type != zipfile.ZIP_STORED or record.external_attr & _FOLDER:
                    raise zipfile.BadZipFile("a folder or a compressed record")
                if record.CRC == 0 or (_TENSORS in record.filename and not tensors):
                    continue  # 0 is what PyTorch writes where it is told to leave checksums out
                with archive.open(record) as stream:
                    while stream.read(_BLOCK):
                        pass
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path}: damaged: expected {part} as it was written, got: {error}; download or copy the file again"
        ) from error
