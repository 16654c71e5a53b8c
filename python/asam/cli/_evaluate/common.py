"""What the experiments of ``asam evaluate`` share: opening models and data, writing reports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asam_trt.files import replacing

if TYPE_CHECKING:
    from PIL import Image

    from asam.data import Dataset, Sample, Scheme
    from asam.methods import Engine, Prior

_SYNTHETIC_SAMPLES = 256


def open_method(path: Path, epoch: int | None = None) -> Engine | Prior:
    """The method that a checkpoint or an engine folder holds.

    Args:
        epoch: of a file of published weights, which has several; None takes its last one.

    Raises:
        CheckpointError, EngineError: no readable one.
    """
    import asam_trt
    from asam.baselines import load
    from asam.methods import Engine, Prior
    from asam.model import ASAM, load_checkpoint

    if path.is_dir():
        return Engine.of(asam_trt.load(path))
    # Other suffixes are formats of A-SAM alone.
    safe = epoch is None and path.suffix == ".safetensors"
    network = load(path) if safe else load_checkpoint(path, epochs=epoch)
    return Prior(network) if isinstance(network, ASAM) else Prior(network, network.title)


def named_methods(paths: Sequence[Path]) -> list[Engine | Prior]:
    """:func:`open_method` of each; where names meet, the file's or its folder's is added to them."""
    methods = [open_method(path) for path in paths]
    often = Counter(method.name for method in methods)
    named = [
        replace(method, name=f"{method.name} ({path.resolve().parent.name}/{path.name})")
        if often[method.name] > 1
        else method
        for method, path in zip(methods, paths, strict=True)
    ]
    names = [method.name for method in named]
    if len(set(names)) < len(names):
        raise ValueError(f"--model: expected different checkpoints, got {names}")
    return named


def open_data(
    name: str,
    root: Path | None,
    split: str,
    *,
    size: int,
    length: int | None,
    scheme: Scheme = "group",
) -> Dataset[Sample]:
    """A data set by name; ``size`` and ``length`` are those of a synthetic one, 256 samples by default.

    Raises:
        ValueError: ``length`` is below 1, or see :func:`asam.data.open_dataset`.
    """
    from asam.data import open_dataset

    if length is not None and length < 1:
        raise ValueError(f"--limit: expected at least 1 sample, got {length}; leave it out for all")
    synthetic = name.partition(":")[0] == "synthetic"
    options: dict[str, Any] = {"length": length or _SYNTHETIC_SAMPLES, "size": size} if synthetic else {}
    return open_dataset(name, root, split, scheme=scheme, **options)


def write_report(path: Path, document: Mapping[str, Any], table: str) -> None:
    """Write ``path`` (JSON) and its Markdown, and say so."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    text = path.with_suffix(".md")
    with replacing(text) as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    print(f"wrote {path}\nwrote {text}")


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG file, and say so."""
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    print(f"wrote {path}")
