"""Checkpoints under a limit on file sizes, for test_training_survives: prints JSON lines.

The limit stands in for a full disk: both make writes fail half way. It is set after the first
checkpoint and lifted before the last one.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

from linear import LinearLM, LinearTrainer, linear_feed

from workbench.tuning import run
from workbench.tuning.checkpoint import ARRAYS, LOCK, Checkpoints
from workbench.tuning.events import Problem, Saved, Step
from workbench.tuning.job import TrainingJob


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def train(folder: Path, percent: int) -> dict:
    seen, whole = [], []

    def watch(event) -> None:
        seen.append(event)
        if isinstance(event, Saved) and event.step == 5:
            whole.append((event.path / ARRAYS).read_bytes())
        if isinstance(event, Step) and event.step == 6:
            limit(len(whole[0]) * percent // 100)
        if isinstance(event, Step) and event.step == 16:
            limit(resource.RLIM_INFINITY)
        if isinstance(event, Problem):
            steps = Checkpoints(folder).steps()
            told = {path.name for path in folder.iterdir() if path.name != LOCK}
            kept = (folder / "step_00000005" / ARRAYS).read_bytes() == whole[0]
            checks.append(kept and steps == [5] and told == {"step_00000005"})

    checks = []
    settings = {"steps": 20, "save_every": 5, "learning_rate": 0.02}
    job = TrainingJob(LinearLM(), linear_feed(), folder=folder, on_event=watch, **settings)
    job.start()
    job.wait()
    return {
        "percent": percent,
        "status": job.status,
        "problems": [[told.step, told.message] for told in seen if isinstance(told, Problem)],
        "saved": [told.step for told in seen if isinstance(told, Saved)],
        "old": all(checks),
        "last": Checkpoints(folder).latest()[0].step,
    }


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run.new_trainer = LinearTrainer
    for percent in (0, 1, 10, 50, 90, 99):
        print(json.dumps(train(Path(sys.argv[1]) / str(percent), percent)))
        sys.stdout.flush()
