"""The encoders in the types that TensorRT gets, against PyTorch in the same types.

fp16 and bf16 graphs are computed by ONNX Runtime with the factors of each product widened to float32 and its result
rounded back (`emulation.py`): it has no products in bf16 on the CPU, and those in fp16 it computes in just this way.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import asam
from asam.export import export_parts
from asam.model.grid_encoder import GridEncoder
from asam_trt.bundle import IMAGE_ENCODER, PROMPT_PRIOR
from asam_trt.errors import EngineError
from asam_trt.tensorrt.typed_onnx import FORBIDDEN, PRODUCTS, to_bf16, write_typed

from .emulation import computable, run_onnx

TORCH = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ONNX = {"float32": TensorProto.FLOAT, "bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
PARTS = (IMAGE_ENCODER, PROMPT_PRIOR)


def typed(engine: Path, tmp_path: Path, part: str, precision: str) -> onnx.ModelProto:
    write_typed(engine / part, tmp_path / part, precision)
    return onnx.load(str(tmp_path / part))


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error.astype(np.float64) ** 2).mean()))


def image_state(model: asam.ASAM, image: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        embedding, latent = model.image_state(image, GridEncoder(model.image_encoder)(image))
    named = {"embedding": embedding, "mu_image": latent.mean, "sigma_image": latent.sigma}
    return {name: value.double().numpy() for name, value in named.items()}


@pytest.mark.parametrize("precision", TORCH)
def test_the_image_encoder_is_as_exact_as_pytorch_in_the_same_type(
    model: asam.ASAM, engine: Path, tmp_path: Path, precision: str
) -> None:
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    exact = image_state(copy.deepcopy(model).double(), image.double())
    with torch.autocast("cpu", TORCH[precision], enabled=precision != "float32"):
        baseline = image_state(model, image)
    found = run_onnx(computable(typed(engine, tmp_path, IMAGE_ENCODER, precision)), {"image": image.numpy()})
    for name, want in exact.items():
        assert rms(found[name] - want) <= 2 * rms(baseline[name] - want), name


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[asam.ASAM, Path]:
    """A model with MobileSAM's image encoder, and the folder of its graphs."""
    torch.manual_seed(0)
    model = asam.ASAM.from_preset(backbone="vit_t", image_size=64).eval()
    folder = tmp_path_factory.mktemp("tiny")
    export_parts(model, folder)
    return model, folder


@pytest.mark.slow
@pytest.mark.parametrize("precision", TORCH)
def test_mobile_sam_s_encoder_is_as_exact_as_pytorch_in_the_same_type(
    tiny: tuple[asam.ASAM, Path], tmp_path: Path, precision: str
) -> None:
    model, folder = tiny
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        exact = copy.deepcopy(model).double().encode_image(image.double()).embedding.numpy()
        with torch.autocast("cpu", TORCH[precision], enabled=precision != "float32"):
            baseline = model.encode_image(image).embedding.double().numpy()
    graph = typed(folder, tmp_path, IMAGE_ENCODER, precision)
    operators = {node.op_type for node in graph.graph.node}
    assert not operators & set(FORBIDDEN)
    assert not operators & {"GatherND", "ReduceLogSumExp"}  # biases of windows are constants
    found = run_onnx(computable(graph), {"image": image.numpy()})["embedding"]
    assert rms(found - exact) <= 2 * rms(baseline - exact)


