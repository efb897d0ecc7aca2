"""Trains an adapter step by step: gradients of batches, and AdamW's updates.

`state` holds everything that changes: a run restored from it continues bit by bit as if it had
never stopped. Between two steps the model's variables hold the last finished step's values, so the
model can generate and be saved at any time.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.adapter import Adapter
from workbench.backbones.all_or_nothing import put_back, unchanging
from workbench.backbones.remat import rematerialising
from workbench.backbones.tables import admit_batch
from workbench.data.batches import Batch
from workbench.errors import AdapterError, SettingError
from workbench.generation.compilation import compiler_options, keep_compiled_programs
from workbench.interrupts import held, let_through
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning.adamw import Arrays, Moments, clipped, updated
from workbench.tuning.head import loss_in_pieces
from workbench.tuning.settings import TuneSettings

STEP = "step"


@dataclass(frozen=True)
class Measured:
    """The figures of a step: the mean loss over the learnt tokens, in nats, before the step; the
    gradient's norm before clipping; the learning rate; the number of learnt tokens."""

    loss: float
    gradient_norm: float
    learning_rate: float
    tokens: int


class Trainer:
    """Trains the adapter that is active when it is made, with AdamW.

    Args:
        lm: the task whose active adapter is trained.
        settings: planned settings, from `TuneSettings.planned`.

    Raises:
        AdapterError: no adapter is active, or it is merged.
        SettingError: the model has its own way of training, so only `fit` trains it; or it is
            frozen.
    """

    def __init__(self, lm: CausalLM, settings: TuneSettings) -> None:
        name = lm.adapters.active
        if name is None or not lm.adapters.live:
            raise AdapterError("training: expected an active adapter that is not merged, got none")
        if not lm.left_to_right:
            raise SettingError(f"training: {type(lm).__name__} is trained with fit() alone")
        keep_compiled_programs()
        self.settings = settings
        self.step_number = 0
        self._lm, self._backbone, self._name = lm, lm.backbone, name
        self._trained = self._backbone.trainable_variables
        if not self._trained:
            raise SettingError(
                "training: expected an adapter to train, but the model is frozen: set trainable to "
                "True on the model and its backbone"
            )
        weights = {id(variable) for variable in self._backbone.weights}
        self._seeds = [v for v in self._backbone.variables if id(v) not in weights]
        changing = {id(variable) for variable in (*self._trained, *self._seeds)}
        self._frozen = [v for v in self._backbone.variables if id(v) not in changing]
        drawn = [np.random.SeedSequence([settings.seed, n]) for n, _ in enumerate(self._seeds)]
        states = [np.array([one.generate_state(1)[0], 0], np.uint32) for one in drawn]
        self._assign(self._seeds, states)
        self._left = _known(self._trained)
        self._moments = Moments.zeros(_values(self._trained))
        options = compiler_options()
        self._gradients = jax.jit(self._make_gradients, compiler_options=options)
        self._update = jax.jit(self._make_update, compiler_options=options)
        self._loss = jax.jit(self._make_loss, compiler_options=options)

    @property
    def adapter(self) -> Adapter:
        """The adapter after the last finished step."""
        return self._backbone.adapters[self._name]

    @held()
    def step(self, batches: Sequence[Batch]) -> Measured:
        """Take one optimizer step on the mean loss over all learnt tokens of the batches. An
        interrupt waits for the step's end; a failure changes nothing.

        Raises:
            SettingError: the batches have no learnt token.
            PromptError: they have a token that the model does not have.
            AdapterError: other code has changed the adapter's variables since the last step.
        """
        self._check_left()
        tokens = sum(float(batch.weights.sum()) for batch in batches)
        if not tokens:
            raise SettingError("training: expected tokens to learn in the batches, got none")
        trained, seeds = _values(self._trained), _values(self._seeds)
        frozen, (first, *others) = _values(self._frozen), batches
        total, seeds = self._gradients(trained, frozen, seeds, self._arrays(first), tokens)
        for batch in others:
            made, seeds = self._gradients(trained, frozen, seeds, self._arrays(batch), tokens)
            total = jax.tree.map(jnp.add, total, made)
        loss, gradients = total
        rate = self.settings.learning_rate_at(self.step_number)
        number = np.float32(self.step_number + 1)
        trained, moments, norm = self._update(trained, self._moments, gradients, number, rate)
        measured = Measured(float(loss), float(norm), rate, round(tokens))
        self._assign((*self._trained, *self._seeds), (*trained, *seeds))
        self._left, self._moments = _known(self._trained), moments
        self.step_number += 1
        return measured

    @held()
    def loss(self, batches: Iterable[Batch]) -> float:
        """Return the mean loss over the learnt tokens, in nats, without dropout.

        Raises:
            SettingError: the batches have no learnt token.
        """
        values = [_values(part) for part in (self._trained, self._frozen, self._seeds)]
        total = tokens = 0.0
        for batch in batches:
            let_through()
            total += float(self._loss(*values, self._arrays(batch)))
            tokens += float(batch.weights.sum())
        if not tokens:
            raise SettingError("training: expected tokens to learn in the batches, got none")
        return total / tokens

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that steps change, by name: the adapter, the moments of its gradients,
        the random state and the number of the next step."""
        held = {name: variable.value for name, variable in self._variables().items()}
        held |= self._moments_by_name()
        return {name: np.array(value) for name, value in held.items()} | {
            STEP: np.array(self.step_number)
        }

    @held()
    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a `state()` of this model and these settings.

        Raises:
            SettingError: the names, shapes or dtypes differ; nothing has changed.
        """
        expected = {name: (a.shape, a.dtype.name) for name, a in self.state().items()}
        got = {name: (a.shape, a.dtype.name) for name, a in state.items()}
        if got != expected:
            differ = sorted(set(expected.items()) ^ set(got.items()))[:5]
            raise SettingError(f"training: the state is of another run: it differs in {differ}")
        moments = [jnp.array(state[name]) for name in self._moments_by_name()]
        variables = self._variables()
        self._assign(variables.values(), [state[name] for name in variables])
        self._left = _known(self._trained)
        self._moments = Moments(moments[: len(self._trained)], moments[len(self._trained) :])
        self.step_number = int(state[STEP])

    def _arrays(self, batch: Batch) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return a batch's arrays for a program; checks that the model has all its ids."""
        parts = batch.inputs, batch.labels, batch.weights
        inputs, *others = admit_batch(self._backbone.tables, *parts, self._lm.token_name)
        return dict(inputs), *others

    def _check_left(self) -> None:
        """Refuse to go on if other code wrote into the adapter's variables. Calls that change a
        model check whether it is being trained, but Keras's variables cannot."""
        for variable, left in zip(self._trained, self._left, strict=True):
            if left() is not variable.value:
                raise AdapterError(
                    f"training: {variable.path} has been changed by something else than the "
                    "training: pause the job before its adapter is changed"
                )

    def _assign(self, variables: Iterable[keras.Variable], values: Iterable[Any]) -> None:
        with unchanging(self._backbone), put_back(*variables):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _variables(self) -> dict[str, keras.Variable]:
        held = {f"adapter/{variable.path}": variable for variable in self._trained}
        return held | {f"random/{number}": seed for number, seed in enumerate(self._seeds)}

    def _moments_by_name(self) -> dict[str, jax.Array]:
        return {
            f"{moment}/{variable.path}": value
            for moment, values in self._moments._asdict().items()
            for variable, value in zip(self._trained, values, strict=True)
        }

    # -- compiled ---------------------------------------------------------------------------

    def _make_gradients(
        self, trained: Arrays, frozen: Arrays, seeds: Arrays, batch: tuple, tokens: jax.Array
    ) -> tuple[tuple[jax.Array, Arrays], Arrays]:
        """Return the batch's part of the mean loss over `tokens` tokens and of its gradients, and
        the new random states."""
        inputs, labels, weights = batch

        def forward(trained: Arrays) -> tuple[tuple[jax.Array, jax.Array], Arrays]:
            with self._holding(trained, frozen, seeds) as scope, self._remat():
                hidden = self._hidden(inputs, training=True)
            after = [_current(scope, variable) for variable in self._seeds]
            return (hidden, _sum(scope.losses)), after

        (hidden, other), back, seeds = jax.vjp(forward, trained, has_aux=True)
        with self._holding(trained, frozen, seeds):
            loss, change = self._head(hidden, labels, weights / tokens)
        share = weights.sum() / tokens  # the layers' own losses are per batch, not per token
        (gradients,) = back((change, share))
        return (loss + share * other, gradients), seeds

    def _make_update(
        self,
        trained: Arrays,
        moments: Moments,
        gradients: Arrays,
        number: jax.Array,
        rate: jax.Array,
    ) -> tuple[Arrays, Moments, jax.Array]:
        gradients, norm = clipped(gradients, self.settings.clip_norm)
        decay = self.settings.weight_decay
        return *updated(trained, moments, gradients, number, rate, decay), norm

    def _make_loss(self, trained: Arrays, frozen: Arrays, seeds: Arrays, batch: tuple) -> jax.Array:
        inputs, labels, weights = batch
        with self._holding(trained, frozen, seeds):
            hidden = self._hidden(inputs, training=False)
            return self._head(hidden, labels, weights, gradient=False)[0]

    def _holding(self, trained: Arrays, frozen: Arrays, seeds: Arrays) -> keras.StatelessScope:
        variables = (*self._trained, *self._frozen, *self._seeds)
        held = list(zip(variables, (*trained, *frozen, *seeds), strict=True))
        return keras.StatelessScope(held, collect_losses=True)

    def _remat(self) -> Any:
        return rematerialising(self.settings.remat)

    def _hidden(self, inputs: Mapping[str, jax.Array], training: bool) -> jax.Array:
        with self._backbone.adapters.using(self._name):  # whichever adapter the thread uses
            outputs = self._backbone(inputs, training=training)
        return self._lm.hidden_states(self._backbone, outputs)

    def _head(self, hidden: jax.Array, labels: jax.Array, weights: jax.Array, **how: bool) -> Any:
        vocabulary = self._backbone.config.vocabulary_size
        return loss_in_pieces(self._backbone.logits, hidden, labels, weights, vocabulary, **how)


def _values(variables: Sequence[keras.Variable]) -> Arrays:
    return [variable.value for variable in variables]


def _current(scope: keras.StatelessScope, variable: keras.Variable) -> jax.Array:
    """Return the value of a variable at the end of a scope, whether or not the scope set it."""
    value = scope.get_current_value(variable)
    return variable.value if value is None else value


def _known(variables: Sequence[keras.Variable]) -> list[weakref.ref[jax.Array]]:
    """Return weak references to the variables' arrays."""
    return [weakref.ref(variable.value) for variable in variables]


def _sum(losses: Sequence[jax.Array]) -> jax.Array:
    return sum(losses, jnp.float32(0))
