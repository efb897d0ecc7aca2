"""Trains the network of `shapes_tiny` from nothing, on two CPU cores.

    python -m workbench.presets.embedded.shapes.train WORK_FOLDER --minutes 50

For the first part of the time the image encoder learns alone, from what each patch shows; then
everything learns together. Keeps a checkpoint every few minutes and goes on from the last one when
it is started again. The learning rate is constant after a short warm-up and falls to zero over the
last part of `--minutes`: on shared cores nobody knows how many steps that will be. Pictures are
never repeated: each batch has its own seed.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import sentencepiece

from workbench.backbones.families.pali_gemma import PaliGemmaBackbone
from workbench.presets.embedded.shapes import tokens
from workbench.presets.embedded.shapes.batches import (
    IMAGE_SIDE,
    PATCH,
    Batch,
    Rows,
    batches,
    picture_batches,
)
from workbench.presets.embedded.shapes.patches import OUTPUTS, Patches, lesson_loss
from workbench.presets.embedded.stories import muon
from workbench.presets.embedded.stories.muon import Arrays

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
WARMUP, DECAY = 60, 0.62
PATCH_WEIGHT = 0.5
CHECKPOINT_SECONDS = 120
TOKENIZER_FILE = "vocabulary.spm"
TOKENIZER_SEED, TRAINING_SEED, HELD_OUT_SEED = 1, 1_000_000, 2


def build_backbone() -> PaliGemmaBackbone:
    """The network, float32, randomly initialised."""
    return PaliGemmaBackbone(**SHAPE, dtype="float32")


def loss_of(backbone: PaliGemmaBackbone, variables: Arrays, batch: Batch) -> jax.Array:
    """Nats per token of the long responses, plus those of the answers, plus the loss of the
    patches, with the head that is the last variable. Each picture is encoded once.
    """
    with _holding(backbone, variables):
        patches = backbone.image_encoder(batch.pictures)
        vectors = backbone.image_connector(patches)
        long, short = (_mean_loss(backbone, vectors, rows) for rows in (batch.long, batch.short))
    return long + short + PATCH_WEIGHT * lesson_loss(patches @ variables[-1], batch.patches)


def look_loss(
    backbone: PaliGemmaBackbone, variables: Arrays, pictures: jax.Array, patches: Patches
) -> jax.Array:
    """The loss of the patches alone."""
    with _holding(backbone, variables):
        return lesson_loss(backbone.image_encoder(pictures) @ variables[-1], patches)


def _holding(backbone: PaliGemmaBackbone, variables: Arrays) -> keras.StatelessScope:
    mapping = zip(backbone.trainable_variables, variables[:-1], strict=True)
    return keras.StatelessScope(state_mapping=list(mapping))


def _mean_loss(backbone: PaliGemmaBackbone, vectors: jax.Array, rows: Rows) -> jax.Array:
    times = len(rows.ids) // len(vectors)
    x = jnp.tile(vectors, (times, 1, 1))
    count = x.shape[1]
    text = backbone.embed(rows.ids) * SHAPE["hidden_dim"] ** 0.5
    x = jnp.concatenate([x, text], axis=1)
    # Pictures and prompts see themselves in both directions; nothing sees the padding after it.
    prompt = (rows.ids != tokens.PAD) & (rows.response == 0)
    groups = jnp.pad(jnp.where(prompt, 0, -1), ((0, 0), (count, 0)))
    mask = jnp.pad(rows.ids != tokens.PAD, ((0, 0), (count, 0)), constant_values=True)
    for block in backbone.blocks:
        x = block(x, mask, groups)
    logits = backbone.logits(backbone.final_norm(x[:, count:]))
    chosen = jnp.take_along_axis(logits, jnp.maximum(rows.targets, 0)[..., None], -1)[..., 0]
    counted = rows.targets >= 0
    return jnp.where(counted, jax.nn.logsumexp(logits, -1) - chosen, 0).sum() / counted.sum()


def rate_at(step: int, time_used: float) -> float:
    """The share of the full learning rate at a step, when this share of the time is used."""
    return min(1.0, (step + 1) / WARMUP, max(0.0, (1 - time_used) / DECAY))


class Training:
    """Variables, optimizer state and step count, kept in one checkpoint file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backbone = build_backbone()
        head = jnp.zeros((SHAPE["vit_hidden_dim"], OUTPUTS))
        self.variables: Arrays = [*(v.value for v in self.backbone.trainable_variables), head]
        seeing = {id(v) for v in self.backbone.image_encoder.trainable_variables}
        numbered = enumerate(self.backbone.trainable_variables)
        self.seeing = [*(i for i, v in numbered if id(v) in seeing), len(self.variables) - 1]
        self.state = muon.initial(self.variables)
        self.tokenizer = load_tokenizer(folder)
        self.seconds = 0.0
        if self.path.exists():
            self.restore()
        self._step = jax.jit(self._one_step, donate_argnums=(0, 1))
        self._look = jax.jit(self._one_look, donate_argnums=(0, 1))

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.npz"

    def _one_step(self, variables, state, batch, rate):  # noqa: ANN001
        loss, grads = jax.value_and_grad(lambda v: loss_of(self.backbone, v, batch))(variables)
        return *muon.update(variables, grads, state, rate), loss

    def _one_look(self, variables, state, pictures, patches, rate):  # noqa: ANN001
        """A step of the image encoder and the head alone."""
        chosen = [variables[i] for i in self.seeing]

        def loss_of_chosen(chosen):  # noqa: ANN001
            whole = list(variables)
            for i, value in zip(self.seeing, chosen, strict=True):
                whole[i] = value
            return look_loss(self.backbone, whole, pictures, patches)

        loss, grads = jax.value_and_grad(loss_of_chosen)(chosen)
        first, second = ([part[i] for i in self.seeing] for part in (state.first, state.second))
        stepped = muon.update(chosen, grads, muon.State(first, second, state.step), rate)
        whole = [list(variables), list(state.first), list(state.second)]
        for old, new in zip(whole, (stepped[0], stepped[1].first, stepped[1].second), strict=True):
            for i, value in zip(self.seeing, new, strict=True):
                old[i] = value
        return whole[0], muon.State(whole[1], whole[2], stepped[1].step), loss

    def run(self, seconds: float) -> None:
        """Train for `seconds` in all, logging and keeping checkpoints on the way."""
        saved, losses = time.monotonic(), []
        while self.seconds < seconds:
            started, step = time.monotonic(), int(self.state.step)
            losses.append(self.advance(step, self.seconds / seconds))
            self.seconds += time.monotonic() - started
            if (step + 1) % 20 == 0:
                self.log(step + 1, np.mean(losses))
                losses = []
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def advance(self, step: int, time_used: float) -> float:
        """One step, of the image encoder alone or of everything; returns its loss."""
        seed, rate = TRAINING_SEED + step, rate_at(step, time_used)
        if time_used < LOOKING:
            pictures, patches = next(picture_batches(seed, LOOKS))
            done = self._look(self.variables, self.state, pictures, patches, rate)
        else:
            batch = next(batches(self.tokenizer, seed, PICTURES))
            done = self._step(self.variables, self.state, batch, rate)
        self.variables, self.state, loss = done
        return float(loss)

    def log(self, step: int, loss: float) -> None:
        """One line: step, mean loss since the last line, seconds of training."""
        print(f"{step} loss {loss:.4f} seconds {self.seconds:.0f}", flush=True)

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
    parser.add_argument("--minutes", type=float, default=50)
    arguments = parser.parse_args()
    Training(arguments.folder).run(60 * arguments.minutes)


if __name__ == "__main__":
    main()
