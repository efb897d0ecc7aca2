"""Models that read words in pictures: a picture in, its text out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import keras
import numpy as np
from PIL import Image

from workbench import samplers
from workbench.backbones.parseq_config import PARSeqConfig
from workbench.backbones.parseq_decoder import PARSeqDecoder
from workbench.backbones.parseq_orders import check_orders, order_masks, training_orders
from workbench.errors import ImageError, PromptError, SettingError
from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.clock import WorkClock
from workbench.generation.events import Events
from workbench.generation.refinement import read_again
from workbench.generation.request import Request
from workbench.generation.search import is_search
from workbench.generation.stream import collect_ids, events_of, ids_of, stream_events
from workbench.inspection.subject import Subject
from workbench.kinds import FLAG, NOTHING, checks_types, integer
from workbench.preprocessing.parseq_preprocessor import IMAGES, PARSeqPreprocessor, pictures_of
from workbench.preprocessing.preprocessor import Arrays, pack
from workbench.samplers import GreedySampler
from workbench.tasks.arrays import check_arrays
from workbench.tasks.causal_lm import CausalLM

MAX_REFINEMENTS = 32
_ONE = str | bytes | Sequence | Mapping | np.ndarray | jax.Array | io.IOBase | Image.Image


class ReadsWords(Protocol):
    """The interface a `TextReader` needs from its backbone."""

    config: PARSeqConfig
    decoder: PARSeqDecoder

    def encode(self, images: jax.Array) -> jax.Array:
        """Return vectors (B, P, D) for the patches of pictures (B, height, width, 3)."""
        ...

    def head(self, hidden: jax.Array) -> jax.Array:
        """Return logits (B, T, predicted) for the decoder's outputs (B, T, D)."""
        ...


