"""Trains the network of `words_tiny` from nothing, on one or two CPU cores.

    python -m workbench.presets.embedded.words.train WORK_FOLDER --minutes 40

Keeps a checkpoint every few minutes and goes on from the last one when it is started again. The
pictures grow harder as the network gets better, and the learning rate falls to zero over the last
half of `--minutes`. No picture is shown twice: each batch has its own seed.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.families.parseq import PARSeqBackbone, ViTBackbone
from workbench.backbones.parseq_orders import order_masks, training_orders
from workbench.presets.embedded.words import optimizer
from workbench.presets.embedded.words.drawing import HEIGHT, WIDTH, draw_with_places, fitted
from workbench.presets.embedded.words.optimizer import Arrays
from workbench.presets.embedded.words.texts import CHARACTERS, LONGEST, cased, text

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
WARMUP, DECAY, EASY_LONGEST = 50, 0.5, 3
# The pictures grow harder by a step whenever the loss, averaged over some, is below this.
GOOD_LOSS, HARDER, MEMORY = 0.9, 1 / 250, 0.9
STRIP_WEIGHT = 0.5
PLACES = 10  # how much larger position vectors begin than the other weights
CHECKPOINT_SECONDS = 120
TRAINING_SEED = 1_000_000


def build_backbone(dtype: str = "float32") -> PARSeqBackbone:
    """The network, randomly initialised."""
    return PARSeqBackbone(ViTBackbone(**ENCODER), **DECODER, dtype=dtype)


def token_ids(made: str) -> list[int]:
    """Ids of a text, start and end around it, padded to the longest."""
    ids = [START, *(CHARACTERS.index(character) + 1 for character in made), END]
    return ids + [PADDING] * (LONGEST + 2 - len(ids))


class Variables(NamedTuple):
    """The network's, and a matrix that training alone uses (see `Training`)."""

    network: Arrays
    strips: jax.Array


class Batch(NamedTuple):
    """Pictures uint8 (B, HEIGHT, WIDTH, 3); ids int32 (B, LONGEST + 2); and for each strip of a
    picture, int32 (B, STRIPS), which character of the text is there, 1 for the first and 0 for
    none, and the id of that character."""

    images: np.ndarray
    ids: np.ndarray
    places: np.ndarray
    characters: np.ndarray


def batch(seed: int, strength: float = 1.0) -> Batch:
    """The batch of a seed; easy ones are short, straight and clean."""
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
    """Nats a character, the end included, over all orders; and those plus what the strips are
    missed by, which is what is trained on."""
    inputs, targets = data.ids[:, :-1], data.ids[:, 1:]
    orders = training_orders(key, LONGEST, ORDERS, mirrored=False)
    query, content = (jnp.repeat(m, ROWS, axis=0) for m in jax.vmap(order_masks)(orders))
    many = lambda part: jnp.tile(part, (len(orders), *[1] * (part.ndim - 1)))  # noqa: E731
    with keras.StatelessScope(list(zip(backbone.variables, variables.network, strict=True))):
        vectors = backbone.encode(data.images / 127.5 - 1.0)
        memory = jax.tree.map(many, backbone.decoder.remember(vectors))
        padding = many(inputs != PADDING)
        logits = backbone.head(backbone.decoder.run(many(inputs), memory, query, content, padding))
    read = _nats(logits, many(targets).clip(0, START - 1))
    real = many(targets != PADDING)
    loss = (read * real).sum() / real.sum()
    strips = jnp.split(vectors @ variables.strips, [START], axis=-1)
    missed = sum(map(_nats, strips, (data.characters, data.places)))
    return loss + STRIP_WEIGHT * missed.mean(), loss


def _nats(logits: jax.Array, targets: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - chosen


def rate_at(step: int, time_used: float) -> float:
    """The share of the full learning rate at a step, when this share of the time is used."""
    return min(1.0, (step + 1) / WARMUP, max(0.0, (1 - time_used) / DECAY))


class Training:
    """Variables, optimizer state and step count, kept in one checkpoint file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.backbone = build_backbone()
        self.paths = [v.path for v in self.backbone.variables]
        network = [
            v.value * (PLACES if "position" in v.path else 1) for v in self.backbone.variables
        ]
        # Only training needs it: which character, and the how manieth, a strip's vector tells.
        strips = jnp.zeros((ENCODER["hidden_dim"], START + LONGEST + 1))
        self.variables: Arrays = [*network, strips]
        self.paths.append("head/strips")
        self.state = optimizer.initial(self.variables)
        self.seconds, self.strength, self.loss = 0.0, 0.0, 4.0
        if self.path.exists():
            self.restore()
        self._step = jax.jit(self._one_step, donate_argnums=(0, 1))

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.npz"

    def _one_step(self, variables, state, data, rate):  # noqa: ANN001
        key = jax.random.key(state.step)

        def aim(values: Arrays) -> tuple[jax.Array, jax.Array]:
            return mean_loss(self.backbone, Variables(values[:-1], values[-1]), data, key)

        (_, loss), grads = jax.value_and_grad(aim, has_aux=True)(variables)
        return *optimizer.update(self.paths, variables, grads, state, rate), loss

    def run(self, seconds: float) -> None:
        """Train until `seconds` have been used in all, logging and keeping checkpoints."""
        saved, losses = time.monotonic(), []
        while self.seconds < seconds:
            started, step = time.monotonic(), int(self.state.step)
            made = batch(TRAINING_SEED + step, self.strength)
            rate = rate_at(step, self.seconds / seconds)
            self.variables, self.state, loss = self._step(self.variables, self.state, made, rate)
            losses.append(float(loss))
            self.loss = MEMORY * self.loss + (1 - MEMORY) * losses[-1]
            self.strength = min(1.0, self.strength + HARDER * (self.loss < GOOD_LOSS))
            self.seconds += time.monotonic() - started
            if (step + 1) % 20 == 0:
                self.log(step + 1, float(np.mean(losses)))
                losses = []
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def log(self, step: int, loss: float) -> None:
        """One line: step, pictures seen, mean loss since the last line, seconds of training."""
        seen = step * ROWS
        head = f"{step} pictures {seen} strength {self.strength:.3f}"
        print(f"{head} loss {loss:.4f} seconds {self.seconds:.0f}", flush=True)

    def save(self) -> None:
        """Write the checkpoint beside the old one and then take its place."""
        kept = {f"variable_{i}": v for i, v in enumerate(self.variables)}
        kept |= {f"first_{i}": v for i, v in enumerate(self.state.first)}
        kept |= {f"second_{i}": v for i, v in enumerate(self.state.second)}
        beside = self.folder / "checkpoint.part.npz"
        clock = {"seconds": self.seconds, "strength": self.strength, "loss": self.loss}
        np.savez(beside, **kept, **clock, step=self.state.step)
        os.replace(beside, self.path)

    def restore(self) -> None:
        """Go on where the checkpoint was written."""
        with np.load(self.path) as kept:
            count = range(len(self.variables))
            self.variables = [jnp.asarray(kept[f"variable_{i}"]) for i in count]
            first = [jnp.asarray(kept[f"first_{i}"]) for i in count]
            second = [jnp.asarray(kept[f"second_{i}"]) for i in count]
            self.state = optimizer.State(first, second, jnp.asarray(kept["step"]))
            self.seconds, self.strength, self.loss = (
                float(kept[name]) for name in ("seconds", "strength", "loss")
            )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=40)
    arguments = parser.parse_args()
    Training(arguments.folder).run(60 * arguments.minutes)


if __name__ == "__main__":
    main()
