"""Folding: names, shapes, and errors that name the tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asam_trt.fold import dense_position, fold
from asam_trt.sampler_spec import SamplerConfig


def test_dense_position_is_sams(tiny: Any) -> None:
    encoder = tiny.model.prompt_encoder
    want = encoder.get_dense_pe()[0].detach().numpy().reshape(tiny.config.channels, -1).T
    got = dense_position(tiny.weights["prompt.gaussian"], tiny.config.grid)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_result_is_contiguous_float32(tiny: Any) -> None:
    for name, value in tiny.weights.items():
        assert value.dtype == np.float32, name
        assert value.flags.c_contiguous, name
    assert tiny.weights["combiner_image.latent"].shape == (16, 32)
    assert tiny.weights["layers.0.token_to_image.k.pe"].shape == (16, 16)
    assert tiny.weights["iou.2.weight"].shape == (64, 1)


def test_half_precision_weights_are_folded_in_float64(tiny: Any) -> None:
    half = {name: value.astype(np.float16) for name, value in tiny.state.items()}
    wide = {name: value.astype(np.float64) for name, value in half.items()}
    for name, value in fold(wide, tiny.config).items():
        np.testing.assert_array_equal(fold(half, tiny.config)[name], value)


@pytest.mark.parametrize(
    "name",
    [
        "ensemble",
        "combiner_image.layers.0.weight",
        "combiner_prompt.layers.3.bias",
        "mask_decoder.iou_token.weight",
        "mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.weight",
        "mask_decoder.transformer.norm_final_attn.bias",
        "mask_decoder.output_upscaling.3.weight",
        "mask_decoder.output_hypernetworks_mlps.3.layers.2.bias",
        "mask_decoder.iou_prediction_head.layers.1.weight",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "prompt_encoder.mask_downscaling.6.weight",
    ],
)
def test_missing_misshapen_or_broken_tensor_is_named(tiny: Any, name: str) -> None:
    missing = {key: value for key, value in tiny.state.items() if key != name}
    with pytest.raises(ValueError, match=f"'{name}'.*found no such tensor"):
        fold(missing, tiny.config)
    misshapen = tiny.state | {name: tiny.state[name][..., None, :]}
    with pytest.raises(ValueError, match=rf"'{name}' of shape \(.*found \("):
        fold(misshapen, tiny.config)
    broken = tiny.state | {name: np.full_like(tiny.state[name], np.nan)}
    with pytest.raises(ValueError, match=f"'{name}', found NaN"):
        fold(broken, tiny.config)
    integers = tiny.state | {name: tiny.state[name].astype(np.int64)}
    with pytest.raises(ValueError, match=f"'{name}' of a float dtype, found int64"):
        fold(integers, tiny.config)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"side": 60}, ValueError, r"side = 16 \* grid or 4 \* grid, got side 60 and grid 4"),
        ({"channels": 36}, ValueError, "multiple of 8"),
        ({"heads": 5}, ValueError, "2 \\* heads"),
        ({"mask_tokens": 0}, ValueError, "mask_tokens"),
        ({"latent": 1.5}, TypeError, "latent.*float"),
        ({"combiner_layers": 1}, ValueError, "combiner_layers"),
        ({"combiner_layers": 0, "sampled_tokens": True}, ValueError, "sampled_tokens"),
        ({"separate_masks": 1}, TypeError, "separate_masks.*int"),
        ({"mlp_activation": "gelu"}, ValueError, "relu"),
        ({"colour": 3}, ValueError, "colour"),
    ],
)
def test_config_is_checked(tiny: Any, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SamplerConfig.of(tiny.config.as_dict() | change)


def test_config_names_missing_entries(tiny: Any) -> None:
    config = tiny.config.as_dict()
    del config["grid"]
    with pytest.raises(ValueError, match="grid"):
        SamplerConfig.of(config)
