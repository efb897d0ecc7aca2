"""Samples without a token to learn, such as pairs whose prompt fills the length. Training warns
of how many there are, and is refused if there are no others.
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
    """Return whether any weight of a batch is not 0; None means equal weights."""
    return weights is None or bool(np.any(weights))


class Tally:
    """A count of the samples of a pass, and of those without a token to learn.

    `call`: the method that was given the samples, for messages.
    """

    def __init__(self, call: str) -> None:
        self.call, self._told = call, False
        self.clear()

    def clear(self) -> None:
        """Set the counts to 0, at the start of a pass."""
        self.samples = self.unlearnt = 0

    def see(self, weights: Any) -> None:
        """Count a batch by its weights (B, T). Weights per sample (B,) are the user's: ignored."""
        weights = np.zeros(0) if weights is None else np.asarray(weights)
        if weights.ndim > 1:
            learnt = weights.any(axis=tuple(range(1, weights.ndim)))
            self.samples += len(learnt)
            self.unlearnt += int(np.count_nonzero(~learnt))

    def see_all(self, weights: Any) -> None:
        """Count all samples at once and warn if needed.

        Raises:
            DataError: all weights are 0.
        """
        if not is_learnt(weights):
            raise self.nothing(len(weights))
        self.see(weights)
        self.tell()

    def nothing(self, samples: int) -> DataError:
        """Return the error for samples without any token to learn."""
        return DataError(
            f"{self.call}: expected a sample with a token to learn, got none among {samples}: "
            f"{_WHY}."
        )

    def tell(self) -> None:
        """Warn once of the samples without a token to learn."""
        if self.unlearnt and not self._told:
            self._told = True
            warnings.warn(
                f"{self.call}: {self.unlearnt} of {self.samples} samples have no token to learn: "
                f"{_WHY}.",
                stacklevel=2,
            )


class TellsUnlearnt(keras.callbacks.Callback):
    """A Keras callback that warns after the first pass over the training samples, and after the
    first over the validation samples."""

    def __init__(self, trained: Tally | None, tested: Tally) -> None:
        super().__init__()
        self._trained = tested if trained is None else trained
        self._tested = tested

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start counting."""
        self._trained.clear()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Warn about the training samples."""
        self._trained.tell()

    def on_test_begin(self, logs: Any = None) -> None:
        """Start counting."""
        self._tested.clear()

    def on_test_end(self, logs: Any = None) -> None:
        """Warn about the validation samples."""
        self._tested.tell()
