"""Layers whose variables take their values from a checkpoint when they are created."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.keras_types import LayerMixin, array_of
from workbench.backbones.layers.integers import Shape
from workbench.backbones.layers.low_rank import Adaptable, merged
from workbench.backbones.layers.quantizable import IntegerMatrix, Matrix, Quantizable
from workbench.backbones.saved_variables import (
    Store,
    notes_problems,
    read_variables,
    write_variables,
)
from workbench.backbones.sharding import making
from workbench.backbones.weights import initializer as named_initializer
from workbench.errors import SettingError
from workbench.keras_internals import (
    KERNEL,
    TABLE,
    current_path,
    delete_variable,
    mark_quantized,
)


class Named(LayerMixin):
    """Mix-in before a Keras layer: every variable asks the weight loader for its value.

    It asks by the variable's path in the backbone, such as
    `decoder_block_3/attention/query/kernel`. Without a loader the layer's own initializer is used.
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

    def get_config(self) -> dict[str, Any]:
        """Refuse: Keras calls it to clone layer by layer, which would duplicate shared layers."""
        raise SettingError(
            "clone_model: a single layer cannot be cloned. Clone the whole model: "
            "type(model).from_config(model.get_config()) makes one with new weights, "
            "copy.deepcopy(model) one with the same"
        )

    def save_own_variables(self, store: Store) -> None:
        """Write the layer; called by Keras."""
        write_variables(self, store)

    @notes_problems
    def load_own_variables(self, store: Store) -> None:
        """Read the layer; called by Keras.

        Raises:
            PresetError: a variable is missing or does not fit.
        """
        values = {name: store[name] for name in store.keys()}  # noqa: SIM118
        read_variables(self, self._as_here(values))

    def _as_here(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Convert a file's values to the form that the layer holds."""
        return values


class Projection(Adaptable, Quantizable, Named, keras.layers.EinsumDense):
    """A linear map given as an einsum such as `"btd,hkd->bthk"`, the kernel's input axes last.

    A row of the kernel gives one output number, so decoding reads memory in order, which is faster
    on CPU.
    """

    first_matrix = "kernel"

    def call(self, inputs: jax.Array, training: bool | None = None) -> jax.Array:
        # A matrix product: XLA would copy a kernel of three axes in every call.
        kernel = array_of(self.kernel)
        rows = inputs.reshape(math.prod(inputs.shape[:2]), -1)
        matrix = kernel.reshape(-1, rows.shape[-1])
        made = (matrix @ rows[0])[None] if len(rows) == 1 else jnp.einsum("nd,od->no", rows, matrix)
        return self._finished(self._updated(made, rows, training), inputs)

    def quantized_call(self, inputs: jax.Array, training: bool | None = None) -> jax.Array:
        rows = inputs.reshape(math.prod(inputs.shape[:2]), -1)
        made = self._integers.value.product(rows)
        return self._finished(self._updated(made, rows, training), inputs)

    def enable_lora(self, rank: int, *args: Any, **kwargs: Any) -> None:
        """Refuse: adapters belong to the whole backbone."""
        raise SettingError(f"{self.path}: enable_lora: call the backbone's enable_lora instead")

    def _finished(self, made: jax.Array, inputs: jax.Array) -> jax.Array:
        made = made.reshape(*inputs.shape[:2], *self.partial_output_shape[1:])
        return made if self.bias is None else made + self.bias.value

    @property
    def kernel(self) -> Any:
        """The kernel without an update: a variable, or the floats decoded from integers."""
        if self.quantization_mode is None:
            return super().kernel
        return self._integers.floats.reshape(self._integers.matrix.shape)

    @property
    def merged_kernel(self) -> jax.Array:
        """The kernel with the active update added, in the kernel's dtype."""
        kernel = array_of(self.kernel)
        return kernel if self.in_use is None else merged(kernel, self.in_use.low_rank)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The kernel's (outputs, inputs), with axes merged."""
        outputs, inputs = self.kernel_axes
        return math.prod(outputs), math.prod(inputs)

    @property
    def kernel_axes(self) -> tuple[Shape, Shape]:
        """The sizes of the kernel's output axes, and of its input axes."""
        outputs = len(self.partial_output_shape) - 1
        held = self.quantization_mode is not None
        shape = tuple(self._integers.matrix.shape if held else getattr(self, KERNEL).shape)
        return shape[:outputs], shape[outputs:]

    def quantized_build(  # pyright: ignore[reportIncompatibleMethodOverride]  # as EinsumDense
        self, kernel_shape: Sequence[int], mode: str, config: Any = None
    ) -> None:
        self._hold(mode, self._matrix(tuple(kernel_shape)))
        mark_quantized(self)

    def _release(self) -> Iterator[tuple[Matrix, np.ndarray]]:
        values = np.asarray(getattr(self, KERNEL))
        delete_variable(self, KERNEL)
        yield self._matrix(values.shape), values

    def _matrix(self, shape: Shape) -> Matrix:
        outputs = len(self.partial_output_shape) - 1
        return Matrix("kernel", shape[:outputs], shape[outputs:])

    def _keep(self, integers: IntegerMatrix) -> None:
        self._integers = integers


class TokenEmbedding(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras's compute_mask
    Quantizable, Named, keras.layers.ReversibleEmbedding
):
    """Maps token ids to vectors and, with `reverse=True`, vectors to logits.

    If the two tables are not tied, the integers of the second have one row a token too.
    """

    first_matrix = "embeddings"

    def quantized_call(self, inputs: jax.Array, reverse: bool = False) -> jax.Array:
        return self._logits(inputs) if reverse else self._vectors(inputs)

    def _vectors(self, ids: jax.Array) -> jax.Array:
        table = self._embeddings_integers
        some = type(table.value)(*(part[ids.reshape(-1)] for part in table.value))
        return some.floats(self.output_dim).astype(self.compute_dtype).reshape(*ids.shape, -1)

    def _logits(self, hidden: jax.Array) -> jax.Array:
        tied = self.tie_weights
        table = self._embeddings_integers if tied else self._reverse_embeddings_integers
        made = table.value.product(hidden.reshape(-1, self.output_dim))
        logits = made.reshape(*hidden.shape[:-1], self.input_dim)
        cap = self.logit_soft_cap
        return logits if cap is None else jnp.tanh(logits / cap) * cap

    def quantized_build(  # pyright: ignore[reportIncompatibleMethodOverride]  # as ReversibleEmbedding
        self, embeddings_shape: Sequence[int], mode: str, config: Any = None
    ) -> None:
        for name in self.matrix_names:
            self._hold(mode, self._matrix(name))
        mark_quantized(self)

    def _release(self) -> Iterator[tuple[Matrix, np.ndarray]]:
        values = np.asarray(getattr(self, TABLE))
        delete_variable(self, TABLE)
        yield self._matrix("embeddings"), values
        if not self.tie_weights:
            values = np.asarray(self.reverse_embeddings).T
            delete_variable(self, "reverse_embeddings")
            yield self._matrix("reverse_embeddings"), values

    @property
    def matrix_names(self) -> tuple[str, ...]:
        return ("embeddings",) if self.tie_weights else ("embeddings", "reverse_embeddings")

    def _matrix(self, name: str) -> Matrix:
        return Matrix(name, (self.input_dim,), (self.output_dim,))

    def _keep(self, integers: IntegerMatrix) -> None:
        setattr(self, f"_{integers.matrix.name}_integers", integers)
