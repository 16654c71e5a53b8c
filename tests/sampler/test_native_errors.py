"""Bad weights, configurations and arrays: a standard exception that names what was expected and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asam_trt import _runtime


def make(case: Any, **change: Any) -> Any:
    return _runtime.Sampler(case.config.as_dict(), case.weights | change)


@pytest.mark.parametrize(
    "name",
    [
        "pe",
        "output_tokens",
        "combiner_image.feature",
        "combiner_prompt.layers.2.weight",
        "layers.0.self_attn.k.weight",
        "layers.1.token_to_image.k.pe",
        "layers.1.token_to_image.k.bias",
        "layers.1.image_to_token.q.bias",
        "layers.0.norm3.bias",
        "final.v.bias",
        "upscale.0.bias",
        "upscale.norm.weight",
        "hyper.2.1.bias",
        "iou.1.weight",
        "iou.2.bias",
    ],
)
def test_missing_misshapen_or_broken_weights(tiny: Any, name: str) -> None:
    value = tiny.weights[name]
    weights = dict(tiny.weights)
    del weights[name]
    with pytest.raises(ValueError, match=f"expected '{name}' of shape .*, found no such tensor"):
        _runtime.Sampler(tiny.config.as_dict(), weights)
    with pytest.raises(ValueError, match=rf"expected '{name}' of shape \[.*\], got \[.*\]"):
        make(tiny, **{name: np.concatenate([value, value])})
    with pytest.raises(ValueError, match=f"finite values in '{name}'"):
        make(tiny, **{name: np.full_like(value, np.inf)})
    with pytest.raises(TypeError, match=rf"weights\['{name}'\]: expected dtype float32, got float64"):
        make(tiny, **{name: value.astype(np.float64)})


def test_unknown_and_nameless_weights(tiny: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown tensor 'hyper\.9\.0\.weight'"):
        make(tiny, **{"hyper.9.0.weight": np.zeros((32, 32), np.float32)})
    with pytest.raises(TypeError, match="names of type str"):
        _runtime.Sampler(tiny.config.as_dict(), tiny.weights | {3: np.zeros(3, np.float32)})
    with pytest.raises(TypeError, match="expected a float32 NumPy array, got list"):
        make(tiny, pe=[1.0, 2.0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"side": 60}, ValueError, r"side = 16 \* grid or 4 \* grid, got side 60 and grid 4"),
        ({"heads": 3}, ValueError, "2 \\* heads"),
        ({"mask_tokens": 0}, ValueError, "mask_tokens"),
        ({"mlp_dim": 1 << 40}, ValueError, "mlp_dim"),
        ({"latent": 1.5}, TypeError, "latent.*float"),
        ({"depth": True}, TypeError, "depth.*bool"),
        ({"mlp_activation": "gelu"}, ValueError, "gelu"),
        ({"combiner_layers": 1}, ValueError, "combiner_layers"),
        ({"combiner_layers": 0, "sampled_tokens": True}, ValueError, "sampled_tokens"),
        ({"separate_masks": True}, ValueError, "iou.2.weight"),
    ],
)
def test_bad_config(tiny: Any, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _runtime.Sampler(tiny.config.as_dict() | change, tiny.weights)


def test_missing_config_entry(tiny: Any) -> None:
    config = tiny.config.as_dict()
    del config["latent"]
    with pytest.raises(ValueError, match="'latent'"):
        _runtime.Sampler(config, tiny.weights)


def test_unknown_isa_and_block(tiny: Any) -> None:
    with pytest.raises(ValueError, match="sse9"):
        _runtime.Sampler(tiny.config.as_dict(), tiny.weights, isa="sse9")
    with pytest.raises(ValueError, match="block"):
        _runtime.Sampler(tiny.config.as_dict(), tiny.weights, block=-1)


def f32(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_image_state_arguments(tiny: Any) -> None:
    sampler = make(tiny)
    with pytest.raises(TypeError, match="embedding: expected dtype float32, got float64"):
        sampler.image_state(np.ones((32, 4, 4)), f32(16), f32(16))
    with pytest.raises(ValueError, match=r"embedding: expected shape \[32, 4, 4\], got \[32, 4, 5\]"):
        sampler.image_state(f32(32, 4, 5), f32(16), f32(16))
    with pytest.raises(ValueError, match="embedding: expected 3 axes"):
        sampler.image_state(f32(32, 16), f32(16), f32(16))
    with pytest.raises(ValueError, match=r"embedding: .*contiguous"):
        sampler.image_state(f32(4, 4, 32).transpose(2, 0, 1), f32(16), f32(16))
    with pytest.raises(ValueError, match=r"mu_image: expected shape \[16\], got \[17\]"):
        sampler.image_state(f32(32, 4, 4), f32(17), f32(16))
    with pytest.raises(ValueError, match="sigma_image: expected no negative"):
        sampler.image_state(f32(32, 4, 4), f32(16), -f32(16))
    with pytest.raises(ValueError, match="embedding: expected finite"):
        sampler.image_state(np.nan * f32(32, 4, 4), f32(16), f32(16))


def test_prompt_state_arguments(tiny: Any) -> None:
    sampler = make(tiny)
    image = sampler.image_state(f32(32, 4, 4), f32(16), f32(16))
    latent = f32(16), f32(16)
    with pytest.raises(ValueError, match=r"tokens: expected shape \[\*, 32\], got \[2, 31\]"):
        sampler.prompt_state(image, f32(2, 31), f32(32), *latent)
    with pytest.raises(ValueError, match=r"dense: expected shape \[32, 4, 4\], got \[32, 4, 3\]"):
        sampler.prompt_state(image, f32(2, 32), f32(32, 4, 3), *latent)
    with pytest.raises(ValueError, match=r"dense: expected shape \[C\] or"):
        sampler.prompt_state(image, f32(2, 32), f32(32, 16), *latent)
    with pytest.raises(TypeError, match="mu_prompt: expected a float32 NumPy array, got list"):
        sampler.prompt_state(image, f32(2, 32), f32(32), [0.0] * 16, f32(16))
    with pytest.raises(ValueError, match="sigma_prompt: expected finite"):
        sampler.prompt_state(image, f32(2, 32), f32(32), f32(16), np.inf * f32(16))
    with pytest.raises(TypeError):
        sampler.prompt_state("image", f32(2, 32), f32(32), *latent)


def test_sample_arguments(tiny: Any) -> None:
    sampler = make(tiny)
    image = sampler.image_state(f32(32, 4, 4), f32(16), f32(16))
    prompt = sampler.prompt_state(image, f32(2, 32), f32(32), f32(16), f32(16))
    with pytest.raises(ValueError, match=r"eps: expected shape \[3, 2, 16\], got \[3, 1, 16\]"):
        sampler.sample(image, prompt, f32(3, 1, 16))
    with pytest.raises(ValueError, match="eps: expected at least one hypothesis"):
        sampler.sample(image, prompt, f32(0, 2, 16))
    with pytest.raises(TypeError, match="float64"):
        sampler.sample(image, prompt, np.ones((3, 2, 16)))
    with pytest.raises(ValueError, match="eps: expected finite"):
        sampler.sample(image, prompt, np.nan * f32(3, 2, 16))
    with pytest.raises(ValueError, match="n: expected at least one"):
        sampler.sample_seeded(image, prompt, 0, 1)
    with pytest.raises(ValueError, match="start"):
        sampler.sample_seeded(image, prompt, 1, 1, start=2**32)
    with pytest.raises(ValueError, match="2\\^32"):
        sampler.sample_seeded(image, prompt, 2**33, 1)
    with pytest.raises(TypeError):
        sampler.sample_seeded(image, prompt, 1, -1)
