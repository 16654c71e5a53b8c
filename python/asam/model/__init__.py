"""The A-SAM network, its configuration and its checkpoints."""

from asam.model.adaptation import adapt, freeze, merged
from asam.model.cache import EmbeddingCache
from asam.model.checkpoint import SamReport, load_sam
from asam.model.checkpoint import load as load_checkpoint
from asam.model.config import BACKBONES, Backbone, ModelConfig
from asam.model.ensemble import EpochEnsemble
from asam.model.errors import CheckpointError
from asam.model.network import ASAM
from asam.model.parameters import ParameterTable, trainable_parameters
from asam.model.presets import PRESETS, Preset, fresh_model

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
