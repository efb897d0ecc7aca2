"""Layers whose variables can be filled from a checkpoint at the moment they are created."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras.src.backend.common.name_scope import current_path

from workbench.backbones.layout import making
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
        with making(shape):
            return super().add_weight(shape, source, *args, name=name, **kwargs)


class Projection(Named, keras.layers.EinsumDense):
    """A linear map given as an einsum such as `"btd,hkd->bthk"`: input axes last in the kernel.

    A row of the kernel makes one number of the output, so decoding reads memory in order, which
    is faster on CPU. LoRA and quantisation are Keras's.
    """

    def call(self, inputs: jax.Array, training: bool | None = None) -> jax.Array:
        # As a product of matrices: XLA would copy a kernel of three axes at every call.
        kernel = keras.ops.convert_to_tensor(self.kernel)
        outputs = kernel.shape[: kernel.ndim - (inputs.ndim - 2)]
        rows = inputs.reshape(math.prod(inputs.shape[:2]), -1)
        matrix = kernel.reshape(-1, rows.shape[-1])
        made = matrix @ rows[0] if len(rows) == 1 else jnp.einsum("nd,od->no", rows, matrix)
        made = made.reshape(*inputs.shape[:2], *outputs)
        return made if self.bias is None else made + self.bias.value


class NamedDense(Named, keras.layers.Dense):
    """A dense layer of a head, kernel (in, out)."""


class TokenEmbedding(Named, keras.layers.ReversibleEmbedding):
    """Token ids to vectors and, with `reverse=True`, vectors to logits."""
