"""The native latent networks against float64, their promise of the same bits, and what they refuse."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from asam.export_prior import has_native_prior, prior_config, prior_tensors
from asam.model import ASAM, PRESETS, ModelConfig
from asam.model.latent import GaussianHead, ImageLatentNet, MaskStem, PromptLatentNet
from asam_trt import _ops, _runtime
from asam_trt.prior_spec import PriorConfig

ISAS = _ops.supported_isas()
CHANNELS, LATENT = 24, 10


class Case:
    """A random network, what it is asked, and what float64 answers."""

    def __init__(self, network: nn.Module, *, grid: int, tokens: int | None, dense_map: bool = False) -> None:
        rng = np.random.default_rng(grid)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for value in network.parameters():
                if value.ndim == 1 or value.shape[0] == 1:
                    value.add_(0.3 * torch.randn(value.shape, generator=generator))
        head: Any = network.head
        channels = head.blocks[0][0].in_channels // (1 if tokens is None else 2)
        self.position = torch.randn(1, channels, grid, grid, generator=generator)
        self.config = prior_config(network, grid=grid)  # type: ignore[arg-type]
        self.weights = prior_tensors(network, self.position)  # type: ignore[arg-type]

        def array(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32)

        self.asked = [array(channels, grid, grid)]
        if tokens is not None:
            self.asked += [
                array(tokens, channels),
                array(channels, grid, grid) if dense_map else array(channels),
            ]
        self.exact = self._answer(network, torch.float64)
        self.single = self._answer(network, torch.float32)

    def _answer(self, network: nn.Module, dtype: torch.dtype) -> np.ndarray:
        """float64 [2, L], computed in ``dtype``."""
        given = [torch.from_numpy(x)[None].to(dtype) for x in self.asked]
        if len(given) > 1:
            dense = given[2] if given[2].ndim == 4 else given[2][..., None, None].expand_as(given[0])
            given = [given[0], self.position.to(dtype), given[1], dense]
        with torch.no_grad():
            found = copy.deepcopy(network).to(dtype)(*given)
        return np.stack([found.mean[0].double().numpy(), found.sigma[0].double().numpy()])

    def native(self, **options: Any) -> Any:
        return _runtime.LatentPrior(self.config.as_dict(), self.weights, **options)

    def error(self, **options: Any) -> float:
        """Of the native answer, in units of what float32 PyTorch is off."""
        found = np.stack(self.native(**options).run(*self.asked))
        assert found.dtype == np.float32
        off = max(float(np.abs(self.single - self.exact).max()), 1e-7 * float(np.abs(self.exact).max()))
        return float(np.abs(found - self.exact).max()) / off


def head(
    inputs: int, *, pooling: str = "strided", span: tuple[float, float] | None = (-6.0, 2.0)
) -> GaussianHead:
    widths, convs = (12, 20, 33), 2
    return GaussianHead(
        inputs=inputs, widths=widths, convs=convs, latent=LATENT, log_sigma_range=span, pooling=pooling
    )


def image_net(**choices: Any) -> ImageLatentNet:
    torch.manual_seed(0)
    return ImageLatentNet(head(CHANNELS, **choices))


def prompt_net(**choices: Any) -> PromptLatentNet:
    torch.manual_seed(0)
    return PromptLatentNet(head(2 * CHANNELS, **choices), channels=CHANNELS, heads=3)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("pooling", ["strided", "average"])
@pytest.mark.parametrize("grid", [1, 2, 3, 5, 8, 13])
def test_image_network(grid: int, pooling: str, isa: str) -> None:
    assert Case(image_net(pooling=pooling), grid=grid, tokens=None).error(isa=isa) <= 4


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("tokens", "dense_map"), [(0, False), (1, True), (2, False), (41, True)])
@pytest.mark.parametrize("grid", [1, 4, 9])
def test_prompt_network(grid: int, tokens: int, dense_map: bool, isa: str) -> None:
    assert Case(prompt_net(), grid=grid, tokens=tokens, dense_map=dense_map).error(isa=isa) <= 4


def test_log_sigma_is_clamped_where_it_is_asked() -> None:
    network = image_net(span=(-0.01, 0.02))
    found = np.asarray(Case(network, grid=4, tokens=None).native().run(np.ones((CHANNELS, 4, 4), np.float32)))
    assert found[1].min() == pytest.approx(np.exp(-0.01))
    assert found[1].max() == pytest.approx(np.exp(0.02))
    assert Case(image_net(span=None), grid=4, tokens=None).error() <= 4


@pytest.mark.parametrize("backbone", ["nano", "vit_b"])
def test_the_networks_of_a_model(backbone: str) -> None:
    torch.manual_seed(0)
    model = ASAM.from_preset(backbone=backbone, image_size=128).eval()
    sizes = model.config.sizes
    assert Case(model.image_prior, grid=8, tokens=None).error() <= 4
    case = Case(model.prompt_prior, grid=8, tokens=2)
    assert case.error() <= 4
    assert (case.config.channels, case.config.heads) == (sizes.channels, sizes.decoder_heads)
    assert (case.config.widths, case.config.convs) == (sizes.prior_widths, sizes.prior_convs)


@pytest.mark.parametrize("isa", ISAS)
def test_same_bits_for_every_number_of_threads(isa: str) -> None:
    for case in (
        Case(prompt_net(), grid=9, tokens=3, dense_map=True),
        Case(image_net(pooling="average"), grid=9, tokens=None),
    ):
        network = case.native(isa=isa)
        _runtime.set_num_threads(1)
        alone = np.stack(network.run(*case.asked))
        for threads in (2, 3, 7):
            _runtime.set_num_threads(threads)
            np.testing.assert_array_equal(np.stack(network.run(*case.asked)), alone)


def test_one_network_from_several_threads_with_prompts_of_several_lengths() -> None:
    case = Case(prompt_net(), grid=6, tokens=20)
    network = case.native()
    asked = [[case.asked[0], case.asked[1][:t], case.asked[2]] for t in (1, 20, 0, 7)]
    expected = [np.stack(network.run(*one)) for one in asked]
    failures = []

    def work() -> None:
        for _ in range(20):
            for one, want in zip(asked, expected, strict=True):
                if not np.array_equal(np.stack(network.run(*one)), want):
                    failures.append(one)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_prompts_that_are_none() -> None:
    case = Case(prompt_net(), grid=4, tokens=2)
    network, (embedding, tokens, dense) = case.native(), case.asked
    with pytest.raises(ValueError, match=r"embedding: expected shape \[24, 4, 4\], got \[24, 4, 5\]"):
        network.run(np.zeros((CHANNELS, 4, 5), np.float32), tokens, dense)
    with pytest.raises(ValueError, match=r"tokens: expected shape \[\*, 24\]"):
        network.run(embedding, tokens[:, :-1].copy(), dense)
    with pytest.raises(ValueError, match=r"dense: expected shape \[24, 4, 4\]"):
        network.run(embedding, tokens, dense[:-1].copy())
    with pytest.raises(ValueError, match="tokens: expected shape"):
        network.run(embedding)
    with pytest.raises(TypeError, match="float64"):
        network.run(embedding, tokens.astype(np.float64), dense)
    for i, name in enumerate(("embedding", "tokens", "dense")):
        broken = [x.copy() for x in case.asked]
        broken[i].flat[3] = np.nan
        with pytest.raises(ValueError, match=f"{name}: expected finite"):
            network.run(*broken)
    with pytest.raises(ValueError, match="sees no prompt"):
        Case(image_net(), grid=4, tokens=None).native().run(embedding, tokens, dense)


def test_weights_that_are_wrong() -> None:
    case = Case(prompt_net(), grid=4, tokens=2)
    for name, value in case.weights.items():
        hostile = {
            "found no such tensor": None,
            "of shape": np.concatenate([value, value[:1]]),
            "got NaN or Inf": np.full_like(value, np.inf),
        }
        for text, wrong in hostile.items():
            changed = {k: v for k, v in case.weights.items() if k != name}
            if wrong is not None:
                changed[name] = wrong
            with pytest.raises(ValueError, match=rf"'{name}'.*{text}"):
                _runtime.LatentPrior(case.config.as_dict(), changed)
    with pytest.raises(ValueError, match="unknown tensor 'more'"):
        _runtime.LatentPrior(case.config.as_dict(), case.weights | {"more": np.ones(3, np.float32)})


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"grid": 0}, ValueError, r"config\['grid'\]: expected 1 .."),
        ({"grid": 1 << 40}, ValueError, r"config\['grid'\]"),
        ({"channels": True}, TypeError, r"config\['channels'\]"),
        ({"heads": 7}, ValueError, "divisor of channels 24, got 7"),
        ({"heads": -1}, ValueError, r"config\['heads'\]"),
        ({"widths": []}, ValueError, "expected 1 .. 8 blocks, got 0"),
        ({"widths": [4] * 9}, ValueError, "expected 1 .. 8 blocks, got 9"),
        ({"widths": [0]}, ValueError, r"config\['widths'\]"),
        ({"widths": (12, 20, 33)}, TypeError, "list of int"),
        ({"strided": 1}, TypeError, "expected a bool"),
        ({"log_sigma_range": [2.0, -6.0]}, ValueError, "low < high"),
        ({"log_sigma_range": [float("nan"), 1.0]}, ValueError, "low < high"),
        ({"log_sigma_range": [1.0]}, TypeError, "log_sigma_range"),
        ({"convs": 3}, ValueError, "found no such tensor"),
    ],
)
def test_sizes_that_do_not_fit(change: dict[str, Any], error: type[Exception], text: str) -> None:
    case = Case(prompt_net(), grid=4, tokens=2)
    with pytest.raises(error, match=text):
        _runtime.LatentPrior(case.config.as_dict() | change, case.weights)


def test_the_sizes_come_back_from_a_header() -> None:
    for network in (prompt_net(), image_net(pooling="average", span=None)):
        config = prior_config(network, grid=6)
        assert PriorConfig.from_json(config.to_json()) == config
    text = prior_config(prompt_net(), grid=6).to_json()
    for old, new in (
        ('"grid": 6', '"grid": 6.0'),
        ('"strided": true', '"strided": 1'),
        ("[12, 20, 33]", '"12"'),
        ("[-6.0, 2.0]", "[NaN, 2.0]"),
    ):
        assert old in text
        with pytest.raises(TypeError, match="config"):
            PriorConfig.from_json(text.replace(old, new))
    with pytest.raises(ValueError, match="expected the entries"):
        PriorConfig.from_json('{"grid": 6}')
    with pytest.raises(TypeError, match="expected an object"):
        PriorConfig.from_json("null")


def test_posteriors_and_published_networks_are_not_native() -> None:
    assert has_native_prior(image_net())
    assert has_native_prior(prompt_net())
    assert not has_native_prior(ImageLatentNet(head(CHANNELS + 12), MaskStem(channels=12, cell=16)))
    for config in (PRESETS["a2sam"].model, ModelConfig(latents=())):
        model = ASAM(replace(config, backbone="nano", image_size=32))
        assert not has_native_prior(model.image_prior)
        assert not has_native_prior(model.prompt_prior)
