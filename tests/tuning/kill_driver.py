"""Kills training runs, for test_training_survives: run as a script, prints a JSON summary.

A run of a tiny Llama is killed after a random time, resumed by the next child, killed again, and
so on to its end, then another one. Every child is forked before JAX starts its threads, so that
nothing has to be imported again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from tiny import byte_tokenizer

import workbench as wb
from workbench.data.reading import read_examples  # noqa: F401 (imported once, for all children)
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning.checkpoint import Checkpoints
from workbench.tuning.events import Step
from workbench.tuning.job import TrainingJob
from workbench.tuning.trainer import Trainer  # noqa: F401

TEXTS = [
    f"the {a} {b} {c}"
    for a in ("red", "blue", "green", "old")
    for b in ("fox", "dog", "cat", "hen")
    for c in ("runs", "sits", "eats")
]
STEPS, SAVE_EVERY = 200, 5
SETTINGS = {
    "steps": STEPS,
    "batch_size": 2,
    "accumulate": 2,
    "dropout": 0.1,
    "rank": 2,
    "seed": 5,
    "validation_every": 50,
    "save_every": SAVE_EVERY,
}


def model() -> CausalLM:
    import keras

    keras.utils.set_random_seed(0)
    backbone = wb.models.LlamaBackbone(
        vocabulary_size=257,
        num_layers=1,
        num_query_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        num_key_value_heads=1,
        dtype="float32",
    )
    return CausalLM(backbone, CausalLMPreprocessor(byte_tokenizer(), sequence_length=32))


def job_in(folder: Path, observer) -> TrainingJob:
    lm = model()
    if Checkpoints(folder).steps():
        return TrainingJob.resume_from(folder, lm, TEXTS, on_event=observer)
    return TrainingJob(lm, TEXTS, 0.2, folder=folder, on_event=observer, **SETTINGS)


def work(folder: Path, log: Path) -> None:
    """Train to the end; the log tells that steps have begun, and how far they came."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    out = log.open("a", buffering=1)

    def observe(event) -> None:
        if isinstance(event, Step):
            print(event.step, file=out)

    job = job_in(folder, observe)
    job.start()
    job.wait()
    if job.status != "done":
        print(job.traceback, file=sys.stderr)
        os._exit(5)


def forked(folder: Path, log: Path) -> int:
    log.write_text("")
    child = os.fork()
    if child == 0:
        try:
            work(folder, log)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(4)
        os._exit(0)
    return child


def finish(folder: Path, log: Path) -> float:
    """A child that is left alone; the seconds from its first step to its end."""
    child = forked(folder, log)
    while not log.read_text():
        time.sleep(0.005)
    began = time.monotonic()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    return time.monotonic() - began


def kill(folder: Path, log: Path, usual: float, chance: random.Random) -> bool:
    """One child and its end: True if it was killed, False if it was faster."""
    child = forked(folder, log)
    while not log.read_text() and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.002)
    # Few steps a life, so that many kills fall into one run.
    time.sleep(chance.uniform(0, usual / 8))
    try:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return False
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, status
    return os.WIFSIGNALED(status)


def content(folder: Path) -> dict:
    """What must be equal, bit by bit."""
    last = Checkpoints(folder).read(STEPS)
    arrays = {name: part.tobytes().hex() for name, part in last.state.items()}
    arrays |= {
        f"best/{path}": np.asarray(update.b).tobytes().hex()
        for path, update in last.best.adapter.updates.items()
    }
    log = [(e.step, e.loss, e.learning_rate, e.gradient_norm, e.tokens) for e in last.history.steps]
    held_out = [(e.step, e.loss, e.best) for e in last.history.validations]
    return {"arrays": arrays, "log": log, "held_out": held_out, "best": last.best.step}


def main(root: Path, kills: int) -> dict:
    chance, log = random.Random(0), root / "log"
    finish(root / "warm", log)  # compiles
    usual = finish(root / "whole", log)
    expected = content(root / "whole")
    summary = {"kills": 0, "runs": 0, "equal": 0, "lost": [], "usual": usual}
    summary["save_every"] = SAVE_EVERY
    while summary["kills"] < kills:
        folder = root / f"run{summary['runs']}"
        while not Checkpoints(folder).steps() or Checkpoints(folder).steps()[0] < STEPS:
            if not kill(folder, log, usual, chance):
                break
            summary["kills"] += 1
            steps = [int(line) for line in log.read_text().split()]
            saved = Checkpoints(folder).steps()
            if steps:
                summary["lost"].append(steps[-1] - (saved[0] if saved else 0))
            if summary["kills"] >= kills:
                finish(folder, log)
        summary["runs"] += 1
        summary["equal"] += content(folder) == expected
    return summary


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
