"""The engine folder: how it is written and how it is verified before anything in it is used.

name.asam/
  manifest.json         format version, sizes, preprocessing, size and sha256 of every file, who built it
  image_encoder.onnx    image -> embedding, mu_image, sigma_image     (and .onnx.data, its weights)
  image_encoder.safetensors, image_prior.safetensors
                        the same for the native code; image_prior.onnx in place of a network that it does not have
  prompt_prior.onnx     embedding, tokens, dense -> mu_prompt, sigma_prompt
  prompt_prior.safetensors
                        the same for the native code, where it has that network
  sampler.safetensors   folded sampler weights, prompt encoder tables
  split.json            the splits that the model was trained on, where its run had a file of them
  split-start.json      what the checkpoints were trained on that its run started from, where it did from one
  tensorrt/             plans for one GPU and TensorRT version: a cache, not part of the manifest
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig, encoder_from_json
from asam_trt.errors import EngineError
from asam_trt.jitter import NUMBERS, Jitter
from asam_trt.precision import ENGINE_PRECISIONS
from asam_trt.prior_spec import PriorConfig
from asam_trt.prompt import PromptTables
from asam_trt.sampler_spec import SamplerConfig

FORMAT = "asam-engine"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
IMAGE_ENCODER = "image_encoder.onnx"
ENCODER_WEIGHTS = "image_encoder.safetensors"
IMAGE_PRIOR = "image_prior.onnx"
IMAGE_PRIOR_WEIGHTS = "image_prior.safetensors"
PROMPT_PRIOR = "prompt_prior.onnx"
PROMPT_PRIOR_WEIGHTS = "prompt_prior.safetensors"
SAMPLER = "sampler.safetensors"
SPLIT = "split.json"
STARTS = "split-start.json"
REQUIRED_FILES = (IMAGE_ENCODER, PROMPT_PRIOR, SAMPLER)
_GRAPHS = (IMAGE_ENCODER, IMAGE_PRIOR, PROMPT_PRIOR)
# All that an engine folder may hold; a graph's weights lie beside it.
ENGINE_FILES = frozenset(
    {MANIFEST, SAMPLER, SPLIT, STARTS, ENCODER_WEIGHTS, IMAGE_PRIOR_WEIGHTS, PROMPT_PRIOR_WEIGHTS, *_GRAPHS}
    | {f"{name}.data" for name in _GRAPHS}
)
CACHE_FOLDER = "tensorrt"

_Config = TypeVar("_Config")

_KEYS = {
    "format",
    "format_version",
    "sampler",
    "preprocessing",
    "precision",
    "files",
    "source",
    "built_by",
    "parity",
    "digest",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 36
_MEAN_RANGE = (-1e4, 1e4)  # on the scale 0..255
_STD_RANGE = (1e-2, 1e4)
_BOX_SCALE_RANGE = (1e-2, 1e2)
_MAX_SIZES = {
    "side": 1 << 14,
    "grid": 1 << 10,
    "channels": 1 << 12,
    "latent": 1 << 14,
    "mask_tokens": 64,
    "heads": 256,
    "depth": 64,
    "mlp_dim": 1 << 16,
    "iou_layers": 16,
    "combiner_layers": 64,
}


@dataclass(frozen=True)
class Preprocessing:
    """From a user's image and prompt to the encoders.

    Attributes:
        side: S in pixels.
        mean, std: of 0..255 RGB values.
        box_scale: factor on boxes in model space.
        boxes_only: whether the model answers boxes, and neither points nor masks.
        draws_prompts: whether points and boxes also come as a drawn mask, see :func:`asam_trt.prompt.draw_prompt`.
        jitter: of the prompts, where a model without latents has its readings from; else None.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    box_scale: float = 1.0
    boxes_only: bool = False
    draws_prompts: bool = False
    jitter: Jitter | None = None


