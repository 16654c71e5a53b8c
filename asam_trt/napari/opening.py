"""Files as image layers: photos, and scans with their millimetres."""

from __future__ import annotations

from pathlib import Path

import napari
from napari.layers import Image

from asam_trt.image_files import read_image_file
from asam_trt.napari.panel import Panel
from asam_trt.pictures import Window
from asam_trt.volume_files import is_volume, read_volume


def open_viewer(image: Image, engine: Path) -> tuple[napari.Viewer, Panel]:
    """A viewer of an image layer with the panel beside it; `napari.run()` then waits for it."""
    viewer = napari.Viewer(title="asam")
    viewer.add_layer(image)
    panel = Panel(viewer, engine)
    viewer.window.add_dock_widget(panel, name="asam")
    return viewer, panel


def read_layer(path: Path, window: Window | None = None) -> tuple[Image, list[str]]:
    """A file as an image layer, and what is to be told of it.

    A scan keeps its values and its spacing; the window (low, high), by default its own, becomes the layer's contrast
    limits, and can be changed there.

    Raises:
        ValueError: the file cannot be read, or is a photo of more than 8 bits without a window.
        ImportError: a scan whose package is not installed.
    """
    if not is_volume(path):
        photo = read_image_file(path, window)
        return Image(photo.pixels, name=path.stem, rgb=True), photo.remarks
    volume = read_volume(path)
    layer = Image(
        volume.values,
        name=path.stem,
        rgb=False,
        contrast_limits=window or volume.window,
        colormap="gray_r" if volume.white_low else "gray",
        scale=volume.spacing,
        units=None if volume.spacing is None else "mm",
    )
    return layer, list(volume.remarks)
