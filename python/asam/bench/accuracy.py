"""Error of a route against the same model computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from asam.bench.route import Route
from asam.bench.subject import Subject
from asam.bench.torch_route import TorchRoute
from asam_trt import Hypotheses
from asam_trt.paired_iou import mean_iou

_BLOCK = 8  # hypotheses at once: twice the bytes a value


class Reference:
    """Embedding, logits and masks of ``most`` hypotheses in float64.

    Hypothesis i is the same for every n, so one run serves them all.
    """

    def __init__(self, subject: Subject, most: int) -> None:
        route = TorchRoute("float64", subject, torch.float64)
        pixels, frame = subject.pixels()
        image = route.encode(pixels)
        prompt = route.prompt(image)
        noise = subject.noise(most)
        blocks = [route.draw(image, prompt, noise[i : i + _BLOCK])[0].numpy() for i in range(0, most, _BLOCK)]
        self.embedding = route.embedding(image)
        self.logits = np.concatenate(blocks)
        scores = np.zeros(most, np.float32)
        self.masks = Hypotheses(self.logits.astype(np.float32), scores, frame).masks

    @property
    def largest_logit(self) -> float:
        """By size."""
        return float(np.abs(self.logits).max())

    @property
    def mask_share(self) -> float:
        """Share of the image that the masks cover on average; near 0 or 1 mask IoU says little."""
        return float(self.masks.mean())

    def embedding_error(self, route: Route, image: Any) -> float | None:
        """Largest difference of F; None where the route does not keep it."""
        embedding = route.embedding(image)
        return None if embedding is None else float(np.abs(embedding - self.embedding).max())

    def logit_error(self, hypotheses: Hypotheses) -> float:
        """Largest difference of a logit."""
        return float(np.abs(hypotheses.logits - self.logits[: len(hypotheses)]).max())

    def mask_iou(self, hypotheses: Hypotheses) -> float:
        """Mean over hypotheses, at the image's size; two empty masks agree."""
        return mean_iou(hypotheses.masks, self.masks[: len(hypotheses)])
