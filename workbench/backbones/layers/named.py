"""Layers whose variables can be filled from a checkpoint at the moment they are created."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common.name_scope import current_path

from workbench.backbones.weights import initializer as named_initializer


class Named:
    """Mix-in before a Keras layer: every variable asks the weight loader first.

    The name asked for is the variable's path in the backbone, such as
    `decoder_block_3/attention/query/kernel`. With no load under way the layer's own
    initializer is used.
    """

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        *args: Any,
        name: Any = None,
        **kwargs: Any,
    ) -> keras.Variable:
        source = named_initializer(f"{current_path()}/{name}", initializer)
        return super().add_weight(shape, source, *args, name=name, **kwargs)


class Projection(Named, keras.layers.EinsumDense):
    """A linear map given as an einsum; carries LoRA and quantisation as Keras implements them."""


class Linear(Named, keras.layers.Dense):
    """A linear map on the last axis; carries LoRA and quantisation as Keras implements them."""


class TokenEmbedding(Named, keras.layers.ReversibleEmbedding):
    """Token ids to vectors and, with `reverse=True`, vectors to logits."""
