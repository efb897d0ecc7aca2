"""Encoder-decoder language models: a text in, another text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from workbench.backbones.encoder_decoder import TARGET_INPUTS, EncoderDecoder
from workbench.backbones.source import SOURCE_INPUTS
from workbench.errors import PromptError
from workbench.generation.arguments import DEFAULT_ALTERNATIVES
from workbench.generation.programs import padded
from workbench.generation.request import Ids, Request, checked_ids
from workbench.inspection.subject import Subject
from workbench.preprocessing.preprocessor import Arrays
from workbench.preprocessing.seq2seq_preprocessor import (
    TEXTS,
    Pair,
    Seq2SeqLMPreprocessor,
    pairs_of,
)
from workbench.tasks.arrays import check_arrays
from workbench.tasks.causal_lm import CausalLM


@keras.saving.register_keras_serializable("workbench")
class Seq2SeqLM(CausalLM):
    """An encoder-decoder backbone with its language-model head and a preprocessor.

    `generate`, `stream` and `chat` take the encoder's text: a string, strings, or a dict with
    `encoder_text` and `decoder_text` (how the decoder's text begins). Completions and lengths are
    the decoder's. Without a preprocessor `generate` takes and returns ids: `encoder_token_ids` and
    `encoder_padding_mask` (B, S), `decoder_token_ids` and `decoder_padding_mask` (B, T), T the
    length to fill.

    Calling the model on a dict of those four gives the decoder's logits (B, T, vocabulary).
    `fit` takes `{"encoder_text": [...], "decoder_text": [...]}`.

    Args:
        backbone: the encoder-decoder.
        preprocessor: turns strings into ids; None for a model that is fed ids.

    Example:
        >>> lm = workbench.models.Seq2SeqLM.from_preset("bart_large_en_cnn")
        >>> lm.generate("A long article ...", max_new_tokens=60)
    """

    backbone: EncoderDecoder
    preprocessor_cls = Seq2SeqLMPreprocessor

    def _reader(self) -> Seq2SeqLMPreprocessor:
        return self._needed(Seq2SeqLMPreprocessor)

    def prompt_tokens(self, inputs: Any) -> int:
        """Return the number of tokens the encoder reads for one prompt."""
        return len(self._reader().prompt_ids(self._texts(inputs)[0].source))

    def _subject(self, inputs: Any) -> Subject:
        """Return the subject: the decoder's text (`decoder_text`) with the encoder's inputs."""
        if not pairs_of(inputs)[1]:
            raise PromptError(f"text: expected one {' and one '.join(TEXTS)}, got several")
        return self._subject_with_source(inputs)

    @staticmethod
    def hidden_states(backbone: EncoderDecoder, outputs: Any) -> Any:
        return outputs["decoder_sequence_output"]

    def _texts(self, inputs: Any) -> list[Any]:
        return pairs_of(inputs)[0]

    def _text_request(self, texts: Sequence[Any], **settings: Any) -> Request:
        reader = self._reader()
        pairs = [text if isinstance(text, Pair) else Pair(text) for text in texts]
        sources = [reader.source_ids(pair.source, row) for row, pair in enumerate(pairs)]
        return self._request(
            [reader.target_ids(pair.target) for pair in pairs],
            source=self._source(sources),
            **settings,
        )

    def _prompt_request(self, prompts: list[list[int]], **settings: Any) -> Request:
        reader = self._reader()
        for row, ids in enumerate(prompts):
            reader.check_source(ids, row)
        starts = [reader.target_ids() for _ in prompts]
        return self._request(starts, source=self._source(prompts), **settings)

    def _generate_arrays(
        self, inputs: dict[str, Any], strip_prompt: bool, **settings: Any
    ) -> Arrays | str | list[str]:
        """Return texts for a dict of texts, ids for a dict of ids."""
        if TEXTS[0] in inputs:
            pairs, single = pairs_of(inputs)
            made = self._generate_texts(pairs, strip_prompt, **settings)
            return made[0] if single else made
        source_ids, source_mask = map(np.atleast_2d, check_arrays(inputs, "encoder_"))
        ids, mask = check_arrays(inputs, "decoder_")
        if len(source_ids) != len(np.atleast_2d(ids)):
            raise PromptError(
                "generate: inputs: expected as many rows for the encoder as for the decoder, got "
                f"{len(source_ids)} and {len(np.atleast_2d(ids))}"
            )
        rows = [row[keep] for row, keep in zip(source_ids, source_mask, strict=True)]
        settings |= {"max_length": ids.shape[-1], "alternatives": DEFAULT_ALTERNATIVES}

        def request(room: list[int], prompts: list[np.ndarray]) -> Request:
            source = self._source([rows[row] for row in room])
            return self._request(prompts, source=source, **settings)

        made = self._continued(ids, mask, strip_prompt, request)
        return dict(zip(TARGET_INPUTS, made, strict=True))

    def _source(self, rows: Sequence[Ids]) -> dict[str, np.ndarray]:
        """Return the encoder's padded inputs: ids int32 (B, S) and mask bool (B, S)."""
        config = self.backbone.config
        most, size = config.max_source_length, config.encoder.vocabulary_size
        arrays = tuple(np.asarray(row, np.int32) for row in rows)
        for row, ids in enumerate(arrays):
            if not len(ids) or (most is not None and len(ids) > most):
                raise PromptError(
                    f"prompt {row} has {len(ids)} tokens: expected 1 to {most or 'any number'}, "
                    "which is what the encoder can read"
                )
            checked_ids(ids, f"prompt {row}", size, name=self.token_name)
        if not arrays:
            return {}
        ids, lengths = padded(arrays)
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return dict(zip(SOURCE_INPUTS, (ids, mask), strict=True))
