"""A float32 ONNX graph in the types that a strongly typed TensorRT network computes in.

Factors and results of matrix products are bf16 or fp16. Everything else stays float32: norms, softmax, residuals,
GELU and their sums, without which SAM's encoder gives garbage in fp16, and convolutions (1.5 % of ViT-B's work at
S = 1024; opset 20 has none in bf16). TensorRT fuses the casts between them into its kernels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.errors import EngineError

# The parser turns each of these into a loop or a shape computation, the commonest reasons of failed builds.
FORBIDDEN = ("OneHot", "Tile", "Range", "Mod", "Loop", "If")
PRODUCTS = ("MatMul", "Gemm")
PRECISIONS = ("float32", "bf16", "fp16")

_LARGEST = {"bf16": float(np.finfo(np.float32).max), "fp16": float(np.finfo(np.float16).max)}


def write_typed(source: Path, target: Path, precision: str) -> None:
    """Write ``source``, a float32 graph, as ``target`` (and ``target.data``) in a precision. Inputs and outputs of the
    graph stay float32.

    Raises:
        ValueError: no such precision.
        EngineError: not such a graph, an operator that TensorRT would not take, or a weight too large for fp16.
    """
    import onnx

    if precision not in PRECISIONS:
        raise ValueError(f"expected precision to be one of {', '.join(PRECISIONS)}, came {precision!r}")
    try:
        model = onnx.load(str(source))
    except Exception as error:  # protobuf's and onnx's own exceptions share no base class but this
        raise EngineError(f"{source}: expected an ONNX model, came: {error}") from error
    check_operators(model, source)
    if precision != "float32":
        _Typing(model.graph, source, precision).apply()
    onnx.save(
        model,
        str(target),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{target.name}.data",
        size_threshold=1024,
    )


def check_operators(model: Any, source: Path) -> None:
    """Raises EngineError where a graph has an operator of `FORBIDDEN`."""
    if found := sorted({node.op_type for node in model.graph.node} & set(FORBIDDEN)):
        raise EngineError(
            f"{source}: expected a graph without {', '.join(FORBIDDEN)}, came one with {', '.join(found)}; "
            "build the engine again with this version of asam_trt"
        )


class _Typing:
    """Casts around the products of one graph."""

    def __init__(self, graph: Any, source: Path, precision: str) -> None:
        from onnx import TensorProto

        self.graph, self.source, self.precision = graph, source, precision
        self.low = TensorProto.BFLOAT16 if precision == "bf16" else TensorProto.FLOAT16
        self.float32 = TensorProto.FLOAT
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.cast: set[str] = set()
        self.nodes: list[Any] = []

    def apply(self) -> None:
        from onnx import helper

        for node in self.graph.node:
            if node.op_type not in PRODUCTS:
                self.nodes.append(node)
                continue
            for i, name in enumerate(node.input):
                node.input[i] = self.lowered(name)
            (result,) = node.output
            node.output[0] = f"{result}.{self.precision}"
            self.nodes.append(node)
            self.nodes.append(
                helper.make_node(
                    "Cast", [node.output[0]], [result], name=f"{result}.float32", to=self.float32
                )
            )
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input} | {o.name for o in self.graph.output}
        kept = [tensor for tensor in self.weights.values() if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def lowered(self, name: str) -> str:
        """The low-precision twin of a tensor, made at its first use."""
        from onnx import helper

        twin = f"{name}.{self.precision}"
        if twin in self.cast:
            return twin
        self.cast.add(twin)
        if name in self.weights:
            self.weights[twin] = self.lowered_weight(self.weights[name], twin)
        else:
            self.nodes.append(helper.make_node("Cast", [name], [twin], name=twin, to=self.low))
        return twin

    def lowered_weight(self, tensor: Any, name: str) -> Any:
        from onnx import TensorProto, numpy_helper

        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32:
            raise EngineError(
                f"{self.source}: expected products of float32 tensors, came {tensor.name} of {value.dtype}"
            )
        if (largest := float(np.abs(value).max(initial=0.0))) > _LARGEST[self.precision]:
            raise EngineError(
                f"{self.source}: expected weights of at most {_LARGEST[self.precision]:g} for {self.precision}, came "
                f"{largest:g} in {tensor.name}; use precision='bf16'"
            )
        data = to_bf16(value) if self.precision == "bf16" else value.astype(np.float16)
        return TensorProto(name=name, data_type=self.low, dims=tensor.dims, raw_data=data.tobytes())


def to_bf16(value: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of finite float32 numbers rounded to bfloat16, to nearest, ties to even."""
    bits = value.view(np.uint32)
    rounded: npt.NDArray[np.uint32] = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded >> 16).astype(np.uint16)
