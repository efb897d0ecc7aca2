"""What the recipes of the embedded presets share: a run of some minutes that can be interrupted.

A recipe subclasses `Training` with its variables, its losses and its batches. A checkpoint is kept
every few minutes, and a run goes on from the last one when it is started again. On shared cores
nobody knows how many steps a run will be, so the learning rate follows the time used.
"""

from __future__ import annotations

import argparse
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import sentencepiece

from workbench.recipes.muon import Arrays, Muon, State

TOKENIZER_FILE = "vocabulary.spm"
LOG_STEPS = 20

# Of the variables and a batch: what is to fall, and what the log tells of.
Losses = Callable[..., tuple[jax.Array, tuple[jax.Array, ...]]]
Step = Callable[..., tuple[Arrays, State, tuple[jax.Array, ...]]]


class Training(ABC):
    """Variables, optimizer state and step count, kept in one checkpoint file.

    Attributes:
        folder: where the checkpoint is; made where it does not exist.
        variables: everything that is trained.
        optimizer: what steps them.
        state: its momenta and step count.
        seconds: of training so far, those of earlier runs included.
    """

    checkpoint_seconds: ClassVar[float] = 120
    numbers: ClassVar[tuple[str, ...]] = ("seconds",)
    """The attributes, floats, that a checkpoint keeps beside the arrays."""

    def __init__(self, folder: Path, variables: Arrays, optimizer: Muon) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.variables = variables
        self.optimizer = optimizer
        self.state = optimizer.initial(variables)
        self.seconds = 0.0
        if self.path.exists():
            self.restore()

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.folder / "checkpoint.npz"

    @abstractmethod
    def advance(self, step: int, time_used: float) -> tuple[float, ...]:
        """Take a step, when this share of the time is used; returns the losses for the log."""

    @abstractmethod
    def progress(self, step: int, *losses: float) -> str:
        """What the log says after `step` steps; the losses are means since its last line."""

    def compiled(self, losses: Losses) -> Step:
        """A step down the first of `losses(variables, *data)`, for `descend`."""

        def step(variables: Arrays, state: State, rate: jax.Array, *data: Any):
            (_, told), grads = jax.value_and_grad(losses, has_aux=True)(variables, *data)
            return *self.optimizer.update(variables, grads, state, rate), told

        return jax.jit(step, donate_argnums=(0, 1))

    def descend(self, step: Step, rate: float, *data: Any) -> tuple[float, ...]:
        """Take a compiled step on this data; returns what its losses tell."""
        self.variables, self.state, told = step(self.variables, self.state, rate, *data)
        return tuple(float(loss) for loss in told)

    def run(self, seconds: float) -> None:
        """Train until `seconds` have been used in all, logging and keeping checkpoints."""
        saved, told = time.monotonic(), []
        while self.seconds < seconds:
            started, step = time.monotonic(), int(self.state.step)
            told.append(self.advance(step, self.seconds / seconds))
            self.seconds += time.monotonic() - started
            if (step + 1) % LOG_STEPS == 0:
                self.log(step + 1, *np.mean(told, axis=0))
                told = []
            if time.monotonic() - saved > self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def log(self, step: int, *losses: float) -> None:
        """One line: the step, its progress, seconds of training."""
        print(f"{step} {self.progress(step, *losses)} seconds {self.seconds:.0f}", flush=True)

    def save(self) -> None:
        """Write the checkpoint beside the old one and then take its place."""
        kept = {f"variable_{i}": v for i, v in enumerate(self.variables)}
        kept |= {f"first_{i}": v for i, v in enumerate(self.state.first)}
        kept |= {f"second_{i}": v for i, v in enumerate(self.state.second)}
        kept |= {name: getattr(self, name) for name in self.numbers}
        beside = self.folder / "checkpoint.part.npz"
        np.savez(beside, **kept, step=self.state.step)
        os.replace(beside, self.path)

    def restore(self) -> None:
        """Go on where the checkpoint was written."""
        with np.load(self.path) as kept:
            self.variables, first, second = (
                [jnp.asarray(kept[f"{part}_{i}"]) for i in range(len(self.variables))]
                for part in ("variable", "first", "second")
            )
            self.state = State(first, second, jnp.asarray(kept["step"]))
            for name in self.numbers:
                setattr(self, name, float(kept[name]))


def rate_at(step: int, time_used: float, warmup: int, decay: float) -> float:
    """The share of the full learning rate at a step, when this share of the time is used.

    It rises for `warmup` steps, stays, and falls to zero over the last share `decay` of the time.
    """
    return min(1.0, (step + 1) / warmup, max(0.0, (1 - time_used) / decay))


def load_tokenizer(
    folder: Path, train: Callable[[], bytes]
) -> sentencepiece.SentencePieceProcessor:
    """The folder's tokenizer, written first, as `train` makes it, where there is none yet."""
    path = folder / TOKENIZER_FILE
    if not path.exists():
        path.write_bytes(train())
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def main(training: Callable[[Path], Training], about: str, minutes: float) -> None:
    """Read the command line, FOLDER and --minutes, and train; `about` begins the help."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=minutes)
    arguments = parser.parse_args()
    training(arguments.folder).run(60 * arguments.minutes)
