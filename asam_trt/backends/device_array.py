"""Arrays in GPU memory that another library owns."""

from __future__ import annotations

from typing import Any


class DeviceArray:
    """A dense float32 array for whoever reads ``__cuda_array_interface__``. Its numbers are there already.

    Args:
        owner: keeps the memory.
        address: of the first element.
        shape: of the array.
    """

    def __init__(self, owner: Any, address: int, shape: tuple[int, ...]) -> None:
        self.owner, self.shape = owner, shape
        self._address = address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "typestr": "<f4",
            "shape": self.shape,
            "data": (self._address, False),  # PyTorch takes no array that is read-only
            "strides": None,
            "stream": None,
        }
