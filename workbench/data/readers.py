"""Turns records into examples, and examples into arrays: one reader for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.audio import open_audio
from workbench.backbones.source import AUDIO_INPUTS
from workbench.data.batches import row_length
from workbench.data.examples import Arrays, Example, Reader
from workbench.data.fields import IDS, MESSAGES, PROMPT, RESPONSE, Fields
from workbench.data.tokens import given_tokens
from workbench.errors import DataError, SettingError
from workbench.preprocessing.audio_to_text_preprocessor import (
    AUDIO,
    RATE,
    TEXT,
    AudioToTextPreprocessor,
)
from workbench.preprocessing.image_text_preprocessor import (
    IMAGES,
    ImagePrompt,
    ImageTextPreprocessor,
)
from workbench.preprocessing.parseq_preprocessor import PARSeqPreprocessor
from workbench.preprocessing.preprocessor import CausalLMPreprocessor, Preprocessor
from workbench.preprocessing.seq2seq_preprocessor import TEXTS, Seq2SeqLMPreprocessor
from workbench.preprocessing.supervision import Supervised, of_messages, of_response, of_text

Made = tuple[Arrays, np.ndarray, np.ndarray]
_FEWEST_SAMPLES = 2**14
_NO_LIMIT = 2**62


def reader_of(preprocessor: Preprocessor, columns: Mapping[str, str] | None = None) -> Reader:
    """Return the reader for a preprocessor's model. `columns` maps our names to those in records.

    Raises:
        SettingError: examples cannot be read for this kind of model.
    """
    if not isinstance(preprocessor, CausalLMPreprocessor) or isinstance(
        preprocessor, PARSeqPreprocessor
    ):
        raise SettingError(
            "read_examples: expected a language model, or its preprocessor, which writes text one "
            f"token at a time, got {type(preprocessor).__name__}. Others train by fit()."
        )
    kind: type[_Reader] = TextReader
    if isinstance(preprocessor, AudioToTextPreprocessor):
        kind = AudioReader
    elif isinstance(preprocessor, Seq2SeqLMPreprocessor):
        kind = PairReader
    elif preprocessor.converter("image_converter") is not None:
        kind = PictureReader
    return kind(preprocessor, Fields(columns))


class _Reader:
    packs = False

    def __init__(self, preprocessor: Any, fields: Fields) -> None:
        self.preprocessor = preprocessor
        self.fields = fields


class TextReader(_Reader):
    """A reader of texts, prompts with responses, conversations, or token ids, for a decoder."""

    packs = True
    preprocessor: CausalLMPreprocessor

    def example(self, record: Mapping[str, Any]) -> Example:
        """Return the example of a record with ids, messages, a prompt and response, or a text. If
        the record has several, the first in this order is used."""
        fields = self.fields
        if fields.pictures(record):
            raise DataError("expected no pictures, which this model cannot read, got some")
        if (ids := fields.find(record, IDS)) is not None:
            return self._of_ids(ids, record)
        if (messages := fields.find(record, MESSAGES)) is not None:
            return self._of_messages(fields.messages(messages), record)
        if fields.find(record, PROMPT) is not None or fields.find(record, RESPONSE) is not None:
            prompt, response = fields.text(record, PROMPT), fields.text(record, RESPONSE)
            made = of_response(self.preprocessor, prompt, response)
            return _example(made, record, prompt + response, prompt)
        text = fields.text(record, TEXT)
        return _example(of_text(self.preprocessor, text), record, text)

    def arrays(self, rows: Sequence[Sequence[Example]], length: int) -> Made:
        """Return token ids, the number of each token's example in its row, labels and weights."""
        shape = len(rows), length
        ids = np.full(shape, self.preprocessor.pad_token_id, np.int32)
        labels, segments = ids.copy(), np.zeros(shape, np.int32)
        weights = np.zeros(shape, np.float32)
        for row, examples in enumerate(rows):
            start = 0
            for number, example in enumerate(examples, 1):
                place = np.s_[row, start : start + len(example) - 1]
                ids[place], labels[place] = example.ids[:-1], example.ids[1:]
                weights[place], segments[place] = example.loss[1:], number
                start += len(example) - 1
        return {"token_ids": ids, "padding_mask": segments}, labels, weights

    def _of_ids(self, ids: Any, record: Mapping[str, Any]) -> Example:
        made = given_tokens(ids, record, self.preprocessor.tokenizer.vocabulary_size())
        text = self.preprocessor.text(made.ids)
        read = made.loss.index(True) if True in made.loss else 0
        prompt = self.preprocessor.text(made.ids[:read]) if read > 1 else None
        return _example(made, record, text, prompt)

    def _of_messages(
        self, turns: Sequence[Mapping[str, Any]], record: Mapping[str, Any]
    ) -> Example:
        tools = {"tools": record["tools"]} if record.get("tools") else {}
        made = of_messages(self.preprocessor, turns, tools)
        text = self.preprocessor.tokenizer.detokenize(made.ids)
        asked = [turn.get("content") for turn in turns if turn["role"] == "user"]
        prompt = asked[-1] if asked and isinstance(asked[-1], str) else None
        return _example(made, {"messages": turns, **tools}, text, prompt)


