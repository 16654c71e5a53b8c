"""A long video in a loop: does memory or the number of open files grow?

python benchmarks/soak.py --frames 20000
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import asam_trt
from asam_trt.sources import RawFrame, Source
from asam_trt.video import VideoSampler


class Loop(Source):
    """Pictures over and over, decoded ahead as a file is."""

    def __init__(self, pictures: list[np.ndarray], frames: int) -> None:
        super().__init__("the loop", length=frames)
        self._pictures, self._frames = pictures, frames

    def frames(self) -> Iterator[RawFrame]:
        for i in range(self._frames):
            yield RawFrame(self._pictures[i % len(self._pictures)].copy(), i, i / 25)


def resident() -> int:
    """Resident memory of this process, KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("expected VmRSS in /proc/self/status")


def main() -> None:
    """Run the loop, and end with status 1 where memory grows by 1 percent or more, or descriptors leak."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, help="by default the network that ships is built")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--settled", type=int, default=2_000, help="frames before memory counts")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 426), metavar=("H", "W"))
    options = parser.parse_args()
    if not 0 < options.settled < options.frames:
        parser.error(f"expected 0 < --settled < --frames, came {options.settled} and {options.frames}")

    with tempfile.TemporaryDirectory() as folder:
        engine = options.engine
        if engine is None:
            from asam.assets import NANO

            engine = asam_trt.build_engine(NANO, Path(folder) / "nano.asam", progress=False)
        h, w = options.size
        y, x = np.mgrid[:h, :w]
        pictures = []
        for i in range(50):
            picture = np.random.default_rng(i).integers(0, 80, (h, w, 3), dtype=np.uint8)
            picture[(x - w / 3 - i) ** 2 + (y - h / 2) ** 2 < (h / 5) ** 2] += 120
            pictures.append(picture)
        box = (w / 3 - h / 4, h / 4, w / 3 + h / 4, 3 * h / 4)
        with asam_trt.Session(engine) as session:
            sampler = VideoSampler(session)
            start, settled, files, peak = time.perf_counter(), 0, 0, 0
            for frame, hypotheses in sampler.run(Loop(pictures, options.frames), box=box, n=options.n):
                hypotheses.area()
                if frame.index == options.settled:
                    settled, files = resident(), len(os.listdir("/proc/self/fd"))
                elif frame.index > options.settled and frame.index % 100 == 0:
                    peak = max(peak, resident())
                if frame.index % 2000 == 0:
                    print(f"frame {frame.index}: {resident() / 1024:.1f} MiB", flush=True)
            seconds = time.perf_counter() - start
            last, open_files = resident(), len(os.listdir("/proc/self/fd"))
    growth = last / settled - 1
    print(
        f"{options.frames} frames of {w} x {h}, n = {options.n}: {options.frames / seconds:.1f} frames/s; "
        f"after frame {options.settled} {settled / 1024:.1f} MiB, at the end {last / 1024:.1f} MiB ({growth:+.2%}), "
        f"highest between {peak / 1024:.1f} MiB; open files {files} and {open_files}"
    )
    if growth >= 0.01 or open_files > files:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
