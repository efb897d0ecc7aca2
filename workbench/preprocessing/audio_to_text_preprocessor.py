"""From recordings and their texts to the arrays an encoder-decoder trains on, and back."""

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
    """What an encoder hears, and how the decoder's text begins. `rate` is that of an array."""

    audio: AudioSource
    text: str = ""
    rate: int | None = None


class AudioToTextPreprocessor(Seq2SeqLMPreprocessor):
    """Reads recordings, tokenises texts, packs both and makes next-token labels.

    The decoder's text begins with the start token.

    Args:
        audio_converter: how recordings become arrays.
        tokenizer: of the texts.
        decoder_sequence_length: tokens per text; also the most that `generate()` makes of a
            recording.
        tokens_per_second: how many tokens `generate()` makes of a second of sound at most, where
            the call does not say: what a model writes beyond is repetition. 6.5 is what
            Moonshine's authors advise.
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
        """Constructor arguments for a folder of Transformers; see `CausalLMPreprocessor`."""
        return {} if length is None else {"decoder_sequence_length": length}

    def converter(self, name: str) -> Any:
        """What recordings ("audio_converter") go through."""
        return self.audio_converter if name == "audio_converter" else None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, tokenizer and converter left out; the one that KerasHub
        lacks only where it is not the usual."""
        own = {"tokens_per_second": self.tokens_per_second}
        usual = self.tokens_per_second == TOKENS_PER_SECOND
        return {"decoder_sequence_length": self.sequence_length} | ({} if usual else own)

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The tokens before and after every text."""
        return self.tokenizer.start_token, None

    def prompt_ids(self, text: str) -> list[int]:
        """The ids of a text's beginning."""
        return self.target_ids(text)

    def most_tokens(self, samples: int) -> int:
        """How many tokens are made of that many samples at most."""
        seconds = samples / self.audio_converter.sampling_rate
        return max(math.ceil(seconds * self.tokens_per_second), _FEWEST_TOKENS)

    def __call__(
        self,
        x: Mapping[str, Any],
        y: Any = None,
        sample_weight: Any = None,
        decoder_sequence_length: int | None = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Training arrays for `{"audio": ..., "text": ...}`, one of each or lists.

        Returns:
            Inputs by the names of the backbone: samples (B, S, 1) and their mask (B, S), S those
            of the longest recording, and the decoder's (B, T); labels (B, T), the decoder's
            inputs shifted by one; weights (B, T), 0 where the label is padding. One axis less for
            one recording. Longer texts are cut.

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

    def generate_preprocess(
        self, x: Mapping[str, Any], sequence_length: int | None = None
    ) -> Arrays:
        """Recordings and the beginnings of their texts as the arrays of the backbone's names.

        Args:
            x: `audio`, and where wanted `text`, how the decoder's text begins.
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
    """What a user has given as recordings, and whether it was one alone.

    A list is several, as is an array of more than one axis, (B, samples) or (B, samples, 1). One
    text goes for all recordings.

    Raises:
        PromptError: there is no recording, a text is no string, or the lists differ in length.
    """
    given = x if isinstance(x, Mapping) else {AUDIO: x}
    if AUDIO not in given or not set(given) <= {AUDIO, TEXT, RATE}:
        raise PromptError(
            f"inputs: expected {AUDIO}, and where wanted {TEXT} and {RATE}, got {sorted(given)}"
        )
    sounds, single = _sounds(given[AUDIO])
    text = given.get(TEXT) if given.get(TEXT) is not None else ""
    one_for_all = isinstance(text, str | bytes) or not isinstance(text, Iterable)
    texts = texts_of([text] * len(sounds) if one_for_all else text)
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
