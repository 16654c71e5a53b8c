"""Checkpoints: our own (safetensors with the configuration in its header), SAM's official ones and MobileSAM's."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional

from asam.model.combiner_start import let_through
from asam.model.config import ModelConfig
from asam.model.errors import CheckpointError
from asam.model.lora import is_adapter
from asam.model.parameters import group_of
from asam.model.published_file import read_epochs
from asam.model.sam_file import PARTS, backbone_of, read_sam, used
from asam.model.torch_file import KINDS, POSITION, TOKENS, check_dense, is_pickle
from asam.model.torch_zip import is_torch_file
from asam_trt.files import replacing

if TYPE_CHECKING:
    from asam.model.ensemble import EpochEnsemble
    from asam.model.network import ASAM

FORMAT = 1
_HEADER = "asam"  # metadata key of the configuration

_QUALITY = "mask_decoder.iou_prediction_head.layers."
_HYPER = "mask_decoder.output_hypernetworks_mlps."
_APART = 0.1  # distance of a copied mask token from its original, in standard deviations of SAM's tokens

_NAMED = 3  # tensors that are told by name

_log = logging.getLogger("asam")


def save(model: ASAM, path: str | PathLike[str]) -> None:
    """Write ``model`` to one safetensors file, under a temporary name first."""
    header = json.dumps({"format": FORMAT, "config": model.config.to_dict()}, sort_keys=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_HEADER: header})


@overload
def load(path: str | PathLike[str], *, epochs: int | None = ...) -> ASAM: ...
@overload
def load(path: str | PathLike[str], *, epochs: Sequence[int]) -> EpochEnsemble: ...
def load(path: str | PathLike[str], *, epochs: int | Sequence[int] | None = None) -> ASAM | EpochEnsemble:
    """Read a checkpoint, in evaluation mode, on the CPU.

    Two formats: what :meth:`asam.ASAM.save` writes, and the published A-SAM weights (``.pth``, several epochs in one
    file, read as weights only), which become a network of the preset ``a2sam``. Which epochs a published file has, and
    which of them were taken, goes to the log "asam".

    Args:
        path: the file.
        epochs: of a published file: one epoch, or several that are to answer together, as the published evaluation
            has it (10, 20, 30 and 50). None takes the last one.

    Raises:
        CheckpointError: the file is missing, truncated, foreign, or does not fit its own configuration; or an epoch
            that it does not have.
    """
    file = _existing(path)
    if is_torch_file(file):
        if epochs is None or isinstance(epochs, int):
            found = read_epochs(file, None if epochs is None else (epochs,))
            return next(iter(found.values()))
        from asam.model.ensemble import EpochEnsemble

        if not epochs or len(set(epochs)) < len(epochs):
            raise ValueError(f"epochs: expected some, each once, got {list(epochs)}")
        return EpochEnsemble(read_epochs(file, tuple(epochs)))
    if epochs is not None:
        raise ValueError(f"{file}: expected epochs with published weights only; this file holds one network")
    return _load_own(file)


def _load_own(file: Path) -> ASAM:
    from asam.model.network import ASAM

    try:
        with safe_open(file, framework="pt") as reader:
            header = (reader.metadata() or {}).get(_HEADER)
            if header is None:
                raise CheckpointError(
                    f"{file}: expected a checkpoint written by asam (header key '{_HEADER}'), got a safetensors "
                    "file without it; load it with the program that wrote it"
                )
            tensors = {k: reader.get_tensor(k) for k in reader.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        if is_pickle(file):
            raise CheckpointError(
                f"{file}: expected {KINDS}, got what looks like a pickle, or a file of PyTorch before 1.6; "
                "save its state dict again with torch.save of a newer PyTorch"
            ) from error
        raise CheckpointError(f"{file}: expected a whole safetensors file, got: {error}") from error

    config = _config(file, header)
    with torch.device("meta"):  # nothing of the header's sizes is allocated before the file has the tensors
        expected = ASAM(config).state_dict()
    check_tensors(file, expected, tensors)
    model = ASAM(config)
    model.load_state_dict(tensors)
    return model.eval()


class SamReport(NamedTuple):
    """What :func:`load_sam` did with the tensors; prints as a few lines.

    resized: position tables fitted to the model's grid. repeated: mask tokens that began as copies of others.
    fresh: tensors of the model that are not of the file. unused: tensors of the file that the model has not taken.
    """

    resized: tuple[str, ...]
    repeated: tuple[int, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        fresh = Counter(group_of(key) for key in self.fresh)
        named = ", ".join(f"{group} ({n} tensors)" for group, n in fresh.items())
        lines = [f"resized: {len(self.resized)} position tables", f"fresh: {named or 'nothing'}"]
        if self.repeated:
            lines.append(f"mask tokens that begin as copies: {', '.join(map(str, self.repeated))}")
        if self.unused:
            others = len(self.unused) - _NAMED
            lines.append(
                f"unused: {', '.join(self.unused[:_NAMED])}{f' and {others} more' if others > 0 else ''}"
            )
        return "\n".join(lines)


def load_sam(model: ASAM, path: str | PathLike[str]) -> SamReport:
    """Read the SAM part of ``model`` from a file of SAM's tensors.

    These are an official ``sam_vit_*.pth``, MobileSAM's ``mobile_sam.pt`` (vit_t) and LiteMedSAM's ``lite_medsam.pth``.

    Absolute position tables and the relative ones of global blocks are resized to the model's grid; windowed ones fit
    as they are. Mask tokens, hyper-networks and quality outputs beyond SAM's repeat its multimask ones in turn,
    so that the ensemble begins as an average of masks that SAM knows, not as a sum with untrained ones. Where the
    model's configuration says ``start="single"`` they are those of SAM's single mask and copies of them; with
    ``start="fresh"`` all of these stay as they are. Combiners begin as the identity, unless it says
    ``combiners="fresh"``.

    What a TinyViT's file has of its training alone, a classifier and counts of batches, is left out.

    Raises:
        CheckpointError: the file is missing, damaged, holds anything but tensors, or is of another backbone.
    """
    file = _existing(path)
    found = used(read_sam(file))
    own = model.state_dict()
    for name, value in found.items():
        if name in own or name.startswith((_QUALITY, _HYPER)):
            check_dense(file, name, value)
    backbone = backbone_of(file, found)
    if backbone not in (None, model.config.backbone):
        raise CheckpointError(
            f"{file}: expected weights of backbone {model.config.backbone}, got those of {backbone}; choose the "
            f"backbone that the file was trained with, {backbone}"
        )

    given: dict[str, torch.Tensor] = found
    repeated: tuple[int, ...] = ()
    left: frozenset[str] = frozenset()
    if model.config.start != "fresh":
        single = model.config.start == "single"
        given, repeated, left = _for_mask_tokens(file, found, model.config.mask_tokens, single=single)
    loaded: dict[str, torch.Tensor] = {}
    for key in (k for k in own if _is_given(k, model.config)):
        if key not in given:
            raise CheckpointError(f"{file}: expected {key} {tuple(own[key].shape)}, got no such tensor")
        fitted = _fit(key, given[key].float(), own[key].shape)
        if fitted is None:
            raise CheckpointError(
                f"{file}: expected {key} {tuple(own[key].shape)} for backbone {model.config.backbone}, "
                f"got {tuple(given[key].shape)}; choose the backbone that the file was trained with"
            )
        _check_numbers(file, key, fitted)
        loaded[key] = fitted
    model.load_state_dict({**own, **loaded})
    if model.config.combiners == "identity":
        let_through(model)
    report = SamReport(
        resized=tuple(k for k, v in loaded.items() if v.shape != given[k].shape),
        repeated=repeated,
        fresh=tuple(k for k in own if k not in loaded),
        unused=tuple(k for k in found if k not in loaded or k in left),
    )
    _log.info("%s:\n%s", file, report)
    return report


def _is_given(key: str, config: ModelConfig) -> bool:
    """Whether a tensor of the model begins as the file's."""
    new_head = config.start == "fresh" and key.startswith((TOKENS, _HYPER, _QUALITY))
    return key.startswith(PARTS) and not is_adapter(key) and not new_head


