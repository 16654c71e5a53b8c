"""Draw prompts on an image or a scan in napari, and see the hypotheses at once."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from asam.cli._questions import Window, tell_of_file
from asam_trt.bundle import read_manifest


@dataclass(frozen=True)
class Args:
    """Options of `asam view`."""

    image: Positional[Path]
    """An image file, or a scan: NIfTI, DICOM (a file, or a folder with the slices of a series), .npy."""
    engine: Path
    """An engine folder, made by `asam build`."""
    window: Window = None


def run(args: Args) -> int:
    """Opens the viewer and waits until it is closed."""
    try:
        import napari
        import qtpy  # noqa: F401  raises where there is no Qt
    except ImportError as error:
        raise ImportError(
            f"asam view needs napari and Qt ({error}): pip install 'napari>=0.6.2' PySide6-Essentials"
        ) from error
    if sys.platform == "linux" and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}:
        # Qt would end the process.
        raise OSError("expected a display to open a window on, came none: DISPLAY is not set")
    read_manifest(args.engine)

    from asam_trt.napari.opening import open_viewer, read_layer

    layer, remarks = read_layer(args.image, args.window)
    tell_of_file(args.image, remarks)
    _viewer, _panel = open_viewer(layer, args.engine)
    napari.run()
    return 0
