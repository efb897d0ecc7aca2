"""Steps of training an adapter, and memory: workbench beside KerasHub and PEFT.

    python tests/bench/lora.py [--rounds 3] [--peers PYTHON]

The Llama of `generation.py` (30 layers, width 576, 134.5 M random float32 parameters) learns rank
8 on queries and values, with AdamW, from the same 4 rows of 128 random tokens. Each library runs
in processes of its own, one after the other in turn, on two threads; the figures are medians over
the rounds. `--peers` is a Python that has keras-hub, transformers, peft and torch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from generation import make_model
from processes import Figures, collect, report

ROWS = {
    "step": "step, s",
    "rate": "steps / s",
    "first": "first step, s",
    "peak": "peak memory / weights",
    "loss": "loss after 10 steps",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="a Python with keras-hub, transformers, peft and torch")
    options = parser.parse_args()
    results: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "llama"
        folder.mkdir()
        make_model(folder)
        runs = {"workbench": (sys.executable, "lora_workbench_runner.py")}
        if options.peers:
            runs["KerasHub"] = (options.peers, "lora_kerashub_runner.py")
            runs["PEFT"] = (options.peers, "lora_peft_runner.py")
        for _ in range(options.rounds):
            for name, (python, script) in runs.items():
                collect(results, name, python, script, folder, Path(scratch) / "cache")
    report(results, ROWS)


if __name__ == "__main__":
    main()
