"""A model while a TrainingJob trains it: what changes a model, in every state of the job.

The calls are made on a real model whose training is held between two steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from interruptions import state_of, text_of
from patience import HANG
from tiny import byte_tokenizer, tiny_backbone

from workbench.backbones.all_or_nothing import _Before, unchanging
from workbench.errors import AdapterError, ModelInTrainingError
from workbench.jobs.comparison import Column, ComparisonJob
from workbench.jobs.generation import GenerationJob
from workbench.jobs.job import Job
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning import run as run_module
from workbench.tuning.events import Step
from workbench.tuning.job import TrainingJob
from workbench.tuning.trainer import Measured

TEXTS = ["the red fox runs", "the old fox sits"] * 4
SETTINGS = {"steps": 3, "batch_size": 4, "rank": 2, "sample_every": 0, "seed": 2}
LONG = SETTINGS | {"steps": 40}
ARRAYS = {"token_ids": np.ones((1, 4), "int32"), "padding_mask": np.ones((1, 4), "int32")}
LABELS = np.ones((1, 4), "int32")
WRITE = {"max_new_tokens": 6, "sampler": "greedy", "stop_token_ids": None}  # as `text_of`


def numbers(model):
    return [np.array(variable.value) for variable in model.weights]


def second_task(lm):
    return CausalLM(lm.backbone, lm.preprocessor)


# What changes what is trained, or takes the weights out of the model.
CHANGES: dict[str, Callable] = {
    "adapters.use": lambda lm, files: lm.adapters.use("robot"),
    "adapters.use(None)": lambda lm, files: lm.adapters.use(None),
    "adapters.add": lambda lm, files: lm.adapters.add("new", rank=2),
    "adapters[...] =": lambda lm, files: lm.adapters.__setitem__("robot", lm.adapters["robot"]),
    "adapters[its own] =": lambda lm, files: lm.adapters.__setitem__("captain", files["captain"]),
    "adapters.remove": lambda lm, files: lm.adapters.remove("robot"),
    "del adapters[...]": lambda lm, files: lm.adapters.__delitem__("robot"),
    "adapters.merge": lambda lm, files: lm.adapters.merge(),
    "adapters.load": lambda lm, files: lm.adapters.load(files["peft"], "loaded"),
    "enable_lora": lambda lm, files: lm.backbone.enable_lora(2, name="another"),
    "load_lora_weights": lambda lm, files: lm.backbone.load_lora_weights(files["lora.h5"]),
    "quantize": lambda lm, files: lm.quantize("int8"),
    "backbone.quantize": lambda lm, files: lm.backbone.quantize("int4"),
    "set_weights": lambda lm, files: lm.set_weights(numbers(lm)),
    "backbone.set_weights": lambda lm, files: lm.backbone.set_weights(numbers(lm.backbone)),
    "trainable =": lambda lm, files: setattr(lm, "trainable", False),
    "backbone.trainable =": lambda lm, files: setattr(lm.backbone, "trainable", True),
    "dtype_policy =": lambda lm, files: setattr(lm.backbone, "dtype_policy", "bfloat16"),
    "set_state_tree": lambda lm, files: lm.set_state_tree({}),
    "load_weights": lambda lm, files: lm.load_weights("x.weights.h5"),
    "backbone.load_weights": lambda lm, files: lm.backbone.load_weights("x.weights.h5"),
    "load_own_variables": lambda lm, files: lm.load_own_variables({}),
    "fit": lambda lm, files: lm.fit(ARRAYS, LABELS),
    "evaluate": lambda lm, files: lm.evaluate(ARRAYS, LABELS),
    "predict": lambda lm, files: lm.predict(ARRAYS),
    "train_on_batch": lambda lm, files: lm.train_on_batch(ARRAYS, LABELS),
    "test_on_batch": lambda lm, files: lm.test_on_batch(ARRAYS, LABELS),
    "predict_on_batch": lambda lm, files: lm.predict_on_batch(ARRAYS),
    "fit of a second task": lambda lm, files: second_task(lm).fit(ARRAYS, LABELS),
    "use by a second task": lambda lm, files: second_task(lm).adapters.use("robot"),
    "quantize by a second task": lambda lm, files: second_task(lm).quantize("int8"),
    "keep_best of another job": lambda lm, files: files["best"].keep_best(),
}
# What may be beside a training, as it changes nothing that is trained.
OTHERS: dict[str, Callable] = {
    "generate": lambda lm, files: text_of(lm),
    "generate with another": lambda lm, files: within(lm, "robot", text_of),
    "generate with none": lambda lm, files: within(lm, None, text_of),
    "trace": lambda lm, files: lm.trace("ab", "logits"),
    "adapters[...]": lambda lm, files: lm.adapters["captain"],
    "adapters.save": lambda lm, files: lm.adapters.save(files["folder"] / "saved", "robot"),
    "save_to_preset": lambda lm, files: within(
        lm, "robot", lambda lm: lm.save_to_preset(files["folder"] / "preset")
    ),
    "compile": lambda lm, files: lm.compile("sgd", sampler="greedy"),
    "use in a block": lambda lm, files: within(lm, "robot", lambda lm: lm.adapters.use(None)),
}
HELD = ("queued", "compiling", "running", "pausing", "stopping")
FREE = ("idle", "paused", "done", "cancelled", "error")
# The calls of Keras's that take seconds, or files: here they are reached or not.
KERAS = (
    *("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"),
    *("load_weights", "load_own_variables", "set_state_tree"),
)


def within(lm, name, call):
    with lm.adapters.using(name):
        return call(lm)


class HeldTrainer:
    """Waits in each step until it is let go; `fails` ends it."""

    go: threading.Semaphore
    entered = 0
    fails = False

    def __init__(self, lm, settings):
        self.adapter = lm.adapters["captain"]

    def step(self, batches):
        HeldTrainer.entered += 1
        assert HeldTrainer.go.acquire(timeout=HANG)
        if HeldTrainer.fails:
            raise RuntimeError("the device is gone")
        return Measured(1.0, 1.0, 0.1, 4)

    def state(self):
        return {}

    def restore(self, state):
        pass


class Ahead(Job):
    """Stands in the line until it is cancelled."""

    def _do(self):
        self._enter("running")
        self._cancelled.wait(HANG)
        return "cancelled"


@pytest.fixture(scope="module")
def made():
    lm = CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), 32))
    for seed, name in enumerate(("captain", "robot")):
        lm.adapters.add(name, rank=2, seed=seed, targets="all" if seed else None)
        for variable in lm.trainable_variables:
            variable.assign(np.random.default_rng(seed).normal(0, 0.3, variable.shape))
    lm.adapters.use("captain")
    return lm


@pytest.fixture
def lm(made):
    """The model, as it was made."""
    there = _Before((made, made.adapters))
    yield made
    there.put_back()


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    lm, folder = made, tmp_path_factory.mktemp("files")
    lm.adapters.save(folder / "peft", "robot")
    lm.adapters.save(folder / "robot.lora.h5", "robot")
    best = TrainingJob(lm, TEXTS, name="robot", **{**SETTINGS, "rank": 2})
    best._status = "done"
    best._run.best = run_module.Best(1, 1.0, lm.adapters["robot"])
    return {
        "folder": folder,
        "peft": folder / "peft",
        "lora.h5": folder / "robot.lora.h5",
        "captain": lm.adapters["captain"],
        "best": best,
    }


@pytest.fixture
def held(monkeypatch):
    HeldTrainer.go, HeldTrainer.entered, HeldTrainer.fails = threading.Semaphore(0), 0, False
    monkeypatch.setattr(run_module, "new_trainer", HeldTrainer)
    reached = []
    for name in KERAS:
        monkeypatch.setattr(
            keras.Model, name, lambda *a, n=name, **k: reached.append(n), raising=False
        )
    return reached


@contextmanager
def job_in(state, lm, until):
    """A job that trains "captain", in this state."""
    ahead, job = Ahead(lm, None), TrainingJob(lm, TEXTS, None, name="captain", **SETTINGS)
    try:
        if state == "queued":
            ahead.start()
        if state != "idle":
            job.start()
            _bring(job, state, until)
        assert job.pausing if state == "pausing" else job.status == state, job.traceback
        yield job
    finally:
        ahead.cancel()
        job.cancel()
        HeldTrainer.go.release(9)
        until(lambda: job.done)


def _bring(job, state, until):
    if state == "queued":
        return until(lambda: job.position == 1)
    until(lambda: HeldTrainer.entered == 1)
    if state == "running":  # the first step counts as compiling
        HeldTrainer.go.release()
        return until(lambda: HeldTrainer.entered == 2)
    HeldTrainer.fails = state == "error"
    act = {"pausing": job.pause, "paused": job.pause, "stopping": job.cancel}
    act.get(state, job.cancel if state == "cancelled" else lambda: None)()
    if state in FREE:
        HeldTrainer.go.release(9)
        job.wait(HANG)
    return None


def outcome(call, lm, files):
    """What a call comes to: "refused", "goes on", or another error's name; and what it said."""
    try:
        call(lm, files)
    except Exception as error:
        kind = "refused" if isinstance(error, ModelInTrainingError) else type(error).__name__
        return kind, str(error)
    return "goes on", ""


