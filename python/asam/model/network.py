"""A-SAM: a conditional VAE over the prompt and image embeddings of Segment Anything."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from asam.model import backbone, checkpoint
from asam.model.adaptation import prepare
from asam.model.combiner import Combiner
from asam.model.config import ModelConfig
from asam.model.latent import Gaussian, kl_terms
from asam.model.parts import image_latent_net, prompt_latent_net
from asam.model.presets import PRESETS, fresh_model
from asam.model.prompts import Prompts, drawn, tokens_of
from asam.model.published import initialise

if TYPE_CHECKING:
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig
    from asam_trt import Hypotheses


class ImageState(NamedTuple):
    """What is computed once an image: embedding F [B, C, e, e] and the image latent."""

    embedding: torch.Tensor
    latent: Gaussian


class PromptState(NamedTuple):
    """What is computed once a prompt: tokens [B, t, C], dense embedding [B, C, h, w], the prompt latent.

    h = w = 1 where no mask was given: SAM's dense embedding is then the same in every cell.
    """

    tokens: torch.Tensor
    dense: torch.Tensor
    latent: Gaussian


class TrainingOutput(NamedTuple):
    """Of one training pass: hypothesis 0 comes from the posteriors, the others from the priors.

    logits [B, 1 + n, 4e, 4e], scores [B, 1 + n]; kl_prompt and kl_image [B, L], nats of each latent dimension.
    """

    logits: torch.Tensor
    scores: torch.Tensor
    kl_prompt: torch.Tensor
    kl_image: torch.Tensor


class ImageDraw(NamedTuple):
    """Image latents [B, 1 + n, L], the first of the posterior, and KL(posterior || prior) [B, L] in nats."""

    latent: torch.Tensor
    kl: torch.Tensor


class PromptDraw(NamedTuple):
    """Tokens [B, t, C], dense embedding [B, C, h, w], and of the prompt latent what :class:`ImageDraw` has."""

    tokens: torch.Tensor
    dense: torch.Tensor
    latent: torch.Tensor
    kl: torch.Tensor


class ASAM(nn.Module):
    """Segment Anything with a distribution of masks, Li et al., NeurIPS 2024.

    Build it with :meth:`from_preset` or read one with :func:`asam.load_checkpoint`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        sizes = config.sizes
        self.image_encoder = backbone.image_encoder(config)
        self.prompt_encoder = backbone.prompt_encoder(config)
        self.mask_decoder = backbone.mask_decoder(config)

        self.image_prior = image_latent_net(config)
        self.prompt_prior = prompt_latent_net(config)
        if config.posterior:
            self.image_posterior = image_latent_net(config, posterior=True)
            self.prompt_posterior = prompt_latent_net(config, posterior=True)
        channels = sizes.channels
        self.combiner_image = Combiner(channels=channels, latent=sizes.latent)
        self.combiner_prompt = Combiner(channels=channels, latent=sizes.latent)
        self.ensemble = nn.Parameter(torch.full((config.mask_tokens,), 1 / config.mask_tokens))
        if config.prompt_prior == "published":
            initialise(
                (self.image_prior, self.image_posterior, self.prompt_prior, self.prompt_posterior),
                (self.combiner_image, self.combiner_prompt),
            )
        prepare(self)

    @classmethod
    def from_preset(
        cls,
        preset: str = "asam",
        *,
        backbone: str | None = None,
        image_size: int | None = None,
        adaptation: str | None = None,
        pixels: str | None = None,
        masks: str | None = None,
        sam_checkpoint: str | PathLike[str] | None = None,
    ) -> ASAM:
        """A fresh model, its SAM part read from ``sam_checkpoint`` where one is given.

        Args:
            preset: key of :data:`asam.model.PRESETS`.
            backbone: "vit_b", "vit_l", "vit_h", "vit_t" (MobileSAM's), "lite_medsam" or "nano"; None keeps the
                preset's.
            image_size: S in pixels, a multiple of 16; None keeps the preset's.
            adaptation: "full", "lora" or "frozen", see :func:`asam.model.adapt`; None keeps the preset's.
            pixels: how they are scaled, "sam" or "unit" (to [0, 1], for MedSAM's weights); None is what the backbone's
                weights were trained for, else the preset's.
            masks: which of SAM's its mask tokens begin with, "multi" or "single" (for MedSAM's weights); None is
                what the backbone's weights were trained for, else the preset's start.
            sam_checkpoint: an official ``sam_vit_*.pth``, MobileSAM's ``mobile_sam.pt`` or LiteMedSAM's
                ``lite_medsam.pth``, read as weights only. Position tables are resized to S.
                :func:`asam.model.load_sam` does the same and says what it found; here that goes to the log "asam".

        Raises:
            ValueError: unknown preset, backbone, adaptation, pixels or masks, an image size that is no multiple of 16,
                or a checkpoint that is missing, damaged or of another backbone.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset: expected one of {sorted(PRESETS)}, got {preset!r}")
        changes = {"backbone": backbone, "image_size": image_size, "adaptation": adaptation}
        given: dict[str, Any] = {k: v for k, v in changes.items() if v is not None}
        model = cls(ModelConfig.from_dict(fresh_model(preset, pixels=pixels, masks=masks, **given)))
        if sam_checkpoint is not None:
            checkpoint.load_sam(model, sam_checkpoint)
        return model

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights and configuration to one safetensors file, under a temporary name first."""
        checkpoint.save(self, path)

    def encode_image(self, images: torch.Tensor) -> ImageState:
        """Normalised, padded images [B, 3, S, S] -> image state."""
        return self.image_state(images, self.embed_image(images))

    def embed_image(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised, padded images [B, 3, S, S] -> embedding F [B, C, e, e], without computing padded cells."""
        embedding: torch.Tensor = backbone.on_grid(self.image_encoder)(images)
        return embedding

    def image_state(self, images: torch.Tensor, embedding: torch.Tensor) -> ImageState:
        """Images whose embeddings F [B, C, e, e] are known already -> image state."""
        return ImageState(embedding, self.image_prior(self._image_evidence(images, embedding)))

    def _image_evidence(self, images: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """What the image latent's networks see."""
        if self.config.image_prior == "embedding":
            return embedding
        return images.mean(dim=1, keepdim=True) if self.config.image_prior_channels == 1 else images

    def encode_prompt(
        self,
        state: ImageState,
        *,
        points: tuple[torch.Tensor, torch.Tensor] | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
    ) -> PromptState:
        """Prompts in model space, one row an image, as SAM's own PromptEncoder takes them.

        Args:
            state: of the same B images.
            points: coordinates [B, k, 2] and labels [B, k].
            boxes: [B, 4], xyxy.
            masks: logits [B, 1, 4e, 4e].
        """
        self._check_kind(boxes_only=boxes is not None and points is None and masks is None)
        tokens, dense = self.embed_prompt(len(state.embedding), points=points, boxes=boxes, masks=masks)
        latent = self.prompt_prior(state.embedding, self.position(), tokens, dense)
        return PromptState(tokens, dense, latent)

    def _drawn(
        self, points: tuple[torch.Tensor, torch.Tensor] | None, boxes: torch.Tensor | None
    ) -> torch.Tensor | None:
        """The mask [B, 1, 4e, 4e] that points and boxes draw; None without either."""
        parts = [] if points is None else [points]
        if boxes is not None:
            corners = torch.tensor([[2, 3]], device=boxes.device).expand(len(boxes), -1)
            parts.append((boxes.unflatten(1, (2, 2)), corners))
        if not parts:
            return None
        coords, labels = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        side = 4 * self.config.grid
        bare = self.ensemble.new_zeros(len(coords), 1, side, side)
        none = torch.zeros(len(coords), dtype=torch.bool, device=coords.device)
        return drawn(Prompts(coords, labels, bare, none), cell=self.config.cell).masks

    def _check_kind(self, *, boxes_only: bool) -> None:
        if self.config.boxes_only and not boxes_only:
            raise ValueError(
                f"prompt: the preset {self.config.preset!r} knows boxes alone; "
                "expected one box, and neither points nor a mask"
            )

    def embed_prompt(
        self,
        rows: int,
        *,
        points: tuple[torch.Tensor, torch.Tensor] | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [rows, t, C] and dense embedding [rows, C, h, w]; h = w = 1 without a mask, given or drawn."""
        if self.config.draws_prompts and masks is None:
            masks = self._drawn(points, boxes)
        if boxes is not None:
            boxes = boxes * self.config.box_scale
        tokens, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
        if masks is None:
            dense = dense[:, :, :1, :1]
        return tokens.expand(rows, -1, -1), dense.expand(rows, -1, -1, -1)

    def position(self) -> torch.Tensor:
        """Dense positional encoding [1, C, e, e]."""
        with torch.autocast(self.ensemble.device.type, enabled=False):  # phases need full precision
            encoding: torch.Tensor = self.prompt_encoder.get_dense_pe()
        return encoding

    def decode(
        self,
        embedding: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        latent_prompt: torch.Tensor,
        latent_image: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of n latents an image: equations (5), (9) and (13).

        Args:
            embedding: F, [B, C, e, e].
            tokens: [B, t, C].
            dense: [B, C, h, w].
            latent_prompt, latent_image: z_P and z_I, [B, n, L].

        Returns:
            logits [B, n, 4e, 4e] and scores [B, n].
        """
        decoded = self._decoded(embedding, tokens, dense, latent_prompt, latent_image)
        rows, n = latent_image.shape[:2]
        logits, scores = decoded.weighed(self.ensemble)
        return logits.unflatten(0, (rows, n)), scores.unflatten(0, (rows, n))

    def decode_tokens(
        self,
        embedding: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        latent_prompt: torch.Tensor,
        latent_image: torch.Tensor,
    ) -> torch.Tensor:
        """The terms of the sum (13): w_k times the mask of token k, [B, n, K, 4e, 4e]; arguments as :meth:`decode`."""
        decoded = self._decoded(embedding, tokens, dense, latent_prompt, latent_image)
        rows, n = latent_image.shape[:2]
        weighed = decoded.masks() * self.ensemble[:, None, None]
        by_row: torch.Tensor = weighed.unflatten(0, (rows, n))
        return by_row

    def _decoded(
        self,
        embedding: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        latent_prompt: torch.Tensor,
        latent_image: torch.Tensor,
    ) -> backbone.Decoded:
        source = self.combiner_image(embedding, latent_image) + self.combiner_prompt(dense, latent_prompt)
        queries = tokens.repeat_interleave(latent_image.shape[1], dim=0)
        if self.config.prompt_latent_on != "dense" and tokens.shape[1]:
            cells = tokens.transpose(1, 2)[
                ..., None
            ]  # 1x1 convolutions: tokens are as good a place as grid cells
            queries = self.combiner_prompt(cells, latent_prompt)[..., 0].transpose(1, 2)
        return backbone.decode(self.mask_decoder, source, self.position(), queries)

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
        eps: np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> Hypotheses:
        """Draw n hypotheses of one prompt: the PyTorch reference of ``asam_trt.Session.sample``.

        Args:
            image: uint8 RGB [H, W, 3] or float in [0, 1].
            box: (x0, y0, x1, y1) in pixels of the image.
            point_coords: [k, 2], x before y, pixels of the image; with ``point_labels`` [k], 1 or 0.
            mask_input: float32 [4e, 4e], logits of an earlier answer, or a mask of the image, bool [H, W].
            n: number of hypotheses.
            seed: key of the random numbers, 0 <= seed < 2**64.
            eps: float32 [n, 2, L], noise of prompt and image latent; replaces the seed, zeros give the means.
            temperature: factor on both standard deviations.

        Raises:
            TypeError, ValueError: an image, prompt, n, seed or eps that is not as above.
        """
        from asam.model.sampling import sample  # that module is written against this class

        return sample(
            self,
            image,
            box=box,
            point_coords=point_coords,
            point_labels=point_labels,
            mask_input=mask_input,
            n=n,
            seed=seed,
            eps=eps,
            temperature=temperature,
        )

    def forward(
        self,
        images: torch.Tensor,
        prompts: Prompts,
        masks: torch.Tensor,
        eps: torch.Tensor,
        prior_eps: torch.Tensor | None = None,
        embedding: torch.Tensor | None = None,
        rater_boxes: torch.Tensor | None = None,
    ) -> TrainingOutput:
        """One training pass: posterior and prior latents, and the masks that they give.

        Args:
            images: [B, 3, S, S], normalised and padded.
            prompts: one a row, of any of SAM's kinds, in model space.
            masks: the rater's masks, float [B, 1, S, S] of 0 and 1.
            eps: [B, 2, L], noise of the posterior draw (prompt latent, image latent).
            prior_eps: [B, n, 2, L], noise of n draws from the prior; None draws none.
            embedding: [B, C, e, e] of the images where it is known, see :class:`asam.model.EmbeddingCache`;
                the image encoder then does not run.
            rater_boxes: [B, 4] in model space, of the masks; for a posterior that sees the box alone.
        """
        if embedding is None:
            embedding = self.embed_image(images)
        noise = eps[:, None] if prior_eps is None else torch.cat([eps[:, None], prior_eps], dim=1)
        image = self.draw_image(images, embedding, masks, noise[:, :, 1])

        if self.config.draws_prompts:
            prompts = drawn(prompts, cell=self.config.cell)
        groups = prompts.alike()
        answers = masks if self.config.posterior_prompt == "mask" else rater_boxes
        if answers is None:
            raise ValueError(
                "rater_boxes: expected [B, 4] for a posterior that sees the rater's box, got None"
            )
        parts = []
        for rows in groups:
            prompt = self.draw_prompt(embedding[rows], prompts.take(rows), answers[rows], noise[rows, :, 0])
            logits, scores = self.decode(
                embedding[rows], prompt.tokens, prompt.dense, prompt.latent, image.latent[rows]
            )
            parts.append((logits, scores, prompt.kl))
        back = torch.cat(groups).argsort()
        logits, scores, kl_prompt = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        return TrainingOutput(logits, scores, kl_prompt, image.kl)

    def draw_image(
        self, images: torch.Tensor, embedding: torch.Tensor, masks: torch.Tensor, noise: torch.Tensor
    ) -> ImageDraw:
        """Image latents for training, of the posterior and of the prior.

        Args:
            images: [B, 3, S, S].
            embedding: F, [B, C, e, e].
            masks: the rater's, [B, 1, S, S].
            noise: [B, 1 + n, L].
        """
        evidence = self._image_evidence(images, embedding)
        prior = self.image_prior(evidence)
        posterior = self.image_posterior(evidence, masks) if self.config.posterior else prior
        return ImageDraw(_draw(posterior, prior, noise), self._divergence("image", posterior, prior))

    def draw_prompt(
        self, embedding: torch.Tensor, prompts: Prompts, answers: torch.Tensor, noise: torch.Tensor
    ) -> PromptDraw:
        """Prompt latents for training, of rows whose prompts are alike.

        Args:
            embedding: F, [B, C, e, e].
            prompts: without absent places.
            answers: what the posterior may see of the rater: the mask [B, 1, S, S], or where the configuration says so
                the box alone, [B, 4] in model space.
            noise: [B, 1 + n, L].
        """
        self._check_kind(boxes_only=bool((prompts.labels >= 2).all() and not prompts.has_mask.any()))
        tokens = tokens_of(self.prompt_encoder, prompts, box_scale=self.config.box_scale)
        mask_input = prompts.masks if bool(prompts.has_mask[0]) else None
        _, dense = self.embed_prompt(len(tokens), masks=mask_input)
        prior = self.prompt_prior(embedding, self.position(), tokens, dense)
        posterior = prior
        if self.config.posterior:
            if self.config.posterior_prompt == "box":
                answers, _ = self.embed_prompt(len(answers), boxes=answers)
            posterior = self.prompt_posterior(embedding, self.position(), tokens, dense, answers)
        kl = self._divergence("prompt", posterior, prior)
        return PromptDraw(tokens, dense, _draw(posterior, prior, noise), kl)

    def _divergence(self, latent: str, posterior: Gaussian, prior: Gaussian) -> torch.Tensor:
        """KL(posterior || prior), [B, L]; zero where training has no such posterior."""
        if not self.config.posterior or latent not in self.config.latents:
            return torch.zeros_like(prior.mean)
        return kl_terms(posterior, prior)

    def training_loss(
        self,
        batch: Batch,
        config: TrainConfig,
        *,
        divergence_weight: float = 1.0,
        embedding: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch and its parts, each a mean over rows: what the trainer wants of a network.

        Args:
            batch: rows of the training data.
            config: which terms, and their weights.
            divergence_weight: factor on both KL terms, for their warm-up.
            embedding: of the batch's images where it is known, see :meth:`forward`.
        """
        # The objectives are written against this class.
        from asam.training.objective import objective
        from asam.training.published import published_objective

        loss = objective if config.objective == "evidence" else published_objective
        return loss(self, batch, config, divergence_weight=divergence_weight, embedding=embedding)


def _draw(posterior: Gaussian, prior: Gaussian, noise: torch.Tensor) -> torch.Tensor:
    """noise [B, 1 + n, L] -> latents: the first of the posterior, the others of the prior."""
    return torch.cat([posterior.sample(noise[:, :1]), prior.sample(noise[:, 1:])], dim=1)
