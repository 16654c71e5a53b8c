"""Peers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from asam.bench.onnx_route import OnnxRoute
from asam.bench.route import Ours, Route
from asam.bench.settings import Settings
from asam.bench.subject import Subject
from asam.bench.torch_route import PublishedLoop, TorchRoute
from asam_trt.precision import PRECISIONS


def open_peer(name: str, subject: Subject, settings: Settings) -> Route:
    """Make the peer of that name, one of :data:`asam.bench.settings.PEERS`."""
    makers: dict[str, Callable[[str, Subject], Route]] = {
        **{f"asam-{name}": partial(_ours, name) for name in PRECISIONS if name != "auto"},
        "torch-float32": partial(TorchRoute, dtype=torch.float32),
        "torch-bf16": partial(TorchRoute, dtype=torch.bfloat16),
        "torch-float32-compiled": partial(TorchRoute, dtype=torch.float32, compiled=True),
        "torch-bf16-compiled": partial(TorchRoute, dtype=torch.bfloat16, compiled=True),
        "ort-float32": partial(OnnxRoute, encoder="float32", sampler="float32"),
        "ort-int8": partial(OnnxRoute, encoder="int8", sampler="int8"),
        "ort-mixed": partial(OnnxRoute, encoder="int8", sampler="float32", stages=("frame",)),
        "loop": partial(PublishedLoop, limit=settings.loop_limit),
    }
    return makers[name](name, subject)


def _ours(precision: str, name: str, subject: Subject) -> Route:
    return Ours(subject, precision, "native", name)
