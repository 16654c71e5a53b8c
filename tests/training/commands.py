"""`asam train` as tests call it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asam import cli

SMALL = ["--data", "synthetic:pair", "--image-size", "32", "--length", "6", "--config.eval-images", "2"]
SMALL += ["--config.batch-size", "2", "--config.workers", "0", "--config.warmup", "2"]


def dry(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    """Resolved settings and the rest of what a dry run prints."""
    assert cli.main(["train", "--dry-run", *words]) == 0
    text = capsys.readouterr().out
    settings, end = json.JSONDecoder().raw_decode(text)
    return settings, text[end:]


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["train", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line
