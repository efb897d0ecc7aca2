"""Checkpoints: what is resumed equals what was never broken off; damage is told and survived."""

import dataclasses
import json

import numpy as np
import pytest
from linear import PATH, LinearLM, linear_feed
from patience import HANG

from workbench.errors import CheckpointError, SettingError
from workbench.tuning.checkpoint import ARRAYS, DIGESTS, TABLE, Checkpoints, _digests
from workbench.tuning.checkpoint_content import decoded, encoded
from workbench.tuning.events import Problem, Saved, Step
from workbench.tuning.job import TrainingJob

pytestmark = pytest.mark.usefixtures("linear")
SETTINGS = {"steps": 30, "learning_rate": 0.02, "seed": 3, "validation_every": 4}


def job_of(folder=None, lm=None, feed=None, **settings):
    settings = {**SETTINGS, **settings}
    return TrainingJob(lm or LinearLM(), feed or linear_feed(), folder=folder, **settings)


def stopped_at(step, folder, act="cancel", **settings):
    """A job that was cancelled, or paused, after a step."""

    def watch(event):
        if isinstance(event, Step) and event.step == step:
            getattr(job, act)()

    job = job_of(folder, on_event=watch, **settings)
    job.start()
    job.wait(HANG)
    assert job.status == {"cancel": "cancelled", "pause": "paused"}[act], job.traceback
    return job


def resumed(folder, lm=None, feed=None, **options):
    job = TrainingJob.resume_from(folder, lm or LinearLM(), feed or linear_feed(), **options)
    job.start()
    assert job.wait(HANG) and job.status == "done", job.traceback
    return job


def facts_of(job):
    """Everything about a run that does not depend on the clock."""
    steps = [(told.step, told.loss, told.gradient_norm) for told in job.history.steps]
    best = (job.best.step, job.best.loss, job.best.adapter.updates[PATH].a.tolist())
    return steps, job.history.validations, best, job._lm.learnt.tolist()


