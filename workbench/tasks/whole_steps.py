"""Training with Keras that stops only between two steps.

While Keras trains, it takes the values out of a model's variables, and each step consumes those of
the step before. So an interrupt or an unreadable batch must not leave the variables with consumed
values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.backbones.all_or_nothing import put_back
from workbench.interrupts import held
from workbench.keras_internals import TrainerHooks, compiled_parts, forget_state, know_state
from workbench.memory.door import names_exhaustion


class WholeSteps(TrainerHooks):
    """Mix-in before `keras.Model`. If one of these calls fails or is interrupted, the model has the
    values of the last finished step, or its old ones if no step finished. An error for memory that
    ran out names the call."""

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
            forget_state(self)
            raise

    # Keras calls the methods below.

    def take_state(self, take: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        with held():
            state = take()
            know_state(self, state)
        return state

    def build_once(self, build: Callable[[], None]) -> None:
        with put_back(*compiled_parts(self)):
            build()

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
        """Wrap Keras's step function so that an interrupt stops it only while it reads data."""

        def step(state: tuple[Any, ...], batches: Iterator[Any]) -> tuple[Any, tuple[Any, ...]]:
            read = list(itertools.islice(batches, self.steps_per_execution))
            with held():
                made, state = function(state, iter(read))
                know_state(self, state)
            return made, state

        return step
