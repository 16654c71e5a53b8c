"""What hypotheses answer and what drew them: kept beside them, so that they can be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.geometry import Float32Array, Frame
from asam_trt.prompt import Prompt

_PROMPT = tuple(field.name for field in fields(Prompt))
_WORDS = ("latents", "engine", "engine_digest", "precision")
FIELDS = (*_PROMPT, "seed", "eps", "temperature", "index", *_WORDS)
"""Names of the arrays of `Asked.arrays`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """One call of `Session.sample`.

    Attributes:
        prompt: in pixels of the image; its mask as logits in model space.
        seed: of the noise; None where the noise itself was given.
        eps: float32 [N, 2, L], the noise that was given, else None.
        temperature: factor on the noise; 1 with ``eps``, which has it.
        latents: how the noise of the seed was drawn.
        index: int64 [n], the number of each hypothesis among all that were drawn.
        engine: its folder, as the session was given it.
        engine_digest: of its manifest, which names it wherever it lies.
        precision: of the products.
    """

    prompt: Prompt
    seed: int | None
    eps: Float32Array | None
    temperature: float
    latents: str
    index: npt.NDArray[np.int64]
    engine: str
    engine_digest: str
    precision: str

    def of(self, chosen: Any) -> Asked:
        """That of a selection of the hypotheses, as an index of NumPy."""
        return replace(self, index=self.index[chosen])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that is there, by `FIELDS`: numbers and texts, which NumPy reads without unpickling."""
        values = {name: getattr(self.prompt, name) for name in _PROMPT}
        values["seed"] = None if self.seed is None else np.uint64(self.seed)
        values |= {name: getattr(self, name) for name in ("eps", "temperature", "index", *_WORDS)}
        return {name: np.asarray(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_arrays(cls, values: Mapping[str, npt.NDArray[Any]], frame: Frame, n: int) -> Asked | None:
        """Inverse of `arrays`; None where nothing was said.

        Args:
            values: by `FIELDS`; others are ignored.
            frame: of the hypotheses.
            n: their number.

        Raises:
            TypeError, ValueError: something else.
        """
        if not any(name in values for name in FIELDS):
            return None
        if missing := [name for name in ("index", "temperature", *_WORDS) if name not in values]:
            raise ValueError(
                f"expected what was asked with all its fields, came it without {', '.join(missing)}"
            )
        if ("seed" in values) == ("eps" in values):
            raise ValueError("expected the noise of a question as seed or as eps, came both or none")
        index = _checked("index", values["index"], "iu", n)
        drawn = n
        if "eps" in values:
            drawn = len(_checked("eps", values["eps"], "f", None, 2, None))
        if index.min() < 0 or ("eps" in values and index.max() >= drawn):
            raise ValueError(f"expected an index among the hypotheses that were drawn, came {index.tolist()}")
        prompt: dict[str, Any] = {name: values.get(name) for name in _PROMPT}
        return cls(
            prompt=Prompt.checked(**prompt, frame=frame),
            seed=int(_checked("seed", values["seed"], "u")) if "seed" in values else None,
            eps=values["eps"].astype(np.float32) if "eps" in values else None,
            temperature=float(_checked("temperature", values["temperature"], "f")),
            index=index.astype(np.int64),
            **{name: str(_checked(name, values[name], "U")) for name in _WORDS},
        )


def _checked(name: str, value: npt.NDArray[Any], kinds: str, *shape: int | None) -> npt.NDArray[Any]:
    """An array of these kinds of dtype and of this shape, where None is any length."""
    fits = len(shape) == value.ndim and all(
        want in (None, side) for want, side in zip(shape, value.shape, strict=False)
    )
    if value.dtype.kind not in kinds or not fits or (kinds == "f" and not np.isfinite(value).all()):
        raise ValueError(f"expected {name} of shape {list(shape)}, came {value.dtype} {list(value.shape)}")
    return value
