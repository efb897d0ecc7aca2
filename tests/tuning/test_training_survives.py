"""R2, R3: a training run that is killed or finds the disk full loses nothing that was saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks and kills children")
KILLS = 10  # a kill costs a process and its tracing; `kill_driver.py FOLDER 50` is for by hand


@pytest.fixture
def quick_folder():
    """In memory where there is such a place: waiting for a disk is not what is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def drive(script, *arguments):
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    places = os.pathsep.join(map(str, (HERE, HERE.parent)))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": places},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_r2_runs_that_are_killed_end_as_if_they_had_not_been(quick_folder):
    (summary,) = drive("kill_driver.py", quick_folder, KILLS)
    assert summary["kills"] >= KILLS
    assert summary["runs"] >= 1 and summary["equal"] == summary["runs"]
    assert max(summary["lost"]) <= summary["save_every"]


def test_r3_a_full_disk_costs_a_checkpoint_and_nothing_else(quick_folder):
    for line in drive("full_disk_driver.py", quick_folder):
        assert line["status"] == "done" and line["last"] == 20, line
        assert [step for step, _ in line["problems"]] == [10, 15]
        assert all("the run goes on" in said for _, said in line["problems"])
        assert all("File too large" in said for _, said in line["problems"])
        assert line["saved"] == [5, 20] and line["old"]
