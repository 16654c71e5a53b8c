"""Train a model and keep its best checkpoint."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from asam.assets import checkpoint_file
from asam.cli._wording import as_typed, counted, options_of
from asam.division import SPLITS_SHA256, manifest_of_run
from asam.training.config import TrainConfig
from asam_trt.bundle import SPLIT, STARTS
from asam_trt.files import check_targets

if TYPE_CHECKING:
    from torch import nn

    from asam.data import Dataset, Sample
    from asam.data.splits import Manifest

_log = logging.getLogger("asam")
_STOPPED = 1
_INTERRUPTED = 130
_SOURCE = (
    "data",
    "root",
    "length",
    "method",
    "sam_checkpoint",
    "split_scheme",
    "manifest",
    "start",
)  # options kept under "source" in a run's config.json
_SAMPLES = "samples_sha256"  # kept there too, of the training data
_FIXED = {
    "source": ("data", "method", "length", "split_scheme", "manifest", "start", "sam_checkpoint"),
    "training": ("seed", "batch_size", "shuffle"),
}  # what a run keeps when it is resumed, by the sections of its config.json
_MODEL = (
    "preset",
    "backbone",
    "image_size",
    "adaptation",
    "latents",
    "posterior",
    "draws_prompts",
)  # those that are fields of the model's configuration
_PIXELS = "pixels"  # which sets two of its fields
_MASKS = "masks"  # which sets its start
_ASAM = "asam"  # the method; others are peers
_DEFAULTS = {"length": 100_000, "method": _ASAM, "preset": "asam", "backbone": "nano", "image_size": 128}


def _shown(default: Any) -> Any:
    """What the help says of an option's default."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {default})")


def _options(kind: type[Any], defaults: Any) -> Any:
    """A dict type of the fields of a dataclass, none required: it then holds the options that were given."""
    hints = typing.get_type_hints(kind)
    entries: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        default = getattr(defaults, entry.name)
        if dataclasses.is_dataclass(default):
            entries[entry.name] = _options(type(default), default)
            continue
        entries[entry.name] = Annotated[hints[entry.name], _shown(default)]
    options = typing.TypedDict(f"{kind.__name__}Options", entries, total=False)  # type: ignore[misc]
    options.__doc__ = kind.__doc__
    return options


if TYPE_CHECKING:
    TrainOptions = dict[str, Any]
else:
    TrainOptions = _options(TrainConfig, TrainConfig())


@dataclass(frozen=True)
class Args:
    """Options of ``asam train``; what is not given comes from the configuration file, then from the preset."""

    output: Path
    """Folder of the run."""
    data: Annotated[str | None, _shown("from the configuration file")] = None
    """Data set by name, such as lidc-crops or synthetic:mix."""
    root: Path | None = None
    """Folder that holds the data set; not needed for synthetic ones."""
    split_scheme: Annotated[Literal["group", "index-order"] | None, _shown("the preset's")] = None
    """How data without splits of its own is divided; index-order mixes patients."""
    manifest: Path | None = None
    """Division to take, a file of `asam data split`; it replaces the splits that the data come with, where they do."""
    config_file: Path | None = None
    """A config.json that a run wrote; with --resume by default the one in the output folder."""
    resume: bool = False
    """Go on from the newest state in the output folder."""
    dry_run: bool = False
    """Print the resolved configuration and the table of parameters, and train nothing."""
    method: Annotated[str | None, _shown(_DEFAULTS["method"])] = None
    """What is trained: asam, or a peer: prob_unet, phiseg, ssn, mose, or sam, which is A-SAM's nano without latents."""
    preset: Annotated[str | None, _shown(_DEFAULTS["preset"])] = None
    """Set of modelling choices; beside a configuration file that names another one it is an error."""
    backbone: Annotated[str | None, _shown(f"that of --sam-checkpoint, else {_DEFAULTS['backbone']}")] = None
    """vit_b, vit_l, vit_h, vit_t (MobileSAM's), lite_medsam or nano."""
    image_size: Annotated[int | None, _shown(_DEFAULTS["image_size"])] = None
    """Side of the model's input in pixels, a multiple of 16."""
    adaptation: Annotated[str | None, _shown("the preset's")] = None
    """What trains: full, lora or frozen."""
    latents: Annotated[tuple[str, ...] | None, _shown("the preset's")] = None
    """Latents that the model has: prompt, image, both, or neither."""
    posterior: Annotated[bool | None, _shown("the preset's")] = None
    """Draw training latents from posteriors that see the rater's mask; without, from the priors."""
    draws_prompts: Annotated[bool | None, _shown("for nano with the preset asam")] = None
    """True or False: give the network its prompts as a drawn mask too, which helps one that starts from nothing."""
    pixels: Annotated[Literal["sam", "unit"] | None, _shown("the preset's")] = None
    """How pixels are scaled: sam, by SAM's mean and deviation, or unit, to [0, 1], as for MedSAM's weights, and by
    default with lite_medsam."""
    masks: Annotated[
        Literal["multi", "single"] | None, _shown("multi, but with the preset a2sam new ones")
    ] = None
    """With --sam-checkpoint: which of SAM's masks the network's begin as: multi, its three in turn, or single, the one
    that it gives where one is asked for, as for MedSAM's weights, and by default with lite_medsam."""
    sam_checkpoint: Path | None = None
    """Official sam_vit_*.pth, MobileSAM's mobile_sam.pt (vit_t) or LiteMedSAM's lite_medsam.pth, to start from."""
    start: Path | None = None
    """Checkpoint of an earlier run to start from, or "nano", the small network that ships, which is where a small data
    set of your own starts from; it brings its own preset, backbone and image size."""
    length: Annotated[int | None, _shown(_DEFAULTS["length"])] = None
    """Samples of a synthetic training set."""
    config: TrainOptions = field(default_factory=dict)
    """Optimiser, losses and schedule."""


