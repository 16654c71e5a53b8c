"""A `tensorrt` whose plans are computed by ONNX Runtime and the native sampler, and which notes how it is used.

Its classes have the members that the code uses and no others, each with the meaning and the refusals of the real one;
`test_bindings.py` compares every use with NVIDIA's bindings.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx

from asam_trt import _runtime
from asam_trt.tensorrt.builder import CONFIG_ORDER

from .emulation import computable, run_onnx
from .fake_gpu import FakeGpu
from .recording import recorded, recorded_function

Arrays = dict[str, np.ndarray]


class DataType(enum.Enum):
    FLOAT, HALF, BF16 = range(3)


class LayerType(enum.Enum):
    MATRIX_MULTIPLY, SOFTMAX, NORMALIZATION, CONVOLUTION, PLUGIN_V3 = range(5)


class BuilderFlag(enum.Enum):
    TF32, STRIP_PLAN, REFIT_IDENTICAL = range(3)


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED = range(2)


class TensorIOMode(enum.Enum):
    INPUT, OUTPUT = range(2)


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class PluginFieldType(enum.Enum):
    FLOAT32, INT32 = range(2)


class TensorRTPhase(enum.Enum):
    BUILD, RUNTIME = range(2)


ONNX_TYPES = {1: DataType.FLOAT, 10: DataType.HALF, 16: DataType.BF16}
ONNX_LAYERS = {
    "MatMul": LayerType.MATRIX_MULTIPLY,
    "Gemm": LayerType.MATRIX_MULTIPLY,
    "Softmax": LayerType.SOFTMAX,
    "LayerNormalization": LayerType.NORMALIZATION,
    "Conv": LayerType.CONVOLUTION,
}


class FakePlan:
    """What a serialised plan stands for."""

    def __init__(
        self, run: Callable[[Arrays], Arrays] | None, inputs: Any, outputs: Any, shapes: Any
    ) -> None:
        self.run = run  # None: stripped of its weights
        self.inputs: dict[str, tuple[int, ...]] = inputs  # -1 where a dimension is dynamic
        self.outputs: tuple[str, ...] = outputs
        self.shapes: Callable[[dict[str, tuple[int, ...]]], dict[str, tuple[int, ...]]] = shapes
        self.ranges: dict[str, Any] = {}
        self.contexts = 0


class World:
    """One TensorRT on one GPU, and what it has been asked to do."""

    def __init__(self, gpu: FakeGpu, version: str) -> None:
        self.gpu, self.version = gpu, version
        self.plans: dict[bytes, FakePlan] = {}
        self.builds: list[SimpleNamespace] = []
        self.runs = 0
        self.libraries: list[str] = []
        self.library_has_plugin = True
        self.refuse_build = False
        self.fail_run = False
        self.raises_minimum = False  # of profiles, from 0 to 1
        self.mistyped: LayerType | None = None
        self.noise = 0.0  # added to what the sampler's plan gives
        self.problems: list[str] = []
        self.loggers: set[int] = set()
        self.alive = 0  # engines and execution contexts


def tensorrt(world: World) -> ModuleType:
    """The module `tensorrt` of a world."""
    gpu = world.gpu

    class ILogger:
        Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")

        def __init__(self) -> None:
            pass

    class IProgressMonitor:
        def __init__(self) -> None:
            pass

    class Tensor:
        def __init__(self, name: str, dtype: DataType, shape: tuple[int, ...] = ()) -> None:
            self._name, self._dtype, self.fake_shape = name, dtype, shape

        @property
        def name(self) -> str:
            return self._name

        @name.setter
        def name(self, value: str) -> None:
            self._name = value

        @property
        def dtype(self) -> DataType:
            return self._dtype

    Tensor.__name__ = "ITensor"

    class ILayer:
        def __init__(self, name: str, kind: LayerType, outputs: list[Any]) -> None:
            self._name, self._kind, self._outputs = name, kind, outputs

        @property
        def name(self) -> str:
            return self._name

        @property
        def type(self) -> LayerType:
            return self._kind

        def get_output(self, index: int) -> Any:
            return self._outputs[index]

    class INetworkDefinition:
        def __init__(self) -> None:
            self.fake_layers: list[Any] = []
            self.fake_inputs: dict[str, tuple[int, ...]] = {}
            self.fake_outputs: list[Any] = []
            self.fake_plan: FakePlan | None = None

        @property
        def num_layers(self) -> int:
            return len(self.fake_layers)

        def get_layer(self, index: int) -> Any:
            return self.fake_layers[index]

        def add_input(self, name: str, dtype: DataType, shape: tuple[int, ...]) -> Any:
            self.fake_inputs[name] = shape
            return recorded_types["ITensor"](name, dtype, shape)

        def add_plugin_v3(self, inputs: list[Any], shape_inputs: list[Any], plugin: Any) -> Any:
            assert shape_inputs == []
            names = [tensor.name for tensor in inputs]
            assert names == list(self.fake_inputs)
            tensors = [recorded_types["ITensor"](f"o{i}", DataType.FLOAT) for i in range(2)]
            layer = recorded_types["ILayer"]("sampler", LayerType.PLUGIN_V3, tensors)
            self.fake_layers.append(layer)
            self.fake_plan = plugin.fake_plan(self.fake_inputs)
            return layer

        def mark_output(self, tensor: Any) -> None:
            self.fake_outputs.append(tensor)

    class OnnxParser:
        def __init__(self, network: Any, logger: Any) -> None:
            self._network, self._errors = network, list[Any]()

        def parse_from_file(self, model: str) -> bool:
            try:
                graph = onnx.shape_inference.infer_shapes(onnx.load(model), strict_mode=True).graph
            except Exception as error:
                self._errors.append(recorded_types["ParserError"](str(error)))
                return False
            types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
            for node in graph.node:
                if node.op_type in ONNX_LAYERS:
                    dtype = ONNX_TYPES[types.get(node.output[0], 1)]
                    dtype = DataType.HALF if ONNX_LAYERS[node.op_type] is world.mistyped else dtype
                    tensor = recorded_types["ITensor"](node.output[0], dtype)
                    self._network.fake_layers.append(
                        recorded_types["ILayer"](node.name, ONNX_LAYERS[node.op_type], [tensor])
                    )
            self._network.fake_plan = onnx_plan(Path(model))
            return True

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> Any:
            return self._errors[index]

    class ParserError:
        def __init__(self, text: str) -> None:
            self._text = text

        def desc(self) -> str:
            return self._text

    class IHostMemory(bytes):
        pass

    class ITimingCache:
        def __init__(self, data: bytes) -> None:
            self.fake_data = data

        def serialize(self) -> Any:
            return IHostMemory(self.fake_data + b"+")

    class IOptimizationProfile:
        def __init__(self) -> None:
            self.fake_ranges: dict[str, Any] = {}

        def set_shape(
            self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]
        ) -> None:
            assert all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True))
            self.fake_ranges[input] = (min, max)

    class IBuilderConfig:
        def __init__(self) -> None:
            self.fake_flags = {BuilderFlag.TF32}
            self.fake_profile: Any = None
            self.fake_cache: Any = None
            self.fake_monitor: Any = None

        def set_flag(self, flag: BuilderFlag) -> None:
            self.fake_flags.add(flag)

        def clear_flag(self, flag: BuilderFlag) -> None:
            self.fake_flags.remove(flag)

        def add_optimization_profile(self, profile: Any) -> int:
            self.fake_profile = profile
            return 0

        def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
            return recorded_types["ITimingCache"](serialized_timing_cache)

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
            self.fake_cache = cache
            return True

        def get_timing_cache(self) -> Any:
            return self.fake_cache

        @property
        def progress_monitor(self) -> Any:
            return self.fake_monitor

        @progress_monitor.setter
        def progress_monitor(self, monitor: Any) -> None:
            self.fake_monitor = monitor

    class Builder:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            world.loggers.add(id(logger))

        def create_network(self, flags: int) -> Any:
            # Before 11 a network without the flag may choose precisions of its own.
            typed = 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            assert flags == (typed if world.version.startswith("10") else 0)
            return recorded_types["INetworkDefinition"]()

        def create_builder_config(self) -> Any:
            return recorded_types["IBuilderConfig"]()

        def create_optimization_profile(self) -> Any:
            return recorded_types["IOptimizationProfile"]()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            gpu.check_current()
            flags = config.fake_flags
            world.builds.append(SimpleNamespace(flags=flags, cache=config.fake_cache.fake_data))
            config.fake_monitor.phase_start("Building", None, 3)
            config.fake_monitor.phase_start("Timing", "Building", 2)
            assert config.fake_monitor.step_complete("Timing", 0)
            config.fake_monitor.phase_finish("Building")
            if world.refuse_build:
                self._logger.log(ILogger.Severity.ERROR, "no kernel for this node")
                return None
            plan = network.fake_plan
            plan.ranges = dict(config.fake_profile.fake_ranges) if config.fake_profile else {}
            if world.raises_minimum:
                for name, (least, most) in plan.ranges.items():
                    plan.ranges[name] = (tuple(max(1, side) for side in least), most)
            plan.outputs = tuple(tensor.name for tensor in network.fake_outputs) or plan.outputs
            for name, shape in plan.inputs.items():
                assert (-1 in shape) == (name in plan.ranges), f"{name} needs a profile where it is dynamic"
            if {BuilderFlag.STRIP_PLAN, BuilderFlag.REFIT_IDENTICAL} <= flags:
                plan.run = None
            data = b"plan %d" % len(world.plans)
            world.plans[data] = plan
            return IHostMemory(data)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            world.loggers.add(id(logger))

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            gpu.check_current()
            plan = world.plans.get(serialized_engine)
            if plan is None:
                self._logger.log(ILogger.Severity.ERROR, "the plan is damaged")
                return None
            return recorded_types["ICudaEngine"](plan)

    class ICudaEngine:
        def __init__(self, plan: FakePlan) -> None:
            # Each engine has weights of its own to refit.
            self.fake_plan = FakePlan(plan.run, plan.inputs, plan.outputs, plan.shapes)
            self.fake_plan.ranges = plan.ranges
            self.fake_plan.contexts = 0
            world.alive += 1

        def __del__(self) -> None:
            world.alive -= 1
            if self.fake_plan.contexts:
                world.problems.append("an execution context outlived its engine")
            if getattr(gpu.stack, "depth", 0) < 1:
                world.problems.append("an engine was destroyed without a current context")

        @property
        def num_io_tensors(self) -> int:
            return len(self.fake_plan.inputs) + len(self.fake_plan.outputs)

        @property
        def device_memory_size_v2(self) -> int:
            return 4096

        def get_tensor_name(self, index: int) -> str:
            return [*self.fake_plan.inputs, *self.fake_plan.outputs][index]

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType.FLOAT

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.INPUT if name in self.fake_plan.inputs else TensorIOMode.OUTPUT

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            assert profile_index == 0
            least, most = self.fake_plan.ranges[name]
            return [least, least, most]

        def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> Any:
            gpu.check_current()
            assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
            return recorded_types["IExecutionContext"](self)

    class IExecutionContext:
        def __init__(self, engine: Any) -> None:
            self._plan = engine.fake_plan
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._addresses: dict[str, int] = {}
            self._workspace = False
            self._plan.contexts += 1
            world.alive += 1

        def __del__(self) -> None:
            world.alive -= 1
            self._plan.contexts -= 1
            if getattr(gpu.stack, "depth", 0) < 1:
                world.problems.append("an execution context was destroyed without a current context")

        def set_device_memory(self, memory: int, size: int) -> None:
            self._workspace = len(gpu.memory[memory]) >= size == 4096

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            wanted = self._plan.inputs[name]
            fits = len(shape) == len(wanted) and all(b in (-1, a) for a, b in zip(shape, wanted, strict=True))
            least, most = self._plan.ranges.get(name, (shape, shape))
            if not fits or not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
                return False
            self._shapes[name] = shape
            return True

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            shape: tuple[int, ...] = self._plan.shapes(self._shapes)[name]
            return shape

        def set_tensor_address(self, name: str, memory: int) -> bool:
            assert memory in gpu.memory
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            gpu.check_current()
            assert self._workspace
            assert set(self._addresses) == {*self._plan.inputs, *self._plan.outputs}
            if world.fail_run:
                return False
            assert self._plan.run is not None, "the plan has no weights"

            def work() -> None:
                world.runs += 1
                inputs = {
                    name: gpu.floats(self._addresses[name], shape).copy()
                    for name, shape in self._shapes.items()
                }
                for name, value in self._plan.run(inputs).items():
                    gpu.floats(self._addresses[name], value.shape)[...] = value

            gpu.streams[stream_handle].put(work)
            return True

    class Refitter:
        def __init__(self, engine: Any, logger: Any) -> None:
            self.fake_engine, self.fake_run = engine, None

        def refit_cuda_engine(self) -> bool:
            self.fake_engine.fake_plan.run = self.fake_run
            return self.fake_run is not None

    class OnnxParserRefitter:
        def __init__(self, refitter: Any, logger: Any) -> None:
            self._refitter = refitter

        def refit_from_file(self, model: str) -> bool:
            self._refitter.fake_run = onnx_plan(Path(model)).run
            return True

    class PluginField:
        def __init__(self, name: str, data: np.ndarray, type: PluginFieldType) -> None:
            assert data.dtype == (np.float32 if type is PluginFieldType.FLOAT32 else np.int32)
            self.fake_name, self.fake_data = name, data

    class PluginFieldCollection(list[Any]):
        def __init__(self, fields: list[Any]) -> None:
            super().__init__(fields)

    class IPluginV3:
        def __init__(self, fields: dict[str, np.ndarray]) -> None:
            self._fields = fields

        def fake_plan(self, inputs: dict[str, tuple[int, ...]]) -> FakePlan:
            *numbers, precision = (int(number) for number in self._fields["config"])
            config: dict[str, Any] = dict(zip(CONFIG_ORDER, numbers, strict=True))
            config |= {"sampled_tokens": bool(config["sampled_tokens"]), "mlp_activation": "relu"}
            weights = {
                name: value.reshape(self._fields[f"{name}.shape"])
                for name, value in self._fields.items()
                if f"{name}.shape" in self._fields
            }
            kind = "float32" if precision == 0 else "int8"  # about as near as bf16, and what the CPU has
            sampler = _runtime.Sampler(config, weights, precision=kind)
            side = 4 * config["grid"]

            def run(given: Arrays) -> Arrays:
                dense = given["dense"][0]
                dense = dense[:, 0, 0] if dense.shape[1:] == (1, 1) else dense
                image = sampler.image_state(
                    given["embedding"][0], given["mu_image"][0], given["sigma_image"][0]
                )
                prompt = sampler.prompt_state(
                    image, given["tokens"][0], dense, given["mu_prompt"][0], given["sigma_prompt"][0]
                )
                logits, scores = sampler.sample(image, prompt, given["eps"])
                return {"logits": logits + np.float32(world.noise), "scores": scores}

            return FakePlan(
                run,
                dict(inputs),
                ("logits", "scores"),
                lambda shapes: {
                    "logits": (shapes["eps"][0], side, side),
                    "scores": (shapes["eps"][0],),
                },
            )

    class IPluginCreatorV3One:
        def create_plugin(self, name: str, field_collection: Any, phase: TensorRTPhase) -> Any:
            assert name == "AsamSampler"
            assert phase is TensorRTPhase.BUILD
            return IPluginV3({field.fake_name: field.fake_data.copy() for field in field_collection})

    class IPluginRegistry:
        def get_creator(self, type: str, version: str, plugin_namespace: str) -> Any:
            if not world.libraries or not world.library_has_plugin:
                return None
            assert (type, version, plugin_namespace) == ("AsamSampler", "1", "asam")
            return recorded_types["IPluginCreatorV3One"]()

        def load_library(self, plugin_path: str) -> None:
            world.libraries.append(plugin_path)

    def get_plugin_registry() -> Any:
        return recorded_types["IPluginRegistry"]()

    classes = [
        ILogger, IProgressMonitor, Tensor, ILayer, INetworkDefinition, OnnxParser, ParserError, ITimingCache,
        IOptimizationProfile, IBuilderConfig, Builder, Runtime, ICudaEngine, IExecutionContext, Refitter,
        OnnxParserRefitter, PluginField, PluginFieldCollection, IPluginCreatorV3One, IPluginRegistry,
    ]  # fmt: skip
    recorded_types = {cls.__name__: recorded(cls) for cls in classes}
    enums = [
        DataType, LayerType, BuilderFlag, NetworkDefinitionCreationFlag, TensorIOMode, PluginFieldType,
        ExecutionContextAllocationStrategy, TensorRTPhase,
    ]  # fmt: skip
    module = ModuleType("tensorrt")
    module.__dict__.update(recorded_types)
    module.__dict__.update({cls.__name__: cls for cls in enums})
    module.__dict__.update(
        __version__=world.version, get_plugin_registry=recorded_function(get_plugin_registry)
    )
    return module


def onnx_plan(file: Path) -> FakePlan:
    """A plan that ONNX Runtime computes, in the types of the graph."""
    model = onnx.load(str(file))
    session = computable(model)
    inputs = {
        value.name: tuple(d.dim_value or -1 for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }
    outputs = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in model.graph.output
    }
    return FakePlan(lambda given: run_onnx(session, given), inputs, tuple(outputs), lambda shapes: outputs)
