"""Image-text language models: pictures and strings in, strings out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.backbones.image_text import ImageTextDecoder
from workbench.errors import PromptError, shown
from workbench.generation.arguments import DEFAULT_ALTERNATIVES
from workbench.generation.programs import padded
from workbench.generation.request import Request, checked_ids
from workbench.generation.stream import collect_ids
from workbench.inspection.subject import Subject
from workbench.kinds import integer
from workbench.memory.door import admit
from workbench.preprocessing.image_text_preprocessor import (
    IMAGES,
    ImagePrompt,
    ImageTextPreprocessor,
    PromptReading,
)
from workbench.preprocessing.preprocessor import Arrays
from workbench.tasks.arrays import check_arrays
from workbench.tasks.causal_lm import CausalLM
from workbench.tasks.image_attention import attention_over_picture

PLACE = 0  # the id at the place of a picture's vector; any id would do


class ImageTextLM(CausalLM):
    """A decoder that reads pictures, with its language-model head and a preprocessor.

    `generate` and `stream` take `{"images": ..., "prompts": ...}`. The prompts are a string or
    strings; `"text"` is another name for them. A picture is a path, the bytes of a file, a PIL
    image or an array. A single picture goes with every prompt. `fit` takes `"responses"` too.
    Without a preprocessor `generate` takes `images` (B, height, width, 3), scaled as the model
    reads them, `token_ids` and `padding_mask` (B, L).

    Args:
        backbone: the decoder and its image encoder.
        preprocessor: turns pictures and strings into arrays; None for a model that is fed arrays.

    Example:
        >>> lm = workbench.models.CausalLM.from_preset("shapes_tiny")
        >>> lm.generate({"images": "picture.png", "prompts": "caption en"})
    """

    backbone_cls = ImageTextDecoder
    backbone: ImageTextDecoder
    preprocessor_cls = ImageTextPreprocessor
    default_sampler = "greedy"

    def _reader(self) -> ImageTextPreprocessor:
        return self._needed(ImageTextPreprocessor)

    def image_attention(
        self, inputs: Any, completion: str | Sequence[int], picture: int = 0
    ) -> np.ndarray:
        """Return where the model looks in a picture while it writes: for each token, how much the
        place that chose it attends to each patch, as the mean over all layers and heads.

        The model reads the prompt and the completion again, in one pass. If it pools the image
        encoder's vectors, a patch is the area behind one vector of the decoder.

        Args:
            inputs: one prompt with its pictures, as for `generate`.
            completion: the text the model wrote, or its token ids.
            picture: the number of the picture in the prompt.

        Returns:
            float32 (tokens, rows, columns). A token's sum is at most 1; the rest of its attention
            went to text or to other pictures.

        Raises:
            PromptError: the prompt has no such picture, or the completion is empty.
        """
        reader = self._reader()
        reading = self._placed(reader.reading(reader.prompts_of(inputs)[0][0]))
        text = isinstance(completion, str)
        given = reader.tokenizer.tokenize(completion) if text else completion
        size, what = self.backbone.config.vocabulary_size, "image_attention: completion"
        ids = checked_ids(given, what, size, name=self.token_name).tolist()
        if not integer(0, len(reading.images) - 1).fits(picture):
            raise PromptError(
                f"image_attention: picture: expected one of {len(reading.images)}, "
                f"got {shown(picture)}"
            )
        source = self._source([reading])
        return attention_over_picture(self.programs, reading, source, ids, picture)

    def _subject(self, inputs: Any) -> Subject:
        """Return the subject for text, text with pictures, or ids, which hold text only."""
        if isinstance(inputs, str | Mapping):
            return self._subject_with_source(inputs)
        return super()._subject(inputs)

    def prompt_tokens(self, inputs: Any) -> int:
        """Return the number of tokens the decoder reads for one prompt, its pictures included."""
        reader = self._reader()
        prompt = reader.prompts_of(inputs)[0][0]
        return len(self._placed(reader.reading(prompt)).ids)

    @staticmethod
    def hidden_states(backbone: ImageTextDecoder, outputs: Any) -> Any:
        """Return the outputs at the places of the text, without those of the pictures."""
        return outputs[:, _leading(backbone) :]

    def _texts(self, inputs: Any) -> list[ImagePrompt]:
        return self._reader().prompts_of(inputs)[0]

    def _generate_arrays(
        self, inputs: dict[str, Any], strip_prompt: bool, **settings: Any
    ) -> Arrays | str | list[str]:
        """Return texts for a dict of pictures and texts, ids for a dict of arrays."""
        if "token_ids" not in inputs:
            prompts, single = self._reader().prompts_of(inputs)
            made = self._generate_texts(prompts, strip_prompt, **settings)
            return made[0] if single else made
        ids, mask = check_arrays(inputs)
        places = self._image_places(inputs, np.atleast_2d(ids).shape)
        pictures = self._image_arrays(inputs.get(IMAGES), places)

        def request(rows: list[int], prompts: list[np.ndarray]) -> Request:
            readings = [
                PromptReading(prompt.tolist(), places[row, : len(prompt)].tolist(), pictures[row])
                for row, prompt in zip(rows, prompts, strict=True)
            ]
            return self._readings_request(
                readings,
                max_length=ids.shape[-1],
                alternatives=DEFAULT_ALTERNATIVES,
                **{k: v for k, v in settings.items() if k != "max_length"},
            )

        made = self._continued(ids, mask, strip_prompt, request)
        return dict(zip(("token_ids", "padding_mask"), made, strict=True))

    def _image_places(self, inputs: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray:
        """Return the places of pictures in given ids, bool (B, L)."""
        return np.zeros(shape, bool)

    def _image_arrays(self, images: Any, places: np.ndarray) -> list[list[np.ndarray]]:
        """Return the pictures of each row, from (B, height, width, 3) or one for all rows; their
        places in the ids are `places` (B, L)."""
        rows = len(places)
        size = (*self.backbone.images.vision.image_size, 3)
        array = np.asarray([] if images is None else images, np.float32)
        if array.shape == size:
            array = array[None].repeat(rows, axis=0)
        if array.shape != (rows, *size):
            raise PromptError(
                f"generate: inputs: images: expected shape {(rows, *size)}, got {array.shape}"
            )
        return [[image] for image in array]

    def _generate_texts(
        self, texts: Sequence[ImagePrompt], strip_prompt: bool, **settings: Any
    ) -> list[str]:
        prompts = self._texts(texts)
        if not prompts:
            return []
        reader, readings = self._reader(), self._readings(prompts)
        request = self._readings_request(readings, alternatives=DEFAULT_ALTERNATIVES, **settings)
        made = zip(readings, collect_ids(self.programs, request), strict=True)
        if strip_prompt:
            return [reader.text(new, after=reading.text_ids) for reading, new in made]
        return [reader.text([*reading.text_ids, *new]) for reading, new in made]

    def _text_request(self, texts: Sequence[ImagePrompt], **settings: Any) -> Request:
        return self._readings_request(self._readings(texts), **settings)

    def _readings(self, prompts: Sequence[ImagePrompt]) -> list[PromptReading]:
        """Return what the decoder reads for prompts without responses."""
        if any(prompt.response is not None for prompt in prompts):
            raise PromptError("inputs: responses: expected none, which only training takes")
        reader = self._reader()
        return [reader.reading(prompt, row) for row, prompt in enumerate(prompts)]

    def _messages_request(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None,
        **settings: Any,
    ) -> Request:
        reading = self._reader().chat_reading(messages, template_arguments)
        return self._readings_request([reading], **settings)

    def _readings_request(
        self, readings: Sequence[PromptReading], *, max_length: int | None, **settings: Any
    ) -> Request:
        """Return the request for what the decoder reads. `max_length` does not count pictures
        before the text."""
        placed = [self._placed(reading) for reading in readings]
        max_length = self.max_length if max_length is None else max_length
        if isinstance(max_length, int | np.integer):
            max_length += _leading(self.backbone)
        ids = [reading.ids for reading in placed]
        return self._request(ids, source=self._source(placed), max_length=max_length, **settings)

    def _placed(self, reading: PromptReading) -> PromptReading:
        """Return the reading with the places of a picture before the text added."""
        ahead = _leading(self.backbone)
        ids, mask = [PLACE] * ahead + reading.ids, [True] * ahead + reading.image_mask
        return PromptReading(ids, mask, reading.images)

    def _source(self, readings: Sequence[PromptReading]) -> dict[str, np.ndarray]:
        """Return pictures float32 (B, most of any row, height, width, 3), blank where a row has
        fewer, and their places bool (B, P); an empty dict if no row has a picture."""
        most = max((len(reading.images) for reading in readings), default=0)
        if not most:
            return {}
        size = (*self.backbone.images.vision.image_size, 3)
        what = f"{len(readings)} prompts of {most} pictures"
        needed = 4 * len(readings) * most * math.prod(size)
        admit(what, needed, "Give fewer pictures at a time.")
        images = np.zeros((len(readings), most, *size), np.float32)
        for row, reading in enumerate(readings):
            self._check_images(row, reading, size)
            if reading.images:
                images[row, : len(reading.images)] = reading.images
        mask, _ = padded(tuple(np.asarray(reading.image_mask) for reading in readings))
        return {"images": images, "image_mask": mask.astype(bool)}

    def _check_images(self, row: int, reading: PromptReading, size: tuple[int, ...]) -> None:
        expected = len(reading.images) * self.backbone.images.tokens
        if sum(reading.image_mask) != expected:
            raise PromptError(
                f"prompt {row}: expected {expected} places for {len(reading.images)} pictures, "
                f"got {sum(reading.image_mask)}"
            )
        for image in reading.images:
            if image.shape != size:
                raise PromptError(
                    f"prompt {row}: images: expected shape {size}, got {image.shape}. The "
                    "preprocessor's image_converter makes pictures of another size."
                )


def _leading(backbone: ImageTextDecoder) -> int:
    """Return the number of places that pictures take before the text."""
    images = backbone.images
    return images.tokens if images is not None and images.whole_prompt else 0
