"""Training with Keras that stops between two steps.

While Keras trains it takes the values out of a model's variables, and each step uses up those of
the step before. An interrupt, or a batch that cannot be read, must not come between the values
that are gone and those that are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.backbones.all_or_nothing import put_back
from workbench.interrupts import held
from workbench.memory.door import names_exhaustion

_TRAINED, _OTHERS = "trainable_variables", "non_trainable_variables"
_OPTIMIZER, _METRICS = "optimizer_variables", "metrics_variables"
# What Keras's states hold, by their length: of predicting, testing and training.
_STATES = {
    2: (_TRAINED, _OTHERS),
    3: (_TRAINED, _OTHERS, _METRICS),
    4: (_TRAINED, _OTHERS, _OPTIMIZER, _METRICS),
}


class WholeSteps:
    """Mix-in before `keras.Model`: when one of these calls fails or is interrupted, the model has
    the values of the last finished step, or those from before where there was none. Memory that
    runs out in a step is named."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        with self._left_whole():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with self._left_whole():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        with self._left_whole():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        with self._left_whole():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        with self._left_whole():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        with self._left_whole():
            return super().predict_on_batch(x)

    def jax_state_sync(self) -> None:
        """Give the variables the values of the last step."""
        with held():
            super().jax_state_sync()

    @contextmanager
    def _left_whole(self) -> Iterator[None]:
        try:
            with names_exhaustion("a step of fit(), evaluate() or predict()"):
                yield
        except BaseException:
            self.jax_state_sync()
            self._jax_state = None
            raise

    # -- Keras calls these ------------------------------------------------------------------

    def _get_jax_state(self, **which: bool) -> tuple[Any, ...]:
        with held():
            state = super()._get_jax_state(**which)
            self._know(state)
        return state

    def _symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        made = self.optimizer, self._compile_metrics, self._compile_loss
        with put_back(*(part for part in made if part is not None)):
            super()._symbolic_build(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> None:
        self._make("train_function", super().make_train_function, force)

    def make_test_function(self, force: bool = False) -> None:
        self._make("test_function", super().make_test_function, force)

    def make_predict_function(self, force: bool = False) -> Any:
        self._make("predict_function", super().make_predict_function, force)
        return self.predict_function

    def _make(self, name: str, make: Callable[[bool], Any], force: bool) -> None:
        before = getattr(self, name)
        with held():
            make(force)
            if getattr(self, name) is not before:
                setattr(self, name, self._whole(getattr(self, name)))

    def _whole(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Keras's function of some steps, which an interrupt only stops while it reads data."""

        def step(state: tuple[Any, ...], batches: Iterator[Any]) -> tuple[Any, tuple[Any, ...]]:
            read = list(itertools.islice(batches, self.steps_per_execution))
            with held():
                made, state = function(state, iter(read))
                self._know(state)
            return made, state

        return step

    def _know(self, state: tuple[Any, ...]) -> None:
        """From here on `jax_state_sync` takes the values from this state."""
        known = dict(zip(_STATES[len(state)], state, strict=True))
        object.__setattr__(self, "_jax_state", known)  # Keras would track all the arrays
        self._jax_state_synced = False
