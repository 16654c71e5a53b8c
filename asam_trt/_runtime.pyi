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

def get_num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def cuda_report() -> CudaReport: ...
def cuda_normal(seed: int, n: int, dim: int, *, start: int = 0) -> NDArray[np.float32]: ...
