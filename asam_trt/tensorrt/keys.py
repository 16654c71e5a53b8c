"""What a cached plan was built from and for; a plan with another key is built again."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asam_trt.bundle import (
    ENCODER_WEIGHTS,
    IMAGE_PRIOR,
    SPLIT,
    STARTS,
    EngineBundle,
    read_manifest,
    sha256_of,
)
from asam_trt.tensorrt.libraries import CUDA_LIBRARY

FORMAT = 1
TUNED = 32  # hypotheses
MOST_TOKENS = 256  # prompt tokens of one prompt
_MOST_HYPOTHESES = 256
_CELLS = 1 << 18  # of all hypotheses of one execution: bounds the memory that TensorRT sets aside


@dataclass(frozen=True)
class PlanKey:
    """Identity of the plans of one engine on one kind of GPU.

    Attributes:
        tensorrt: version of TensorRT.
        gpu: name of the GPU. Those of one compute capability differ in what is fastest, and TensorRT promises nothing
            for a plan on another one.
        sm: compute capability, 90 for 9.0.
        cuda: CUDA version of the driver, 13000 for 13.0.
        precision: "float32", "bf16" or "fp16".
        shapes: `plan_shapes` of the engine.
        model: sha256 over the engine's parts.
        plugin: sha256 over the plugin and the CUDA library under it.
    """

    tensorrt: str
    gpu: str
    sm: int
    cuda: int
    precision: str
    shapes: dict[str, int]
    model: str
    plugin: str
    format: int = FORMAT

    @property
    def folder(self) -> str:
        """Name of the cache folder; keys that share it replace each other."""
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return f"{gpu}-sm{self.sm}-{self.tensorrt}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def digest(self) -> str:
        """sha256 of the key."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def plan_shapes(bundle: EngineBundle) -> dict[str, int]:
    """Sizes that are fixed in a plan: those of the sampler, and the limits of its optimisation profile."""
    sizes = bundle.sampler
    most = max(TUNED, min(_MOST_HYPOTHESES, _CELLS // sizes.cells))
    return {
        "side": sizes.side,
        "grid": sizes.grid,
        "channels": sizes.channels,
        "latent": sizes.latent,
        "tuned": TUNED,
        "most_hypotheses": most,
        "most_tokens": MOST_TOKENS,
    }


def model_hash(bundle: EngineBundle) -> str:
    """sha256 over the names, sizes and hashes of the files that plans are built from."""
    files = read_manifest(bundle.path)["files"]
    # Neither the CPU's encoder nor what the model was trained on is in a plan.
    apart = (ENCODER_WEIGHTS, IMAGE_PRIOR, SPLIT, STARTS)
    kept = {name: entry for name, entry in files.items() if not name.startswith(apart)}
    return hashlib.sha256(json.dumps([bundle.sampler.as_dict(), kept], sort_keys=True).encode()).hexdigest()


def plugin_hash(plugin: Path) -> str:
    """sha256 over the plugin and the CUDA library next to it."""
    return hashlib.sha256(
        (sha256_of(plugin) + sha256_of(plugin.with_name(CUDA_LIBRARY))).encode()
    ).hexdigest()
