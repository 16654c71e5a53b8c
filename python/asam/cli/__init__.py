"""The command line `asam`: every module of this package without a leading underscore is a subcommand.

Such a module holds a dataclass ``Args``, of which tyro makes the options, and ``run(args) -> int``, the exit
status. The first line of its docstring is its line of help. A module is imported when its command is called.
"""

from __future__ import annotations

import ast
import importlib
import io
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asam_trt
from asam.cli._outputs import unused_removed

# Read by PyTorch's OpenMP when it is loaded. Its threads spin for each other long enough to halve the speed of training
# where other work, a loader's process for one, wants the same cores; so short a spin costs nothing on a quiet machine.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_USAGE_ERROR = 2
_INTERRUPTED = 130
_EXPECTED_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    ImportError,  # of packages that only some commands need
    MemoryError,
    asam_trt.EngineError,
    asam_trt.BackendUnavailable,
)
# Errors of libraries that are only imported by some commands.
_LIBRARY_ERRORS = (("PIL.Image", "DecompressionBombError"), ("av.error", "FFmpegError"))

# Option that a command has -> what takes less memory.
_LESS = {
    "n": "take fewer hypotheses or a smaller image",
    "tile": "take a smaller --tile or --count, or a data set of smaller images",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status: 0, 2 for a usage error, 130 when interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be text
    try:
        with _ended_as_by_ctrl_c():
            status = _main(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:  # None where the shell closed it
            sys.stdout.flush()  # what the reader refuses shows here, and not when Python ends
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted. Python would complain again at exit.
        sys.stderr.close()
        return 0
    return status


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt a command, which then keeps what it has, as SIGINT does."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # not what nohup or a caller has decided
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _main(words: list[str]) -> int:
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else _USAGE_ERROR
    if words[0] == "--version":
        print(f"asam {asam_trt.__version__}")
        return 0
    modules = _modules()
    command = words[0]
    if command not in modules:
        print(f"asam: no command '{command}'; expected one of {', '.join(modules)}", file=sys.stderr)
        return _USAGE_ERROR
    try:
        return _run(command, modules[command], words[1:], debug=debug)
    except KeyboardInterrupt:
        print(f"asam {command}: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _expected_errors() -> tuple[type[BaseException], ...]:
    loaded = [(sys.modules.get(module), name) for module, name in _LIBRARY_ERRORS]
    return (*_EXPECTED_ERRORS, *(getattr(module, name) for module, name in loaded if module is not None))


def _run(command: str, module_name: str, words: list[str], *, debug: bool) -> int:
    from asam.cli._options import parse  # with tyro: a tenth of a second that --help need not wait for

    module = importlib.import_module(f"{__name__}.{module_name}")
    known = getattr(module, "SUBCOMMANDS", ())
    if known and words and not words[0].startswith("-"):
        if words[0] not in known:
            print(
                f"asam {command}: no experiment '{words[0]}'; expected options, or one of {', '.join(known)}",
                file=sys.stderr,
            )
            return _USAGE_ERROR
        return _run(f"{command} {words[0]}", f"_{module_name}.{words[0]}", words[1:], debug=debug)
    args = parse(module.Args, words, command=f"asam {command}", description=module.__doc__)
    try:
        with unused_removed():
            return int(module.run(args))
    except BrokenPipeError:
        raise
    except _expected_errors() as error:
        if debug:
            traceback.print_exc()
        else:
            text = _said(error, type(getattr(args, "command", args)))
            print(f"asam {command}: error: {text} (--debug shows where)", file=sys.stderr)
        return _USAGE_ERROR


def _said(error: BaseException, options: type[Any]) -> str:
    """An error in one line."""
    from asam.cli._wording import as_typed, options_of

    text, known = " ".join(str(error).split()) or type(error).__name__, options_of(options)
    if isinstance(error, MemoryError):
        less = next((said for option, said in _LESS.items() if option in known), "take smaller images")
        text = f"out of memory ({text}); {less}"
    return as_typed(text, known)


def _modules() -> dict[str, str]:
    """Command -> module name, in alphabetical order."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    return {name.replace("_", "-"): name for name in names}


def _summary(module_name: str) -> str:
    """First line of a module's docstring, read without importing it."""
    for folder in __path__:
        path = Path(folder) / f"{module_name}.py"
        if path.is_file():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return text.partition("\n")[0]
    return ""


def _help() -> str:
    modules = _modules()
    width = max((len(name) for name in modules), default=0)
    lines = [f"  {name:<{width}}  {_summary(module)}" for name, module in modules.items()]
    return "\n".join(
        [
            "usage: asam [--version] [--debug] COMMAND [options]",
            "",
            "Ambiguity-aware Segment Anything: train, build an engine, sample plausible masks.",
            "",
            "commands:",
            *lines,
            "",
            "`asam COMMAND --help` lists its options; --debug shows the traceback of an error.",
        ]
    )
