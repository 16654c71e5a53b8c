"""Sizes and choices of a model: one frozen record that is saved inside every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from asam_trt.encoder_spec import MOST_GRID
from asam_trt.encoder_spec import PATCH as PATCH

SAM_SIDE = 1024  # S of the official checkpoints
SAM_PIXEL_MEAN = (123.675, 116.28, 103.53)  # of 0..255 RGB, as segment_anything
SAM_PIXEL_STD = (58.395, 57.12, 57.375)

PIXELS: dict[str, dict[str, tuple[float, float, float]]] = {
    "sam": {"pixel_mean": SAM_PIXEL_MEAN, "pixel_std": SAM_PIXEL_STD},
    # Mean 0 and std 1 are of pixel values in [0, 1]; ours are of 0..255, hence 255.
    "unit": {"pixel_mean": (0.0, 0.0, 0.0), "pixel_std": (255.0, 255.0, 255.0)},
}
"""How pixels are scaled: as Segment Anything has it, or to [0, 1] as MedSAM and the published A-SAM have it."""

MASKS = {"multi": "repeat", "single": "single"}
"""Which of SAM's masks are used -> `ModelConfig.start` of a model that begins with them: its multimask ones, or the
single one that it gives where several are not asked for, which alone MedSAM was trained for."""

ADAPTATIONS = ("full", "lora", "frozen")
LATENTS = ("prompt", "image")
_CHOICES: dict[str, tuple[str, ...]] = {
    "adaptation": ADAPTATIONS,
    "box_units": ("pixels", "published"),
    "image_prior": ("embedding", "image"),
    "prompt_prior": ("attention", "published"),
    "posterior_prompt": ("mask", "box"),
    "prompt_latent_on": ("dense", "tokens and dense"),
    "pooling": ("strided", "average"),
    "start": ("repeat", "single", "fresh"),
    "combiners": ("identity", "fresh"),
}


class LoraTarget(NamedTuple):
    """Output rows of one layer of an image encoder's block: part ``part`` of ``parts`` equal ones."""

    layer: str
    part: int = 0
    parts: int = 1


LORA_TARGETS: dict[str, LoraTarget] = {
    "q": LoraTarget("attn.qkv", 0, 3),
    "k": LoraTarget("attn.qkv", 1, 3),
    "v": LoraTarget("attn.qkv", 2, 3),
    "proj": LoraTarget("attn.proj"),
    "lin1": LoraTarget("mlp.lin1"),
    "lin2": LoraTarget("mlp.lin2"),
}


_LARGEST = 1e30  # of a real number in a configuration; float32 holds it


@dataclass(frozen=True, kw_only=True)
class ViTSizes:
    """Sizes of SAM's own image encoders."""

    embed_dim: int  # channels
    depth: int
    heads: int
    global_blocks: tuple[int, ...]  # blocks that attend over the whole grid
    window: int  # cells a side of the other blocks' windows


