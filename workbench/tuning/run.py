"""Runs the steps of a training run, with the validations, samples and checkpoints between them.

A run is a generator: its caller can leave it between any two events, resume it later, and choose
the thread it works in. A run knows nothing about jobs.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from workbench.backbones.adapter import Adapter, AdapterConfig
from workbench.backbones.all_or_nothing import all_or_nothing
from workbench.backbones.training_claims import own_changes
from workbench.data.batches import Batch
from workbench.errors import CheckpointError, PresetError, SettingError, WorkbenchError, present
from workbench.tuning.checkpoint import Checkpoints
from workbench.tuning.checkpoint_content import Checkpoint
from workbench.tuning.divergence import LARGEST_NUMBER, diverged, is_sound, largest_number
from workbench.tuning.events import Event, Moment, Problem, Sample, Saved, Step, Validation
from workbench.tuning.feed import Facts, Feed
from workbench.tuning.history import Best, History
from workbench.tuning.memory import memory_in_use
from workbench.tuning.pace import Pace
from workbench.tuning.recurring import is_due, times_left
from workbench.tuning.samples import completion, words_of
from workbench.tuning.settings import SHAPING, TuneSettings, settings_for

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM
    from workbench.tuning.trainer import Measured, Trainer

Told = TypeVar("Told", bound=Event)
_logger = logging.getLogger(__name__)
SECONDS_BETWEEN_SAVES = 30.0


class Run:
    """One run over one model.

    Args:
        lm: the model.
        name: the adapter's name; the run makes the adapter if the model does not have it.
        feed: the batches.
        settings: the run's settings.
        checkpoints: where checkpoints are kept; None for none.
        facts: the facts that identify the model, for the checkpoints.
        validation: the share or number of held-out examples, if given as a number.
        resumed: the checkpoint to resume from.

    Attributes:
        step: the number of finished steps.
        history: the events so far.
        best: the adapter with the lowest held-out loss.
    """

    def __init__(
        self,
        lm: CausalLM,
        name: str,
        feed: Feed,
        settings: TuneSettings,
        checkpoints: Checkpoints | None = None,
        facts: Mapping[str, Facts] | None = None,
        validation: float | None = None,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.name, self.settings = name, settings.planned(feed.train.per_epoch)
        self.step, self.history = 0, History()
        self.best: Best | None = None
        self._lm, self._feed, self._checkpoints = lm, feed, checkpoints
        self._facts, self._share = dict(facts or {}), validation
        self._trainer: Any = None
        self._variables: list[Any] = []
        self._state: Mapping[str, np.ndarray] | None = None
        self._config: AdapterConfig | None = None
        self._now: Adapter | None = None
        self._good: Adapter | None = None  # the previous step's adapter, whose loss was sound
        self._pace = Pace()
        self._shapes: set[Any] = set()
        self._saved = -1
        self._untold: list[Problem] = []
        self._last_save = time.monotonic()
        if resumed is not None:
            self._go_on_from(resumed)

    @property
    def remaining_seconds(self) -> float | None:
        """The estimated seconds to the end; None before a step was measured."""
        step, steps = self.step, self.settings.total_steps
        left = steps - step
        others = {kind: times_left(every, step, steps) for kind, every in self._occasions().items()}
        return self._pace.remaining(left, others)

    def events(self) -> Generator[Event | Moment, None, None]:
        """Train to the last step and yield the events.

        Raises:
            TrainingDiverged: the loss is not finite, or exploded; the last good adapter is in
                place.
            CheckpointError: the checkpoint to resume from does not fit the model.
            WorkbenchError: the data, the adapter or the model cannot be used.
        """
        yield Moment()
        self._take_up()
        while self._untold:
            yield self._untold.pop(0)
        while True:
            yield from self._validate()
            yield from self._show_samples()
            if self._is_time_to_save():
                yield self.save()
            if self.step >= self.settings.total_steps:
                return
            yield Moment()
            yield from self._train()

    def note(self, problems: list[str]) -> None:
        """Report why the run resumes from an earlier checkpoint: at once in the log and the
        history, and as events when it resumes."""
        for problem in problems:
            told = Problem(self.step, f"{problem}; going on from step {self.step}")
            _logger.warning("%s", told.message)
            self._untold.append(self._told(told))

    def rest(self) -> None:
        """Keep everything needed to resume later, even if the model changes meanwhile."""
        if self._trainer is not None:
            self._state = {name: np.array(part) for name, part in self._trainer.state().items()}

    def end(self) -> None:
        """Release the optimizer."""
        self._trainer, self._variables, self._state = None, [], None
        self._now = self._good = None

    def save(self) -> Event:
        """Write a checkpoint; return `Saved`, or a `Problem` if that fails."""
        try:
            folder = present(self._checkpoints, "a folder for checkpoints")
            path = folder.save(self.checkpoint())
        except (PresetError, OSError) as error:
            said = f"the checkpoint of step {self.step} was not written, and the run goes on"
            return self._told(Problem(self.step, f"{said}: {error}"))
        finally:
            self._last_save = time.monotonic()
        self._saved = self.step
        return Saved(self.step, path)

    @property
    def is_saved(self) -> bool:
        """Whether there is nothing to save: no folder, no finished step, or already saved."""
        return self._checkpoints is None or self._trainer is None or self._saved == self.step

    def checkpoint(self) -> Checkpoint:
        """Return the state of a run that has begun, between two steps."""
        return Checkpoint(
            name=self.name,
            adapter=present(self._config, "a run that has begun"),
            settings=self.settings,
            step=self.step,
            state=self._trainer.state(),
            history=self.history,
            best=self.best,
            facts=self._facts,
            validation=self._share,
        )

    # -- taking up ------------------------------------------------------------------------

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        self.step, self.history, self.best = checkpoint.step, checkpoint.history, checkpoint.best
        self._state, self._config = checkpoint.state, checkpoint.adapter
        self._saved = checkpoint.step

    def _take_up(self) -> None:
        """Activate the adapter and restore the optimizer; a failure changes nothing."""
        with own_changes(self._lm.backbone), all_or_nothing(self._lm.backbone, self._lm.adapters):
            self._use_adapter()
            self._ready_trainer()
        self._last_save = time.monotonic()

    def _use_adapter(self) -> None:
        adapters, settings = self._lm.adapters, self.settings
        if self._config is None:  # the adapter may have been made since the job was
            settings_for(adapters, self.name, {name: getattr(settings, name) for name in SHAPING})
        if self.name not in adapters:
            made = self._config or settings
            adapters.add(
                self.name, made.rank, made.alpha, made.dropout, made.targets, settings.seed
            )
        adapters.use(self.name)
        here = adapters[self.name].config
        if self._config not in (None, here):
            raise CheckpointError(
                f"training: adapter {self.name!r}: expected {self._config} as in the checkpoint, "
                f"got {here}: remove it from the model, or resume on a model without it"
            )
        self._config = here

    def _ready_trainer(self) -> None:
        # A model that was changed during a pause, such as by quantization, has other variables.
        variables = self._lm.backbone.variables
        if [id(each) for each in variables] != [id(each) for each in self._variables]:
            self._trainer, self._variables = new_trainer(self._lm, self.settings), variables
            self._shapes.clear()
        if self._state is not None:
            try:
                self._trainer.restore(self._state)
            except SettingError as error:
                raise CheckpointError(f"the checkpoint does not fit this model: {error}") from None
            self._state = None
        self._now = self._trainer.adapter

    # -- training -------------------------------------------------------------------------

    def _train(self) -> Iterator[Event | Moment]:
        batches = self._batches(self.step)
        compiles = self._is_first("step", batches)
        if compiles:
            yield Moment(compiling=True)
        before, began = self._adapter, time.monotonic()
        try:
            measured = self._trainer.step(batches)
            self._now = self._trainer.adapter
        except BaseException:
            self._put(before)
            raise
        seconds = time.monotonic() - began
        self._check(measured, batches, before)
        self._good, self.step = before, self.step + 1
        if not compiles:
            self._pace.step_took(seconds, measured.tokens)
        yield self._told(self._step(measured))
        if compiles:
            yield Moment()

    @property
    def _adapter(self) -> Adapter:
        """The adapter after the last finished step."""
        return present(self._now, "a run that has begun")

    def _batches(self, step: int) -> list[Batch]:
        """Return the batches of a step, counted from 0."""
        count = self.settings.accumulate
        return [self._feed.train.batch(step * count + each) for each in range(count)]

    def _step(self, measured: Measured) -> Step:
        return Step(
            step=self.step,
            loss=measured.loss,
            learning_rate=measured.learning_rate,
            gradient_norm=measured.gradient_norm,
            tokens=measured.tokens,
            tokens_per_second=self._pace.tokens_per_second,
            memory_bytes=memory_in_use(),
            remaining_seconds=self.remaining_seconds,
        )

    def _check(self, measured: Measured, batches: list[Batch], before: Adapter) -> None:
        """Stop a run that diverged, with the last good adapter in place."""
        loss, norm = measured.loss, measured.gradient_norm
        largest = largest_number(self._adapter)
        sound = is_sound(loss, norm, self._first(loss))
        if sound and largest <= LARGEST_NUMBER:
            return
        self._put(before)
        cause, kept, found = "step", self.step, f"expected numbers up to {LARGEST_NUMBER:g} in the "
        found += f"adapter, got one of {largest:.4g}"
        if not sound:
            found = "expected a finite loss near or below the first one, got loss "
            found += f"{loss:.4g} and gradient norm {norm:.4g}"
            # The previous batch shows whether this batch or an earlier step is at fault.
            cause = "batch" if self._is_fit() else "earlier"
        if cause == "earlier" and self._good is not None:
            self._put(self._good)
            kept -= 1
        self._drop_checkpoints(kept)
        examples = tuple(index for batch in batches for index in batch.indices)
        step, feed = self.step + 1, self._feed
        raise diverged(feed, self.settings, step, loss, examples, found, cause, kept)

    def _is_fit(self) -> bool:
        """Return whether the current weights work on the batches of the previous step."""
        if self.step == 0:
            return False
        loss = self._trainer.loss(self._batches(self.step - 1))
        return is_sound(loss, 0.0, self._first(loss))

    def _first(self, otherwise: float) -> float:
        steps = self.history.steps
        return steps[0].loss if steps else otherwise

    def _put(self, adapter: Adapter) -> None:
        with own_changes(self._lm.backbone):
            self._lm.adapters[self.name] = adapter

    def _drop_checkpoints(self, step: int) -> None:
        if self._checkpoints is not None:
            self._checkpoints.drop_after(step)

    def _occasions(self) -> dict[str, int]:
        """Return the steps between two validations and two rounds of samples, 0 for none."""
        settings = self.settings
        return {
            "validation": settings.validation_steps if self._feed.held_out is not None else 0,
            "samples": settings.sample_steps if settings.sample_prompts else 0,
        }

    def _is_due(self, every: int) -> bool:
        return is_due(every, self.step, self.settings.total_steps)

    def _validate(self) -> Iterator[Event | Moment]:
        told = self.history.validations
        known = bool(told) and told[-1].step == self.step
        held_out, every = self._feed.held_out, self._occasions()["validation"]
        if held_out is None or known or not self._is_due(every):
            return
        total = weight = 0.0
        compiled, began = False, time.monotonic()
        for batch in held_out.validation():
            compiles = self._is_first("loss", [batch])
            compiled = compiled or compiles
            yield Moment(compiling=compiles)
            loss, share = self._trainer.loss([batch]), float(np.sum(batch.weights))
            self._check_held_out(loss, batch)
            total, weight = total + loss * share, weight + share
        if not compiled:
            self._pace.other_took("validation", time.monotonic() - began)
        yield self._told(self._validation(total / weight))

    def _validation(self, loss: float) -> Validation:
        better = self.best is None or loss < self.best.loss
        if better:
            self.best = Best(self.step, loss, self._adapter)
        return Validation(self.step, loss, better)

    def _check_held_out(self, loss: float, batch: Batch) -> None:
        if math.isfinite(loss):
            return
        kept = self.step
        if self._good is not None:
            self._put(self._good)
            kept -= 1
        self._drop_checkpoints(kept)
        found = f"expected a finite held-out loss, got {loss:.4g}"
        examples, step = batch.indices, self.step
        raise diverged(None, self.settings, step, loss, examples, found, "earlier", kept)

    def _show_samples(self) -> Iterator[Event | Moment]:
        if not self._is_due(self._occasions()["samples"]):
            return
        prompts = self.settings.sample_prompts
        told = reversed(self.history.samples)
        done = sum(1 for _ in takewhile(lambda sample: sample.step == self.step, told))
        compiled, began = False, time.monotonic()
        for prompt in prompts[done:]:
            for event in self._sample(prompt):
                compiled = compiled or (isinstance(event, Moment) and event.compiling)
                yield event
        if not (done or compiled):
            self._pace.other_took("samples", time.monotonic() - began)

    def _sample(self, prompt: str | Mapping[str, Any]) -> Iterator[Event | Moment]:
        """Yield the `Sample` of a prompt; a failure adds a `Problem` and does not stop the run."""
        made, settings = "", self.settings
        try:
            made = yield from completion(self._lm, prompt, settings.sample_tokens, settings.seed)
        except WorkbenchError as error:
            yield self._told(Problem(self.step, f"no sample could be made: {error}"))
        yield self._told(Sample(self.step, words_of(prompt), made))

    def _is_time_to_save(self) -> bool:
        if self.is_saved:
            return False
        every = self.settings.save_every
        if self.step == self.settings.steps:
            return True
        if every is None:
            return time.monotonic() - self._last_save >= SECONDS_BETWEEN_SAVES
        return self.step > 0 and self._is_due(every)

    def _is_first(self, program: str, batches: list[Batch]) -> bool:
        """Return whether a program sees arrays of these shapes for the first time."""
        shapes = [sorted((n, np.shape(a)) for n, a in batch.inputs.items()) for batch in batches]
        key = program, repr(shapes)
        first = key not in self._shapes
        self._shapes.add(key)
        return first

    def _told(self, event: Told) -> Told:
        self.history.add(event)
        return event


def new_trainer(lm: CausalLM, settings: TuneSettings) -> Trainer:
    """Return a trainer of the active adapter."""
    from workbench.tuning.trainer import Trainer

    return Trainer(lm, settings)
