"""What a benchmark is asked to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stage = Literal["encode", "sample", "frame"]
STAGES: tuple[Stage, ...] = ("encode", "sample", "frame")

PEERS = (
    "asam-float32",
    "asam-int16",
    "asam-int8-encoder",
    "asam-int8",
    "torch-float32",
    "torch-bf16",
    "torch-float32-compiled",
    "torch-bf16-compiled",
    "ort-float32",
    "ort-int8",
    "ort-mixed",
    "loop",
)
DEFAULT_PEERS = ("torch-float32", "torch-bf16", "ort-float32", "loop")

_BACKBONE = "vit_b"
_MOST_HYPOTHESES = 4096


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one benchmark.

    Attributes:
        checkpoint: the model measured; None is a fresh one whose weights are drawn from ``seed``.
        backbone, image_size: of the fresh model; None is "vit_b" and the preset's. A checkpoint has its own.
        n: numbers of hypotheses.
        repeats: timed runs of each figure.
        threads: of every runtime; None is :func:`asam_trt.get_num_threads`.
        peers: from :data:`PEERS`.
        precision, encoder: of our route, as :class:`asam_trt.Session` takes them.
        loop_limit: the published loop is run up to this n, since its time grows with the whole network.
        seed: of weights, picture and noise.
        floor: compare the sampler with the speed of large matrix products.
    """

    checkpoint: Path | None = None
    backbone: str | None = None
    image_size: int | None = None
    n: Sequence[int] = (1, 8, 32, 128)
    repeats: int = 9
    threads: int | None = None
    peers: Sequence[str] = DEFAULT_PEERS
    precision: str = "auto"
    encoder: str = "auto"
    loop_limit: int = 32
    seed: int = 0
    floor: bool = True

    def __post_init__(self) -> None:
        if self.checkpoint is not None and (self.backbone is not None or self.image_size is not None):
            raise ValueError(
                "expected either a checkpoint, which has its backbone and image size, or these two, came both"
            )
        if not self.n or not all(1 <= n <= _MOST_HYPOTHESES for n in self.n):
            raise ValueError(f"expected n from 1 to {_MOST_HYPOTHESES}, came {list(self.n)}")
        if unknown := [peer for peer in self.peers if peer not in PEERS]:
            raise ValueError(f"expected peers from {', '.join(PEERS)}, came {', '.join(unknown)}")
        if repeated := [x for x in (*self.n, *self.peers) if (*self.n, *self.peers).count(x) > 1]:
            raise ValueError(f"expected every n and every peer once, came {repeated[0]} more than once")
        for name in ("repeats", "loop_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, came {getattr(self, name)}")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise ValueError(f"expected threads from 1 to 1024, came {self.threads}")

    @property
    def fresh_backbone(self) -> str:
        """Of the model that is made where there is no checkpoint."""
        return self.backbone or _BACKBONE
