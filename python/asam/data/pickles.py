"""Pickled arrays read without unpickling: the file is parsed as data, and no code in it can run.

The reader knows the handful of opcodes that dictionaries, lists, strings, numbers and NumPy arrays are
written with, for protocols 2 to 5. It calls nothing that the file names: a reference to anything but NumPy's
array constructors is refused. Array contents stay in the file and are mapped when asked for, so that opening
a file of gigabytes takes neither its time nor its memory.
"""

from __future__ import annotations

import codecs
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from asam.data.errors import DataError
from asam.data.files import check_regular

__all__ = ["ArraySpan", "Unsafe", "read_pickle_index"]

_SMALL: Final = 1024  # bytes strings up to this length are read at once; longer ones stay in the file
_MAX_ITEMS: Final = 50_000_000  # a stack deeper than any real file's


class Unsafe(DataError):
    """A pickle that asks for something other than plain data and arrays."""


@dataclass(frozen=True)
class _Span:
    """Bytes left in the file. `text` marks them as UTF-8 of a Latin-1 string, as protocol 2 writes bytes."""

    offset: int
    length: int
    text: bool = False


@dataclass(frozen=True)
class ArraySpan:
    """An array whose contents are still in the file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    where: _Span | bytes

    def read(self, view: mmap.mmap) -> NDArray[Any]:
        """The array, a read-only view of the mapped file where the bytes lie there as they are."""
        if isinstance(self.where, bytes):
            content: Any = self.where
        elif self.where.text:
            raw = view[self.where.offset : self.where.offset + self.where.length]
            content = raw.decode("utf-8").encode("latin-1")
        else:
            content = memoryview(view)[self.where.offset : self.where.offset + self.where.length]
        flat = np.frombuffer(content, dtype=self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


@dataclass(frozen=True)
class _Name:
    """A reference in the file to something importable: only ever compared, never imported."""

    module: str
    name: str


class _Array:
    """An array between its construction and the BUILD that gives it contents."""

    span: ArraySpan | None = None


class _DType:
    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    def dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = np.dtype(self.code)
        return kind.newbyteorder(">") if self.order == ">" else kind.newbyteorder("<")


_MULTIARRAY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC: Final = ("numpy.core.numeric", "numpy._core.numeric")
_ALLOWED: Final = (
    {_Name(module, name) for module in _MULTIARRAY for name in ("_reconstruct", "scalar")}
    | {_Name(module, "_frombuffer") for module in _NUMERIC}
    | {_Name("numpy", "ndarray"), _Name("numpy", "dtype"), _Name("_codecs", "encode")}
)
_KINDS: Final = "biufSU"  # what an array may hold; no objects


def read_pickle_index(path: Path) -> Any:
    """The object in a pickle file, every array in it an `ArraySpan`.

    Raises:
        Unsafe: the file refers to anything but plain data and NumPy arrays.
        DataError: missing, truncated, or not a pickle.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            return _plain(_Reader(path, file).load(), {})
    except RecursionError as error:
        raise Unsafe(path, "nested deeper than any data", "do not load this file") from error
    except (IndexError, KeyError, TypeError, struct.error, UnicodeError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(path, f"truncated or not a pickle ({type(error).__name__}: {error})") from error


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Replaces the arrays under construction; `done` keeps shared parts shared, however often they recur."""
    if isinstance(value, _Array):
        if value.span is None:
            raise ValueError("an array without contents")
        return value.span
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = {key: _plain(item, done) for key, item in value.items()}
        else:
            done[id(value)] = type(value)([_plain(item, done) for item in value])
    return done[id(value)]


_MARK: Final = object()


class _Reader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.size = path.stat().st_size
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        while True:
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            handler = _OPCODES.get(code)
            if handler is None:
                raise Unsafe(
                    self.path, f"opcode {code!r} is not of plain data and arrays", "do not load this file"
                )
            handler(self)
            if len(self.stack) > _MAX_ITEMS:
                raise ValueError("more items than a real file holds")

    # Reading

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) != count:
            raise EOFError(f"the file ends at byte {self.size} inside an item")
        return data

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        return self.file.readline(4096).rstrip(b"\n").decode("ascii")

    def span(self, length: int, *, text: bool = False) -> Any:
        """The next `length` bytes: themselves (a string for `text`) where few, else where they are."""
        if length <= _SMALL:
            data = self.take(length)
            return data.decode("utf-8", "surrogatepass") if text else data
        offset = self.file.tell()
        if offset + length > self.size:
            raise EOFError(
                f"an item of {length} bytes starts at byte {offset}, the file ends at byte {self.size}"
            )
        self.file.seek(length, 1)
        return _Span(offset, length, text)

    # Building

    def pop_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark on the stack")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def refer(self, module: str, name: str) -> None:
        reference = _Name(module, name)
        if reference not in _ALLOWED:
            raise Unsafe(
                self.path, f"asks for {module}.{name}, which is not plain data", "do not load this file"
            )
        self.stack.append(reference)

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.refer(str(module), str(name))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise Unsafe(
                self.path, "calls something that is not an array constructor", "do not load this file"
            )
        self.stack.append(self.construct(function.name, arguments))

    def construct(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "_reconstruct":
            return _Array()
        if name == "dtype":
            code = str(arguments[0])
            if np.dtype(code).kind not in _KINDS:
                raise Unsafe(
                    self.path, f"holds an array of {code}, expected numbers", "do not load this file"
                )
            return _DType(code)
        if name == "encode":
            text, encoding = arguments
            if codecs.lookup(str(encoding)).name != "iso8859-1":
                raise ValueError(f"bytes in the encoding {encoding}")
            return text if isinstance(text, _Span) else str(text).encode("latin-1")
        if name == "_frombuffer":
            content, dtype, shape, order = arguments
            array = _Array()
            array.span = self.array(shape, dtype, order == "F", content)
            return array
        if name == "scalar":
            dtype, content = arguments
            return np.frombuffer(content, dtype=dtype.dtype())[0].item()
        raise Unsafe(self.path, f"calls {name}", "do not load this file")

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Array):
            _, shape, dtype, fortran, content = state
            target.span = self.array(shape, dtype, bool(fortran), content)
        elif isinstance(target, _DType):
            target.order = str(state[1])
        else:
            raise Unsafe(
                self.path, "sets the state of something that is not an array", "do not load this file"
            )

    def array(self, shape: Any, dtype: Any, fortran: bool, content: Any) -> ArraySpan:
        kind = dtype.dtype()
        sizes = tuple(int(size) for size in shape)
        if isinstance(content, str):
            content = content.encode("latin-1")
        if isinstance(content, bytearray):
            content = bytes(content)
        if not isinstance(content, (_Span, bytes)):
            raise ValueError("an array whose contents are not bytes")
        wanted = int(np.prod(sizes, dtype=object)) * kind.itemsize
        have = content.length if isinstance(content, _Span) else len(content)
        # The text form takes one or two bytes a byte.
        fits = wanted <= have <= 2 * wanted if isinstance(content, _Span) and content.text else have == wanted
        if min(sizes, default=0) < 0 or not fits:
            raise ValueError(f"an array {sizes} of {kind} needs {wanted} bytes, the file has {have}")
        return ArraySpan(sizes, kind, fortran, content)

    def set_items(self) -> None:
        items = self.pop_mark()
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key] = value

    def append(self) -> None:
        item = self.stack.pop()
        self.stack[-1].append(item)

    def appends(self) -> None:
        items = self.pop_mark()
        self.stack[-1].extend(items)

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def long(self, length: int) -> None:
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))


def _push(make: Any) -> Any:
    return lambda reader: reader.stack.append(make(reader))


_OPCODES: Final[dict[bytes, Any]] = {
    b"\x80": lambda r: r.take(1),  # PROTO
    b"\x95": lambda r: r.take(8),  # FRAME: only a hint for buffering
    b"(": _push(lambda r: _MARK),
    b"}": _push(lambda r: {}),
    b"]": _push(lambda r: []),
    b")": _push(lambda r: ()),
    b"N": _push(lambda r: None),
    b"\x88": _push(lambda r: True),
    b"\x89": _push(lambda r: False),
    b"K": _push(lambda r: r.number("<B")),
    b"M": _push(lambda r: r.number("<H")),
    b"J": _push(lambda r: r.number("<i")),
    b"\x8a": lambda r: r.long(r.number("<B")),
    b"G": _push(lambda r: struct.unpack(">d", r.take(8))[0]),
    b"X": _push(lambda r: r.span(r.number("<I"), text=True)),
    b"\x8c": _push(lambda r: r.span(r.number("<B"), text=True)),
    b"\x8d": _push(lambda r: r.span(r.number("<Q"), text=True)),
    b"U": _push(lambda r: r.take(r.number("<B")).decode("latin-1")),
    b"T": _push(lambda r: r.span(r.number("<I"))),
    b"B": _push(lambda r: r.span(r.number("<I"))),
    b"C": _push(lambda r: r.span(r.number("<B"))),
    b"\x8e": _push(lambda r: r.span(r.number("<Q"))),
    b"\x96": _push(lambda r: r.span(r.number("<Q"))),
    b"\x94": lambda r: r.memo.__setitem__(len(r.memo), r.stack[-1]),
    b"q": lambda r: r.memo.__setitem__(r.number("<B"), r.stack[-1]),
    b"r": lambda r: r.memo.__setitem__(r.number("<I"), r.stack[-1]),
    b"h": _push(lambda r: r.memo[r.number("<B")]),
    b"j": _push(lambda r: r.memo[r.number("<I")]),
    b"c": lambda r: r.refer(r.line(), r.line()),
    b"\x93": lambda r: r.stack_global(),
    b"R": lambda r: r.reduce(),
    b"b": lambda r: r.build(),
    b"t": lambda r: r.stack.append(tuple(r.pop_mark())),
    b"\x85": lambda r: r.tuple_of(1),
    b"\x86": lambda r: r.tuple_of(2),
    b"\x87": lambda r: r.tuple_of(3),
    b"u": lambda r: r.set_items(),
    b"s": lambda r: r.set_item(),
    b"a": lambda r: r.append(),
    b"e": lambda r: r.appends(),
    b"0": lambda r: r.stack.pop(),
}
