"""R1, R3, R4: a save that is killed, starved, refused or raced leaves one whole preset."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from patience import HANG
from preset_files import nothing_opened_outside, refused, same_weights

from workbench.families.gpt2 import GPT2CausalLM
from workbench.storage import atomic
from workbench.storage.atomic import replacing
from workbench.storage.files import CHECKSUMS
from workbench.tasks.causal_lm import CausalLM

HERE = Path(__file__).parent
TOKEN = "0123456789abcdef"
posix = pytest.mark.skipif(os.name == "nt", reason="forks and kills children")


@pytest.fixture
def quick_folder():
    """In memory where there is such a place: waiting for a disk is not what is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def drive(script, *arguments):
    command = [sys.executable, "-W", "error", str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@posix
@pytest.mark.parametrize("swap", ["exchange", "two renames"])
def test_r1_r4_kills_and_races_leave_the_old_or_the_new(quick_folder, swap):
    (summary,) = drive("save_driver.py", quick_folder, swap, 100)
    assert set(summary["steps"]) == {"old", "new", "swept"}
    assert summary["steps"]["swept"] > 40
    assert set(summary["times"]) == {"old", "new"}
    assert set(summary["race"]) <= {"one whole", "saved", "told", "swept"}
    assert summary["race"]["one whole"] == 100
    assert not summary["jax"]


@posix
def test_r3_failing_writes_leave_the_old_preset_and_a_working_process(quick_folder):
    lines = drive("full_disk_driver.py", quick_folder)
    outcomes, exits = lines[::2], lines[1::2]
    for outcome, ended in zip(outcomes, exits, strict=True):
        assert ended["exit"] == 0, ended
        assert outcome["old"] and outcome["retry"]
        assert "not saved" in outcome["outcome"], ended
        assert "bytes needed" in outcome["outcome"] and "free" in outcome["outcome"]


def test_r3_space_is_checked_before_anything_is_written(
    tiny_task, saved_task, tmp_path, monkeypatch
):
    folder = shutil.copytree(saved_task, tmp_path / "preset")
    before = contents(folder)
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: usage)
    with refused("not enough disk space: [0-9]+ bytes needed, 1000 free"):
        tiny_task.save_to_preset(folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]
    monkeypatch.undo()
    tiny_task.save_to_preset(folder)
    assert same_weights(CausalLM.from_preset(folder).backbone, tiny_task.backbone)


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_r4_a_read_only_parent_is_a_named_error(tiny_task, tmp_path, monkeypatch):
    folder = tmp_path / "shut" / "preset"
    folder.parent.mkdir()

    def denied(path, *arguments, **keywords):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", denied)
    with refused("Permission denied"):
        tiny_task.save_to_preset(folder)


def test_r4_a_folder_that_vanishes_while_it_is_written(tmp_path):
    with refused("not saved"), replacing(tmp_path / "preset", 0) as new:
        new.rmdir()
        (new / "config.json").write_text("{}")
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    target = tmp_path / "preset"
    with replacing(target, 0) as new:
        (new / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target, 0) as new:
        (new / "a").write_text("new")
        raise KeyboardInterrupt
    assert contents(target) == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]


def test_a_second_saver_in_the_same_process_is_told(tmp_path):
    target = tmp_path / "preset"
    with replacing(target, 0) as new:
        with refused("another process is saving"), replacing(target, 0):
            pass
        (new / "a").write_text("first")
    assert contents(target) == {"a": b"first"}


ENDING = """
import sys, time
from workbench.presets.saved_folder import saving
from workbench.workers import Worker

def save():
    time.sleep(0.5)
    with saving(sys.argv[1], 0) as new:
        (new / "a").write_text("saved")

Worker(save, "saver").start()
"""


def test_a_save_that_is_under_way_at_the_end_of_the_process_is_finished(tmp_path):
    target = tmp_path / "preset"
    command = [sys.executable, "-c", ENDING, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(target).keys() == {"a", CHECKSUMS}


def test_places_that_must_not_be_replaced_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "file", tmp_path, tmp_path.parent, Path("."), Path("/"), Path.home()):
        with refused("save"), replacing(place, 0):
            pass


def test_saving_through_a_link_replaces_what_it_points_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link", 0) as new:
        (new / "a").write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"a": b"x"}


def test_a_preset_set_aside_between_two_renames_is_found(saved_task, tiny_task, tmp_path):
    folder, aside = tmp_path / "preset", tmp_path / f".preset.{TOKEN}.old"
    shutil.copytree(saved_task, aside)
    (tmp_path / ".preset.saving").write_text(f"saved by workbench through {TOKEN}\n")
    with nothing_opened_outside(tmp_path):
        loaded = GPT2CausalLM.from_preset(folder)
    assert same_weights(loaded.backbone, tiny_task.backbone)
    assert sorted(path.name for path in tmp_path.iterdir()) == [aside.name, ".preset.saving"]
