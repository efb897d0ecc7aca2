"""The encoder: blocks that look both ways, on token vectors somebody else has made."""

from __future__ import annotations

from typing import Any

import jax
import keras

from workbench.backbones.block import make_block
from workbench.backbones.config import PostNorm, StackConfig
from workbench.backbones.decoder import input_layers, placed
from workbench.backbones.layers.norms import make_norm


class Encoder:
    """The layers of an encoder, their names beginning with `prefix`; the model that runs them
    owns them."""

    def __init__(
        self, config: StackConfig, init: Any, dtype: Any, prefix: str = "encoder_"
    ) -> None:
        self.prepare = input_layers(config, init, dtype, prefix)
        self.blocks = [
            make_block(config, spec, init, dtype=dtype, name=f"{prefix}block_{i}")
            for i, spec in enumerate(config.layers)
        ]
        self.finish = output_layers(config, dtype, prefix)

    def run(self, x: jax.Array, padding_mask: jax.Array | None = None) -> jax.Array:
        """Hidden states (B, S, width) for vectors of that shape; a mask (B, S) hides places."""
        x = placed(self.prepare, x)
        for block in self.blocks:
            x = block(x, padding_mask)
        for layer in self.finish:
            x = layer(x)
        return x


def output_layers(config: StackConfig, dtype: Any, prefix: str) -> list[keras.layers.Layer]:
    """What follows the last block: nothing in post-norm models, which end with a norm anyway."""
    if isinstance(config.block, PostNorm):
        return []
    layers: list[keras.layers.Layer] = [
        make_norm(config.norm, dtype=dtype, name=f"{prefix}final_norm")
    ]
    if config.dropout:
        name = f"{prefix}final_dropout"
        layers.append(keras.layers.Dropout(config.dropout, dtype=dtype, name=name))
    return layers