@pytest.mark.parametrize("state", HELD)
def test_while_a_job_trains_changes_are_refused_and_reading_goes_on(state, lm, files, held, until):
    with job_in(state, lm, until) as job:
        before = state_of(lm)
        for name, call in CHANGES.items():
            kind, said = outcome(call, lm, files)
            assert kind == "refused", (name, kind, said)
            assert all(part in said for part in ("TrainingJob", "'captain'", "job.pause()")), said
            assert len(said) < 2000 and not held, (name, held)
        assert state_of(lm) == before
        for name, call in OTHERS.items():
            assert outcome(call, lm, files) == ("goes on", ""), name
        assert lm.adapters.active == "captain" and not job.done


@pytest.mark.parametrize("state", FREE)
def test_a_job_that_does_not_train_is_in_nobodys_way(state, lm, files, held, until):
    with job_in(state, lm, until):
        for name, call in (CHANGES | OTHERS).items():
            there = _Before((lm, lm.adapters))
            assert outcome(call, lm, files) == ("goes on", ""), name
            there.put_back()
    reached = {"fit", "evaluate", "predict", "load_weights", "set_state_tree"}
    assert reached <= set(held)


def test_a_refusal_waits_for_nobody(lm, files, held, until):
    with job_in("running", lm, until):
        busy, let_go = threading.Event(), threading.Event()

        def trace():  # or write, or assign: whoever is in the middle of it has the model's lock
            with unchanging(lm.backbone):
                busy.set()
                let_go.wait(HANG)

        tracing = threading.Thread(target=trace)
        tracing.start()
        busy.wait()
        reading = ("second task", "[...] =")  # they read the model before they change it
        changes = {n: call for n, call in CHANGES.items() if not n.endswith(reading)}
        refused = {name: outcome(call, lm, files)[0] for name, call in changes.items()}
        assert tracing.is_alive()
        let_go.set()
        tracing.join()
    assert set(refused.values()) == {"refused"}, refused