def _for_mask_tokens(
    file: Path, found: dict[str, torch.Tensor], mask_tokens: int, *, single: bool
) -> tuple[dict[str, torch.Tensor], tuple[int, ...], frozenset[str]]:
    """SAM's tensors with a mask token in place 0, which forms no mask, and ``mask_tokens`` others.

    Args:
        single: whether these are SAM's single-mask token and copies of it, not the multimask ones in turn.

    Returns:
        The tensors, which of the tokens are copies, and the file's hyper-networks that none of them has.
    """
    table = found.get(TOKENS)
    if table is None or table.ndim != 2 or len(table) < 2:
        got = "no such tensor" if table is None else tuple(table.shape)
        raise CheckpointError(f"{file}: expected {TOKENS} of two or more rows, got {got}")
    have = len(table) - 1
    if single:
        # Tokens attend to each other, and SAM's single-mask one to the multimask ones: one of these in place 0, which
        # forms no mask, leaves the start nearer to SAM's answer than another copy there would.
        source, own = [1] + [0] * mask_tokens, 2
    else:
        source, own = [0] + [(k - 1) % have + 1 for k in range(1, mask_tokens + 1)], have + 1

    given = dict(found)
    rows = table[source].float()
    # Equal tokens would get equal gradients and stay equal for good: set the copies a little apart.
    apart = torch.randn(rows[own:].shape, generator=torch.Generator().manual_seed(0))
    rows[own:] += _APART * table.float().std() * apart
    given[TOKENS] = rows
    for key in (k for k in found if k.startswith(_QUALITY) and found[k].shape[:1] == (have + 1,)):
        given[key] = found[key][source]
    for k, origin in enumerate(source):
        for key in (name for name in found if name.startswith(f"{_HYPER}{origin}.")):
            given[f"{_HYPER}{k}.{key.removeprefix(f'{_HYPER}{origin}.')}"] = found[key]
    taken = tuple(f"{_HYPER}{origin}." for origin in source)
    left = frozenset(key for key in found if key.startswith(_HYPER) and not key.startswith(taken))
    return given, tuple(range(own, mask_tokens + 1)), left


