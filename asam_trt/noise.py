"""The noise of a call: drawn from a seed or given by the caller, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam_trt.checks import as_array, integer, number
from asam_trt.latents import DRAWS

DEFAULT_HYPOTHESES = 32
MAX_PROMPTS = 1 << 16
MAX_HYPOTHESES = 1 << 16  # a call; more would be a mistake in the argument, not a wish
MAX_NOISE = 1e6  # standard deviations; far beyond, squares leave float32, and what comes out means nothing
MAX_LOGITS_BYTES = 1 << 32  # of a call; more belongs in several calls


def hypotheses_of(n: int | None, eps: Any) -> int:
    """n where it is given, else as many as there is noise for, else 32."""
    if n is not None:
        return n
    return DEFAULT_HYPOTHESES if eps is None else len(np.atleast_1d(as_array(eps, "eps")))


def most_prompts(side: int) -> int:
    """Prompts that one call may ask about, of logits [side, side]: those with room for a hypothesis each."""
    return min(MAX_PROMPTS, MAX_LOGITS_BYTES // (side**2 * 4))


def most_hypotheses(side: int, prompts: int = 1) -> int:
    """Hypotheses of each prompt that one call may draw, of logits [side, side], for up to `most_prompts`."""
    return min(MAX_HYPOTHESES, MAX_LOGITS_BYTES // (side**2 * 4 * prompts))


def latent_noise(
    *,
    n: int,
    latent: int,
    seed: int = 0,
    eps: Any = None,
    temperature: float = 1.0,
    latents: str = "iid",
    most: int = MAX_HYPOTHESES,
) -> NDArray[np.float32]:
    """Standard normal noise of n hypotheses, times ``temperature``.

    Args:
        n: number of hypotheses, 1 to ``most``.
        latent: L, length of each latent.
        seed: key of the random numbers, 0 <= seed < 2**64; not used where ``eps`` is given.
        eps: float32 [n, 2, L]: prompt latent, image latent.
        temperature: factor on the noise, finite and >= 0; 0 gives the prior means.
        latents: "iid", "antithetic" or "sobol"; see `asam_trt.latents`. Not used where ``eps`` is given.
        most: see `most_hypotheses`.

    Returns:
        float32 [n, 2, L], C-contiguous.

    Raises:
        TypeError: n or seed is no integer, eps holds no floating-point numbers.
        ValueError: a value out of range, an unknown kind of latents, a shape other than [n, 2, L], NaN or
            infinity, or noise beyond 10^6 by ``eps`` or ``temperature``.
    """
    count = integer(n, "n")
    if not 1 <= count <= most:
        raise ValueError(
            f"expected n from 1 to {most} hypotheses for each prompt of this call, came {count}; draw more "
            "in several calls with another seed each"
        )
    key = integer(seed, "seed")
    if not 0 <= key < 2**64:
        raise ValueError(f"expected a seed from 0 to 2**64 - 1, came {key}")
    factor = number(temperature, "temperature")
    if factor < 0:
        raise ValueError(f"expected a temperature >= 0, came {temperature}")
    if not isinstance(latents, str) or latents not in DRAWS:
        raise ValueError(f"expected latents to be one of {', '.join(DRAWS)}, came {latents!r}")
    if eps is not None and latents != "iid":
        raise ValueError(f"expected either eps or latents={latents!r}, came both; leave one out")
    noise = DRAWS[latents](key, count, latent) if eps is None else _given(eps, count, latent)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.ascontiguousarray(noise * np.float32(factor), dtype=np.float32)
    largest = float(np.abs(scaled).max())
    if not largest <= MAX_NOISE:  # NaN too
        argument, came = ("temperature", factor) if factor > 1 else ("eps", largest)
        raise ValueError(
            f"expected {argument} to keep the noise within {MAX_NOISE:g} standard deviations, came {came:g} and "
            f"noise up to {largest:g}; take a smaller {argument}"
        )
    return scaled


def _given(eps: Any, n: int, latent: int) -> NDArray[np.float32]:
    array = as_array(eps, "eps")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected eps of float32, came {array.dtype}")
    if array.shape != (n, 2, latent):
        raise ValueError(f"expected eps [n, 2, L] = [{n}, 2, {latent}], came shape {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError("expected finite eps, came NaN or infinity")
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"expected eps within float32, came values up to {np.abs(array).max():g}")
    return found