@dataclass(frozen=True)
class EngineBundle:
    """A verified engine folder.

    Attributes:
        path: the folder.
        sampler: sizes of the sampler.
        preprocessing: of the image.
        precision: that it was built for, "auto" unless asked otherwise; a `Session` may choose another.
        source: sha256 and name of the checkpoint it was built from, and what divided its training data.
        built_by: package -> version.
        parity: figures of the comparison with PyTorch at build time.
        bytes: size of all files.
        digest: sha256 of the manifest, and so of all that it names.
    """

    path: Path
    sampler: SamplerConfig
    preprocessing: Preprocessing
    precision: str
    source: dict[str, Any]
    built_by: dict[str, Any]
    parity: dict[str, Any]
    bytes: int
    digest: str

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> EngineBundle:
        """Read the manifest and check every file against it: names, sizes, sha256.

        Raises:
            EngineError: names the file and what is wrong with it.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        sampler = _sampler_config(folder, manifest["sampler"])
        preprocessing = _preprocessing(folder, manifest["preprocessing"], sampler.side)
        _check_readings(folder, sampler, preprocessing.jitter)
        files = _file_table(folder, manifest["files"])
        _check_no_strangers(folder, files)
        for name, (size, digest) in files.items():
            _check_file(folder / name, size, digest)
        return cls(
            path=folder,
            sampler=sampler,
            preprocessing=preprocessing,
            precision=_precision(folder, manifest["precision"]),
            source=manifest["source"],
            built_by=manifest["built_by"],
            parity=manifest["parity"],
            bytes=sum(size for size, _ in files.values()),
            digest=manifest["digest"],
        )

    @property
    def readings(self) -> str:
        """Where its hypotheses come from, in words."""
        return readings_of(self.sampler, self.preprocessing.jitter)

    @property
    def image_encoder(self) -> Path:
        """The ONNX file that encodes an image."""
        return self.path / IMAGE_ENCODER

    @property
    def prompt_prior(self) -> Path:
        """The ONNX file that predicts the prompt latent."""
        return self.path / PROMPT_PRIOR

    @property
    def image_prior(self) -> Path:
        """The ONNX file that predicts the image latent of an embedding, where no native network does."""
        return self.path / IMAGE_PRIOR

    @property
    def has_native_encoder(self) -> bool:
        """Whether it was built with weights for the native image encoder."""
        priors = (self.path / IMAGE_PRIOR_WEIGHTS, self.image_prior)
        return (self.path / ENCODER_WEIGHTS).exists() and any(file.exists() for file in priors)

    @property
    def has_torch_parts(self) -> bool:
        """Whether it was built with weights that `asam_trt.torch_parts` takes: of encoder and both latent networks."""
        names = (ENCODER_WEIGHTS, IMAGE_PRIOR_WEIGHTS, PROMPT_PRIOR_WEIGHTS)
        return all((self.path / name).exists() for name in names)

    def load_encoder(self) -> tuple[EncoderConfig | TinyEncoderConfig, dict[str, npt.NDArray[np.float32]]]:
        """Sizes and float32 tensors of the native image encoder, whose shapes are the encoder's to check.

        Raises:
            EngineError: the file does not hold such, or sizes other than the sampler's.
        """
        file = self.path / ENCODER_WEIGHTS
        weights = _load_float32(file)
        config = _sizes_in_header(file, "encoder", encoder_from_json)
        wanted, came = (self.sampler.side, self.sampler.channels), (config.side, config.channels)
        if came != wanted:
            raise EngineError(f"{file}: expected side and channels {wanted} as the sampler's, came {came}")
        return config, weights

    def load_prior(self, name: str) -> tuple[PriorConfig, dict[str, npt.NDArray[np.float32]]] | None:
        """Sizes and float32 tensors of a native latent network, whose shapes are the network's to check.

        Args:
            name: `IMAGE_PRIOR_WEIGHTS` or `PROMPT_PRIOR_WEIGHTS`.

        Returns:
            None where the engine has no such file: its network runs in ONNX Runtime alone.

        Raises:
            EngineError: the file does not hold such, or sizes other than the sampler's.
        """
        file = self.path / name
        if not file.exists():
            return None
        weights = _load_float32(file)
        config = _sizes_in_header(file, "prior", PriorConfig.from_json)
        sizes = self.sampler
        wanted = (sizes.grid, sizes.channels, sizes.latent, name == PROMPT_PRIOR_WEIGHTS)
        came = (config.grid, config.channels, config.latent, config.heads > 0)
        if came != wanted:
            raise EngineError(
                f"{file}: expected grid, channels, latent and whether it sees the prompt to be {wanted}, came {came}"
            )
        return config, weights

    def load_weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Tensors of the sampler file, checked: float32 and finite. The sampler's shapes are
        the sampler's to check; those of the prompt encoder are checked here.

        Raises:
            EngineError: the file does not hold such tensors.
        """
        file = self.path / SAMPLER
        weights = _load_float32(file)
        for name, value in weights.items():
            if not np.isfinite(value).all():
                raise EngineError(f"{file}: expected finite numbers in {name}, came NaN or infinity")
        for name, shape in prompt_shapes(self.sampler.channels, weights).items():
            if name not in weights or weights[name].shape != shape:
                came = list(weights[name].shape) if name in weights else "no such tensor"
                raise EngineError(f"{file}: expected {name} of shape {list(shape)}, came {came}")
        return weights

    def prompt_tables(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> PromptTables:
        """The prompt encoder in these weights, with its preprocessing."""
        settings = self.preprocessing
        return PromptTables(
            weights,
            side=settings.side,
            cell=self.sampler.cell,
            box_scale=settings.box_scale,
            draws=settings.draws_prompts,
        )


def readings_of(sampler: SamplerConfig, jitter: Jitter | None) -> str:
    """Where the hypotheses of an engine come from, in words."""
    if jitter is None:
        return "latents drawn from the model's priors"
    if not sampler.plain_sam:
        name, what = "a model without latents", "its one mask"
    elif sampler.separate_masks:
        name, what = "plain SAM", f"its {sampler.masks} multimask masks"
    else:
        name, what = "plain SAM", "its single mask"
    return f"{name}: {what} of the prompt, then of prompts {jitter}"


def _sizes_in_header(file: Path, name: str, read: Callable[[str], _Config]) -> _Config:
    try:
        with safe_open(file, "numpy") as stored:
            header = stored.metadata() or {}
        return read(header.get(name, "null"))
    except (SafetensorError, OSError, TypeError, ValueError, RecursionError) as error:
        raise EngineError(f"{file}: expected the {name}'s sizes in its header, came: {error}") from error


def _load_float32(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with safe_open(file, "numpy") as stored:
            # Before they are read: NumPy does not have all of the file's types.
            for name in stored.keys():  # noqa: SIM118 - not a mapping
                if (kind := stored.get_slice(name).get_dtype()) != "F32":
                    raise EngineError(f"{file}: expected {name} in float32, came {kind}")
        return load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
        raise EngineError(f"{file}: expected a readable safetensors file, came: {error}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an engine folder: version, keys and its own digest checked, nothing else.

    Raises:
        EngineError: no such folder, or a manifest that is missing, damaged, foreign or of another version.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise EngineError(
            f"{folder}: expected an engine folder, came {what}; make one with asam_trt.build_engine"
        )
    file = folder / MANIFEST
    if not os.path.lexists(file):
        raise EngineError(
            f"{folder}: expected an engine folder, came one without {MANIFEST}; make one with asam_trt.build_engine"
        )
    _check_plain(file, _MAX_MANIFEST_BYTES)
    try:
        data = file.read_bytes()
        manifest = json.loads(data.decode("utf-8"), parse_constant=_reject_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(f"{file}: expected JSON, came: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise EngineError(
            f"{file}: expected the manifest of an engine (format {FORMAT!r}), came a foreign file"
        )
    version = manifest.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise EngineError(
            f"{file}: expected format version {FORMAT_VERSION}, came {version!r}; build the engine again "
            "with this version of asam_trt"
        )
    if set(manifest) != _KEYS:
        raise EngineError(f"{file}: expected the entries {sorted(_KEYS)}, came {sorted(manifest)}")
    try:
        fits = manifest["digest"] == manifest_digest(manifest) and data == manifest_bytes(manifest)
    except (ValueError, RecursionError):  # a number beyond floating point, or lists too deep
        fits = False
    if not fits:
        raise EngineError(
            f"{file}: expected its digest to fit, came another: the file was changed or damaged"
        )
    for key in ("sampler", "preprocessing", "files", "source", "built_by", "parity"):
        if not isinstance(manifest[key], dict):
            raise EngineError(f"{file}: expected {key} to be an object, came {type(manifest[key]).__name__}")
    return manifest


def write_manifest(
    folder: Path,
    *,
    sampler: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    source: Mapping[str, Any],
    built_by: Mapping[str, Any],
    parity: Mapping[str, Any],
    precision: str = "auto",
) -> None:
    """Hash every file of a folder under construction and write its manifest."""
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name != MANIFEST:
            files[file.name] = {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sampler": dict(sampler),
        "preprocessing": dict(preprocessing),
        "precision": precision,
        "files": files,
        "source": dict(source),
        "built_by": dict(built_by),
        "parity": dict(parity),
    }
    manifest["digest"] = manifest_digest(manifest)
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written: sorted, indented, one line feed at the end."""
    return (json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest without its digest, in canonical JSON."""
    body = {k: v for k, v in manifest.items() if k != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


def sha256_of(file: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _reject_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _sampler_config(folder: Path, values: dict[str, Any]) -> SamplerConfig:
    file = folder / MANIFEST
    try:
        config = SamplerConfig.of(values)
    except (TypeError, ValueError) as error:
        raise EngineError(f"{file}: {error}") from error
    for name, most in _MAX_SIZES.items():
        if getattr(config, name) > most:
            raise EngineError(
                f"{file}: expected sampler.{name} of at most {most}, came {getattr(config, name)}"
            )
    return config


def _precision(folder: Path, value: Any) -> str:
    if not isinstance(value, str) or value not in ENGINE_PRECISIONS:
        raise EngineError(
            f"{folder / MANIFEST}: expected precision to be one of {', '.join(ENGINE_PRECISIONS)}, came {value!r}"
        )
    return value


def _preprocessing(folder: Path, values: dict[str, Any], side: int) -> Preprocessing:
    file = folder / MANIFEST
    known = {"side", "mean", "std"}
    perhaps = {"box_scale", "boxes_only", "draws_prompts", "jitter"}
    if not known <= set(values) <= known | perhaps:
        raise EngineError(
            f"{file}: expected preprocessing of {sorted(known)}, perhaps {sorted(perhaps)}, came {sorted(values)}"
        )
    if values["side"] != side or isinstance(values["side"], bool):
        raise EngineError(
            f"{file}: expected preprocessing.side {side} as the sampler's, came {values['side']!r}"
        )
    mean, std = values["mean"], values["std"]
    for name, numbers, (low, high) in (("mean", mean, _MEAN_RANGE), ("std", std, _STD_RANGE)):
        if (
            not isinstance(numbers, list)
            or len(numbers) != 3
            or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers)
            or not all(low <= v <= high for v in numbers)
        ):
            raise EngineError(
                f"{file}: expected preprocessing.{name} of three numbers from {low:g} to {high:g}, came "
                f"{numbers!r}"
            )
    scale = values.get("box_scale", 1.0)
    low, high = _BOX_SCALE_RANGE
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not low <= scale <= high:
        raise EngineError(
            f"{file}: expected preprocessing.box_scale from {low:g} to {high:g}, came {scale!r}"
        )
    boxes_only, draws = (values.get(name, False) for name in ("boxes_only", "draws_prompts"))
    for name, value in (("boxes_only", boxes_only), ("draws_prompts", draws)):
        if not isinstance(value, bool):
            raise EngineError(f"{file}: expected preprocessing.{name} true or false, came {value!r}")
    jitter = _jitter(file, values["jitter"]) if "jitter" in values else None
    means, stds = (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
    return Preprocessing(side, means, stds, scale, boxes_only, draws, jitter)


def _check_readings(folder: Path, sampler: SamplerConfig, jitter: Jitter | None) -> None:
    """Whether sampler and jitter are those of one kind of model."""
    file = folder / MANIFEST
    plain = sampler.plain_sam or sampler.separate_masks
    if plain and (jitter is None or sampler.combiner_layers):
        without = (
            "no preprocessing.jitter" if jitter is None else f"{sampler.combiner_layers} combiner layers"
        )
        raise EngineError(
            f"{file}: expected a plain SAM (sampler.separate_masks, or no sampler.combiner_layers) to have "
            f"preprocessing.jitter and no combiner layers, came {without}; build the engine again"
        )
    if jitter is not None and sampler.latent < NUMBERS:
        raise EngineError(
            f"{file}: expected sampler.latent of at least {NUMBERS} beside preprocessing.jitter, which takes its "
            f"noise from there, came {sampler.latent}; build the engine again"
        )


def _jitter(file: Path, value: Any) -> Jitter:
    fits = isinstance(value, dict) and set(value) == {"scale", "shift"} and isinstance(value["scale"], list)
    numbers = [*value["scale"], value["shift"]] if fits else []
    if len(numbers) != 3 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in numbers):
        raise EngineError(
            f"{file}: expected preprocessing.jitter of scale [low, high] and shift, came {value!r}"
        )
    try:
        return Jitter((numbers[0], numbers[1]), numbers[2])
    except ValueError as error:
        raise EngineError(f"{file}: {error}") from error


def _file_table(folder: Path, table: dict[str, Any]) -> dict[str, tuple[int, str]]:
    file = folder / MANIFEST
    files: dict[str, tuple[int, str]] = {}
    for name, entry in table.items():
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise EngineError(f"{file}: expected plain file names, came {name!r}")
        if not isinstance(entry, dict) or set(entry) != {"bytes", "sha256"}:
            raise EngineError(f"{file}: expected bytes and sha256 for {name}, came {entry!r}")
        size, digest = entry["bytes"], entry["sha256"]
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _MAX_FILE_BYTES:
            raise EngineError(f"{file}: expected {name} of 0 to {_MAX_FILE_BYTES} bytes, came {size!r}")
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise EngineError(f"{file}: expected a sha256 for {name}, came {digest!r}")
        files[name] = (size, digest)
    if missing := [name for name in REQUIRED_FILES if name not in files]:
        raise EngineError(
            f"{file}: expected entries for {', '.join(REQUIRED_FILES)}, came none for {missing[0]}"
        )
    return files


def prompt_shapes(c: int, weights: Mapping[str, npt.NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Prompt encoder tables for C channels; the mask channels are those that the biases have."""
    few, many = (
        weights[name].size if name in weights else 1
        for name in ("prompt.mask_downscaling.0.bias", "prompt.mask_downscaling.3.bias")
    )
    layers = {
        "0": ((few, 1, 2, 2), (few,)),
        "1": ((few,), (few,)),
        "3": ((many, few, 2, 2), (many,)),
        "4": ((many,), (many,)),
        "6": ((c, many, 1, 1), (c,)),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "gaussian": (2, c // 2),
        "point_embeddings": (4, c),
        "not_a_point": (c,),
        "no_mask": (c,),
    }
    for layer, (weight, bias) in layers.items():
        shapes |= {f"mask_downscaling.{layer}.weight": weight, f"mask_downscaling.{layer}.bias": bias}
    return {f"prompt.{name}": shape for name, shape in shapes.items()}


def _check_no_strangers(folder: Path, files: Mapping[str, Any]) -> None:
    for entry in sorted(os.listdir(folder)):
        if entry in files or entry == MANIFEST:
            continue
        if entry == CACHE_FOLDER and (folder / entry).is_dir() and not (folder / entry).is_symlink():
            continue
        raise EngineError(
            f"{folder / entry}: expected only the files of the manifest, came this one too; remove it"
        )


def _check_plain(file: Path, most: int) -> int:
    """Size of a regular file that is not a link and not larger than ``most`` bytes."""
    try:
        found = os.lstat(file)
    except OSError as error:
        raise EngineError(
            f"{file}: expected a file, came: {error.strerror}; build the engine again"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "something else"
        raise EngineError(f"{file}: expected a regular file, came {what}")
    if found.st_size > most:
        raise EngineError(f"{file}: expected at most {most} bytes, came {found.st_size}")
    return found.st_size


def _check_file(file: Path, size: int, digest: str) -> None:
    found = _check_plain(file, _MAX_FILE_BYTES)
    if found != size:
        raise EngineError(f"{file}: expected {size} bytes, came {found}: the file is truncated or foreign")
    try:
        actual = sha256_of(file)
    except OSError as error:
        raise EngineError(f"{file}: expected a readable file, came: {error.strerror}") from error
    if actual != digest:
        raise EngineError(f"{file}: expected sha256 {digest}, came {actual}: the file was changed or damaged")
