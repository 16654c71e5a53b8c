"""Progress: plain lines now and then where standard error is no terminal, a bar where it is."""

from __future__ import annotations

import io
import sys

import pytest

from asam import progress
from asam.progress import bars


class Clock:
    """Stands for the module `time`; moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_a_line_every_30_seconds_or_each_tenth_and_none_within_5(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bars() as start:
        show = start("training")
        for done in range(101):
            show(done, 1000, "loss 3.0")
            clock.now += 1.0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "training: 30 of 1000, loss 3.0, 0:16:10 left",
        "training: 60 of 1000, loss 3.0, 0:15:40 left",
        "training: 90 of 1000, loss 3.0, 0:15:10 left",
    ]
    with bars() as start:
        show = start("short")
        for done in range(1, 11):
            show(done, 10)
            clock.now += 3.0
    assert capsys.readouterr().err.splitlines() == [
        "short: 3 of 10, 0:00:21 left",
        "short: 5 of 10, 0:00:15 left",
        "short: 7 of 10, 0:00:09 left",
        "short: 9 of 10, 0:00:03 left",
    ]


def test_a_resumed_run_is_not_taken_for_a_fast_one(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bars() as start:
        show = start("training")
        show(900, 1000)
        clock.now += 30
        show(910, 1000)
    assert capsys.readouterr().err == "training: 910 of 1000, 0:04:30 left\n"


def test_many_short_tasks_share_their_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bars() as start:
        for number in range(10):
            show = start(f"task {number}")
            clock.now += 2.0
            show(1, 1)
    assert capsys.readouterr().err.splitlines() == [f"task {n}: 1 of 1" for n in (2, 5, 8)]


def test_nothing_is_shown_where_nothing_is_wanted(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bars(shown=False) as start:
        show = start("training")
        show(0, 10)
        clock.now += 60
        show(5, 10)
    assert capsys.readouterr().err == ""


def test_a_task_without_an_end_says_how_much_is_done(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bars() as start:
        show = start("sampling")
        for done in range(1, 62):
            show(done, None, "1.0 frames/s")
            clock.now += 1.0
    assert capsys.readouterr().err.splitlines() == [
        "sampling: 31, 1.0 frames/s",
        "sampling: 61, 1.0 frames/s",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error from now on."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return found


@pytest.mark.parametrize("redraws", [False, True])
def test_a_terminal_gets_a_bar(redraws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with bars(redraws=redraws) as start:
        show = start("[red]training")
        show(3, 10, "loss 3.0")
        show(4, 10, "loss 2.0")
    assert "[red]training" in screen.getvalue()
    assert "4/10" in screen.getvalue()
    assert "loss 2.0" in screen.getvalue()


def test_a_bar_without_an_end_says_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with bars() as start:
        show = start("sampling")
        show(4, None, "30.0 frames/s")
    assert "4/?" in screen.getvalue()
    assert "30.0 frames/s" in screen.getvalue()


@pytest.mark.parametrize("together", [False, True])
def test_what_is_printed_beside_a_bar_stays_on_standard_output(
    together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the bar where both are the same terminal."""
    screen = terminal(monkeypatch)
    out = Terminal() if together else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with bars() as start:
        start("sampling")(4, 10)
        print("a remark")
    assert ("a remark" in screen.getvalue()) == together
    assert ("a remark" in out.getvalue()) != together
