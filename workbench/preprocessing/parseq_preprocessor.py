"""Turns pictures of words and their texts into PARSeq's arrays, and ids into text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from workbench.errors import PromptError, SettingError
from workbench.generation.arguments import length_or
from workbench.images import ImageConverter
from workbench.kinds import checks_types
from workbench.preprocessing.preprocessor import Arrays, CausalLMPreprocessor, pack, texts_of
from workbench.tokenizers import Tokenizer

IMAGES = "images"
TEXTS = ("responses", "text")  # two names of one key


def pictures_of(inputs: Any) -> tuple[list[Any], bool]:
    """Return the pictures of `{"images": ...}`, or those given directly, and whether it was a
    single one.

    `workbench.images.open_image` lists the forms of one picture. Several are a list, a tuple, or
    an array (B, height, width, channels).

    Raises:
        PromptError: a dict has no pictures, or other keys.
    """
    if isinstance(inputs, Mapping):
        if set(inputs) != {IMAGES}:
            raise PromptError(f"inputs: expected {IMAGES}, got {sorted(map(str, inputs))}")
        return pictures_of(inputs[IMAGES])
    if isinstance(inputs, list | tuple):
        return list(inputs), False
    if isinstance(inputs, np.ndarray | jax.Array) and inputs.ndim == 4:
        return list(np.asarray(inputs)), False
    return [inputs], True


class PARSeqPreprocessor(CausalLMPreprocessor):
    """A preprocessor that converts pictures of words, and tokenises their texts.

    Args:
        image_converter: sizes and scales pictures; None takes arrays as the model reads them,
            float (B, height, width, 3).
        tokenizer: the model's tokenizer.
        sequence_length: tokens per sample, the start token included; also the default
            `max_length` of `generate()`.
        add_start_token: put the start token before every text; the model needs it.
        add_end_token: put the end token after every training text if there is room.
    """

    pair_names = (IMAGES, TEXTS[0])

    @checks_types
    def __init__(
        self,
        image_converter: ImageConverter | None = None,
        tokenizer: Tokenizer | None = None,
        sequence_length: int = 25,
        add_start_token: bool = True,
        add_end_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, sequence_length, add_start_token, add_end_token, **kwargs)
        if tokenizer is None:
            raise SettingError(f"{type(self).__name__}: tokenizer: expected one, got None")
        self.image_converter = image_converter

    def converter(self, name: str) -> ImageConverter | None:
        """Return the converter of pictures ("image_converter")."""
        return self.image_converter if name == "image_converter" else None

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]  # it reads dicts alone
        self,
        x: Mapping[str, Any],
        y: Any = None,
        sample_weight: Any = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Return training arrays for `{"images": ..., "responses": ...}`; `"text"` is another name
        for `"responses"`.

        Returns:
            Inputs `images` float32 (B, height, width, 3), `token_ids` int32 and `padding_mask` bool
            (B, T); labels (B, T), the next ids; weights (B, T), 0 where a label is padding.
            A single picture has no batch axis. Longer texts are cut.

        Raises:
            PromptError: pictures or texts are missing, or their numbers differ.
            ImageError: a picture cannot be read.
            SettingError: labels or weights are given, which this preprocessor makes itself.
        """
        if y is not None or sample_weight is not None:
            raise SettingError(
                f"{type(self).__name__}: labels and weights come from the texts: "
                "expected none, got some. Pass only x, or preprocess beforehand."
            )
        pictures, texts, single = self._pairs(x)
        length = length_or(self.sequence_length, sequence_length) + 1
        rows = [self._training_ids(text, length) for text in texts]
        ids, mask = pack(rows, length, self.pad_token_id)
        inputs = {
            IMAGES: self.convert(pictures),
            "token_ids": ids[:, :-1],
            "padding_mask": mask[:, :-1],
        }
        if single:
            return {k: v[0] for k, v in inputs.items()}, ids[0, 1:], mask[0, 1:]
        return inputs, ids[:, 1:], mask[:, 1:]

    def convert(self, pictures: list[Any]) -> np.ndarray:
        """Return pictures as the model reads them, float32 (B, height, width, 3).

        Raises:
            ImageError: a picture cannot be read, or there is none.
        """
        if self.image_converter is None:
            return np.stack([np.asarray(picture, np.float32) for picture in pictures])
        return self.image_converter(pictures)

    def prompt_ids(self, text: Any = "") -> list[int]:
        """Return the ids of a text to continue: the start token, then the text's."""
        start = self._control("start", self.tokenizer.start_token_id)
        return [start, *self.tokenizer.tokenize(text)]

    def generate_preprocess(self, x: Any, sequence_length: int | None = None) -> Arrays:
        """Return `images`, and `token_ids` and `padding_mask` (B, L) that hold only the start
        token. A single picture has no batch axis."""
        pictures, single = pictures_of(x)
        length = length_or(self.sequence_length, sequence_length)
        rows = [self.prompt_ids()] * len(pictures)
        ids, mask = pack(rows, length, self.pad_token_id)
        arrays = {IMAGES: self.convert(pictures), "token_ids": ids, "padding_mask": mask}
        return {k: v[0] for k, v in arrays.items()} if single else arrays

    @staticmethod
    def _pairs(x: Any) -> tuple[list[Any], list[str], bool]:
        given = [key for key in TEXTS if isinstance(x, Mapping) and key in x]
        if len(given) != 1 or set(x) != {IMAGES, given[0]}:
            got = sorted(map(str, x)) if isinstance(x, Mapping) else type(x).__name__
            raise PromptError(f"inputs: expected {IMAGES} and one of {TEXTS}, got {got}")
        pictures, single = pictures_of(x[IMAGES])
        texts = x[given[0]]
        texts = texts_of([texts] if isinstance(texts, str | bytes) else texts)
        if len(texts) != len(pictures):
            raise PromptError(
                f"inputs: {given[0]}: expected one for each of {len(pictures)} pictures, got "
                f"{len(texts)}"
            )
        return pictures, texts, single
