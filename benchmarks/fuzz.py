"""Damaged engine folders and hostile calls: an error that says so, never a crash, a hang or a huge allocation.

python benchmarks/fuzz.py --engines 10000 --calls 10000

Every case is made from its number, so that a bad one can be repeated: --only engines:17. Cases run in a process of
their own with a limit on its memory; one that takes it down, or takes too long, counts as bad and the next case
goes on in a new process.
"""

from __future__ import annotations

import argparse
import base64
import copy
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import asam_trt
from asam_trt import bundle
from asam_trt.hypotheses import Hypotheses
from asam_trt.video import VideoSampler

ALLOWED = (asam_trt.EngineError, ValueError, TypeError)
MEMORY = 3 << 30  # bytes beyond what the process has when it begins
SECONDS = 60  # a case; most take milliseconds
MANIFEST, WEIGHTS = "manifest.json", "sampler.safetensors"
BOX = (10.0, 8.0, 60.0, 45.0)
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)


# ---------------------------------------------------------------- damaged engines


def damaged_engine(engine: Path, folder: Path, rng: np.random.Generator) -> str:
    """A copy of an engine with one to three kinds of damage; returns what was done."""
    for path in engine.iterdir():
        os.link(path, folder / path.name)
    done = []
    for _ in range(rng.integers(1, 4)):
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        done.append(damage.__name__)
        damage(folder, rng)
    if rng.random() < 0.5 and (folder / MANIFEST).is_file():
        done.append("hashes made to fit")
        _fit_hashes(folder)
    return ", ".join(done)


def _write(path: Path, data: bytes) -> None:
    # The file may be a hard link to the whole engine's.
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _some_file(folder: Path, rng: np.random.Generator) -> Path:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return files[rng.integers(len(files))] if files else folder / MANIFEST


def truncated(folder: Path, rng: np.random.Generator) -> None:
    path = _some_file(folder, rng)
    data = path.read_bytes() if path.exists() else b""
    _write(path, data[: rng.integers(len(data) + 1)])


def bits_flipped(folder: Path, rng: np.random.Generator) -> None:
    path = _some_file(folder, rng)
    data = bytearray(path.read_bytes() if path.exists() else b"")
    near = min(len(data), 4096) if rng.random() < 0.5 else len(data)  # headers are worth more
    for _ in range(rng.integers(1, 30) if near else 0):
        data[rng.integers(near)] ^= 1 << int(rng.integers(8))
    _write(path, bytes(data))


def bytes_replaced(folder: Path, rng: np.random.Generator) -> None:
    path = _some_file(folder, rng)
    data = path.read_bytes() if path.exists() else b""
    at = int(rng.integers(len(data) + 1))
    _write(path, data[:at] + rng.bytes(int(rng.integers(1, 300))) + data[at + int(rng.integers(300)) :])


def swapped(folder: Path, rng: np.random.Generator) -> None:
    one, other = _some_file(folder, rng), _some_file(folder, rng)
    if one.exists() and other.exists():
        first, second = one.read_bytes(), other.read_bytes()
        _write(one, second)
        _write(other, first)


def removed(folder: Path, rng: np.random.Generator) -> None:
    path = _some_file(folder, rng)
    path.unlink(missing_ok=True)
    if rng.random() < 0.3:
        path.mkdir()


