"""Training data as the model reads it: tokens, and which of them it learns to write."""

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
    """One training sample.

    `ids`: token ids int32 (L,); the decoder's, if there is an encoder too.
    `loss`: bool (L,), whether the model is trained to write each token. The first never counts,
        because no token comes before it.
    `source`: its record, such as `{"images": ..., "prompts": ..., "responses": ...}`. Pictures and
        recordings are as the user gave them, opened batch by batch.
    `text`: the whole text.
    `prompt`: the prompt for a completion: the record's prompt, or the last user message; None for
        a plain text.
    `where`: the place of the record, such as "record 3" or "stories.jsonl, line 4".
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
        """The number of learnt tokens."""
        return int(np.count_nonzero(self.loss[1:]))

    def cut(self, tokens: int) -> Example:
        """Return the example with only its first `tokens` tokens."""
        if len(self) <= tokens:
            return self
        return replace(self, ids=self.ids[:tokens], loss=self.loss[:tokens])


class Reader(Protocol):
    """The interface that turns records into examples, and examples into arrays; `readers` has one
    for each kind of model.

    `packs`: whether a row may hold several examples.
    """

    packs: bool

    def example(self, record: Mapping[str, Any]) -> Example:
        """Return the example of a record.

        Raises:
            WorkbenchError: the record lacks an input of the model.
        """
        ...

    def arrays(
        self, rows: Sequence[Sequence[Example]], length: int
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return inputs by the model's names; labels int32 and weights float32, both (B, length).
        The examples of a row take at most `length` positions together; an example of L tokens
        takes L - 1."""
        ...


class Examples(Sequence[Example]):
    """Examples of at most `length + 1` tokens, which fill `length` positions of a row.

    Longer examples are cut at the end; examples without a token to learn are dropped.

    Args:
        examples: examples of any length.
        reader: turns examples into arrays.
        length: positions an example may take.
        limit: the model's number of positions; None for no limit.

    Attributes:
        cut: how many examples were cut.
        dropped: the `where` of each dropped example.

    Raises:
        DataError: no example is left.
        SettingError: the length is not a positive integer, or is above the limit.
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
        """The number of tokens in all examples."""
        return sum(map(len, self._examples))

    @property
    def loss_tokens(self) -> int:
        """The number of learnt tokens in all examples."""
        return sum(example.loss_tokens for example in self._examples)

    @property
    def longest(self) -> int:
        """The number of tokens in the longest example."""
        return max(map(len, self._examples))

    def tell_dropped(self, call: str) -> None:
        """Warn of the dropped examples; `call` is the method that was given them."""
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
        """Return the examples of these indices, in their order.

        Raises:
            DataError: `indices` is empty.
        """
        taken = [self._whole[self._kept[index]] for index in indices]
        return Examples(taken, self.reader, self.length, self.limit)

    def at_length(self, length: int) -> Self | Examples:
        """Return the same examples with another `length`; a longer one restores tokens that were
        cut.

        Raises:
            DataError, SettingError: as the constructor.
        """
        if length == self.length:
            return self
        return Examples(self._whole, self.reader, length, self.limit)

    def split(self, share: float, seed: int = 0) -> tuple[Examples, Examples]:
        """Split into training and validation examples; only the seed decides which go where. Both
        keep their order.

        Args:
            share: the share of validation examples, between 0 and 1, or their number, an integer.
            seed: an integer from 0.

        Raises:
            SettingError: one of the two parts would be empty.
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
    """Refuse a length that is not a positive integer, or is above the model's limit.

    Raises:
        SettingError: the length is refused.
    """
    if type(length) is not int or length < 1 or (limit is not None and length > limit):
        most = "" if limit is None else f" and at most the model's {limit}"
        raise SettingError(f"length: expected an integer of at least 1{most}, got {length!r}")