class PictureReader(_Reader):
    """A reader of pictures with prompts and responses. A plain text is a response to an empty
    prompt."""

    preprocessor: ImageTextPreprocessor

    def example(self, record: Mapping[str, Any]) -> Example:
        """Return the example of a record with `images` (optional if the model can do without),
        `prompts` and `responses`. The pictures are not opened yet."""
        fields = self.fields
        if fields.find(record, MESSAGES) is not None:
            raise DataError(
                "messages: expected prompts and responses for a model that reads pictures"
            )
        alone = fields.find(record, RESPONSE) is None and fields.find(record, PROMPT) is None
        prompt = "" if alone else fields.text(record, PROMPT)
        response = fields.text(record, TEXT if alone else RESPONSE)
        asked = ImagePrompt(prompt, fields.pictures(record), response)
        before = self.preprocessor.reading_ids(asked)
        ids = [*before, *self.preprocessor.response_ids(response)]
        made = Supervised(ids, [place >= len(before) for place in range(len(ids))])
        names = {"prompts": prompt, "responses": response}
        return _example(made, _Named(record, fields, names), prompt + response, prompt)

    def arrays(self, rows: Sequence[Sequence[Example]], length: int) -> Made:
        """Open the pictures and return the preprocessor's arrays."""
        prompts = [
            ImagePrompt(source["prompts"], source[IMAGES], source["responses"])
            for source in _sources(rows)
        ]
        return _typed(*self.preprocessor(prompts, sequence_length=length))


class PairReader(_Reader):
    """A reader of pairs: the encoder's text and the decoder's text."""

    preprocessor: Seq2SeqLMPreprocessor

    def example(self, record: Mapping[str, Any]) -> Example:
        """Return the example of a record with `encoder_text` and `decoder_text`, or with a prompt
        and a response."""
        source, target = (self.fields.text(record, name) for name in TEXTS)
        made = _target(self.preprocessor, target)
        return _example(made, dict(zip(TEXTS, (source, target), strict=True)), target, source)

    def arrays(self, rows: Sequence[Sequence[Example]], length: int) -> Made:
        """Return the preprocessor's arrays, the encoder's padded to one of a few lengths."""
        sources = _sources(rows)
        pairs = {name: [source[name] for source in sources] for name in TEXTS}
        longest = max(len(self.preprocessor.training_source_ids(text)) for text in pairs[TEXTS[0]])
        room = row_length(longest, self.preprocessor.encoder_sequence_length)
        made = self.preprocessor(
            pairs, encoder_sequence_length=room, decoder_sequence_length=length
        )
        return _typed(*made)


class AudioReader(_Reader):
    """A reader of recordings and their texts."""

    preprocessor: AudioToTextPreprocessor

    def example(self, record: Mapping[str, Any]) -> Example:
        """Return the example of a record with `audio`, `text`, and `rate` if the audio is samples.
        The recording is not opened yet."""
        self.fields.need(record, AUDIO)
        text = self.fields.text(record, TEXT)
        source = _Named(record, self.fields, {TEXT: text})
        return _example(_target(self.preprocessor, text), source, text)

    def arrays(self, rows: Sequence[Sequence[Example]], length: int) -> Made:
        """Open the recordings, pad them to one of a few lengths, and return the preprocessor's
        arrays."""
        rate = self.preprocessor.audio_converter.sampling_rate
        sources = _sources(rows)
        heard = [open_audio(source[AUDIO], source.get(RATE), rate) for source in sources]
        given = {AUDIO: heard, TEXT: [source[TEXT] for source in sources]}
        inputs, *others = self.preprocessor(given, decoder_sequence_length=length)
        return _typed(self._padded(inputs), *others)

    def _padded(self, inputs: Arrays) -> Arrays:
        values, mask = (inputs[name] for name in AUDIO_INPUTS)
        length = _FEWEST_SAMPLES
        length = max(length, row_length(values.shape[1], _NO_LIMIT))
        more = ((0, 0), (0, length - values.shape[1]))
        blank = self.preprocessor.audio_converter.padding_value
        padded = np.pad(values, (*more, (0, 0)), constant_values=blank), np.pad(mask, more)
        return inputs | dict(zip(AUDIO_INPUTS, padded, strict=True))


class _Named(Mapping[str, Any]):
    """A record under our names. Texts are kept; pictures and recordings are taken from the record
    at each access, so that none stays open."""

    def __init__(self, record: Mapping[str, Any], fields: Fields, texts: Mapping[str, str]) -> None:
        self._record, self._fields, self._texts = record, fields, texts

    def __getitem__(self, name: str) -> Any:
        if name in self._texts:
            return self._texts[name]
        if name == IMAGES:
            return self._fields.pictures(self._record)
        return self._fields.sound(self._record)[name]

    def __iter__(self) -> Any:
        media = (IMAGES,) if "prompts" in self._texts else (AUDIO, RATE)
        return iter((*self._texts, *media))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _sources(rows: Sequence[Sequence[Example]]) -> list[Mapping[str, Any]]:
    """Return the records of rows with one example each."""
    return [example.source for (example,) in rows]


def _target(preprocessor: Seq2SeqLMPreprocessor, text: str) -> Supervised:
    """Return the ids of a decoder's text in an encoder-decoder; all after the first are learnt."""
    ids = preprocessor.training_target_ids(text)
    return Supervised(ids, [place > 0 for place in range(len(ids))])


def _example(
    made: Supervised, source: Mapping[str, Any], text: str, prompt: str | None = None
) -> Example:
    ids, loss = np.asarray(made.ids, np.int32), np.asarray(made.loss, bool)
    loss[:1] = False  # no token comes before the first to predict it from
    return Example(ids, loss, source, text, prompt)


def _typed(inputs: Arrays, labels: np.ndarray, weights: np.ndarray) -> Made:
    """Set the dtypes of a batch, and drop `vision_indices`, which repeat `vision_mask`."""
    plain = {name: array for name, array in inputs.items() if name != "vision_indices"}
    return plain, labels.astype(np.int32), weights.astype(np.float32)
