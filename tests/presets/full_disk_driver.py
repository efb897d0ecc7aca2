"""Saves under a limit on file sizes, for test_save_survives: run as a script, prints JSON lines.

The limit stands in for a full disk: both make writes fail half way. Each child writes a real
weight file and must fail with a named error and end in peace.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from workbench.errors import PresetError
from workbench.formats.hdf5 import open_hdf5
from workbench.formats.hdf5_writer import write_whole
from workbench.storage import atomic

TENSORS = {f"layers/dense_{i}/vars/0": np.full((64, 64), i, np.float32) for i in range(8)}


def save(target: Path, sign: int) -> None:
    with atomic.replacing(target, 0) as new:
        write_whole(new, ((name, sign * values) for name, values in TENSORS.items()))


def holds(target: Path, sign: int) -> bool:
    source = open_hdf5(target)
    try:
        return all(np.array_equal(source.read(n), sign * v) for n, v in TENSORS.items())
    finally:
        source.close()


def child(target: Path, limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save(target, -1)
        outcome = "saved"
    except PresetError as error:
        outcome = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    old_is_whole = holds(target, 1)
    save(target, 2)
    print(json.dumps({"outcome": outcome, "old": old_is_whole, "retry": holds(target, 2)}))
    sys.stdout.flush()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    size = sum(values.nbytes for values in TENSORS.values())
    for percent in (0, 1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100):
        target = folder / str(percent) / "preset"
        save(target, 1)
        process = os.fork()
        if process == 0:
            child(target, size * percent // 100)
            sys.exit(0)  # a broken HDF5 library would crash here
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(json.dumps({"percent": percent, "exit": status}))
        sys.stdout.flush()