@pytest.mark.parametrize("tokens", [0, 2, 5])
@pytest.mark.parametrize("precision", TORCH)
def test_the_prompt_prior_is_as_exact_as_pytorch_in_the_same_type(
    model: asam.ASAM, engine: Path, tmp_path: Path, precision: str, tokens: int
) -> None:
    generator = torch.Generator().manual_seed(4)
    c = model.config.sizes.channels
    shapes = {"embedding": (1, c, 4, 4), "tokens": (1, tokens, c), "dense": (1, c, 4, 4)}
    given = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}

    def prior(network: asam.ASAM, dtype: torch.dtype) -> dict[str, np.ndarray]:
        cast = {name: value.to(dtype) for name, value in given.items()}
        with torch.no_grad():
            latent = network.prompt_prior(
                cast["embedding"], model.position().to(dtype), cast["tokens"], cast["dense"]
            )
        return {"mu_prompt": latent.mean.double().numpy(), "sigma_prompt": latent.sigma.double().numpy()}

    exact = prior(copy.deepcopy(model).double(), torch.float64)
    with torch.autocast("cpu", TORCH[precision], enabled=precision != "float32"):
        baseline = prior(model, torch.float32)
    session = computable(typed(engine, tmp_path, PROMPT_PRIOR, precision))
    found = run_onnx(session, {name: value.numpy() for name, value in given.items()})
    for name, want in exact.items():
        assert rms(found[name] - want) <= 2 * rms(baseline[name] - want), name


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("precision", TORCH)
def test_types_are_as_asked_in_the_whole_graph(
    engine: Path, tmp_path: Path, part: str, precision: str
) -> None:
    model = typed(engine, tmp_path, part, precision)
    onnx.checker.check_model(str(tmp_path / part), full_check=True)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    products = 0
    for node in graph.node:
        touched = {types[name] for name in (*node.input, *node.output) if name}
        if node.op_type in PRODUCTS:
            assert touched == {ONNX[precision]}, node.name
            products += 1
        elif node.op_type != "Cast":
            assert touched <= {TensorProto.FLOAT, TensorProto.INT64}, node.name
    assert products >= 6
    assert {types[v.name] for v in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) == 2 and tensor.data_type != 7]
    assert weights
    if precision != "float32":
        assert {tensor.data_type for tensor in weights} == {ONNX[precision]}  # none is kept twice


@pytest.mark.parametrize("part", PARTS)
def test_no_operator_that_breaks_builds(engine: Path, part: str) -> None:
    found = {node.op_type for node in onnx.load(str(engine / part), load_external_data=False).graph.node}
    assert not found & {"OneHot", "Tile", "Range", "Mod", "Loop", "If"}
    assert not found & {"Shape", "ConstantOfShape", "NonZero"}  # no arithmetic with shapes either


def test_norms_over_channels_are_one_operator(engine: Path) -> None:
    """SAM's LayerNorm2d is written with means, powers and roots, which no runtime fuses."""
    nodes = onnx.load(str(engine / IMAGE_ENCODER), load_external_data=False).graph.node
    assert not {node.op_type for node in nodes} & {"Pow", "Sqrt", "Sub", "Div"}
    assert [node.op_type for node in nodes].count("LayerNormalization") == 2 * 4 + 2


def test_rounding_to_bf16_is_pytorchs() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values) & (np.abs(values) < 3.3e38)]
    ties = (np.arange(1000, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    for some in (values, ties, np.array([0.0, -0.0], np.float32)):
        want = torch.from_numpy(some.copy()).bfloat16().view(torch.int16).numpy().view(np.uint16)
        np.testing.assert_array_equal(to_bf16(some), want)


def product(weight: np.ndarray, path: Path, op: str = "MatMul") -> Path:
    node = helper.make_node(op, ["x", "w"], ["y"], name="product")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, len(weight)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), str(path))
    return path


def test_a_weight_too_large_for_fp16(tmp_path: Path) -> None:
    file = product(np.full((4, 4), 1e5, np.float32), tmp_path / "a.onnx")
    with pytest.raises(EngineError, match=r"at most 65504 for fp16, came 100000 in w; use precision='bf16'"):
        write_typed(file, tmp_path / "b.onnx", "fp16")
    write_typed(file, tmp_path / "b.onnx", "bf16")


@pytest.mark.parametrize("op", FORBIDDEN)
def test_a_graph_that_tensorrt_would_not_take(tmp_path: Path, op: str) -> None:
    file = product(np.ones((4, 4), np.float32), tmp_path / "a.onnx", op)
    with pytest.raises(EngineError, match=f"a graph without .* came one with {op}; build the engine again"):
        write_typed(file, tmp_path / "b.onnx", "bf16")


def test_what_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x00\xff rubbish")
    with pytest.raises(EngineError, match="expected an ONNX model"):
        write_typed(tmp_path / "a.onnx", tmp_path / "b.onnx", "bf16")
    with pytest.raises(ValueError, match="expected precision to be one of"):
        write_typed(tmp_path / "a.onnx", tmp_path / "b.onnx", "int8")
