"""Decode and prefill of a mixture of experts: workbench beside KerasHub.

    python tests/bench/moe.py [--rounds 2] [--peers PYTHON]

A Qwen3-MoE of 8 layers, width 512, with 24 experts of width 768, 4 of them active, and random
float32 weights. Each library runs in processes of its own, one after the other in turn; the
figures are the best of the rounds, so that other work on the machine counts little. `--peers` is a
Python that has keras-hub; without it only the workbench runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

RUNNERS = Path(__file__).parent / "runners"


def run(python: str, script: str) -> dict[str, float]:
    """One process's figures."""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [python, str(RUNNERS / script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", help="a Python with keras-hub")
    options = parser.parse_args()
    runs = {"workbench": (sys.executable, "moe_workbench_runner.py")}
    if options.peers:
        runs["KerasHub"] = (options.peers, "moe_kerashub_runner.py")
    best: dict[str, dict[str, float]] = {name: {} for name in runs}
    for _ in range(options.rounds):
        for name, (python, script) in runs.items():
            for figure, value in run(python, script).items():
                best[name][figure] = max(value, best[name].get(figure, 0))
    for figure in ("decode", "prefill"):
        values = [found[figure] for found in best.values()]
        shown = "   ".join(f"{name} {found[figure]:.2f}" for name, found in best.items())
        ratio = f"   ratio {values[0] / values[1]:.1f}" if len(values) > 1 else ""
        print(f"{figure:8} tokens/s   {shown}{ratio}")


if __name__ == "__main__":
    main()
