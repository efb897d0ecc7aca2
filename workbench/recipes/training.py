"""The shared part of the recipes: a training run of some minutes that can be interrupted.

A recipe subclasses `Training` with its variables, losses and batches. A run saves a checkpoint
every few minutes, and resumes from the last one when started again. The number of steps is unknown
on shared cores, so the learning rate follows the time used.
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

# Maps the variables and a batch to the loss to minimise and the losses for the log.
Losses = Callable[..., tuple[jax.Array, tuple[jax.Array, ...]]]
Step = Callable[..., tuple[Arrays, State, tuple[jax.Array, ...]]]


class Training(ABC):
    """Variables, optimizer state and step count, kept in one checkpoint file.

    Attributes:
        folder: the checkpoint's folder; made if it does not exist.
        variables: all trained variables.
        optimizer: their optimizer.
        state: the optimizer's momenta and step count.
        seconds: seconds of training so far, with earlier runs.
    """

    checkpoint_seconds: ClassVar[float] = 120
    numbers: ClassVar[tuple[str, ...]] = ("seconds",)
    """The float attributes that a checkpoint keeps besides the arrays."""

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
        """Take a step after this share of the time; return the losses for the log."""

    @abstractmethod
    def progress(self, step: int, *losses: float) -> str:
        """Return the log's text after `step` steps; the losses are means since the last line."""

    def compiled(self, losses: Losses) -> Step:
        """Return a compiled step that minimises the first of `losses(variables, *data)`."""

        def step(variables: Arrays, state: State, rate: jax.Array, *data: Any):
            (_, told), grads = jax.value_and_grad(losses, has_aux=True)(variables, *data)
            return *self.optimizer.update(variables, grads, state, rate), told

        return jax.jit(step, donate_argnums=(0, 1))

    def descend(self, step: Step, rate: float, *data: Any) -> tuple[float, ...]:
        """Take a compiled step on this data; return its losses for the log."""
        self.variables, self.state, told = step(self.variables, self.state, rate, *data)
        return tuple(float(loss) for loss in told)

    def run(self, seconds: float) -> None:
        """Train until `seconds` are used in total; log and save checkpoints."""
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
        """Print one line: the step, its progress, seconds of training."""
        print(f"{step} {self.progress(step, *losses)} seconds {self.seconds:.0f}", flush=True)

    def save(self) -> None:
        """Write the checkpoint beside the old one, then replace the old one."""
        kept: dict[str, Any] = {f"variable_{i}": v for i, v in enumerate(self.variables)}
        kept |= {f"first_{i}": v for i, v in enumerate(self.state.first)}
        kept |= {f"second_{i}": v for i, v in enumerate(self.state.second)}
        kept |= {name: getattr(self, name) for name in self.numbers}
        beside = self.folder / "checkpoint.part.npz"
        np.savez(beside, **kept, step=self.state.step)
        os.replace(beside, self.path)

    def restore(self) -> None:
        """Resume from the checkpoint."""
        with np.load(self.path) as kept:
            self.variables, first, second = (
                [jnp.asarray(kept[f"{part}_{i}"]) for i in range(len(self.variables))]
                for part in ("variable", "first", "second")
            )
            self.state = State(first, second, jnp.asarray(kept["step"]))
            for name in self.numbers:
                setattr(self, name, float(kept[name]))


def rate_at(step: int, time_used: float, warmup: int, decay: float) -> float:
    """Return the share of the full learning rate at a step, after this share of the time.

    It rises for `warmup` steps, stays, and falls to zero over the last share `decay` of the time.
    """
    return min(1.0, (step + 1) / warmup, max(0.0, (1 - time_used) / decay))


def load_tokenizer(
    folder: Path, train: Callable[[], bytes]
) -> sentencepiece.SentencePieceProcessor:
    """Return the folder's tokenizer; if there is none yet, write the one that `train` makes."""
    path = folder / TOKENIZER_FILE
    if not path.exists():
        path.write_bytes(train())
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def main(training: Callable[[Path], Training], about: str | None, minutes: float) -> None:
    """Read the command line, FOLDER and --minutes, and train; the help starts with `about`."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=minutes)
    arguments = parser.parse_args()
    training(arguments.folder).run(60 * arguments.minutes)