@dataclass(frozen=True)
class _Plan:
    """Every choice of a run, resolved."""

    source: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]  # may lack "steps" where the preset counts epochs
    epochs: int | None
    manifest: Path | None  # that divides the data now: a run's own copy where there is one


def run(args: Args) -> int:
    """Train, and print where the checkpoints are."""
    from asam.model import ModelConfig

    plan = _resolve(args)
    # Says what is wrong with it before PyTorch is loaded and the data are opened.
    ModelConfig.from_dict(plan.model)

    from asam.data.registry import held_out, replaced
    from asam.evaluate.provenance import of_training
    from asam.training import Interrupted, LoaderStopped, NonFiniteLoss, train
    from asam.training.schedule import long_warmup, unfinished_warmup

    if not args.dry_run and _nothing_to_do(args, plan):
        return 0
    training = _opened(plan, "train", plan.source["length"])
    config = _config(plan, len(training))
    samples = of_training(plan.source["data"], training)
    if args.resume:
        _check_resumed(args.output / "config.json", plan, config)
        _check_samples(args.output / "config.json", samples)
    for line in (unfinished_warmup(config), long_warmup(config), _changed_course(args, config)):
        if line is not None:
            _log.warning(line)
    for idle in _without_effect(args, plan):
        _log.warning(idle)
    validation = _opened(plan, "validate", config.eval_images or 256)
    data, root = plan.source["data"], plan.source["root"]
    if note := replaced(data, root, plan.manifest) if plan.manifest else held_out(data, root, "validate"):
        print(note, file=sys.stderr)
    model = _model(plan, config.seed, started=not _has_state(args))
    source = {**plan.source, _SAMPLES: samples}
    splits = _splits(args, plan)
    if splits is not None:
        source[SPLITS_SHA256] = splits.sha256
    if args.dry_run:
        sizes: Any = model.config
        settings = {"source": source, "model": sizes.to_dict(), "training": config.to_dict()}
        print(json.dumps(settings, indent=1))
    print(_summary(model, len(training)))
    if shared := set(training.groups) & set(validation.groups):
        are = "is" if len(shared) == 1 else "are"
        groups = counted(len(shared), "group")
        print(f"note: {groups} (patients) {are} in the training and in the validation split")
    if args.dry_run:
        return 0
    # Told at once, also into a file: whoever waits can look into it.
    print(f"log: {args.output / 'log.jsonl'}", flush=True)
    try:
        train(
            model,
            training,
            validation=validation,
            output=args.output,
            config=config,
            resume=args.resume,
            source=source,
            beside=_beside(args, plan, splits),
        )
    except (NonFiniteLoss, LoaderStopped, MemoryError, Interrupted) as stop:
        print(f"asam train: {as_typed(str(stop), options_of(Args))}", file=sys.stderr)
        return _INTERRUPTED if isinstance(stop, Interrupted) else _STOPPED
    _tell_files(args.output)
    return 0


