"""What every peer is: a network that answers an image and a prompt with a distribution of masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional

from asam.baselines import checkpoint
from asam.baselines.channels import CHANNELS, as_row, prompt_channels
from asam.baselines.noise import row_noise
from asam.model.config import PATCH, SAM_PIXEL_MEAN, SAM_PIXEL_STD, checked_fields
from asam_trt import Hypotheses
from asam_trt.checks import integer
from asam_trt.geometry import resize_image
from asam_trt.noise import most_hypotheses
from asam_trt.prompt import Prompt

if TYPE_CHECKING:
    from asam.model.prompts import Prompts
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig

State = TypeVar("State")

INPUTS = 3 + CHANNELS
_CELL = 16  # pixels of a cell of the logits
_BLOCK = 64  # hypotheses decoded at once, which bounds the memory of a large n


@dataclass(frozen=True, kw_only=True)
class PeerConfig:
    """Sizes that all peers have.

    Attributes:
        image_size: S, side of the square the image is resized into, pixels; a multiple of 16.
        pixel_mean, pixel_std: normalisation of 0..255 RGB values.
        stem: channels at half resolution.
        widths: channels of the U-Net's levels, the finest first; multiples of 8.
    """

    image_size: int = 128
    pixel_mean: tuple[float, float, float] = SAM_PIXEL_MEAN
    pixel_std: tuple[float, float, float] = SAM_PIXEL_STD
    stem: int = 16
    widths: tuple[int, ...] = (32, 48, 64, 96, 96)

    def __post_init__(self) -> None:
        if not isinstance(self.image_size, int) or self.image_size < PATCH or self.image_size % PATCH:
            raise ValueError(
                f"image_size: expected a positive multiple of {PATCH} pixels, got {self.image_size!r}"
            )
        channels = (self.stem, *self.widths)
        if len(self.widths) < 2 or not all(isinstance(w, int) and w > 0 and w % 8 == 0 for w in channels):
            raise ValueError(f"stem, widths: expected positive multiples of 8, got {channels!r}")
        if not all(s > 0 for s in self.pixel_std):
            raise ValueError(f"pixel_std: expected three positive numbers, got {self.pixel_std!r}")

    @property
    def latent(self) -> int:
        """Length of the noise that a training batch carries: none, since peers draw theirs from the rows' seeds."""
        return 0

    @property
    def cell(self) -> int:
        """As of SAM's embedding: logits are at every fourth pixel."""
        return PATCH

    @property
    def logit_size(self) -> int:
        """m = S / 4, side of the logits."""
        return 4 * self.image_size // self.cell

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PeerConfig:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: a field that does not exist, or a value out of its range; names it.
            TypeError: a value of another type; names the field.
        """
        return cls(**checked_fields(values, cls(), title=cls.__name__))


class Peer(nn.Module, ABC, Generic[State]):
    """A peer: an encoder of image and prompt, and a decoder from noise to logits.

    Attributes:
        kind: name on the command line and in checkpoints.
        title: name in tables.
        config: sizes; an instance of ``Config``.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[PeerConfig]]
    config: PeerConfig

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """D, normal numbers of each of the two streams that one hypothesis takes."""

    @abstractmethod
    def encode(self, inputs: torch.Tensor) -> State:
        """Image and prompt channels [B, 7, S, S] -> what does not depend on noise."""

    @abstractmethod
    def decode(self, state: State, noise: torch.Tensor) -> torch.Tensor:
        """Noise [B, n, 2, D] -> mask logits [B, n, m, m], draws of the network's distribution."""

    @abstractmethod
    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The paper's loss, and its parts by name; each a mean over rows.

        Args:
            batch: rows in model space.
            config: of the run; a peer's loss has no settings there, they are in its own configuration.
            divergence_weight: factor on KL terms, for their warm-up.
        """

    def inputs(self, images: torch.Tensor, prompts: Prompts) -> torch.Tensor:
        """Normalised images [B, 3, S, S] and their prompts -> [B, 7, S, S]."""
        return torch.cat([images, prompt_channels(prompts, images.shape[-1])], dim=1)

    def draw(self, seeds: torch.Tensor, n: int) -> torch.Tensor:
        """Noise [B, n, 2, D] of the rows with these seeds."""
        return row_noise(seeds, n=n, size=self.noise_size, device=self._device)

    @torch.no_grad()
    def sample(
        self,
        image: Any,
        *,
        box: Any = None,
        point_coords: Any = None,
        point_labels: Any = None,
        mask_input: Any = None,
        n: int = 32,
        seed: int = 0,
    ) -> Hypotheses:
        """Draw n hypotheses of one prompt; arguments and errors as :meth:`asam.ASAM.sample`.

        Peers estimate no quality; scores are SAM's stability score instead, see :func:`stability`.
        """
        count, key = integer(n, "n"), integer(seed, "seed")
        config = self.config
        if not 1 <= count <= most_hypotheses(config.logit_size):
            raise ValueError(
                f"expected n from 1 to {most_hypotheses(config.logit_size)} hypotheses, came {count}"
            )
        if not 0 <= key < 2**64:
            raise ValueError(f"expected a seed from 0 to 2**64 - 1, came {key}")
        pixels, frame = resize_image(image, config.image_size, config.pixel_mean, config.pixel_std)
        prompt = Prompt.checked(
            point_coords=point_coords, point_labels=point_labels, box=box, mask_input=mask_input, frame=frame
        )
        device = self._device
        state = self.encode(
            self.inputs(torch.from_numpy(pixels)[None].to(device), as_row(prompt, frame, device))
        )
        blocks = []
        for start in range(0, count, _BLOCK):
            some = min(_BLOCK, count - start)
            noise = row_noise([key], n=some, size=self.noise_size, device=device, start=start)
            blocks.append(self.decode(state, noise)[0])
        logits = torch.cat(blocks).float()
        return Hypotheses(logits.cpu().numpy(), stability(logits).cpu().numpy(), frame)

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights and configuration to one safetensors file, under a temporary name first."""
        checkpoint.write(path, kind=self.kind, config=self.config.to_dict(), tensors=dict(self.state_dict()))

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def in_full(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The output of a layer in the precision of its weights, under autocast too: divergences take differences of it."""
    with torch.autocast(x.device.type, enabled=False):
        found: torch.Tensor = layer(x.to(next(layer.parameters()).dtype))
        return found


def pooled(masks: torch.Tensor, size: int) -> torch.Tensor:
    """[B, ..., S, S] -> [B, ..., m, m], the share of each cell that is covered."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:])
    return functional.adaptive_avg_pool2d(flat, size).reshape(*masks.shape[:-2], size, size)


def negative_log_likelihood(logits: torch.Tensor, share: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy summed over the S^2 pixels of the image, as the papers sum it; nats, [B, n].

    Args:
        logits: [B, n, m, m].
        share: [B, m, m] in [0, 1], of each cell that the object covers.
        valid: [B, m, m], share of each cell that is image and not padding.
    """
    target = share[:, None].expand_as(logits)
    nats = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (nats * valid[:, None]).sum(dim=(2, 3)) * _CELL


def stability(logits: torch.Tensor, offset: float = 1.0) -> torch.Tensor:
    """IoU of a mask with itself when its threshold moves by ``offset`` either way (SAM's stability score).

    Args:
        logits: [n, m, m].

    Returns:
        float32 [n]; 1 where the mask is empty at both thresholds.
    """
    inner = (logits > offset).sum(dim=(1, 2))
    outer = (logits > -offset).sum(dim=(1, 2))
    return torch.where(outer > 0, inner / outer.clamp(min=1), 1.0)
