"""A process, or a kernel, that ends in the middle of work ends at once and with code 0.

By hand: WORKBENCH_EXITS=20 ends each kind of work that often, at moments spread over it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from patience import HANG

DRIVER = Path(__file__).with_name("exit_driver.py")
EXITS = int(os.environ.get("WORKBENCH_EXITS", "1"))
KINDS = ("loads", "panels", "downloads", "hashing", "generation", "comparison", "training")
LATEST = 3.0  # seconds after the work has begun

CELL = """
import workbench as wb
panels = [wb.generate("stories_tiny_en"), wb.tune("stories_tiny_en", ["a", "b"] * 9)]
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_ends_in_the_middle_of_work(kind):
    for turn in range(EXITS):
        moment = LATEST * (2 * turn + 1) / (2 * EXITS)
        done = subprocess.run(
            [sys.executable, DRIVER, kind, str(moment)],
            capture_output=True,
            text=True,
            timeout=HANG,
        )
        assert (done.returncode, done.stderr) == (0, ""), moment


def test_a_kernel_ends_while_its_panels_load():
    manager, client = start_new_kernel()
    try:
        assert client.execute_interactive(CELL, timeout=HANG)["content"]["status"] == "ok"
        client.shutdown()
        assert manager.provisioner.process.wait(HANG) == 0
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
