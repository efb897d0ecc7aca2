"""Trains the network of `digits_tiny` from scratch, on one CPU core.

    python -m workbench.recipes.digits.train WORK_FOLDER --minutes 40

Besides the text, the encoder learns for each frame which digit sounds and how many came before it;
the synthesiser knows both. The heads for this are dropped at the end. Without them the decoder
needs long to learn where to look.

The run saves a checkpoint every few minutes and resumes from the last one when started again. The
learning rate falls to zero over the last part of `--minutes`. No recording is used twice.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.generation.programs import Array
from workbench.models import MoonshineBackbone
from workbench.recipes import training
from workbench.recipes.digits.batches import (
    SILENT_PLACE,
    SILENT_WORD,
    Batch,
    batches,
)
from workbench.recipes.digits.tokens import PIECES, train_tokenizer
from workbench.recipes.muon import Arrays, Muon, rows_by_name
from workbench.recipes.training import load_tokenizer, main, rate_at
from workbench.toy_data.digits.synthesis import RATE

WIDTH = 96
SHAPE = {
    "vocabulary_size": PIECES,
    "filter_dim": WIDTH,
    "hidden_dim": WIDTH,
    "intermediate_dim": 3 * WIDTH,
    "encoder_num_layers": 4,
    "decoder_num_layers": 2,
    "encoder_num_heads": 4,
    "decoder_num_heads": 4,
    "feedforward_expansion_factor": 3,
    "partial_rotary_factor": 0.67,  # 16 of the 24 features of a head
    "max_position_embeddings": 64,
}
ROWS, EASY_STEPS = 16, 200
MATRIX_RATE, OTHER_RATE = 0.02, 0.002
WARMUP, DECAY = 30, 0.4
FRAMES_WEIGHT = 0.3  # of the frames' loss, relative to the text's
TRAINING_SEED = 1
_CONVOLUTION = "audio/conv"


def build_backbone(dtype: str = "float32") -> MoonshineBackbone:
    """Return the network, randomly initialised."""
    return MoonshineBackbone(**SHAPE, dtype=dtype)


def filters(width: int = 127) -> np.ndarray:
    """Return the first convolution's initial kernel, float32 (width, 1, WIDTH): pairs of waves
    under a bell, spaced by the ear's scale from 80 to 7600 hertz, the high ones louder."""
    low, high = 2595 * np.log10(1 + np.array([80, 7600]) / 700)
    mel = np.linspace(low, high, WIDTH // 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    angle = 2 * np.pi * hertz * (np.arange(width)[:, None] - width // 2) / RATE
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * np.hanning(width)[:, None]
    waves /= np.sqrt(np.sum(waves**2, axis=0))
    return (waves * np.tile(0.5 + hertz / 2000, 2)).astype(np.float32)[:, None]


class Parts:
    """The network's variables as the optimizer sees them, and two heads for the frames.

    Kernels of convolutions are matrices here, (width * in, out).
    """

    def __init__(self) -> None:
        self.backbone = build_backbone()
        self.shapes = [tuple(v.shape) for v in self.backbone.trainable_variables]
        paths = [v.path for v in self.backbone.trainable_variables]
        self.paths = [p.replace("conv1/kernel", "conv1/filters") for p in paths]
        self.paths += ["head/words", "head/places"]

    def initial(self) -> Arrays:
        """Return the initial variables."""
        rng = np.random.default_rng(0)
        heads = (SILENT_WORD + 1, SILENT_PLACE + 1)
        values = [filters(), *(v.value for v in self.backbone.trainable_variables[1:])]
        values += [rng.normal(0, 0.02, (WIDTH, count)).astype(np.float32) for count in heads]
        return [self._flat(p, jnp.asarray(v)) for p, v in zip(self.paths, values, strict=True)]

    def _flat(self, path: str, value: jax.Array) -> jax.Array:
        wide = path.startswith(_CONVOLUTION) and value.ndim == 3
        return value.reshape(-1, value.shape[-1]) if wide else value

    def network(self, variables: Arrays) -> Arrays:
        """Return the network's own variables, in their shapes."""
        return [v.reshape(s) for v, s in zip(variables[:-2], self.shapes, strict=True)]


def losses(parts: Parts, variables: Arrays, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Return nats per token, and nats per frame for its digit and place together."""
    inputs = {
        "encoder_input_values": batch.samples,
        "encoder_padding_mask": batch.mask,
        "decoder_token_ids": batch.ids[:, :-1],
        "decoder_padding_mask": jnp.ones_like(batch.ids[:, :-1]),
    }
    network = parts.network(variables)
    made, _ = parts.backbone.stateless_call(network, [], inputs)
    mapping = zip(parts.backbone.trainable_variables, network, strict=True)
    with keras.StatelessScope(state_mapping=list(mapping)):
        logits = parts.backbone.logits(made["decoder_sequence_output"])
    heard, real = made["encoder_sequence_output"], made["encoder_attention_mask"]
    of_text = _mean_nats(logits, batch.ids[:, 1:], batch.counted)
    of_frames = _mean_nats(heard @ variables[-2], batch.words, real)
    return of_text, of_frames + _mean_nats(heard @ variables[-1], batch.places, real)


def _mean_nats(logits: jax.Array, targets: Array, counted: Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    nats = jax.nn.logsumexp(logits, -1) - chosen
    return jnp.where(counted, nats, 0).sum() / counted.sum()


class Training(training.Training):
    """A run on recordings that grow harder over the first steps."""

    checkpoint_seconds = 90

    def __init__(self, folder: Path) -> None:
        self.parts = Parts()
        variables = self.parts.initial()
        shapes = [v.shape for v in variables]
        rows = tuple(map(rows_by_name, self.parts.paths, shapes))
        super().__init__(folder, variables, Muon(rows, MATRIX_RATE, OTHER_RATE, rate_first=True))
        self.tokenizer = load_tokenizer(folder, train_tokenizer)
        first = int(self.state.step)
        self.source = batches(self.tokenizer, TRAINING_SEED, ROWS, first, EASY_STEPS)
        self._step = self.compiled(self._losses)

    def _losses(self, variables, batch):  # noqa: ANN001
        text, frames = losses(self.parts, variables, batch)
        return text + FRAMES_WEIGHT * frames, (text, frames)

    def advance(self, step: int, time_used: float) -> tuple[float, ...]:
        """Take a step on the next recordings."""
        rate = rate_at(step, time_used, WARMUP, DECAY)
        return self.descend(self._step, rate, next(self.source))

    def progress(self, step: int, *losses: float) -> str:
        """Return the number of recordings so far and both losses."""
        text, frames = losses
        return f"recordings {step * ROWS} text {text:.4f} frames {frames:.4f}"


if __name__ == "__main__":
    main(Training, __doc__, minutes=40)
