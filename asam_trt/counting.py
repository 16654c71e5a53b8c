"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """A number and what it counts, such as "1 label" and "2,000 labels"; hypotheses are known too."""
    plural = {"hypothesis": "hypotheses"}.get(word, f"{word}s")
    return f"{number:,} {word if number == 1 else plural}"
