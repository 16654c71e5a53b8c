"""What the experiments of ``asam evaluate`` share: opening models and data, writing reports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asam.cli._evaluate.division import Judged, Judging, chosen, judged, tell, tell_division, trainings_of
from asam.cli._evaluate.starts import tell_starts
from asam.cli._questions import tell_precision
from asam_trt.files import replacing, write_text

if TYPE_CHECKING:
    from PIL import Image

    from asam.data import Dataset, Sample, Scheme
    from asam.methods import Engine, Method, Prior
    from asam_trt import Session

_SYNTHETIC_SAMPLES = 256
_SYNTHETIC_SIDE = 128


class Running(Protocol):
    """Options that say how engines run."""

    @property
    def precision(self) -> str: ...
    @property
    def encoder(self) -> str: ...


def check_running(args: Running, models: Sequence[Path]) -> None:
    """Raise ValueError where an option of engines is given and no model is one."""
    if any(path.is_dir() for path in models):
        return
    for name in ("precision", "encoder"):
        if (asked := getattr(args, name)) != "auto":
            raise ValueError(
                f"{name}: expected with an engine alone, got {asked} with {', '.join(map(str, models))}; checkpoints "
                "run in PyTorch in float32: `asam build` makes engines of them"
            )


def open_session(args: Running, engine: Path) -> Session:
    """An engine as it is to run; a precision that is taken in place of the one asked for is told.

    Raises:
        EngineError, BackendUnavailable: no readable one, or one that cannot run so here.
    """
    import asam_trt

    session = asam_trt.load(engine, precision=args.precision, encoder=args.encoder)
    tell_precision(args.precision, session)
    return session


def open_method(args: Running, path: Path, epoch: int | None = None) -> Engine | Prior:
    """The method that a checkpoint or an engine folder holds.

    Args:
        epoch: of a file of published weights, which has several; None takes its last one.

    Raises:
        CheckpointError, EngineError: no readable one.
    """
    from asam.baselines import load
    from asam.methods import Engine, Prior
    from asam.model import ASAM, load_checkpoint

    if path.is_dir():
        if epoch is not None:
            raise ValueError(
                f"epochs: expected with a file of published weights alone, got some with the engine {path}"
            )
        return Engine(open_session(args, path))
    # Other suffixes are formats of A-SAM alone.
    safe = epoch is None and path.suffix == ".safetensors"
    network = load(path) if safe else load_checkpoint(path, epochs=epoch)
    return Prior(network) if isinstance(network, ASAM) else Prior(network, network.title)


def described(path: Path, method: Method) -> dict[str, Any]:
    """What results say of a model and of what ran it."""
    from asam.evaluate.provenance import of_model
    from asam.methods import Engine

    return of_model(path, method.session if isinstance(method, Engine) else None)


def named_methods(args: Running, paths: Sequence[Path]) -> list[Engine | Prior]:
    """:func:`open_method` of each; where names meet, the file's or its folder's is added to them."""
    methods = [open_method(args, path) for path in paths]
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
    size: int | None,
    length: int | None,
    scheme: Scheme = "group",
    manifest: Path | None = None,
) -> Dataset[Sample]:
    """A data set by name; ``size`` and ``length`` are those of a synthetic one, by default 256 samples of 128 pixels.

    Raises:
        ValueError: ``length`` is below 1, or see :func:`asam.data.open_dataset`.
    """
    from asam.data import open_dataset
    from asam.data.registry import held_out, replaced

    if length is not None and length < 1:
        raise ValueError(f"--limit: expected at least 1 sample, got {length}; leave it out for all")
    synthetic = name.partition(":")[0] == "synthetic"
    options: dict[str, Any] = (
        {"length": length or _SYNTHETIC_SAMPLES, "size": _SYNTHETIC_SIDE if size is None else size}
        if synthetic
        else {}
    )
    if size is not None and not synthetic:
        tell(f"warning: --size has no effect: it is of synthetic data, and {name} is of files")
    found = open_dataset(name, root, split, scheme=scheme, manifest=manifest, **options)
    if note := replaced(name, root, manifest) if manifest else held_out(name, root, split):
        tell(note)
    return found


def open_judged(
    args: Judging, models: Sequence[Path], *, default: Scheme = "group"
) -> tuple[Dataset[Sample], Judged]:
    """The samples that models are judged on, and which these are.

    Data is divided by the manifest, or where it has no splits of its own by the scheme, that is asked for; else as the
    runs of the models divided it, else by ``default``, the protocol's. Where that is not ``default``, or a model was
    trained on another division, or nobody knows on which, a line on standard error says so.

    Raises:
        ValueError, DataError: see :func:`open_data`.
    """
    from asam.data import DataError

    trained = trainings_of(args, models)
    taken, origin = chosen(args, trained.runs, default)
    try:
        data = open_data(
            args.data,
            args.root,
            args.split,
            size=args.size,
            length=args.limit,
            scheme=taken.scheme,
            manifest=taken.manifest,
        )
    except DataError:
        raise
    except ValueError as error:
        if origin == "asked for" or taken.manifest is None:
            raise
        raise ValueError(
            f"{error}; it is {taken.manifest}, of the model's run: --manifest or --split-scheme name another division"
        ) from error
    tell_division(args, data, taken, trained, default)
    return data, judged(args, taken, origin, trained, tell_starts(args, data, models))


def write_report(path: Path, document: Mapping[str, Any], table: str) -> None:
    """Write ``path`` (JSON) and its Markdown, and say so."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False))
    text = path.with_suffix(".md")
    write_text(text, table + "\n")
    print(f"wrote {path}\nwrote {text}")


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG file, and say so."""
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    print(f"wrote {path}")
