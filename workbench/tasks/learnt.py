"""Samples of which nothing is learnt, such as pairs whose prompt fills the length: refused where
there are no others, and else counted and told.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from workbench.errors import DataError

_WHY = (
    "the prompt fills the preprocessor's sequence_length, or the text has fewer than two tokens. "
    "Raise sequence_length, or shorten the prompts"
)


def is_learnt(weights: Any) -> bool:
    """Whether any of a batch's weights is not 0; None weighs all alike."""
    return weights is None or bool(np.any(weights))


class Tally:
    """Counts the samples of a pass, and those of which no token is learnt.

    `call`: what the samples were given to, for messages.
    """

    def __init__(self, call: str) -> None:
        self.call, self._told = call, False
        self.clear()

    def clear(self) -> None:
        """Begin a pass."""
        self.samples = self.unlearnt = 0

    def see(self, weights: Any) -> None:
        """Count a batch by its weights (B, T). Weights of whole samples, (B,), are the user's."""
        weights = np.zeros(0) if weights is None else np.asarray(weights)
        if weights.ndim > 1:
            learnt = weights.any(axis=tuple(range(1, weights.ndim)))
            self.samples += len(learnt)
            self.unlearnt += int(np.count_nonzero(~learnt))

    def see_all(self, weights: Any) -> None:
        """Count all there is, and tell at once.

        Raises:
            DataError: nothing weighs anything.
        """
        if not is_learnt(weights):
            raise self.nothing(len(weights))
        self.see(weights)
        self.tell()

    def nothing(self, samples: int) -> DataError:
        """The error for samples of which nothing is learnt."""
        return DataError(
            f"{self.call}: expected a sample with a token to learn, got none among {samples}: "
            f"{_WHY}."
        )

    def tell(self) -> None:
        """Warn of the samples of which nothing was learnt, once."""
        if self.unlearnt and not self._told:
            self._told = True
            warnings.warn(
                f"{self.call}: {self.unlearnt} of {self.samples} samples have no token to learn: "
                f"{_WHY}.",
                stacklevel=2,
            )


class TellsUnlearnt(keras.callbacks.Callback):
    """Tells after the first pass over the samples that are trained on, and over those that are
    tested on."""

    def __init__(self, trained: Tally | None, tested: Tally) -> None:
        super().__init__()
        self._trained = tested if trained is None else trained
        self._tested = tested

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count."""
        self._trained.clear()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell what was trained on."""
        self._trained.tell()

    def on_test_begin(self, logs: Any = None) -> None:
        """Begin to count."""
        self._tested.clear()

    def on_test_end(self, logs: Any = None) -> None:
        """Tell what was tested on."""
        self._tested.tell()
