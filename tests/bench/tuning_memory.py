"""Peak memory of training adapters, beside what the estimate says.

    python tests/bench/tuning_memory.py [case ...]

Every case runs in a process of its own, on the random Llamas of `memory.py`. Peaks are the
process's largest resident size, on CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

from memory import MEDIUM, SMALL, WIDE, measure

RUNNER = Path(__file__).parent / "runners" / "tuning_memory_runner.py"
PARTS = ("weights", "activations", "optimizer", "process")

# name: sizes, dtype, settings
CASES = {
    "short": (SMALL, "float32", {"batch_size": 4, "length": 64}),
    "usual": (SMALL, "float32", {"batch_size": 4, "length": 256}),
    "long": (SMALL, "float32", {"batch_size": 1, "length": 1024}),
    "batch": (SMALL, "float32", {"batch_size": 16, "length": 128}),
    "all": (SMALL, "float32", {"batch_size": 4, "length": 256, "targets": "all", "rank": 32}),
    "dropout": (SMALL, "float32", {"batch_size": 4, "length": 256, "dropout": 0.1}),
    "accumulate": (SMALL, "float32", {"batch_size": 4, "length": 256, "accumulate": 4}),
    "remat": (SMALL, "float32", {"batch_size": 4, "length": 256, "remat": True}),
    "vocabulary": (WIDE, "float32", {"batch_size": 4, "length": 256}),
    "medium": (MEDIUM, "float32", {"batch_size": 4, "length": 256}),
    "bfloat16": (MEDIUM, "bfloat16", {"batch_size": 2, "length": 256}),
    "int8": (MEDIUM, "int8", {"batch_size": 2, "length": 256}),
    "int4": (MEDIUM, "int4", {"batch_size": 2, "length": 256}),
}


def main(names: list[str]) -> None:
    """Print a line for each case, in megabytes."""
    print(f"{'case':12} {'peak':>6} {'guess':>6} {'off':>6}  {' '.join(f'{p:>11}' for p in PARTS)}")
    for name in names or CASES:
        found = measure(*CASES[name], runner=RUNNER)
        off = found["total"] / found["peak"] - 1
        figures = " ".join(f"{found[part] / 1e6:11.0f}" for part in PARTS)
        totals = f"{found['peak'] / 1e6:6.0f} {found['total'] / 1e6:6.0f} {off:+6.1%}"
        print(f"{name:12} {totals}  {figures}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
