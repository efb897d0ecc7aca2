"""Trains the network of `words_tiny` from scratch, on one or two CPU cores.

    python -m workbench.recipes.words.train WORK_FOLDER --minutes 40

The run saves a checkpoint every few minutes and resumes from the last one when started again. The
pictures grow harder as the network gets better, and the learning rate falls to zero over the last
half of `--minutes`. No picture is shown twice: each batch has its own seed.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.parseq_orders import order_masks, training_orders
from workbench.families.parseq import PARSeqBackbone, ViTBackbone
from workbench.generation.programs import Array
from workbench.recipes import training
from workbench.recipes.muon import Arrays, Muon, rows_by_name
from workbench.recipes.training import main, rate_at
from workbench.toy_data.words.drawing import HEIGHT, WIDTH, draw_with_places, fitted
from workbench.toy_data.words.texts import CHARACTERS, LONGEST, cased, text

STRIP = 4  # pixels; the pictures are cut into strips, each of the whole height
ENCODER = {
    "image_shape": (HEIGHT, WIDTH, 3),
    "patch_size": (HEIGHT, STRIP),  # one line of letters needs no rows
    "num_layers": 3,
    "num_heads": 3,
    "hidden_dim": 96,
    "mlp_dim": 192,
}
DECODER = {
    "vocabulary_size": len(CHARACTERS) + 3,
    "max_label_length": LONGEST,
    "decoder_hidden_dim": 96,
    "num_decoder_layers": 1,
    "num_decoder_heads": 3,
    "decoder_mlp_dim": 192,
    "dropout_rate": 0.0,
    "attention_dropout": 0.0,
}
END, START, PADDING = 0, len(CHARACTERS) + 1, len(CHARACTERS) + 2
ROWS, ORDERS = 48, 2  # left to right, and another order in every step
MATRIX_RATE, OTHER_RATE = 0.02, 0.002
WARMUP, DECAY, EASY_LONGEST = 50, 0.5, 3
# The pictures grow harder by a step whenever the loss, averaged over some, is below this.
GOOD_LOSS, HARDER, MEMORY = 0.9, 1 / 250, 0.9
STRIP_WEIGHT = 0.5
PLACES = 10  # how much larger position vectors begin than the other weights
TRAINING_SEED = 1_000_000


def build_backbone(dtype: str = "float32") -> PARSeqBackbone:
    """Return the network, randomly initialised."""
    return PARSeqBackbone(ViTBackbone(**ENCODER), **DECODER, dtype=dtype)


def token_ids(made: str) -> list[int]:
    """Return the ids of a text between start and end, padded to the longest."""
    ids = [START, *(CHARACTERS.index(character) + 1 for character in made), END]
    return ids + [PADDING] * (LONGEST + 2 - len(ids))


class Variables(NamedTuple):
    """The network's variables, and a matrix that only training uses (see `Training`)."""

    network: Arrays
    strips: jax.Array


class Batch(NamedTuple):
    """Pictures uint8 (B, HEIGHT, WIDTH, 3); ids int32 (B, LONGEST + 2); and for each strip of a
    picture, int32 (B, STRIPS), the number of its character in the text, from 1, 0 for none, and the
    id of that character."""

    images: np.ndarray
    ids: np.ndarray
    places: np.ndarray
    characters: np.ndarray


def batch(seed: int, strength: float = 1.0) -> Batch:
    """Return the batch of a seed; easy texts are short, straight and clean."""
    rng = Random(seed)
    longest = round(EASY_LONGEST + (LONGEST - EASY_LONGEST) * strength)
    texts = [text(rng, longest=longest) for _ in range(ROWS)]
    drawn = [draw_with_places(rng, cased(rng, made), strength) for made in texts]
    images, maps = (
        np.stack([fitted(part) for part in parts]) for parts in zip(*drawn, strict=True)
    )
    places = maps[:, HEIGHT // 2, STRIP // 2 :: STRIP].astype(np.int32)
    ids = np.array([token_ids(made) for made in texts], np.int32)
    characters = np.where(places > 0, np.take_along_axis(ids, places, axis=1), END)
    return Batch(images, ids, places, characters)


def mean_loss(backbone: PARSeqBackbone, variables: Variables, data: Batch, key: jax.Array) -> Any:
    """Return the loss to minimise and the nats per character, with the end, over all orders; the
    former adds the loss of the strips."""
    inputs, targets = data.ids[:, :-1], data.ids[:, 1:]
    orders = training_orders(key, LONGEST, ORDERS, mirrored=False)
    query, content = (jnp.repeat(m, ROWS, axis=0) for m in jax.vmap(order_masks)(orders))
    many = lambda part: jnp.tile(part, (len(orders), *[1] * (part.ndim - 1)))  # noqa: E731
    with keras.StatelessScope(list(zip(backbone.variables, variables.network, strict=True))):
        vectors = backbone.encode(jnp.asarray(data.images / 127.5 - 1.0))
        memory = jax.tree.map(many, backbone.decoder.remember(vectors))
        padding = many(inputs != PADDING)
        logits = backbone.head(backbone.decoder.run(many(inputs), memory, query, content, padding))
    read = _nats(logits, many(targets).clip(0, START - 1))
    real = many(targets != PADDING)
    loss = (read * real).sum() / real.sum()
    strips = jnp.split(vectors @ variables.strips, [START], axis=-1)
    characters, places = map(_nats, strips, (data.characters, data.places))
    return loss + STRIP_WEIGHT * (characters + places).mean(), loss


def _nats(logits: jax.Array, targets: Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - chosen


class Training(training.Training):
    """A run on words that grow harder as the loss falls.

    Attributes:
        strength: the difficulty of the pictures, from 0 to 1.
        loss: a moving average of the loss.
    """

    numbers = ("seconds", "strength", "loss")

    def __init__(self, folder: Path) -> None:
        self.backbone = build_backbone()
        network = self.backbone.variables
        # Only training needs it: it predicts the character and its number from a strip's vector.
        strips = jnp.zeros((ENCODER["hidden_dim"], START + LONGEST + 1))
        begun = [v.value * (PLACES if "position" in v.path else 1) for v in network]
        paths = [*(v.path for v in network), "head/strips"]
        variables = [*begun, strips]
        rows = tuple(rows_by_name(p, v.shape) for p, v in zip(paths, variables, strict=True))
        self.strength, self.loss = 0.0, 4.0
        super().__init__(folder, variables, Muon(rows, MATRIX_RATE, OTHER_RATE, rate_first=True))
        self._step = self.compiled(self._losses)

    def _losses(self, variables, data, step):  # noqa: ANN001
        parts = Variables(variables[:-1], variables[-1])
        total, loss = mean_loss(self.backbone, parts, data, jax.random.key(step))
        return total, (loss,)

    def advance(self, step: int, time_used: float) -> tuple[float, ...]:
        """Take a step on the words of its seed, at the current difficulty."""
        made = batch(TRAINING_SEED + step, self.strength)
        rate = rate_at(step, time_used, WARMUP, DECAY)
        (loss,) = self.descend(self._step, rate, made, step)
        self.loss = MEMORY * self.loss + (1 - MEMORY) * loss
        self.strength = min(1.0, self.strength + HARDER * (self.loss < GOOD_LOSS))
        return (loss,)

    def progress(self, step: int, *losses: float) -> str:
        """Return the pictures so far, their difficulty, and nats per character."""
        (loss,) = losses
        return f"pictures {step * ROWS} strength {self.strength:.3f} loss {loss:.4f}"


if __name__ == "__main__":
    main(Training, __doc__, minutes=40)
