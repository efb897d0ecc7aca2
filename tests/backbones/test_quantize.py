"""Models whose matrices are integers, against the same numbers computed the slow way."""

from __future__ import annotations

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import UNLIKE, tiny_backbone, whole, whole_logits

from workbench import models
from workbench.backbones.layers.integers import KINDS, Int4, Int8
from workbench.errors import SettingError

IDS = np.random.default_rng(1).integers(0, 257, (2, 9))
MODES = ("int8", "int4")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def nearest_int8(matrix):
    """Keras's rule, number by number."""
    out = np.empty_like(matrix)
    for row, numbers in enumerate(matrix):
        scale = 127 / (max(abs(numbers)) + 1e-7)
        out[row] = [np.clip(round(float(n * scale)), -127, 127) / scale for n in numbers]
    return out


def nearest_int4(matrix):
    """Sixteen steps from the lowest to the highest number of a group, one of them at zero."""
    out = np.empty_like(matrix)
    for row, numbers in enumerate(matrix):
        for start in range(0, len(numbers), 128):
            group = numbers[start : start + 128]
            low, high = min(group.min(), 0), max(group.max(), 0)
            scale = (high - low + 1e-7) / 15
            zero = round(float(-low / scale)) - 8
            codes = np.clip(np.round(group / scale) + zero, -8, 7)
            out[row, start : start + 128] = (codes - zero) * scale
    return out


