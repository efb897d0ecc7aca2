"""Turns strings, or pairs of them, into the arrays that an encoder reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from workbench.errors import PromptError, SettingError, shown
from workbench.kinds import checks_types
from workbench.preprocessing.preprocessor import Arrays, Preprocessor, pack, texts_of
from workbench.tokenizers import Tokenizer

TRUNCATE = ("round_robin", "waterfall")


class TextClassifierPreprocessor(Preprocessor):
    """A preprocessor that packs texts: start token, then each segment followed by an end token.

    Args:
        tokenizer: the model's tokenizer.
        sequence_length: tokens per sample.
        truncate: how to cut segments that do not fit: "round_robin" gives each segment one token
            in turn; "waterfall" fills the first segment, then the next.
    """

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        sequence_length: int = 512,
        truncate: str = "round_robin",
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, sequence_length, **kwargs)
        if truncate not in TRUNCATE:
            raise SettingError(
                f"{type(self).__name__}: truncate: expected one of {TRUNCATE}, "
                f"got {shown(truncate)}"
            )
        self.truncate = truncate

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return constructor arguments for a Transformers folder: its model's length."""
        return {} if length is None else {"sequence_length": min(length, 512)}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, except the tokenizer."""
        return {"sequence_length": self.sequence_length, "truncate": self.truncate}

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return arrays for a text, a list of texts, or a tuple of segments, each a text or a list.

        Returns:
            `token_ids` int32, `padding_mask` bool and `segment_ids` int32, all (B, L), or (L,)
            for single texts; together with `y` and `sample_weight`, if given.

        Raises:
            PromptError: an item is not a text, or the segments have different numbers of texts.
        """
        first = x[0] if isinstance(x, tuple) and x else x
        single = isinstance(first, str | bytes)
        columns = [[part] if single else part for part in (x if isinstance(x, tuple) else (x,))]
        arrays = self._packed(columns)
        if single:
            arrays = {name: part[0] for name, part in arrays.items()}
        if y is None:
            return arrays
        return (arrays, y) if sample_weight is None else (arrays, y, sample_weight)

    def batch(self, x: Any) -> Arrays:
        """Return arrays (B, L) for a list of texts or a tuple of lists.

        Raises:
            PromptError: the input is a single text, or as `__call__`.
        """
        columns = x if isinstance(x, tuple) else (x,)
        if not columns or any(isinstance(column, str | bytes) for column in columns):
            raise PromptError("expected a list of texts, or a tuple of lists, got a text alone")
        return self._packed(columns)

    def _packed(self, columns: Sequence[Iterable[Any]]) -> Arrays:
        texts = [texts_of(column) for column in columns]
        if len({len(column) for column in texts}) != 1:
            raise PromptError(
                f"expected segments of one number of texts, got {[len(c) for c in texts]}"
            )
        segments = [[self.tokenizer.tokenize(text) for text in column] for column in texts]
        rows = [self._row(list(parts)) for parts in zip(*segments, strict=True)]
        pad = self.pad_token_id
        ids, mask = pack([row for row, _ in rows], self.sequence_length, pad)
        kinds, _ = pack([kind for _, kind in rows], self.sequence_length, 0)
        return {"token_ids": ids, "padding_mask": mask, "segment_ids": kinds}

    def _row(self, segments: list[list[int]]) -> tuple[list[int], list[int]]:
        """Return the ids of one sample, and the segment each belongs to."""
        start, end = self.tokenizer.start_token_id, self.tokenizer.end_token_id
        room = self.sequence_length - 1 - len(segments)
        if room < 0 or start is None or end is None:
            raise SettingError(
                f"{type(self).__name__}: expected a tokenizer with start and end token and a "
                f"sequence length of at least {1 + len(segments)}, got {self.sequence_length}"
            )
        lengths = shares([len(ids) for ids in segments], room, self.truncate)
        row, kinds = [start], [0]
        for index, (ids, length) in enumerate(zip(segments, lengths, strict=True)):
            row += [*ids[:length], end]
            kinds += [index] * (length + 1)
        return row, kinds


def shares(lengths: list[int], room: int, truncate: str) -> list[int]:
    """Return how many tokens each segment keeps to fit all into `room`."""
    kept = [0] * len(lengths)
    if truncate == "waterfall":
        for index, length in enumerate(lengths):
            kept[index] = min(length, room - sum(kept))
        return kept
    # Round robin: whole rounds for all segments that need more, then one token each until full.
    while (left := room - sum(kept)) > 0:
        needy = [i for i, length in enumerate(lengths) if kept[i] < length]
        if not needy:
            break
        for index in needy[:left]:
            need = lengths[index] - kept[index]
            kept[index] += min(need, max(1, left // len(needy)))
    return kept
