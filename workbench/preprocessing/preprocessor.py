"""Turns strings into the arrays a causal language model trains on, and generated ids into text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from workbench import ports
from workbench.backbones.config import check_size
from workbench.errors import PromptError, SettingError, shown
from workbench.generation.arguments import length_or
from workbench.generation.lengths import check_length
from workbench.kinds import checks_types
from workbench.memory.door import admit
from workbench.ports import NamedPresets
from workbench.preprocessing.supervision import Supervised, of_messages, of_response
from workbench.tokenizers import ChatTemplate, Tokenizer
from workbench.tokenizers.checks import as_text

Arrays = dict[str, np.ndarray]
Sample = str | tuple[str, str] | list[Mapping[str, Any]]
"""A text, a pair of prompt and response, or messages."""

TEXT, PROMPTS, RESPONSES, MESSAGES = "text", "prompts", "responses", "messages"


class Preprocessor:
    """The base of preprocessors: a tokenizer, a length, presets.

    Args:
        tokenizer: the model's tokenizer.
        sequence_length: tokens per sample.
    """

    tokenizer_cls: type[Tokenizer] = Tokenizer
    presets = NamedPresets()
    pair_names: tuple[str, str] | None = None
    """Column names for the two items of a pair; None for two segments of one text."""
    other_names: ClassVar[Mapping[str, str]] = {}
    """Other names users may give a column, mapped to the names of `__call__`."""
    table_rows: int | None = None
    """Rows of the model's token table; None before the preprocessor belongs to a model."""

    @checks_types
    def __init__(self, tokenizer: Tokenizer, sequence_length: int, **kwargs: Any) -> None:
        unknown = set(kwargs) - {"name", "trainable", "dtype", "config_file"}
        if unknown:
            raise SettingError(f"{type(self).__name__}: unknown arguments {sorted(unknown)}")
        check_size(type(self).__name__, "sequence_length", sequence_length)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length

    @classmethod
    def from_preset(cls, preset: str, **kwargs: Any) -> Self:
        """Load the preprocessor of a preset; keyword arguments override its settings.

        Raises:
            PresetError: the preset is missing, malformed, or of another family.
        """
        return ports.store().load_preprocessor(preset, cls, **kwargs)

    @abstractmethod
    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return training arrays for raw inputs, their labels and weights."""

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, except the tokenizer."""

    @property
    def pad_token_id(self) -> int:
        """The id that fills a row after its end: the tokenizer's padding, or 0 if the model's table
        has no row for that. The mask marks padding, not the id."""
        pad = self.tokenizer.pad_token_id
        return pad if self.table_rows is None or pad < self.table_rows else 0

    def _control(self, what: str, token_id: int | None) -> int:
        """Return the id of a token that the model's texts need.

        Raises:
            SettingError: the tokenizer has no such token.
        """
        if token_id is None:
            raise SettingError(f"{type(self).__name__}: expected a tokenizer with a {what} token")
        return token_id

    def converter(self, name: str) -> Any:
        """Return the converter of pictures ("image_converter") or recordings ("audio_converter");
        None if the model reads none."""
        return None

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The tokens before and after every prompt; None if there is none."""
        return self.tokenizer.start_token, self.tokenizer.end_token

    def generation_ids(self) -> dict[str, int]:
        """Return the ids that begin a generated text besides its start token, by their names in
        Transformers' configs."""
        return {}

    def picture_ids(self) -> dict[str, int]:
        """Return the ids of picture tokens by their names in Transformers' `config.json`."""
        return {}

    def save_to_preset(self, preset_dir: str) -> None:
        """Write the preprocessor and its tokenizer as a preset folder. The write is atomic."""
        ports.store().save_preset(self, preset_dir)


