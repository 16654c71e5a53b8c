"""Arrays of other libraries. The CUDA driver is stood in for by one that finds host memory behind a pointer."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from asam_trt import host_arrays
from asam_trt.checks import as_array
from asam_trt.geometry import as_image
from asam_trt.host_arrays import to_host


class OnDevice:
    """What CuPy, Numba or PyTorch show of an array on a GPU."""

    def __init__(self, array: np.ndarray, **changes: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, True),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
            **changes,
        }


class FakeDriver:
    def __init__(self, *, context: int = 77, fail: str = "") -> None:
        self.calls: list[str] = []
        self._context, self._fail = context, fail

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            if name == "cuGetErrorString":
                arguments[1]._obj.value = b"out of cheese"
                return 0
            self.calls.append(name)
            if name == self._fail:
                return 999
            if name == "cuPointerGetAttribute" and arguments[1] == 1:
                arguments[0]._obj.value = self._context
            if name == "cuDevicePrimaryCtxRetain":
                arguments[0]._obj.value = 78
            if name == "cuMemcpyDtoH_v2":
                ctypes.memmove(arguments[0], arguments[1].value, arguments[2].value)
            return 0

        return call


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver()
    monkeypatch.setattr(host_arrays, "_driver", lambda: fake)
    return fake


IMAGE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "array",
    [
        IMAGE,
        IMAGE[::2, ::-1],
        IMAGE.transpose(1, 0, 2),
        IMAGE[:, :, ::-1],
        np.float32(IMAGE) / 255,
        IMAGE[:0],
    ],
)
def test_device_arrays_are_copied_whatever_their_strides(driver: FakeDriver, array: np.ndarray) -> None:
    found = to_host(OnDevice(array), "image")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    if array.size:
        np.testing.assert_array_equal(as_image(OnDevice(array)), array)
        assert driver.calls[-1] == "cuCtxPopCurrent_v2"


def test_the_stream_is_waited_for_and_pools_have_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeDriver(context=0)
    monkeypatch.setattr(host_arrays, "_driver", lambda: fake)
    np.testing.assert_array_equal(to_host(OnDevice(IMAGE, stream=5), "image"), IMAGE)
    assert fake.calls.index("cuStreamSynchronize") < fake.calls.index("cuMemcpyDtoH_v2")
    assert fake.calls.index("cuDevicePrimaryCtxRetain") < fake.calls.index("cuCtxPushCurrent_v2")
    assert fake.calls[-2:] == ["cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2"]


def test_without_a_word_about_streams_all_of_them_are_waited_for(driver: FakeDriver) -> None:
    to_host(OnDevice(IMAGE, version=2), "image")
    assert driver.calls.index("cuCtxSynchronize") < driver.calls.index("cuMemcpyDtoH_v2")
    driver.calls.clear()
    to_host(OnDevice(IMAGE, stream=None), "image")
    assert "cuCtxSynchronize" not in driver.calls


def test_an_array_that_refuses_to_be_described_is_named() -> None:
    class WithGrad:
        device = "cuda:0"

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad")

    with pytest.raises(TypeError, match=r"came WithGrad .*requires grad.*image\.detach\(\)"):
        to_host(WithGrad(), "image")


@pytest.mark.parametrize(
    "step", ["cuInit", "cuPointerGetAttribute", "cuCtxPushCurrent_v2", "cuMemcpyDtoH_v2"]
)
def test_a_driver_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    fake = FakeDriver(fail=step)
    monkeypatch.setattr(host_arrays, "_driver", lambda: fake)
    with pytest.raises(TypeError, match=r"expected image that the CUDA driver.*out of cheese"):
        to_host(OnDevice(IMAGE), "image")
    assert ("cuCtxPopCurrent_v2" in fake.calls) == ("cuCtxPushCurrent_v2" in fake.calls[:-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": None},
        {"shape": (-1, 3)},
        {"typestr": "|O"},
        {"typestr": "nonsense"},
        {"strides": (1,)},
        {"strides": (1 << 50, 1, 1)},
        {"data": None},
    ],
)
def test_damaged_descriptions_are_refused(driver: FakeDriver, changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="whole __cuda_array_interface__"):
        to_host(OnDevice(IMAGE, **changes), "image")
    assert "cuMemcpyDtoH_v2" not in driver.calls


@pytest.mark.parametrize("kind", [np.matrix, np.recarray])
def test_subclasses_of_numpys_array_become_plain(kind: type[np.ndarray]) -> None:
    grey = IMAGE[:, :, 0]
    for found in (to_host(grey.view(kind), "image"), as_array(grey.view(kind), "mask_input")):
        assert type(found) is np.ndarray
        assert np.shares_memory(found, grey)
    np.testing.assert_array_equal(as_image(grey.view(kind)), as_image(grey))


def test_dlpack_from_a_device_asks_for_a_copy_in_host_memory() -> None:
    asked = []

    class Wrapped:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def __dlpack__(self, **options: Any) -> Any:
            asked.append(options)
            return IMAGE.__dlpack__()

    np.testing.assert_array_equal(to_host(Wrapped(), "image"), IMAGE)
    assert asked[0]["dl_device"] == (1, 0)


@pytest.mark.gpu
def test_a_real_device() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    tensor = torch.from_numpy(IMAGE.copy()).cuda()
    for view, expected in ((tensor, IMAGE), (tensor.transpose(0, 1), IMAGE.transpose(1, 0, 2))):
        np.testing.assert_array_equal(to_host(view, "image"), expected)
