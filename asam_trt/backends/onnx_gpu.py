"""Image encoder and prompt prior by an execution provider of ONNX Runtime that leaves results in its own memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from asam_trt.backends.device_array import DeviceArray
from asam_trt.backends.onnx_exit import inside
from asam_trt.backends.onnx_session import open_session
from asam_trt.bundle import EngineBundle
from asam_trt.threads import get_num_threads

Float32Array = npt.NDArray[np.float32]


class OnnxParts:
    """See `asam_trt.backends.cuda.Parts`.

    Args:
        provider: as ONNX Runtime names it.
        device: where it computes, "cuda" or "cpu".

    Raises:
        BackendUnavailable: the provider is not there or does not work.
        EngineError: a model cannot be loaded.
    """

    def __init__(self, bundle: EngineBundle, provider: str, device: str) -> None:
        self._device = device
        sizes = bundle.sampler
        self._shape = (1, sizes.channels, sizes.grid, sizes.grid)
        self._encoder, self._prior = (
            open_session(path, provider, get_num_threads())
            for path in (bundle.image_encoder, bundle.prompt_prior)
        )

    def encode(self, pixels: Float32Array) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """Model input [3, S, S] -> embedding [C, e, e], mu_image [L], sigma_image [L]."""
        embedding, mu, sigma = self._run(
            self._encoder, {"image": pixels[None]}, ("embedding", "mu_image", "sigma_image")
        )
        return embedding, mu, sigma

    def prior(
        self, embedding: DeviceArray, tokens: Float32Array, dense: Float32Array
    ) -> tuple[DeviceArray, DeviceArray]:
        """Embedding [C, e, e], tokens [t, C], dense [C] or [C, e, e] -> mu_prompt [L], sigma_prompt [L]."""
        full = dense[:, None, None] if dense.ndim == 1 else dense
        mu, sigma = self._run(
            self._prior,
            {"embedding": embedding, "tokens": tokens[None], "dense": np.broadcast_to(full, self._shape)},
            ("mu_prompt", "sigma_prompt"),
        )
        return mu, sigma

    def _run(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, Float32Array | DeviceArray],
        outputs: Sequence[str],
    ) -> list[DeviceArray]:
        binding = session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, DeviceArray):
                binding.bind_ortvalue_input(name, value.owner)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for name in outputs:
            binding.bind_output(name, self._device)
        with inside() as options:
            session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
        # Without the first axis, of one image.
        return [
            DeviceArray(value, value.data_ptr(), tuple(value.shape()[1:])) for value in binding.get_outputs()
        ]
