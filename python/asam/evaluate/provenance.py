"""What was judged, and with which software: enough to find the same files again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from asam.bench import machine
from asam.data import Dataset, Sample
from asam.data.base import encoded
from asam.evaluate.measure import data_sha256
from asam.methods import running
from asam_trt import Session

_CHUNK = 1 << 20
_READ = 4  # samples


def sha256(path: Path) -> str:
    """Of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def of_model(path: Path, session: Session | None = None) -> dict[str, Any]:
    """Name, kind and sha256 of a checkpoint, or of an engine's manifest, which has the sha256 of every file; and what
    runs it, see :func:`asam.methods.running`.

    Args:
        session: of an engine.

    Raises:
        EngineError: a folder that is no engine.
        OSError: no such file.
    """
    if not path.is_dir():
        return {"name": path.name, "kind": "checkpoint", "sha256": sha256(path), **running(None)}
    from asam_trt.bundle import MANIFEST, read_manifest

    manifest = read_manifest(path)
    return {
        "name": path.name,
        "kind": "engine",
        "sha256": sha256(path / MANIFEST),
        **running(session),
        "built_from": manifest["source"],
    }


def of_training(name: str, data: Dataset[Sample]) -> str:
    """sha256 of what training data is known by: all ids and groups and, of files, what four of the samples hold."""
    digest = hashlib.sha256()
    for text in (*data.ids, *data.groups):
        digest.update(encoded(text) + b"\0")
    if name.partition(":")[0] != "synthetic" and len(data):
        digest.update(data_sha256(data, limit=_READ).encode())
    return digest.hexdigest()


def of_software() -> dict[str, Any]:
    """Versions, commit where the package lies in a checkout ("+": with changes), date, command and machine."""
    found = machine.look()
    return {
        "versions": found.versions,
        "commit": found.commit,
        "date": found.date,
        "command": found.command,
        "machine": {"processor": found.processor, "cores": found.cores, "isa": found.isa},
    }
