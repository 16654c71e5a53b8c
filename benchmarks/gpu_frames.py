"""Images to masks on one GPU: milliseconds to encode an image and to answer a frame, and frames a second.

    python benchmarks/gpu_frames.py --output outputs/gpu

Needs an NVIDIA GPU, PyTorch and NumPy; writes gpu_frames.json and gpu_frames.md. SAM's ViT-B, then MobileSAM's encoder,
with random weights, the same for all routes, which take turns: ours, PyTorch eager and torch.compile (max-autotune,
which captures CUDA graphs), both with the encoder as segment_anything or MobileSAM writes it and the plain sampler.

prepare   uint8 image [S, S, 3] -> float32 model input [3, S, S], both on the host; the same code for all
encode    model input on the host -> embedding and image latent on the GPU
frame     image on the host -> mean map [S, S] and areas [n] of n hypotheses of a box, on the host

The route asam-no-cudnn is ours with the encoder's attention by any kernel of PyTorch's but cuDNN's.
torch.compile comes last, after eager for all sizes; ours is measured beside each, and the files hold the rows so far.

Frames a second: ours with the next image prepared and encoded in a thread of its own while hypotheses of this one are
drawn, as `VideoSampler` does; of the others one frame after the other.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu import config_of
from gpu_timing import TYPES, Report, cases, interleaved, parsed, table_line
from plain_encoder import PlainPrior, vit_b
from plain_encoders import plain_encoder_of
from plain_engine import random_engine
from plain_sampler import PlainSampler, RandomInputs
from plain_tiny_encoder import vit_t
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from asam_trt import bundle
from asam_trt.ahead import Ahead
from asam_trt.backends.cuda import CudaBackend, ImageState
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig
from asam_trt.geometry import resize_image

_DEVICE = "cuda"
_FRAMES = 100  # of a run that counts frames a second
PARTS = (("asam", "eager", "asam-no-cudnn"), ("asam", "compile"))  # what takes turns
ENCODERS: dict[str, Callable[[int], EncoderConfig | TinyEncoderConfig]] = {"vit_b": vit_b, "vit_t": vit_t}
_NO_CUDNN = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Ours:
    """The backend "cuda" with PyTorch's encoder, results by the CUDA sampler's own counting."""

    def __init__(self, engine: bundle.EngineBundle, precision: str, inputs: RandomInputs, n: int) -> None:
        self._backend = CudaBackend(engine, engine.load_weights(), precision=precision, encoder="torch")
        self._settings, self._inputs, self._n = engine.preprocessing, inputs, n
        self._out: Any = None  # memory of the logits and scores, for all frames

    def prepare(self, image: np.ndarray) -> np.ndarray:
        settings = self._settings
        return resize_image(image, settings.side, settings.mean, settings.std)[0]

    def encode(self, pixels: np.ndarray) -> ImageState:
        return self._backend.encode(pixels)

    def answer(self, image: ImageState) -> tuple[np.ndarray, np.ndarray]:
        backend, side = self._backend, self._settings.side
        prompt = backend.prompt(image, self._inputs.tokens, self._inputs.dense)
        self._out = backend.sample_on_device(image, prompt, self._n, seed=1, out=self._out)
        counts, areas = backend.statistics(self._out[0], (side, side), (side, side))
        return counts / np.float32(self._n), areas

    def frames_a_second(self, image: np.ndarray) -> float:
        encoded = Ahead((self.encode(self.prepare(image)) for _ in range(_FRAMES)), depth=1, name="encode")
        start = time.perf_counter()
        for state in encoded:
            self.answer(state)
        seconds = time.perf_counter() - start
        encoded.join()
        return _FRAMES / seconds


class Plain:
    """Encoder, latent networks and sampler in plain PyTorch, everything in one type; compiled, or not."""

    def __init__(
        self, engine: bundle.EngineBundle, dtype: torch.dtype, inputs: RandomInputs, n: int, compiled: bool
    ) -> None:
        self._dtype, self._n, self._side = dtype, n, engine.sampler.side
        self._staged = torch.empty(3, self._side, self._side, pin_memory=_DEVICE != "cpu")

        def built(model: torch.nn.Module) -> Any:
            return torch.compile(model, mode="max-autotune", dynamic=False) if compiled else model

        self._encoder = built(plain_encoder_of(*engine.load_encoder(), dtype, _DEVICE))
        priors = [
            engine.load_prior(name) for name in (bundle.IMAGE_PRIOR_WEIGHTS, bundle.PROMPT_PRIOR_WEIGHTS)
        ]
        self._image, self._prompt = (built(PlainPrior(*each, dtype, _DEVICE)) for each in priors if each)
        self._inputs = PlainSampler(engine.sampler, engine.load_weights(), inputs, dtype, _DEVICE)
        self._sampler = built(self._inputs)

    @torch.no_grad()
    def encode(self, pixels: np.ndarray) -> tuple[torch.Tensor, ...]:
        self._staged.numpy()[...] = pixels
        image = self._staged.to(_DEVICE, non_blocking=True).to(self._dtype)
        embedding = self._encoder(image).clone()  # a compiled model's next call may take the memory
        return embedding, *(each.clone() for each in self._image(embedding))

    @torch.no_grad()
    def answer(self, image: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
        model = self._inputs
        mu, sigma = self._prompt(image[0], model.input_tokens, model.input_dense)
        names = ("embedding", "mu_image", "sigma_image", "mu_prompt", "sigma_prompt")
        for name, value in zip(names, (*image, mu, sigma), strict=True):
            getattr(model, f"input_{name}").copy_(value)
        noise = torch.randn(self._n, 2, model.config.latent, device=_DEVICE, dtype=self._dtype)
        logits, _ = self._sampler(noise)
        size = (self._side, self._side)
        masks = F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0] > 0
        return masks.float().mean(0).cpu().numpy(), masks.sum((1, 2)).cpu().numpy()


def measured(
    engine: bundle.EngineBundle, precision: str, n: int, names: Sequence[str], repeats: int
) -> dict[str, Any]:
    """What a row says of its routes."""
    side, inputs = engine.sampler.side, RandomInputs(engine.sampler)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    ours = Ours(engine, precision, inputs, n)
    found: dict[str, Ours | Plain] = {"asam": ours}
    for name in names[1:]:
        if name == "asam-no-cudnn":
            with sdpa_kernel(_NO_CUDNN):  # while its graph of the encoder is captured
                found[name] = Ours(engine, precision, inputs, n)
            continue
        found[name] = Plain(engine, TYPES[precision], inputs, n, compiled=name == "compile")
    pixels = ours.prepare(image)

    def frame(route: Any) -> Callable[[], object]:
        return lambda: route.answer(route.encode(ours.prepare(image)))

    def encode(route: Any) -> Callable[[], object]:
        return lambda: route.encode(pixels)

    times = {
        "prepare": interleaved({"asam": lambda: ours.prepare(image)}, repeats),
        "encode": interleaved({name: encode(route) for name, route in found.items()}, repeats),
        "frame": interleaved({name: frame(route) for name, route in found.items()}, repeats),
    }
    ms = {
        what: {name: statistics.median(runs) for name, runs in each.items()} for what, each in times.items()
    }
    fps = {name: 1e3 / each for name, each in ms["frame"].items()}
    fps["asam"] = statistics.median(ours.frames_a_second(image) for _ in range(3))
    return {"ms": ms, "frames_a_second": fps, "runs_ms": times}


NAMES = ("asam", "asam-no-cudnn", "eager", "compile")
HEAD = (
    "encoder", "S", "type", "n", "prepare",
    *(f"{what}: {name}" for what in ("encode", "frame", "frames/s") for name in NAMES),
)  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    cells = [row["encoder"], str(row["side"]), row["precision"], str(row["n"])]
    if "problem" in row:
        return table_line([*cells, row["problem"]])
    cells.append(f"{row['ms']['prepare']['asam']:.3f}")
    for values in (row["ms"]["encode"], row["ms"]["frame"], row["frames_a_second"]):
        cells += [f"{values[name]:.3f}" if name in values else "-" for name in NAMES]
    return table_line(cells)


def main() -> int:
    arguments = parsed(__doc__, n=(32,))
    report = Report(arguments.output, "gpu_frames", HEAD, line)
    with tempfile.TemporaryDirectory() as folder:

        @cache
        def engine_of(encoder: str, side: int) -> bundle.EngineBundle:
            sizes = ENCODERS[encoder](side)
            return random_engine(Path(folder) / f"{encoder}-{side}.asam", config_of(side), sizes)

        def row_of(encoder: str, side: int, precision: str, n: int, names: Sequence[str]) -> dict[str, Any]:
            return measured(engine_of(encoder, side), precision, n, names, arguments.repeats)

        for names, encoder in product(PARTS[: 1 if arguments.no_compile else 2], ENCODERS):
            for side, precision, n in cases(arguments):
                row = {"encoder": encoder, "side": side, "precision": precision, "n": n}
                report.add(row, partial(row_of, encoder, side, precision, n, names))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
