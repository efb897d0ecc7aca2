"""Records that hold token ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.errors import DataError
from workbench.preprocessing.supervision import Supervised

IGNORED = -100
"""The label of a token that is not learnt, as in PyTorch's cross-entropy."""
MASKS = ("padding_mask", "attention_mask")


def given_tokens(ids: Any, record: Mapping[str, Any], vocabulary: int) -> Supervised:
    """Return a record's ids (L,), without the padding that `padding_mask` (L,) marks. `loss` (L,)
    selects the learnt tokens, or `labels` (L,): the ids, with -100 for a token that is not learnt.
    Without either, all tokens after the first are learnt.

    Raises:
        DataError: a value is not such an array, or an id is outside the vocabulary.
    """
    ids = _integers("token_ids", ids, None)
    if len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary:
        raise DataError(
            f"token_ids: expected ids from 0 to {vocabulary - 1}, got {ids.min()} to {ids.max()}"
        )
    keep = np.ones(len(ids), bool)
    for name in MASKS:
        if record.get(name) is not None:
            keep &= _integers(name, record[name], len(ids)) != 0
    loss = _loss(ids, keep, record)
    return Supervised(ids[keep].tolist(), loss[keep].tolist())


def _loss(ids: np.ndarray, keep: np.ndarray, record: Mapping[str, Any]) -> np.ndarray:
    if record.get("loss") is not None:
        return _integers("loss", record["loss"], len(ids)) != 0
    if record.get("labels") is None:
        return np.ones(len(ids), bool)
    labels = _integers("labels", record["labels"], len(ids))
    learnt = labels != IGNORED
    if np.any(labels[learnt & keep] != ids[learnt & keep]):
        raise DataError(
            f"labels: expected each to be the id at its own place, or {IGNORED} where it is not "
            "learnt, got others. Labels that are shifted by one train by fit(x, y, sample_weight)."
        )
    return learnt


def _integers(name: str, values: Any, length: int | None) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        raise DataError(f"{name}: expected integers, got lists of different lengths") from None
    if array.size == 0:
        array = array.astype(int)
    fits = array.ndim == 1 and array.dtype.kind in "iub" and length in (None, len(array))
    if not fits:
        wanted = "(L,)" if length is None else f"({length},)"
        raise DataError(
            f"{name}: expected integers of shape {wanted}, got {array.dtype} of {array.shape}"
        )
    return array
