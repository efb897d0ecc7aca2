"""Causal language models: strings in, strings out, at once or as a stream of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import keras
import numpy as np

from workbench import samplers
from workbench.backbones.decoder import Decoder
from workbench.errors import PromptError, SettingError, shown
from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.events import Events
from workbench.generation.lengths import NO_LIMIT
from workbench.generation.memory import admit_request
from workbench.generation.programs import Programs
from workbench.generation.request import Ids, Request, make_request
from workbench.generation.stream import collect_ids, stream_events
from workbench.inspection.subject import Subject
from workbench.kinds import FLAG
from workbench.preprocessing.preprocessor import Arrays, CausalLMPreprocessor, pack, texts_of
from workbench.tasks.arrays import check_arrays
from workbench.tasks.conversing import Converses
from workbench.tasks.inspecting import Inspects
from workbench.tasks.task import Task


@keras.saving.register_keras_serializable("workbench")
class CausalLM(Converses, Inspects, Task):
    """A decoder backbone with its language-model head and a preprocessor.

    Calling the model on `{"token_ids": (B, T), "padding_mask": (B, T)}` gives logits
    (B, T, vocabulary). It is compiled with defaults when built, so `fit` and `generate` work at
    once.

    Args:
        backbone: the decoder.
        preprocessor: turns strings into ids; None for a model that is fed ids.

    Example:
        >>> lm = workbench.models.CausalLM.from_preset("stories_tiny_en")
        >>> lm.generate("Once upon a time", max_new_tokens=40, seed=1)
    """

    preprocessor_cls = CausalLMPreprocessor
    default_sampler: str = "top_k"
    left_to_right: bool = True
    """Whether one pass predicts each token from those before it, as `tune` requires. If False,
    only `fit` trains the model."""

    def __init__(
        self,
        backbone: Decoder,
        preprocessor: CausalLMPreprocessor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(inputs=backbone.input, outputs=self._predictions(backbone), **kwargs)
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.programs = Programs(backbone)
        self.sampler = samplers.get(self.default_sampler)
        self.compile()

    @property
    def max_length(self) -> int:
        """The default limit of tokens in a sequence, prompt and completion together."""
        usual = self.preprocessor.sequence_length if self.preprocessor is not None else 1024
        return min(usual, self.backbone.max_length or usual)

    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "auto",
        *,
        weighted_metrics: Any = "auto",
        sampler: AnySampler | None = None,
        **kwargs: Any,
    ) -> None:
        """Set how the model trains and samples.

        "auto" means Adam with a learning rate of 2e-5, cross-entropy on logits, and accuracy.
        A call with only `sampler` changes only the sampler: the optimizer and its state stay.

        Args:
            sampler: a name, a `Sampler`, or a callable with KerasHub's protocol; None keeps the
                current one, at first `"top_k"` (`"greedy"` for Gemma).

        Raises:
            SettingError: no such sampler.
        """
        chosen = self.sampler if sampler is None else samplers.get(sampler)
        asked = (optimizer, loss, weighted_metrics) != ("auto",) * 3 or kwargs
        if self.compiled and sampler is not None and not asked:
            self.sampler = chosen
            return
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = keras.optimizers.Adam(2e-5)
        if isinstance(loss, str) and loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [keras.metrics.SparseCategoricalAccuracy()]
        kwargs |= {"optimizer": optimizer, "loss": loss, "weighted_metrics": weighted_metrics}
        with self._compiling():
            super().compile(**kwargs)
            self.sampler = chosen

    def get_compile_config(self) -> dict[str, Any]:
        """Return how the model trains and samples.

        Raises:
            SettingError: the sampler is a plain function, which cannot be saved.
        """
        return {**super().get_compile_config(), "sampler": samplers.serialize(self.sampler)}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` says."""
        config = dict(config)
        sampler = samplers.get(config.pop("sampler"))
        super().compile_from_config(config)
        self.sampler = sampler

    def generate(
        self,
        inputs: Any,
        max_length: int | None = None,
        stop_token_ids: StopIds = "auto",
        strip_prompt: bool = False,
        *,
        max_new_tokens: int | None = None,
        sampler: AnySampler | None = None,
        seed: int | None = None,
    ) -> Any:
        """Complete prompts.

        Args:
            inputs: a string, a list of strings, or any iterable of batches of them (such as a
                `tf.data.Dataset`); without a preprocessor a dict of `token_ids` and
                `padding_mask`, both (B, L), prompts at the left and L the length to fill.
            max_length: tokens a sequence may have, prompt included; by default `self.max_length`.
            stop_token_ids: ids that end a row. "auto" takes the tokenizer's, if there is one;
                None runs to the limit.
            strip_prompt: return only the completion.
            max_new_tokens: tokens to add at most, whatever the prompt's length.
            sampler: used for this call instead of the compiled one.
            seed: makes the call repeatable; row r of a batch draws as a call with its prompt
                alone and seed + r.

        Returns:
            A string for a string, a list for a list or an iterable, a dict of NumPy arrays for a
            dict.

        Raises:
            PromptError: a prompt is not a string, is empty, or leaves no room for a token.
            SettingError: a length, stop id, seed or sampler setting is impossible.
            MemoryTooSmallError: there is not enough memory for texts of these lengths.
        """
        FLAG.check("strip_prompt", strip_prompt)
        settings = {
            "max_length": max_length,
            "stop_token_ids": stop_token_ids,
            "max_new_tokens": max_new_tokens,
            "sampler": sampler,
            "seed": seed,
        }
        if isinstance(inputs, np.ndarray):
            inputs = inputs.tolist()
        if isinstance(inputs, dict):
            return self._generate_arrays(inputs, strip_prompt, **settings)
        if _is_text(inputs):
            return self._generate_texts([inputs], strip_prompt, **settings)[0]
        if isinstance(inputs, Sequence) and all(_is_text(item) for item in inputs):
            return self._generate_texts(texts_of(inputs), strip_prompt, **settings)
        if isinstance(inputs, Iterable):
            return self._generate_batches(inputs, strip_prompt, **settings)
        raise PromptError(
            f"generate: inputs: expected a string, strings, batches or a dict, got "
            f"{type(inputs).__name__}"
        )

    def stream(
        self,
        inputs: str | Sequence[str],
        max_length: int | None = None,
        stop_token_ids: StopIds = "auto",
        *,
        max_new_tokens: int | None = None,
        sampler: AnySampler | None = None,
        seed: int | None = None,
        alternatives: int = DEFAULT_ALTERNATIVES,
    ) -> Events:
        """Complete prompts and yield events while the model writes.

        The arguments are `generate`'s. The joined text of a row's `Token` and `Done` events
        equals what `generate(..., strip_prompt=True)` returns for the same seed. Closing the
        iterator cancels after the current step. Any thread may drive it.

        Args:
            alternatives: how many of the likeliest tokens each `Token` event lists.

        Yields:
            `Status` when the kind of work changes, a `Token` per token and row, a `Done` per row.

        Raises:
            PromptError, SettingError, MemoryTooSmallError: as `generate`, at once.
        """
        request = self._text_request(
            self._texts(inputs),
            max_length=max_length,
            stop_token_ids=stop_token_ids,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            seed=seed,
            alternatives=alternatives,
        )
        return stream_events(self.programs, request, self._reader().tokenizer)

    def stream_ids(self, ids: Ids, max_length: int | None = None, **settings: Any) -> Events:
        """Continue token ids (T,) and yield events, as `stream` does for text. The other arguments
        are those of `stream`.

        Raises:
            PromptError: there are no ids, one is not in the vocabulary, or they leave no room.
            SettingError: as `stream`.
        """
        usual = {"stop_token_ids": "auto", "sampler": None, "max_new_tokens": None, "seed": None}
        usual |= {"alternatives": DEFAULT_ALTERNATIVES}
        request = self._request([ids], max_length=max_length, **usual | settings)
        return stream_events(self.programs, request, self._reader().tokenizer)

    def _subject(self, inputs: Any) -> Subject:
        tokenizer = None if self.preprocessor is None else self.preprocessor.tokenizer
        ids = np.array(self._reader().prompt_ids(inputs)) if _is_text(inputs) else inputs
        return Subject(self.programs, tokenizer, ids, most=self._longest())

    def _longest(self) -> int:
        limits = (self.backbone.max_length, self.context_length, NO_LIMIT)
        return min(limit for limit in limits if limit is not None)

    def _subject_with_source(self, inputs: Any) -> Subject:
        """Return the subject for inputs that an encoder reads too, such as pictures."""
        settings = {"max_length": None, "max_new_tokens": None, "alternatives": 0}
        settings |= {"stop_token_ids": None, "sampler": None, "seed": None}
        request = self._text_request(self._texts(inputs)[:1], **settings)
        return Subject(self.programs, self._reader().tokenizer, request.prompts[0], request.source)

    def prompt_tokens(self, inputs: Any) -> int:
        """Return the number of tokens the decoder reads for one prompt."""
        return len(self._reader().prompt_ids(inputs))

    def _reader(self) -> CausalLMPreprocessor:
        return self._needed(CausalLMPreprocessor)

    def _text_request(self, texts: Sequence[Any], **settings: Any) -> Request:
        """Return the request for prompts from `_texts`."""
        prompts = [self._reader().prompt_ids(text) for text in texts]
        return self._prompt_request(prompts, **settings)

    def _prompt_request(self, prompts: list[list[int]], **settings: Any) -> Request:
        """Return the request for the user's prompts, given as ids."""
        return self._request(prompts, **settings)

    def _request(
        self,
        prompts: Sequence[Ids],
        *,
        max_length: int | None,
        stop_token_ids: StopIds,
        sampler: AnySampler | None,
        **settings: Any,
    ) -> Request:
        request = make_request(
            prompts,
            sampler=self.sampler if sampler is None else samplers.get(sampler),
            vocabulary_size=self.backbone.config.vocabulary_size,
            context=self.backbone.max_length,
            max_length=self.max_length if max_length is None else max_length,
            stop_ids=self._stop_ids(stop_token_ids),
            name=self.token_name,
            **settings,
        )
        admit_request(self.backbone, request)
        return request

    def _stop_ids(self, stop_token_ids: StopIds) -> tuple[int, ...]:
        if stop_token_ids is None:
            return ()
        if isinstance(stop_token_ids, str):
            if stop_token_ids != "auto":
                raise SettingError(
                    f"stop_token_ids: expected 'auto', None or token ids, "
                    f"got {shown(stop_token_ids)}"
                )
            if self.preprocessor is None:
                return ()
            return self._writable(self.preprocessor.tokenizer.stop_token_ids)
        if isinstance(stop_token_ids, np.ndarray):
            stop_token_ids = stop_token_ids.tolist()
        if not isinstance(stop_token_ids, Iterable):
            raise SettingError(
                f"stop_token_ids: expected 'auto', None or token ids, got {shown(stop_token_ids)}"
            )
        return tuple(cast(Iterable[int], stop_token_ids))  # `make_request` checks each

    def _writable(self, stop_ids: Iterable[int]) -> tuple[int, ...]:
        """Return the ids the model can write: those with a row in its vocabulary."""
        return tuple(i for i in stop_ids if i < self.backbone.config.vocabulary_size)

    def _generate_texts(
        self, texts: Sequence[Any], strip_prompt: bool, **settings: Any
    ) -> list[str]:
        """Return the texts for prompts from `_texts`."""
        if not texts:
            return []
        request = self._text_request(texts, alternatives=DEFAULT_ALTERNATIVES, **settings)
        text = self._reader().text
        made = zip(request.prompts, collect_ids(self.programs, request), strict=True)
        if strip_prompt:
            return [text(new, after=prompt) for prompt, new in made]
        return [text([*prompt, *new]) for prompt, new in made]

    def _generate_batches(self, batches: Iterable[Any], strip_prompt: bool, **settings: Any) -> Any:
        """Generate batch by batch and join the outputs."""
        results: list[Any] = []
        for batch in batches:
            if isinstance(batch, dict):
                made = self._generate_arrays(batch, strip_prompt, **settings)
                results += made if isinstance(made, list) else [made]
                continue
            texts = np.asarray(batch)
            if texts.ndim != 1:
                raise PromptError(
                    f"generate: inputs: expected batches of strings, got an element of shape "
                    f"{texts.shape}. Batch the dataset first."
                )
            results += self._generate_texts(texts_of(texts.tolist()), strip_prompt, **settings)
        if results and isinstance(results[0], dict):
            return {key: np.concatenate([part[key] for part in results]) for key in results[0]}
        return results

    def _generate_arrays(
        self, inputs: dict[str, Any], strip_prompt: bool, **settings: Any
    ) -> Arrays | str | list[str]:
        """Fill rows of ids to the width of the arrays."""
        ids, mask = check_arrays(inputs)
        settings |= {"max_length": ids.shape[-1], "alternatives": DEFAULT_ALTERNATIVES}
        made = self._continued(
            ids, mask, strip_prompt, lambda rows, prompts: self._request(prompts, **settings)
        )
        return dict(zip(("token_ids", "padding_mask"), made, strict=True))

    def _continued(
        self,
        ids: np.ndarray,
        mask: np.ndarray,
        strip_prompt: bool,
        request: Callable[[list[int], list[np.ndarray]], Request],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, both (L,) or (B, L), with their rows filled. `request` makes the
        request for the rows with room, from their numbers and prompts."""
        width = ids.shape[-1]
        rows = [
            row[keep] for row, keep in zip(np.atleast_2d(ids), np.atleast_2d(mask), strict=True)
        ]
        room = [row for row, prompt in enumerate(rows) if len(prompt) < width]
        made = [np.array([], np.int32)] * len(rows)
        if room:
            asked = request(room, [rows[row] for row in room])
            for row, new in zip(room, collect_ids(self.programs, asked), strict=True):
                made[row] = new
        whole = made if strip_prompt else list(map(np.concatenate, zip(rows, made, strict=True)))
        out_ids, out_mask = pack(whole, width, 0)
        return out_ids.reshape(ids.shape), out_mask.reshape(ids.shape)

    @classmethod
    def _predictions(cls, backbone: Decoder) -> Any:
        """Return the model's output for the backbone's inputs."""
        return backbone.logits(cls.hidden_states(backbone, backbone(backbone.input)))

    @staticmethod
    def hidden_states(backbone: Decoder, outputs: Any) -> Any:
        """Return the part of the backbone's outputs that the logits are computed from."""
        return outputs

    def _texts(self, inputs: Any) -> list[Any]:
        """Return the user's prompts, one item per row."""
        return texts_of([inputs] if _is_text(inputs) else inputs)


def _is_text(item: Any) -> bool:
    return isinstance(item, str | bytes)
