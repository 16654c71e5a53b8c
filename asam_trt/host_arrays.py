"""Arrays of other libraries as NumPy arrays in host memory, also from a GPU; none of them is imported."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import unmasked

_CONTEXT, _DEVICE = 1, 9  # attributes of a pointer (CUpointer_attribute in cuda.h)
_ALL_STREAMS = -1  # before version 3 of the interface, and in PyTorch's, nothing says which one
_MOST_BYTES = 1 << 36  # of an array on a GPU: more is a damaged description


def to_host(value: Any, name: str) -> npt.NDArray[Any]:
    """NumPy arrays, and whatever offers ``__array__``, DLPack or ``__cuda_array_interface__``, as an array.

    What lies on a GPU is copied: through the CUDA driver, or by the library itself where it offers DLPack alone.

    Args:
        name: of the argument, for messages.

    Raises:
        TypeError: none of these, or it cannot be read from here.
    """
    unmasked(value, name)
    if isinstance(value, np.ndarray):
        # Subclasses have axes and operators of their own; np.repeat of a matrix writes beyond its memory.
        return np.asarray(value)
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        raise TypeError(
            f"expected {name} as an array, came the path {value!r}; open it first, PIL.Image.open(path)"
        )
    try:
        # PyTorch refuses to be asked about a tensor that requires grad.
        if hasattr(value, "__cuda_array_interface__"):
            return _from_cuda(value, name)
        if hasattr(value, "__array__"):
            return np.asarray(value)
        if hasattr(value, "__dlpack__"):
            return _from_dlpack(value)
    except (TypeError, RuntimeError, BufferError, ValueError) as error:
        raise TypeError(
            f"expected {name} as an array that NumPy can read, came {type(value).__name__} ({error}); "
            f"{how_to_read(value, name)}"
        ) from error
    raise TypeError(
        f"expected {name} as an array (NumPy, PIL, PyTorch or any DLPack or CUDA array object), came "
        f"{type(value).__name__}"
    )


def how_to_read(value: Any, name: str) -> str:
    """Advice on an array that NumPy cannot read, by what it says of itself."""
    if "meta" in str(getattr(value, "device", "")):
        return "a tensor of PyTorch's device 'meta' has no values; make it on the CPU"
    dense = ".to_dense()" if "sparse" in str(getattr(value, "layout", "")) else ""
    # NumPy has no bfloat16.
    wide = ".float()" if "bfloat16" in str(getattr(value, "dtype", "")) else ""
    return f"convert it first (in PyTorch: {name}.detach(){dense}{wide}.cpu())"


def _from_dlpack(value: Any) -> npt.NDArray[Any]:
    kind, _ = value.__dlpack_device__()
    if int(kind) == 1:
        return np.from_dlpack(value)
    return np.from_dlpack(value, device="cpu")


def _from_cuda(value: Any, name: str) -> npt.NDArray[Any]:
    try:
        description = value.__cuda_array_interface__
        shape = tuple(int(side) for side in description["shape"])
        dtype = np.dtype(description["typestr"])
        pointer, _ = description["data"]
        strides = description.get("strides") or _contiguous(shape, dtype.itemsize)
        stream = description.get("stream", _ALL_STREAMS)
        if len(strides) != len(shape) or min(shape, default=0) < 0 or dtype.hasobject:
            raise ValueError(f"shape {shape}, strides {strides}, dtype {dtype}")
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise TypeError(
            f"expected {name} with a whole __cuda_array_interface__, came {type(value).__name__} ({error!r})"
        ) from error
    if 0 in shape:
        return np.empty(shape, dtype)
    steps = [(side - 1) * int(stride) for side, stride in zip(shape, strides, strict=True)]
    low = sum(step for step in steps if step < 0)
    size = sum(step for step in steps if step > 0) - low + dtype.itemsize
    if size > max(_MOST_BYTES, math.prod(shape) * dtype.itemsize):
        raise TypeError(
            f"expected {name} with a whole __cuda_array_interface__, came strides over {size} bytes"
        )
    raw = np.empty(size, np.uint8)
    try:
        copy_from_device(raw, int(pointer) + low, stream)
    except (OSError, RuntimeError) as error:
        raise TypeError(
            f"expected {name} that the CUDA driver can copy to host memory, came {type(value).__name__} ({error})"
        ) from error
    return np.ndarray(shape, dtype, buffer=raw, offset=-low, strides=tuple(int(s) for s in strides))


def _contiguous(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    return tuple(size * math.prod(shape[i + 1 :]) for i in range(len(shape)))


def copy_from_device(to: npt.NDArray[np.uint8], pointer: int, stream: int | None = None) -> None:
    """Fill ``to`` from device memory, after the work that ``stream`` holds; of its whole context where that is -1.

    Raises:
        OSError: there is no CUDA driver.
        RuntimeError: the driver refuses.
    """
    driver = _driver()
    context, device = ctypes.c_void_p(), ctypes.c_int()
    _check(driver, driver.cuInit(0), "cuInit")
    _check(
        driver,
        driver.cuPointerGetAttribute(ctypes.byref(context), _CONTEXT, ctypes.c_uint64(pointer)),
        "cuPointerGetAttribute",
    )
    pooled = not context
    if pooled:
        # Memory of a pool belongs to a device, not to a context.
        _check(
            driver,
            driver.cuPointerGetAttribute(ctypes.byref(device), _DEVICE, ctypes.c_uint64(pointer)),
            "cuPointerGetAttribute",
        )
        _check(
            driver, driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain"
        )
    try:
        _copy_within(driver, context, to, pointer, stream)
    finally:
        if pooled:
            driver.cuDevicePrimaryCtxRelease_v2(device)


def _copy_within(
    driver: Any, context: ctypes.c_void_p, to: npt.NDArray[np.uint8], pointer: int, stream: int | None
) -> None:
    _check(driver, driver.cuCtxPushCurrent_v2(context), "cuCtxPushCurrent")
    try:
        if stream == _ALL_STREAMS:
            _check(driver, driver.cuCtxSynchronize(), "cuCtxSynchronize")
        elif stream is not None:
            _check(driver, driver.cuStreamSynchronize(ctypes.c_void_p(stream)), "cuStreamSynchronize")
        target = to.ctypes.data_as(ctypes.c_void_p)
        _check(
            driver,
            driver.cuMemcpyDtoH_v2(target, ctypes.c_uint64(pointer), ctypes.c_size_t(to.nbytes)),
            "cuMemcpyDtoH",
        )
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def _driver() -> Any:
    return ctypes.CDLL("libcuda.so.1")


def _check(driver: Any, status: int, name: str) -> None:
    if status != 0:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"{name}: {text.value.decode() if text.value else status}")