def _nothing_to_do(args: Args, plan: _Plan) -> bool:
    """Whether the run in the output folder is finished, which is then said: all this before the data are opened.

    Raises:
        ValueError: the folder cannot take a run, holds one already, or holds none to resume.
    """
    from asam.training.state import check_vacant, is_finished, state_to_resume

    check_targets(args.output, ("config.json", "log.jsonl"))
    if not args.resume:
        check_vacant(args.output)
        return False
    state_to_resume(args.output / "states")
    if plan.epochs is not None:
        return False
    config = TrainConfig.from_dict(plan.training)
    _check_resumed(args.output / "config.json", plan, config)
    if not is_finished(args.output, config.steps):
        return False
    print(f"finished already, at step {config.steps}; a larger --config.steps goes on from there")
    _tell_files(args.output)
    return True


def _changed_course(args: Args, config: TrainConfig) -> str | None:
    """What the steps that are asked for now change about a run that goes on."""
    from asam.training.schedule import changed_course
    from asam.training.state import newest_state, step_of

    file, newest = args.output / "config.json", newest_state(args.output / "states")
    if not args.resume or newest is None or not file.is_file():
        return None
    return changed_course(step_of(newest), TrainConfig.from_dict(_read(file)["training"]), config)


def _tell_files(output: Path) -> None:
    from asam.training.evaluations import best_evaluation, evaluations

    log = output / "log.jsonl"
    best, found = best_evaluation(log), evaluations(log)
    print(f"best checkpoint: {output / 'best.safetensors'}{'' if best is None else f' ({best})'}")
    if found:
        print(f"last validation: {found[-1]}")
    print(f"log: {log}")


