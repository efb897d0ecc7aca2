"""Choose the layer for a feed-forward specification."""

from __future__ import annotations

from typing import Any

import keras

from workbench.backbones import config
from workbench.backbones.layers.mlp import DenseMLP, GatedMLP
from workbench.backbones.layers.moe import MoE, SharedMoE


def make_mlp(spec: config.Mlp, width: int, init: Any, **kwargs: Any) -> keras.layers.Layer:
    """Make the layer for a feed-forward specification; `width` is the residual stream's."""
    kinds = {config.Gated: GatedMLP, config.Dense: DenseMLP, config.MoE: _mixture}
    return kinds[type(spec)](spec, width, init, **kwargs)


def _mixture(spec: config.MoE, width: int, init: Any, **kwargs: Any) -> MoE:
    kind = MoE if spec.shared_width is None else SharedMoE
    return kind(spec, width, init, **kwargs)
