"""The model through ONNX Runtime: the engine's encoder and prior, and the sampler exported for each n."""

from __future__ import annotations

import logging
import platform
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import nn

from asam.bench import machine
from asam.bench.route import Route, box_prompt
from asam.bench.settings import STAGES, Stage
from asam.bench.subject import Float32Array, Subject
from asam.bench.torch_route import decode_noise, in_dtype
from asam.export import OPSET
from asam.model import ASAM
from asam.model.latent import Gaussian
from asam_trt.bundle import EngineBundle

Precision = Literal["float32", "int8"]

_QUANTISED = ["MatMul", "Gemm"]  # dynamic int8 convolutions are slower than float32 ones
_INPUTS = (
    "embedding",
    "tokens",
    "dense",
    "mu_prompt",
    "sigma_prompt",
    "mu_image",
    "sigma_image",
    "eps",
)


class _Image(NamedTuple):
    embedding: Float32Array  # [1, C, e, e]
    mu: Float32Array  # [1, L]
    sigma: Float32Array  # [1, L]


class _Prompt(NamedTuple):
    tokens: Float32Array  # [1, t, C]
    dense: Float32Array  # [1, C, h, w]; h = w = 1, or e where the network draws its prompts
    mu: Float32Array  # [1, L]
    sigma: Float32Array  # [1, L]


class OnnxRoute(Route):
    """ONNX Runtime on the CPU, its default optimisations, one batch of n on an embedding computed once.

    Args:
        encoder, sampler: "int8" is dynamic quantisation of the matrix products' weights and inputs.
        stages: rows to time; a mix of precisions has news in "frame" alone.
    """

    def __init__(
        self,
        name: str,
        subject: Subject,
        *,
        encoder: Precision,
        sampler: Precision,
        stages: Sequence[Stage] = STAGES,
    ) -> None:
        super().__init__(name, subject)
        self.stages = tuple(stages)
        bundle = EngineBundle.open(subject.engine)
        self._tables = bundle.prompt_tables(bundle.load_weights())
        self._folder = tempfile.TemporaryDirectory(prefix="asam-bench-")
        self._encoder = self._open(bundle.image_encoder, encoder)
        self._prior = self._open(bundle.prompt_prior, "float32")
        self._precision = sampler
        self._samplers: dict[int, ort.InferenceSession] = {}

    def prepare(self, n: int) -> None:
        if n not in self._samplers:
            super().prepare(n)
            file = Path(self._folder.name) / f"sampler-{n}.onnx"
            export_sampler(self.subject.model, file, n)
            self._samplers[n] = self._open(file, self._precision)

    def encode(self, pixels: Float32Array) -> _Image:
        outputs = ["embedding", "mu_image", "sigma_image"]
        return _Image(*self._encoder.run(outputs, {"image": pixels[None]}))

    def prompt(self, image: _Image) -> _Prompt:
        tokens, dense = box_prompt(self.subject, self._tables)
        dense = (dense[:, None, None] if dense.ndim == 1 else dense)[None]
        whole = np.ascontiguousarray(np.broadcast_to(dense, image.embedding.shape))
        mu, sigma = self._prior.run(
            ["mu_prompt", "sigma_prompt"],
            {"embedding": image.embedding, "tokens": tokens[None], "dense": whole},
        )
        return _Prompt(tokens[None], dense, mu, sigma)

    def sample(self, image: _Image, prompt: _Prompt, eps: Float32Array) -> tuple[Float32Array, Float32Array]:
        values = (image.embedding, *prompt, image.mu, image.sigma, eps)
        session = self._samplers[len(eps)]
        logits, scores = session.run(["logits", "scores"], dict(zip(_INPUTS, values, strict=True)))
        return logits, scores

    def embedding(self, image: _Image) -> npt.NDArray[Any]:
        return np.asarray(image.embedding[0])

    def _open(self, file: Path, precision: Precision) -> ort.InferenceSession:
        if precision == "int8":
            file = _quantised(file, Path(self._folder.name) / f"int8-{file.name}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.subject.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        # Workers spin within a run, ONNX Runtime's default, and not into the next route's turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class _Sampler(nn.Module):
    """The inputs of `_INPUTS`, in that order -> logits [n, 4e, 4e] and scores [n]."""

    def __init__(self, model: ASAM) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        embedding: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        mu_prompt: torch.Tensor,
        sigma_prompt: torch.Tensor,
        mu_image: torch.Tensor,
        sigma_image: torch.Tensor,
        eps: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        prompt, image = Gaussian(mu_prompt, sigma_prompt), Gaussian(mu_image, sigma_image)
        return decode_noise(self.model, embedding, tokens, dense, prompt, image, eps)


def export_sampler(model: ASAM, file: Path, n: int) -> None:
    """Write the sampler of n hypotheses of a box prompt, every shape fixed, float32."""
    sizes, grid = model.config.sizes, model.config.grid
    latent, drawn = (1, sizes.latent), grid if model.config.draws_prompts else 1
    example = (
        torch.randn(1, sizes.channels, grid, grid),
        torch.randn(1, 2, sizes.channels),
        torch.randn(1, sizes.channels, drawn, drawn),
        torch.randn(latent),
        torch.rand(latent),
        torch.randn(latent),
        torch.rand(latent),
        torch.randn(n, 2, sizes.latent),
    )
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Sampler(in_dtype(model, torch.float32)).eval(),
            example,
            str(file),
            input_names=list(_INPUTS),
            output_names=["logits", "scores"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantised(file: Path, target: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a pass that has been made by the exporter
    try:
        quantize_dynamic(
            file,
            target,
            op_types_to_quantize=_QUANTISED,
            weight_type=QuantType.QInt8,
            # Without VNNI, x86 adds pairs of products in 16 bits, which overflow where weights use all 8.
            reduce_range=platform.machine() == "x86_64" and not machine.has("vnni"),
        )
    finally:
        logger.setLevel(level)
    return target
