"""The backend against the CPU's, with TensorRT, PyCUDA and the driver computed by the CPU: everything on the host."""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import pytest

from asam_trt.backends.cpu import CpuBackend
from asam_trt.bundle import EngineBundle
from asam_trt.errors import BackendUnavailable, EngineError
from asam_trt.tensorrt import keys, plans

from .conftest import Machine
from .fake_gpu import pycuda_driver
from .fake_tensorrt import LayerType


def pixels(bundle: EngineBundle, seed: int = 0) -> np.ndarray:
    side = bundle.sampler.side
    return np.random.default_rng(seed).normal(size=(3, side, side)).astype(np.float32)


def noise(bundle: EngineBundle, n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2, bundle.sampler.latent)).astype(np.float32)


def prompts(bundle: EngineBundle) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tokens and dense embedding of the kinds of prompts."""
    rng = np.random.default_rng(2)
    c, e = bundle.sampler.channels, bundle.sampler.grid

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "box": (draw(2, c), draw(c)),
        "none": (draw(0, c), draw(c)),
        "points and mask": (draw(5, c), draw(c, e, e)),
    }


def test_it_equals_the_cpu_for_every_prompt_and_count(machine: Machine, bundle: EngineBundle) -> None:
    backend, cpu = machine.create(bundle), CpuBackend(bundle, bundle.load_weights())
    images = [pixels(bundle, 0), pixels(bundle, 1)]
    states = [(backend.encode(image), cpu.encode(image)) for image in images]
    # Twice: eagerly, then captured; the third time the graph is replayed with other noise.
    for seed in range(3):
        for name, prompt in prompts(bundle).items():
            for found_image, image in states:
                found_prompt = backend.prompt(found_image, *prompt)
                expected_prompt = cpu.prompt(image, *prompt)
                for n in (1, 3):
                    eps = noise(bundle, n, seed)
                    logits, scores = backend.sample(found_image, found_prompt, eps)
                    want = cpu.sample(image, expected_prompt, eps)
                    np.testing.assert_allclose(logits, want[0], rtol=0, atol=1e-4, err_msg=name)
                    np.testing.assert_allclose(scores, want[1], rtol=0, atol=1e-5, err_msg=name)
    assert machine.gpu.launches > 30
    backend.close()


def test_more_than_the_profile_holds_goes_in_parts(machine: Machine, bundle: EngineBundle) -> None:
    backend, cpu = machine.create(bundle), CpuBackend(bundle, bundle.load_weights())
    backend._most = 4
    prompt = prompts(bundle)["box"]
    image, expected = backend.encode(pixels(bundle)), cpu.encode(pixels(bundle))
    eps = noise(bundle, 9)
    logits, scores = backend.sample(image, backend.prompt(image, *prompt), eps)
    want = cpu.sample(expected, cpu.prompt(expected, *prompt), eps)
    np.testing.assert_allclose(logits, want[0], rtol=0, atol=1e-4)
    assert scores.shape == (9,)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_passes_the_gate_and_is_recorded(
    machine: Machine, bundle: EngineBundle, precision: str
) -> None:
    backend = machine.create(bundle, precision)
    assert backend.precision == precision
    (folder,) = (bundle.path / "tensorrt").iterdir()
    record = json.loads((folder / plans.RECORD).read_text())
    assert record["parity"]["iou"] < 1
    assert record["key"]["precision"] == precision
    assert folder.name == f"nvidia-h100-sm90-{machine.world.version}"


def test_an_engine_with_plans_still_opens_as_an_engine(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle)
    assert EngineBundle.open(bundle.path) == bundle


def test_plans_are_built_once(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle)
    assert len(machine.world.builds) == len(plans.SOURCES)
    assert any(step.startswith("image_encoder.onnx: Building") for step in machine.steps)
    assert not any("Timing" in step for step in machine.steps)
    machine.create(bundle)
    assert len(machine.world.builds) == len(plans.SOURCES)


def test_the_timing_cache_goes_from_build_to_build(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle)
    assert [build.cache for build in machine.world.builds] == [b"", b"+", b"++"]
    machine.create(bundle, "bf16")
    assert [build.cache for build in machine.world.builds[3:]] == [b"+++", b"++++", b"+++++"]


@pytest.mark.parametrize("change", ["plugin", "plan", "record", "precision", "missing"])
def test_what_differs_is_built_again(machine: Machine, bundle: EngineBundle, change: str) -> None:
    machine.create(bundle).close()
    (folder,) = (bundle.path / "tensorrt").iterdir()
    if change == "plugin":
        (machine.package / "libasam_cuda.so").write_bytes(b"another")
    elif change == "plan":
        (folder / plans.PRIOR_PLAN).write_bytes(b"plan 0")
    elif change == "record":
        (folder / plans.RECORD).write_text("{")
    elif change == "missing":
        (folder / plans.SAMPLER_PLAN).unlink()
    backend = machine.create(bundle, "bf16" if change == "precision" else "float32")
    assert len(machine.world.builds) == 2 * len(plans.SOURCES)
    assert backend.encode(pixels(bundle)).embedding.shape == (1, *backend._shape[1:])


def test_every_part_of_the_key_changes_it(bundle: EngineBundle) -> None:
    key = keys.PlanKey(
        "10.13", "NVIDIA H100", 90, 13000, "bf16", keys.plan_shapes(bundle), keys.model_hash(bundle), "plugin"
    )
    changed: dict[str, object] = {
        "tensorrt": "11.1",
        "gpu": "NVIDIA H200",
        "sm": 100,
        "cuda": 12080,
        "precision": "fp16",
        "shapes": {},
        "model": "another",
        "plugin": "another",
    }
    digests = {key.digest()}
    for name, value in changed.items():
        digests.add(keys.PlanKey(**{**key.as_dict(), name: value}).digest())
    assert len(digests) == 1 + len(changed)


def test_plans_that_differ_from_the_cpu_are_not_kept(machine: Machine, bundle: EngineBundle) -> None:
    machine.world.noise = 1e3
    with pytest.raises(EngineError, match=r"mean IoU of at least 0\.995 .* came 0\.\d+ .* not kept"):
        machine.create(bundle)
    assert list((bundle.path / "tensorrt").iterdir()) == []
    assert machine.world.alive == 0


def test_plans_of_before_stay_where_a_build_fails(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle).close()
    (folder,) = (bundle.path / "tensorrt").iterdir()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    machine.world.refuse_build = True
    with pytest.raises(EngineError, match=r"image_encoder\.onnx: expected .* came: no kernel"):
        machine.create(bundle, "bf16")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert len(list(folder.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [(LayerType.MATRIX_MULTIPLY, "BF16"), (LayerType.SOFTMAX, "FLOAT"), (LayerType.NORMALIZATION, "FLOAT")],
)
def test_a_network_in_other_types_is_refused(
    machine: Machine, bundle: EngineBundle, kind: LayerType, wanted: str
) -> None:
    machine.world.mistyped = kind
    with pytest.raises(EngineError, match=rf"expected layer .* in .*{wanted}, came .*HALF"):
        machine.create(bundle, "bf16")


def test_stripped_plans_get_their_weights_back(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle, stripped=True).close()
    flags = [{flag.name for flag in build.flags} for build in machine.world.builds]
    assert flags == [{"STRIP_PLAN", "REFIT_IDENTICAL"}] * 2 + [set()]
    backend = machine.create(bundle)  # takes them as they are
    assert len(machine.world.builds) == len(plans.SOURCES)
    cpu = CpuBackend(bundle, bundle.load_weights())
    found, want = backend.encode(pixels(bundle)), cpu.encode(pixels(bundle))
    stored = np.frombuffer(machine.gpu.memory[int(found.embedding.memory)], np.float32)
    np.testing.assert_allclose(stored, want.embedding.ravel(), rtol=0, atol=1e-5)
    machine.create(bundle, stripped=False)
    assert len(machine.world.builds) == 2 * len(plans.SOURCES)


def test_a_capture_that_fails_is_said_once_and_runs_eagerly(machine: Machine, bundle: EngineBundle) -> None:
    machine.gpu.fail_capture = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        backend = machine.create(bundle)
        results = [backend.encode(pixels(bundle)) for _ in range(4)]
    said = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert said == ["image_encoder.plan runs without a CUDA graph, slower for small work: "
                    "cuStreamBeginCapture_v2: operation failed (901)"]  # fmt: skip
    assert machine.gpu.launches == 0
    values = [bytes(machine.gpu.memory[int(state.embedding.memory)]) for state in results]
    assert len(set(values)) == 1


def test_a_run_that_fails_within_a_capture_leaves_the_stream_usable(
    machine: Machine, bundle: EngineBundle
) -> None:
    backend = machine.create(bundle)
    backend.encode(pixels(bundle))
    machine.world.fail_run = True
    with (
        pytest.warns(RuntimeWarning, match="without a CUDA graph"),
        pytest.raises(EngineError, match="to run"),
    ):
        backend.encode(pixels(bundle))
    machine.world.fail_run = False
    assert backend.encode(pixels(bundle)).embedding.shape[0] == 1


def test_shapes_that_come_again_keep_their_graph_and_their_number_is_bounded(
    machine: Machine, bundle: EngineBundle
) -> None:
    backend = machine.create(bundle)
    image = backend.encode(pixels(bundle))
    prompt = backend.prompt(image, *prompts(bundle)["box"])
    for n in range(1, 30):
        backend.sample(image, prompt, noise(bundle, n))
    contexts, memory = machine.world.alive, len(machine.gpu.memory)
    for n in range(1, 30):
        backend.sample(image, prompt, noise(bundle, n))
    assert (machine.world.alive, len(machine.gpu.memory)) == (contexts, memory)


def test_memory_of_dropped_states_is_used_again(machine: Machine, bundle: EngineBundle) -> None:
    backend = machine.create(bundle)
    prompt = prompts(bundle)["box"]
    for _ in range(3):
        state = backend.encode(pixels(bundle))
        backend.prompt(state, *prompt)
    memory = len(machine.gpu.memory)
    for _ in range(50):
        state = backend.encode(pixels(bundle))
        backend.prompt(state, *prompt)
    assert len(machine.gpu.memory) == memory


def test_closing_frees_memory_and_states_may_outlive_it(machine: Machine, bundle: EngineBundle) -> None:
    backend = machine.create(bundle)
    states = [backend.encode(pixels(bundle, i)) for i in range(3)]
    del states[0]
    backend.close()
    assert len(machine.gpu.memory) == 3 * len(states)
    states.clear()  # where no context is current
    machine.create(bundle).close()
    assert machine.gpu.memory == {}


def test_tensorrt_gets_one_logger(machine: Machine, bundle: EngineBundle) -> None:
    backends = [machine.create(bundle) for _ in range(2)]
    assert len(machine.world.loggers) == 1
    logger = backends[0]._encoder._logger
    logger.log(sys.modules["tensorrt"].ILogger.Severity.ERROR, "an error of before")
    machine.world.fail_run = True
    with pytest.raises(EngineError, match="to run, came: TensorRT gave no reason"):
        backends[1].encode(pixels(bundle))
    machine.world.fail_run = False
    backends[1].encode(pixels(bundle))  # waits for what the failed run has enqueued


def test_closing_frees_engines_and_contexts(machine: Machine, bundle: EngineBundle) -> None:
    backend = machine.create(bundle)
    backend.encode(pixels(bundle))
    backend.close()
    assert machine.world.alive == 0
    backend = machine.create(bundle)
    backend.encode(pixels(bundle))
    del backend
    assert machine.world.alive == 0


def test_a_foreign_plan_is_refused(machine: Machine, bundle: EngineBundle) -> None:
    machine.create(bundle).close()
    machine.world.plans.clear()
    with pytest.raises(
        EngineError, match=f"image_encoder.plan: .* TensorRT {machine.world.version}.* damaged"
    ):
        machine.create(bundle)


def test_more_tokens_than_the_profile_holds_are_refused(machine: Machine, bundle: EngineBundle) -> None:
    backend = machine.create(bundle)
    image = backend.encode(pixels(bundle))
    tokens = np.zeros((keys.MOST_TOKENS + 1, bundle.sampler.channels), np.float32)
    with pytest.raises(
        EngineError, match=r"tokens within .*, \[1, 0, .* to \[1, 256, .*, came \[1, 257, \d+\]$"
    ):
        backend.prompt(image, tokens, prompts(bundle)["box"][1])


def test_no_tokens_where_tensorrt_wants_one(machine: Machine, bundle: EngineBundle) -> None:
    machine.world.raises_minimum = True
    backend = machine.create(bundle)
    image = backend.encode(pixels(bundle))
    with pytest.raises(
        EngineError, match=r"\[1, 1, .* to \[1, 256, .*, came \[1, 0, .*backend='cuda' or 'cpu'$"
    ):
        backend.prompt(image, *prompts(bundle)["none"])


def test_a_library_without_the_plugin_is_named(machine: Machine, bundle: EngineBundle) -> None:
    machine.world.library_has_plugin = False
    with pytest.raises(EngineError, match=r"libasam_trt_plugin\.so: expected a library with"):
        machine.create(bundle)


def test_a_folder_that_cannot_be_written(machine: Machine, bundle: EngineBundle) -> None:
    (bundle.path / "tensorrt").write_text("in the way")
    with pytest.raises(OSError, match="tensorrt"):
        machine.create(bundle)


def test_a_gpu_that_is_too_old(
    machine: Machine, bundle: EngineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", pycuda_driver(machine.gpu, sm=(7, 5)))
    with pytest.raises(BackendUnavailable, match=r"SM 8\.0 or newer, came SM 7\.5"):
        machine.create(bundle)


def test_the_engine_on_disk_is_what_the_key_sees(bundle: EngineBundle) -> None:
    before = keys.model_hash(bundle)
    assert before == keys.model_hash(EngineBundle.open(bundle.path))
    assert len(before) == 64
