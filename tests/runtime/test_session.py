from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import asam
import asam_trt
from asam_trt import philox
from asam_trt.backends import onnx_exit
from asam_trt.hypotheses import Hypotheses

BOX = (10.0, 8.0, 60.0, 45.0)
PROMPTS: dict[str, dict[str, Any]] = {
    "box": {"box": BOX},
    "points": {"point_coords": [[20, 30], [70.5, 10]], "point_labels": [1, 0]},
    "one point": {"point_coords": [[20, 30]], "point_labels": [1]},
    "box and points": {"box": BOX, "point_coords": [[20, 30]], "point_labels": [0]},
    "mask": {"mask_input": np.random.default_rng(5).standard_normal((16, 16)).astype(np.float32)},
    "mask and box": {"mask_input": np.ones((16, 16), np.float32), "box": BOX},
    "nothing": {},
}


def same(a: Hypotheses, b: Hypotheses, atol: float = 0.0) -> None:
    np.testing.assert_allclose(a.logits, b.logits, rtol=0, atol=atol)
    np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=atol)


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_samples_are_those_of_pytorch(
    model: asam.ASAM, session: asam_trt.Session, image: np.ndarray, prompt: dict[str, Any]
) -> None:
    session.set_image(image)
    found = session.sample(**prompt, n=5, seed=3)
    expected = model.sample(image, **prompt, n=5, seed=3)
    assert np.abs(expected.logits).max() > 0.1
    same(found, expected, atol=1e-4)
    assert found.masks.shape == (5, 50, 80)
    assert found.image is not None


