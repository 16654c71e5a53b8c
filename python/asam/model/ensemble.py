"""Several epochs of one published training, sampled together as the published evaluation does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from asam.model.network import ASAM
from asam_trt import Hypotheses
from asam_trt.noise import latent_noise


@dataclass(frozen=True)
class EpochEnsemble:
    """Networks that answer together, each with as many hypotheses as the others.

    Its figures are not those of one network: the spread between epochs adds to what each of them says.

    Attributes:
        members: epoch -> network.
    """

    members: dict[int, ASAM]

    def sample(
        self,
        image: Any,
        *,
        n: int = 16,
        seed: int = 0,
        eps: np.ndarray | None = None,
        temperature: float = 1.0,
        **prompt: Any,
    ) -> Hypotheses:
        """Draw n hypotheses, the first n / members of the first epoch and so on.

        Arguments are those of :meth:`asam.ASAM.sample`.

        Raises:
            ValueError: n is no multiple of the number of members; and what :meth:`asam.ASAM.sample` raises.
        """
        share, rest = divmod(n, len(self.members))
        if rest or not share:
            raise ValueError(f"n: expected a multiple of the {len(self.members)} epochs, got {n}")
        first = next(iter(self.members.values()))
        noise = latent_noise(n=n, latent=first.config.latent, seed=seed, eps=eps, temperature=temperature)
        parts = [
            network.sample(image, **prompt, n=share, eps=block)
            for network, block in zip(self.members.values(), np.split(noise, len(self.members)), strict=True)
        ]
        return Hypotheses(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.scores for part in parts]),
            parts[0].frame,
        )
