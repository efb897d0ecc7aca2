"""Turns pairs of strings into the arrays of an encoder-decoder, and ids into text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from workbench.backbones.config import check_size
from workbench.errors import PromptError, SettingError
from workbench.generation.arguments import length_or
from workbench.generation.lengths import check_length
from workbench.kinds import checks_types
from workbench.preprocessing.preprocessor import Arrays, CausalLMPreprocessor, pack, texts_of
from workbench.tokenizers import Tokenizer

TEXTS = ("encoder_text", "decoder_text")


class Pair(NamedTuple):
    """A text for the encoder, and the beginning of the decoder's text."""

    source: str
    target: str = ""


class Seq2SeqLMPreprocessor(CausalLMPreprocessor):
    """A preprocessor that tokenises pairs, packs both sides to fixed lengths and makes next-token
    labels.

    The encoder reads start token, text, end token; the decoder's text begins with the start
    token.

    Args:
        tokenizer: the model's tokenizer, for both sides.
        encoder_sequence_length: limit of tokens the encoder reads.
        decoder_sequence_length: tokens per target; also the default `max_length` of `generate()`.
    """

    pair_names = TEXTS
    other_names: ClassVar[Mapping[str, str]] = {
        "prompt": TEXTS[0],
        "prompts": TEXTS[0],
        "response": TEXTS[1],
        "responses": TEXTS[1],
    }

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder_sequence_length: int = 1024,
        decoder_sequence_length: int = 1024,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, decoder_sequence_length, **kwargs)
        check_size(type(self).__name__, "encoder_sequence_length", encoder_sequence_length)
        self.encoder_sequence_length = encoder_sequence_length

    @property
    def decoder_sequence_length(self) -> int:
        """Tokens per target: another name for `sequence_length`."""
        return self.sequence_length

    @decoder_sequence_length.setter
    def decoder_sequence_length(self, value: int) -> None:
        self.sequence_length = value

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return constructor arguments for a Transformers folder; see `CausalLMPreprocessor`."""
        if length is None:
            return {}
        return {"encoder_sequence_length": length, "decoder_sequence_length": length}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, except the tokenizer."""
        return {
            "encoder_sequence_length": self.encoder_sequence_length,
            "decoder_sequence_length": self.decoder_sequence_length,
        }

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]  # KerasHub's arguments
        self,
        x: Mapping[str, str | Sequence[str]],
        y: Any = None,
        sample_weight: Any = None,
        encoder_sequence_length: int | None = None,
        decoder_sequence_length: int | None = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays for `{"encoder_text": ..., "decoder_text": ...}`, each a string or
        a list.

        Returns:
            Inputs by the backbone's names, (B, S) for the encoder and (B, T) for the decoder;
            labels (B, T), the decoder's inputs shifted by one; weights (B, T), 0 where the label
            is padding. Single strings have no batch axis. Longer texts are cut.

        Raises:
            PromptError: a text is missing, or the lists differ in length.
            SettingError: labels or weights are given, which this preprocessor makes itself.
        """
        if y is not None or sample_weight is not None:
            raise SettingError(
                f"{type(self).__name__}: labels and weights come from the decoder's text: "
                "expected none, got some. Pass only x, or preprocess beforehand."
            )
        pairs, single = pairs_of(x)
        room = length_or(self.encoder_sequence_length, encoder_sequence_length)
        length = length_or(self.sequence_length, decoder_sequence_length, sequence_length) + 1
        sources = [self._cut(self.training_source_ids(pair.source), room) for pair in pairs]
        targets = [self._target(pair.target, length) for pair in pairs]
        arrays = self._packed(sources, room, targets, length)
        labels, weights = (arrays[name][:, 1:] for name in _names("decoder_"))
        inputs = arrays | {name: arrays[name][:, :-1] for name in _names("decoder_")}
        if single:
            return {k: v[0] for k, v in inputs.items()}, labels[0], weights[0]
        return inputs, labels, weights

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The tokens before and after every text the encoder reads."""
        return self.tokenizer.start_token, self.tokenizer.end_token

    def generation_ids(self) -> dict[str, int]:
        """Return the ids that begin the decoder's text, by their names in Transformers' configs."""
        first, *forced = self.decoder_start_ids
        ids = {"decoder_start_token_id": first}
        return ids | ({"forced_bos_token_id": forced[0]} if forced else {})

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids the encoder reads for a prompt."""
        return [self._start, *self.tokenizer.tokenize(text), self._end]

    def training_source_ids(self, text: str) -> list[int]:
        """Return the ids the encoder reads for a text in training."""
        return self.prompt_ids(text)

    def target_ids(self, text: str = "") -> list[int]:
        """Return the ids the decoder continues: its start ids, and the beginning of this text."""
        return [*self.decoder_start_ids, *self.tokenizer.tokenize(text)]

    def training_target_ids(self, text: str) -> list[int]:
        """Return the ids the decoder learns: the start ids, the text, and the end token."""
        ids = self.target_ids(text)
        return [*ids, self._end] if self.add_end_token else ids

    @property
    def decoder_start_ids(self) -> list[int]:
        """The ids that begin every text of the decoder."""
        return [self._start]

    def source_ids(self, text: str, row: int = 0) -> list[int]:
        """Return `prompt_ids`, checked to fit the encoder.

        Raises:
            PromptError: there are more ids than `encoder_sequence_length`.
        """
        ids = self.prompt_ids(text)
        self.check_source(ids, row)
        return ids

    def check_source(self, ids: list[int], row: int = 0) -> None:
        """Refuse ids that are too long for the encoder.

        Raises:
            PromptError: there are more ids than `encoder_sequence_length`.
        """
        remedy = "raise the preprocessor's encoder_sequence_length"
        check_length(f"prompt {row}", len(ids), self.encoder_sequence_length, None, remedy)

    def generate_preprocess(
        self,
        x: str | Sequence[str] | Mapping[str, str | Sequence[str]],
        sequence_length: int | None = None,
    ) -> Arrays:
        """Return prompts as padded ids and masks by the backbone's names, (B, S) and (B, T).

        Args:
            x: the encoder's text or texts, or a dict with `encoder_text` and `decoder_text`, how
                the decoder's text begins.
            sequence_length: T; by default `decoder_sequence_length`.

        Raises:
            PromptError: a text is longer than its side's sequence length.
        """
        pairs, single = pairs_of(x)
        length = length_or(self.sequence_length, sequence_length)
        sources = [self.source_ids(pair.source, row) for row, pair in enumerate(pairs)]
        targets = [self.target_ids(pair.target) for pair in pairs]
        for row, ids in enumerate(targets):
            check_length(f"decoder_text {row}", len(ids), length, None, "raise sequence_length")
        arrays = self._packed(sources, self.encoder_sequence_length, targets, length)
        return {k: v[0] for k, v in arrays.items()} if single else arrays

    def generate_postprocess(self, x: Arrays) -> str | list[str]:
        """Return the text of the decoder's generated ids, without padding and special tokens."""
        ids, mask = (x[name] for name in _names("decoder_"))
        return super().generate_postprocess({"token_ids": ids, "padding_mask": mask})

    @property
    def _start(self) -> int:
        return self._control("start", self.tokenizer.start_token_id)

    @property
    def _end(self) -> int:
        return self._control("end", self.tokenizer.end_token_id)

    def _cut(self, ids: list[int], length: int) -> list[int]:
        """Cut ids to at most `length`; an end token stays the last."""
        ends = [self._end] if ids and ids[-1] == self._end else []
        return ids if len(ids) <= length else [*ids[: length - len(ends)], *ends]

    def _target(self, text: str, length: int) -> list[int]:
        return self._cut(self.training_target_ids(text), length)

    def _packed(
        self, sources: list[list[int]], room: int, targets: list[list[int]], length: int
    ) -> Arrays:
        pad = self.pad_token_id
        source = zip(_names("encoder_"), pack(sources, room, pad), strict=True)
        target = zip(_names("decoder_"), pack(targets, length, pad), strict=True)
        return dict([*source, *target])


