"""Help of every command: whole paragraphs, and no defaults that say nothing."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re

import pytest

from asam import cli
from asam.cli import _evaluate, evaluate
from asam.cli._options import joined

COMMANDS = [info.name for info in pkgutil.iter_modules(cli.__path__) if not info.name.startswith("_")]
COMMANDS += [f"evaluate {name}" for name in evaluate.SUBCOMMANDS]
COMMANDS += [f"data {name}" for name in ("check", "show", "split", "list")]
# Whose None is a value that may be typed.
WITH_NONE = ("--config.clip", "--config.eval-images", "--config.patience")


def shown(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([*command.split(), "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_empty_defaults(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = shown(command, capsys)
    _, *options = re.split(r"\n│ (?=-)", text)
    odd = [part for part in options if re.search(r"\{?None[},]|\(default: (None)?\)", part)]
    assert [part.split()[0] for part in odd if not part.startswith(WITH_NONE)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_lines_of_help_are_full(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is followed by more of its paragraph has no room for the next word."""
    monkeypatch.setenv("COLUMNS", "100")
    lines = [line for line in shown(command, capsys).splitlines() if line.startswith("│")]
    for line, following in itertools.pairwise(lines):
        words = following.strip("│ ").split()
        indented = re.match(r"│ {7,}\S", line) and re.match(r"│ {7,}\S", following)
        if indented and words:
            assert len(line.rstrip("│ ")) + 1 + len(words[0]) > len(line) - 2, line


def test_paragraphs_stay_apart() -> None:
    assert (
        joined('One, "two",\n    "three" and\n(four).\n\nFive.\n')
        == 'One, "two", "three" and (four).\n\nFive.'
    )


def test_what_is_not_given_cannot_be_typed_and_choices_of_a_truth_keep_their_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train", "--output", "run", "--data", "synthetic:pair", "--image-size"]
    with pytest.raises(SystemExit):
        cli.main([*words, "None"])
    said = capsys.readouterr().err
    assert "--image-size" in said
    text = shown("train", capsys)
    assert "--posterior {True,False}" in text
    assert "--config.patience {None}|INT" in text


def test_every_experiment_is_looked_at() -> None:
    found = {info.name for info in pkgutil.iter_modules(_evaluate.__path__)}
    of_commands = {
        name for name in found if hasattr(importlib.import_module(f"asam.cli._evaluate.{name}"), "Args")
    }
    assert of_commands == set(evaluate.SUBCOMMANDS)
