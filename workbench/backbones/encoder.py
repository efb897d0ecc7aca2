"""The encoder: bidirectional blocks that read token, patch or frame vectors."""

from __future__ import annotations

from typing import Any

import keras

from workbench.backbones.block import make_block
from workbench.backbones.config import PostNorm, StackConfig
from workbench.backbones.decoder import input_layers, placed
from workbench.backbones.keras_types import Tensor
from workbench.backbones.layers.norms import make_norm


class Encoder:
    """The layers of an encoder, their names beginning with `prefix`. The model that runs them owns
    them."""

    def __init__(
        self, config: StackConfig, init: Any, dtype: Any, prefix: str = "encoder_"
    ) -> None:
        self.prepare = input_layers(config, init, dtype, prefix)
        self.blocks = [
            make_block(config, spec, init, dtype=dtype, name=f"{prefix}block_{i}")
            for i, spec in enumerate(config.layers)
        ]
        self.finish = output_layers(config, dtype, prefix)

    def run(self, x: Tensor, padding_mask: Tensor | None = None) -> Any:
        """Return hidden states (B, S, width) of vectors (B, S, width) and a padding mask (B, S)."""
        x = placed(self.prepare, x)
        for block in self.blocks:
            x = block(x, padding_mask)
        for layer in self.finish:
            x = layer(x)
        return x


def output_layers(config: StackConfig, dtype: Any, prefix: str) -> list[keras.layers.Layer]:
    """Make the layers after the last block: none in post-norm models, which end with a norm."""
    if isinstance(config.block, PostNorm):
        return []
    layers: list[keras.layers.Layer] = [
        make_norm(config.norm, dtype=dtype, name=f"{prefix}final_norm")
    ]
    if config.dropout:
        name = f"{prefix}final_dropout"
        layers.append(keras.layers.Dropout(config.dropout, dtype=dtype, name=name))
    return layers
