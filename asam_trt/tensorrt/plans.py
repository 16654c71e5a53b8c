"""The plans of an engine: a cache in its folder, built again when anything they depend on changes.

name.asam/tensorrt/nvidia-h200-sm90-10.13.3.9/
  plans.json           key, sha256 of every plan, figures of the comparison with the CPU
  image_encoder.plan   image -> embedding, mu_image, sigma_image
  prompt_prior.plan    embedding, tokens, dense -> mu_prompt, sigma_prompt
  sampler.plan         one node, the plugin: states and noise -> logits, scores
  timing.cache         what TensorRT measured, for the next build
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asam_trt.bundle import CACHE_FOLDER, IMAGE_ENCODER, PROMPT_PRIOR, EngineBundle, sha256_of
from asam_trt.staging import staged_folder
from asam_trt.tensorrt.builder import Limits, PlanBuilder, Range, Step, token_range
from asam_trt.tensorrt.keys import PlanKey
from asam_trt.tensorrt.typed_onnx import write_typed

ENCODER_PLAN = "image_encoder.plan"
PRIOR_PLAN = "prompt_prior.plan"
SAMPLER_PLAN = "sampler.plan"
TIMING_CACHE = "timing.cache"
RECORD = "plans.json"

# Plan -> the ONNX file it is built from; the sampler's comes from the plugin.
SOURCES: dict[str, str | None] = {
    ENCODER_PLAN: IMAGE_ENCODER,
    PRIOR_PLAN: PROMPT_PRIOR,
    SAMPLER_PLAN: None,
}
_MOST_RECORD_BYTES = 1 << 20


def cache_folder(bundle: EngineBundle, key: PlanKey) -> Path:
    """Where the plans of a key lie, whether they are there or not."""
    return bundle.path / CACHE_FOLDER / key.folder


class Plans(NamedTuple):
    """Built plans: their folder, and whether the encoders' weights were left out of them."""

    folder: Path
    stripped: bool


Gate = Callable[[Plans], Mapping[str, Any]]


def find(bundle: EngineBundle, key: PlanKey) -> Plans | None:
    """The plans of a key, each as it was written; None where there are none such."""
    folder = cache_folder(bundle, key)
    record = _read_record(folder)
    if record is None or record.get("key") != key.as_dict():
        return None
    hashes = record.get("sha256")
    if not isinstance(hashes, dict) or set(hashes) != set(SOURCES):
        return None
    try:
        intact = all(sha256_of(folder / name) == digest for name, digest in hashes.items())
    except OSError:
        return None
    return Plans(folder, record.get("stripped") is True) if intact else None


def build(
    trt: ModuleType,
    bundle: EngineBundle,
    weights: Mapping[str, npt.NDArray[np.float32]],
    key: PlanKey,
    plugin: Path,
    *,
    stripped: bool,
    gate: Gate,
    step: Step,
) -> Plans:
    """Build the plans of a key, let ``gate`` try them, and put them in their place in one step.

    Args:
        weights: of the sampler.
        stripped: leave the encoders' weights out of their plans.
        gate: gets the plans; returns figures for the record, or raises, and nothing is kept.
        step: is told what begins.

    Raises:
        EngineError: TensorRT refuses a part, or ``gate`` does.
        OSError: the engine's folder cannot be written.
    """
    target = cache_folder(bundle, key)
    limits = Limits(key.shapes["tuned"], key.shapes["most_hypotheses"], key.shapes["most_tokens"])
    with staged_folder(target) as folder:
        builder = PlanBuilder(trt, key.precision, timing_cache=_bytes(target / TIMING_CACHE), step=step)
        with typed_parts(bundle, key.precision) as typed:
            ranges = {PRIOR_PLAN: prior_ranges(bundle, limits)}
            for name, source in SOURCES.items():
                step(f"building {name}")
                if source is None:
                    plan = builder.sampler(bundle.sampler, weights, plugin, limits)
                else:
                    plan = builder.from_onnx(typed / source, ranges.get(name, {}), strip=stripped)
                (folder / name).write_bytes(plan)
        (folder / TIMING_CACHE).write_bytes(builder.timing_cache)
        step("comparing with the CPU")
        record = {
            "key": key.as_dict(),
            "digest": key.digest(),
            "sha256": {name: sha256_of(folder / name) for name in SOURCES},
            "stripped": stripped,
            "parity": dict(gate(Plans(folder, stripped))),
        }
        (folder / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return Plans(target, stripped)


def prior_ranges(bundle: EngineBundle, limits: Limits) -> dict[str, Range]:
    """Of the prompt prior's dynamic inputs: none where the model answers boxes alone."""
    if bundle.preprocessing.boxes_only:
        return {}
    return {"tokens": token_range(bundle.sampler.channels, limits)}


@contextmanager
def typed_parts(bundle: EngineBundle, precision: str) -> Iterator[Path]:
    """A folder with the two encoders in a precision, under their own names; gone when the block ends."""
    with TemporaryDirectory(prefix="asam-typed-") as name:
        folder = Path(name)
        for source in filter(None, SOURCES.values()):
            write_typed(bundle.path / source, folder / source, precision)
        yield folder


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        with (folder / RECORD).open("rb") as stream:
            record = json.loads(stream.read(_MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