def _resolve(args: Args) -> _Plan:
    """Options that are given, over the configuration file, over the preset, over the defaults."""
    from asam.model import PRESETS, fresh_model

    file = args.config_file
    if file is None and args.resume and (args.output / "config.json").is_file():
        file = args.output / "config.json"
    saved: Mapping[str, Any] = {"source": {}, "model": {}, "training": {}} if file is None else _read(file)

    given = {k: v for k, v in vars(args).items() if v is not None}
    chosen = saved["model"].get("preset")
    if chosen is not None and "preset" in given and given["preset"] != chosen:
        raise ValueError(
            f"preset: expected {chosen!r}, as in {file}, got {given['preset']!r}; leave --preset out, or that file"
        )
    method = saved["source"].get("method")
    if saved["model"] and method is not None and given.get("method", method) != method:
        raise ValueError(
            f"method: expected {method!r}, as in {file}, got {given['method']!r}; leave --method out, or that file"
        )
    started = None if _has_state(args) else _started(file, saved, given)
    if _MASKS in given and _has_state(args):
        _check_masks(given[_MASKS], saved["model"].get("start", "repeat"), args.output)
    name = given.get("preset") or chosen or (started or _DEFAULTS)["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"preset: expected one of {sorted(PRESETS)}, got {name!r}")
    preset = PRESETS[name]
    choices = {"backbone": _backbone(saved, given), "image_size": _DEFAULTS["image_size"]}
    if chosen is not None:  # a run before this was a choice named its preset too
        choices["draws_prompts"] = False
    choices.update(saved["model"])
    own = {k: given[k] for k in _MODEL if k in given}
    model = fresh_model(name, pixels=given.get(_PIXELS), masks=given.get(_MASKS), **{**choices, **own})

    source: dict[str, Any] = {
        "data": None,
        "root": None,
        "sam_checkpoint": None,
        "start": None,
        "manifest": None,
        "method": _DEFAULTS["method"],
        "length": _DEFAULTS["length"],
        # Runs made before it was a choice divided by group; each names its preset.
        "split_scheme": preset.split_scheme if chosen is None else "group",
    }
    source.update(saved["source"])
    source.update(
        {k: str(given[k]) if isinstance(given[k], Path) else given[k] for k in _SOURCE if k in given}
    )
    if source["data"] is None and args.resume and file is None:
        raise ValueError(f"{args.output}: expected a run to resume, got no config.json there")
    if source["data"] is None:
        raise ValueError("data: expected the name of a data set (--data), or a --config-file that has one")

    if source["method"] != _ASAM:
        model = _peer_sizes(source, given, model)
    elif started is not None:
        model = started
    training = _merged(preset.training, saved["training"], args.config)
    counts_epochs = "steps" not in saved["training"] and "steps" not in args.config
    manifest = None if source["manifest"] is None else Path(source["manifest"])
    if manifest is not None and args.manifest is None and file is not None:
        manifest = manifest_of_run(file.parent, manifest, source.get(SPLITS_SHA256))
    return _Plan(source, model, training, preset.epochs if counts_epochs else None, manifest)


def _without_effect(args: Args, plan: _Plan) -> list[str]:
    """A line for each kind of option that was given and changes nothing."""
    from asam.baselines import BASELINES
    from asam.data.registry import divided_by
    from asam.training.config import TERMS

    source = plan.source
    lines = []
    if args.masks is not None and source["sam_checkpoint"] is None:
        lines.append("--masks has no effect: it is of the masks in a --sam-checkpoint, and there is none")
    if args.length is not None and not source["data"].startswith("synthetic"):
        lines.append(f"--length has no effect: it is of synthetic data, and {source['data']} is of files")
    division = divided_by(source["data"], source["root"], source["split_scheme"], plan.manifest)
    if args.split_scheme is not None and division != args.split_scheme:
        lines.append(f"--split-scheme has no effect: the splits of {source['data']} are {division}")
    published = plan.training.get("objective") == "published"
    if published or source["method"] in BASELINES:
        whose = "the published loss" if published else f"the loss of {source['method']}"
        if idle := [f"--config.{name.replace('_', '-')}" for name in TERMS if name in args.config]:
            lines.append(f"{', '.join(idle)}: no effect, since {whose} has no such weights")
    return lines


def _check_resumed(file: Path, plan: _Plan, config: TrainConfig) -> None:
    """Raise ValueError where a run would go on with other data or batches than it began with; names the options."""
    if not file.is_file():
        return
    saved = _read(file)
    saved["source"] = {"manifest": None, **saved["source"]}  # which runs before it was an option do not name
    wanted = {"source": {**plan.source}, "training": config.to_dict()}
    recorded = saved["source"].get(SPLITS_SHA256)
    if recorded is not None and plan.manifest is not None:  # the same splits wherever their file lies
        found = _loaded(plan.manifest).sha256
        saved["source"]["manifest"] = f"{saved['source']['manifest']}, sha256 {recorded[:12]}"
        if found != recorded:
            wanted["source"]["manifest"] = f"{plan.manifest}, sha256 {found[:12]}"
        else:
            wanted["source"]["manifest"] = saved["source"]["manifest"]
    different = [
        f"{name} {wanted[section][name]!r} in place of {saved[section][name]!r}"
        for section, names in _FIXED.items()
        for name in names
        if name in saved[section] and saved[section][name] != wanted[section][name]
    ]
    if different:
        raise ValueError(
            f"{file.parent}: expected the data and the batches of the run that is resumed, got "
            f"{', '.join(different)}; leave these options out, or start another run in another output folder"
        )


def _loaded(manifest: Path) -> Manifest:
    from asam.data.splits import Manifest

    return Manifest.load(manifest)


def _splits(args: Args, plan: _Plan) -> Manifest | None:
    """Of the manifest, to be kept in the run's folder; None where an older run may have begun with others."""
    if plan.manifest is None:
        return None
    splits = _loaded(plan.manifest)
    config = args.output / "config.json"
    if args.resume and config.is_file():
        known = _read(config)["source"]
        if known.get(SPLITS_SHA256) is not None:  # compared before
            return splits
        if known.get(_SAMPLES) is None:  # which were compared, and are the same
            return None
    if (copy := args.output / SPLIT).is_file() and _sha256_of(copy) != splits.sha256:
        raise ValueError(
            f"{copy}: expected no file of other splits where the run keeps a copy of {plan.manifest}, got one; move it "
            "away, or choose another output folder"
        )
    recorded = plan.source.get(SPLITS_SHA256)  # of the run whose configuration file was given
    if args.manifest is None and recorded not in (None, splits.sha256):
        _log.warning(
            "%s has the splits %s, and the run of the configuration file had %s: the data is divided otherwise",
            *(plan.manifest, splits.sha256[:12], recorded[:12]),
        )
    return splits


def _sha256_of(file: Path) -> str | None:
    """Of its splits; None where it is something else."""
    try:
        return _loaded(file).sha256
    except (OSError, ValueError):
        return None


def _beside(args: Args, plan: _Plan, splits: Manifest | None) -> dict[str, Callable[[Path], None]]:
    """What evaluations need to know of a training, so that they do not judge it by its own samples."""
    from asam.starts import of_start, save

    files: dict[str, Callable[[Path], None]] = {}
    if splits is not None:
        files[SPLIT] = splits.save
    if plan.source["start"] is not None and not _has_state(args):
        starts = of_start(checkpoint_file(Path(plan.source["start"])))
        files[STARTS] = lambda path: save(starts, path)
    return files


def _check_samples(file: Path, samples: str) -> None:
    """Raise ValueError where the training data are others than those the run began with, wherever they lie now."""
    saved = _read(file)["source"].get(_SAMPLES) if file.is_file() else None
    if saved is not None and saved != samples:
        raise ValueError(
            f"{file.parent}: expected the training samples of the run that is resumed ({_SAMPLES} {saved[:12]}), got "
            f"others ({samples[:12]}): ids, groups, or what some of them hold differ; give it the data that "
            "it began with, or start another run in another output folder, with --start from this one's weights. Where "
            f"the same files are read otherwise by newer software alone, remove {_SAMPLES} from {file}"
        )


def _peer_sizes(
    source: Mapping[str, Any], given: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    """The one choice that a peer leaves open.

    Raises:
        ValueError: an unknown method, or options that are A-SAM's alone.
    """
    from asam.baselines import BASELINES, SAM

    if source["method"] not in (known := [_ASAM, *BASELINES, SAM]):
        raise ValueError(f"method: expected one of {known}, got {source['method']!r}")
    own = [name for name in (*_MODEL, _PIXELS, _MASKS, "sam_checkpoint", "start") if name != "image_size"]
    if wrong := [name for name in own if name in given]:
        raise ValueError(f"method {source['method']}: expected none of A-SAM's own options, got {wrong}")
    return {"image_size": model["image_size"]}


def _started(file: Path | None, saved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The configuration of the checkpoint to start from, or None where an A-SAM starts from none.

    Raises:
        ValueError: a checkpoint that cannot be read, or an option or a configuration file that contradicts it.
    """
    source = {**saved["source"], **given}
    start = source.get("start")
    if start is None or source.get("method", _ASAM) != _ASAM:
        return None
    if source.get("sam_checkpoint") is not None:
        raise ValueError("expected either --start or --sam-checkpoint, got both")

    from asam.model import load_checkpoint
    from asam.model.config import pixel_fields

    model: dict[str, Any] = load_checkpoint(checkpoint_file(Path(start))).config.to_dict()
    for name in _MODEL:
        if name in given and given[name] != model[name]:
            raise ValueError(
                f"{name}: expected {model[name]!r}, as in {start}, got {given[name]!r}; leave it out"
            )
    if _PIXELS in given and any(model[k] != v for k, v in pixel_fields(given[_PIXELS]).items()):
        scale = f"mean {model['pixel_mean']} and deviation {model['pixel_std']}"
        raise ValueError(f"pixels: expected those of {start} ({scale}), got {given[_PIXELS]!r}; leave it out")
    if _MASKS in given:
        _check_masks(given[_MASKS], model["start"], start)
    preset = saved["model"].get("preset", model["preset"])
    if preset != model["preset"]:
        raise ValueError(
            f"preset: expected {model['preset']!r}, as in {start}, got {preset!r} in {file}; leave out one of the two"
        )
    return model


def _backbone(saved: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Where none is chosen: that of the SAM checkpoint to start from, which is then told, or the default.

    Raises:
        ValueError: a SAM checkpoint that cannot be read, or of no backbone that is known.
    """
    source = {**saved["source"], **given}
    file = source.get("sam_checkpoint")
    if file is None or source.get("method", _ASAM) != _ASAM or "backbone" in {**saved["model"], **given}:
        return str(_DEFAULTS["backbone"])

    from asam.model.sam_file import known_backbone, read_sam

    found = known_backbone(file, read_sam(Path(file), mapped=True))
    print(f"backbone: {found}, that of {file}", file=sys.stderr)
    return found


def _check_masks(masks: str, began: str, where: Any) -> None:
    """Raise ValueError where a network's `ModelConfig.start` is not that of ``masks``."""
    from asam.model.config import MASKS, start_of

    if start_of(masks) != began:
        known = next((name for name, start in MASKS.items() if start == began), "new ones")
        raise ValueError(
            f"masks: expected those that {where} began with ({known}), got {masks!r}; leave it out"
        )


def _read(file: Path) -> dict[str, Any]:
    """A configuration file, its three sections present.

    Raises:
        ValueError: no such file, no JSON, or sections that a run does not write.
    """
    sections = ("source", "model", "training")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file}: expected the config.json of a run, got: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(s, {}), dict) for s in sections):
        raise ValueError(
            f"{file}: expected a JSON object with the objects {list(sections)}, got something else"
        )
    if unknown := sorted(set(found) - set(sections)):
        raise ValueError(f"{file}: expected the sections {list(sections)}, got also {unknown}")
    if unknown := sorted(set(found.get("source", {})) - {*_SOURCE, _SAMPLES, SPLITS_SHA256}):
        raise ValueError(f"{file}: source: expected {list(_SOURCE)}, got also {unknown}")
    if not isinstance(prompts := found.get("training", {}).get("prompts", {}), dict):
        raise ValueError(f"{file}: training.prompts: expected shares by kind, got {prompts!r}")
    _check_source(file, found.get("source", {}))
    return {section: found.get(section, {}) for section in sections}


