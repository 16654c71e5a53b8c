"""Networks and their serialised plans: the encoders from typed ONNX, the sampler from the project's plugin.

Every network is strongly typed: TensorRT chooses kernels, not precisions. In version 10 that is a flag; in 11 there is
no other kind of network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.errors import EngineError
from asam_trt.sampler_spec import SamplerConfig
from asam_trt.tensorrt.libraries import logger_of, said, version_of

PLUGIN_NAME = "AsamSampler"
PLUGIN_VERSION = "1"
PLUGIN_NAMESPACE = "asam"
SAMPLER_INPUTS = (
    "embedding",
    "mu_image",
    "sigma_image",
    "tokens",
    "dense",
    "mu_prompt",
    "sigma_prompt",
    "eps",
)
SAMPLER_OUTPUTS = ("logits", "scores")

# The plugin's fields beside the weights: int32, these sizes in this order, then the number of the precision.
CONFIG_FIELD = "config"
CONFIG_ORDER = (
    "side",
    "grid",
    "channels",
    "latent",
    "mask_tokens",
    "heads",
    "depth",
    "mlp_dim",
    "iou_layers",
    "combiner_layers",
    "sampled_tokens",
)
PRECISION_NUMBERS = {"float32": 0, "bf16": 1, "fp16": 2}  # as in csrc/core/cuda_api.h

Range = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # smallest, tuned, largest shape
Step = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """The one optimisation profile: n = 1 .. most_hypotheses, tuned at ``tuned``; t = 0 .. most_tokens, tuned for a
    box."""

    tuned: int
    most_hypotheses: int
    most_tokens: int


class PlanBuilder:
    """Builds plans one after the other, with one timing cache.

    Args:
        trt: the module `tensorrt`.
        precision: "float32", "bf16" or "fp16".
        timing_cache: bytes of an earlier build's, or b"".
        step: is told what begins.
    """

    def __init__(self, trt: ModuleType, precision: str, *, timing_cache: bytes, step: Step) -> None:
        self.trt, self.precision, self._step = trt, precision, step
        self.timing_cache = timing_cache
        self.logger = logger_of(trt)
        self._builder = trt.Builder(self.logger)

    def from_onnx(self, file: Path, ranges: Mapping[str, Range], *, strip: bool = False) -> bytes:
        """Plan of a graph that `asam_trt.tensorrt.typed_onnx.write_typed` wrote.

        Args:
            ranges: of the inputs that may have dynamic dimensions.
            strip: leave out the weights, which `refit` puts back from the same file.

        Raises:
            EngineError: TensorRT does not take the graph, or types it otherwise than asked.
        """
        network = self._network()
        parser = self.trt.OnnxParser(network, self.logger)
        if not parser.parse_from_file(str(file)):
            why = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
            raise EngineError(f"{file.name}: expected a graph that TensorRT parses, came: {why}")
        self._check_products(network, file.name)
        return self._build(network, ranges, file.name, strip=strip)

    def sampler(
        self,
        sizes: SamplerConfig,
        weights: Mapping[str, npt.NDArray[np.float32]],
        plugin: Path,
        limits: Limits,
    ) -> bytes:
        """Plan of the sampler: one node, the project's plugin, with the weights inside.

        inputs: embedding [1, C, e, e], mu_image, sigma_image [1, L], tokens [1, t, C], dense [1, C, h, w] (h = w = 1
            without a mask prompt, else e), mu_prompt, sigma_prompt [1, L], eps [n, 2, L]; all float32
        outputs: logits [n, 4e, 4e], scores [n], float32

        Raises:
            EngineError: TensorRT does not take the plugin or the network.
        """
        network = self._network()
        ranges = sampler_ranges(sizes, limits)
        tensors = []
        for name in SAMPLER_INPUTS:
            least, _, most = ranges[name]
            shape = tuple(a if a == b else -1 for a, b in zip(least, most, strict=True))
            tensors.append(network.add_input(name, self.trt.DataType.FLOAT, shape))
        # The fields point into these arrays, so they live until the plugin has copied them.
        fields = plugin_fields(sizes, weights, self.precision)
        layer = network.add_plugin_v3(tensors, [], self._plugin(plugin, fields))
        if layer is None:
            raise EngineError(f"sampler: expected a network with the plugin, came: {said(self.logger)}")
        for i, name in enumerate(SAMPLER_OUTPUTS):
            output = layer.get_output(i)
            output.name = name
            network.mark_output(output)
        dynamic = {name: found for name, found in ranges.items() if found[0] != found[2]}
        return self._build(network, dynamic, "sampler", strip=False)

    def _network(self) -> Any:
        flags = 0
        if version_of(self.trt)[0] == 10:
            flags = 1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return self._builder.create_network(flags)

    def _plugin(self, library: Path, fields: Mapping[str, npt.NDArray[Any]]) -> Any:
        trt = self.trt
        creator = plugin_creator(trt, library)
        kinds = {
            np.dtype(np.int32): trt.PluginFieldType.INT32,
            np.dtype(np.float32): trt.PluginFieldType.FLOAT32,
        }
        collection = trt.PluginFieldCollection(
            [trt.PluginField(name, value, kinds[value.dtype]) for name, value in fields.items()]
        )
        plugin = creator.create_plugin(PLUGIN_NAME, collection, trt.TensorRTPhase.BUILD)
        if plugin is None:
            raise EngineError(
                f"sampler: expected {library.name} to take the engine's weights, came: {said(self.logger)}"
            )
        return plugin

    def _check_products(self, network: Any, what: str) -> None:
        """Fails where a matrix product is in another type than asked, or a norm or a softmax not in float32."""
        trt = self.trt
        product = {
            "float32": trt.DataType.FLOAT,
            "bf16": trt.DataType.BF16,
            "fp16": trt.DataType.HALF,
        }[self.precision]
        wanted = {
            trt.LayerType.MATRIX_MULTIPLY: product,
            trt.LayerType.SOFTMAX: trt.DataType.FLOAT,
            trt.LayerType.NORMALIZATION: trt.DataType.FLOAT,
        }
        for i in range(network.num_layers):
            layer = network.get_layer(i)
            came = layer.get_output(0).dtype
            if came != (want := wanted.get(layer.type, came)):
                raise EngineError(f"{what}: expected layer {layer.name} in {want}, came {came}")

    def _build(self, network: Any, ranges: Mapping[str, Range], what: str, *, strip: bool) -> bytes:
        trt = self.trt
        config = self._builder.create_builder_config()
        if strip:
            config.set_flag(trt.BuilderFlag.STRIP_PLAN)
            config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)
        if self.precision == "float32":
            config.clear_flag(trt.BuilderFlag.TF32)
        if ranges:
            profile = self._builder.create_optimization_profile()
            for name, (least, tuned, most) in ranges.items():
                profile.set_shape(name, least, tuned, most)
            if config.add_optimization_profile(profile) < 0:
                raise EngineError(f"{what}: expected a valid profile, came: {said(self.logger)}")
        cache = config.create_timing_cache(self.timing_cache)
        config.set_timing_cache(cache, ignore_mismatch=False)
        config.progress_monitor = make_monitor(trt, what, self._step)
        self.logger.errors.clear()
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f"{what}: expected TensorRT to build a plan, came: {said(self.logger)}")
        self.timing_cache = bytes(memoryview(config.get_timing_cache().serialize()))
        return bytes(memoryview(plan))


def sampler_ranges(sizes: SamplerConfig, limits: Limits) -> dict[str, Range]:
    """Smallest, tuned and largest shapes of the sampler's inputs; see `PlanBuilder.sampler`."""
    e, c, latent = sizes.grid, sizes.channels, sizes.latent

    def fixed(*shape: int) -> Range:
        return (shape, shape, shape)

    few, many = limits.tuned, limits.most_hypotheses
    return {
        "embedding": fixed(1, c, e, e),
        "mu_image": fixed(1, latent),
        "sigma_image": fixed(1, latent),
        "tokens": token_range(c, limits),
        "dense": ((1, c, 1, 1), (1, c, 1, 1), (1, c, e, e)),
        "mu_prompt": fixed(1, latent),
        "sigma_prompt": fixed(1, latent),
        "eps": ((1, 2, latent), (few, 2, latent), (many, 2, latent)),
    }


