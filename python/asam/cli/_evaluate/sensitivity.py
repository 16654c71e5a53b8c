"""Measure how each mask of a network changes when the box moves by 5 px: figure 1 of the paper.

For an A-SAM both latents stay at their means, and its outputs are the ensemble and each mask token's part of it; for an
official checkpoint of SAM, MobileSAM or LiteMedSAM they are its single mask and its three of rising granularity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asam.assets import checkpoint_file
from asam.cli._outputs import check_outputs, files_of_model
from asam_trt.counting import counted

if TYPE_CHECKING:
    from asam.studies.sensitivity import Outputs


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate sensitivity``."""

    model: Path
    """Checkpoint of an A-SAM (.safetensors), or with --sam an official sam_vit_*.pth, mobile_sam.pt or
    lite_medsam.pth."""
    data: str
    """Data set by name, such as lidc-crops or synthetic:pair."""
    output: Path
    """Folder of sensitivity.json, sensitivity.md and sensitivity.png."""
    sam: Literal["vit_b", "vit_l", "vit_h", "vit_t", "lite_medsam"] | None = None
    """The model is an official SAM checkpoint of this backbone; vit_t is MobileSAM's, lite_medsam LiteMedSAM's."""
    root: Path | None = None
    """Folder that holds the data set."""
    split: str = "validate"
    """train, validate or test."""
    split_scheme: Literal["group", "index-order"] | None = None
    """How data without splits of its own is divided; index-order mixes patients. By default as the model's run divided
    it where its config.json lies beside the model, else by group."""
    manifest: Path | None = None
    """Division to take, a file of `asam data split`; it replaces the splits that the data come with, where they do. By
    default that of the model's run, where it had one."""
    size: int | None = None
    """Image side of a synthetic data set; by default 128."""
    shift: float = 5.0
    """Of the box, in pixels of a 128-pixel image."""
    seed: int = 0
    """Of the bootstrap."""
    limit: int | None = None
    """Look at this many samples only, evenly spread; by default all."""


def run(args: Args) -> int:
    """Measure, print the tables, write them and the plot."""
    from asam.cli._evaluate.common import open_judged, write_picture, write_report
    from asam.evaluate.provenance import of_model, of_software
    from asam.progress import bars
    from asam.studies.sensitivity import plot, sensitivity, table

    args = replace(args, model=checkpoint_file(args.model))
    targets = [args.output / f"sensitivity.{suffix}" for suffix in ("json", "md", "png")]
    check_outputs(targets, (*files_of_model(args.model), args.root))
    data, judged = open_judged(args, (args.model,))
    network = _network(args)
    with bars() as start:
        found = sensitivity(
            network,
            data,
            shift=args.shift,
            seed=args.seed,
            limit=args.limit,
            on_sample=start(args.model.name),
        )
    head = (
        f"{judged}, {counted(found.samples, 'sample')} of {counted(found.groups, 'group')} that "
        "are asked by a box; 95 percent intervals by group bootstrap"
    )
    text = f"{head}\n\n{table({args.model.stem: found})}"
    print(text + "\n")
    document = {
        "data": judged.to_dict(),
        "models": [of_model(args.model)],
        "software": of_software(),
        "sensitivity": found.to_dict(),
    }
    write_report(args.output / "sensitivity.json", document, text)
    title = f"{args.model.stem}, box moved by {args.shift:g} px of 128"
    write_picture(args.output / "sensitivity.png", plot(found, title))
    return 0


def _network(args: Args) -> Outputs:
    from asam.model import load_checkpoint
    from asam.studies.sensitivity import AsamOutputs, SamOutputs

    if args.sam is None:
        return AsamOutputs(load_checkpoint(args.model))
    from segment_anything.modeling import Sam

    from asam.plain_sam import PlainSam

    network = PlainSam.read(args.model, masks="multi").network
    config = network.config
    if config.backbone != args.sam:
        raise ValueError(
            f"{args.model}: expected SAM's checkpoint of {args.sam}, got that of {config.backbone}"
        )
    scale = list(config.pixel_mean), list(config.pixel_std)
    sam = Sam(network.image_encoder, network.prompt_encoder, network.mask_decoder, *scale)
    sam.image_encoder.img_size = config.image_size  # SamPredictor looks for it; TinyViT has none
    return SamOutputs(sam.eval())
