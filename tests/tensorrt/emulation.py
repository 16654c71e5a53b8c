"""Typed graphs on the CPU: ONNX Runtime has no product in bf16, but it rounds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from asam_trt.tensorrt.typed_onnx import PRODUCTS


def computable(model: Any) -> ort.InferenceSession:
    """A session that computes a typed graph: of each product in bf16 or fp16 the factors are widened to float32, which
    is exact, and the float32 result is rounded back."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    nodes = []
    for node in model.graph.node:
        low = _low_type(model, node)
        if low is None:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            nodes.append(helper.make_node("Cast", [name], [f"{node.name}.{i}"], to=TensorProto.FLOAT))
            node.input[i] = f"{node.name}.{i}"
        result = node.output[0]
        node.output[0] = f"{node.name}.wide"
        nodes += [node, helper.make_node("Cast", [node.output[0]], [result], to=low)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # The rounding must not be optimised away.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_onnx(session: ort.InferenceSession, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name."""
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def _low_type(model: Any, node: Any) -> int | None:
    if node.op_type in PRODUCTS:
        for suffix, kind in (("bf16", TensorProto.BFLOAT16), ("fp16", TensorProto.FLOAT16)):
            if node.output[0].endswith(f".{suffix}"):
                return int(kind)
    return None