# -- jobs beside jobs, and fit beside jobs -------------------------------------------------------


@pytest.mark.parametrize("state", HELD)
def test_another_job_on_the_backbone_waits_for_its_turn(state, lm, held, until):
    task = second_task(lm)
    with job_in(state, lm, until) as job:
        with job_in("idle", task, until) as second:
            second.start()
            until(lambda: second.position >= 1)
            writer = GenerationJob(task, "ab", max_new_tokens=2)
            writer.start()
            until(lambda: writer.position >= 2)
            second.pause()
            assert not second.wait(HANG) and second.status == "paused"
        assert not job.done and outcome(CHANGES["adapters.use"], lm, {})[0] == "refused"
    assert writer.wait(HANG) and writer.status == "done", writer.traceback


def test_a_comparison_of_two_tasks_on_one_backbone_ends(lm):
    columns = [Column(lm, adapter="robot"), Column(second_task(lm), adapter=None)]
    job = ComparisonJob(columns, "ab", max_new_tokens=2)
    job.run()
    assert job.status == "done", job.traceback


def test_a_job_is_refused_while_fit_is_at_work(lm, held, until, monkeypatch):
    said = []

    def fit(model, *args, **kwargs):
        said.append(outcome(lambda lm, files: job.resume(), lm, {}))
        said.append(outcome(lambda lm, files: fresh.start(), lm, {}))
        in_a_thread(lambda: said.append(outcome(CHANGES["adapters.use"], lm, {})))
        in_a_thread(lambda: said.append(outcome(CHANGES["evaluate"], second_task(lm), {})))
        model.evaluate(ARRAYS, LABELS)  # its own validation
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "fit", fit)
    with job_in("paused", lm, until) as job, job_in("idle", lm, until) as fresh:
        with pytest.raises(KeyboardInterrupt):
            lm.fit(ARRAYS, LABELS)
        assert [kind for kind, _ in said] == ["refused"] * 4, said
        assert all(f"{lm.name}.fit() is running" in text for _, text in said)
        assert (job.status, fresh.status, held) == ("paused", "idle", ["evaluate"])
        job.resume()
        assert job.wait(HANG) and job.status == "done"


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_merged_adapter_keeps_a_job_where_it_is(lm, held, until):
    with job_in("paused", lm, until) as job, job_in("idle", lm, until) as fresh:
        lm.adapters.merge()
        for call in (job.resume, fresh.start):
            with pytest.raises(AdapterError, match="unmerge"):
                call()
        assert (job.status, fresh.status) == ("paused", "idle")
        lm.adapters.unmerge()
        job.resume()
        HeldTrainer.go.release(9)
        assert job.wait(HANG) and job.status == "done"


