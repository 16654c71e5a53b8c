"""A trained model as the parts of an engine: ONNX graphs, the image encoder's weights, the state of the sampler."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn import functional

from asam.export_encoder import encoder_config, encoder_tensors
from asam.export_prior import has_native_prior, prior_config, prior_tensors
from asam.export_tiny_encoder import tiny_encoder_config, tiny_encoder_tensors
from asam.model.adaptation import merged
from asam.model.backbone import on_grid
from asam.model.network import ASAM
from asam.model.tiny_vit import TinyViT, WindowAttention

IMAGE_ENCODER = "image_encoder.onnx"
ENCODER_WEIGHTS = "image_encoder.safetensors"
IMAGE_PRIOR = "image_prior.onnx"
IMAGE_PRIOR_WEIGHTS = "image_prior.safetensors"
PROMPT_PRIOR = "prompt_prior.onnx"
PROMPT_PRIOR_WEIGHTS = "prompt_prior.safetensors"
OPSET = 20

_SAMPLER_PARTS = ("prompt_encoder.", "mask_decoder.", "combiner_image.", "combiner_prompt.", "ensemble")
_TRACED_TOKENS = 3  # any count above 1: the exporter takes 0 and 1 for constants
_MOST_TOKENS = 4096
_BOX_TOKENS = 2


class Parts(NamedTuple):
    """What an engine is made of beside the files.

    state: the tensors that :func:`asam_trt.fold.fold` takes. sampler: sizes, :class:`asam_trt.sampler_spec`.
    preprocessing: fields of :class:`asam_trt.bundle.Preprocessing`.
    """

    state: dict[str, NDArray[np.float32]]
    sampler: dict[str, Any]
    preprocessing: dict[str, Any]


def export_parts(model: ASAM, folder: Path) -> Parts:
    """Write the encoders and priors into ``folder`` and return the rest.

    Image encoder: image [1, 3, S, S] -> embedding [1, C, e, e], mu_image [1, L], sigma_image [1, L].
    Weights of the native encoder and priors: see :func:`asam.export_encoder.encoder_tensors` and
    :func:`asam.export_prior.prior_tensors`; their sizes are in the files' headers. Without a native image prior
    image_prior.onnx, for an embedding of the native encoder: image, embedding -> mu_image, sigma_image.
    Prompt prior: embedding [1, C, e, e], tokens [1, t, C], dense [1, C, e, e] -> mu_prompt, sigma_prompt [1, L];
    t is dynamic, or 2 where the model answers boxes only. All float32, opset 20, weights in an external ``.data`` file.
    """
    model = merged(model).eval()
    config, sizes = model.config, model.config.sizes
    _fuse_norms(model.image_encoder.neck)
    _fix_biases(model.image_encoder, side=config.image_size)
    side, grid, channels = config.image_size, config.grid, sizes.channels
    embedding = torch.randn(1, channels, grid, grid)
    _write(
        _ImageEncoder(model),
        (torch.randn(1, 3, side, side),),
        folder / IMAGE_ENCODER,
        inputs=["image"],
        outputs=["embedding", "mu_image", "sigma_image"],
    )
    if not _write_native(model, model.image_prior, folder / IMAGE_PRIOR_WEIGHTS):
        _write(
            _ImagePrior(model),
            (torch.randn(1, 3, side, side), embedding),
            folder / IMAGE_PRIOR,
            inputs=["image", "embedding"],
            outputs=["mu_image", "sigma_image"],
        )
    _write_encoder(model, folder / ENCODER_WEIGHTS)
    tokens = _BOX_TOKENS if config.boxes_only else _TRACED_TOKENS
    any_tokens = None if config.boxes_only else {1: torch.export.Dim("t", min=0, max=_MOST_TOKENS)}
    _write(
        _PromptPrior(model),
        (embedding, torch.randn(1, tokens, channels), torch.randn(1, channels, grid, grid)),
        folder / PROMPT_PRIOR,
        inputs=["embedding", "tokens", "dense"],
        outputs=["mu_prompt", "sigma_prompt"],
        dynamic=(None, any_tokens, None),
    )
    _write_native(model, model.prompt_prior, folder / PROMPT_PRIOR_WEIGHTS)
    state = {
        k: v.detach().cpu().numpy() for k, v in model.state_dict().items() if k.startswith(_SAMPLER_PARTS)
    }
    sampler = {
        "side": side,
        "grid": grid,
        "channels": channels,
        "latent": sizes.latent,
        "mask_tokens": config.mask_tokens,
        "heads": sizes.decoder_heads,
        "depth": 2,
        "mlp_dim": sizes.decoder_mlp,
        "iou_layers": 3,
        "combiner_layers": len(model.combiner_image.layers),
        "mlp_activation": "relu",
        "sampled_tokens": config.prompt_latent_on != "dense",
    }
    preprocessing = {
        "side": side,
        "mean": list(config.pixel_mean),
        "std": list(config.pixel_std),
        "box_scale": config.box_scale,
        "boxes_only": config.boxes_only,
        "draws_prompts": config.draws_prompts,
    }
    return Parts(state, sampler, preprocessing)


def _write_encoder(model: ASAM, path: Path) -> None:
    encoder = model.image_encoder
    if isinstance(encoder, TinyViT):
        sizes_text = tiny_encoder_config(encoder, side=model.config.image_size).to_json()
        tensors = tiny_encoder_tensors(encoder)
    else:
        sizes_text, tensors = encoder_config(encoder).to_json(), encoder_tensors(encoder)
    path.write_bytes(save(tensors, {"encoder": sizes_text}))


def _write_native(model: ASAM, network: nn.Module, path: Path) -> bool:
    """Whether the native code has this latent network; its weights are then in ``path``."""
    if not has_native_prior(network):
        return False
    sizes_text = {"prior": prior_config(network, grid=model.config.grid).to_json()}
    path.write_bytes(save(prior_tensors(network, model.position()), sizes_text))
    return True


class _ImageEncoder(nn.Module):
    def __init__(self, model: ASAM) -> None:
        super().__init__()
        self.encoder = on_grid(model.image_encoder)
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        embedding, latent = self.model.image_state(image, self.encoder(image))
        return embedding, latent.mean, latent.sigma


class _ImagePrior(nn.Module):
    def __init__(self, model: ASAM) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latent = self.model.image_state(image, embedding).latent
        return latent.mean, latent.sigma


class _ChannelNorm(nn.Module):
    """SAM's LayerNorm2d as one LayerNormalization, which runtimes have a kernel for, between two transposes."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same, normalised over C."""
        last = x.permute(0, 2, 3, 1)
        normed = functional.layer_norm(last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


def _fuse_norms(layers: nn.Sequential) -> None:
    for i, layer in enumerate(layers):
        if isinstance(layer, LayerNorm2d):
            layers[i] = _ChannelNorm(layer)


@torch.no_grad()
def _fix_biases(encoder: nn.Module, *, side: int) -> None:
    """Makes constants of what windows add to their scores, which graphs would compute anew for every image."""
    attentions = [module for module in encoder.modules() if isinstance(module, WindowAttention)]
    for module in attentions:
        module.biases = cache(module.biases)  # type: ignore[method-assign]
    if attentions:
        encoder(torch.zeros(1, 3, side, side))  # so that there are numbers to take when it is traced


class _PromptPrior(nn.Module):
    def __init__(self, model: ASAM) -> None:
        super().__init__()
        self.network = model.prompt_prior
        self.register_buffer("position", model.position().detach())

    def forward(
        self, embedding: torch.Tensor, tokens: torch.Tensor, dense: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        latent = self.network(embedding, self.get_buffer("position"), tokens, dense)
        return latent.mean, latent.sigma


def _write(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: tuple[Any, ...] | None = None,
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            external_data=True,
            verbose=False,
        )
    onnx.checker.check_model(str(path))
