"""Check the ids that a model looks up in its embedding tables: tokens, segments, positions.

On the device an id without a row gives NaN or another row's vector, and no error. So ids are
checked on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import PromptError, shown

Name = Callable[[int], str]
"""Returns the tokenizer's token for an id."""


@dataclass(frozen=True)
class Table:
    """The range of one model input: ids are below `rows`, and a text has at most `places` of them,
    None for no limit."""

    rows: int
    places: int | None = None

    def admit(self, what: str, ids: Any, real: Any, name: Name | None = None) -> Any:
        """Return ids (B, T), with 0 for padding that has no row.

        Args:
            what: name of the input, for messages.
            ids: (B, T).
            real: (B, T), 0 at padding; it numbers the texts of a row, as a decoder's mask does.
            name: the tokenizer's token for an id, for messages.

        Raises:
            PromptError: an id that is no padding has no row, or a text is longer than `places`.
        """
        array = np.asarray(ids)
        if array.size == 0 or array.dtype.kind not in "iuf":
            return ids
        real = np.broadcast_to(np.asarray(real), array.shape)
        self._check_places(what, real)
        if array.min() >= 0 and array.max() < self.rows:
            return ids
        wrong = ~((array >= 0) & (array < self.rows))  # also finds NaN
        used = array[wrong & (real != 0)]
        if used.size:
            raise no_row(what, used[0], self.rows, name)
        return np.where(wrong, 0, array).astype(array.dtype)

    def admit_labels(self, labels: Any, real: Any, name: Name | None = None) -> Any:
        """`admit` for labels (B, T). Negative ones stay: some losses ignore them."""
        array = np.asarray(labels)
        if array.size == 0 or array.dtype.kind not in "iuf" or array.max() < self.rows:
            return labels
        return np.where(array < 0, array, self.admit("labels", np.maximum(array, 0), real, name))

    def _check_places(self, what: str, real: np.ndarray) -> None:
        if self.places is None or not real[..., self.places :].any():
            return
        rows = np.atleast_2d(real).astype(int)
        longest = max(np.bincount(row)[1:].max(initial=0) for row in rows)
        if longest > self.places:
            raise PromptError(
                f"{what}: expected at most {self.places} in a text, the model's number of "
                f"positions, got {longest}. Lower the preprocessor's sequence_length."
            )


def no_row(what: str, token_id: Any, rows: int, name: Name | None = None) -> PromptError:
    """Make the error for an id that has no row in a table of `rows` rows."""
    told = ""
    if name is not None and 0 <= token_id < 2**31:
        told = (
            f", the token {shown(name(int(token_id)))}, which the tokenizer has and the model has "
            "not. Leave it out of the text and of the preprocessor's settings, or use the "
            "tokenizer that the model was trained with."
        )
    return PromptError(
        f"{what}: expected token ids from 0 to {rows - 1}, the rows of the model's table, got "
        f"{shown(np.asarray(token_id).item())}{told}"
    )


def admit_inputs(
    inputs: Mapping[str, Any], tables: Mapping[str, Table], name: Name | None = None
) -> Mapping[str, Any]:
    """Check a model's inputs, by their names, and replace padding that has no row by 0. Return the
    same object if nothing had to be replaced.

    Raises:
        PromptError: an id that is no padding has no row, or a text is longer than the positions.
    """
    changed = {}
    for what in tables.keys() & inputs.keys():
        ids = inputs[what]
        admitted = tables[what].admit(what, ids, _real(what, inputs), name)
        if admitted is not ids:
            changed[what] = admitted
    return {**inputs, **changed} if changed else inputs


def admit_batch(
    tables: Mapping[str, Table],
    inputs: Mapping[str, Any],
    labels: Any,
    weights: Any,
    name: Name | None = None,
) -> tuple[Mapping[str, Any], Any, Any]:
    """`admit_inputs` for a training batch: labels are checked too if they are next-token ids.

    Raises:
        PromptError: as `admit_inputs`, or a label with a weight above 0 has no row.
    """
    inputs = admit_inputs(inputs, tables, name)
    target = target_input(tables)
    if labels is not None and target in inputs and np.shape(labels) == np.shape(inputs[target]):
        real = weights if np.shape(weights) == np.shape(labels) else True
        labels = Table(tables[target].rows).admit_labels(labels, real, name)
    return inputs, labels, weights


def target_input(tables: Mapping[str, Table]) -> str:
    """Name the input that holds the text which the model continues."""
    return "decoder_token_ids" if "decoder_token_ids" in tables else "token_ids"


def _real(what: str, inputs: Mapping[str, Any]) -> Any:
    """Return the mask of an input of ids. A mask of another shape is left for Keras to refuse."""
    prefix = what.removesuffix("segment_ids").removesuffix("token_ids")
    mask = inputs.get(f"{prefix}padding_mask")
    return True if mask is None or np.shape(mask) != np.shape(inputs[what]) else mask
