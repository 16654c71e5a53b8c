"""Functions as graphs: a replay is the function, results stay, and what cannot be captured runs all the same."""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from asam_trt.torch_parts.lanes import EagerLane, GraphLane
from asam_trt.torch_parts.parts import encoder_of

from .fake_graphs import FakeStream, FakeWorld
from .torch_cases import torch_case

CPU = torch.device("cpu")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    return FakeWorld(monkeypatch)


def halves(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return 2 * x, x[:1] + y.sum()


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_replay_is_the_function(world: FakeWorld) -> None:
    lane, eager = GraphLane("halves", halves, CPU), EagerLane(halves)
    found = [lane.run(draw(i, 3), draw(i + 9, 2)) for i in range(4)]
    assert (world.captures, world.replays, lane.graphs) == (1, 4, 1)
    for i, one in enumerate(found):  # compared at the end: later calls must not have changed them
        for a, b in zip(one, eager.run(draw(i, 3), draw(i + 9, 2)), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", ["many windows, one column over", "TinyViT: windows that fit and padded ones"]
)
def test_an_encoder_as_a_graph_sees_each_image(world: FakeWorld, name: str) -> None:
    case = torch_case(name)
    encoder = encoder_of(case.config, case.weights, dtype=torch.bfloat16, device=CPU)
    lane = GraphLane("encoder", lambda x: (encoder(x),), CPU)
    images = [case.image, -case.image, case.image[:, ::-1]]
    found = [lane.run(image)[0] for image in images]
    for image, one in zip(images, found, strict=True):
        torch.testing.assert_close(one, encoder(torch.tensor(image.copy())), rtol=0, atol=0)
    assert (world.captures, world.replays) == (1, 3)


def test_a_result_is_an_input_of_another_lane(world: FakeWorld) -> None:
    first, second = (GraphLane("halves", halves, CPU) for _ in range(2))
    (double, _), (other, _) = first.run(draw(0, 3), draw(1, 0)), first.run(draw(2, 3), draw(1, 0))
    np.testing.assert_array_equal(second.run(double, draw(3, 2))[0], 4 * draw(0, 3))
    np.testing.assert_array_equal(second.run(other, draw(3, 2))[0], 4 * draw(2, 3))


def test_a_graph_a_set_of_shapes_and_the_last_ones_are_kept(world: FakeWorld) -> None:
    lane = GraphLane("halves", halves, CPU)
    for size in range(1, 10):
        lane.run(draw(0, 3), draw(0, size))
    assert (world.captures, lane.graphs) == (9, 8)
    lane.run(draw(0, 3), draw(0, 2))  # the oldest that is left
    assert world.captures == 9
    lane.run(draw(0, 3), draw(0, 1))
    assert (world.captures, lane.graphs) == (10, 8)
    lane.run(draw(0, 3), draw(0, 2))  # was used since
    assert world.captures == 10


def test_what_cannot_be_captured_is_said_once_and_runs(world: FakeWorld) -> None:
    world.fail = True
    lane = GraphLane("halves", halves, CPU)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [lane.run(draw(i, 3), draw(i, 2 + i)) for i in range(3)]
    assert [str(each.message) for each in caught] == [
        "halves runs without a CUDA graph, slower for small work: operation not permitted when stream is capturing"
    ]
    assert caught[0].filename != warnings.__file__
    assert (world.captures, world.replays, lane.graphs) == (0, 0, 0)
    for i, (double, _) in enumerate(found):
        np.testing.assert_array_equal(double, 2 * draw(i, 3))


def test_a_warm_up_that_fails_is_said_and_runs(world: FakeWorld) -> None:
    calls = []

    def out_of_memory_at_first(x: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(x)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return (x + 1,)

    lane = GraphLane("adder", out_of_memory_at_first, CPU)
    with pytest.warns(RuntimeWarning, match="adder runs without a CUDA graph.*out of memory"):
        (found,) = lane.run(draw(0, 3))
    np.testing.assert_array_equal(found, draw(0, 3) + 1)
    assert (world.captures, len(calls)) == (0, 2)


def test_lanes_of_two_threads_capture_one_after_the_other(world: FakeWorld) -> None:
    def slow(x: torch.Tensor) -> tuple[torch.Tensor]:
        time.sleep(0.01)
        return (x + 1,)

    made = FakeStream.made
    lanes = [GraphLane("adder", slow, CPU) for _ in range(4)]
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        found[i] = [lanes[i].run(draw(i, size))[0] for size in (1, 2, 3)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        for size, one in zip((1, 2, 3), found[i], strict=True):
            np.testing.assert_array_equal(one, draw(i, size) + 1)
    assert world.captures == 12
    assert FakeStream.made - made == 4 + 1  # of the lanes, and one to warm up on


def test_a_function_that_fails_ends_the_capture(world: FakeWorld) -> None:
    calls = []

    def fails_within_the_capture(x: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(x)
        if len(calls) == 2:
            raise RuntimeError("unsupported operation")
        return (x + 1,)

    lane = GraphLane("adder", fails_within_the_capture, CPU)
    with pytest.warns(RuntimeWarning, match="adder runs without a CUDA graph.*unsupported operation"):
        (found,) = lane.run(draw(0, 3))
    np.testing.assert_array_equal(found, draw(0, 3) + 1)
    assert (world.captures, len(calls)) == (1, 3)  # begun, ended, and not used


def test_the_stream_is_waited_for_whatever_is_raised(world: FakeWorld) -> None:
    def broken(x: torch.Tensor) -> tuple[torch.Tensor]:
        raise ValueError("broken")

    lane = GraphLane("broken", broken, CPU)
    with pytest.raises(ValueError, match="broken"):
        lane.run(draw(0, 3))
    assert lane._stream.synchronized == 1