def _names(prefix: str) -> tuple[str, str]:
    return f"{prefix}token_ids", f"{prefix}padding_mask"


def _rows(texts: Any) -> list[str]:
    return texts_of([texts] if isinstance(texts, str | bytes) else texts)


def pairs_of(x: Any) -> tuple[list[Pair], bool]:
    """Return a user's inputs as pairs, and whether it was a single one.

    Raises:
        PromptError: a text is missing or not a string, or the lists differ in length.
    """
    given = x if isinstance(x, Mapping) else {TEXTS[0]: x}
    if TEXTS[0] not in given or not set(given) <= set(TEXTS):
        raise PromptError(f"inputs: expected {' and '.join(TEXTS)}, got {sorted(given)}")
    single = isinstance(given[TEXTS[0]], str | bytes)
    columns = [
        texts_of([text] if isinstance(text, str | bytes) else text) for text in given.values()
    ]
    named = dict(zip(given, columns, strict=True))
    sources = named[TEXTS[0]]
    targets = named.get(TEXTS[1], [""] * len(sources))
    if len(sources) != len(targets):
        raise PromptError(
            f"inputs: expected as many {TEXTS[1]} as {TEXTS[0]}, got {len(targets)} and "
            f"{len(sources)}"
        )
    return [Pair(*pair) for pair in zip(sources, targets, strict=True)], single
