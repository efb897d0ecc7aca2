"""A checked generation call: prompts as ids, limits per row, stop ids, sampler and seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.backbones.tables import Name, no_row
from workbench.errors import PromptError, SettingError, shown
from workbench.generation.lengths import NO_LIMIT, check_length
from workbench.kinds import NOTHING, integer
from workbench.samplers import Sampler

Ids = Sequence[int] | np.ndarray
"""Token ids of one text, (T,)."""

MAX_ALTERNATIVES = 64
MAX_SEED = 2**32 - 1
_COUNT = integer(1) | NOTHING


@dataclass(frozen=True)
class Request:
    """A generation call for the engine. `limits` is the largest total of tokens per row, with the
    prompt. `source` holds the backbone's other inputs, an encoder's text or pictures: arrays
    (B, ...) by the argument names of its `read`; it is empty for text-only decoders.
    `stop_sequences` are texts that end a row and are not shown.

    Row r draws with seed + r, so its result does not depend on the other rows: its prompt alone,
    with that seed, gives the same text.
    """

    prompts: tuple[np.ndarray, ...]
    limits: np.ndarray
    stop_ids: tuple[int, ...]
    sampler: Sampler
    seed: int
    alternatives: int
    source: Mapping[str, np.ndarray] = field(default_factory=dict)
    stop_sequences: tuple[str, ...] = ()

    def prompt_tokens(self, row: int) -> int:
        """Return how many tokens a row reads; an encoder's tokens, if an encoder reads tokens."""
        if "encoder_token_ids" not in self.source:
            return len(self.prompts[row])
        return int(self.source["encoder_padding_mask"][row].sum())

    @property
    def seeds(self) -> np.ndarray:
        """One seed per row, uint32 (B,)."""
        rows = np.arange(len(self.prompts), dtype=np.uint64)
        return ((rows + self.seed) % (MAX_SEED + 1)).astype(np.uint32)


def make_request(
    prompts: Sequence[Ids],
    *,
    sampler: Sampler,
    vocabulary_size: int,
    context: int | None,
    max_length: int | None,
    max_new_tokens: int | None,
    stop_ids: tuple[int, ...],
    seed: int | None,
    alternatives: int,
    source: Mapping[str, np.ndarray] | None = None,
    name: Name | None = None,
    stop_sequences: tuple[str, ...] = (),
) -> Request:
    """Check every part of a call before anything is compiled. `name` returns the tokenizer's name
    of an id, for messages.

    Raises:
        PromptError: a prompt is empty, has an id outside the vocabulary or leaves no room.
        SettingError: a length, seed, stop id or sampler setting is impossible.
    """
    _COUNT.check("max_length", max_length)
    _COUNT.check("max_new_tokens", max_new_tokens)
    if max_length is not None and context is not None and max_length > context:
        got = shown(max_length)
        raise SettingError(f"max_length: expected at most the model's {context}, got {got}")
    for stop in stop_ids:
        integer(0, vocabulary_size - 1).check("stop_token_ids", stop)
    integer(0, MAX_ALTERNATIVES).check("alternatives", alternatives)
    sampler.check_vocabulary(vocabulary_size)
    rows = tuple(
        checked_ids(ids, f"prompt {row}", vocabulary_size, name=name)
        for row, ids in enumerate(prompts)
    )
    lengths = np.array([len(ids) for ids in rows], np.int32)
    return Request(
        prompts=rows,
        limits=_limits(lengths, context, max_length, max_new_tokens),
        stop_ids=stop_ids,
        sampler=sampler,
        seed=_check_seed(seed if seed is not None else sampler.initial_seed),
        alternatives=int(min(alternatives, vocabulary_size)),
        source=dict(source or {}),
        stop_sequences=stop_sequences,
    )


def _check_seed(seed: int | None) -> int:
    if seed is None:
        return random.getrandbits(32)
    integer(0, MAX_SEED).check("seed", seed)
    return int(seed)


def checked_ids(
    ids: object,
    what: str,
    vocabulary_size: int,
    expected: str = "token ids (T,)",
    name: Name | None = None,
) -> np.ndarray:
    """Return token ids as int32 (T,). The message names `what` they are, what was `expected` and
    the tokenizer's `name` of an id.

    Raises:
        PromptError: there are no ids, or one is not in the vocabulary.
    """
    array = _id_array(ids, what, expected)
    if array.size == 0:
        raise PromptError(f"{what}: expected at least one token, got none")
    if array.min() < 0 or array.max() >= vocabulary_size:
        wrong = array[(array < 0) | (array >= vocabulary_size)]
        raise no_row(what, wrong[0], vocabulary_size, name)
    return array.astype(np.int32)


def _id_array(ids: object, what: str, expected: str) -> np.ndarray:
    try:
        array = np.asarray(ids)
    except ValueError:  # rows of unlike lengths
        array = np.empty((), object)
    if array.ndim != 1 or (array.size and not _is_whole(array)):
        raise PromptError(f"{what}: expected {expected}, got {shown(ids)}")
    return array


def _is_whole(array: np.ndarray) -> bool:
    """Return whether all numbers are whole; KerasHub's preprocessors return some as floats."""
    kind = array.dtype.kind
    return kind in "iu" or (kind == "f" and bool((array == np.floor(array)).all()))


def _limits(
    lengths: np.ndarray, context: int | None, max_length: int | None, max_new_tokens: int | None
) -> np.ndarray:
    """Return the total tokens per row: the smallest limit of the model, the call and the row."""
    total = min(n for n in (context, max_length, NO_LIMIT) if n is not None)
    remedy = "raise max_length"
    for row, length in enumerate(lengths.tolist()):
        check_length(f"prompt {row}", length, total, context, remedy, room=1)
    limits = np.full_like(lengths, total)
    if max_new_tokens is not None:
        limits = np.minimum(limits, lengths + int(min(max_new_tokens, total)))
    return limits