@pytest.fixture(scope="module")
def unbroken():
    from linear import LinearTrainer

    from workbench.tuning import run

    before, run.new_trainer = run.new_trainer, LinearTrainer
    try:
        job = job_of()
        job.start()
        job.wait(HANG)
        return facts_of(job)
    finally:
        run.new_trainer = before


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of the steps 10 and 11."""
    stopped_at(11, tmp_path, save_every=10)
    return tmp_path


def test_a_run_that_was_cancelled_goes_on_bit_by_bit(tmp_path, unbroken):
    for step in (1, 4, 17, 29):
        stopped_at(step, tmp_path / str(step), sample_prompts="Once", sample_tokens=3)
        job = resumed(tmp_path / str(step))
        assert job.step == 30 and facts_of(job) == unbroken
        assert [told.step for told in job.history.samples] == [*range(0, 30, 4), 30]


def test_a_run_may_be_broken_off_again_and_again(tmp_path, unbroken):
    stopped_at(3, tmp_path)
    for step in range(6, 30, 3):
        job = TrainingJob.resume_from(tmp_path, LinearLM(), linear_feed())
        job._observer = cancelling(job, step)
        job.start()
        job.wait(HANG)
        assert job.step == step
    assert facts_of(resumed(tmp_path)) == unbroken


def cancelling(job, step):
    def watch(event):
        if isinstance(event, Step) and event.step == step:
            job.cancel()

    return watch


def test_a_paused_run_can_be_resumed_elsewhere(tmp_path, unbroken):
    stopped_at(9, tmp_path, act="pause")
    assert facts_of(resumed(tmp_path)) == unbroken


def test_a_finished_run_is_resumed_as_it_ended(tmp_path, unbroken):
    job = job_of(tmp_path)
    job.start()
    assert job.wait(HANG)
    again = resumed(tmp_path)
    assert facts_of(again) == unbroken and again.step == 30


def test_checkpoints_come_when_asked_and_two_are_kept(tmp_path):
    seen = []
    job = job_of(tmp_path, save_every=7, on_event=seen.append)
    job.start()
    job.wait(HANG)
    told = [event for event in seen if isinstance(event, Saved)]
    assert [event.step for event in told] == [7, 14, 21, 28, 30]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000028", "step_00000030"]
    assert told[-1].path == tmp_path.resolve() / "step_00000030" or told[-1].path.exists()
    assert Checkpoints(tmp_path).read(28).step == 28


def test_without_a_number_of_steps_the_clock_says_when(tmp_path, monkeypatch):
    from workbench.tuning import run

    monkeypatch.setattr(run, "SECONDS_BETWEEN_SAVES", 0.0)
    seen = []
    job = job_of(tmp_path, on_event=seen.append)
    job.start()
    job.wait(HANG)
    assert [event.step for event in seen if isinstance(event, Saved)] == list(range(31))


def test_what_killed_runs_leave_is_swept(tmp_path):
    token = "0123456789abcdef"
    (tmp_path / f".step_00000003.{token}").mkdir()
    (tmp_path / f".step_00000003.{token}" / ARRAYS).write_bytes(b"half")
    (tmp_path / ".step_00000003.saving").write_text(f"saved by workbench through {token}\n")
    (tmp_path / ".step_00000002.saving").write_text("")
    stopped_at(5, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000005"]


# -- what does not fit --------------------------------------------------------------------------


def test_other_data_are_refused_and_what_differs_is_listed(saved):
    with pytest.raises(CheckpointError, match=r"data: digest: the same in .*, other here"):
        TrainingJob.resume_from(saved, LinearLM(), linear_feed(digest="other"))


def test_another_model_is_refused(saved):
    lm = LinearLM()
    lm.backbone.variables[0].value[3] = 7
    with pytest.raises(CheckpointError, match="model: digest"):
        TrainingJob.resume_from(saved, lm, linear_feed())


def test_an_adapter_of_another_rank_is_not_overwritten(saved):
    lm = LinearLM()
    lm.adapters.add("default", rank=3)
    job = TrainingJob.resume_from(saved, lm, linear_feed())
    job.start()
    job.wait(HANG)
    assert isinstance(job.error, CheckpointError) and "rank=3" in str(job.error)


def test_only_what_changes_nothing_may_be_changed(saved):
    with pytest.raises(CheckpointError, match="learning_rate: expected the settings of the ch"):
        TrainingJob.resume_from(saved, LinearLM(), linear_feed(), learning_rate=1.0)
    with pytest.raises(SettingError, match="sample_tokens"):
        TrainingJob.resume_from(saved, LinearLM(), linear_feed(), sample_tokens=0)
    job = resumed(saved, validation_every=15, sample_prompts="Once", learning_rate=0.02)
    assert [told.step for told in job.history.validations if told.step > 11] == [15, 30]
    assert job.history.samples


def test_a_folder_belongs_to_one_run(saved, tmp_path, until):
    with pytest.raises(CheckpointError, match=r"step 11: TrainingJob\.resume_from"):
        job_of(saved).start()
    lm = LinearLM(hold_at_step=12)
    first = TrainingJob.resume_from(saved, lm, linear_feed())
    first.start()
    second = TrainingJob.resume_from(saved, LinearLM(), linear_feed())
    until(lambda: first.step >= 12)
    second.start()
    second.wait(HANG)
    assert isinstance(second.error, CheckpointError) and "another run" in str(second.error)
    first.cancel()
    lm.steps.allow()
    first.wait(HANG)
    (tmp_path / "file").write_text("")
    third = job_of(tmp_path / "file" / "inside")
    third.start()
    third.wait(HANG)
    assert isinstance(third.error, CheckpointError)


def test_an_empty_folder_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            TrainingJob.resume_from(folder, LinearLM(), linear_feed())


# -- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [ARRAYS, TABLE])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(saved, unbroken, file):
    path = saved / "step_00000011" / file
    path.write_bytes(path.read_bytes()[:-20])
    job = resumed(saved)
    assert facts_of(job) == unbroken
    (problem,) = job.history.problems
    assert isinstance(problem, Problem) and problem.step == 10
    assert "step_00000011" in problem.message and "going on from step 10" in problem.message


def test_a_missing_file_and_a_crafted_link_are_damage_too(saved, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("{}")
    (saved / "step_00000011" / TABLE).unlink()
    (saved / "step_00000010" / TABLE).unlink()
    (saved / "step_00000010" / TABLE).symlink_to(outside)
    with pytest.raises(CheckpointError, match="no checkpoint is whole") as refusal:
        TrainingJob.resume_from(saved, LinearLM(), linear_feed())
    assert "no such file" in str(refusal.value) and "leading outside" in str(refusal.value)


def rewritten(folder, table):
    """A checkpoint whose table says something else, and whose digests are right."""
    (folder / TABLE).write_text(json.dumps(table))
    files = {name: (folder / name).read_bytes() for name in (ARRAYS, TABLE)}
    (folder / DIGESTS).write_bytes(_digests(files))


WRONG = {
    "format": [1, None, "2"],
    "name": [3, None],
    "adapter": [
        {},
        [],
        {"rank": 0, "alpha": None, "dropout": 0.0, "targets": ["query"]},
        {"rank": 10**9, "alpha": None, "dropout": 0.0, "targets": ["query"]},
        {"rank": 8, "alpha": 10**400, "dropout": 0.0, "targets": ["query"]},
        {"rank": 8, "alpha": None, "dropout": 10**400, "targets": ["query"]},
    ],
    "settings": [{"rank": -1}, {"unknown": 1}, [], {}, {"steps": 5}],
    "step": [-1, 12, "11", True, None, 10**8, 2 * 10**9, 10**400],
    "samples": [{}, {"step": [1], "prompt": [], "text": []}, {"step": ["1"]}, []],
    "problems": [{"step": [1.5], "message": ["x"]}, None],
    "best": [
        {},
        {"step": 1, "loss": 1.0, "scales": {}, "base": None},
        {"step": 1, "loss": 10**400, "scales": {PATH: 1.0}, "base": None},
        {"step": 1, "loss": 1.0, "scales": {PATH: 10**400}, "base": None},
        7,
    ],
    "facts": [{"data": [1]}, {"data": {"x": 1.5}}, 3],
    "validation": ["0.1", [1], 10**400],
}


@pytest.mark.parametrize("key", WRONG)
def test_every_value_of_the_table_is_checked(saved, key):
    path = saved / "step_00000011"
    table = json.loads((path / TABLE).read_text())
    rewritten(path, table)
    assert Checkpoints(saved).read(11).step == 11
    without = {name: part for name, part in table.items() if name != key}
    for wrong in (without, *({**table, key: value} for value in WRONG[key])):
        rewritten(path, wrong)
        with pytest.raises(CheckpointError, match="damaged") as refusal:
            Checkpoints(saved).read(11)
        assert "SHA-256" not in str(refusal.value)


def written(checkpoint):
    table, arrays = encoded(checkpoint)
    return json.loads(json.dumps(table)), arrays


def test_every_array_is_checked(saved):
    table, arrays = written(Checkpoints(saved).read(11))
    assert decoded(table, arrays).step == 11
    steps = arrays["steps/loss"]
    wrong = {
        "steps/loss": [steps[:-1], steps.astype("float32"), steps[:, None], steps * np.nan],
        "steps/step": [steps, arrays["steps/step"] + 1, arrays["steps/step"] + 0.5],
        "validations/best": [arrays["validations/best"][1:]],
        f"best/{PATH}:a": [np.zeros((2, 8), "float32"), np.zeros((1, 8))],
        "state/momentum": [np.full(8, np.nan)],
        "state/step": [np.array(12), np.arange(11)],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(CheckpointError):
                decoded(table, {**arrays, name: value})
        if not name.startswith("state"):
            with pytest.raises(CheckpointError):
                decoded(table, {each: part for each, part in arrays.items() if each != name})


def test_a_checkpoint_says_what_it_was_given(saved):
    before = Checkpoints(saved).read(11)
    after = decoded(*written(before))
    for field in dataclasses.fields(before):
        if field.name not in ("state", "best"):
            assert getattr(after, field.name) == getattr(before, field.name)
    assert after.best.adapter.config == before.best.adapter.config


# -- a disk that is full ------------------------------------------------------------------------


def test_a_checkpoint_that_cannot_be_written_is_a_problem_and_not_the_end(tmp_path, monkeypatch):
    from workbench.storage import atomic

    seen = []

    def watch(event):
        seen.append(event)
        if isinstance(event, Step):
            full = event.step in (14, 15)
            free = 0 if full else 10**9
            monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: usage(free))

    usage = type(atomic.shutil.disk_usage(tmp_path))._make
    usage = lambda free, make=usage: make((10**9, 10**9 - free, free))  # noqa: E731
    job = job_of(tmp_path, save_every=7, on_event=watch)
    job.start()
    assert job.wait(HANG) and job.status == "done"
    (problem,) = [event for event in seen if isinstance(event, Problem)]
    assert problem.step == 14 and "the run goes on" in problem.message
    assert "bytes needed, 0 free" in problem.message
    assert [event.step for event in seen if isinstance(event, Saved)] == [7, 21, 28, 30]
