"""Training as a background job: start, watch, pause, resume, cancel and wait for it.

It works with or without a front end. It trains the adapter in place, and the model is usable
between any two steps. From its start until it is paused or has ended, the job claims the backbone.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench.backbones.training_claims import TrainingClaim, claim, release
from workbench.backbones.views import NO_VIEW, seeing
from workbench.errors import AdapterError, WorkbenchError
from workbench.estimates.estimate import Estimate
from workbench.jobs.job import FINAL, Job, JobState, JobStatus
from workbench.tuning.checkpoint import Checkpoints
from workbench.tuning.checkpoint_content import Checkpoint
from workbench.tuning.events import Event, Moment
from workbench.tuning.feed import Feed, read_feed
from workbench.tuning.history import Best, History
from workbench.tuning.memory import check_training, estimate_training
from workbench.tuning.model_facts import model_facts
from workbench.tuning.resuming import changed, check_same
from workbench.tuning.run import Run
from workbench.tuning.settings import TuneSettings, settings_for

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

AS_BEFORE = object()
Observer = Callable[[Event | JobState], None]


class TrainingJob(Job):
    """Trains one low-rank adapter of a model, in the background.

    Args:
        lm: The model, with a preprocessor if the data are texts.
        data: The training data, as `read_examples` takes them, or `Examples`.
        validation: The share or the number of held-out examples; or other data; None for no
            validation.
        name: The adapter's name. The job trains an existing adapter further and keeps its rank,
            alpha, dropout and targets; a new adapter takes those of the settings.
        folder: Where checkpoints are kept; None for none.
        on_event: Called with every `JobState`, `Step`, `Validation`, `Sample`, `Saved` and
            `Problem`, one at a time, in order, from the job's thread. An error it raises is
            logged once and never stops the job.
        settings: The fields of `TuneSettings`, by name.

    Raises:
        SettingError: A setting is impossible.
        DataError: The data cannot be used.

    The jobs of one backbone, including generations, run one after the other. A paused job gives up
    its place and takes a new one when it is resumed. After a cancel, an interrupt or an error the
    model has the weights of the last finished step; after a divergence, those of the last good
    step.

    From `start`, also in the queue, until the job is paused or has ended, every call that would
    change the model raises a `ModelInTrainingError`, through any task on the backbone: other
    adapters, `fit`, `quantize`, new weights. `lm.generate`, `lm.stream` and inspecting still work
    meanwhile; for another adapter, use a block of `lm.adapters.using`.

    ```python
    job = TrainingJob(lm, "stories.jsonl", name="pirate", epochs=3, sample_prompts="Ahoy")
    job.start()
    job.wait()
    job.keep_best()
    lm.adapters.save("pirate_adapter")
    ```
    """

    thread_name = "workbench-training"
    _lm: CausalLM

    def __init__(
        self,
        lm: CausalLM,
        data: Any,
        validation: Any = 0.1,
        *,
        name: str = "default",
        folder: str | Path | None = None,
        on_event: Observer | None = None,
        **settings: Any,
    ) -> None:
        chosen = settings_for(lm.adapters, name, settings)
        for prompt in chosen.sample_prompts:
            lm.prompt_tokens(prompt)  # refuses what it cannot read, before anything is trained
        feed = read_feed(lm, data, validation, chosen)
        checkpoints = None if folder is None else Checkpoints(folder)
        self._set_up(lm, feed, name, checkpoints, chosen, _share(validation), on_event)

    def _set_up(
        self,
        lm: CausalLM,
        feed: Feed,
        name: str,
        checkpoints: Checkpoints | None,
        settings: TuneSettings,
        validation: float | None,
        on_event: Observer | None,
        resumed: Checkpoint | None = None,
    ) -> None:
        super().__init__(lm, on_event)
        self._feed = feed
        self._resumed = resumed is not None
        self._checkpoints = checkpoints
        facts = {} if checkpoints is None else {**feed.facts, "model": model_facts(lm)}
        self._run = Run(lm, name, feed, settings, checkpoints, facts, validation, resumed)
        self._training = TrainingClaim(self._in_the_way, in_line=True)
        self._pausing = threading.Event()
        self._at_work = threading.RLock()

    @classmethod
    def resume_from(
        cls,
        folder: str | Path,
        lm: CausalLM,
        data: Any,
        validation: Any = AS_BEFORE,
        *,
        on_event: Observer | None = None,
        **settings: Any,
    ) -> Self:
        """Return a job that resumes from the last checkpoint in a folder, and saves there.

        On the same machine it ends with the adapter, the optimizer, the random state and the
        losses of a run without a break, bit by bit. If the last checkpoint is damaged, the job uses
        the one before it, and reports that in its `history.problems`, as a `Problem` event once it
        runs, and as a warning in the log.

        Args:
            folder: The folder given to the first run.
            lm: The same model, reloaded or still in memory.
            data: The same data.
            validation: The same as before; by default the run's share.
            on_event: As for the constructor.
            settings: May only change when the job validates, samples and saves. Sample prompts
                that are not strings have to be given again.

        Raises:
            CheckpointError: There is no undamaged checkpoint, or the data or the model differ;
                the message lists the differences.
            SettingError: A setting cannot be changed.
        """
        checkpoints = Checkpoints(folder)
        checkpoint, damaged = checkpoints.latest()
        chosen = changed(checkpoint.settings, settings)
        given = checkpoint.validation if validation is AS_BEFORE else validation
        feed = read_feed(lm, data, given, chosen)
        check_same(folder, {**feed.facts, "model": model_facts(lm)}, checkpoint)
        job = cls.__new__(cls)
        share = checkpoint.validation
        job._set_up(lm, feed, checkpoint.name, checkpoints, chosen, share, on_event, checkpoint)
        job._run.note(damaged)
        return job

    # -- actions ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the job and return at once; where threads cannot update the page, run it to the
        end or until it is paused.

        Raises:
            WorkbenchError: The job was started before.
            MemoryTooSmallError: It would not fit into the memory; the message says what would.
            CheckpointError: The folder holds another run.
            AdapterError: An adapter is merged.
            ModelInTrainingError: `fit` or a similar call is training the model.
        """
        if self._status == "idle":
            check_training(self._lm, self.settings, self._feed.longest)
            if self._checkpoints is not None and not self._resumed:
                self._checkpoints.check_unused()
            self._take_model()
        super().start()

    def pause(self) -> None:
        """Stop after the current step and keep everything; `resume` continues. Never blocks.

        Until then the model is free for other jobs, such as a generation with the adapter so far.

        Raises:
            WorkbenchError: The job was never started.
        """
        if self._status == "idle":
            raise WorkbenchError("the job was never started: call start() before pause()")
        self._pausing.set()
        self._line.wake()

    def resume(self) -> None:
        """Continue after `pause`, at the end of the model's queue; do nothing if it is running.

        Raises:
            WorkbenchError: The job was never started, or has ended.
            AdapterError, ModelInTrainingError: As `start`; the job stays paused.
        """
        with self._lock:
            if self._status == "idle" or self._status in FINAL:
                raise WorkbenchError(
                    f"resume: expected a job that is paused, got one that is {self._status}"
                )
            if self._status == "paused":
                self._take_model()
            self._pausing.clear()
            if self._status != "paused":
                return
            self._status = "queued"
            self._finished.clear()
        self._line.join(self)
        self._begin()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended, is paused, or `timeout` seconds have passed. Return True
        if it has ended.

        An interrupt (Ctrl-C, the kernel's stop button) cancels the job after the current step and
        returns; a second one raises KeyboardInterrupt.
        """
        return super().wait(timeout)

    def keep_best(self) -> Best:
        """Restore the adapter with the lowest held-out loss.

        Raises:
            WorkbenchError: The job is running, or has not validated yet.
            ModelInTrainingError: Another job is training the model.
        """
        if self._status not in (*FINAL, "paused"):
            raise WorkbenchError(
                f"keep_best: expected a job that has ended or is paused, got one that is "
                f"{self.status}"
            )
        if self.best is None:
            raise WorkbenchError("keep_best: expected a job with a validation, got none")
        self._lm.adapters[self.name] = self.best.adapter
        return self.best

    # -- state --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The adapter's name."""
        return self._run.name

    @property
    def settings(self) -> TuneSettings:
        """The settings, with the number of steps and other values from the data filled in."""
        return self._run.settings

    @property
    def step(self) -> int:
        """The number of finished steps."""
        return self._run.step

    @property
    def history(self) -> History:
        """The events so far."""
        return self._run.history

    @property
    def best(self) -> Best | None:
        """Step, held-out loss and adapter of the best validation; None before there was one."""
        return self._run.best

    @property
    def pausing(self) -> bool:
        """True between a call of `pause` and the pause."""
        return self._pausing.is_set() and self._status not in (*FINAL, "paused")

    @property
    def estimate(self) -> Estimate:
        """The computed peak memory of the run, in bytes."""
        return estimate_training(self._lm, self.settings, self._feed.longest)

    @property
    def estimate_seconds(self) -> float | None:
        """The estimated seconds to the last step; None before the second step of a shape."""
        return self._run.remaining_seconds

    def figure(self) -> Any:
        """Return a matplotlib Figure of the losses so far."""
        from workbench.tuning.figure import loss_figure

        return loss_figure(self.history, self.best)

    def _take_model(self) -> None:
        if self._lm.adapters.merged:
            raise AdapterError("training: an adapter is merged: call adapters.unmerge() first")
        claim(self._lm.backbone, self._training)

    def _in_the_way(self) -> str:
        return (
            f"{self!r} holds this model to train adapter {self.name!r}, so nothing else may change "
            "the model: call job.pause() and job.wait() before, job.resume() after. Generating and "
            "inspecting go on beside it, with another adapter in a block of "
            "lm.adapters.using(name)"
        )

    def _progress(self) -> str:
        steps = self.history.steps
        loss = f", loss {steps[-1].loss:.3g}" if steps else ""
        return f"{self.name!r} step {self.step} of {self.settings.steps}{loss}"

    def _stop_asked(self) -> bool:
        return self._cancelled.is_set() or self._pausing.is_set()

    def _stopped(self) -> JobStatus:
        return "cancelled" if self._cancelled.is_set() else "paused"

    def _do(self) -> JobStatus:
        self._enter("running")
        # In the foreground the thread may be in a block of using().
        with _reserved(self._checkpoints), self._interrupts_wait(), seeing(NO_VIEW):
            return self._iterate()

    def _iterate(self) -> JobStatus:
        with contextlib.closing(self._run.events()) as events:
            for event in events:
                if isinstance(event, Moment):
                    self._enter("compiling" if event.compiling else "running")
                else:
                    self._tell(event)
                if self._stop_asked():
                    break
            else:
                return "done"
        if not self._run.is_saved:
            self._tell(self._run.save())
        self._run.rest()
        return self._stopped()

    @contextlib.contextmanager
    def _interrupts_wait(self) -> Iterator[None]:
        """Delay the first interrupt in the main thread to the end of the step."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupted(number: int, frame: Any) -> None:
            if self._cancelled.is_set():
                raise KeyboardInterrupt
            self._cancelled.set()

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            # None stands for a handler that Python does not know.
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)

    def _work(self) -> None:
        with self._at_work:  # a job that is resumed at once follows on the one that pauses
            super()._work()

    def _finish(self, status: JobStatus) -> None:
        if status == "paused":
            self._rest()
            return
        self._run.end()
        release(self._lm.backbone, self._training)
        super()._finish(status)

    def _rest(self) -> None:
        """Set the status to paused, unless the job was cancelled or resumed meanwhile."""
        with self._lock:
            outcome = self._stopped() if self._stop_asked() else "queued"
            if outcome == "paused":
                release(self._lm.backbone, self._training)
                self._status = "paused"
                self._finished.set()
        if outcome == "paused":
            self._tell(JobState("paused"))
        elif outcome == "cancelled":
            self._finish("cancelled")
        else:
            self._line.join(self)
            super()._work()


@contextlib.contextmanager
def _reserved(checkpoints: Checkpoints | None) -> Iterator[None]:
    if checkpoints is None:
        yield
        return
    with checkpoints.reserved():
        yield


def _share(validation: Any) -> float | None:
    return validation if isinstance(validation, int | float) else None