class TextReader(CausalLM):
    """An image encoder and a two-stream decoder, with their head and a preprocessor.

    `generate` and `stream` take pictures of one word each: a path, the bytes of a file, a PIL image
    or an array; a list of these; or `{"images": ...}` with either. Without a preprocessor
    `generate` takes `images` (B, height, width, 3) as the model reads them, `token_ids` and
    `padding_mask` (B, L), the start token first and L the length to fill, and returns ids.

    Training reads each text in several orders at once, and the loss is the mean over them
    (permutation language modelling, Bautista and Atienza 2022): left to right, right to left,
    random orders and their mirror images. From the third order on, the loss ignores the end token.
    `evaluate` reads left to right. `fit` takes `{"images": [...], "responses": [...]}`.

    Args:
        backbone: a `PARSeqBackbone`.
        preprocessor: turns pictures and texts into arrays; None for a model that is fed arrays.
        num_perms: number of orders in each training step.
        add_forward_perms: include the order from left to right.
        add_mirrored_perms: follow each order with its mirror image.
        seed: makes the random orders repeatable.
        end_token_id: the token that ends a text.

    Example:
        >>> lm = workbench.models.PARSeqCausalLM.from_preset("words_tiny")
        >>> lm.generate("sign.png")
    """

    backbone: ReadsWords
    preprocessor_cls = PARSeqPreprocessor
    default_sampler = "greedy"
    left_to_right = False
    setting_arguments = (
        "num_perms",
        "add_forward_perms",
        "add_mirrored_perms",
        "seed",
        "end_token_id",
    )

    @checks_types
    def __init__(
        self,
        backbone: Any,
        preprocessor: PARSeqPreprocessor | None = None,
        num_perms: int = 6,
        add_forward_perms: bool = True,
        add_mirrored_perms: bool = True,
        seed: int | None = None,
        end_token_id: int = 0,
        **kwargs: Any,
    ) -> None:
        check_orders(num_perms)
        super().__init__(backbone, preprocessor, **kwargs)
        self.num_perms = num_perms
        self.add_forward_perms, self.add_mirrored_perms = add_forward_perms, add_mirrored_perms
        self.seed, self.end_token_id = seed, end_token_id
        self._orders_seed = keras.random.SeedGenerator(seed)

    def _reader(self) -> PARSeqPreprocessor:
        return self._needed(PARSeqPreprocessor)

    def head_config(self) -> dict[str, Any]:
        """Return the training settings."""
        return {name: getattr(self, name) for name in self.setting_arguments}

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
        refinements: int | None = None,
    ) -> Any:
        """Read pictures.

        Args:
            inputs: a picture, a list of pictures, an array of four axes, a dict with one of these,
                an iterable of batches of pictures; or a dict of arrays, as in the class docstring.
            max_length, stop_token_ids, strip_prompt, max_new_tokens, sampler, seed: as
                `CausalLM.generate`; the start token counts as one token.
            refinements: the number of extra passes; each predicts every character again from all
                others, in one step, and takes the likeliest. 0 is what KerasHub does. None means 1
                with the greedy sampler, as in the paper, and 0 with any other.

        Returns:
            A string for a picture, a list of strings for several, a dict of NumPy arrays for a dict
            of arrays.

        Raises:
            ImageError: a picture cannot be read.
            PromptError: the inputs have another form.
            SettingError: a length, stop id, seed, sampler or `refinements` is impossible.
        """
        FLAG.check("strip_prompt", strip_prompt)
        settings = {
            "max_length": max_length,
            "stop_token_ids": stop_token_ids,
            "max_new_tokens": max_new_tokens,
            "sampler": sampler,
            "seed": seed,
        }
        passes = self._refinements(refinements, sampler)
        if isinstance(inputs, Mapping) and "token_ids" in inputs:
            return self._fill_arrays(inputs, strip_prompt, passes, **settings)
        if isinstance(inputs, Iterable) and not isinstance(inputs, _ONE):
            batches = (pictures_of(batch)[0] for batch in inputs)
            return [text for batch in batches for text in self._read(batch, passes, **settings)]
        pictures, single = pictures_of(inputs)
        texts = self._read(pictures, passes, **settings)
        return texts[0] if single else texts

    def stream(
        self,
        inputs: Any,
        max_length: int | None = None,
        stop_token_ids: StopIds = "auto",
        *,
        max_new_tokens: int | None = None,
        sampler: AnySampler | None = None,
        seed: int | None = None,
        alternatives: int = DEFAULT_ALTERNATIVES,
        refinements: int | None = None,
    ) -> Events:
        """Read pictures and yield events while the model reads, as `CausalLM.stream`.

        With refinements, tokens come when they are final; the first pass yields none.
        """
        passes = self._refinements(refinements, sampler)
        request = self._text_request(
            self._texts(inputs),
            max_length=max_length,
            stop_token_ids=stop_token_ids,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            seed=seed,
            alternatives=alternatives,
        )
        tokenizer = self._reader().tokenizer
        if passes == 0 or is_search(request):
            return stream_events(self.programs, request, tokenizer)
        clock = WorkClock()
        items = read_again(self.programs, request, passes, clock)
        return events_of(items, request, tokenizer, clock)

    def prompt_tokens(self, inputs: Any) -> int:
        """Return the number of tokens the decoder reads for one picture: only the start token."""
        return len(self._reader().prompt_ids())

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> jax.Array:
        """Return the compiled loss: in training its mean over several reading orders, otherwise
        the loss from left to right. Labels the model never predicts, such as padding, weigh 0."""
        real = y < self.backbone.config.predicted
        weight = real if sample_weight is None else real * jnp.asarray(sample_weight)
        labels = jnp.where(real, y, 0)
        weight = weight.astype("float32")
        if not training:
            return super().compute_loss(x, labels, y_pred, weight, training=False)
        memory = self.backbone.encode(x[IMAGES])
        losses: list[jax.Array] = []
        for number, order in enumerate(self._orders(y.shape[1] - 1)):
            made = self._logits_in(order, x, memory)
            losses.append(super().compute_loss(x, labels, made, weight, training=True))
            if number == 1:
                weight = weight * (labels != self.end_token_id)
        return sum(losses[1:], start=losses[0]) / len(losses)

    def _orders(self, characters: int) -> jax.Array:
        key = self._orders_seed.next()
        count, forward, mirrored = self.num_perms, self.add_forward_perms, self.add_mirrored_perms
        return training_orders(key, characters, count, forward, mirrored)

    def _logits_in(self, order: jax.Array, x: Mapping[str, Any], memory: jax.Array) -> jax.Array:
        """Return logits (B, T, predicted) for texts read in an order."""
        backbone, masks = self.backbone, order_masks(order)
        ids, padding = x["token_ids"], x["padding_mask"]
        return backbone.head(backbone.decoder(ids, memory, padding, *masks, training=True))

    @classmethod
    def _predictions(cls, backbone: Any) -> Any:
        return backbone(backbone.input)

    def _refinements(self, asked: int | None, sampler: AnySampler | None) -> int:
        if asked is None:
            chosen = self.sampler if sampler is None else samplers.get(sampler)
            return int(isinstance(chosen, GreedySampler))
        (NOTHING | integer(0, MAX_REFINEMENTS)).check("refinements", asked)
        return int(asked)

    def _texts(self, inputs: Any) -> list[Any]:
        self._reader()
        pictures = pictures_of(inputs)[0]
        if not pictures:
            raise PromptError("inputs: expected at least one picture, got none")
        return pictures

    def _text_request(
        self, texts: Sequence[Any], *, max_length: int | None = None, **settings: Any
    ) -> Request:
        reader = self._reader()
        return self._request(
            [reader.prompt_ids() for _ in texts],
            source={IMAGES: self._checked(reader.convert(list(texts)), len(texts), ImageError)},
            max_length=max_length,
            **settings,
        )

    def _subject(self, inputs: Any) -> Subject:
        raise SettingError(
            f"{type(self).__name__} decodes in several orders at once: there is no one pass to "
            "look into. trace and inspect take models that read from left to right."
        )

    def _read(self, pictures: list[Any], passes: int, **settings: Any) -> list[str]:
        if not pictures:
            return []
        request = self._text_request(pictures, alternatives=DEFAULT_ALTERNATIVES, **settings)
        text = self._reader().text
        return [text(ids) for ids in self._ids(request, passes)]

    def _ids(self, request: Request, passes: int) -> list[np.ndarray]:
        if passes == 0:
            return collect_ids(self.programs, request)
        return ids_of(read_again(self.programs, request, passes, WorkClock()), request)

    def _fill_arrays(
        self, inputs: Mapping[str, Any], strip_prompt: bool, passes: int, **settings: Any
    ) -> Arrays:
        ids, mask = check_arrays(inputs)
        images = self._checked(inputs.get(IMAGES), len(np.atleast_2d(ids)), PromptError)
        settings |= {"max_length": ids.shape[-1], "alternatives": DEFAULT_ALTERNATIVES}

        rows = [
            row[keep] for row, keep in zip(np.atleast_2d(ids), np.atleast_2d(mask), strict=True)
        ]
        room = [row for row, prompt in enumerate(rows) if len(prompt) < ids.shape[-1]]
        made = [np.array([], np.int32)] * len(rows)
        if room:
            prompts = [rows[row] for row in room]
            request = self._request(prompts, source={IMAGES: images[room]}, **settings)
            for row, new in zip(room, self._ids(request, passes), strict=True):
                made[row] = new
        whole = made if strip_prompt else list(map(np.concatenate, zip(rows, made, strict=True)))
        filled = pack(whole, ids.shape[-1], 0)
        names = ("token_ids", "padding_mask")
        return {k: v.reshape(ids.shape) for k, v in zip(names, filled, strict=True)}

    def _checked(self, images: Any, rows: int, error: type[ValueError]) -> np.ndarray:
        """Return pictures as the model reads them, float32 (B, height, width, 3)."""
        size = (*self.backbone.config.vision.image_size, 3)
        array = np.asarray([] if images is None else images, np.float32)
        array = array[None] if array.shape == size and rows == 1 else array
        if array.shape != (rows, *size):
            raise error(f"inputs: images: expected shape {(rows, *size)}, got {array.shape}")
        return array
