"""Whether PyTorch can encode images on the GPU here."""

from __future__ import annotations

_INSTALL = "install PyTorch with CUDA, https://pytorch.org"


def problem() -> str:
    """Why it cannot, and what to do; empty where it can. A kernel is run to find out."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return f"PyTorch cannot be imported: {error} ({_INSTALL})"
    if torch.version.cuda is None:
        return f"this PyTorch {torch.__version__} has no CUDA ({_INSTALL})"
    try:
        found = float(torch.ones(2, device="cuda").sum())
    except RuntimeError as error:
        return (
            f"PyTorch {torch.__version__} does not run on this GPU: {str(error).splitlines()[0]} ({_INSTALL})"
        )
    return "" if found == 2 else f"PyTorch {torch.__version__} computes wrong numbers on this GPU"
