"""The one model, picture and prompt that every route computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import asam_trt
from asam.bench.settings import Settings
from asam.model import ASAM, load_checkpoint
from asam_trt.geometry import Frame, resize_image
from asam_trt.noise import latent_noise

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """What is computed.

    Attributes:
        model: float32, in evaluation mode.
        engine: folder built from it.
        image: uint8 [S, S, 3].
        box: xyxy in pixels of the image.
        seed: of the noise.
        threads: of every runtime.
    """

    model: ASAM
    engine: Path
    image: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float]
    seed: int
    threads: int

    def pixels(self) -> tuple[Float32Array, Frame]:
        """Model input [3, S, S] and the picture's place in it."""
        config = self.model.config
        return resize_image(
            self.image, config.image_size, config.pixel_mean, config.pixel_std, cell=config.cell
        )

    def noise(self, n: int) -> Float32Array:
        """float32 [n, 2, L], the same for every route."""
        return latent_noise(n=n, latent=self.model.config.sizes.latent, seed=self.seed)

    def room_for(self, n: int) -> None:
        """Refuse a batch that would end the process for want of memory.

        Raises:
            MemoryError: says about how much one batch of n takes and how much is free.
        """
        sizes, cells = self.model.config.sizes, self.model.config.grid**2
        # Ten maps of C values a cell are alive at once; 9.8 were measured in PyTorch, 7.7 in ONNX Runtime.
        needed = 4 * n * cells * 10 * sizes.channels
        free = _free_memory()
        if free is not None and needed > free:
            raise MemoryError(
                f"one batch of {n} takes about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free"
            )


def make_subject(settings: Settings, folder: Path, threads: int) -> Subject:
    """Build everything into ``folder``, the engine too.

    Raises:
        ValueError: a backbone, image size or checkpoint that is not one.
        EngineError: the engine cannot be built.
    """
    if settings.checkpoint is None:
        torch.manual_seed(settings.seed)
        model = ASAM.from_preset(backbone=settings.fresh_backbone, image_size=settings.image_size)
        file = folder / "model.safetensors"
        model.save(file)
    else:
        file = settings.checkpoint
        model = load_checkpoint(file)
    engine = asam_trt.build_engine(file, folder / "engine.asam", progress=False)
    image, box = picture(model.config.image_size, settings.seed)
    return Subject(model.eval(), engine, image, box, settings.seed, threads)


def picture(side: int, seed: int) -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]:
    """A disc within a disc under noise, uint8 [side, side, 3], and the box of the outer one."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    radius = np.hypot(x - 0.5, y - 0.5)
    value = np.select([radius < 0.15, radius < 0.3], [220, 150], default=60 + 40 * x)
    noise = np.random.default_rng(seed).normal(0, 8, (side, side, 3))
    image = np.clip(value[..., None] + noise, 0, 255).astype(np.uint8)
    return image, (0.2 * side, 0.2 * side, 0.8 * side, 0.8 * side)


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes[0] * 1024 if kilobytes else None