NEAREST = {"int8": nearest_int8, "int4": nearest_int4}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(5, 6), (3, 7), (4, 128), (3, 300)], ids=str)
def test_codes_stand_for_the_nearest_numbers(mode, shape):
    matrix = noise(*shape)
    held = KINDS[mode].of(matrix)
    np.testing.assert_allclose(held.floats(shape[1]), NEAREST[mode](matrix), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("matrix", [np.zeros((2, 4)), np.full((2, 4), 3.0), np.full((2, 4), -3.0)])
def test_even_matrices_stay_what_they_are(mode, matrix):
    held = KINDS[mode].of(matrix.astype("float32"))
    np.testing.assert_allclose(held.floats(4), matrix, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("outputs", [40, 1500])  # in one piece, and in several of unlike size
def test_products(rows, outputs):
    matrix, given = noise(outputs, 300), noise(rows, 300, seed=1)
    int8, int4 = (KINDS[mode](*map(jnp.asarray, KINDS[mode].of(matrix))) for mode in MODES)
    expected = nearest_int8(given) @ np.asarray(int8.floats(300)).T
    np.testing.assert_allclose(int8.product(jnp.asarray(given)), expected, atol=1e-3)
    expected = given @ np.asarray(int4.floats(300)).T
    np.testing.assert_allclose(int4.product(jnp.asarray(given)), expected, atol=1e-3)


@pytest.mark.parametrize("kind", [Int8, Int4])
def test_gradients_pass_as_if_nothing_was_rounded(kind):
    held, rows = kind(*map(jnp.asarray, kind.of(noise(6, 8)))), jnp.asarray(noise(3, 8, seed=1))
    change = noise(3, 6, seed=2)
    found = jax.grad(lambda x: jnp.sum(held.product(x) * change))(rows)
    np.testing.assert_allclose(found, change @ np.asarray(held.floats(8)), atol=1e-5)


def with_nearest_numbers(family):
    """A float model of the numbers that int4 stands for."""
    backbone = tiny_backbone(family)
    for variable in backbone.weights:
        values = np.asarray(variable)
        if variable.path.endswith(("/kernel", "token_embedding/embeddings")):
            heads = values.ndim == 3 and not variable.path.endswith("output/kernel")
            outputs = values.shape[: 2 if heads else 1]
            matrix = values.reshape(np.prod(outputs), -1)
            variable.assign(nearest_int4(matrix).reshape(values.shape))
        elif variable.path.endswith("reverse_embeddings"):
            variable.assign(nearest_int4(values.T).T)
    return backbone


@pytest.mark.parametrize("family", UNLIKE)
def test_int4_computes_with_the_nearest_numbers(family):
    quantized = tiny_backbone(family)
    quantized.quantize("int4")
    expected = whole_logits(with_nearest_numbers(family), IDS)
    np.testing.assert_allclose(whole_logits(quantized, IDS), expected, atol=1e-3)


@pytest.mark.parametrize("family", UNLIKE)
def test_int8_is_close_to_floats(family):
    backbone = tiny_backbone(family)
    before = whole_logits(backbone, IDS)
    whole.cache_clear()
    backbone.quantize("int8")
    after = whole_logits(backbone, IDS)
    assert 0 < np.abs(after - before).max() < 0.1 * np.abs(before).max()


@pytest.mark.parametrize("mode", MODES)
def test_floats_are_freed(mode):
    backbone = tiny_backbone("llama")
    gc.collect()
    before = sum(array.nbytes for array in jax.live_arrays())
    size = sum(variable.value.nbytes for variable in backbone.variables)
    backbone.quantize(mode)
    gc.collect()
    freed = before - sum(array.nbytes for array in jax.live_arrays())
    left = sum(variable.value.nbytes for variable in backbone.variables)
    assert freed == size - left
    assert left < {"int8": 0.3, "int4": 0.2}[mode] * size  # scales are many in so small a model


@pytest.mark.parametrize("mode", MODES)
def test_generation_is_one_token_at_a_time_what_it_is_at_once(mode):
    lm = models.LlamaCausalLM(tiny_backbone("llama"))
    arrays = {
        "token_ids": np.pad(IDS, ((0, 0), (0, 5))).astype("int32"),
        "padding_mask": np.arange(14)[None].repeat(2, 0) < 9,
    }
    lm.generate(arrays, stop_token_ids=None, sampler="greedy")  # compiled for floats before
    lm.quantize(mode)
    made = lm.generate(arrays, stop_token_ids=None, sampler="greedy")["token_ids"]
    logits = whole_logits(lm.backbone, made[:, :-1])
    np.testing.assert_array_equal(made[:, 9:], logits[:, 8:].argmax(-1))


def test_training_goes_on_with_what_stays_float():
    lm = models.LlamaCausalLM(tiny_backbone("llama"))
    ids = {"token_ids": IDS[:, :-1], "padding_mask": np.ones((2, 8), bool)}
    lm.fit(ids, IDS[:, 1:], epochs=1, verbose=0)
    lm.quantize("int8")
    before = [np.asarray(variable) for variable in lm.trainable_variables]
    lm.fit(ids, IDS[:, 1:], epochs=1, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, lm.trainable_variables, strict=True)]
    assert all(moved) and all("norm" in v.path for v in lm.trainable_variables)


@pytest.mark.parametrize(
    "dtype", ["int8", "int8_from_float32", "int4", "int4_from_float32", "int4/128_from_float32"]
)
def test_dtypes_name_the_modes(dtype):
    backbone = models.GPT2Backbone(40, 1, 2, 8, 16, max_sequence_length=8, dtype=dtype)
    assert backbone.quantization == dtype[:4]
    again = models.GPT2Backbone.from_config(backbone.get_config())
    assert [(v.path, v.shape, v.dtype) for v in again.weights] == [
        (v.path, v.shape, v.dtype) for v in backbone.weights
    ]


@pytest.mark.parametrize(
    "dtype", ["int4/64_from_float32", "float8_from_float32", "int8_from_float16", "int3_from_x"]
)
def test_other_quantized_dtypes_are_refused(dtype):
    with pytest.raises(SettingError):
        models.GPT2Backbone(40, 1, 2, 8, 16, max_sequence_length=8, dtype=dtype)


def test_impossible_calls_are_refused():
    backbone = tiny_backbone("gpt2")
    for mode in ("int3", "float8", "gptq", None, 8):
        with pytest.raises(SettingError, match="expected one of int8, int4"):
            backbone.quantize(mode)
    assert backbone.quantization is None
    backbone.quantize("int4")
    with pytest.raises(SettingError, match="quantized already"):
        backbone.quantize("int4")
