"""Layers' variables in the files that Keras writes: by name, and taken only where all of them fit.

Keras numbers the variables of a layer. By name, integers are told from floats, an update from a
bias, and no reader takes one for the other: KerasHub refuses such a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

import keras
import numpy as np

from workbench.errors import AdapterError, PresetError, WorkbenchError, shown
from workbench.storage.json_files import first

Store = MutableMapping[str, Any]

_problems: ContextVar[dict[int, WorkbenchError] | None] = ContextVar("problems", default=None)


@contextmanager
def reading_weights(path: str | Path) -> Iterator[None]:
    """While Keras reads a file of weights: one error names all that does not fit.

    Raises:
        AdapterError: the file holds an adapter that the model cannot take.
        PresetError: something else does not fit.
    """
    if str(path).endswith((".h5", ".hdf5")) and not str(path).endswith(".weights.h5"):
        expected = "a file of save_weights() or save(): .weights.h5, .weights.json, .keras"
        raise PresetError.at(path, "name", expected, Path(path).name)
    problems: dict[int, WorkbenchError] = {}
    token = _problems.set(problems)
    try:
        with warnings.catch_warnings():  # of places that Keras tries once an object has failed
            warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            yield
    except WorkbenchError:
        raise
    except ValueError as error:  # Keras's has one reason, not always the first
        _raise_adapter_error(problems)
        listed = first(map(str, problems.values())) or str(error)
        raise PresetError(f"{path}: the weights do not fit this model:\n{listed}") from error
    finally:
        _problems.reset(token)
    _raise_adapter_error(problems)  # with `skip_mismatch` Keras only warns


def _raise_adapter_error(problems: Mapping[int, WorkbenchError]) -> None:
    for problem in problems.values():
        if isinstance(problem, AdapterError):
            raise problem


def notes_problems(load: Callable[[Any, Store], None]) -> Callable[[Any, Store], None]:
    """Decorates `load_own_variables`: Keras looks for an object that failed in other places, too,
    and only tells why the last one failed; the first reason is kept."""

    @wraps(load)
    def noting(self: Any, store: Store) -> None:
        try:
            load(self, store)
        except WorkbenchError as error:
            problems = _problems.get()
            if problems is not None:
                problems.setdefault(id(self), error)
            raise

    return noting


def write_variables(layer: keras.layers.Layer, store: Store) -> None:
    """Put a layer's own variables into a store."""
    for name, variable in _own(layer).items():
        store[name] = np.asarray(variable.value)


def read_variables(layer: keras.layers.Layer, values: Mapping[str, np.ndarray]) -> None:
    """Assign all of a layer's own variables, or none. Floats may be of another precision.

    Raises:
        PresetError: a value is missing, left over, of another shape, or integers for floats.
    """
    own = _own(layer)
    expected = {name: _form(v.shape, v.dtype) for name, v in own.items()}
    got = {name: _form(value.shape, value.dtype) for name, value in values.items()}
    if got != expected:
        raise PresetError(f"{layer.path}: expected {_listed(expected)}, got {_listed(got)}")
    for name, variable in own.items():
        variable.assign(values[name])


def _own(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    return {variable.name: variable for variable in layer.weights}


def _form(shape: tuple[int, ...], dtype: Any) -> str:
    """What a value has to share with the variable that takes it."""
    dtype = np.dtype(dtype)
    return f"{dtype if dtype.kind in 'iub' else 'floats'} {tuple(shape)}"


def _listed(forms: Mapping[str, str]) -> str:
    return ", ".join(f"{shown(name)} {form}" for name, form in sorted(forms.items())) or "nothing"
