"""Plans that run: one execution context a set of shapes, at fixed addresses, replayed as a CUDA graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.errors import EngineError
from asam_trt.graph_warning import warn_without_graph
from asam_trt.tensorrt.device import DeviceTensor, Gpu
from asam_trt.tensorrt.graphs import Graph, GraphError
from asam_trt.tensorrt.libraries import logger_of, said

Float32Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]

_MOST_EXECUTIONS = 16  # kept for shapes that come again


class Plan:
    """A plan on the GPU. Its work is done in one stream, by one thread at a time.

    Args:
        trt: the module `tensorrt`.
        file: the plan.
        refit: a typed ONNX file with the weights that were stripped from it, or None.

    Raises:
        EngineError: not a plan of this TensorRT for this GPU, or a tensor that is not float32.
    """

    def __init__(self, trt: ModuleType, gpu: Gpu, file: Path, *, refit: Path | None = None) -> None:
        self._trt, self._gpu, self._name = trt, gpu, file.name
        self._logger = logger_of(trt)
        self._executions: OrderedDict[tuple[Shape, ...], _Execution] = OrderedDict()
        self._graphs = True
        self._runtime: Any = None
        self._engine: Any = None
        self._workspace: Any = None
        self._stream: Any = None
        try:
            self._load(file, refit)
        except BaseException:
            self.close()  # while the context is known; the exception keeps this object alive
            raise

    def run(
        self,
        inputs: Mapping[str, Float32Array | DeviceTensor],
        *,
        read: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
    ) -> tuple[list[Float32Array], list[DeviceTensor]]:
        """Run once and wait.

        Args:
            inputs: every input by name, in host or device memory.
            read: outputs to bring to the host.
            keep: outputs to leave on the device, as copies that later runs do not change.

        Raises:
            EngineError: shapes outside the plan's, or TensorRT fails.
        """
        shapes = tuple(tuple(inputs[name].shape) for name in self.inputs)
        self._logger.errors.clear()
        with self._gpu.current():
            execution = self._execution(shapes)
            execution.enqueue(inputs)
            kept = [execution.keep(name) for name in keep]
            for name in read:
                execution.fetch(name)
            self._stream.synchronize()
            return [execution.host[name].copy() for name in read], kept

    def close(self) -> None:
        """Free it: graphs and execution contexts, then the engine, then memory."""
        with self._gpu.current():
            while self._executions:
                self._executions.popitem()[1].close()
            self._engine = None
            self._runtime = None
            if self._workspace is not None:
                self._workspace.free()
            self._workspace = self._stream = None
            self._gpu.pool.release()

    def _load(self, file: Path, refit: Path | None) -> None:
        trt, gpu = self._trt, self._gpu
        with gpu.current():
            self._runtime = trt.Runtime(self._logger)
            self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
            if self._engine is None:
                raise EngineError(
                    f"{file}: expected a plan of TensorRT {trt.__version__} for this GPU, came: {said(self._logger)}"
                )
            if refit is not None:
                self._refit(refit)
            self.inputs, self.outputs = self._tensors()
            self._stream = gpu.stream()
            # One workspace for all executions, which follow each other in the stream.
            self._workspace_size = int(self._engine.device_memory_size_v2)
            self._workspace = gpu.allocate(self._workspace_size)

    def _execution(self, shapes: tuple[Shape, ...]) -> _Execution:
        found = self._executions.get(shapes)
        if found is None:
            while len(self._executions) >= _MOST_EXECUTIONS:
                self._executions.popitem(last=False)[1].close()
            found = _Execution(self)
            try:
                found.prepare(shapes)
            except BaseException:
                found.close()
                raise
            self._executions[shapes] = found
        self._executions.move_to_end(shapes)
        return found

    def _refit(self, file: Path) -> None:
        trt = self._trt
        refitter = trt.Refitter(self._engine, self._logger)
        parser = trt.OnnxParserRefitter(refitter, self._logger)
        if not parser.refit_from_file(str(file)) or not refitter.refit_cuda_engine():
            raise EngineError(
                f"{self._name}: expected the engine's weights to fit the plan, came: {said(self._logger)}"
            )

    def _tensors(self) -> tuple[list[str], list[str]]:
        trt, engine = self._trt, self._engine
        inputs: list[str] = []
        outputs: list[str] = []
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            if (came := engine.get_tensor_dtype(name)) != trt.DataType.FLOAT:
                raise EngineError(f"{self._name}: expected tensor {name} in float32, came {came}")
            (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs).append(name)
        return inputs, outputs


class _Execution:
    """An execution context for one set of shapes, with the memory that its graph has the addresses of."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._graph: Graph | None = None
        self._ran = False
        self._context: Any = None
        self._memory: dict[str, Any] = {}
        self.shapes: dict[str, Shape] = {}
        self.host: dict[str, Float32Array] = {}

    def prepare(self, shapes: tuple[Shape, ...]) -> None:
        """Shapes of the inputs, in their order; memory and addresses for all tensors."""
        plan = self._plan
        trt, gpu = plan._trt, plan._gpu
        self._context = plan._engine.create_execution_context(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if self._context is None:
            raise EngineError(f"{plan._name}: expected an execution context, came: {said(plan._logger)}")
        self._context.set_device_memory(int(plan._workspace), plan._workspace_size)
        self.shapes = dict(zip(plan.inputs, shapes, strict=True))
        for name, shape in self.shapes.items():
            if not self._context.set_input_shape(name, shape):
                least, _, most = plan._engine.get_tensor_profile_shape(name, 0)
                # TensorRT may have raised the smallest that it was asked for from 0 to 1.
                instead = "; such a prompt needs backend='cuda' or 'cpu'" if 0 in shape else ""
                raise EngineError(
                    f"{plan._name}: expected a shape of {name} within the plan's, {list(least)} to {list(most)}, came "
                    f"{list(shape)}{instead}"
                )
        for name in plan.outputs:
            self.shapes[name] = tuple(self._context.get_tensor_shape(name))
        for name, shape in self.shapes.items():
            self._memory[name] = memory = gpu.allocate(4 * int(np.prod(shape)))
            self.host[name] = gpu.pinned(shape)
            if not self._context.set_tensor_address(name, int(memory)):
                raise EngineError(f"{plan._name}: expected TensorRT to take an address for {name}")

    def enqueue(self, inputs: Mapping[str, Float32Array | DeviceTensor]) -> None:
        """Copy the inputs to their places and run."""
        stream, driver = self._plan._stream, self._plan._gpu.driver
        for name in self._plan.inputs:
            value = inputs[name]
            if 0 in value.shape:
                continue
            if isinstance(value, DeviceTensor):
                driver.memcpy_dtod_async(self._memory[name], value.memory, value.nbytes, stream)
            else:
                self.host[name][...] = value
                driver.memcpy_htod_async(self._memory[name], self.host[name], stream)
        if self._graph is None and self._ran and self._plan._graphs:
            self._capture()
        if self._graph is not None:
            self._graph.launch(stream.handle)
        else:
            self._eager()
            # Before a capture TensorRT wants to have run once with these shapes, and to be done with it.
            stream.synchronize()
            self._ran = True

    def keep(self, name: str) -> DeviceTensor:
        """A copy of an output that stays on the device."""
        plan = self._plan
        tensor = plan._gpu.pool.tensor(self.shapes[name])
        plan._gpu.driver.memcpy_dtod_async(tensor.memory, self._memory[name], tensor.nbytes, plan._stream)
        return tensor

    def fetch(self, name: str) -> None:
        """Bring an output to `host`, once the stream is done."""
        plan = self._plan
        plan._gpu.driver.memcpy_dtoh_async(self.host[name], self._memory[name], plan._stream)

    def close(self) -> None:
        """Free graph, context and memory, in this order."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        self._context = None
        for memory in self._memory.values():
            memory.free()
        self._memory = {}
        self.host = {}

    def _eager(self) -> None:
        plan = self._plan
        if not self._context.execute_async_v3(plan._stream.handle):
            raise EngineError(f"{plan._name}: expected TensorRT to run, came: {said(plan._logger)}")

    def _capture(self) -> None:
        plan = self._plan
        try:
            self._graph = Graph(plan._stream.handle, self._eager)
        except (GraphError, EngineError) as error:
            plan._graphs = False
            warn_without_graph(plan._name, error)
