"""PyTorch's encoder and latent networks as CUDA graphs on a real GPU, beside the sampler that reads what they leave."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_encoders import plain_encoder_of, random_weights_of
from plain_engine import random_engine
from plain_tiny_encoder import vit_t

import asam_trt
from asam_trt import encoders
from asam_trt.backends.cpu import CpuBackend
from asam_trt.backends.cuda import CudaBackend
from asam_trt.bundle import EngineBundle
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig
from asam_trt.sampler_spec import SamplerConfig
from asam_trt.torch_parts.parts import DTYPES, TorchParts, encoder_of

pytestmark = pytest.mark.gpu

ENCODERS = {
    "a-sam": EncoderConfig(side=128, width=192, heads=3, mlp_dim=768, channels=64, windows=(14, 0, 14)),
    "sam": EncoderConfig(side=1024, width=128, heads=2, mlp_dim=512, channels=64, windows=(14, 0)),
    "ragged": EncoderConfig(side=240, width=64, heads=4, mlp_dim=128, channels=32, windows=(4, 7, 0)),
    "small mobile sam": TinyEncoderConfig(
        side=128,
        channels=64,
        widths=(32, 64, 96, 128),
        depths=(1, 1, 2, 1),
        heads=(1, 2, 3, 4),
        windows=(7, 7, 14, 7),
    ),
    "small lite medsam": TinyEncoderConfig(
        side=48,
        channels=64,
        widths=(32, 64, 96, 128),
        depths=(1, 1, 2, 1),
        heads=(1, 2, 3, 4),
        windows=(7, 7, 14, 7),
        cell=4,
    ),
    "mobile sam, ragged": vit_t(208),
    "mobile sam": vit_t(1024),
}


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x.astype(np.float64) ** 2).mean()))


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_host(array: Any) -> np.ndarray:
    """A copy of what a part left on the GPU."""
    return torch.as_tensor(array, device="cuda").cpu().numpy()


@pytest.fixture(autouse=True)
def _captures_succeed() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*without a CUDA graph")
        yield


@pytest.fixture(scope="module", params=["a-sam", "small mobile sam"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EngineBundle:
    sampler = SamplerConfig(side=128, grid=8, channels=64, latent=32, mask_tokens=2, heads=4, mlp_dim=128)
    return random_engine(tmp_path_factory.mktemp("engine") / "random.asam", sampler, ENCODERS[request.param])


@pytest.fixture(scope="module")
def backend(engine: EngineBundle) -> CudaBackend:
    return CudaBackend(engine, engine.load_weights(), precision="bf16", encoder="torch")


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", ENCODERS)
def test_as_near_to_float64_as_plain_pytorch(name: str, precision: str) -> None:
    config, dtype = ENCODERS[name], DTYPES[precision]
    weights, image = (
        random_weights_of(config),
        torch.as_tensor(draw(0, 3, config.side, config.side)).cuda(),
    )
    found = encoder_of(config, weights, dtype=dtype, device=torch.device("cuda"))(image).cpu().numpy()
    with torch.no_grad():
        exact = plain_encoder_of(config, weights, torch.float64, "cuda")(image.double()).cpu().numpy()
        plain = plain_encoder_of(config, weights, dtype, "cuda")(image.to(dtype)).double().cpu().numpy()
    assert rms(found - exact) <= 2 * rms(plain - exact) + 4 * torch.finfo(torch.float32).eps * rms(exact)


@pytest.mark.parametrize("precision", DTYPES)
def test_replays_equal_the_eager_encoder(engine: EngineBundle, precision: str) -> None:
    parts = TorchParts(engine, precision, "cuda")
    config, weights = engine.load_encoder()
    eager = encoder_of(config, weights, dtype=DTYPES[precision], device=torch.device("cuda"))
    images = [draw(i, 3, 128, 128) for i in range(5)]
    found = [parts.encode(image) for image in images]  # all alive at once
    unit = torch.finfo(DTYPES[precision]).eps
    for image, (embedding, mu, sigma) in zip(images, found, strict=True):
        want = eager(torch.as_tensor(image).cuda()).cpu().numpy()
        # A capture may take other algorithms than a run.
        assert rms(on_host(embedding) - want) <= 8 * unit * rms(want)
        assert mu.shape == sigma.shape == (engine.sampler.latent,)
    assert len({on_host(embedding).tobytes() for embedding, _, _ in found}) == 5
    assert parts._encode.graphs == 1  # type: ignore[attr-defined]


def test_a_graph_a_number_of_tokens(engine: EngineBundle) -> None:
    """More of them than are kept; the latent of one image is asked while another has been encoded since."""
    on_gpu, on_cpu = TorchParts(engine, "float32", "cuda"), TorchParts(engine, "float32", "cpu")
    images = [draw(i, 3, 128, 128) for i in range(2)]
    pairs = [(on_gpu.encode(image)[0], on_cpu.encode(image)[0]) for image in images]
    for tokens in (2, 0, 3, 2, 1, 4, 5, 6, 7, 8, 2, 0):
        for dense in (draw(7, 64), draw(8, 64, 8, 8)):
            for there, here in pairs:
                given = (draw(tokens, tokens, 64), dense)
                for a, b in zip(on_gpu.prior(there, *given), on_cpu.prior(here, *given), strict=True):
                    np.testing.assert_allclose(on_host(a), b.owner.numpy(), rtol=1e-3, atol=1e-4)
    assert on_gpu._prior.graphs == 8  # type: ignore[attr-defined]


def test_hypotheses_are_the_cpus(engine: EngineBundle) -> None:
    weights = engine.load_weights()
    results = []
    for each in (
        CudaBackend(engine, weights, precision="float32", encoder="torch"),
        CpuBackend(engine, weights, precision="float32", encoder="native"),
    ):
        first, second = (each.encode(draw(i, 3, 128, 128)) for i in range(2))
        tokens, dense, eps = draw(2, 2, 64), draw(3, 64), draw(4, 3, 2, 32)
        prompts = [each.prompt(image, tokens, dense) for image in (first, second)]
        results.append(
            [
                each.sample(image, prompt, eps)[0]
                for image, prompt in zip((first, second), prompts, strict=True)
            ]
        )
    for found, want in zip(*results, strict=True):
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-3 * float(np.abs(want).max()))


def test_the_next_image_is_encoded_while_hypotheses_of_this_one_are_drawn(backend: CudaBackend) -> None:
    images = [draw(i, 3, 128, 128) for i in range(8)]
    tokens, dense, eps = draw(2, 2, 64), draw(3, 64), draw(4, 32, 2, 32)

    def answer(state: Any) -> np.ndarray:
        return backend.sample(state, backend.prompt(state, tokens, dense), eps)[0]

    alone = [answer(backend.encode(image)) for image in images]
    states: list[Any] = [backend.encode(image) for image in images]
    failures: list[BaseException] = []
    done = threading.Event()

    def encode() -> None:
        try:
            while not done.is_set():
                for i, image in enumerate(images):
                    states[i] = backend.encode(image)
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=encode)
    worker.start()
    try:
        for i in range(400):
            np.testing.assert_array_equal(answer(states[i % 8]), alone[i % 8])
            if i % 40 == 0:  # captures beside the other thread's replays
                backend.prompt(states[0], draw(5, 3 + i // 40, 64), dense)
    finally:
        done.set()
        worker.join()
    assert not failures


def test_a_thousand_images_take_no_memory(backend: CudaBackend) -> None:
    tokens, dense = draw(2, 2, 64), draw(3, 64)
    used = []
    for i in range(1000):
        state = backend.encode(draw(i % 3, 3, 128, 128))
        backend.prompt(state, tokens, dense)
        if i in (100, 999):
            free, total = torch.cuda.mem_get_info()
            used.append(total - free)
    assert used[1] <= used[0]


def test_auto_takes_pytorch(engine: EngineBundle) -> None:
    found = encoders.choose("auto", has_native=True, has_torch_parts=engine.has_torch_parts, backend="cuda")
    assert found == ("torch", "PyTorch runs on the GPU")


def test_a_session_takes_it(engine: EngineBundle) -> None:

    with asam_trt.Session(Path(engine.path), backend="cuda") as session:
        assert session.encoder == "torch"
        image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
        session.set_image(image)
        assert len(session.sample(box=(10, 20, 60, 90), n=4)) == 4
