"""Keras's calls that change a model in several steps, made atomic."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras

from workbench.backbones.all_or_nothing import all_or_nothing, as_a_whole, backbone_of
from workbench.backbones.saved_variables import reading_weights
from workbench.backbones.training_claims import check_unclaimed
from workbench.keras_internals import ModelMixin


class WholeChanges(ModelMixin):
    """Mix-in before a Keras model: these calls succeed completely or change nothing."""

    def load_weights(self, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`: read a file written by `save_weights` or `save`.

        Raises:
            AdapterError: the file's adapters differ from the model's, or would have to be merged
                into integers.
            PresetError: the weights do not fit, or another package wrote the file.
            ModelInTrainingError: the model is being trained.
        """
        with self._changing(), reading_weights(filepath):
            super().load_weights(filepath, *args, **kwargs)

    def set_weights(self, weights: Any) -> None:
        """`keras.Model.set_weights`."""
        with self._changing():
            super().set_weights(weights)

    def set_state_tree(self, state_tree: Any) -> None:
        """`keras.Model.set_state_tree`."""
        with self._changing():
            super().set_state_tree(state_tree)

    def load_own_variables(self, store: Any) -> None:
        """`keras.Layer.load_own_variables`: all of Keras's ways to read weights begin with it."""
        check_unclaimed(self._changed())
        super().load_own_variables(store)

    @property
    def trainable(self) -> bool:
        """`keras.Model.trainable`."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        with self._changing():
            keras.Model.trainable.__set__(self, value)

    @property
    def dtype_policy(self) -> keras.DTypePolicy:
        """`keras.Model.dtype_policy`."""
        return super().dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        with self._changing():
            keras.Model.dtype_policy.__set__(self, value)

    def _changing(self) -> AbstractContextManager[None]:
        return all_or_nothing(self._changed(), self)

    def _compiling(self) -> AbstractContextManager[None]:
        return as_a_whole(self._changed(), self)

    def _changed(self) -> Any:
        """Return the backbone. (A method: Keras would save a property as a part of the model.)"""
        return backbone_of(self)
