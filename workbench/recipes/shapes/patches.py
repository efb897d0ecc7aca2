"""Dense targets ("lessons") for the image encoder: what each patch shows. Used only in training.

A response is a weak and late signal for the encoder. A linear head on its output that names, for
each patch, the thing there and its box trains the encoder in a fraction of the time. The head is
dropped afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from workbench.generation.programs import Array
from workbench.toy_data.shapes.scene import (
    COLOURS,
    MOST_THINGS,
    SHAPES,
    SIZES,
    TEXTURES,
    Scene,
)

WORDS = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES}
# The words, and which thing from the left it is. 0: nothing there.
CLASSES = (*(len(words) + 1 for words in WORDS.values()), MOST_THINGS + 1)
OUTPUTS = sum(CLASSES) + 4
_LEAST = 6  # pixels of a patch that a thing must cover to be named
_EMPTY_WEIGHT, _EDGE_WEIGHT = 0.2, 1.0


class Patches(NamedTuple):
    """Lessons of N pictures of P patches: words, int32 (N, P, 5), as places in `WORDS` from 1, or 0
    for none, and the thing's place from left to right; edges of its box, float32 (N, P, 4), in
    patches from the middle of the picture."""

    words: np.ndarray
    edges: np.ndarray


def lessons(shown: list[Scene], side: int, patch: int) -> Patches:
    """Return the lessons of scenes drawn with this side and cut into patches of this side, both in
    pixels."""
    return Patches(*map(np.stack, zip(*(_lesson(s, side, patch) for s in shown), strict=True)))


def _lesson(scene: Scene, side: int, patch: int) -> tuple[np.ndarray, np.ndarray]:
    count = side // patch
    cover = np.stack([_cover(scene, number, side, patch) for number in range(len(scene.things))])
    most = np.where(cover.max(0) >= _LEAST, cover.argmax(0) + 1, 0)  # 0: the ground
    words = [(0,) * len(CLASSES)] + [
        (*(names.index(getattr(thing, part)) + 1 for part, names in WORDS.items()), place + 1)
        for place, thing in enumerate(scene.things)
    ]
    boxes = np.array([(0.5,) * 4] + [thing.box for thing in scene.things], np.float32)
    return np.array(words, np.int32)[most], (boxes[most] - 0.5) * count


def _cover(scene: Scene, number: int, side: int, patch: int) -> np.ndarray:
    """Return how many pixels of each patch a thing covers, int (P,). Smaller things are on top."""
    thing, mask = scene.things[number], Image.new("1", (side, side))
    pen = ImageDraw.Draw(mask)
    pen.polygon([(x * side, y * side) for x, y in thing.outline], fill=1)
    count = side // patch
    cut = np.asarray(mask).reshape(count, patch, count, patch)
    return cut.sum((1, 3)).ravel()


def lesson_loss(outputs: jax.Array, patches: Patches) -> jax.Array:
    """Return nats per word plus the error of the edges, in patches, of the head's outputs
    (N, P, `OUTPUTS`)."""
    there = patches.words[..., 0] > 0
    parts = jnp.split(outputs, np.cumsum(CLASSES), axis=-1)
    nats = [_nats(logits, patches.words[..., i]) for i, logits in enumerate(parts[: len(CLASSES)])]
    weight = jnp.where(there, 1.0, _EMPTY_WEIGHT)
    words = sum((part * weight).sum() for part in nats) / weight.sum()
    wrong = jnp.abs(parts[-1] - patches.edges).mean(-1)
    return words + _EDGE_WEIGHT * (wrong * there).sum() / there.sum()


def _nats(logits: jax.Array, target: Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, target[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - chosen
