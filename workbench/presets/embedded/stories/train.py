"""Trains the network of `stories_tiny_en` from nothing, on two CPU cores.

    python -m workbench.presets.embedded.stories.train WORK_FOLDER --minutes 60

Keeps a checkpoint every few minutes and goes on from the last one when it is started again. The
learning rate is constant after a short warm-up and falls to zero over the last half of `--minutes`:
on shared cores nobody knows how many steps that will be. Stories are never repeated: each batch has
its own seed.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sentencepiece

from workbench.models import LlamaBackbone
from workbench.presets.embedded.stories import muon, tokens
from workbench.presets.embedded.stories.muon import Arrays

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
# Practice in copying, once the language is known: without it, names did not last in this time.
ECHOES, ECHO_STEPS = 2, range(500, 1640)
WARMUP, DECAY = 100, 1 / 2
CHECKPOINT_SECONDS = 180
TOKENIZER_FILE = "vocabulary.spm"
TOKENIZER_SEED, TRAINING_SEED, HELD_OUT_SEED = 1, 1_000_000, 2


def build_backbone() -> LlamaBackbone:
    """The network, float32, randomly initialised."""
    return LlamaBackbone(**SHAPE, dtype="float32")


def mean_loss(backbone: LlamaBackbone, variables: Arrays, batch: jax.Array) -> jax.Array:
    """Nats per token of a (B, T + 1) batch of ids."""
    inputs, targets = batch[:, :-1], batch[:, 1:]
    mask = jnp.ones_like(inputs)
    hidden, _ = backbone.stateless_call(variables, [], {"token_ids": inputs, "padding_mask": mask})
    logits = hidden @ variables[0].T  # tied: the first variable is the token table
    chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - chosen).mean()


def rate_at(step: int, time_used: float) -> float:
    """The share of the full learning rate at a step, when this share of the time is used."""
    return min(1.0, (step + 1) / WARMUP, max(0.0, (1 - time_used) / DECAY))


class Training:
    """Variables, optimizer state and step count, kept in one checkpoint file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backbone = build_backbone()
        self.variables: Arrays = [v.value for v in self.backbone.trainable_variables]
        self.state = muon.initial(self.variables)
        self.tokenizer = load_tokenizer(folder)
        self.seconds = 0.0
        if self.path.exists():
            self.restore()
        self._step = jax.jit(self._one_step, donate_argnums=(0, 1))

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.npz"

    def _one_step(self, variables, state, batch, rate):  # noqa: ANN001
        loss, grads = jax.value_and_grad(lambda v: mean_loss(self.backbone, v, batch))(variables)
        return *muon.update(variables, grads, state, rate), loss

    def run(self, seconds: float) -> None:
        """Train for `seconds` in all, logging and keeping checkpoints on the way."""
        saved, losses = time.monotonic(), []
        while self.seconds < seconds:
            started, step = time.monotonic(), int(self.state.step)
            echoes = ECHOES if step in ECHO_STEPS else 0
            source = tokens.batches(self.tokenizer, TRAINING_SEED + step, ROWS, LENGTH, echoes)
            self.variables, self.state, loss = self._step(
                self.variables, self.state, next(source), rate_at(step, self.seconds / seconds)
            )
            losses.append(float(loss))
            self.seconds += time.monotonic() - started
            if (step + 1) % 20 == 0:
                self.log(step + 1, np.mean(losses))
                losses = []
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def log(self, step: int, loss: float) -> None:
        """One line: step, tokens seen, mean loss since the last line, seconds of training."""
        seen = step * ROWS * LENGTH
        print(f"{step} tokens {seen} loss {loss:.4f} seconds {self.seconds:.0f}", flush=True)

    def save(self) -> None:
        """Write the checkpoint beside the old one and then take its place."""
        kept = {f"variable_{i}": v for i, v in enumerate(self.variables)}
        kept |= {f"first_{i}": v for i, v in enumerate(self.state.first)}
        kept |= {f"second_{i}": v for i, v in enumerate(self.state.second)}
        beside = self.folder / "checkpoint.part.npz"
        np.savez(beside, **kept, step=self.state.step, seconds=self.seconds)
        os.replace(beside, self.path)

    def restore(self) -> None:
        """Go on where the checkpoint was written."""
        with np.load(self.path) as kept:
            count = range(len(self.variables))
            self.variables = [jnp.asarray(kept[f"variable_{i}"]) for i in count]
            first = [jnp.asarray(kept[f"first_{i}"]) for i in count]
            second = [jnp.asarray(kept[f"second_{i}"]) for i in count]
            self.state = muon.State(first, second, jnp.asarray(kept["step"]))
            self.seconds = float(kept["seconds"])


def load_tokenizer(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """The folder's tokenizer, trained first where there is none yet."""
    path = folder / TOKENIZER_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tokens.train_tokenizer(TOKENIZER_SEED))
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    Training(arguments.folder).run(60 * arguments.minutes)


if __name__ == "__main__":
    main()
