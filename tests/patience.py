"""How long tests wait, and how long what they measure may take.

A machine that runs tests may be ten times slower than the one that a limit was measured on, and
other processes may hold its cores for a while. No test may fail for that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

# A limit on time is stated for an idle machine and multiplied by this. Set the variable to 1 to
# see by hand whether an idle machine keeps to the limits.
SLOW = float(os.environ.get("WORKBENCH_TESTS_SLOW", "10"))
# The seconds after which a wait for something that must come gives up. It guards against a hang
# alone, so it is far longer than anything takes.
HANG = float(os.environ.get("WORKBENCH_TESTS_HANG", "300"))


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def waited_for(job: Any) -> threading.Event:
    """An event that is set as soon as an interrupt would reach `job.wait`, and not its caller."""
    waiting, wait = threading.Event(), job._wait

    def announced(timeout: float | None) -> bool:
        waiting.set()
        return wait(timeout)

    job._wait = announced
    return waiting
