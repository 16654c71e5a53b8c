"""Errors about files of a data set."""

from asam_trt.file_errors import DataError, damage_told, missing_package

__all__ = ["DataError", "damage_told", "missing_package"]
