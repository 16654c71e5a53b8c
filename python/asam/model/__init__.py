"""The A-SAM network, its configuration and its checkpoints."""

from typing import TYPE_CHECKING

from asam.model.config import BACKBONES, Backbone, ModelConfig
from asam.model.errors import CheckpointError
from asam.model.presets import PRESETS, Preset, fresh_model
from asam.on_demand import names_from

if TYPE_CHECKING:
    from asam.model.adaptation import adapt, freeze, merged
    from asam.model.cache import EmbeddingCache
    from asam.model.checkpoint import SamReport, load_sam
    from asam.model.checkpoint import load as load_checkpoint
    from asam.model.ensemble import EpochEnsemble
    from asam.model.network import ASAM
    from asam.model.parameters import ParameterTable, trainable_parameters
else:
    __getattr__ = names_from(
        __name__,
        {
            "ASAM": "asam.model.network.ASAM",
            "EmbeddingCache": "asam.model.cache.EmbeddingCache",
            "EpochEnsemble": "asam.model.ensemble.EpochEnsemble",
            "ParameterTable": "asam.model.parameters.ParameterTable",
            "SamReport": "asam.model.checkpoint.SamReport",
            "adapt": "asam.model.adaptation.adapt",
            "freeze": "asam.model.adaptation.freeze",
            "load_checkpoint": "asam.model.checkpoint.load",
            "load_sam": "asam.model.checkpoint.load_sam",
            "merged": "asam.model.adaptation.merged",
            "trainable_parameters": "asam.model.parameters.trainable_parameters",
        },
    )

__all__ = [
    "ASAM",
    "BACKBONES",
    "PRESETS",
    "Backbone",
    "CheckpointError",
    "EmbeddingCache",
    "EpochEnsemble",
    "ModelConfig",
    "ParameterTable",
    "Preset",
    "SamReport",
    "adapt",
    "freeze",
    "fresh_model",
    "load_checkpoint",
    "load_sam",
    "merged",
    "trainable_parameters",
]