@dataclass(frozen=True, kw_only=True)
class TinyViTSizes:
    """Sizes of a TinyViT image encoder, one entry a stage; the first has convolutions alone."""

    widths: tuple[int, ...]  # channels
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]  # cells a side
    cell: int = PATCH  # pixels a side of one cell of the embedding


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Sizes of the image encoder, the mask decoder and the latent networks that go with it."""

    encoder: ViTSizes | TinyViTSizes
    channels: int  # C, of the embedding that the encoder gives out
    decoder_heads: int
    decoder_mlp: int
    iou_hidden: int
    latent: int  # L, size of either latent
    prior_widths: tuple[int, ...]  # channels of the latent networks' blocks; halved in size between blocks
    prior_convs: int  # convolutions a block
    pretrained: bool = True  # whether there are SAM weights to start from
    pixels: str | None = (
        None  # what these weights were trained for, keys of PIXELS and MASKS; None is SAM's own
    )
    masks: str | None = None

    @property
    def cell(self) -> int:
        """Pixels a side of one cell of the embedding."""
        return self.encoder.cell if isinstance(self.encoder, TinyViTSizes) else PATCH


_SAM_HEAD: dict[str, Any] = {
    "channels": 256,
    "decoder_heads": 8,
    "decoder_mlp": 2048,
    "iou_hidden": 256,
    "latent": 256,
    "prior_widths": (32, 64, 128, 192),
    "prior_convs": 3,
}


def _vit(embed_dim: int, depth: int, heads: int, global_blocks: tuple[int, ...]) -> ViTSizes:
    return ViTSizes(embed_dim=embed_dim, depth=depth, heads=heads, global_blocks=global_blocks, window=14)


def _tiny_vit(*, cell: int) -> TinyViTSizes:
    return TinyViTSizes(
        widths=(64, 128, 160, 320), depths=(2, 2, 6, 2), heads=(2, 4, 5, 10), windows=(7, 7, 14, 7), cell=cell
    )


BACKBONES: dict[str, Backbone] = {
    "vit_b": Backbone(encoder=_vit(768, 12, 12, (2, 5, 8, 11)), **_SAM_HEAD),
    "vit_l": Backbone(encoder=_vit(1024, 24, 16, (5, 11, 17, 23)), **_SAM_HEAD),
    "vit_h": Backbone(encoder=_vit(1280, 32, 16, (7, 15, 23, 31)), **_SAM_HEAD),
    "vit_t": Backbone(encoder=_tiny_vit(cell=PATCH), **_SAM_HEAD),
    "lite_medsam": Backbone(encoder=_tiny_vit(cell=4), pixels="unit", masks="single", **_SAM_HEAD),
    "nano": Backbone(
        encoder=_vit(64, 4, 4, (0, 1, 2, 3)),
        channels=64,
        decoder_heads=4,
        decoder_mlp=128,
        iou_hidden=64,
        latent=32,
        prior_widths=(32, 48, 64),
        prior_convs=1,
        pretrained=False,
    ),
}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is needed to rebuild a model before its weights are read.

    Attributes:
        preset: name of the set of choices this configuration began from.
        backbone: key of :data:`BACKBONES`.
        image_size: S, side of the square the image is resized into, pixels; a multiple of 16 up to 4096.
        mask_tokens: K, mask tokens that the ensemble weighs.
        latents: which of "prompt" and "image" there are; one that is not is the constant zero, its combiner stays.
        posterior: latents of training come from posteriors that see the rater's mask; False draws them from the priors.
        log_sigma_range: clamp of the latent networks' log standard deviations; None leaves them as they are.
        box_units: how boxes reach the prompt encoder: "pixels" of model space, or "published": of a 1024-pixel image
            whatever S is, so that at S = 128 the position code sees values up to 8.
        draws_prompts: a prompt without a mask also comes as one, its box filled and its points as discs, see
            :func:`asam.model.prompts.drawn`: a network that starts from nothing then need not learn what a box is.
        image_prior: what the image latent's networks see: the "embedding" F, or the "image" itself.
        image_prior_channels: image channels that they see, 1 (grey) or 3; for "image" only.
        prompt_prior: how the prompt reaches its latent's networks: "attention" of the grid's cells to the prompt
            tokens, or "published": a box's two tokens through fully connected layers to a map of S x S.
        prompt_latent_on: what the prompt latent is mixed into: the prompt's "dense" embedding, or its "tokens" too,
            by the same combiner.
        posterior_prompt: what the prompt latent's posterior sees: the rater's "mask", or only its "box".
        pooling: how the latent networks halve their maps: by "strided" convolutions, or by "average" pooling.
        start: mask tokens, hyper-networks and quality head after reading a SAM checkpoint: "repeat" those of SAM's
            multimask masks, copies of those of its "single" mask, or "fresh".
        combiners: what they begin as after reading a SAM checkpoint: the "identity", which leaves its embeddings as
            they are but for a little of the latents, or "fresh".
        pixel_mean, pixel_std: normalisation of 0..255 RGB values.
        adaptation: what trains, see :func:`asam.model.adapt`: "full", "lora" or "frozen".
        lora_rank: rank of the adapters.
        lora_alpha: their scale, times rank.
        lora_targets: the projections they are on, keys of :data:`LORA_TARGETS`.
    """

    preset: str = "asam"
    backbone: str = "vit_b"
    image_size: int = 128
    mask_tokens: int = 8
    latents: tuple[str, ...] = LATENTS
    posterior: bool = True
    log_sigma_range: tuple[float, float] | None = (-6.0, 2.0)
    box_units: str = "pixels"
    draws_prompts: bool = False
    image_prior: str = "embedding"
    image_prior_channels: int = 1
    prompt_prior: str = "attention"
    prompt_latent_on: str = "dense"
    posterior_prompt: str = "mask"
    pooling: str = "strided"
    start: str = "repeat"
    combiners: str = "identity"
    pixel_mean: tuple[float, float, float] = SAM_PIXEL_MEAN
    pixel_std: tuple[float, float, float] = SAM_PIXEL_STD
    adaptation: str = "full"
    lora_rank: int = 4
    lora_alpha: float = 4.0
    lora_targets: tuple[str, ...] = ("q", "v")

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone: expected one of {sorted(BACKBONES)}, got {self.backbone!r}")
        check_image_size(self.image_size, self.cell)
        if not isinstance(self.mask_tokens, int) or not 1 <= self.mask_tokens <= 64:
            raise ValueError(f"mask_tokens: expected 1 to 64, got {self.mask_tokens!r}")
        if self.log_sigma_range is not None and not self.log_sigma_range[0] < self.log_sigma_range[1]:
            raise ValueError(f"log_sigma_range: expected low < high or None, got {self.log_sigma_range!r}")
        if not all(s > 0 for s in self.pixel_std):
            raise ValueError(f"pixel_std: expected three positive numbers, got {self.pixel_std!r}")
        self._check_choices()
        self._check_adapters()

    def _check_choices(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {list(known)}, got {getattr(self, name)!r}")
        if not set(self.latents) <= set(LATENTS) or len(set(self.latents)) < len(self.latents):
            raise ValueError(f"latents: expected some of {list(LATENTS)}, each once, got {self.latents!r}")
        if self.image_prior_channels not in (1, 3):
            raise ValueError(f"image_prior_channels: expected 1 or 3, got {self.image_prior_channels!r}")
        if (self.prompt_prior == "published") != (self.posterior_prompt == "box"):
            raise ValueError(
                'posterior_prompt: expected "box" beside prompt_prior "published" and nowhere else, '
                f"got {self.posterior_prompt!r} beside {self.prompt_prior!r}"
            )

        if self.draws_prompts and self.boxes_only:
            raise ValueError(
                'draws_prompts: expected False beside prompt_prior "published", which knows no masks; got True'
            )
        if self.prompt_prior == "published" and not (self.posterior and set(self.latents) == set(LATENTS)):
            raise ValueError(
                'prompt_prior: "published" stands for the published network as it is, with both latents and their '
                f"posteriors; got latents {self.latents!r}, posterior {self.posterior!r}"
            )

    def _check_adapters(self) -> None:
        encoder = self.sizes.encoder
        if self.adaptation == "lora" and isinstance(encoder, TinyViTSizes):
            raise ValueError(
                f'adaptation: expected "full" or "frozen" with backbone {self.backbone!r}, which is small enough to '
                'train whole; got "lora"'
            )
        most = encoder.embed_dim if isinstance(encoder, ViTSizes) else min(encoder.widths)
        if not isinstance(self.lora_rank, int) or not 1 <= self.lora_rank <= most:
            raise ValueError(f"lora_rank: expected 1 to {most}, got {self.lora_rank!r}")
        if not self.lora_alpha > 0:
            raise ValueError(f"lora_alpha: expected a positive number, got {self.lora_alpha!r}")
        targets = self.lora_targets
        if not targets or not set(targets) <= set(LORA_TARGETS) or len(set(targets)) < len(targets):
            raise ValueError(
                f"lora_targets: expected some of {list(LORA_TARGETS)}, each once, got {targets!r}"
            )

    @property
    def sizes(self) -> Backbone:
        """Sizes of the chosen backbone."""
        return BACKBONES[self.backbone]

    @property
    def grid(self) -> int:
        """e, cells a side of the embedding."""
        return self.image_size // self.cell

    @property
    def cell(self) -> int:
        """Pixels a side of one cell of the embedding."""
        return self.sizes.cell

    @property
    def latent(self) -> int:
        """L, size of either latent."""
        return self.sizes.latent

    @property
    def box_scale(self) -> float:
        """Factor on boxes in model space on their way to the prompt encoder."""
        return SAM_SIDE / self.image_size if self.box_units == "published" else 1.0

    @property
    def boxes_only(self) -> bool:
        """Whether prompts are boxes, and neither points nor masks."""
        return self.prompt_prior == "published" and "prompt" in self.latents

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: a field that does not exist, or a value out of its range; names it.
            TypeError: a value of another type; names the field.
        """
        return cls(**checked_fields(values, cls(), title="model configuration"))


def check_image_size(side: object, cell: int = PATCH) -> None:
    """Raise ValueError where ``side`` is no S of a model with cells of ``cell`` pixels."""
    most = MOST_GRID * cell
    if not isinstance(side, int) or not PATCH <= side <= most or side % PATCH:
        raise ValueError(
            f"image_size: expected a positive multiple of {PATCH} pixels, {most} at most, got {side!r}"
        )


def pixel_fields(pixels: str) -> dict[str, Any]:
    """The fields ``pixel_mean`` and ``pixel_std`` of a key of :data:`PIXELS`.

    Raises:
        ValueError: no such key.
    """
    if pixels not in PIXELS:
        raise ValueError(f"pixels: expected one of {list(PIXELS)}, got {pixels!r}")
    return dict(PIXELS[pixels])


def start_of(masks: str) -> str:
    """`ModelConfig.start` of a key of :data:`MASKS`.

    Raises:
        ValueError: no such key.
    """
    if masks not in MASKS:
        raise ValueError(f"masks: expected one of {list(MASKS)}, got {masks!r}")
    return MASKS[masks]


def checked_fields(values: Mapping[str, Any], defaults: Any, *, title: str) -> dict[str, Any]:
    """Fields of the dataclass that ``defaults`` is one of, lists made tuples.

    Raises:
        ValueError: a field that does not exist; names it.
        TypeError: no fields by name, or a value that is not of its default's type; names the field.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{title}: expected fields by name, got {type(values).__name__}")
    known = {f.name for f in fields(defaults)}
    if unknown := sorted(map(str, set(values) - known)):
        raise ValueError(f"{title}: expected the fields {sorted(known)}, got also {unknown}")
    tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for name, value in tuples.items():
        _check_type(name, value, getattr(defaults, name))
    return tuples


def _check_type(name: str, value: Any, default: Any) -> None:
    """Raise TypeError where a value is not of its default's type; tuples of floats keep their length."""
    if name == "log_sigma_range" and value is None:
        return
    if not isinstance(default, tuple):
        if not _is_like(value, default):
            raise TypeError(f"{name}: expected {type(default).__name__}, got {value!r}")
        return
    length = len(default) if isinstance(default[0], float) else None
    fits = isinstance(value, tuple) and length in (None, len(value))
    if not fits or not all(_is_like(v, default[0]) for v in value):
        others = "names" if isinstance(default[0], str) else "whole numbers"
        kind = others if length is None else f"{length} finite numbers"
        raise TypeError(f"{name}: expected a list of {kind}, got {value!r}")


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return type(value) is type(default)
