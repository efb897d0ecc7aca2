"""The private parts of Keras: what each function relies on holds for the installed version."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from workbench import keras_internals as internals

ROOT = Path(__file__).parents[1]
HOLDS_FOR = ("3.15",)
"""Minor versions of Keras for which these tests have passed; `pyproject.toml` admits no later."""
SOURCE = ROOT / "workbench/keras_internals.py"


def dense() -> keras.layers.EinsumDense:
    layer = keras.layers.EinsumDense("bi,oi->bo", 3)
    layer.build((None, 2))
    return layer


def model() -> keras.Model:
    ends = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="inner")])
    built = keras.Sequential([keras.Input((2,)), ends, keras.layers.Dense(1, name="outer")])
    built.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    return built


def holds(layer: keras.layers.Layer, variable: keras.Variable) -> bool:
    return any(weight is variable for weight in layer.weights)


def test_the_installed_version_is_one_of_those_and_the_next_is_excluded():
    assert ".".join(keras.__version__.split(".")[:2]) in HOLDS_FOR
    major, minor = map(int, HOLDS_FOR[-1].split("."))
    wanted = f'"keras>={HOLDS_FOR[0]},<{major}.{minor + 1}"'
    assert wanted in (ROOT / "pyproject.toml").read_text()


def test_no_other_file_names_a_private_part_of_keras():
    def private(tree):
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        return {node.attr for node in nodes if re.match("_[a-z]", node.attr)}

    names = private(ast.parse(SOURCE.read_text())) | {internals.KERNEL, internals.TABLE}
    names -= {"_value"}  # a name that other classes have of their own
    found = []
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        if path != SOURCE:
            text = path.read_text()
            found += [(path.name, name) for name in names & private(ast.parse(text))]
            found += [(path.name, "keras.src")] * ("keras.src" in text)
    assert not found


def test_a_layer_knows_its_path_while_it_is_built():
    class Told(keras.layers.Layer):
        def build(self, shape):
            self.told = internals.current_path()

    told = Told(name="told")
    keras.Sequential([keras.Input((2,)), told], name="whole")
    assert told.told == told.path == "whole/told"


def test_the_scope_of_the_thread():
    assert internals.current_scope() is None
    with keras.StatelessScope() as scope:
        assert internals.current_scope() is scope
        assert scope in internals.thread_state().values()


def test_what_a_layer_is_made_of_can_be_followed():
    layer = dense()
    assert isinstance(layer, internals.SAVED_PARTS)
    assert isinstance(keras.optimizers.Adam(), internals.SAVED_PARTS)
    assert isinstance(keras.metrics.Mean(), internals.SAVED_PARTS)
    assert any(isinstance(part, internals.SAVED_PARTS[1]) for part in vars(layer).values())


def test_layers_within():
    built = model()
    assert {"inner", "outer"} <= {layer.name for layer in internals.layers_within(built)}
    direct = {layer.name for layer in internals.layers_within(built, recursive=False)}
    assert "outer" in direct and "inner" not in direct
    assert built not in internals.layers_within(built)


def test_the_stored_value_is_there_and_may_be_gone():
    variable = keras.Variable(np.ones(2))
    assert internals.stored_value(variable) is variable.value
    variable._value = None
    assert internals.stored_value(variable) is None


def test_an_unlocked_layer_takes_a_variable_and_a_locked_one_does_not():
    layer = dense()
    with internals.unlocked(layer):
        more = layer.add_weight((2,), name="more")
    assert holds(layer, more)
    with pytest.raises(ValueError, match="cannot add new elements"):
        layer.add_weight((2,), name="late")
    internals.disown(layer, more)
    assert not holds(layer, more)


def test_the_floats_of_a_layer_are_deleted():
    layer, table = dense(), keras.layers.Embedding(4, 2)
    table.build()
    for holder, name in ((layer, internals.KERNEL), (table, internals.TABLE)):
        variable = getattr(holder, name)
        assert holds(holder, variable)
        internals.delete_variable(holder, name)
        assert not hasattr(holder, name) and not holds(holder, variable)


def test_a_layer_marked_as_quantized_is_not_quantized_again():
    layer = dense()
    internals.mark_quantized(layer)
    layer.dtype_policy = keras.dtype_policies.get("int8_from_float32")
    assert layer.quantization_mode == "int8"
    assert {str(weight.dtype) for weight in layer.weights} == {"float32"}
    with pytest.raises(ValueError, match="already quantized"):
        layer.quantize("int8")


def test_the_variables_of_an_optimizer():
    built = model()
    built.optimizer.build(built.trainable_variables)
    assert [id(v) for v in internals.trained_by(built.optimizer)] == [
        id(v) for v in built.trainable_variables
    ]


def test_what_compile_makes():
    built = model()
    parts = internals.compiled_parts(built)
    assert len(parts) == 3 and built.optimizer in parts
    built.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert all(part in parts for part in internals.compiled_parts(built))


def test_a_dataset_of_no_library_is_not_read():
    assert not internals.reads_as_it_is([1, 2])
    assert not internals.reads_as_it_is(object())


def test_an_adapter_of_data_is_read_by_fit():
    class Twice(internals.DataAdapter):
        num_batches, batch_size = 2, None
        read = 0

        def get_jax_iterator(self):
            for _ in range(2):
                self.read += 1
                yield np.ones((1, 2)), np.ones((1, 1))

        get_numpy_iterator = get_jax_iterator

    data = Twice()
    model().fit(data, verbose=0)
    assert data.read == 3  # a batch to build from, then both


class Hooked(internals.TrainerHooks, keras.Model):
    """A model that notes when Keras calls the hooks, and with what."""

    def __init__(self):
        ends = keras.Input((2,))
        super().__init__(ends, keras.layers.Dense(1)(ends))
        self.notes = []
        self.compile("adam", "mse", metrics=["mae"], jit_compile=False)

    def take_state(self, take):
        state = super().take_state(take)
        self.notes.append(len(state))
        return state

    def build_once(self, build):
        super().build_once(build)
        self.notes.append("built")

    def evaluate(self, *args, **kwargs):
        self.notes.append(kwargs.get(internals.CACHED_EVALUATION))
        return super().evaluate(*args, **kwargs)


def test_the_hooks_of_the_trainer():
    hooked, x, y = Hooked(), np.ones((2, 2)), np.ones((2, 1))
    hooked.fit(x, y, verbose=0, validation_data=(x, y))
    assert list(hooked.notes) == ["built", 4, True, "built", 3]
    hooked.predict(x, verbose=0)
    assert hooked.notes[-1] == 2


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_known_state_comes_back_into_the_variables(length):
    hooked = Hooked()
    hooked.optimizer.build(hooked.trainable_variables)
    whole = {
        2: ("trainable_variables", "non_trainable_variables"),
        3: ("trainable_variables", "non_trainable_variables", "metrics_variables"),
        4: (
            "trainable_variables",
            "non_trainable_variables",
            "optimizer_variables",
            "metrics_variables",
        ),
    }[length]
    state = hooked._get_jax_state(**dict.fromkeys(whole, True))
    state[0][0] = state[0][0] + 1
    internals.know_state(hooked, tuple(state))
    hooked.jax_state_sync()
    assert np.array_equal(hooked.trainable_variables[0].value, state[0][0])
    internals.know_state(hooked, tuple(state))
    internals.forget_state(hooked)
    hooked.trainable_variables[0].assign(state[0][0] * 0)
    hooked.jax_state_sync()  # nothing is known any more
    assert not np.any(hooked.trainable_variables[0])
