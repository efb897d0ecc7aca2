"""A decoder that reads images in its text: any decoder with an image encoder.

In generation an image takes tokens of the prompt like text: they have positions and slots in the
cache. Their ids do not matter, since the image's vectors replace theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.config import DecoderConfig
from workbench.backbones.decoder import (
    Cache,
    Decoder,
    DecoderLayers,
    placed,
    refuse_unknown,
    text_inputs,
)
from workbench.backbones.vision import (
    LinearConnector,
    PlaceImages,
    VisionEncoder,
    image_groups,
    make_connector,
)
from workbench.backbones.vision_config import ImagePrefix


class ImageTextDecoder(Decoder):
    """A decoder built from a `DecoderConfig`, with images as an `ImagePrefix` says.

    Beside the prompts, `read` takes `images` float32 (B, images, height, width, 3) in [-1, 1] and
    `image_mask` bool (B, P), true at the tokens of images. Rows with fewer images are padded with
    any images.
    """

    def __init__(
        self,
        config: DecoderConfig,
        images: ImagePrefix | None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if images is None:  # the family has text-only models
            super().__init__(config, dtype, **kwargs)
            self.images = None
            return
        refuse_unknown(type(self).__name__, kwargs)
        init = keras.initializers.RandomNormal(stddev=0.02)
        encoder = VisionEncoder(images.vision, init, dtype=dtype, name="image_encoder")
        connector = make_connector(images, config.width, dtype=dtype, name="image_connector")
        layers = DecoderLayers(config, dtype)
        place = PlaceImages(dtype=dtype, name="place_images")
        forward = self._whole_prompt if images.whole_prompt else self._interleaved
        inputs, outputs = forward(images, encoder, connector, layers, place)
        self._assemble(config, layers, inputs, outputs, **kwargs)
        self.images = images
        self.image_encoder = encoder
        self.image_connector = connector
        self._place = place

    @staticmethod
    def _whole_prompt(
        images: ImagePrefix,
        encoder: VisionEncoder,
        connector: LinearConnector,
        layers: DecoderLayers,
        place: PlaceImages,
    ) -> tuple[dict[str, Any], Any]:
        """Build the forward pass of models whose text follows one image. Attention is bidirectional
        where `response_mask` (B, T) is false. The output begins with the image's tokens."""
        picture: Any = keras.Input((*images.vision.image_size, 3), name="images")
        inputs = {"images": picture, **text_inputs()}
        inputs["response_mask"] = keras.Input((None,), dtype="int32", name="response_mask")
        vectors = connector(encoder(picture))
        ahead = keras.ops.ones_like(vectors[:, :, 0], dtype="int32")
        mask: Any = keras.ops.concatenate([ahead, inputs["padding_mask"]], axis=1)
        response: Any = keras.ops.concatenate([ahead * 0, inputs["response_mask"]], axis=1)
        groups: Any = keras.ops.where((mask > 0) & (response < 1), 0, -1)
        x: Any = keras.ops.concatenate([vectors, layers.vectors(inputs["token_ids"])], axis=1)
        return inputs, layers.run(x, mask, groups)

    @staticmethod
    def _interleaved(
        images: ImagePrefix,
        encoder: VisionEncoder,
        connector: LinearConnector,
        layers: DecoderLayers,
        place: PlaceImages,
    ) -> tuple[dict[str, Any], Any]:
        """Build the forward pass of models with images (B, images, ...) anywhere in the text, where
        `vision_mask` (B, T) is true."""
        pictures: Any = keras.Input((None, *images.vision.image_size, 3), name="images")
        mask: Any = keras.Input((None,), dtype="int32", name="vision_mask")
        inputs = {"images": pictures, "vision_mask": mask, **text_inputs()}
        x = place(layers.vectors(inputs["token_ids"]), connector(encoder(pictures)), mask)
        return inputs, layers.run(x, inputs["padding_mask"], image_groups(mask, images.tokens))

    def encode_images(self, images: jax.Array) -> jax.Array:
        """Return the decoder's vectors (..., tokens, width) of images (..., height, width, 3)."""
        return self.image_connector(self.image_encoder(images))

    def read(
        self,
        ids: jax.Array,
        lengths: jax.Array,
        stretched: bool,
        images: jax.Array | None = None,
        image_mask: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """Read prompts with their images; see `Decoder.read`."""
        if images is None or image_mask is None or self.images is None:
            return super().read(ids, lengths, stretched)
        positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        x = placed(self._prepare, self.embed(ids), positions)
        x = self._place(x, self.encode_images(images), image_mask)
        if self.images.whole_prompt:
            groups = jnp.where(positions < lengths[:, None], 0, -1)
        else:
            groups = image_groups(image_mask, self.images.tokens)
        empty = replace(self.init_cache(*ids.shape), stretched=stretched)
        return self._extend(x, positions, empty, groups)
