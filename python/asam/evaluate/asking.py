"""How many hypotheses, of how many samples, and from which seeds: checked before the first is drawn."""

from __future__ import annotations

from asam.metrics.counts import MAX_MASKS
from asam_trt.checks import integer

_SEEDS = 1 << 64


def check_asked(*, n: int, limit: int | None = None) -> None:
    """Raise where figures of ``n`` hypotheses a sample cannot be made, or no sample may be looked at.

    Raises:
        TypeError: n or limit is no integer.
        ValueError: n is not from 1 to the masks whose pairs metrics count, or limit is below 1.
    """
    if not 1 <= integer(n, "n") <= MAX_MASKS:
        raise ValueError(
            f"n: expected 1 to {MAX_MASKS} hypotheses a sample, since metrics compare all pairs, got {n}"
        )
    if limit is not None and integer(limit, "limit") < 1:
        raise ValueError(f"limit: expected at least 1 sample to look at, got {limit}; leave it out for all")


def sample_seed(seed: int, index: int) -> int:
    """The seed of sample ``index``: seed + index modulo 2^64.

    Raises:
        TypeError: seed is no integer.
        ValueError: seed is not from 0 to 2^64 - 1.
    """
    if not 0 <= integer(seed, "seed") < _SEEDS:
        raise ValueError(f"seed: expected 0 to 2**64 - 1, got {seed}")
    return (seed + index) % _SEEDS
