"""The encoder: blocks that look both ways, on token vectors somebody else has made."""

from __future__ import annotations

from typing import Any

import jax
import keras

from workbench.backbones.block import make_block
from workbench.backbones.config import DecoderConfig, PostNorm
from workbench.backbones.decoder import input_layers, placed
from workbench.backbones.layers.norms import make_norm


class Encoder:
    """The layers of an encoder, named `encoder_...`; the model that runs them owns them."""

    def __init__(self, config: DecoderConfig, init: Any, dtype: Any) -> None:
        self.prepare = input_layers(config, init, dtype, "encoder_")
        self.blocks = [
            make_block(config, spec, init, dtype=dtype, name=f"encoder_block_{i}")
            for i, spec in enumerate(config.layers)
        ]
        self.finish = output_layers(config, dtype, "encoder_")

    def run(self, x: jax.Array, padding_mask: jax.Array) -> jax.Array:
        """Hidden states (B, S, width) for token vectors of that shape and a mask (B, S)."""
        x = placed(self.prepare, x)
        for block in self.blocks:
            x = block(x, padding_mask)
        for layer in self.finish:
            x = layer(x)
        return x


def output_layers(config: DecoderConfig, dtype: Any, prefix: str) -> list[keras.layers.Layer]:
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