def _existing(path: str | PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no such file"
        raise CheckpointError(f"{file}: expected a checkpoint file, got {what}")
    return file


def _config(file: Path, header: str) -> ModelConfig:
    try:
        values = json.loads(header)
        if values["format"] != FORMAT:
            raise CheckpointError(
                f"{file}: expected checkpoint format {FORMAT}, got {values['format']!r}; "
                "read it with the version of asam that wrote it"
            )
        if "kind" in values:
            raise CheckpointError(
                f"{file}: expected an A-SAM, got {values['kind']!r}; asam.baselines.load reads it"
            )
        return ModelConfig.from_dict(values["config"])
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file}: expected a readable model configuration, got: {error!r}") from error


def check_tensors(
    file: Path,
    expected: Mapping[str, torch.Tensor],
    found: Mapping[str, torch.Tensor],
    *,
    same_dtype: bool = False,
) -> None:
    """Refuse tensors read from a file that cannot take the place of others.

    Args:
        file: named in errors.
        expected: of those, shapes and dtypes alone count.
        same_dtype: whether another dtype is refused too.

    Raises:
        CheckpointError: one is missing, too many, of another shape or dtype, sparse or not finite; names it.
    """
    for key, like in expected.items():
        if key not in found:
            raise CheckpointError(f"{file}: expected {key} {tuple(like.shape)}, got no such tensor")
        value = found[key]
        if value.shape != like.shape:
            raise CheckpointError(f"{file}: expected {key} {tuple(like.shape)}, got {tuple(value.shape)}")
        if same_dtype and value.dtype != like.dtype:
            raise CheckpointError(f"{file}: expected {key} of {like.dtype}, got {value.dtype}")
        check_dense(file, key, value)
        _check_numbers(file, key, value)
    if extra := sorted(set(found) - set(expected)):
        raise CheckpointError(f"{file}: expected only the model's own tensors, got also {extra[:5]}")


def _check_numbers(file: Path, key: str, value: torch.Tensor) -> None:
    if not torch.isfinite(value).all():
        raise CheckpointError(f"{file}: expected finite numbers in {key}, got NaN or infinity")
    if key.endswith(".running_var") and (value < 0).any():
        raise CheckpointError(f"{file}: expected variances in {key}, got less than 0")


def _fit(key: str, value: torch.Tensor, shape: torch.Size) -> torch.Tensor | None:
    """``value`` in ``shape``, position tables resized as SAM resizes relative ones; None where it does not fit."""
    if value.shape == shape:
        return value
    if value.ndim != len(shape) or not value.numel() or value.shape[-1] != shape[-1]:
        return None
    if key == POSITION:
        grid = value.permute(0, 3, 1, 2)
        resized = functional.interpolate(grid, size=shape[1:3], mode="bilinear", align_corners=False)
        return resized.permute(0, 2, 3, 1)
    if key.endswith((".rel_pos_h", ".rel_pos_w")):
        line = value.T[None]
        return functional.interpolate(line, size=shape[0], mode="linear", align_corners=False)[0].T
    return None
