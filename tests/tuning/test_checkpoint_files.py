"""Files of checkpoints: any changed bit is found, and the checkpoint before it is used and said;
nothing that a user keeps in the same folder is touched."""

import dataclasses
import logging
import os
import random

import pytest
from linear import LinearLM, linear_feed
from patience import HANG

from workbench.errors import CheckpointError
from workbench.tuning.checkpoint import ARRAYS, DIGESTS, FILES, KEPT, LOCK, TABLE, Checkpoints
from workbench.tuning.events import Problem
from workbench.tuning.job import TrainingJob

pytestmark = pytest.mark.usefixtures("linear")
FLIPS = int(os.environ.get("WORKBENCH_FLIPS", "100"))  # of each file; 2,000 by hand


def finished(job):
    job.start()
    assert job.wait(HANG) and job.status == "done", job.traceback
    return job


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of the steps 5 and 10 of a run of 10 steps."""
    settings = {"steps": 10, "save_every": 5, "validation_every": 2, "learning_rate": 0.02}
    finished(TrainingJob(LinearLM(), linear_feed(), folder=tmp_path, **settings))
    return tmp_path


def changed(path, change):
    path.write_bytes(change(path.read_bytes()))


def flipped(data, chance):
    """The bytes with one bit changed."""
    place = chance.randrange(len(data))
    bit = 1 << chance.randrange(8)
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


@pytest.mark.parametrize("file", FILES)
def test_every_flipped_bit_is_found(saved, file):
    path, chance = saved / "step_00000010" / file, random.Random(0)
    whole = path.read_bytes()
    for _ in range(FLIPS):
        path.write_bytes(flipped(whole, chance))
        with pytest.raises(CheckpointError) as refusal:
            Checkpoints(saved).read(10)
        assert len(str(refusal.value)) <= 2000
    path.write_bytes(whole)
    assert Checkpoints(saved).read(10).step == 10


CHANGES = {
    "another learning rate": (TABLE, lambda data: data.replace(b": 0.02,", b": 2.02,")),
    "a larger batch": (
        TABLE,
        lambda data: data.replace(b'"batch_size": 8', b'"batch_size": 1000000'),
    ),
    "a huge step": (TABLE, lambda data: data.replace(b'"step": 10,', b'"step": 2000000000,')),
    "an empty table": (TABLE, lambda data: b""),
    "no digests": (DIGESTS, lambda data: b""),
    "digests of more": (DIGESTS, lambda data: data + b"\n"),
    "half of the arrays": (ARRAYS, lambda data: data[: len(data) // 2]),
    "arrays and more": (ARRAYS, lambda data: data + b"\0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_checkpoint_before_a_changed_one_is_used_and_said(saved, change, caplog):
    file, made = CHANGES[change]
    before = Checkpoints(saved).read(10).state["adapter"].tolist()
    changed(saved / "step_00000010" / file, made)
    seen = []
    with caplog.at_level(logging.WARNING):
        job = TrainingJob.resume_from(saved, LinearLM(), linear_feed(), on_event=seen.append)
    assert job.step == 5
    (problem,) = job.history.problems
    for said in (problem.message, caplog.text):
        assert "step_00000010: the checkpoint is damaged" in said
        assert "going on from step 5" in said
    finished(job)
    assert [event for event in seen if isinstance(event, Problem)] == [problem]
    assert Checkpoints(saved).read(10).state["adapter"].tolist() == before
    assert Checkpoints(saved).latest()[1] == []


def test_the_panel_says_that_an_earlier_checkpoint_was_used(saved):
    from workbench.widgets.tune.runs import TuneRun

    changed(saved / "step_00000010" / TABLE, lambda data: data[:-1])
    run = TuneRun(1, "default", {"sample_prompts": ()})
    finished(TrainingJob.resume_from(saved, LinearLM(), linear_feed(), on_event=run.take))
    assert "going on from step 5" in run.now["problem"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nothing"])
@pytest.mark.parametrize("file", FILES)
def test_what_is_no_file_of_the_checkpoint_is_damage(saved, file, kind):
    path = saved / "step_00000010" / file
    path.rename(saved / "elsewhere")
    make = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(saved / "elsewhere"),
        "nothing": lambda: None,
    }
    make[kind]()
    assert Checkpoints(saved).latest()[0].step == 5


def test_a_checkpoint_of_a_version_without_digests_is_refused_with_the_reason(saved):
    for step in (5, 10):
        (saved / f"step_{step:08}" / DIGESTS).unlink()
    with pytest.raises(CheckpointError, match="Earlier versions of workbench wrote none"):
        TrainingJob.resume_from(saved, LinearLM(), linear_feed())


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_whole_one(saved):
    """The run goes on from 7 and is saved again before it comes to the damaged one at 10."""
    settings = {"steps": 10, "save_every": 7, "learning_rate": 0.02}
    folder = saved / "other"
    finished(TrainingJob(LinearLM(), linear_feed(), folder=folder, **settings))
    changed(folder / "step_00000010" / ARRAYS, lambda data: data[:-1])
    job = TrainingJob.resume_from(folder, LinearLM(), linear_feed(), save_every=1)
    assert job.step == 7
    finished(job)
    whole = [Checkpoints(folder).read(step).step for step in Checkpoints(folder).steps()]
    assert whole == [10, 9] and len(whole) == KEPT


# -- what is not ours ---------------------------------------------------------------------------


def content_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_a_user_keeps_in_the_folder_stays(tmp_path):
    kept = {
        "notes.md": b"mine",
        ".lock": b"mine",
        ".step_notes": b"mine",
        ".step_backup/state.safetensors": b"mine",
        "step_1/checkpoint.json": b"mine",
        "step_00000001/notes.md": b"mine",
        "step_00000001/checkpoint.json": b"mine",
        "step_00000002": b"mine",
        "step_00000099": b"mine",
        "step_00000098/state.safetensors": b"mine",
        ".step_00000003.new/state.safetensors": b"mine",
        ".step_00000003.saving": b"mine",
        "step_final/SHA256SUMS": b"mine",
    }
    folder = tmp_path / "run"
    for name, data in kept.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    checkpoints = Checkpoints(folder)
    source = TrainingJob(
        LinearLM(), linear_feed(), folder=tmp_path / "other", steps=9, save_every=3
    )
    finished(source)
    checkpoint = Checkpoints(tmp_path / "other").read(9)
    with checkpoints.reserved():
        for step in (4, 5, 6, 7):
            checkpoints.save(_at(checkpoint, step))
            (folder / f"step_{step:08}" / "notes.md").write_bytes(b"mine too")
        checkpoints.save(_at(checkpoint, 7))
        checkpoints.drop_after(6)
    left = content_of(folder)
    assert {str(path): data for path, data in left.items() if data == b"mine"} == kept
    notes = [path for path, data in left.items() if data == b"mine too"]
    assert len(notes) == 4
    ours = {str(path) for path, data in left.items() if not data.startswith(b"mine")}
    assert ours == {f"step_00000006/{name}" for name in FILES}


def _at(checkpoint, step):
    return dataclasses.replace(checkpoint, step=step)


def test_a_link_to_another_folder_is_not_swept(saved, tmp_path):
    kept = content_of(saved / "step_00000005")
    outside = tmp_path / "outside"
    (saved / "step_00000005").rename(outside)
    (saved / "step_00000005").symlink_to(outside)
    job = TrainingJob.resume_from(saved, LinearLM(), linear_feed())
    job._checkpoints.save(_at(Checkpoints(saved).read(10), 11))
    job._checkpoints.save(_at(Checkpoints(saved).read(10), 12))
    assert content_of(outside) == kept


@pytest.mark.parametrize("name", ["a\0b", "a\udcffb\0", "x" * 300])
def test_a_folder_that_no_file_system_has_is_named(tmp_path, name):
    with pytest.raises(CheckpointError):
        TrainingJob(LinearLM(), linear_feed(), folder=tmp_path / name, steps=2).start()
    with pytest.raises(CheckpointError):
        TrainingJob.resume_from(tmp_path / name, LinearLM(), linear_feed())
    with pytest.raises(CheckpointError), Checkpoints(tmp_path / name).reserved():
        pass
    assert LOCK not in os.listdir(tmp_path)