def token_range(channels: int, limits: Limits) -> Range:
    """Of prompt tokens [1, t, C]: none to many, tuned for a box, which has two."""
    return ((1, 0, channels), (1, 2, channels), (1, limits.most_tokens, channels))


def plugin_fields(
    sizes: SamplerConfig, weights: Mapping[str, npt.NDArray[np.float32]], precision: str
) -> dict[str, npt.NDArray[Any]]:
    """Fields of the plugin: sizes and precision, then name -> weights, flat, of everything but the prompt encoder's.

    Of each weight ``name`` there is a second field ``name.shape``.
    """
    numbers = [int(getattr(sizes, name)) for name in CONFIG_ORDER]
    fields: dict[str, npt.NDArray[Any]] = {
        CONFIG_FIELD: np.array([*numbers, PRECISION_NUMBERS[precision]], np.int32)
    }
    for name, value in weights.items():
        if not name.startswith("prompt."):
            fields[name] = np.ascontiguousarray(value, np.float32).reshape(-1)
            fields[f"{name}.shape"] = np.array(value.shape, np.int32)
    return fields


def plugin_creator(trt: ModuleType, library: Path) -> Any:
    """The creator of the plugin, whose library is loaded where it is not yet.

    Raises:
        EngineError: TensorRT does not take the library.
    """
    registry = trt.get_plugin_registry()
    wanted = (PLUGIN_NAME, PLUGIN_VERSION, PLUGIN_NAMESPACE)
    creator = registry.get_creator(*wanted)
    if creator is None:
        registry.load_library(str(library))
        creator = registry.get_creator(*wanted)
    if creator is None:
        raise EngineError(
            f"{library}: expected a library with the plugin {PLUGIN_NAME} that TensorRT {trt.__version__} loads, came "
            "none; reinstall asam-trt"
        )
    return creator


def make_monitor(trt: ModuleType, what: str, step: Step) -> Any:
    """An `IProgressMonitor` that tells ``step`` the outermost phases of a build."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                step(f"{what}: {phase_name} ({num_steps} steps)")

        def step_complete(self, phase_name: str, step: int) -> bool:
            return True

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Monitor()
