"""Charts: points lie where their values are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asam.studies.plots import chart, reliability_chart
from asam_trt import palette

NAN = float("nan")
PLOT = (slice(100, 398), slice(64, 876))  # rows and columns of the plotting area


def centre(picture: Image.Image, colour: palette.Colour, columns: slice = PLOT[1]) -> tuple[float, float]:
    """Mean row and column of the pixels of a colour within the plotting area."""
    pixels = np.asarray(picture)[PLOT[0], columns]
    rows, found = (pixels == np.array(colour)).all(axis=2).nonzero()
    assert len(rows)
    return float(rows.mean()), float(found.mean())


def test_heights_follow_values() -> None:
    first, second = palette.CATEGORIES[:2]
    series = {"a": [(1.0, NAN, NAN)], "b": [(0.5, NAN, NAN)]}
    picture = chart(["x"], series, title="t", y_label="y")
    bottom = PLOT[0].stop - PLOT[0].start
    a, b = centre(picture, first), centre(picture, second)
    assert bottom - a[0] == pytest.approx(2 * (bottom - b[0]), rel=0.03)
    assert a[1] < b[1]


def test_intervals_reach_from_low_to_high() -> None:
    picture = chart(["x"], {"a": [(0.5, 0.25, 1.0)]}, title="t", y_label="y")
    pixels = np.asarray(picture)[PLOT]
    rows = (pixels == np.array(palette.CATEGORIES[0])).all(axis=2).any(axis=1).nonzero()[0]
    bottom = PLOT[0].stop - PLOT[0].start
    assert (bottom - rows[0]) / (bottom - rows[-1]) == pytest.approx(4, rel=0.05)


def test_perfect_calibration_lies_on_the_diagonal() -> None:
    places = [0.1, 0.3, 0.7, NAN]
    picture = reliability_chart({"a": (places, places)}, title="t")
    height, width = PLOT[0].stop - PLOT[0].start, PLOT[1].stop - PLOT[1].start
    row, column = centre(picture, palette.CATEGORIES[0])
    assert 1 - row / height == pytest.approx(column / width, abs=0.02)


def test_lines_have_no_steps() -> None:
    places = [0.05, 0.95]
    pixels = np.asarray(reliability_chart({"a": (places, [0.2, 0.3])}, title="t")).astype(float)
    colour, ground = np.array(palette.CATEGORIES[0]), np.array(palette.PAPER)
    # Between the lines of the grid at 0.2 and 0.4, left of the diagonal.
    part = pixels[200:335, 500:700]
    rows, columns = np.abs(part - colour).sum(axis=2).argmin(axis=0), np.arange(part.shape[1])
    # Seen across, the line is as thick everywhere: it covers pixels in part.
    line = np.stack([part[rows + k, columns] for k in range(-3, 4)])
    share = ((line - ground) @ (colour - ground) / ((colour - ground) @ (colour - ground))).sum(axis=0)
    np.testing.assert_allclose(share, 2, atol=0.3)


def test_the_y_label_stands_above_the_y_axis() -> None:
    series = {str(number): [(1.0, NAN, NAN)] for number in range(9)}  # three rows of names
    with_label, without = (np.asarray(chart(["x"], series, title="t", y_label=y)) for y in ("label of y", ""))
    rows, columns = (with_label != without).any(axis=2).nonzero()
    assert 73 < rows.min() <= rows.max() < PLOT[0].start - 5
    assert columns.min() < PLOT[1].start


def test_series_as_long_as_their_labels() -> None:
    with pytest.raises(ValueError, match="expected 2 points"):
        chart(["x", "y"], {"a": [(1.0, NAN, NAN)]}, title="t", y_label="y")
