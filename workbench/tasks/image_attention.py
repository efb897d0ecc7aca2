"""The attention of a model to a picture while it writes."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from workbench.backbones.image_text import ImageTextDecoder
from workbench.backbones.observing import observing
from workbench.estimates import peaks
from workbench.generation.memory import admit_reading
from workbench.generation.programs import Programs, padded
from workbench.interrupts import held
from workbench.memory.door import names_exhaustion
from workbench.preprocessing.image_text_preprocessor import PromptReading

WEIGHTS = "decoder_block_*/attention/weights"


@names_exhaustion("looking into a text")
def attention_over_picture(
    programs: Programs,
    reading: PromptReading,
    source: dict[str, np.ndarray],
    completion: list[int],
    picture: int,
) -> np.ndarray:
    """Return how much the place that chose each token attends to each of a picture's vectors, as
    the mean over all layers and heads.

    Args:
        programs: the model's programs.
        reading: the prompt as the model read it, with the places of its pictures.
        source: the pictures, as in a request with this prompt alone.
        completion: the tokens the model wrote.
        picture: the number of the picture in the prompt.

    Returns:
        float32 (tokens, rows, columns); the rest up to 1 went to text or other pictures.
    """
    images = programs.backbone.images
    ids, _ = padded((np.array([*reading.ids, *completion[:-1]], np.int32),))
    mask = np.zeros(ids.shape, bool)
    mask[0, : len(reading.image_mask)] = reading.image_mask
    backbone, length = programs.backbone, ids.shape[1]
    needed = 3 * peaks.WIDE * backbone.config.attention.heads * length**2
    admit_reading(backbone, length, {"images": source["images"]}, needed)
    run = programs.others("attention", 0, lambda programs, _: _make(programs))
    lengths = np.array([len(reading.ids)], np.int32)
    with held():
        weights = run(programs.parameters(), ids, lengths, source["images"], mask)
    first = len(reading.ids) - 1  # the last place of the prompt chose the first token
    places = np.flatnonzero(mask[0])[picture * images.tokens :][: images.tokens]
    shares = np.asarray(weights)[first : first + len(completion), places]
    return shares.reshape(len(completion), *images.grid)


def _make(programs: Programs) -> Any:
    backbone: ImageTextDecoder = programs.backbone

    def run(parameters, ids, lengths, images, image_mask):  # noqa: ANN001
        with programs.holding(parameters), observing(WEIGHTS) as seen:
            backbone.read(ids, lengths, False, images=images, image_mask=image_mask)
        return sum(weights[0].mean(axis=0) for weights in seen.values()) / len(seen)

    return jax.jit(run)
