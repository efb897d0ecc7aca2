"""Turns recordings and texts into the arrays of an encoder-decoder, and ids into text."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from workbench.audio import AudioConverter, AudioSource
from workbench.backbones.encoder_decoder import TARGET_INPUTS
from workbench.backbones.source import AUDIO_INPUTS
from workbench.errors import PromptError, SettingError
from workbench.generation.arguments import length_or
from workbench.kinds import checks_types
from workbench.preprocessing.preprocessor import Arrays, pack, texts_of
from workbench.preprocessing.seq2seq_preprocessor import Seq2SeqLMPreprocessor
from workbench.tokenizers import Tokenizer

AUDIO, TEXT, RATE = "audio", "text", "rate"
TOKENS_PER_SECOND = 6.5
_FEWEST_TOKENS = 8


class Recording(NamedTuple):
    """A recording for the encoder, and the beginning of the decoder's text. `rate` is the sampling
    rate of an array, in Hz."""

    audio: AudioSource
    text: str = ""
    rate: int | None = None


class AudioToTextPreprocessor(Seq2SeqLMPreprocessor):
    """A preprocessor that reads recordings, tokenises texts, packs both and makes next-token
    labels.

    The decoder's text begins with the start token.

    Args:
        audio_converter: turns recordings into arrays.
        tokenizer: the tokenizer of the texts.
        decoder_sequence_length: tokens per text; also the limit of `generate()` for a recording.
        tokens_per_second: limit of tokens that `generate()` writes per second of sound, unless the
            call sets one; more would be repetition. Moonshine's authors advise 6.5.
    """

    pair_names = (AUDIO, TEXT)
    other_names: ClassVar[Mapping[str, str]] = {}

    @checks_types
    def __init__(
        self,
        audio_converter: AudioConverter,
        tokenizer: Tokenizer,
        decoder_sequence_length: int = 1024,
        tokens_per_second: float = TOKENS_PER_SECOND,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, decoder_sequence_length=decoder_sequence_length, **kwargs)
        number = type(tokens_per_second) in (int, float)
        if not number or not 0 < tokens_per_second < math.inf:
            raise SettingError(
                f"{type(self).__name__}: tokens_per_second: expected a number above 0, got "
                f"{tokens_per_second!r}"
            )
        self.audio_converter = audio_converter
        self.tokens_per_second = tokens_per_second

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return constructor arguments for a Transformers folder; see `CausalLMPreprocessor`."""
        return {} if length is None else {"decoder_sequence_length": length}

    def converter(self, name: str) -> Any:
        """Return the converter of recordings ("audio_converter")."""
        return self.audio_converter if name == "audio_converter" else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, except tokenizer and converter. `tokens_per_second`,
        which KerasHub lacks, is included only if it is not the default."""
        own = {"tokens_per_second": self.tokens_per_second}
        usual = self.tokens_per_second == TOKENS_PER_SECOND
        return {"decoder_sequence_length": self.sequence_length} | ({} if usual else own)

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The tokens before and after every text."""
        return self.tokenizer.start_token, None

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids of a text's beginning."""
        return self.target_ids(text)

    def most_tokens(self, samples: int) -> int:
        """Return the limit of tokens for this many samples."""
        seconds = samples / self.audio_converter.sampling_rate
        return max(math.ceil(seconds * self.tokens_per_second), _FEWEST_TOKENS)

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]  # KerasHub's arguments
        self,
        x: Mapping[str, Any],
        y: Any = None,
        sample_weight: Any = None,
        decoder_sequence_length: int | None = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays for `{"audio": ..., "text": ...}`, one of each or lists.

        Returns:
            Inputs by the backbone's names: samples (B, S, 1) and their mask (B, S), S the length
            of the longest recording, and the decoder's (B, T); labels (B, T), the decoder's
            inputs shifted by one; weights (B, T), 0 where the label is padding. A single recording
            has no batch axis. Longer texts are cut.

        Raises:
            AudioError: a recording cannot be read.
            PromptError: a text is missing, or the lists differ in length.
            SettingError: labels or weights are given, which this preprocessor makes itself.
        """
        if y is not None or sample_weight is not None:
            raise SettingError(
                f"{type(self).__name__}: labels and weights come from the text: expected none, "
                "got some. Pass only x, or preprocess beforehand."
            )
        recordings, single = recordings_of(x)
        if TEXT not in x:
            raise PromptError(f"inputs: expected {AUDIO} and {TEXT} to train on, got {sorted(x)}")
        length = length_or(self.sequence_length, decoder_sequence_length, sequence_length) + 1
        arrays = self._arrays(
            recordings, [self._target(r.text, length) for r in recordings], length
        )
        labels, weights = (arrays[name][:, 1:] for name in TARGET_INPUTS)
        inputs = arrays | {name: arrays[name][:, :-1] for name in TARGET_INPUTS}
        if single:
            return {k: v[0] for k, v in inputs.items()}, labels[0], weights[0]
        return inputs, labels, weights

    def generate_preprocess(self, x: Any, sequence_length: int | None = None) -> Arrays:
        """Return arrays by the backbone's names for recordings and the beginnings of their texts.

        Args:
            x: a recording, several, or a dict with `audio` and optionally `text`, how the
                decoder's text begins.
            sequence_length: T; by default `decoder_sequence_length`.

        Raises:
            AudioError: a recording cannot be read.
            PromptError: a text is longer than the sequence length.
        """
        recordings, single = recordings_of(x)
        length = length_or(self.sequence_length, sequence_length)
        targets = [self.target_ids(recording.text) for recording in recordings]
        for row, ids in enumerate(targets):
            if len(ids) > length:
                raise PromptError(
                    f"text {row} has {len(ids)} tokens: expected at most the sequence length "
                    f"{length}"
                )
        arrays = self._arrays(recordings, targets, length)
        return {k: v[0] for k, v in arrays.items()} if single else arrays

    def _arrays(
        self, recordings: Sequence[Recording], targets: list[list[int]], length: int
    ) -> Arrays:
        heard = [self.audio_converter(r.audio, r.rate) for r in recordings]
        source = zip(AUDIO_INPUTS, self.audio_converter.batch(heard), strict=True)
        pad = self.pad_token_id
        return dict([*source, *zip(TARGET_INPUTS, pack(targets, length, pad), strict=True)])


def recordings_of(x: Any) -> tuple[list[Recording], bool]:
    """Return a user's inputs as recordings, and whether it was a single one.

    A list means several, and so does an array of more than one axis, (B, samples) or
    (B, samples, 1). A single text goes with all recordings.

    Raises:
        PromptError: there is no recording, a text is not a string, or the lists differ in length.
    """
    given = x if isinstance(x, Mapping) else {AUDIO: x}
    if AUDIO not in given or not set(given) <= {AUDIO, TEXT, RATE}:
        raise PromptError(
            f"inputs: expected {AUDIO}, and where wanted {TEXT} and {RATE}, got {sorted(given)}"
        )
    sounds, single = _sounds(given[AUDIO])
    text = given.get(TEXT)
    text = "" if text is None else text
    several = isinstance(text, Iterable) and not isinstance(text, str | bytes)
    texts = texts_of(text if several else [text] * len(sounds))
    if len(texts) != len(sounds):
        raise PromptError(
            f"inputs: expected as many texts as recordings, got {len(texts)} and {len(sounds)}"
        )
    rate = given.get(RATE)
    return [Recording(a, t, rate) for a, t in zip(sounds, texts, strict=True)], single


def _sounds(audio: Any) -> tuple[list[Any], bool]:
    if isinstance(audio, str | Path | bytes | bytearray | memoryview | io.IOBase):
        return [audio], True
    if isinstance(audio, list | tuple):
        if len(audio) and isinstance(audio[0], int | float | np.number):
            return [np.asarray(audio)], True
        return list(audio), False
    array = np.asarray(audio)
    return ([array], True) if array.ndim < 2 else (list(array), False)
