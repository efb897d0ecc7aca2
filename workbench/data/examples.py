"""Training data as the model will see it: tokens, and which of them it learns to write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, overload

import numpy as np

from workbench.errors import DataError, SettingError

Arrays = dict[str, np.ndarray]
SHOWN = 5  # examples that a message names


@dataclass(frozen=True, eq=False)
class Example:
    """One sample.

    `ids`: token ids int32 (L,), of the decoder where there is an encoder too.
    `loss`: bool (L,), whether the model is trained to write that token. The first never counts:
        nothing stands before it to write it from.
    `source`: the record it was made of, as `{"images": ..., "prompts": ..., "responses": ...}`.
        Pictures and recordings are what the user gave, opened batch by batch.
    `text`: the whole text.
    `prompt`: what a completion would be asked of: the prompt, or the last message before the last
        reply; None for a text alone.
    `where`: which record it was, such as "record 3" or "stories.jsonl, line 4".
    """

    ids: np.ndarray
    loss: np.ndarray
    source: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    prompt: str | None = None
    where: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def loss_tokens(self) -> int:
        """How many tokens are learnt."""
        return int(np.count_nonzero(self.loss[1:]))

    def cut(self, tokens: int) -> Example:
        """Its first `tokens` tokens."""
        if len(self) <= tokens:
            return self
        return replace(self, ids=self.ids[:tokens], loss=self.loss[:tokens])


class Reader(Protocol):
    """How records become examples, and examples arrays; `readers` has one for each kind of model.

    `packs`: whether a row may hold several examples.
    """

    packs: bool

    def example(self, record: Mapping[str, Any]) -> Example:
        """The example of a record.

        Raises:
            WorkbenchError: the record has not what the model reads.
        """

    def arrays(
        self, rows: Sequence[Sequence[Example]], length: int
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Inputs by the names of the model; labels int32 and weights float32, both (B, length).
        Each row holds examples of `length` positions together at most, an example of L tokens
        taking L - 1."""


class Examples(Sequence[Example]):
    """Examples of at most `length + 1` tokens, which fill `length` positions of a row.

    What is longer is cut at the end, and what then has nothing left to learn is dropped.

    Args:
        examples: of any length.
        reader: makes arrays of them.
        length: positions an example may take.
        limit: the most positions the model has, None without limit.

    Attributes:
        cut: how many examples were cut.
        dropped: which have nothing to learn, by their `where`.

    Raises:
        DataError: none is left.
        SettingError: the length is no positive integer, or beyond the limit.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        reader: Reader,
        length: int,
        limit: int | None = None,
    ) -> None:
        check_length(length, limit)
        self.reader, self.length, self.limit = reader, length, limit
        self._whole = examples = list(examples)
        self.cut = sum(len(example) > length + 1 for example in examples)
        short = [example.cut(length + 1) for example in examples]
        self.dropped = tuple(example.where for example in short if not example.loss_tokens)
        self._kept = [place for place, example in enumerate(short) if example.loss_tokens]
        self._examples = [short[place] for place in self._kept]
        if not self._examples:
            raise DataError(
                f"training data: expected at least one example with a token to learn within "
                f"{length} tokens, got none among {len(examples)} ({self.cut} were cut)"
            )

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return self._examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)

    def __repr__(self) -> str:
        notes = [f"{self.cut} cut"] * bool(self.cut) + [f"{len(self.dropped)} dropped"] * bool(
            self.dropped
        )
        sizes = f"{len(self)} examples, {self.tokens} tokens, {self.loss_tokens} to learn"
        return f"Examples({', '.join([sizes, *notes])})"

    @property
    def tokens(self) -> int:
        """Tokens of all examples."""
        return sum(map(len, self._examples))

    @property
    def loss_tokens(self) -> int:
        """Tokens of all examples that are learnt."""
        return sum(example.loss_tokens for example in self._examples)

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return max(map(len, self._examples))

    def tell_dropped(self, call: str) -> None:
        """Warn of the examples that were dropped; `call` is what they were given to."""
        if not self.dropped:
            return
        count, more = len(self.dropped), " ..." * (len(self.dropped) > SHOWN)
        warnings.warn(
            f"{call}: {count} of {count + len(self)} examples have no token to learn within "
            f"{self.length} tokens and are left out: {', '.join(self.dropped[:SHOWN])}{more}. "
            "Raise the length, or shorten the prompts.",
            stacklevel=2,
        )

    def take(self, indices: Sequence[int]) -> Examples:
        """The examples of these indices, in their order.

        Raises:
            DataError: there is no index.
        """
        taken = [self._whole[self._kept[index]] for index in indices]
        return Examples(taken, self.reader, self.length, self.limit)

    def at_length(self, length: int) -> Self | Examples:
        """The same examples with another `length`; a longer one brings back what was cut.

        Raises:
            DataError, SettingError: as the constructor.
        """
        if length == self.length:
            return self
        return Examples(self._whole, self.reader, length, self.limit)

    def split(self, share: float, seed: int = 0) -> tuple[Examples, Examples]:
        """Training and validation examples; which go where depends on the seed alone. Both keep
        the order they had.

        Args:
            share: of examples for validation, between 0 and 1; or how many, an integer.
            seed: an integer from 0.

        Raises:
            SettingError: the share leaves one of the two without an example.
        """
        count = self._validation_count(share)
        order = np.random.default_rng(seed).permutation(len(self))
        held_out, kept = np.sort(order[:count]), np.sort(order[count:])
        return self.take(kept.tolist()), self.take(held_out.tolist())

    def _validation_count(self, share: float) -> int:
        whole = type(share) is int
        if not (whole or (type(share) is float and 0 < share < 1)):
            raise SettingError(
                f"split: expected a share between 0 and 1, or a number of examples, got {share!r}"
            )
        count = share if whole else max(1, round(share * len(self)))
        if not 0 < count < len(self):
            raise SettingError(
                f"split: expected from 1 to {len(self) - 1} of {len(self)} examples for "
                f"validation, got {count}"
            )
        return count


def check_length(length: object, limit: int | None) -> None:
    """Refuse a length that is no positive integer, or that the model does not have.

    Raises:
        SettingError: see above.
    """
    if type(length) is not int or length < 1 or (limit is not None and length > limit):
        most = "" if limit is None else f" and at most the model's {limit}"
        raise SettingError(f"length: expected an integer of at least 1{most}, got {length!r}")
