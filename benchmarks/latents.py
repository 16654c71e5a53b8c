"""Do antithetic and Sobol noise need fewer hypotheses? GED at equal n, and the error of the mean map.

python benchmarks/latents.py --engine nano.asam --data synthetic:mix
python benchmarks/latents.py --engine lidc.asam --data lidc-crops --root ../shared/data/lidc

GED is the squared V-statistic with IoU 1 for two empty masks, against the raters, mean over images and seeds. Error
of the mean map: its root mean square difference, over the pixels where they disagree, to the mean of 2,048
independent hypotheses of another seed. Differences to "iid" are paired by image; intervals are 95 percent, by
resampling images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import asam_trt
from asam.data import open_dataset
from asam.metrics import ged
from asam_trt.latents import DRAWS

_REFERENCE, _REFERENCE_SEED = 2048, 1 << 50


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--data", default="synthetic:mix")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="validate")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--n", type=int, nargs="*", default=[4, 8, 16, 32])
    options = parser.parse_args()

    found: dict[tuple[str, int], list[list[tuple[float, float]]]] = {
        (kind, n): [] for kind in DRAWS for n in options.n
    }
    with asam_trt.Session(options.engine) as session:
        data = open_dataset(options.data, options.root, options.split)
        for index in np.linspace(0, len(data) - 1, min(options.images, len(data))).astype(int):
            sample = data[int(index)]
            if sample.box is None:
                continue
            session.set_image(sample.image)
            reference = session.sample(box=sample.box, n=_REFERENCE, seed=_REFERENCE_SEED).mean
            unsure = (reference > 0.02) & (reference < 0.98)
            for (kind, n), rows in found.items():
                row = []
                for seed in range(options.seeds):
                    hyp = session.sample(box=sample.box, n=n, seed=seed, latents=kind)
                    error = np.sqrt(np.mean((hyp.mean - reference)[unsure] ** 2)) if unsure.any() else 0.0
                    row.append((ged(hyp.masks, sample.masks, form="V", empty="one"), float(error)))
                rows.append(row)
    images = len(next(iter(found.values())))
    print(f"{images} images of {options.data}, {options.seeds} seeds each")
    print("| n | latents | GED | difference to iid | error of the mean map | relative |")
    print("|---|---|---|---|---|---|")
    for n in options.n:
        plain = np.array(found["iid", n]).mean(axis=1)
        for kind in DRAWS:
            values = np.array(found[kind, n]).mean(axis=1)
            low, high = _interval(values[:, 0] - plain[:, 0])
            mean = values.mean(axis=0)
            print(
                f"| {n} | {kind} | {mean[0]:.4f} | {mean[0] - plain[:, 0].mean():+.4f} [{low:+.4f}, {high:+.4f}] | "
                f"{mean[1]:.4f} | {mean[1] / plain[:, 1].mean():.2f} |"
            )


def _interval(values: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
