"""Runs that are compared: each in a process of its own, one after the other in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
Figures = dict[str, float]


def run(python: str, script: str, folder: Path, cache: Path) -> Figures:
    """One process's figures: the last line that a runner prints about a model's folder."""
    cache.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "WORKBENCH_CACHE_DIR": str(cache),
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [python, str(HERE / "runners" / script), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def collect(results: dict[str, list[Figures]], name: str, *arguments: object) -> None:
    """`run(*arguments)`, told of and added to the results under a name."""
    results.setdefault(name, []).append(run(*arguments))
    print(name, json.dumps(results[name][-1]), file=sys.stderr, flush=True)


def report(results: dict[str, list[Figures]], rows: dict[str, str]) -> None:
    """A table of medians and, in brackets, their ratios to those of the first column; `rows` maps
    figures to their titles."""
    print(f"{'':26}" + "".join(f"{name:>24}" for name in results))
    for key, title in rows.items():
        medians = [statistics.median(run[key] for run in runs) for runs in results.values()]
        cells = (f"{value:.3f} ({value / medians[0]:.2f})" for value in medians)
        print(f"{title:26}" + "".join(f"{cell:>24}" for cell in cells))
