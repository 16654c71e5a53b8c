from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import asam_trt
from asam import cli


@dataclass
class Args:
    count: int = 3
    """How many."""


def install(monkeypatch: pytest.MonkeyPatch, run) -> None:  # type: ignore[no-untyped-def]
    """A command `probe` whose run is the function given."""
    module = SimpleNamespace(Args=Args, run=run, __doc__="A command of the tests.")
    monkeypatch.setitem(sys.modules, "asam.cli.probe_command", module)  # type: ignore[arg-type]
    monkeypatch.setattr(cli, "_modules", lambda: {"probe-command": "probe_command"})


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def run(args: Args) -> int:
        raise error

    return run


def test_status_and_options_reach_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda args: args.count)
    assert cli.main(["probe-command"]) == 3
    assert cli.main(["probe-command", "--count", "0"]) == 0


def test_a_bad_option_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda args: 0)
    with pytest.raises(SystemExit) as stop:
        cli.main(["probe-command", "--count", "many"])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    "error",
    [
        ValueError("n: expected n >= 1,\n  got 0"),
        TypeError("expected an array"),
        ImportError("it needs the package nibabel; install it with: pip install nibabel"),
        FileNotFoundError(2, "No such file or directory", "model.safetensors"),
        asam_trt.EngineError("manifest.json: not there"),
        asam_trt.BackendUnavailable("no GPU"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_expected_errors_take_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    install(monkeypatch, raising(error))
    assert cli.main(["probe-command"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("asam probe-command: error: ")
    assert " ".join(str(error).replace("[Errno 2] ", "").split()) in line


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, raising(ValueError("wrong")))
    assert cli.main(["--debug", "probe-command"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_mistakes_of_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, raising(KeyError("oops")))
    with pytest.raises(KeyError):
        cli.main(["probe-command"])


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, raising(KeyboardInterrupt()))
    assert cli.main(["probe-command"]) == 130


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fly"]) == 2
    assert "no command 'fly'; expected one of" in capsys.readouterr().err


def test_every_command_is_listed_and_follows_the_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    modules = cli._modules()
    assert "doctor" in modules
    for command, name in modules.items():
        module = importlib.import_module(f"asam.cli.{name}")
        assert callable(module.run)
        assert isinstance(module.Args, type)
        summary = (module.__doc__ or "").partition("\n")[0]
        assert summary
        assert any(line.split(maxsplit=1) == [command, summary] for line in text.splitlines())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"asam {asam_trt.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from asam.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"torch", "numpy", "tyro", "onnxruntime"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["train", "--data", "synthetic:mix", "--output", "r", "--image-size", "100"],
            "multiple of 16 pixels",
        ),
        (
            ["train", "--data", "synthetic:mix", "--output", "r", "--backbone", "vit_x"],
            "--backbone: expected",
        ),
        (["build", "nano", "--image-size", "100"], "multiple of 16 pixels"),
    ],
)
def test_what_cannot_be_is_refused_before_pytorch_is_loaded(
    words: list[str], said: str, tmp_path: Path
) -> None:
    code = f"import sys; from asam.cli import main; print(main({words!r}), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert said in done.stderr
    assert done.stdout == "2 False\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_reader_that_has_gone_is_no_error(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-c", "import sys; from asam.cli import main; sys.exit(main())", *words]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
