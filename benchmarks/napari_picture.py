"""Makes docs/images/napari.png: the README's photo and box in the real viewer. Needs the extras `napari` and `demo`.

xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/napari_picture.py nano.asam docs/images/napari.png
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QApplication
from skimage.data import coins

from asam_trt.napari.opening import open_viewer

X0, Y0, X1, Y1 = np.subtract((56, 2, 182, 68), 0.5)  # napari counts from the centre of a pixel
SIZE = (1360, 800)


def let_qt_work(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def main(engine: str, output: str) -> None:
    viewer, panel = open_viewer(Image(coins()[150:303, 200:384], name="coins"), Path(engine))
    viewer.window.resize(*SIZE)
    let_qt_work(1)
    panel.explorer.boxes.add_rectangles(np.array([(Y0, X0), (Y0, X1), (Y1, X1), (Y1, X0)]))
    let_qt_work(1)
    viewer.reset_view()
    let_qt_work(1)
    viewer.screenshot(output, canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
