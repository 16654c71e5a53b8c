"""Samples made ready for the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from asam.data import Dataset as SampleDataset
from asam.data import Sample
from asam.data.augment import Augment
from asam.data.base import ArrayDataset
from asam.prompts import PERTURBATIONS, rater_box, widest_box
from asam.training.config import TrainConfig
from asam.training.failures import UnreadableSample
from asam.training.network_config import NetworkConfig
from asam.training.questions import Question, ask
from asam_trt.geometry import Frame, resize_image
from asam_trt.jitter import moved_box
from asam_trt.mask_prompt import in_model_space, mask_logits

AUGMENT = Augment(flip=0.5, flip_vertical=0.5, degrees=30, shift=0.05, scale=(0.8, 1.25))

Item = dict[str, np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where one item stands in a run: its sample and its own stream of random numbers."""

    sample: int
    serial: int  # items drawn since the start of the run


@dataclass(frozen=True)
class Unreadable:
    """Stands for an item whose sample could not be read; a worker process hands it over like any other."""

    problem: str


# ValueError is what data sets raise for a damaged file (DataError), OSError for one that is gone; the others come
# from readers that expected something else of a file, and from samples that nothing can be made of.
UNREADABLE = (ValueError, OSError, TypeError, AttributeError, LookupError, ArithmeticError)


def named(data: SampleDataset[Sample], index: int) -> str:
    """A sample by its place and, where the data set tells it, its id."""
    name = str(data.ids[index]) if hasattr(data, "ids") else "unnamed"
    return f"sample {index} ({name})"


def described(error: Exception) -> str:
    """The message; with its type where it has but a key or a number."""
    return repr(error) if isinstance(error, LookupError | ArithmeticError) else str(error)


def check_validation(
    data: SampleDataset[Sample],
    places: Sequence[int],
    model: NetworkConfig,
    on_sample: Callable[[int, int], Any],
) -> None:
    """Read validation samples and make their images ready as for the network.

    Args:
        data: what is read.
        places: of the samples.
        on_sample: called with (done, total) after each.

    Raises:
        UnreadableSample: the first that cannot be read or made ready; names it.
    """
    for done, place in enumerate(places, start=1):
        try:
            resize_image(data[place].image, model.image_size, model.pixel_mean, model.pixel_std)
        except UNREADABLE as error:
            raise UnreadableSample(f"validation {named(data, place)}: {described(error)}") from error
        on_sample(done, len(places))


class LastRead(ArrayDataset[Sample]):
    """A data set that remembers the place it was asked for last."""

    def __init__(self, data: SampleDataset[Sample]) -> None:
        super().__init__(ids=data.ids, groups=data.groups)
        self.data, self.index = data, 0

    def _load(self, index: int) -> Sample:
        self.index = index
        return self.data[index]

    @property
    def name(self) -> str:
        """Of the sample that was asked for last."""
        return named(self.data, self.index)


class TrainingItems(Dataset[Item | Unreadable]):
    """Samples made ready: augmented, prompt drawn and perturbed, rater drawn, image resized, noise drawn."""

    def __init__(self, data: SampleDataset[Sample], model: NetworkConfig, config: TrainConfig) -> None:
        self.data, self.model, self.config = data, model, config

    def __getitem__(self, place: Place) -> Item | Unreadable:
        try:
            return self._item(self.data[place.sample], place)
        except UNREADABLE as error:
            return Unreadable(f"training {named(self.data, place.sample)}: {described(error)}")

    def _item(self, sample: Sample, place: Place) -> Item:
        config = self.config
        rng = np.random.default_rng([config.seed, 1, place.serial])
        if config.augment:
            sample = AUGMENT(sample, seed=int(rng.integers(2**63)))
        size = sample.image.shape[:2]
        widest = widest_box(sample.masks)
        widest = sample.box if widest is None else widest
        asked = sample.box if config.box == "smallest" else widest
        box = PERTURBATIONS[config.perturbation](asked, (size[0], size[1]), rng)
        # A stream of its own: the kinds of prompts do not change which raters and noise are drawn.
        stream = np.random.default_rng([config.seed, 2, place.serial])
        unmoved = moved_box(asked, (size[0], size[1]), np.ones(2), np.zeros(2))
        question = ask(sample, box, config.prompts, stream, unmoved=unmoved)
        model = self.model
        image, frame = resize_image(
            sample.image, model.image_size, model.pixel_mean, model.pixel_std, cell=model.cell
        )
        raters = np.stack([in_model_space(mask, frame) for mask in sample.masks])
        valid = np.zeros((frame.side, frame.side), dtype=np.float32)
        valid[: frame.input[0], : frame.input[1]] = 1
        latent = model.latent
        points, labels = question.tokens()
        drawn = int(rng.choice(len(raters), p=sample.weights / sample.weights.sum()))
        marked = rater_box(sample.masks[drawn])
        return {
            "images": image,
            "points": frame.to_model_coords(points),
            "labels": labels,
            "mask_inputs": _mask_input(question, frame),
            "has_mask": np.array(question.mask is not None),
            "target": raters[drawn],
            "target_box": frame.to_model_boxes(widest if marked is None else marked),
            "valid": valid,
            "raters": raters,
            "weights": sample.weights,
            "eps": rng.standard_normal((2, latent), dtype=np.float32),
            "prior_eps": rng.standard_normal((config.prior_samples, 2, latent), dtype=np.float32),
            "seeds": np.array(rng.integers(2**63)),
        }


def _mask_input(question: Question, frame: Frame) -> np.ndarray:
    """Logits [1, 4e, 4e] of an earlier mask, zeros where there is none."""
    if question.mask is None:
        return np.zeros((1, frame.logits_side, frame.logits_side), dtype=np.float32)
    return mask_logits(question.mask, frame)[None]