def test_an_observer_does_not_change_what_it_watches(lm, files, held, until):
    said = []

    def watch(event):
        said.extend(outcome(call, lm, files)[0] for call in CHANGES.values())

    job = TrainingJob(lm, TEXTS, None, name="captain", on_event=watch, **SETTINGS)
    HeldTrainer.go.release(9)
    job.start()
    assert job.wait(HANG) and job.status == "done", job.traceback
    last = len(CHANGES)  # told of the end, it may
    assert set(said[:-last]) == {"refused"} and "refused" not in said[-last:]


# -- a block of using() --------------------------------------------------------------------------


def test_a_block_is_of_its_thread(lm):
    seen = []
    with lm.adapters.using("robot"):
        in_a_thread(lambda: seen.append(lm.adapters.active))
        with lm.adapters.using(None):
            seen.append(lm.adapters.active)
        seen.append(lm.adapters.active)
        lm.adapters.use(None)  # for the rest of the block
        seen.append(lm.adapters.active)
    assert seen == ["captain", None, "robot", None] and lm.adapters.active == "captain"


def test_a_job_writes_with_the_adapter_of_the_block_it_was_started_in(lm, held, until):
    expected = {name: within(lm, name, text_of) for name in ("robot", "captain", None)}
    assert len(set(expected.values())) == 3
    ahead = Ahead(lm, None)
    ahead.start()
    jobs = {}
    for name in expected:
        jobs[name] = GenerationJob(lm, "Once", **WRITE)
        within(lm, name, lambda lm, job=jobs[name]: job.start())
    ahead.cancel()
    assert all(job.wait(HANG) for job in jobs.values())
    assert {name: "Once" + job.text for name, job in jobs.items()} == expected