@pytest.mark.parametrize("shape", [(64, 64), (30, 200), (128, 40), (600, 900)])
def test_images_of_any_size(model: asam.ASAM, session: asam_trt.Session, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((*shape, 3), dtype=np.float32)
    session.set_image(image)
    box = (1, 2, shape[1] - 3, shape[0] - 1)
    found = session.sample(box=box, n=2)
    same(found, model.sample(image, box=box, n=2), atol=1e-4)
    assert found.masks.shape == (2, *shape)


def test_seeds_and_prefixes(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    many = session.sample(box=BOX, n=7, seed=1)
    same(session.sample(box=BOX, n=7, seed=1), many)
    same(session.sample(box=BOX, n=3, seed=1), many[:3])
    assert np.abs(session.sample(box=BOX, n=7, seed=2).logits - many.logits).max() > 1e-3
    assert len(session.sample(box=BOX)) == 32


def test_noise_and_temperature(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    latent = session.engine.sampler.latent
    eps = philox.normal(9, 4, latent)  # the reference is a rounding apart from the native numbers
    same(session.sample(box=BOX, eps=eps), session.sample(box=BOX, n=4, seed=9), atol=1e-4)
    same(session.sample(box=BOX, eps=eps, temperature=0.5), session.sample(box=BOX, eps=0.5 * eps))
    means = session.sample(box=BOX, eps=np.zeros((2, 2, latent), np.float32))
    same(session.sample(box=BOX, n=2, temperature=0), means)
    np.testing.assert_array_equal(means.logits[0], means.logits[1])


def test_an_image_that_is_filled_anew_leaves_the_encoded_one_alone(
    session: asam_trt.Session, image: np.ndarray
) -> None:
    buffer = image.copy()
    encoded = session.set_image(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(encoded.image, image)
    np.testing.assert_array_equal(session.sample(box=BOX, n=1).image, image)


def test_a_mask_may_be_a_matrix(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    mask = np.random.default_rng(0).normal(size=(16, 16))
    same(session.sample(mask_input=mask.view(np.matrix), n=1), session.sample(mask_input=mask, n=1))


def test_several_boxes_are_several_calls(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    boxes = [BOX, (0, 0, 20, 20), (30, 30, 80, 50)]
    for one, box in zip(session.sample(boxes=boxes, n=3), boxes, strict=True):
        same(one, session.sample(box=box, n=3))
    assert len(session.sample(boxes=np.array(boxes), n=1)) == 3
    assert len(session.sample(boxes=np.array(boxes).view(np.matrix), n=1)) == 3
    assert len(session.sample(boxes=torch.tensor(boxes), n=1)) == 3  # type: ignore[arg-type]


def test_results_do_not_depend_on_threads(engine: Path, image: np.ndarray) -> None:
    before = asam_trt.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            with asam_trt.Session(engine, threads=threads, precision="float32") as session:
                session.set_image(image)
                results.append(session.sample(box=BOX, n=5))
    finally:
        asam_trt.set_num_threads(before)
    same(results[0], results[1], atol=1e-5)
    same(results[0], results[2], atol=1e-5)


def test_two_threads_with_an_image_each(session: asam_trt.Session, image: np.ndarray) -> None:
    images = [image, image[::-1].copy()]
    expected = []
    for one in images:
        session.set_image(one)
        expected.append(session.sample(box=BOX, n=3))
    failures: list[BaseException] = []

    def work(which: int) -> None:
        try:
            for _ in range(15):
                encoded = session.set_image(images[which])
                same(session.sample(box=BOX, n=3, image=encoded), expected[which])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


HOSTILE: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"n": 0}, ValueError),
    ({"n": -3}, ValueError),
    ({"n": 1 << 60}, ValueError),
    ({"n": 2.5}, TypeError),
    ({"n": True}, TypeError),
    ({"n": "3"}, TypeError),
    ({"seed": -1}, ValueError),
    ({"seed": 2**64}, ValueError),
    ({"seed": 1.0}, TypeError),
    ({"temperature": -1}, ValueError),
    ({"temperature": float("nan")}, ValueError),
    ({"temperature": "hot"}, TypeError),
    ({"box": (5, 5, 5, 5)}, ValueError),
    ({"box": (50, 5, 10, 9)}, ValueError),
    ({"box": (500, 500, 600, 600)}, ValueError),
    ({"box": (1, 2, 3, float("nan"))}, ValueError),
    ({"box": (0, 0, 1e300, 1e300)}, ValueError),
    ({"box": None, "boxes": []}, ValueError),
    ({"boxes": [(1, 2, 30, 30)]}, ValueError),
    ({"box": None, "boxes": [(1, 2, 30, 30), (9, 9, 1, 1)]}, ValueError),
    ({"point_coords": [[1, 2]]}, ValueError),
    ({"point_labels": [1]}, ValueError),
    ({"mask_input": np.zeros((3, 3), np.float32)}, ValueError),
    ({"mask_input": np.full((16, 16), np.nan, np.float32)}, ValueError),
    ({"eps": np.zeros((4, 3, 32), np.float32)}, ValueError),
    ({"eps": np.zeros((4, 2, 31), np.float32)}, ValueError),
    ({"eps": np.zeros((0, 2, 32), np.float32)}, ValueError),
    ({"eps": np.float32(3)}, ValueError),
    ({"eps": np.zeros((4, 2, 32), np.int32)}, TypeError),
    ({"eps": np.full((4, 2, 32), np.inf, np.float32)}, ValueError),
    ({"eps": np.zeros((4, 2, 32), np.float32), "n": 5}, ValueError),
    ({"image": np.zeros((4, 5, 3), np.uint8)}, TypeError),
]


@pytest.mark.parametrize(("arguments", "error"), HOSTILE, ids=[str(a)[:40] for a, _ in HOSTILE])
def test_hostile_calls(
    session: asam_trt.Session, image: np.ndarray, arguments: dict[str, Any], error: type[Exception]
) -> None:
    session.set_image(image)
    with pytest.raises(error, match="expected"):
        session.sample(**{"box": BOX, **arguments})
    assert len(session.sample(box=BOX, n=2)) == 2


def test_a_bad_image_keeps_the_last_one(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    before = session.sample(box=BOX, n=2)
    with pytest.raises(ValueError, match="NaN"):
        session.set_image(np.full((9, 9, 3), np.nan))
    same(session.sample(box=BOX, n=2), before)


def test_the_order_of_calls(engine: Path, session: asam_trt.Session, image: np.ndarray) -> None:
    with pytest.raises(RuntimeError, match="set_image"):
        session.sample(box=BOX)
    with asam_trt.load(engine) as other:
        encoded = other.set_image(image)
        kept = other.sample(box=BOX, n=2)
        assert "cpu" in repr(other)
    with pytest.raises(ValueError, match="another Session"):
        session.sample(box=BOX, image=encoded)
    for call in (lambda: other.sample(box=BOX), lambda: other.set_image(image)):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    assert kept.masks.shape == (2, 50, 80)
    other.close()


def test_backends_are_never_replaced_silently(engine: Path) -> None:
    for backend in ("cuda", "tensorrt"):
        with pytest.raises(asam_trt.BackendUnavailable, match="pip install"):
            asam_trt.Session(engine, backend=backend)
    with pytest.raises(ValueError, match="auto, cpu"):
        asam_trt.Session(engine, backend="gpu")
    with pytest.raises(ValueError, match="threads"):
        asam_trt.Session(engine, threads=0)


def test_a_forked_child_gets_an_error_instead_of_a_hang(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    reader, writer = os.pipe()
    with session._lock:  # as another thread would hold it, which does not exist in the child
        pid = os.fork()
        if pid == 0:
            text = "no error"
            try:
                session.sample(box=BOX, n=1)
            except RuntimeError as error:
                text = str(error)
            finally:
                os.write(writer, text.encode())
                os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert "does not survive the fork" in stream.read()


def test_a_forked_child_may_close_and_drop_a_session(engine: Path) -> None:
    """ONNX Runtime's pool would wait for threads that the child does not have."""
    script = f"""
import gc, os
import numpy as np
import asam_trt
session = asam_trt.Session({str(engine)!r}, encoder="onnxruntime", threads=2)
session.set_image(np.zeros((64, 64, 3), np.uint8))
session.sample(n=2)
if os.fork() == 0:
    session.close()
    del session
    gc.collect()
    os._exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]), len(session.sample(n=2)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["3", "2"], done.stderr


def test_a_script_may_end_while_a_daemon_thread_samples(engine: Path) -> None:
    script = f"""
import threading, time
import numpy as np, asam_trt
session = asam_trt.Session({str(engine)!r}, threads=1)
session.set_image(np.zeros((50, 80, 3), np.uint8))
def sample():
    while True:
        session.sample(n=200)
threading.Thread(target=sample, daemon=True).start()
time.sleep(0.2)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_script_may_end_while_daemon_threads_are_in_onnx_runtime(engine: Path) -> None:
    # What was registered first is called last: when other threads are kept out.
    script = f"""
import atexit, threading, time
import numpy as np
atexit.register(lambda: print(session.set_image(image)))
import asam_trt
path, image = {str(engine)!r}, np.zeros((50, 80, 3), np.uint8)
session = asam_trt.Session(path, threads=1, encoder="onnxruntime")
def encode():
    while True:
        session.set_image(image)
def load():
    while True:
        asam_trt.Session(path, threads=1, encoder="onnxruntime")
for work in (encode, load):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        found = done.returncode, done.stderr, done.stdout
        assert found == (0, "", "EncodedImage(80 x 50 (w x h))\n")


def test_the_end_of_a_script_ends_a_run_of_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_exit, "_last_thread", None)
    with onnx_exit.inside() as options:
        thread = threading.Thread(target=onnx_exit._end)
        thread.start()
        while not options.terminate:
            assert thread.is_alive()  # it waits for this run
    thread.join(20)
    with pytest.raises(SystemExit), onnx_exit.inside():
        pytest.fail("was let in")
    assert not onnx_exit._inside


def test_no_box_among_boxes(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    with pytest.raises(TypeError, match="came None among them"):
        session.sample(boxes=[BOX, None], n=1)  # type: ignore[list-item]


def test_sampling_needs_no_torch(engine: Path) -> None:
    script = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "segment_anything", "onnx"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
import numpy as np, asam_trt
from asam_trt import render, video
with asam_trt.Session({str(engine)!r}) as session:
    session.set_image(np.zeros((40, 50, 3), np.uint8))
    hyp = session.sample(box=(5, 5, 30, 30), n=3)
    render.sheet(hyp)
    frames = [np.zeros((40, 50, 3), np.uint8)] * 2
    assert len(list(video.VideoSampler(session).run(frames, box=(5, 5, 30, 30), n=2))) == 2
print(hyp)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "n=3" in done.stdout
