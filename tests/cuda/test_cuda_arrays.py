"""What is counted on the GPU, and arrays that stay there."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asam_trt import _ops, _runtime, philox


@pytest.mark.parametrize(("n", "dim"), [(1, 4), (3, 12), (33, 256)])
@pytest.mark.parametrize("start", [0, 7, 2**32 - 1000])
def test_normal_numbers_equal_numpys(library: str, n: int, dim: int, start: int) -> None:
    found = _runtime.cuda_normal(2**63 + 5, n, dim, start=start)
    np.testing.assert_allclose(found, philox.normal(2**63 + 5, n, dim, start=start), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("input_size", "out_size"), [((64, 64), (64, 64)), ((40, 64), (50, 80)), ((64, 33), (131, 67))]
)
def test_statistics_equal_the_cpus(
    library: str,
    case_of: Callable[[str], Any],
    drawn: Callable[..., Any],
    input_size: tuple[int, int],
    out_size: tuple[int, int],
) -> None:
    case = case_of("tiny")  # S = 64
    sampler, _, _, (logits, _) = drawn(case, "box", case.inputs(3))
    threshold = float(np.median(logits))
    counts, areas, packed = sampler.statistics(logits, input_size, out_size, threshold)
    geometry = (case.config.side, input_size, out_size, threshold)
    want_counts, want_areas = _ops.mask_statistics(logits, *geometry)
    np.testing.assert_array_equal(counts, want_counts)
    np.testing.assert_array_equal(areas, want_areas)
    np.testing.assert_array_equal(packed, _ops.packed_masks_from_logits(logits, *geometry))
    some = sampler.statistics(logits, input_size, out_size, threshold, packed=False)
    np.testing.assert_array_equal(some[0], want_counts)
    np.testing.assert_array_equal(some[1], want_areas)
    assert some[2] is None
    assert 0 < areas.sum() < 3 * out_size[0] * out_size[1]
    with pytest.raises(ValueError, match="expected an input size"):
        sampler.statistics(logits, (0, 64), out_size)


def test_arrays_stay_on_the_device(
    library: str, case_of: Callable[[str], Any], drawn: Callable[..., Any]
) -> None:
    case = case_of("tiny")
    sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    logits, scores = sampler.sample_seeded(image, prompt, 3, 5)
    d_logits, d_scores = sampler.sample_on_device(image, prompt, 3, 5)
    np.testing.assert_array_equal(d_logits.numpy(), logits)
    np.testing.assert_array_equal(d_scores.numpy(), scores)
    again = sampler.sample_on_device(image, prompt, 3, 6, out=(d_logits, d_scores))
    assert again[0] is d_logits
    np.testing.assert_array_equal(d_logits.numpy(), sampler.sample_seeded(image, prompt, 3, 6)[0])
    with pytest.raises(ValueError, match=r"out: expected arrays of shape \[2, 16, 16\]"):
        sampler.sample_on_device(image, prompt, 2, 6, out=(d_logits, d_scores))
    described = d_logits.__cuda_array_interface__
    assert (described["shape"], described["typestr"]) == (logits.shape, "<f4")
    assert d_logits.__dlpack_device__() == (2, 0)


def test_arrays_are_on_the_device_of_their_sampler(
    emulated: Path,
    case_of: Callable[[str], Any],
    drawn: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    emulator = ctypes.CDLL(str(emulated))
    case = case_of("tiny")
    try:
        assert emulator.emulator_set_device(1) == 0
        sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    finally:
        emulator.emulator_set_device(0)
    for array in sampler.sample_on_device(image, prompt, 2, 1):
        assert array.__dlpack_device__() == (2, 1)
    assert emulator.emulator_device() == 0  # the caller's stays current


def test_device_arrays_are_arguments_too(
    library: str, case_of: Callable[[str], Any], drawn: Callable[..., Any]
) -> None:
    case = case_of("tiny")
    sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    d_logits, d_scores = sampler.sample_on_device(image, prompt, 2, 1)
    on_device = sampler.statistics(d_logits, (64, 64), (20, 30))
    on_host = sampler.statistics(d_logits.numpy(), (64, 64), (20, 30))
    for a, b in zip(on_device, on_host, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"logits: expected shape \[\*, 16, 16\], got \[2\]"):
        sampler.statistics(d_scores, (64, 64), (20, 30))


class Described:
    """An array of another library, with what it says of its stream."""

    def __init__(self, array: Any, **stream: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            name: value for name, value in array.__cuda_array_interface__.items() if name != "stream"
        } | stream


def test_the_stream_of_an_argument_is_waited_for(
    emulated: Path,
    case_of: Callable[[str], Any],
    drawn: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASAM_CUDA_LIBRARY", str(emulated))
    case = case_of("tiny")
    sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    logits, _ = sampler.sample_on_device(image, prompt, 2, 1)
    want = sampler.statistics(logits, (64, 64), (20, 30))
    for stream in ({}, {"stream": None}, {"stream": 1}, {"stream": 2}):
        found = sampler.statistics(Described(logits, **stream), (64, 64), (20, 30))
        np.testing.assert_array_equal(found[0], want[0])
    with pytest.raises(RuntimeError, match="waiting for an argument's stream: invalid resource handle"):
        sampler.statistics(Described(logits, stream=1 << 20), (64, 64), (20, 30))


@pytest.mark.gpu
def test_pytorch_need_not_be_waited_for(case_of: Callable[[str], Any], drawn: Callable[..., Any]) -> None:
    import torch

    case = case_of("tiny")
    sampler, _, _, (logits, _) = drawn(case, "box", case.inputs(3))
    threshold = float(np.median(logits))
    want = sampler.statistics(logits, (64, 64), (64, 64), threshold)
    there = torch.from_numpy(logits).cuda()
    late = torch.zeros_like(there)
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)  # clock ticks, on the default stream
    late.copy_(there)
    found = sampler.statistics(late, (64, 64), (64, 64), threshold)
    np.testing.assert_array_equal(found[0], want[0])


@pytest.mark.gpu
def test_pytorch_reads_them_as_they_are(case_of: Callable[[str], Any], drawn: Callable[..., Any]) -> None:
    import torch

    case = case_of("tiny")
    sampler, image, prompt, _ = drawn(case, "box", case.inputs(1))
    logits, _ = sampler.sample_on_device(image, prompt, 3, 5)
    want = logits.numpy()
    for taken in (torch.from_dlpack(logits), torch.as_tensor(logits, device="cuda")):
        assert taken.is_cuda
        np.testing.assert_array_equal(taken.cpu().numpy(), want)
    kept = torch.from_dlpack(logits)
    del logits
    np.testing.assert_array_equal(kept.cpu().numpy(), want)
