"""A training job without training, for pages: it tells what a job tells, as fast as is asked."""

from __future__ import annotations

import math
import random
import threading
import time
from types import SimpleNamespace

from workbench.errors import WorkbenchError
from workbench.jobs.job import Job
from workbench.tuning.events import Problem, Sample, Step, Validation
from workbench.tuning.settings import TuneSettings

STORIES = [
    f"Captain {name} sailed the {sea} sea. " * count
    for count, (name, sea) in enumerate(
        [(n, s) for n in ("Ann", "Bo", "Cy", "Dee") for s in ("red", "blue", "old", "calm")], 1
    )
]
LEARNED = (
    "sat by the window and looked at the rain. It was a quiet day.",
    "sat by the mast and looked at the sea. It was a windy day, said the captain.",
    "hoisted the sail, laughed at the storm and sang of gold, for the captain knew the sea.",
)


def tiny_lm(family="llama", length=600):
    """A real model of two layers over bytes, untrained."""
    from tiny import byte_tokenizer, tiny_backbone

    from workbench.preprocessing.preprocessor import CausalLMPreprocessor
    from workbench.tasks.causal_lm import CausalLM

    backbone = tiny_backbone(family)
    return CausalLM(backbone, CausalLMPreprocessor(byte_tokenizer(), sequence_length=length))


class FakeTrainingJob(Job):
    """Losses that fall, and samples that change; `plan`, shared by all, says how they come.

    `plan.delay`: seconds of a step. `plan.compile_seconds`: before the first one.
    `plan.hold_at`: the steps after which it waits for `plan.go_on`.
    `plan.problem_at`: the step after which something fails that it can do without.
    `plan.fail_at`: the step that raises `plan.error`.
    """

    plan = SimpleNamespace()

    @classmethod
    def set_up(cls, **plan):
        usual = {
            "delay": 0.0,
            "compile_seconds": 0.0,
            "hold_at": (),
            "fail_at": None,
            "problem_at": None,
        }
        usual["error"] = WorkbenchError("step 41: the loss is not a number; step 40 is kept")
        cls.plan = SimpleNamespace(**{**usual, "texts": LEARNED, **plan}, go_on=threading.Event())
        return cls

    def __init__(self, lm, data, validation, *, name, folder, on_event, **settings):
        super().__init__(lm, on_event)
        self.data, self.validation, self.name, self.folder = data, validation, name, folder
        self.settings = TuneSettings.of(settings).planned(8)
        self.kept = 0
        self._best = math.inf
        self._pausing = threading.Event()

    def pause(self):
        self._pausing.set()

    def resume(self):
        self._pausing.clear()

    def keep_best(self):
        self.kept += 1

    def figure(self):
        from matplotlib.figure import Figure

        return Figure(figsize=(2, 1))

    def _do(self):
        plan, settings = self.plan, self.settings
        if self.name not in self._lm.adapters:
            self._lm.adapters.add(self.name, settings.rank, seed=settings.seed)
        self._enter("compiling")
        self._rest(plan.compile_seconds)
        self._enter("running")
        random_ = random.Random(settings.seed)
        for step in range(settings.steps + 1):
            if step == plan.fail_at:
                raise plan.error
            if step:
                time.sleep(plan.delay)
                self._tell(self._step(step, random_))
            self._look(step)
            if step == plan.problem_at:
                self._tell(Problem(step, "the checkpoint was not written: the disk is full"))
            if step in plan.hold_at:
                while not (plan.go_on.wait(0.01) or self._cancelled.is_set()):
                    self._pause()
                plan.go_on.clear()
            self._pause()
            if self._cancelled.is_set():
                return "cancelled"
        return "done"

    def _step(self, step, random_):
        last = self.settings.steps
        loss = 1.7 + 1.6 * math.exp(-4 * step / last) + random_.gauss(0, 0.09)
        rate = self.settings.learning_rate * math.cos(step / last * math.pi / 2)
        speed = None if step < 2 else 9800 + random_.gauss(0, 300)
        left = None if step < 2 else 0.5 * (last - step)
        memory = 700_000_000 + 1000 * step
        return Step(step, loss, rate, 0.4 + random_.random() / 4, 400, speed, memory, left)

    def _look(self, step):
        settings = self.settings
        every, last = settings.validation_every, settings.steps
        if self.validation and every and (step % every == 0 or step == last):
            past = max(0, step / last - 0.6)
            loss = 1.9 + 1.4 * math.exp(-4 * step / last) + 3 * past**2
            best, self._best = loss < self._best, min(loss, self._best)
            self._tell(Validation(step, loss, best))
        every = settings.sample_every
        if every and (step % every == 0 or step == last):
            text = self.plan.texts[min(len(self.plan.texts) - 1, 3 * step // last)]
            for prompt in settings.sample_prompts:
                self._tell(Sample(step, prompt, f" {text}"))

    def _pause(self):
        while self._pausing.is_set() and not self._cancelled.is_set():
            self._enter("paused")
            time.sleep(0.01)
        if self._status == "paused":
            self._enter("running")

    def _rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._cancelled.is_set():
            time.sleep(0.01)
