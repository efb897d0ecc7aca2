"""Layers' variables in the files that Keras writes: stored by name, and read only if all fit.

Keras numbers the variables of a layer. Names keep a reader from taking integers for floats or an
update for a bias: KerasHub refuses such a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import keras
import numpy as np

from workbench.errors import AdapterError, PresetError, WorkbenchError, shown
from workbench.storage.json_files import first

Store = MutableMapping[str, Any]
Owner = TypeVar("Owner")
Arguments = ParamSpec("Arguments")

_problems: ContextVar[dict[int, WorkbenchError] | None] = ContextVar("problems", default=None)


@contextmanager
def reading_weights(path: str | Path) -> Iterator[None]:
    """Wrap Keras's reading of a weight file: one error names everything that does not fit.

    Raises:
        AdapterError: the file holds an adapter that the model cannot take.
        PresetError: something else does not fit.
    """
    if str(path).endswith((".h5", ".hdf5")) and not str(path).endswith(".weights.h5"):
        expected = "a file written by save_weights() or save(): .weights.h5, .weights.json, .keras"
        raise PresetError.at(path, "name", expected, Path(path).name)
    problems: dict[int, WorkbenchError] = {}
    token = _problems.set(problems)
    try:
        with warnings.catch_warnings():  # of places that Keras tries after an object failed
            warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            yield
    except WorkbenchError:
        raise
    except ValueError as error:  # Keras names one reason, not always the first
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


def notes_problems(
    load: Callable[Concatenate[Owner, Arguments], None],
) -> Callable[Concatenate[Owner, Arguments], None]:
    """Decorate `load_own_variables` to keep the first reason for a failure: Keras then tries other
    places in the file, and reports only why the last one failed."""

    @wraps(load)
    def noting(self: Owner, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            load(self, *args, **kwargs)
        except WorkbenchError as error:
            problems = _problems.get()
            if problems is not None:
                problems.setdefault(id(self), error)
            raise

    return noting


def write_variables(layer: keras.layers.Layer, store: Store) -> None:
    """Write a layer's own variables to a store."""
    for name, variable in _own(layer).items():
        store[name] = np.asarray(variable.value)


def read_variables(layer: keras.layers.Layer, values: Mapping[str, np.ndarray]) -> None:
    """Assign all of a layer's own variables, or none. Floats may have another precision.

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
    """Describe what a value must have in common with its variable: integer dtype and shape."""
    dtype = np.dtype(dtype)
    return f"{dtype if dtype.kind in 'iub' else 'floats'} {tuple(shape)}"


def _listed(forms: Mapping[str, str]) -> str:
    return ", ".join(f"{shown(name)} {form}" for name, form in sorted(forms.items())) or "nothing"