@pytest.mark.parametrize("foreground", [False, True])
def test_a_job_trains_its_adapter_wherever_it_is_started(lm, monkeypatch, foreground):
    monkeypatch.setattr(TrainingJob, "_in_foreground", staticmethod(lambda: foreground))
    robot, captain = lm.adapters["robot"], lm.adapters["captain"]
    job = TrainingJob(lm, TEXTS, None, name="captain", **SETTINGS)
    with lm.adapters.using("robot"):
        job.start()
        assert job.wait(HANG) and job.status == "done", job.traceback
    assert same(lm.adapters["robot"], robot) and not same(lm.adapters["captain"], captain)
    assert lm.adapters.active == "captain"


def same(one, other):
    return all(
        np.array_equal(one.updates[path].a, update.a)
        and np.array_equal(one.updates[path].b, update.b)
        for path, update in other.updates.items()
    )


# -- real training -------------------------------------------------------------------------------


def test_generating_and_inspecting_beside_a_training_change_nothing_of_it(lm):
    there = _Before((lm, lm.adapters))
    texts = {name: within(lm, name, text_of) for name in ("robot", None)}
    alone = finished(lm)
    there.put_back()
    rounds = threading.Semaphore(0)

    def watch(event):
        if isinstance(event, Step) and event.step % 20 == 0:
            assert rounds.acquire(timeout=HANG)  # so that the training is not over too soon

    beside = TrainingJob(lm, TEXTS, None, name="captain", on_event=watch, **LONG)
    beside.start()
    while not beside.done:
        assert {name: within(lm, name, text_of) for name in texts} == texts
        within(lm, "robot", lambda lm: lm.trace("ab", "logits"))
        rounds.release()
    assert beside.status == "done", beside.traceback
    assert same(lm.adapters["captain"], alone)


def finished(lm):
    job = TrainingJob(lm, TEXTS, None, name="captain", **LONG)
    job.start()
    assert job.wait(HANG) and job.status == "done", job.traceback
    return lm.adapters["captain"]


def test_who_writes_into_its_variables_ends_the_job_with_a_word(lm):
    variable = lm.backbone.trainable_variables[-1]

    def write(event):
        if isinstance(event, Step):
            variable.assign(variable + 1)

    job = TrainingJob(lm, TEXTS, None, name="captain", on_event=write, **SETTINGS)
    job.start()
    assert job.wait(HANG) and job.status == "error"
    assert isinstance(job.error, AdapterError) and variable.path in str(job.error)


def test_a_model_made_of_integers_in_a_pause_is_trained_as_integers(lm):
    floats, integers = (losses_around(lm, change) for change in (print, lm.quantize))
    assert floats[0] == integers[0] and floats[1] != integers[1]


def losses_around(lm, change):
    """The losses of a run that pauses after the first step for `change("int8")`."""
    there = _Before((lm, lm.adapters))

    def watch(event):
        if isinstance(event, Step) and event.step == 1:
            job.pause()

    job = TrainingJob(lm, TEXTS, None, name="captain", on_event=watch, **SETTINGS)
    job.start()
    assert not job.wait(HANG) and job.status == "paused", job.traceback
    change("int8")
    job.resume()
    assert job.wait(HANG) and job.status == "done", job.traceback
    there.put_back()
    return [step.loss for step in job.history.steps]


def test_an_adapter_made_meanwhile_with_other_settings_is_not_trained_silently(lm, held, until):
    lm.adapters.remove("captain")
    job = TrainingJob(lm, TEXTS, None, name="captain", **SETTINGS)
    lm.adapters.add("captain", rank=3)
    job.start()
    assert job.wait(HANG) and job.status == "error"
    assert "rank: adapter 'captain' is there already and has 3" in str(job.error)
