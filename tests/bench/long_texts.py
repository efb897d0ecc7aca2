"""Peak memory and seconds of reading long texts.

    python tests/bench/long_texts.py FOLDER [tokens ...]

Every call runs in a process of its own on the preset of the folder, with room for the text made.
Peaks are the process's largest resident size, on CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RUNNER = Path(__file__).parent / "runners" / "long_texts_runner.py"
CALLS = ("chat", "stream", "inspect")


def main(folder: str, *lengths: str) -> None:
    """Print a line for each call and length, in megabytes and seconds."""
    print(f"{'call':8} {'tokens':>7} {'peak':>6} {'beside':>7} {'seconds':>8}")
    for length in map(int, lengths or ("2000", "8000", "24000")):
        for call in CALLS:
            command = [sys.executable, str(RUNNER), folder, call, str(length)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            sizes = f"{found['peak'] / 1e6:6.0f} {found['beside'] / 1e6:7.0f}"
            print(f"{call:8} {length:7} {sizes} {found['seconds']:8.1f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