class CausalLMPreprocessor(Preprocessor):
    """A preprocessor that tokenises, packs to a fixed length and makes next-token labels.

    Args:
        tokenizer: the model's tokenizer.
        sequence_length: tokens per sample; also the default `max_length` of `generate()`.
        add_start_token: put the tokenizer's start token before every text.
        add_end_token: put its end token after every training text if there is room.
    """

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        sequence_length: int = 1024,
        add_start_token: bool = True,
        add_end_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, sequence_length, **kwargs)
        self.add_start_token = add_start_token
        self.add_end_token = add_end_token

    pair_names = (PROMPTS, RESPONSES)
    other_names: ClassVar[Mapping[str, str]] = {
        "prompt": PROMPTS,
        "response": RESPONSES,
        "completion": RESPONSES,
        "image": "images",
    }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, except the tokenizer."""
        return {
            "sequence_length": self.sequence_length,
            "add_start_token": self.add_start_token,
            "add_end_token": self.add_end_token,
        }

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return constructor arguments for a Transformers folder, from whether its tokenizer puts a
        start token first, and its model's length if that is below the default."""
        settings: dict[str, Any] = {"add_start_token": prepends_start}
        return settings if length is None else settings | {"sequence_length": length}

    def __call__(
        self,
        x: str | Sequence[str] | Mapping[str, Any],
        y: Any = None,
        sample_weight: Any = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays: inputs, labels and weights, all (B, L), or (L,) for one sample.

        Labels are the inputs shifted by one. For texts, every label except padding weighs 1. For a
        dict of `prompts` and `responses`, only the responses have weight; for a dict of `messages`
        (a conversation or a list of them), only the assistant's replies, see `supervision`.
        Samples longer than `sequence_length` are cut.

        Raises:
            SettingError: labels or weights are given, which this preprocessor makes itself.
            PromptError: a text is not a string, a key is missing or unknown, or the numbers differ.
            ChatTemplateError: there are messages but no chat template, or it fails.
        """
        if y is not None or sample_weight is not None:
            raise SettingError(
                f"{type(self).__name__}: labels and weights come from the text itself: "
                "expected none, got some. Pass only x, or preprocess beforehand."
            )
        length = length_or(self.sequence_length, sequence_length) + 1
        samples, single = samples_of(x)
        rows = [self._supervised(sample, length) for sample in samples]
        ids, mask = pack([row.ids for row in rows], length, self.pad_token_id)
        loss = pack([row.loss for row in rows], length, 0)[0].astype(bool)
        inputs = {"token_ids": ids[:, :-1], "padding_mask": mask[:, :-1]}
        if single:
            return {k: v[0] for k, v in inputs.items()}, ids[0, 1:], loss[0, 1:]
        return inputs, ids[:, 1:], loss[:, 1:]

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The tokens before and after every prompt; None if there is none."""
        return self.tokenizer.start_token if self.add_start_token else None, None

    def prompt_ids(self, text: str) -> list[int]:
        """Return a prompt's ids to continue: start token first, no end token."""
        ids = self.tokenizer.tokenize(text)
        start = self.tokenizer.start_token_id
        return [start, *ids] if self.add_start_token and start is not None else ids

    def chat_ids(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Return the prompt ids for a reply to messages, written by the tokenizer's chat template.

        Raises:
            PromptError: the messages are malformed.
            ChatTemplateError: the tokenizer has no template, or its template fails.
        """
        template = ChatTemplate.of(self.tokenizer)
        return template.ids(messages, self.tokenizer, template_arguments)

    def generate_preprocess(
        self, x: str | Sequence[str], sequence_length: int | None = None
    ) -> Arrays:
        """Return prompts as padded `token_ids` and `padding_mask`, (B, L), or (L,) for a string.

        Raises:
            PromptError: a prompt is longer than the sequence length.
        """
        length = length_or(self.sequence_length, sequence_length)
        single = isinstance(x, str)
        rows = [self.prompt_ids(text) for text in ([x] if single else texts_of(x))]
        for row, ids in enumerate(rows):
            check_length(f"prompt {row}", len(ids), length, None, "raise sequence_length")
        ids, mask = pack(rows, length, self.pad_token_id)
        arrays = {"token_ids": ids, "padding_mask": mask}
        return {k: v[0] for k, v in arrays.items()} if single else arrays

    def generate_postprocess(self, x: Arrays) -> str | list[str]:
        """Return the text of generated ids, without padding and special tokens.

        Raises:
            PromptError: `token_ids` or `padding_mask` is missing.
        """
        if not isinstance(x, Mapping) or not {"token_ids", "padding_mask"} <= x.keys():
            raise PromptError(f"inputs: expected token_ids and padding_mask, got {shown(x)}")
        ids, mask = np.asarray(x["token_ids"]), np.asarray(x["padding_mask"]).astype(bool)
        if ids.ndim == 1:
            return self.text(ids[mask])
        return [self.text(row[keep]) for row, keep in zip(ids, mask, strict=True)]

    def text(self, ids: Iterable[int], after: Iterable[int] = ()) -> str:
        """Return the text of ids without special tokens; with `after`, the text they add to those
        ids."""
        decoder = self.tokenizer.decoder(after)
        return "".join([decoder.push(int(token)) for token in ids]) + decoder.flush()

    def _supervised(self, sample: Sample, length: int) -> Supervised:
        """Return the ids of a sample, at most `length`, and which of them are learnt."""
        if isinstance(sample, str):
            ids = self._training_ids(sample, length)
            return Supervised(ids, [True] * len(ids))
        if isinstance(sample, tuple):
            prompt, response = sample
            ids, loss = of_response(self, prompt, response)
        else:
            ids, loss = of_messages(self, sample)
        return Supervised(ids[:length], loss[:length])

    def _training_ids(self, text: str, length: int) -> list[int]:
        ids = self.prompt_ids(text)
        end = self.tokenizer.end_token_id
        if self.add_end_token and end is not None:
            ids = [*ids[: length - 1], end]
        return ids[:length]


def samples_of(x: str | bytes | Iterable[Any] | Mapping[str, Any]) -> tuple[list[Sample], bool]:
    """Turn the inputs of `CausalLMPreprocessor` into a list of samples; also return whether the
    input was a single sample.

    Raises:
        PromptError: a key is missing or unknown, the numbers differ, or a text is not a string.
    """
    if not isinstance(x, Mapping):
        single = isinstance(x, str | bytes)
        return list(texts_of([x] if single else x)), single
    if set(x) == {TEXT}:
        return samples_of(x[TEXT])
    if set(x) == {MESSAGES}:
        single = all(isinstance(message, Mapping) for message in x[MESSAGES])
        return ([x[MESSAGES]] if single else list(x[MESSAGES])), single
    if set(x) != {PROMPTS, RESPONSES}:
        raise PromptError(
            f"inputs: expected texts, or a dict of {PROMPTS} and {RESPONSES}, or of {MESSAGES}, "
            f"got a dict of {sorted(map(str, x))}"
        )
    single = isinstance(x[PROMPTS], str | bytes)
    prompts, responses = (texts_of([x[k]] if single else x[k]) for k in (PROMPTS, RESPONSES))
    if len(prompts) != len(responses):
        raise PromptError(
            f"inputs: expected as many {RESPONSES} as {PROMPTS}, got {len(responses)} and "
            f"{len(prompts)}"
        )
    return list(zip(prompts, responses, strict=True)), single


def texts_of(x: Iterable[Any]) -> list[str]:
    """Return a batch of texts, strings or UTF-8 bytes, as a list of strings."""
    x = x.tolist() if isinstance(x, np.ndarray) else x
    if not isinstance(x, Iterable):
        raise PromptError(f"inputs: expected strings, got {type(x).__name__}")
    return [str(as_text(item, f"prompt {row}")) for row, item in enumerate(x)]


def pack(
    rows: Sequence[Sequence[int] | np.ndarray], length: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad rows to ids int32 (B, length) and a mask bool (B, length), true at real tokens.

    Raises:
        MemoryTooSmallError: the arrays would not fit into the memory.
    """
    what = f"a batch of {len(rows)} x {length} tokens"
    admit(what, len(rows) * length * (4 + 1), "Lower sequence_length or the batch.")
    ids = np.full((len(rows), length), pad, np.int32)
    mask = np.zeros((len(rows), length), bool)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
        mask[row, : len(values)] = True
    return ids, mask
