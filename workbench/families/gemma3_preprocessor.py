"""Gemma 3's tokenizer, and its preprocessor for prompts with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.backbones.config import check_size
from workbench.errors import PromptError, SettingError, present
from workbench.images import ImageConverter
from workbench.kinds import checks_types
from workbench.preprocessing.image_chat import image_messages
from workbench.preprocessing.image_text_preprocessor import (
    ImagePrompt,
    ImageTextPreprocessor,
    PromptReading,
    are_prompts,
)
from workbench.preprocessing.preprocessor import Arrays, pack
from workbench.tokenizers import ChatTemplate, SentencePieceTokenizer, Tokenizer

START_OF_IMAGE, END_OF_IMAGE = "<start_of_image>", "<end_of_image>"
PLACES = ("<img>", "<image_soft_token>")
"""The token at the places of a picture's vectors, in KerasHub's and Transformers' vocabularies."""


class Gemma3Tokenizer(SentencePieceTokenizer):
    """Gemma 3's SentencePiece tokenizer; a chat's turn ends with `<end_of_turn>`.

    `has_vision_tokens` is kept for KerasHub's files: whether the vocabulary has image tokens.
    """

    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"
    extra_stop_tokens = ("<end_of_turn>",)

    @checks_types
    def __init__(self, *args: Any, has_vision_tokens: bool = True, **kwargs: Any) -> None:
        self.has_vision_tokens = has_vision_tokens
        super().__init__(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "has_vision_tokens": self.has_vision_tokens}

    @property
    def special_token_ids(self) -> frozenset[int]:
        """The ids that are left out of text; the user's picture marks stay."""
        return super().special_token_ids | set(self._known_ids((END_OF_IMAGE, *PLACES)))

    def control_tokens(self, template: str | None = None) -> frozenset[str]:
        """Return the control tokens of every tokenizer and the picture marks."""
        marks = filter(self.has_token, (START_OF_IMAGE, END_OF_IMAGE, *PLACES))
        return super().control_tokens(template) | frozenset(marks)


