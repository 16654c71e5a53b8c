"""SegGPT (Wang et al., ICCV 2023) through Hugging Face transformers, with the user's own weights.

SegGPT takes no box and no point: it is shown one example, an image with its mask, and completes the mask of another
image. So the prompt says where to look: example and question are cropped around their boxes, and n hypotheses come from
n jittered boxes. Weights: a folder that ``SegGptForImageSegmentation.save_pretrained`` wrote, such as a copy of
BAAI/seggpt-vit-large; ``pip install '.[seggpt]'`` in a clone brings transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from asam.baselines.base import stability
from asam.data import Sample
from asam.prompts import PERTURBATIONS, Perturbation
from asam_trt import Hypotheses
from asam_trt.geometry import Frame

_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]  # ImageNet's, of [0, 1] RGB
_STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
_SURE = 10.0  # logit of a white pixel; SegGPT paints the object white on black
_BLOCK = 4  # crops painted at once

Box = npt.NDArray[np.float64]


class SegGPT:
    """A :class:`asam.methods.Method`: SegGPT asked by one example and n jittered crops.

    Args:
        model: a ``SegGptForImageSegmentation``.
        example: an image of the training set with a mask: the example is the mask of the rater of greatest weight among
            those who marked something.
        perturbation: of the box before it is cropped around; see :data:`asam.prompts.PERTURBATIONS`.
        context: side of a crop in sides of its box.
        image_size: S of the hypotheses' frame, a multiple of 16.
        name: as it stands in tables.

    Raises:
        ValueError: nobody marked anything in the example, or a size out of range.
    """

    def __init__(
        self,
        model: Any,
        example: Sample,
        *,
        perturbation: Perturbation = PERTURBATIONS["shift"],
        context: float = 2.0,
        image_size: int = 512,
        name: str = "SegGPT, box shift",
    ) -> None:
        if not example.masks.any():
            raise ValueError(f"example: expected a sample with a mask, got {example.id}, where all are empty")
        if not context >= 1:
            raise ValueError(f"context: expected at least 1 side of the box, got {context}")
        if image_size < 16 or image_size % 16:
            raise ValueError(f"image_size: expected a positive multiple of 16 pixels, got {image_size}")
        self.model, self.perturbation, self.context = model.eval(), perturbation, context
        self.image_size, self.name = image_size, name
        self._extent = (example.box[2:] - example.box[:2]).astype(np.float64)
        marked = np.where(example.masks.any(axis=(1, 2)), example.weights, -1)
        mask = example.masks[int(marked.argmax())]
        window = self._window(example.box, example.image.shape[:2])
        self._image = self._crop(_rgb(example), window)
        self._mask = self._crop(np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 255, window)

    @classmethod
    def from_folder(cls, folder: str | PathLike[str], example: Sample, **options: Any) -> SegGPT:
        """Read the model from a folder of config.json and model.safetensors; nothing is downloaded or unpickled.

        Raises:
            ImportError: transformers is not installed.
            ValueError: no such folder, or not a SegGPT.
        """
        try:
            from transformers import SegGptForImageSegmentation
        except ImportError as error:
            raise ImportError(
                "SegGPT needs transformers, which is not installed: pip install 'transformers>=4.39'"
            ) from error
        if not Path(folder).is_dir():
            raise ValueError(f"{folder}: expected a folder with config.json and model.safetensors")
        try:
            model = SegGptForImageSegmentation.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: expected the weights of a SegGPT, got: {error}") from error
        return cls(model, example, **options)

    @torch.no_grad()
    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """One mask for each of n jittered boxes; around a click the box has the size of the example's."""
        height, width = sample.image.shape[:2]
        rng, image = np.random.default_rng(seed), _rgb(sample)
        box = sample.box
        if sample.click is not None:
            box = np.concatenate([sample.click - self._extent / 2, sample.click + self._extent / 2])
        windows = [
            self._window(self.perturbation(box, (height, width), rng), (height, width)) for _ in range(n)
        ]
        frame = Frame.of(height, width, self.image_size)
        logits = torch.cat(
            [
                _placed(
                    self._painted(torch.stack([self._crop(image, window) for window in some])), some, frame
                )
                for some in _blocks(windows)
            ]
        )
        return Hypotheses(logits.numpy(), stability(logits).numpy(), frame)

    def _painted(self, crops: torch.Tensor) -> torch.Tensor:
        """Crops [n, 3, T, T] -> logits [n, T, T]: SegGPT's picture, from black to white."""
        device = next(self.model.parameters()).device
        example, mask = (t.expand_as(crops).to(device) for t in (self._image, self._mask))
        found = self.model(
            pixel_values=crops.to(device), prompt_pixel_values=example, prompt_masks=mask
        ).pred_masks.float()
        # The example's own picture is the upper half.
        picture = found[:, :, found.shape[2] // 2 :].cpu() * _STD + _MEAN
        white: torch.Tensor = picture.mean(dim=1).clamp(0, 1)
        return _SURE * (2 * white - 1)

    def _window(self, box: npt.ArrayLike, size: tuple[int, ...]) -> Box:
        """The square around a box, xyxy, cut off at the image's edges."""
        x0, y0, x1, y1 = np.asarray(box, dtype=np.float64)
        half = self.context * max(x1 - x0, y1 - y0) / 2
        centre = np.array([x0 + x1, y0 + y1]) / 2
        limit = np.array([size[1], size[0]], dtype=np.float64)
        low = np.clip(centre - half, 0, limit - 1)
        return np.concatenate([low, np.clip(centre + half, low + 1, limit)])

    def _crop(self, image: npt.NDArray[np.uint8], window: Box) -> torch.Tensor:
        """A window of a picture, resized and normalised as SegGPT's own processor does: [3, T, T]."""
        height, width = self.model.config.image_size
        resized = Image.fromarray(image).resize(
            (width, height // 2), Image.Resampling.BICUBIC, box=tuple(window.tolist())
        )
        pixels = torch.from_numpy(np.asarray(resized, dtype=np.float32) / 255).permute(2, 0, 1)
        return (pixels - _MEAN) / _STD


def _rgb(sample: Sample) -> npt.NDArray[np.uint8]:
    return np.asarray((sample.float_image * 255).round(), dtype=np.uint8)


def _blocks(windows: list[Box]) -> Iterator[list[Box]]:
    return (windows[first : first + _BLOCK] for first in range(0, len(windows), _BLOCK))


def _placed(logits: torch.Tensor, windows: list[Box], frame: Frame) -> torch.Tensor:
    """Logits of windows [n, T, T] -> [n, S/4, S/4] of the whole image; outside its window nothing is the object."""
    cells = (np.arange(frame.logits_side) + 0.5) * 4
    x, y = (cells / scale for scale in frame.scale)  # pixels of the image
    low, extent = np.stack(windows)[:, :2], np.stack(windows)[:, 2:] - np.stack(windows)[:, :2]
    across = 2 * (x - low[:, :1]) / extent[:, :1] - 1  # grid_sample's: -1 and 1 are the window's edges
    down = 2 * (y - low[:, 1:]) / extent[:, 1:] - 1
    shape = (len(windows), len(cells), len(cells))
    grid = np.stack(
        [np.broadcast_to(across[:, None], shape), np.broadcast_to(down[:, :, None], shape)], axis=-1
    )
    places = torch.from_numpy(grid).float()
    found = functional.grid_sample(logits[:, None], places, padding_mode="border", align_corners=False)[:, 0]
    return torch.where((places.abs() <= 1).all(dim=-1), found, -_SURE)
