"""From a checkpoint to an engine folder. The only module of this package that uses PyTorch, when called."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from asam_trt import backends, bundle
from asam_trt import precision as precisions
from asam_trt._version import __version__
from asam_trt.checks import as_path
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.onnx_files import strip_traces
from asam_trt.staging import staged_folder

if TYPE_CHECKING:
    from asam import ASAM

# Largest difference to PyTorch, as a share of the largest logit: two orders of float32 sums.
_PARITY_TOLERANCE = 1e-4
_PACKAGES = ("numpy", "torch", "segment-anything", "onnx", "onnxscript", "onnxruntime", "safetensors")


class _Step(Protocol):
    def __call__(self, text: str) -> None: ...


def build_engine(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    backend: str = "auto",
    precision: str = "auto",
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Turn a trained model into an engine folder, compare it with PyTorch, and return its path.

    A folder that was built from the same checkpoint by the same version is verified and kept. The new folder
    takes its name in one step, after the comparison: a build that fails or is killed changes nothing.

    Args:
        checkpoint: a model saved by ``asam.ASAM.save``, or whatever ``asam.load_checkpoint`` reads.
        output: the folder; None is the checkpoint's path with the suffix ``.asam``.
        backend: "auto" and "cpu" make the engine of this version; others must be able to run here.
        precision: that a `Session` opens the engine in unless it is asked for another: "auto", "float32" or
            "bf16". The files are the same for all three.
        force: build even where nothing changed.
        progress: show the steps on the terminal.

    Raises:
        ValueError: no such backend or precision, or a checkpoint that cannot be read.
        BackendUnavailable: the backend or the precision cannot run here, or a package that building needs is
            not installed.
        EngineError: ``output`` is something else than an engine, or the engine differs from PyTorch.
        OSError: the disk refuses.
    """
    chosen, reason = backends.choose(backend)
    precisions.choose(precision)
    source_file = as_path(checkpoint, "checkpoint")
    if not source_file.is_file():
        raise ValueError(f"expected a checkpoint file, came {source_file}: no such file")
    target = as_path(output, "output") if output is not None else source_file.with_suffix(".asam")
    _check_packages()
    with _steps(progress) as step:
        step(f"reading {source_file} (backend {chosen}: {reason})")
        source = {"name": source_file.name, "sha256": bundle.sha256_of(source_file)}
        built_by = _versions()
        if _is_current(target, source, built_by, precision) and not force:
            step(f"unchanged: {target}")
            return target
        _check_replaceable(target)

        from asam import load_checkpoint

        model = load_checkpoint(source_file)
        with staged_folder(target) as folder:
            settings = {**_write_parts(model, folder, step), "precision": precision}
            bundle.write_manifest(folder, source=source, built_by=built_by, parity={}, **settings)
            step("comparing with PyTorch")
            parity = compare(model, folder)
            bundle.write_manifest(folder, source=source, built_by=built_by, parity=parity, **settings)
        step(f"built {target}, logits within {parity['max_logit_difference']:.1e} of PyTorch")
    return target


def compare(model: ASAM, engine: Path) -> dict[str, Any]:
    """Sample a fixed picture, box and seed in float32 with PyTorch and with an engine folder.

    Returns:
        ``max_logit_difference``, ``max_score_difference``, ``max_logit``, ``tolerance``, ``hypotheses``.

    Raises:
        EngineError: the logits differ by more than the tolerance.
    """
    from asam_trt.session import Session

    image, box = _picture()
    n = 4
    expected = model.sample(image, box=box, n=n, seed=0)
    with Session(engine, backend="cpu", precision="float32") as session:
        session.set_image(image)
        found = session.sample(box=box, n=n, seed=0)
    difference = float(np.abs(expected.logits - found.logits).max())
    largest = float(np.abs(expected.logits).max())
    tolerance = _PARITY_TOLERANCE * max(1.0, largest)
    if not difference <= tolerance:
        raise EngineError(
            f"{engine.name}: expected logits within {tolerance:.1e} of PyTorch's, came {difference:.1e} "
            "apart; the engine was not kept: please report it with the checkpoint's configuration"
        )
    return {
        "max_logit_difference": difference,
        "max_score_difference": float(np.abs(expected.scores - found.scores).max()),
        "max_logit": largest,
        "tolerance": tolerance,
        "hypotheses": n,
    }


def _write_parts(model: ASAM, folder: Path, step: _Step) -> dict[str, Any]:
    from safetensors.numpy import save

    from asam.export import export_parts
    from asam_trt.fold import fold

    step("exporting the image encoder and the prompt prior")
    parts = export_parts(model, folder)
    for name in (bundle.IMAGE_ENCODER, bundle.IMAGE_PRIOR, bundle.PROMPT_PRIOR):
        strip_traces(folder / name)
    step("folding the sampler")
    (folder / bundle.SAMPLER).write_bytes(save(fold(parts.state, parts.sampler)))
    return {"sampler": parts.sampler, "preprocessing": parts.preprocessing}


def _is_current(target: Path, source: dict[str, Any], built_by: dict[str, Any], precision: str) -> bool:
    try:
        found = bundle.EngineBundle.open(target)
    except EngineError:
        return False
    same_source = found.source.get("sha256") == source["sha256"]
    return same_source and found.built_by == built_by and found.precision == precision


def _check_replaceable(target: Path) -> None:
    """Only engines, damaged ones too, make way for an engine."""
    if (
        target.is_dir()
        and not target.is_symlink()
        and ((target / bundle.MANIFEST).exists() or not os.listdir(target))
    ):
        return
    if target.exists() or target.is_symlink():
        raise EngineError(
            f"{target}: expected an engine folder or nothing, came something else; choose another output"
        )


def _picture() -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]:
    """A disc on a gradient, wider than high so that the padding takes part, and a box around the disc."""
    h, w = 96, 128
    y, x = np.mgrid[:h, :w]
    image = np.stack([x * 255 // w, y * 255 // h, np.full((h, w), 96)], axis=2)
    image[(x - 60) ** 2 + (y - 50) ** 2 < 28**2] = (230, 210, 90)
    return image.astype(np.uint8), (30.0, 20.0, 90.0, 80.0)


def _versions() -> dict[str, Any]:
    return {
        "asam-trt": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name.replace("-", "_")) is not None
    except ImportError:
        return False


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if not _importable(name)]
    if missing:
        raise BackendUnavailable(
            f"building an engine needs {', '.join(missing)}, which cannot be imported here: "
            f"pip install {' '.join(missing)}"
        )


@contextmanager
def _steps(show: bool) -> Iterator[_Step]:
    if not show:
        yield lambda text: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("building the engine") as status:

        def step(text: str) -> None:
            console.print(f"[dim]·[/dim] {text}", highlight=False, soft_wrap=True)
            status.update(text)

        yield step
