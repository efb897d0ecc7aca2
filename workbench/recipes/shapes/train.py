"""Trains the network of `shapes_tiny` from scratch, on two CPU cores.

    python -m workbench.recipes.shapes.train WORK_FOLDER --minutes 50

For the first part of the time only the image encoder learns, from the lessons of the patches; then
everything learns together. The run saves a checkpoint every few minutes and resumes from the last
one when started again. The learning rate is constant after a short warm-up and falls to zero over
the last part of `--minutes`, because the number of steps is unknown on shared cores. Pictures never
repeat: each batch has its own seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.families.pali_gemma import PaliGemmaBackbone
from workbench.recipes import training
from workbench.recipes.muon import Arrays, Muon, State, rows_by_shape
from workbench.recipes.shapes import tokens
from workbench.recipes.shapes.batches import (
    IMAGE_SIDE,
    PATCH,
    Batch,
    Rows,
    batches,
    picture_batches,
)
from workbench.recipes.shapes.patches import OUTPUTS, Patches, lesson_loss
from workbench.recipes.training import load_tokenizer, main, rate_at

SHAPE = {
    "vocabulary_size": tokens.PIECES,
    "image_size": IMAGE_SIDE,
    "num_layers": 3,
    "num_query_heads": 4,
    "num_key_value_heads": 1,
    "hidden_dim": 128,
    "intermediate_dim": 512,
    "head_dim": 32,
    "vit_patch_size": PATCH,
    "vit_num_heads": 4,
    "vit_hidden_dim": 128,
    "vit_num_layers": 4,
    "vit_intermediate_dim": 384,
}
PICTURES, LOOKS = 40, 80  # a batch of all lessons, and of the image encoder's alone
LOOKING = 0.35  # of the time, for the image encoder alone
MATRIX_RATE, OTHER_RATE = 0.015, 0.003
WARMUP, DECAY = 60, 0.62
PATCH_WEIGHT = 0.5
TOKENIZER_SEED, TRAINING_SEED, HELD_OUT_SEED = 1, 1_000_000, 2


def build_backbone() -> PaliGemmaBackbone:
    """Return the network, float32, randomly initialised."""
    return PaliGemmaBackbone(**SHAPE, dtype="float32")


def loss_of(backbone: PaliGemmaBackbone, variables: Arrays, batch: Batch) -> jax.Array:
    """Return nats per token of the long responses, plus those of the answers, plus the loss of the
    patches; the head is the last variable. Each picture is encoded once.
    """
    with _holding(backbone, variables):
        patches = backbone.image_encoder(batch.pictures)
        vectors = backbone.image_connector(patches)
        long, short = (_mean_loss(backbone, vectors, rows) for rows in (batch.long, batch.short))
    return long + short + PATCH_WEIGHT * lesson_loss(patches @ variables[-1], batch.patches)


def look_loss(
    backbone: PaliGemmaBackbone, variables: Arrays, pictures: jax.Array, patches: Patches
) -> jax.Array:
    """Return the loss of the patches only."""
    with _holding(backbone, variables):
        return lesson_loss(backbone.image_encoder(pictures) @ variables[-1], patches)


def _holding(backbone: PaliGemmaBackbone, variables: Arrays) -> keras.StatelessScope:
    mapping = zip(backbone.trainable_variables, variables[:-1], strict=True)
    return keras.StatelessScope(state_mapping=list(mapping))


def _mean_loss(backbone: PaliGemmaBackbone, vectors: jax.Array, rows: Rows) -> jax.Array:
    times = len(rows.ids) // len(vectors)
    x = jnp.tile(vectors, (times, 1, 1))
    count = x.shape[1]
    text = backbone.embed(jnp.asarray(rows.ids)) * SHAPE["hidden_dim"] ** 0.5
    x = jnp.concatenate([x, text], axis=1)
    # Pictures and prompts attend in both directions; nothing attends to the padding.
    prompt = (rows.ids != tokens.PAD) & (rows.response == 0)
    groups = jnp.pad(jnp.where(prompt, 0, -1), ((0, 0), (count, 0)))
    mask = jnp.pad(rows.ids != tokens.PAD, ((0, 0), (count, 0)), constant_values=True)
    for block in backbone.blocks:
        x = block(x, mask, groups)
    logits = backbone.logits(backbone.final_norm(x[:, count:]))
    chosen = jnp.take_along_axis(logits, jnp.maximum(rows.targets, 0)[..., None], -1)[..., 0]
    counted = rows.targets >= 0
    return jnp.where(counted, jax.nn.logsumexp(logits, -1) - chosen, 0).sum() / counted.sum()


class Training(training.Training):
    """A run on pictures by seed, first of the image encoder only."""

    def __init__(self, folder: Path) -> None:
        self.backbone = build_backbone()
        network = self.backbone.trainable_variables
        head = jnp.zeros((SHAPE["vit_hidden_dim"], OUTPUTS))
        variables = [*(v.value for v in network), head]
        seeing = {id(v) for v in self.backbone.image_encoder.trainable_variables}
        self.seeing = [*(i for i, v in enumerate(network) if id(v) in seeing), len(network)]
        rows = tuple(rows_by_shape(v.shape) for v in variables)
        super().__init__(folder, variables, Muon(rows, MATRIX_RATE, OTHER_RATE))
        self.tokenizer = load_tokenizer(folder, lambda: tokens.train_tokenizer(TOKENIZER_SEED))
        self._step = self.compiled(self._losses)
        self._look = jax.jit(self._one_look, donate_argnums=(0, 1))

    def _losses(self, variables, batch):  # noqa: ANN001
        loss = loss_of(self.backbone, variables, batch)
        return loss, (loss,)

    def _one_look(self, variables, state, rate, pictures, patches):  # noqa: ANN001
        """Take a step of the image encoder and the head only."""

        def loss_of_chosen(chosen):  # noqa: ANN001
            return look_loss(self.backbone, self._put(variables, chosen), pictures, patches)

        chosen, first, second = map(self._chosen, (variables, state.first, state.second))
        optimizer = Muon(tuple(self._chosen(self.optimizer.rows)), MATRIX_RATE, OTHER_RATE)
        loss, grads = jax.value_and_grad(loss_of_chosen)(chosen)
        made, new = optimizer.update(chosen, grads, State(first, second, state.step), rate)
        first, second = self._put(state.first, new.first), self._put(state.second, new.second)
        return self._put(variables, made), State(first, second, new.step), (loss,)

    def _chosen(self, whole: Sequence[Any]) -> list[Any]:
        """Return the items of the image encoder and the head from a list with one per variable."""
        return [whole[i] for i in self.seeing]

    def _put(self, whole: Arrays, chosen: Arrays) -> Arrays:
        """Return `whole` with `chosen` in the places of the image encoder and the head."""
        known = dict(zip(self.seeing, chosen, strict=True))
        return [known.get(i, value) for i, value in enumerate(whole)]

    def advance(self, step: int, time_used: float) -> tuple[float, ...]:
        """Take one step of the image encoder only or of everything."""
        seed, rate = TRAINING_SEED + step, rate_at(step, time_used, WARMUP, DECAY)
        if time_used < LOOKING:
            return self.descend(self._look, rate, *next(picture_batches(seed, LOOKS)))
        return self.descend(self._step, rate, next(batches(self.tokenizer, seed, PICTURES)))

    def progress(self, step: int, *losses: float) -> str:
        """Return the losses of the current part of the run."""
        (loss,) = losses
        return f"loss {loss:.4f}"


if __name__ == "__main__":
    main(Training, __doc__, minutes=50)