def _check_source(file: Path, source: Mapping[str, Any]) -> None:
    """Raise ValueError where a choice of the source has another type than its option; names it."""
    for name, value in source.items():
        if name == "length":
            fits = isinstance(value, int) and not isinstance(value, bool)
        else:
            fits = isinstance(value, str) or (value is None and name not in ("method", "split_scheme"))
        if not fits:
            kind = "a whole number" if name == "length" else "a string"
            raise ValueError(f"{file}: source.{name}: expected {kind}, got {value!r}")


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later ones win; shares of prompts are merged one by one."""
    result: dict[str, Any] = {}
    for layer in layers:
        prompts = {**result.get("prompts", {}), **layer.get("prompts", {})}
        result = {**result, **layer, "prompts": prompts}
    return result


def _config(plan: _Plan, samples: int) -> TrainConfig:
    config = TrainConfig.from_dict(plan.training)
    if plan.epochs is None or not samples:
        return config
    return dataclasses.replace(config, steps=ceil(plan.epochs * samples / config.batch_size))


def _has_state(args: Args) -> bool:
    """Whether the weights come from the run's own folder, whatever they started from."""
    if not args.resume:
        return False

    from asam.training.state import newest_state

    return newest_state(args.output / "states") is not None


def _model(plan: _Plan, seed: int, *, started: bool) -> nn.Module:
    """The network; with ``started`` the weights that the run starts from, where it starts from any."""
    import torch

    from asam.baselines import create
    from asam.model import ASAM, ModelConfig, load_checkpoint, load_sam

    torch.manual_seed(seed)
    if plan.source["method"] != _ASAM:
        return create(plan.source["method"], image_size=plan.model["image_size"], seed=seed)
    if plan.source["start"] is not None and started:
        return load_checkpoint(checkpoint_file(Path(plan.source["start"])))
    model = ASAM(ModelConfig.from_dict(plan.model))
    if plan.source["sam_checkpoint"] is not None and started:
        print(load_sam(model, plan.source["sam_checkpoint"]))
    return model


def _opened(plan: _Plan, split: str, length: int) -> Dataset[Sample]:
    from asam.data import open_dataset
    from asam.data.synthetic.dataset import SMALLEST

    data, root, side = plan.source["data"], plan.source["root"], plan.model["image_size"]
    synthetic = data.startswith("synthetic")
    if synthetic and side < SMALLEST:
        raise ValueError(f"image_size: expected at least {SMALLEST} pixels with synthetic data, got {side}")
    options: dict[str, Any] = {"length": length, "size": side} if synthetic else {}
    where = None if root is None else Path(root)
    scheme = plan.source["split_scheme"]
    return open_dataset(data, where, split, scheme=scheme, manifest=plan.manifest, **options)


def _summary(model: nn.Module, samples: int) -> str:
    from asam.model import ASAM, trainable_parameters

    config: Any = model.config
    name = f"{config.preset}, {config.backbone}" if isinstance(model, ASAM) else type(model).__name__
    name = f"{name}, {config.image_size} px: {counted(samples, 'training sample')}"
    return f"{trainable_parameters(model)}\n{name}"