def manifest_edited(folder: Path, rng: np.random.Generator) -> None:
    """Numbers become absurd, values change their type, keys vanish and come."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return
    for _ in range(rng.integers(1, 5)):
        place = document
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = keys[rng.integers(len(keys))]
            if not isinstance(place[key], (dict, list)) or not place[key] or rng.random() < 0.25:
                if isinstance(place, dict) and rng.random() < 0.15:
                    del place[key]
                elif isinstance(place, dict) and rng.random() < 0.1:
                    place[f"{key}x"] = place[key]
                else:
                    place[key] = copy.deepcopy(
                        ABSURD[rng.integers(len(ABSURD))]
                    )  # the next edit may change it
                break
            place = place[key]
    _write(path, json.dumps(document).encode())


def tensor_header_edited(folder: Path, rng: np.random.Generator) -> None:
    """Shapes, dtypes and offsets of the weights."""
    path = folder / WEIGHTS
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        names = [name for name in header if name != "__metadata__"]
        entry = header[names[rng.integers(len(names))]]
        kind = rng.integers(4)
        if kind == 0:
            entry["shape"] = [ABSURD[rng.integers(len(ABSURD))] for _ in range(rng.integers(0, 4))]
        elif kind == 1:
            entry["dtype"] = ("F16", "BF16", "F8_E4M3", "F64", "I8", "BOOL", "U64", "X", "")[rng.integers(9)]
        elif kind == 2:
            entry["data_offsets"] = [ABSURD[rng.integers(len(ABSURD))] for _ in range(2)]
        else:
            header[f"{names[0]}x"] = header.pop(names[rng.integers(len(names))])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return
    text = json.dumps(header).encode()
    size = len(text) if rng.random() < 0.8 else int(rng.integers(0, 1 << 62))
    _write(path, size.to_bytes(8, "little") + text + data[8 + length :])


DAMAGES: tuple[Callable[[Path, np.random.Generator], None], ...] = (
    truncated, bits_flipped, bytes_replaced, swapped, removed, manifest_edited, tensor_header_edited,
)  # fmt: skip
ABSURD: tuple[Any, ...] = (
    0, -1, 1, 3, 7, 1 << 20, 1 << 31, 1 << 40, 1 << 63, 1 << 200, 1e308, 0.5, float("nan"), float("inf"), None, True,
    "", "float32", "../../etc/passwd", "\x00", [], {}, [[[[]]]], [1] * 50, {"a": {"b": None}}, "9" * 5000,
)  # fmt: skip


def _fit_hashes(folder: Path) -> None:
    """As one who edits a folder on purpose would: what is behind the hashes is tried too."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text())
        for name, entry in document["files"].items():
            if (folder / name).is_file():
                data = (folder / name).read_bytes()
                entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        document["digest"] = bundle.manifest_digest(document)
        text = bundle.manifest_bytes(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # what was damaged is not a manifest any more
    _write(path, text)


def try_engine(engine: Path, number: int) -> str:
    """Open a damaged engine, and use it where it opens."""
    rng = np.random.default_rng([1, number])
    what = "the damage itself"
    with tempfile.TemporaryDirectory(dir=engine.parent) as folder:
        try:
            what = damaged_engine(engine, Path(folder), rng)
            with asam_trt.Session(folder, threads=1) as session:
                session.set_image(IMAGE)
                session.sample(box=BOX, n=2)
        except asam_trt.EngineError as error:  # nothing else: the calls are right
            return type(error).__name__
        except BaseException as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    return "opened"


# ---------------------------------------------------------------- hostile calls


class Strange:
    """An object whose every protocol lies."""

    def __len__(self) -> int:
        return 1 << 62

    def __index__(self) -> int:
        return 1 << 70

    def __float__(self) -> float:
        raise OverflowError("no")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no")


def value(rng: np.random.Generator) -> Any:
    """Something that a caller should not have given, or sometimes should."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: int(rng.integers(-3, 40)),
        lambda: int(rng.choice([-(2**70) // 2**40, 2**31, 2**62])) * int(rng.choice([1, 2**9])),
        lambda: float(rng.choice([0.0, -1.0, 1e-320, 1e300, np.inf, -np.inf, np.nan, 0.5])),
        lambda: bool(rng.integers(2)),
        lambda: rng.choice(["", "x", "iid", "cpu", "\x00", "/dev/null", "9" * 200, "é"]).item(),
        lambda: b"\x00\xff",
        list,
        lambda: [[1, 2], [3]],
        lambda: {"box": 1},
        lambda: complex(1, 2),
        lambda: object(),
        lambda: Strange(),
        lambda: lambda: None,
        lambda: np.float32(rng.standard_normal()),
        lambda: rng.uniform(-100, 200, tuple(rng.integers(0, 6, rng.integers(0, 4)))),
        lambda: rng.integers(-100, 200, tuple(rng.integers(0, 6, rng.integers(0, 4)))),
        lambda: rng.uniform(-10, 90, 4).tolist(),
        lambda: np.sort(rng.uniform(0, 80, 4))[[0, 1, 2, 3]].tolist(),
        lambda: np.broadcast_to(np.float32(1), (1 << 20, 1 << 20)),
        lambda: np.zeros((4, 5, 3), rng.choice(["f2", "f8", "i8", "?", "U3", "M8[s]", "c16", "V4"]).item()),
        lambda: np.ma.masked_array([1.0, 2, 3, 4], [0, 1, 0, 0]),
        lambda: np.array([None, {}, "x", 1], object),
        lambda: np.full((16, 16), rng.choice([np.nan, np.inf, 3e38, 0.0]), np.float32),
        lambda: np.zeros((2, 2, 32), np.float32),
        lambda: IMAGE[:: int(rng.choice([-1, 1, 2])), :, : int(rng.integers(0, 4))],
        lambda: range(1 << 40),
        lambda: iter([1, 2, 3]),
        lambda: [value(rng) for _ in range(rng.integers(0, 5))],
    )
    return kinds[rng.integers(len(kinds))]()


def _some(rng: np.random.Generator, good: dict[str, Any], most: int = 3) -> dict[str, Any]:
    """A good call's arguments, some of them replaced or left out, and now and then one that does not exist."""
    arguments = dict(good)
    for name in rng.choice(list(good), min(len(good), rng.integers(1, most + 1)), replace=False):
        if rng.random() < 0.1:
            del arguments[name]
        else:
            arguments[name] = value(rng)
    return arguments


def hostile_call(session: asam_trt.Session, hyp: Hypotheses, rng: np.random.Generator) -> Any:
    """One call with arguments that may be anything."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: session.set_image(value(rng)),
        lambda: session.sample(**_some(rng, {**PROMPT, "box": BOX})),
        lambda: session.sample(**_some(rng, PROMPT)),
        lambda: session.sample(**_some(rng, {"boxes": [BOX], "n": 2, "seed": 1})),
        lambda: session.sample(box=BOX, n=2, image=value(rng)),
        lambda: Hypotheses(*(value(rng) for _ in range(3)), image=value(rng)),
        lambda: (
            Hypotheses(**_some(rng, {"logits": hyp.logits, "scores": hyp.scores, "frame": hyp.frame})).masks
        ),
        lambda: hyp.modes(value(rng)),
        lambda: hyp.area(value(rng)),
        lambda: hyp.consensus(value(rng)),
        lambda: hyp.contours(value(rng)),
        lambda: hyp.polygons(value(rng)),
        lambda: hyp.save(*_some(rng, {"path": 3, "kind": "npz"}).values()),
        lambda: next(VideoSampler(session).run([IMAGE], **_some(rng, RUN))),
        lambda: next(VideoSampler(session).run(**_some(rng, {"source": [IMAGE], **RUN}))),
        lambda: next(VideoSampler(session).run([value(rng)], box=BOX, n=1)),
        lambda: next(VideoSampler(session).run([IMAGE], objects={value_key(rng): value(rng)}, n=1)),
        lambda: next(VideoSampler(session).run([IMAGE], objects={1: _some(rng, PROMPT)}, n=1)),
        lambda: asam_trt.Session(value(rng)),
        lambda: asam_trt.Session(session.engine.path, **_some(rng, {"threads": 1, "backend": "cpu"})),
    )
    return kinds[rng.integers(len(kinds))]()


PROMPT: dict[str, Any] = {
    "box": None, "point_coords": [[20, 30]], "point_labels": [1], "mask_input": None, "n": 2, "seed": 1, "eps": None,
    "temperature": 1.0, "latents": "iid",
}  # fmt: skip
RUN: dict[str, Any] = {
    "box": BOX, "n": 2, "seed": 0, "noise": "kept", "follow": False, "realtime": False, "read_ahead": 2,
    "latents": "iid", "temperature": 1.0,
}  # fmt: skip


def value_key(rng: np.random.Generator) -> Any:
    """A value that can be a key."""
    found = value(rng)
    return found if getattr(type(found), "__hash__", None) and not isinstance(found, np.ndarray) else "key"


class Calls:
    """One session for all calls, which has to survive them."""

    def __init__(self, engine: Path) -> None:
        self._session = asam_trt.Session(engine, threads=1)
        self._image = self._session.encode(IMAGE)
        self._expected = self._session.sample(box=BOX, n=2, image=self._image)

    def attempt(self, number: int) -> str:
        rng = np.random.default_rng([2, number])
        self._session.set_image(IMAGE)
        outcome = "accepted"
        try:
            hostile_call(self._session, self._expected, rng)
        except ALLOWED as error:
            outcome = type(error).__name__
        except (StopIteration, IndexError) as error:
            outcome = type(error).__name__  # of an empty source, and of a hypothesis that is not there
        found = self._session.sample(box=BOX, n=2, image=self._image)
        if not np.array_equal(found.logits, self._expected.logits):
            raise AssertionError("expected the session to be unharmed, came other logits")
        return outcome


# ---------------------------------------------------------------- processes


def work(kind: str, engine: Path, first: int, last: int) -> None:
    """Run cases; a line before and after each."""
    warnings.simplefilter("ignore")
    calls = Calls(engine) if kind == "calls" else None
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.chdir(engine.parent)
    for number in range(first, last):
        print(f"begin {number}", flush=True)
        signal.alarm(SECONDS)  # ends the process
        try:
            outcome = try_engine(engine, number) if calls is None else calls.attempt(number)
        except BaseException as error:
            text = base64.b64encode(f"{type(error).__name__}: {error}".encode()).decode()
            print(f"bad {number} {text}", flush=True)
        else:
            print(f"end {number} {outcome}", flush=True)
        signal.alarm(0)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def supervise(kind: str, engine: Path, first: int, last: int) -> tuple[Counter[str], list[str]]:
    """Run cases in processes; outcomes, and what went wrong."""
    outcomes: Counter[str] = Counter()
    bad: list[str] = []
    while first < last:
        words = [sys.executable, __file__, "--worker", kind, str(engine), str(first), str(last)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun = None
        assert process.stdout is not None
        for line in process.stdout:
            word, *rest = line.split()
            if word == "begin":
                begun = int(rest[0])
            elif word == "end":
                outcomes[rest[1]] += 1
                begun, first = None, int(rest[0]) + 1
            elif word == "bad":
                bad.append(f"{kind}:{rest[0]} {base64.b64decode(rest[1]).decode()}")
                begun, first = None, int(rest[0]) + 1
        process.wait()
        if begun is None and first < last:
            assert process.stderr is not None
            raise RuntimeError(f"the worker ended by itself: {process.stderr.read()[-2000:]}")
        if begun is not None:
            cause = (
                "too slow" if process.returncode == -signal.SIGALRM else f"ended with {process.returncode}"
            )
            bad.append(f"{kind}:{begun} {cause}")
            first = begun + 1
    return outcomes, bad


def main() -> None:
    """Run all cases, and end with status 1 where one went wrong."""
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, help="by default the network that ships is built")
    parser.add_argument("--engines", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--only", help="one case: engines:17")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = Path(folder) / "whole.asam"
        if options.engine is not None:
            shutil.copytree(options.engine, engine)
        else:
            from asam.assets import NANO

            asam_trt.build_engine(NANO, engine, progress=False)
        cases = {"engines": (0, options.engines), "calls": (0, options.calls)}
        if options.only:
            kind, number = options.only.split(":")
            cases = {kind: (int(number), int(number) + 1)}
        wrong = 0
        for kind, (first, last) in cases.items():
            start = time.perf_counter()
            outcomes, bad = supervise(kind, engine, first, last)
            wrong += len(bad)
            text = ", ".join(f"{name} {count}" for name, count in outcomes.most_common())
            print(f"{last - first} {kind}: {len(bad)} bad; {text}; {time.perf_counter() - start:.0f} s")
            for line in bad[:50]:
                print(f"  {line}")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
