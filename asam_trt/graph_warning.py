"""What is said where work on a GPU runs without a CUDA graph."""

from __future__ import annotations

import warnings


def warn_without_graph(name: str, error: Exception) -> None:
    """Tell the user that a part runs, but not as fast as it could, and why."""
    warnings.warn(
        f"{name} runs without a CUDA graph, slower for small work: {error}", RuntimeWarning, stacklevel=3
    )
