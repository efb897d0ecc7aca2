"""Speech models: a recording in, its text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from workbench.audio import AudioSource, open_audio
from workbench.backbones.encoder_decoder import TARGET_INPUTS
from workbench.backbones.source import AUDIO_INPUTS
from workbench.errors import PromptError
from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.events import Done, Events
from workbench.generation.request import Request
from workbench.generation.stream import stream_events
from workbench.preprocessing.audio_to_text_preprocessor import (
    AUDIO,
    AudioToTextPreprocessor,
    Recording,
    recordings_of,
)
from workbench.preprocessing.preprocessor import Arrays
from workbench.tasks.arrays import check_arrays
from workbench.tasks.seq2seq_lm import Seq2SeqLM
from workbench.tasks.transcription import Transcription

_FEWEST_SAMPLES = 2**14


@keras.saving.register_keras_serializable("workbench")
class AudioToText(Seq2SeqLM):
    """An encoder that reads recordings, a decoder that writes their text, and a preprocessor.

    `generate` and `stream` take a recording of 0.1 to 64 seconds, a list of them, or a dict with
    `audio`, optionally `text` (how the decoder's text begins), and `rate` for arrays.
    `workbench.audio.open_audio` lists the forms of a recording. If a call gives no length, the
    preprocessor's `tokens_per_second` limits the text. `transcribe` takes recordings of any
    length. Sampling is greedy unless compiled or called otherwise.

    Without a preprocessor `generate` takes and returns ids: `encoder_input_values` float32
    (B, samples, 1) and `encoder_padding_mask` (B, samples), `decoder_token_ids` and
    `decoder_padding_mask` (B, T), T the length to fill. Calling the model on a dict of those four
    gives the decoder's logits (B, T, vocabulary). `fit` takes `{"audio": [...], "text": [...]}`.

    Args:
        backbone: the encoder-decoder.
        preprocessor: reads recordings and turns strings into ids; None for a model fed arrays.

    Example:
        >>> lm = workbench.models.AudioToText.from_preset("moonshine_tiny_en")
        >>> lm.transcribe("speech.wav")
    """

    preprocessor_cls = AudioToTextPreprocessor
    default_sampler = "greedy"

    def _reader(self) -> AudioToTextPreprocessor:
        return self._needed(AudioToTextPreprocessor)

    def generate(self, inputs: Any, *args: Any, **settings: Any) -> Any:
        """Return the text of recordings. The other arguments are those of `CausalLM.generate`.

        Args:
            inputs: a recording, a list of them, or a dict, as in the class docstring; or batches
                of dicts, such as a `tf.data.Dataset`.

        Raises:
            AudioError: a recording cannot be read, or is not from 0.1 to 64 seconds long.
            PromptError, SettingError: as `CausalLM.generate`.
        """
        plain = isinstance(inputs, str | Path | bytes | np.ndarray | list | tuple)
        batches = isinstance(inputs, list | tuple) and any(isinstance(i, dict) for i in inputs)
        given = {AUDIO: inputs} if plain and not batches else inputs
        return super().generate(given, *args, **settings)

    def transcribe(self, audio: AudioSource, rate: int | None = None, **settings: Any) -> str:
        """Return the text of a recording of up to an hour.

        A long recording is cut at pauses, and the model reads one piece at a time.

        Args:
            audio, rate: as `workbench.audio.open_audio`.
            settings: those of `Transcription.stream`.

        Raises:
            AudioError: the recording cannot be read.
            SettingError: there is no preprocessor, or a setting is impossible.
        """
        events = self.transcription(audio, rate).stream(**settings)
        return next(event.text for event in events if isinstance(event, Done))

    def transcription(self, audio: AudioSource, rate: int | None = None) -> Transcription:
        """Return the transcription as an object to watch: run it by its `stream`, or by
        `GenerationJob(lm, lm.transcription(audio))`.

        Raises:
            AudioError: the recording cannot be read.
            SettingError: there is no preprocessor.
        """
        reader = self._reader()
        samples = open_audio(audio, rate, reader.audio_converter.sampling_rate)
        return Transcription(samples, reader, self._listen)

    def _listen(
        self,
        samples: np.ndarray,
        room: int,
        *,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        stop_token_ids: StopIds = "auto",
        sampler: AnySampler | None = None,
        seed: int | None = None,
        alternatives: int,
    ) -> Events:
        """Return the events for a piece of a recording, with programs made for `room` samples."""
        reader = self._reader()
        if max_length is None and max_new_tokens is None:
            max_new_tokens = reader.most_tokens(room)
        request = self._request(
            [reader.target_ids()],
            source=self._heard([reader.audio_converter.normalized(samples)], room),
            max_length=max_length,
            max_new_tokens=max_new_tokens,
            stop_token_ids=stop_token_ids,
            sampler=sampler,
            seed=seed,
            alternatives=alternatives,
        )
        return stream_events(self.programs, request, reader.tokenizer)

    def prompt_tokens(self, inputs: Any) -> int:
        """Return the number of tokens the decoder reads before it writes."""
        return len(self._reader().target_ids(recordings_of(inputs)[0][0].text))

    def _texts(self, inputs: Any) -> list[Recording]:
        return recordings_of(inputs)[0]

    def _text_request(
        self,
        texts: Sequence[Any],
        *,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        **settings: Any,
    ) -> Request:
        reader = self._reader()
        heard = [reader.audio_converter(one.audio, one.rate) for one in texts]
        request = self._request(
            [reader.target_ids(one.text) for one in texts],
            source=self._heard(heard),
            max_length=max_length,
            max_new_tokens=max_new_tokens,
            **settings,
        )
        if max_length is not None or max_new_tokens is not None:
            return request
        most = [reader.most_tokens(len(samples)) for samples in heard]
        lengths = [len(prompt) for prompt in request.prompts]
        limits = np.minimum(request.limits, np.add(lengths, most)).astype(request.limits.dtype)
        return replace(request, limits=limits)

    def _generate_arrays(
        self, inputs: dict[str, Any], strip_prompt: bool, **settings: Any
    ) -> Arrays | str | list[str]:
        """Return texts for a dict of recordings, ids for a dict of arrays."""
        reads_sound = self.preprocessor is not None and AUDIO_INPUTS[0] not in inputs
        if AUDIO in inputs or reads_sound:
            recordings, single = recordings_of(inputs)
            made = self._generate_texts(recordings, strip_prompt, **settings)
            return made[0] if single else made
        source = _padded(*_check_samples(inputs))
        ids, mask = check_arrays(inputs, "decoder_")
        rows = len(source[AUDIO_INPUTS[0]])
        if rows != len(np.atleast_2d(ids)):
            raise PromptError(
                "generate: inputs: expected as many rows for the encoder as for the decoder, got "
                f"{rows} and {len(np.atleast_2d(ids))}"
            )
        settings |= {"max_length": ids.shape[-1], "alternatives": DEFAULT_ALTERNATIVES}

        def request(room: list[int], prompts: list[np.ndarray]) -> Request:
            rows = {name: part[room] for name, part in source.items()}
            return self._request(prompts, source=rows, **settings)

        made = self._continued(ids, mask, strip_prompt, request)
        return dict(zip(TARGET_INPUTS, made, strict=True))

    def _heard(self, recordings: Sequence[np.ndarray], room: int = 0) -> dict[str, np.ndarray]:
        """Return the encoder's inputs for recordings (samples,), padded for at least `room`."""
        if not len(recordings):
            return {}
        longest = max(room, *(len(samples) for samples in recordings))
        values, mask = self._reader().audio_converter.batch(recordings, compiled_samples(longest))
        return dict(zip(AUDIO_INPUTS, (values, mask.astype(np.int8)), strict=True))


def compiled_samples(samples: int) -> int:
    """Return the length programs are compiled for: a power of two, at least 2**14 samples (about a
    second at 16 kHz)."""
    return max(_FEWEST_SAMPLES, 1 << (samples - 1).bit_length())


def _check_samples(inputs: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return samples float32 (B, S, 1) and their mask bool (B, S) from a dict. Arrays without the
    batch axis are a batch of one; the samples' last axis may be missing.

    Raises:
        PromptError: one is missing, or their shapes differ.
    """
    if not set(AUDIO_INPUTS) <= set(inputs):
        raise PromptError(
            f"generate: inputs: expected {' and '.join(AUDIO_INPUTS)}, got {sorted(inputs)}"
        )
    values, mask = (np.asarray(inputs[name]) for name in AUDIO_INPUTS)
    rows = np.atleast_2d(mask.astype(bool))
    if values.size != rows.size or rows.ndim != 2 or values.shape[: mask.ndim] != mask.shape:
        raise PromptError(
            f"generate: inputs: expected {' and '.join(AUDIO_INPUTS)} of the shapes (B, samples, "
            f"1) and (B, samples), got {values.shape} and {mask.shape}"
        )
    if np.any(rows[:, 1:] & ~rows[:, :-1]):
        raise PromptError(
            f"generate: inputs: {AUDIO_INPUTS[1]}: expected recordings at the left and padding "
            "at the right"
        )
    return values.reshape(*rows.shape, 1).astype(np.float32), rows


def _padded(values: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Pad samples and mask to the length that programs are compiled for."""
    more = compiled_samples(mask.shape[1]) - mask.shape[1]
    padded = (np.pad(values, ((0, 0), (0, more), (0, 0))), np.pad(mask, ((0, 0), (0, more))))
    return dict(zip(AUDIO_INPUTS, padded, strict=True))
