"""Words that stay within a width, in pixels."""

from __future__ import annotations

from bisect import bisect_right

from asam_trt import palette
from asam_trt.palette import Font

_LEAST = 9  # pixels; smaller letters cannot be read
_BREAKS = " -_/,:"


def fitted(text: str, size: int, width: float) -> tuple[str, Font]:
    """The text in a font of ``size``, down to three quarters of it, in which it is no wider; see `shortened`."""
    least = min(size, max(_LEAST, size * 3 // 4))
    chosen = next((s for s in range(size, least, -1) if palette.font(s).getlength(text) <= width), least)
    return shortened(text, palette.font(chosen), width), palette.font(chosen)


def shortened(text: str, font: Font, width: float) -> str:
    """The text, or its two ends where all of it is wider; names that begin alike differ at their ends."""
    if font.getlength(text) <= width:
        return text
    kept = bisect_right(range(len(text)), width, key=lambda kept: font.getlength(_ends(text, kept))) - 1
    return _ends(text, kept) if kept >= 0 else ""


def broken(text: str, font: Font, width: float, most: int = 2) -> list[str]:
    """The text on up to ``most`` lines, between words where that can be; the last one is `shortened`."""
    if most == 1 or font.getlength(text) <= width:
        return [shortened(text, font, width)]
    room = bisect_right(range(len(text)), width, key=lambda kept: font.getlength(text[:kept])) - 1
    cut = 1 + max((i for i in range(room) if text[i] in _BREAKS), default=max(room, 1) - 1)
    return [text[:cut].rstrip(), *broken(text[cut:].lstrip(), font, width, most - 1)]


def _ends(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{text[:head]}...{text[len(text) - (kept - head) :]}"
