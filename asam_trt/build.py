"""From a checkpoint to an engine folder. The only module of this package that uses PyTorch, when called."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from asam_trt import backends, bundle
from asam_trt import precision as precisions
from asam_trt._version import __version__
from asam_trt.checks import as_path
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.jitter import DEFAULT, JITTERS, Jitter
from asam_trt.onnx_files import strip_traces
from asam_trt.parity_picture import parity_picture
from asam_trt.staging import staged_folder
from asam_trt.trained_on import trained_on

if TYPE_CHECKING:
    from asam import ASAM
    from asam.plain_sam import PlainSam

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
    *,
    jitter: str | None = None,
    image_size: int | None = None,
    pixels: str | None = None,
    masks: str | None = None,
    strip_weights: bool = False,
) -> Path:
    """Turn a trained model into an engine folder, compare it with PyTorch, and return its path.

    A folder that was built from the same checkpoint by the same version is verified and kept. The new folder
    takes its name in one step, after the comparison: a build that fails or is killed changes nothing. Where the
    config.json of the checkpoint's run lies beside it, the engine carries what divided the data of the run, and what
    the run started from, so that it is judged on none that it was trained on; where they are gone, it keeps what the
    engine of the same checkpoint knew whose place it takes.

    Args:
        checkpoint: a model saved by ``asam.ASAM.save``, or whatever ``asam.load_checkpoint`` reads; or a plain SAM,
            ``sam_vit_*.pth``, MobileSAM's ``mobile_sam.pt`` or LiteMedSAM's ``lite_medsam.pth``, read as weights only.
            A plain SAM has no latents: its hypotheses are its own three masks of the prompt (or its single one, see
            ``masks``), then those of jittered prompts, and scores are SAM's own estimates of their IoU.
        output: the folder; None is the checkpoint's path with the suffix ``.asam``.
        backend: that must be able to run here; the files are the same for all. "tensorrt" also builds its plans for
            this GPU, so that no `Session` has to.
        precision: that a `Session` opens the engine in unless it is asked for another: "auto", "float32", "int16",
            "int8-encoder", "int8" or, for a GPU, "bf16". The files are the same for all.
        force: build even where nothing changed.
        progress: show the steps on the terminal.
        jitter: of the prompts after the first, for a plain SAM and for a model whose latents are off (which has one
            mask a prompt): a key of `asam_trt.jitter.JITTERS`; None is "shift".
        image_size: S of a plain SAM, a multiple of 16; None is that of the checkpoint, 1024, or 256 with LiteMedSAM's.
            It was trained at that size alone: a smaller one is faster and worse.
        pixels: how a plain SAM's are scaled: "sam", by its mean and standard deviation, or "unit", to [0, 1], which
            is for MedSAM's weights; None is "sam", or with LiteMedSAM's "unit". No file says it.
        masks: which of a plain SAM's are hypotheses: "multi", the three that it gives with ``multimask_output=True``,
            or "single", the one that it gives with False, which is for MedSAM's weights; None is "multi", or with
            LiteMedSAM's "single".
        strip_weights: leave the encoder's weights out of its TensorRT plan and put them back when it is loaded: half
            the files' size.

    Raises:
        ValueError: no such backend, precision, jitter, image size, pixels or masks, a checkpoint that cannot be read,
            or an option that is not for its kind of model.
        BackendUnavailable: the backend or the precision cannot run here, or a package that building needs is
            not installed.
        EngineError: ``output`` is something else than an engine, or the engine differs from PyTorch.
        OSError: the disk refuses.
    """
    chosen, reason = backends.choose(backend)
    # fp16 is for a Session to ask for: on the CPU an engine could not be opened in it.
    if precision not in precisions.ENGINE_PRECISIONS:
        raise ValueError(
            f"expected precision to be one of {', '.join(precisions.ENGINE_PRECISIONS)}, came {precision!r}; a Session "
            "may be asked for others"
        )
    precisions.choose(precision, chosen)
    if strip_weights and chosen != "tensorrt":
        raise ValueError(
            f"expected strip_weights for the backend 'tensorrt' alone, came the backend {chosen!r}"
        )
    if jitter is not None and jitter not in JITTERS:
        raise ValueError(f"expected jitter to be one of {', '.join(JITTERS)}, came {jitter!r}")
    _check_options(image_size, pixels, masks)
    source_file = as_path(checkpoint, "checkpoint")
    if not source_file.is_file():
        came = "a folder" if source_file.is_dir() else "no such file"
        raise ValueError(f"expected a checkpoint file, came {source_file}: {came}")
    target = as_path(output, "output") if output is not None else source_file.with_suffix(".asam")
    _check_packages()
    with _steps(progress) as step:
        step(f"reading {source_file} (backend {chosen}: {reason})")
        sha256 = bundle.sha256_of(source_file)
        known = trained_on(source_file, sha256, target, step)
        source = {
            "name": source_file.name,
            "sha256": sha256,
            "jitter": jitter,
            "image_size": image_size,
            "pixels": pixels,
            "masks": masks,
            **known.source(),
        }
        built_by = _versions()
        if _is_current(target, source, built_by, precision) and not force:
            step(f"unchanged: {target}")
            if chosen == "tensorrt":
                _build_plans(target, precision, strip_weights, step)
            return target
        _check_replaceable(target)

        model = _read(source_file, image_size, pixels, masks)
        with staged_folder(target) as folder, _blaming(source_file, folder):
            settings = {**_write_parts(model, folder, step, jitter), "precision": precision}
            known.save(folder)
            bundle.write_manifest(folder, source=source, built_by=built_by, parity={}, **settings)
            source["readings"] = bundle.EngineBundle.open(folder).readings
            step("comparing with PyTorch")
            parity = compare(model, folder)
            bundle.write_manifest(folder, source=source, built_by=built_by, parity=parity, **settings)
            if chosen == "tensorrt":
                _build_plans(folder, precision, strip_weights, step)
        step(f"hypotheses: {source['readings']}")
        step(f"pixels: {_scale(settings['preprocessing'])}")
        step(f"built {target}, logits within {parity['max_logit_difference']:.1e} of PyTorch")
    return target


def compare(model: ASAM | PlainSam, engine: Path) -> dict[str, Any]:
    """Sample a fixed picture, box and seed in float32 with PyTorch and with an engine folder.

    Returns:
        ``max_logit_difference``, ``max_score_difference``, ``max_logit``, ``tolerance``, ``hypotheses``.

    Raises:
        EngineError: the logits differ by more than the tolerance.
    """
    from asam_trt.session import Session

    image, box = parity_picture()
    n = 4
    with Session(engine, backend="cpu", precision="float32") as session:
        parts = session.engine
        # A model whose latents are off knows no jitter; a plain SAM's reference has the engine's.
        jittered = parts.preprocessing.jitter is not None and not parts.sampler.plain_sam
        options: dict[str, Any] = {"box": box, "n": n, "seed": 0, "temperature": 0.0 if jittered else 1.0}
        session.set_image(image)
        found = session.sample(**options)
        if parts.sampler.plain_sam:
            options["jitter"] = parts.preprocessing.jitter
    expected = model.sample(image, **options)
    difference = float(np.abs(expected.logits - found.logits).max())
    largest = float(np.abs(expected.logits).max())
    tolerance = _PARITY_TOLERANCE * max(1.0, largest)
    if not difference <= tolerance:
        raise EngineError(
            f"{engine}: expected logits within {tolerance:.1e} of PyTorch's, came {difference:.1e} "
            "apart; the engine was not kept: please report it with the checkpoint's configuration"
        )
    return {
        "max_logit_difference": difference,
        "max_score_difference": float(np.abs(expected.scores - found.scores).max()),
        "max_logit": largest,
        "tolerance": tolerance,
        "hypotheses": n,
    }


def _check_options(image_size: int | None, pixels: str | None, masks: str | None) -> None:
    """Refuse what no plain SAM takes, before PyTorch is loaded and the checkpoint is read."""
    from asam.model.config import check_image_size, pixel_fields, start_of

    if image_size is not None:
        check_image_size(image_size)
    if pixels is not None:
        pixel_fields(pixels)
    if masks is not None:
        start_of(masks)


def _read(file: Path, image_size: int | None, pixels: str | None, masks: str | None) -> ASAM | PlainSam:
    from asam import load_checkpoint
    from asam.plain_sam import PlainSam, is_sam

    options: dict[str, Any] = {"image_size": image_size, "pixels": pixels, "masks": masks}
    chosen = {name: value for name, value in options.items() if value is not None}
    if is_sam(file):
        return PlainSam.read(file, **chosen)
    model = load_checkpoint(file)  # says first what is wrong with a file that is of no kind
    if chosen:
        name, value = next(iter(chosen.items()))
        raise ValueError(
            f"expected {name}={value!r} for a plain SAM alone, came {file}, which has its own; leave it out"
        )
    return model


def _write_parts(model: ASAM | PlainSam, folder: Path, step: _Step, jitter: str | None) -> dict[str, Any]:
    from safetensors.numpy import save

    from asam.export import export_parts
    from asam.plain_sam import PlainSam
    from asam_trt.fold import fold

    network = model.network if isinstance(model, PlainSam) else model
    if network.config.latents and jitter is not None:
        raise ValueError(f"expected jitter for a model without latents alone, came {jitter!r}")

    step("exporting the image encoder and the prompt prior")
    parts = export_parts(network, folder)
    sampler, preprocessing = dict(parts.sampler), dict(parts.preprocessing)
    if isinstance(model, PlainSam):
        sampler |= {"combiner_layers": 0, "separate_masks": model.masks == "multi"}
    if not network.config.latents:
        preprocessing["jitter"] = _as_json(JITTERS[DEFAULT if jitter is None else jitter])
    for graph in folder.glob("*.onnx"):
        strip_traces(graph)
    step("folding the sampler")
    with np.errstate(over="ignore"):  # what is not finite is refused by name when the engine is opened
        folded = fold(parts.state, sampler)
    (folder / bundle.SAMPLER).write_bytes(save(folded))
    return {"sampler": sampler, "preprocessing": preprocessing}


@contextmanager
def _blaming(checkpoint: Path, folder: Path) -> Iterator[None]:
    """What is wrong with an engine under construction is told of its checkpoint: the folder will be gone."""
    try:
        yield
    except EngineError as error:
        problem = str(error).removeprefix(f"{folder}/").removeprefix(f"{folder}: ")
        raise EngineError(f"{checkpoint}: no engine can be made of it: {problem}") from error


def _scale(preprocessing: dict[str, Any]) -> str:
    """How pixels come to the network, in words."""
    from asam.model.config import PIXELS

    mean, std = tuple(preprocessing["mean"]), tuple(preprocessing["std"])
    words = {"sam": "scaled by SAM's mean and standard deviation", "unit": "scaled to [0, 1]"}
    for name, known in PIXELS.items():
        if (known["pixel_mean"], known["pixel_std"]) == (mean, std):
            return words[name]
    return f"less {mean}, divided by {std}"


def _as_json(jitter: Jitter) -> dict[str, Any]:
    return {**asdict(jitter), "scale": list(jitter.scale)}


def _build_plans(engine: Path, precision: str, strip_weights: bool, step: _Step) -> None:
    from asam_trt.backends import tensorrt

    kind, _ = precisions.choose(precision, "tensorrt")
    folder = tensorrt.prepare(engine, kind, stripped=strip_weights, step=step)
    step(f"plans in {folder.parent.name}/{folder.name}")


def _is_current(target: Path, source: dict[str, Any], built_by: dict[str, Any], precision: str) -> bool:
    try:
        found = bundle.EngineBundle.open(target)
    except EngineError:
        return False
    same_source = all(found.source.get(name) == source[name] for name in ("sha256", "division", "starts"))
    same_options = _spelled_out(found.source, found) == _spelled_out(source, found)
    return same_source and same_options and found.built_by == built_by and found.precision == precision


def _spelled_out(source: Mapping[str, Any], engine: bundle.EngineBundle) -> dict[str, Any]:
    """The options in ``source``, for those left out the defaults of an engine's kind of model."""
    from asam.model.config import BACKBONES

    defaults: dict[str, Any] = {}
    if engine.preprocessing.jitter is not None:
        defaults["jitter"] = DEFAULT
    if engine.sampler.plain_sam:
        weights = next(one for one in BACKBONES.values() if one.cell == engine.sampler.cell)
        defaults |= {"pixels": weights.pixels or "sam", "masks": weights.masks or "multi"}
        if engine.source.get("image_size") is None:  # else the checkpoint's own is not known
            defaults["image_size"] = engine.sampler.side
    names = ("jitter", "image_size", "pixels", "masks")
    return {name: defaults.get(name) if source.get(name) is None else source[name] for name in names}


def _check_replaceable(target: Path) -> None:
    """Only engines, damaged ones too, make way for an engine, and not with files of somebody's in them."""
    if target.is_dir() and not target.is_symlink():
        held = set(os.listdir(target))
        foreign = sorted(held - bundle.ENGINE_FILES - {bundle.CACHE_FOLDER})
        if not foreign and (bundle.MANIFEST in held or not held):
            return
        came = f"one with {foreign[0]!r} in it" if foreign else "one without a manifest"
        raise EngineError(
            f"{target}: expected an engine folder or nothing, came {came}; choose another output"
        )
    if target.exists() or target.is_symlink():
        raise EngineError(
            f"{target}: expected an engine folder or nothing, came something else; choose another output"
        )


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
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("building the engine") as status:

        def step(text: str) -> None:
            # Not a plain string: names of files in it may look like markup.
            console.print(Text.assemble(("·", "dim"), f" {text}"), soft_wrap=True)
            status.update(Text(text))

        yield step
