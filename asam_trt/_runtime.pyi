from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

class CudaDevice(TypedDict):
    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int

class CudaReport(TypedDict):
    library: str
    problem: str
    runtime: int
    driver: int
    devices: list[CudaDevice]

class ImageState: ...

class PromptState:
    @property
    def tokens(self) -> int: ...

class ImageEncoder:
    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, NDArray[np.float32]],
        *,
        isa: str | None = None,
        precision: str = "float32",
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def precision(self) -> str: ...
    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float32]: ...

class LatentPrior:
    def __init__(
        self, config: dict[str, Any], weights: dict[str, NDArray[np.float32]], *, isa: str | None = None
    ) -> None: ...
    def run(
        self,
        embedding: NDArray[np.float32],
        tokens: NDArray[np.float32] | None = None,
        dense: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

class Sampler:
    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, NDArray[np.float32]],
        *,
        isa: str | None = None,
        precision: str = "float32",
        block: int = 0,
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def precision(self) -> str: ...
    def image_state(
        self,
        embedding: NDArray[np.float32],
        mu_image: NDArray[np.float32],
        sigma_image: NDArray[np.float32],
    ) -> ImageState: ...
    def prompt_state(
        self,
        image_state: ImageState,
        tokens: NDArray[np.float32],
        dense: NDArray[np.float32],
        mu_prompt: NDArray[np.float32],
        sigma_prompt: NDArray[np.float32],
    ) -> PromptState: ...
    def sample(
        self, image_state: ImageState, prompt_state: PromptState, eps: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def sample_seeded(
        self, image_state: ImageState, prompt_state: PromptState, n: int, seed: int, start: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

class CudaImageState: ...
class CudaPromptState: ...

class CudaArray:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def numpy(self) -> NDArray[np.float32]: ...

# float32 in host memory, or in GPU memory with __cuda_array_interface__.
_Source = NDArray[np.float32] | Any

class CudaSampler:
    def __init__(
        self, config: dict[str, Any], weights: dict[str, NDArray[np.float32]], *, precision: str = "float32"
    ) -> None: ...
    @property
    def precision(self) -> str: ...
    @property
    def graphs(self) -> int: ...
    def image_state(self, embedding: _Source, mu_image: _Source, sigma_image: _Source) -> CudaImageState: ...
    def prompt_state(
        self,
        image_state: CudaImageState,
        tokens: _Source,
        dense: _Source,
        mu_prompt: _Source,
        sigma_prompt: _Source,
    ) -> CudaPromptState: ...
    def sample(
        self, image_state: CudaImageState, prompt_state: CudaPromptState, eps: _Source
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def sample_seeded(
        self, image_state: CudaImageState, prompt_state: CudaPromptState, n: int, seed: int, start: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def sample_on_device(
        self,
        image_state: CudaImageState,
        prompt_state: CudaPromptState,
        n: int,
        seed: int,
        start: int = 0,
        out: tuple[CudaArray, CudaArray] | None = None,
    ) -> tuple[CudaArray, CudaArray]: ...
    def statistics(
        self,
        logits: _Source,
        input_size: tuple[int, int],
        out_size: tuple[int, int],
        threshold: float = 0.0,
        *,
        packed: bool = True,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint64] | None]: ...

def get_num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def cuda_report() -> CudaReport: ...
def cuda_normal(seed: int, n: int, dim: int, *, start: int = 0) -> NDArray[np.float32]: ...

class TinyImageEncoder:
    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, NDArray[np.float32]],
        *,
        isa: str | None = None,
        precision: str = "float32",
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def precision(self) -> str: ...
    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float32]: ...
