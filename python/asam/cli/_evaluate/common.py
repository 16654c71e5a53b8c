"""What the experiments of ``asam evaluate`` share: opening models and data, writing reports."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

from asam_trt.files import replacing

if TYPE_CHECKING:
    from PIL import Image

    from asam.data import Dataset, Sample, Scheme
    from asam.methods import Engine, Prior

_SYNTHETIC_SAMPLES = 256
_SYNTHETIC_SIDE = 128


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
        if epoch is not None:
            raise ValueError(
                f"epochs: expected with a file of published weights alone, got some with the engine {path}"
            )
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
    size: int | None,
    length: int | None,
    scheme: Scheme = "group",
) -> Dataset[Sample]:
    """A data set by name; ``size`` and ``length`` are those of a synthetic one, by default 256 samples of 128 pixels.

    Raises:
        ValueError: ``length`` is below 1, or see :func:`asam.data.open_dataset`.
    """
    from asam.data import open_dataset
    from asam.data.registry import held_out

    if length is not None and length < 1:
        raise ValueError(f"--limit: expected at least 1 sample, got {length}; leave it out for all")
    synthetic = name.partition(":")[0] == "synthetic"
    options: dict[str, Any] = (
        {"length": length or _SYNTHETIC_SAMPLES, "size": size or _SYNTHETIC_SIDE} if synthetic else {}
    )
    if size is not None and not synthetic:
        _tell(f"warning: --size has no effect: it is of synthetic data, and {name} is of files")
    found = open_dataset(name, root, split, scheme=scheme, **options)
    if note := held_out(name, root, split):
        _tell(note)
    return found


class Judging(Protocol):
    """Options that say which samples are judged."""

    @property
    def data(self) -> str: ...
    @property
    def root(self) -> Path | None: ...
    @property
    def split(self) -> str: ...
    @property
    def split_scheme(self) -> Scheme | None: ...
    @property
    def size(self) -> int | None: ...
    @property
    def limit(self) -> int | None: ...


def open_judged(
    args: Judging, models: Sequence[Path], *, default: Scheme = "group"
) -> tuple[Dataset[Sample], str]:
    """The samples that models are judged on, and what divided the data.

    Data without splits of its own is divided as asked, else as the runs of the models divided it, else by ``default``,
    the protocol's. Where that is not ``default``, or a model was trained on another division, a line on standard error
    says so.

    Raises:
        ValueError, DataError: see :func:`open_data`.
    """
    from asam.data.registry import divided_by

    runs = {model: scheme for model in models if (scheme := run_scheme(model, args.data)) is not None}
    agreed = set(runs.values())
    scheme = args.split_scheme or (agreed.pop() if len(agreed) == 1 else default)
    data = open_data(args.data, args.root, args.split, size=args.size, length=args.limit, scheme=scheme)
    division = divided_by(args.data, args.root, scheme)
    if division != scheme:
        if args.split_scheme is not None:
            _tell(f"warning: --split-scheme has no effect: the splits of {args.data} are {division}")
        return data, division
    if args.split_scheme is None and scheme != default:
        _tell(
            f"note: {args.data} is divided by {scheme}, as the run was; the protocol would divide it by {default}"
        )
    for model, own in runs.items():
        if own != scheme:
            _tell(
                f"warning: {_trained_on(args, own, data)} of the {len(data)} samples of split {args.split}, by "
                f"{scheme}, are among those that {model} was trained on, by {own}; --split-scheme {own} leaves them out"
            )
    return data, division


def divided(division: str) -> str:
    """What divided the data, as tables say it."""
    from asam.data import Scheme

    return f"by {division}" if division in get_args(Scheme) else division


def run_scheme(model: Path, data: str) -> Scheme | None:
    """How the run that a checkpoint or an engine lies in divided its data; None where none with this data is known."""
    from asam.data import Scheme

    try:
        source = json.loads((model.parent / "config.json").read_text(encoding="utf-8"))["source"]
        if source["data"] != data:
            return None
        # Runs made before it was a choice divided by group.
        found = source.get("split_scheme", "group")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return next((scheme for scheme in get_args(Scheme) if scheme == found), None)


def _trained_on(args: Judging, scheme: Scheme, data: Dataset[Sample]) -> int:
    """How many samples are in the training split of another division."""
    from asam.data import open_dataset

    return len({*open_dataset(args.data, args.root, "train", scheme=scheme).ids} & {*data.ids})


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


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
