"""Trains the network of `stories_tiny_en` from scratch, on two CPU cores.

    python -m workbench.recipes.stories.train WORK_FOLDER --minutes 60

The run saves a checkpoint every few minutes and resumes from the last one when started again. The
learning rate is constant after a short warm-up and falls to zero over the last half of `--minutes`,
because the number of steps is unknown on shared cores. Stories never repeat: each batch has its own
seed.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from workbench.models import LlamaBackbone
from workbench.recipes import training
from workbench.recipes.muon import Arrays, Muon, rows_by_shape
from workbench.recipes.stories import tokens
from workbench.recipes.training import load_tokenizer, main, rate_at

SHAPE = {
    "vocabulary_size": tokens.PIECES,
    "num_layers": 4,
    "num_query_heads": 4,
    "num_key_value_heads": 1,
    "hidden_dim": 256,
    "intermediate_dim": 512,
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}
LENGTH, ROWS = 320, 8
# Practice in copying, after the language is learned. Without it, names changed within a story.
ECHOES, ECHO_STEPS = 2, range(500, 1640)
MATRIX_RATE, OTHER_RATE = 0.015, 0.003
WARMUP, DECAY = 100, 1 / 2
TOKENIZER_SEED, TRAINING_SEED, HELD_OUT_SEED = 1, 1_000_000, 2


def build_backbone() -> LlamaBackbone:
    """Return the network, float32, randomly initialised."""
    return LlamaBackbone(**SHAPE, dtype="float32")


def mean_loss(backbone: LlamaBackbone, variables: Arrays, batch: jax.Array) -> jax.Array:
    """Return nats per token of a (B, T + 1) batch of ids."""
    inputs, targets = batch[:, :-1], batch[:, 1:]
    mask = jnp.ones_like(inputs)
    hidden, _ = backbone.stateless_call(variables, [], {"token_ids": inputs, "padding_mask": mask})
    logits = hidden @ variables[0].T  # tied: the first variable is the token table
    chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - chosen).mean()


class Training(training.Training):
    """A run on stories by seed, with practice in copying in the middle."""

    checkpoint_seconds = 180

    def __init__(self, folder: Path) -> None:
        self.backbone = build_backbone()
        variables = [v.value for v in self.backbone.trainable_variables]
        rows = tuple(rows_by_shape(v.shape) for v in variables)
        super().__init__(folder, variables, Muon(rows, MATRIX_RATE, OTHER_RATE))
        self.tokenizer = load_tokenizer(folder, lambda: tokens.train_tokenizer(TOKENIZER_SEED))
        self._step = self.compiled(self._losses)

    def _losses(self, variables, batch):  # noqa: ANN001
        loss = mean_loss(self.backbone, variables, batch)
        return loss, (loss,)

    def advance(self, step: int, time_used: float) -> tuple[float, ...]:
        """Take a step on the stories of its seed."""
        echoes = ECHOES if step in ECHO_STEPS else 0
        source = tokens.batches(self.tokenizer, TRAINING_SEED + step, ROWS, LENGTH, echoes)
        rate = rate_at(step, time_used, WARMUP, DECAY)
        return self.descend(self._step, rate, next(source))

    def progress(self, step: int, *losses: float) -> str:
        """Return the tokens so far and nats per token."""
        (loss,) = losses
        return f"tokens {step * ROWS * LENGTH} loss {loss:.4f}"


if __name__ == "__main__":
    main(Training, __doc__, minutes=60)