class Gemma3CausalLMPreprocessor(ImageTextPreprocessor):
    """strings and pictures to Gemma 3's arrays and back.

    A picture goes to `<start_of_image>` in its prompt. A prompt without this mark gets its pictures
    in front, as in the chats on which Gemma was trained. Each mark becomes two line ends, the mark,
    the places of a picture's vectors, `<end_of_image>` and two line ends. If the prompts of a batch
    have different numbers of pictures, `images` is a list of lists.

    Args:
        tokenizer: the model's tokenizer.
        image_converter: resizes and scales pictures; None for a model that reads only text.
        sequence_length: tokens per sample, including those of pictures.
        add_start_token: put the tokenizer's start token before every text.
        add_end_token: put its end token after every training text that has room for it.
        max_images_per_prompt: the most pictures of a prompt.
        num_vision_tokens_per_image: the number of places of a picture.

    Raises:
        SettingError: an argument is impossible, or the vocabulary has no tokens for pictures.
    """

    tokenizer_cls = Gemma3Tokenizer

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        image_converter: ImageConverter | None = None,
        sequence_length: int = 1024,
        add_start_token: bool = True,
        add_end_token: bool = True,
        max_images_per_prompt: int = 2,
        num_vision_tokens_per_image: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            tokenizer, image_converter, sequence_length, add_start_token, add_end_token, **kwargs
        )
        name = type(self).__name__
        if image_converter is not None:  # files of text models have zeros here
            check_size(name, "max_images_per_prompt", max_images_per_prompt)
            check_size(name, "num_vision_tokens_per_image", num_vision_tokens_per_image)
        self.max_images_per_prompt = max_images_per_prompt
        self.num_vision_tokens_per_image = num_vision_tokens_per_image
        self._place = next(filter(tokenizer.has_token, PLACES), None)
        marked = tokenizer.has_token(START_OF_IMAGE) and tokenizer.has_token(END_OF_IMAGE)
        if image_converter is not None and (self._place is None or not marked):
            raise SettingError(
                f"{name}: tokenizer: expected {START_OF_IMAGE}, {END_OF_IMAGE} and "
                f"{' or '.join(PLACES)} in a vocabulary for pictures, which are not all there"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments without the tokenizer."""
        converter = self.image_converter
        return {
            **super().get_config(),
            "image_converter": None if converter is None else converter.get_config(),
            "max_images_per_prompt": self.max_images_per_prompt,
            "num_vision_tokens_per_image": self.num_vision_tokens_per_image,
        }

    @property
    def image_token_ids(self) -> tuple[int, int, int] | None:
        """The ids before, after and in the places of a picture; None for a text model."""
        if self.image_converter is None:
            return None
        token_to_id = self.tokenizer.token_to_id
        place = token_to_id(present(self._place, "a mark of pictures"))
        return token_to_id(START_OF_IMAGE), token_to_id(END_OF_IMAGE), place

    def picture_ids(self) -> dict[str, int]:
        """`image_token_ids` under Transformers' names."""
        names = ("boi_token_index", "eoi_token_index", "image_token_index")
        return dict(zip(names, self.image_token_ids or (), strict=False))

    def reading_ids(self, prompt: ImagePrompt, row: int = 0) -> list[int]:
        """Return the ids of a prompt, including the places of its pictures.

        Raises:
            PromptError: it has more pictures than max_images_per_prompt, or the numbers of pictures
                and of `<start_of_image>` differ.
        """
        if self.image_converter is None:
            return self.prompt_ids(prompt.text)
        text = prompt.text
        if prompt.images and START_OF_IMAGE not in text:
            text = START_OF_IMAGE * len(prompt.images) + text
        self._check_count(text.count(START_OF_IMAGE), len(prompt.images), f"prompt {row}")
        return self.prompt_ids(self._expanded(text))

    def reading(self, prompt: ImagePrompt, row: int = 0) -> PromptReading:
        """Return the decoder's input for a prompt.

        Raises:
            PromptError: as `reading_ids`, or the model reads no pictures.
            ImageError: a picture cannot be read.
        """
        ids = self.reading_ids(prompt, row)
        sees = self.image_converter is not None
        mask = self._image_mask(ids) if sees else [False] * len(ids)
        return PromptReading(ids, mask, self.convert(prompt, row))

    def chat_reading(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> PromptReading:
        """Return the decoder's input for a conversation whose messages may hold pictures.

        Raises:
            PromptError, ChatTemplateError, ImageError: as `reading` and `chat_ids`.
        """
        ids = self.chat_ids(messages, template_arguments)
        pictures = image_messages(messages)[1]
        mask = self._image_mask(ids) if pictures else [False] * len(ids)
        return PromptReading(ids, mask, self.convert(ImagePrompt("", tuple(pictures))))

    def chat_ids(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Return the ids before a reply to messages, including the places of pictures. Picture
        marks that a message contains as text stay text.

        Raises:
            PromptError: the messages are invalid, or have too many pictures.
            ChatTemplateError: the tokenizer has no template, or its template fails or leaves out a
                picture.
        """
        plain, pictures = image_messages(messages)
        if self.image_converter is None:
            self.convert(ImagePrompt("", tuple(pictures)))
            return super().chat_ids(plain, template_arguments)
        template = ChatTemplate.of(self.tokenizer)

        def expanded(text: str) -> str:
            self._check_count(text.count(START_OF_IMAGE), len(pictures), "messages")
            return self._expanded(text)

        marks = frozenset((START_OF_IMAGE, END_OF_IMAGE, *filter(self._has, PLACES)))
        return template.ids(plain, self.tokenizer, template_arguments, marks, expanded)

    def __call__(
        self, x: Any, y: Any = None, sample_weight: Any = None, sequence_length: int | None = None
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays: inputs, labels and weights.

        Every token of a string has weight 1. For a dict of `prompts`, `responses` and optionally
        `images`, or for `ImagePrompt`s with responses, only the tokens of responses have weight.
        With an image_converter the inputs are `images` float32 (B, pictures, height, width, 3),
        padded with blank pictures, `vision_indices` int32 (B, pictures * places), `vision_mask`,
        `token_ids` and `padding_mask` (B, L); without one, only the last two. One sample has no
        axis B.

        Raises:
            SettingError: labels or weights are given, which this preprocessor computes itself.
            PromptError, ImageError: as `reading`.
        """
        length = sequence_length or self.sequence_length
        if not isinstance(x, Mapping) and not are_prompts(x):
            single = isinstance(x, str)
            made = super().__call__([x] if single else x, y, sample_weight, length)
            places = np.zeros_like(made[0]["padding_mask"])
            made = self._with_images(made[0], places, [[]] * len(places)), *made[1:]
            return _alone(*made) if single else made
        prompts, single = self._training_rows(x, y, sample_weight)
        readings = [self.reading(prompt, row) for row, prompt in enumerate(prompts)]
        answers = [self.response_ids(present(prompt.response, "a response")) for prompt in prompts]
        made, labels, weights = self._packed_answers(
            [reading.ids for reading in readings], answers, length
        )
        del made["response_mask"]
        made = self._with_images(made, *_packed_images(readings, length))
        return _alone(made, labels, weights) if single else (made, labels, weights)

    def generate_preprocess(self, x: Any, sequence_length: int | None = None) -> Arrays:
        """Convert prompts to arrays: the inputs of `__call__`, without responses and end tokens.

        Raises:
            PromptError: a prompt is longer than the sequence length, or as `reading`.
            ImageError: a picture cannot be read.
        """
        length = sequence_length or self.sequence_length
        prompts, single = self.prompts_of(x)
        readings = [self.reading(prompt, row) for row, prompt in enumerate(prompts)]
        for row, reading in enumerate(readings):
            if len(reading.ids) > length:
                raise PromptError(
                    f"prompt {row} has {len(reading.ids)} tokens: expected at most the sequence "
                    f"length {length}"
                )
        rows = [reading.ids for reading in readings]
        ids, mask = pack(rows, length, self.pad_token_id)
        made = {"token_ids": ids, "padding_mask": mask}
        made = self._with_images(made, *_packed_images(readings, length))
        return _alone(made)[0] if single else made

    def _pictures(self, images: Any, count: int, single: bool) -> list[tuple[Any, ...]]:
        if images is None:
            return [()] * count
        if single:
            return [_several(images)]
        if not _is_several(images):
            return [(images,)] * count
        if len(images) != count:
            raise PromptError(
                f"inputs: images: expected one or a list of them for each of {count} prompts, got "
                f"{len(images)}"
            )
        return [_several(own) for own in images]

    def _has(self, token: str) -> bool:
        return self.tokenizer.has_token(token)

    def _expanded(self, text: str) -> str:
        """Replace each mark in a text by the whole sequence for a picture."""
        places = present(self._place, "a mark of pictures") * self.num_vision_tokens_per_image
        return text.replace(START_OF_IMAGE, f"\n\n{START_OF_IMAGE}{places}{END_OF_IMAGE}\n\n")

    def _image_mask(self, ids: Sequence[int]) -> list[bool]:
        """Return the places of pictures' vectors: after each mark. The same token elsewhere is a
        word of the prompt."""
        mask, start = np.zeros(len(ids), bool), self.tokenizer.token_to_id(START_OF_IMAGE)
        for at in np.flatnonzero(np.asarray(ids) == start):
            mask[at + 1 : at + 1 + self.num_vision_tokens_per_image] = True
        return mask.tolist()

    def _check_count(self, marks: int, pictures: int, where: str) -> None:
        if pictures > self.max_images_per_prompt:
            raise PromptError(
                f"{where}: expected at most {self.max_images_per_prompt} pictures, got {pictures}. "
                "More are allowed by lm.preprocessor.max_images_per_prompt."
            )
        if marks != pictures:
            raise PromptError(
                f"{where}: expected a picture for each {START_OF_IMAGE}, got {pictures} pictures "
                f"and {marks} marks"
            )

    def _with_images(
        self, made: Arrays, places: np.ndarray, pictures: Sequence[Sequence[np.ndarray]]
    ) -> Arrays:
        """Add to text arrays (B, L) those of pictures, whose places are `places` (B, L)."""
        if self.image_converter is None:
            return made
        size = (*self.image_converter.image_size, 3)
        most = self.max_images_per_prompt
        images = np.zeros((len(pictures), most, *size), np.float32)
        indices = np.zeros((len(pictures), most * self.num_vision_tokens_per_image), np.int32)
        for row, own in enumerate(pictures):
            images[row, : len(own)] = own if own else 0
            at = np.flatnonzero(places[row])
            indices[row, : len(at)] = at
        return {**made, "images": images, "vision_indices": indices, "vision_mask": places}


def _alone(made: Arrays, *others: np.ndarray) -> tuple[Any, ...]:
    """Return the only row of arrays."""
    return {key: value[0] for key, value in made.items()}, *(other[0] for other in others)


def _packed_images(
    readings: Sequence[PromptReading], length: int
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Return the places of pictures in packed rows, bool (B, length), and each row's pictures."""
    places = np.zeros((len(readings), length), bool)
    for row, reading in enumerate(readings):
        mask = reading.image_mask[:length]
        places[row, : len(mask)] = mask
    return places, [reading.images for reading in readings]


def _is_several(images: Any) -> bool:
    return isinstance(images, list | tuple) or np.ndim(_array(images)) > 3


def _array(images: Any) -> Any:
    """Return the images as an array; None for paths, bytes and files."""
    return images if isinstance(images, np.ndarray) else None


def _several(images: Any) -> tuple[Any, ...]:
    """Return the pictures of one prompt, given as one, several, or None."""
    if images is None:
        return ()
    return tuple(images) if _is_several(images) else (images,)
