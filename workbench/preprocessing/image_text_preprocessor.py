"""Turns pictures and strings into the arrays of an image-text model, and ids into text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import PromptError, SettingError
from workbench.images import ImageConverter
from workbench.kinds import checks_types
from workbench.preprocessing.image_chat import image_messages
from workbench.preprocessing.preprocessor import Arrays, CausalLMPreprocessor, pack, texts_of
from workbench.tokenizers import Tokenizer

IMAGES = "images"
PROMPTS = ("prompts", "text")  # two names of one key: KerasHub's code and its pages differ
RESPONSES = "responses"


class ImagePrompt(NamedTuple):
    """A text, its pictures, and in training its answer. `workbench.images.open_image` lists the
    forms of a picture."""

    text: str
    images: tuple[Any, ...] = ()
    response: str | None = None


class PromptReading(NamedTuple):
    """The decoder's inputs for one prompt: ids; for each, whether a picture's vector takes its
    place; and the pictures, float32 (height, width, 3)."""

    ids: list[int]
    image_mask: list[bool]
    images: list[np.ndarray]

    @property
    def text_ids(self) -> list[int]:
        """The ids that are text."""
        return [token for token, image in zip(self.ids, self.image_mask, strict=True) if not image]


class ImageTextPreprocessor(CausalLMPreprocessor):
    """A preprocessor that tokenises prompts and answers, and converts pictures.

    Inputs are dicts of `images`, `prompts` (or `text`) and, in training, `responses`.

    Args:
        tokenizer: the model's tokenizer.
        image_converter: sizes and scales pictures.
        sequence_length: tokens of text per sample.
        add_start_token: put the tokenizer's start token before every prompt.
        add_end_token: put its end token after every answer if there is room.
    """

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        image_converter: ImageConverter | None,
        sequence_length: int = 1024,
        add_start_token: bool = True,
        add_end_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, sequence_length, add_start_token, add_end_token, **kwargs)
        self.image_converter = image_converter

    def converter(self, name: str) -> ImageConverter | None:
        """Return the converter of pictures ("image_converter")."""
        return self.image_converter if name == "image_converter" else None

    @abstractmethod
    def __call__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays, labels and weights (B, L) for a dict as in the class docstring,
        or for a list of `ImagePrompt`s."""

    @abstractmethod
    def reading_ids(self, prompt: ImagePrompt, row: int = 0) -> list[int]:
        """Return the ids of `reading`, without opening the pictures.

        Raises:
            PromptError: the pictures do not match the text.
        """

    @abstractmethod
    def reading(self, prompt: ImagePrompt, row: int = 0) -> PromptReading:
        """Return the decoder's inputs for a prompt; errors name it by `row`.

        Raises:
            PromptError: the pictures do not match the text.
            ImageError: a picture cannot be read.
        """

    def chat_reading(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> PromptReading:
        """Return the decoder's inputs for a conversation; in this class, one without pictures.

        Raises:
            PromptError, ChatTemplateError: as `chat_ids`, or the messages hold pictures.
        """
        plain, pictures = image_messages(messages)
        if pictures:
            raise PromptError("messages: expected no pictures, which this model knows no chat for")
        ids = self.chat_ids(plain, template_arguments)
        return PromptReading(ids, [False] * len(ids), [])

    def prompts_of(self, x: Any) -> tuple[list[ImagePrompt], bool]:
        """Return the prompts of a dict of `images`, `prompts` (or `text`) and `responses`, and
        whether it was a single prompt. A string or strings are prompts without pictures; a single
        picture goes with every prompt.

        Raises:
            PromptError: a key is missing or unknown, or the numbers differ.
        """
        if isinstance(x, ImagePrompt):
            return [x], True
        if not isinstance(x, Mapping):
            single = isinstance(x, str | bytes)
            items = [x] if single else list(x)
            if are_prompts(items):
                return items, False
            return [ImagePrompt(text) for text in texts_of(items)], single
        texts, single = self._texts(x)
        pictures = self._pictures(x.get(IMAGES), len(texts), single)
        responses = self._responses(x.get(RESPONSES), len(texts), single)
        return list(map(ImagePrompt, texts, pictures, responses)), single

    def convert(self, prompt: ImagePrompt, row: int = 0) -> list[np.ndarray]:
        """Return a prompt's pictures, float32 (height, width, 3) each.

        Raises:
            PromptError: there are pictures, but the model reads none.
            ImageError: a picture cannot be read.
        """
        if not prompt.images:
            return []
        if self.image_converter is None:
            raise PromptError(f"prompt {row}: expected no picture, which this model cannot read")
        return [self.image_converter(image) for image in prompt.images]

    @staticmethod
    def _texts(x: Mapping[str, Any]) -> tuple[list[str], bool]:
        known = {IMAGES, RESPONSES, *PROMPTS}
        given = [key for key in PROMPTS if key in x]
        if len(given) != 1 or set(x) - known:
            raise PromptError(
                f"inputs: expected {IMAGES}, one of {' and '.join(PROMPTS)}, and {RESPONSES} in "
                f"training, got {sorted(map(str, x))}"
            )
        texts = x[given[0]]
        single = isinstance(texts, str | bytes)
        return texts_of([texts] if single else texts), single

    @abstractmethod
    def _pictures(self, images: Any, count: int, single: bool) -> list[tuple[Any, ...]]:
        """Return the pictures of each of `count` prompts, from a dict's `images`."""

    @staticmethod
    def _responses(responses: Any, count: int, single: bool) -> list[str | None]:
        if responses is None:
            return [None] * count
        found = texts_of([responses] if isinstance(responses, str | bytes) else responses)
        if len(found) != count or isinstance(responses, str | bytes) != single:
            raise PromptError(
                f"inputs: {RESPONSES}: expected one for each of {count} prompts, got {len(found)}"
            )
        return list(found)

    def _training_rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[list[ImagePrompt], bool]:
        if y is not None or sample_weight is not None:
            raise SettingError(
                f"{type(self).__name__}: labels and weights come from the responses: "
                "expected none, got some. Pass only x, or preprocess beforehand."
            )
        prompts, single = self.prompts_of(x)
        if any(prompt.response is None for prompt in prompts):
            raise PromptError(f"inputs: expected {RESPONSES} to train on, got none")
        return prompts, single

    def response_ids(self, response: str) -> list[int]:
        """Return the ids of an answer in training."""
        ids = self.tokenizer.tokenize(response)
        end = self.tokenizer.end_token_id
        return [*ids, end] if self.add_end_token and end is not None else ids

    def _packed_answers(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], length: int
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return inputs, labels and weights, all (B, length), for the ids of prompts and answers.
        Labels are the next ids; only those of answers have weight."""
        rows = [[*p, *a][: length + 1] for p, a in zip(prompts, answers, strict=True)]
        ids, mask = pack(rows, length + 1, self.pad_token_id)
        lengths = np.array([len(prompt) for prompt in prompts])[:, None]
        response = (np.arange(length + 1) >= lengths) & mask
        inputs = {
            "token_ids": ids[:, :-1],
            "padding_mask": mask[:, :-1],
            "response_mask": response[:, :-1],
        }
        return inputs, ids[:, 1:], response[:, 1:]


def are_prompts(x: Any) -> bool:
    """Return whether the input is a list of `ImagePrompt`s."""
    return isinstance(x, list | tuple) and all(isinstance(item, ImagePrompt) for item in x)
