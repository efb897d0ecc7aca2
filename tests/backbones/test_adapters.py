"""Adapters: what they change, switching, merging, integers, and what is refused."""

from __future__ import annotations

import jax
import keras
import numpy as np
import pytest
from tiny import FAMILIES, byte_tokenizer, tiny_backbone

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.errors import AdapterError, PresetError, SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM

IDS = np.arange(24).reshape(2, 12) * 7 % 257
INPUTS = {"token_ids": IDS, "padding_mask": np.ones_like(IDS)}


def run(backbone):
    """Hidden states, compiled anew for whatever the model's variables are now."""

    def forward(values):
        with keras.StatelessScope(list(zip(backbone.variables, values, strict=True))):
            return backbone(INPUTS)

    return np.asarray(jax.jit(forward)([v.value for v in backbone.variables]), np.float32)


def noisy(backbone, name, seed=0, **settings):
    """An active adapter whose updates matter."""
    adapter = backbone.adapters.add(name, seed=seed, **settings)
    random = np.random.default_rng(seed)
    updates = {
        path: LowRank(u.a, random.normal(0, 0.3, u.b.shape).astype("float32"), u.scale)
        for path, u in adapter.updates.items()
    }
    backbone.adapters[name] = Adapter(adapter.config, updates)
    return backbone.adapters[name]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_update_is_what_adding_it_to_the_weights_gives(family):
    backbone = tiny_backbone(family)
    adapter = noisy(backbone, "a", rank=3, alpha=6, targets="all")
    names = {path.rsplit("/", 1)[1] for path in adapter.updates}
    assert {"query", "key", "value", "output", "up", "down"} <= names
    beside = run(backbone)
    backbone.adapters.use(None)
    before = run(backbone)
    layers = {layer.path: layer for layer in backbone._flatten_layers()}
    for path, update in adapter.updates.items():
        kernel = layers[path].kernel
        kernel.assign(np.asarray(kernel) + update.delta.reshape(kernel.shape))
    np.testing.assert_allclose(beside, run(backbone), atol=2e-5)
    assert np.abs(beside - before).max() > 0.01


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained():
    backbone = tiny_backbone("gpt2")  # its projections have biases
    before = run(backbone)
    total = len(backbone.trainable_variables)
    adapter = backbone.adapters.add("a", rank=2, seed=0)
    assert np.array_equal(run(backbone), before)
    paths = {v.path.rsplit("/", 1)[1] for v in backbone.trainable_variables}
    assert paths == {"lora_a", "lora_b"}
    trained = sum(np.prod(v.shape) for v in backbone.trainable_variables)
    assert adapter.parameters == trained == 2 * 2 * 2 * (32 + 32)
    backbone.adapters.remove("a")
    assert len(backbone.trainable_variables) == total and not backbone.adapters


def test_adapters_are_switched_and_keep_what_they_have_learned():
    backbone = tiny_backbone("llama")
    before = run(backbone)
    noisy(backbone, "a", seed=1, rank=2)
    as_a = run(backbone)
    noisy(backbone, "b", seed=2, rank=4, targets=["q_proj", "down_proj"])
    as_b = run(backbone)
    assert backbone.adapters["b"].config.targets == ("query", "down")
    variable = backbone.trainable_variables[0]
    variable.assign(variable + 1)  # as training does
    as_trained = run(backbone)
    assert list(backbone.adapters) == ["a", "b"] and backbone.adapters.active == "b"
    with backbone.adapters.using("a"):
        assert np.array_equal(run(backbone), as_a)
        with backbone.adapters.using(None):
            assert np.array_equal(run(backbone), before)
        assert np.array_equal(run(backbone), as_a)
    assert np.array_equal(run(backbone), as_trained)
    assert not np.allclose(as_b, as_trained, atol=1e-3)
    assert "b: rank 4 on query, down" in repr(backbone.adapters)


def test_merging_is_undone_bit_by_bit():
    backbone = tiny_backbone("llama")
    noisy(backbone, "a", rank=2)
    count, beside = len(backbone.variables), run(backbone)
    kernels = {v.path: np.array(v.value) for v in backbone.variables}
    backbone.adapters.merge()
    assert backbone.adapters.merged and len(backbone.variables) < count
    assert repr(backbone.adapters).endswith("(merged)")
    np.testing.assert_allclose(run(backbone), beside, atol=1e-5)
    for refused in (
        backbone.adapters.merge,
        lambda: backbone.adapters.use(None),
        lambda: backbone.adapters.add("b"),
        lambda: backbone.adapters.remove("a"),
    ):
        with pytest.raises(AdapterError, match="unmerge"):
            refused()
    backbone.adapters.unmerge()
    assert {v.path: np.array(v.value).tobytes() for v in backbone.variables} == {
        path: values.tobytes() for path, values in kernels.items()
    }
    with pytest.raises(AdapterError, match="unmerge: expected"):
        backbone.adapters.unmerge()


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_updates_work_beside_integers_and_learn(mode, tmp_path):
    backbone = tiny_backbone("llama")
    backbone.quantize(mode)
    before = run(backbone)
    backbone.adapters.add("a", rank=2, targets="all", seed=0)
    assert np.array_equal(run(backbone), before)
    lm = CausalLM(backbone, CausalLMPreprocessor(byte_tokenizer(), sequence_length=16))
    lm.compile(optimizer=keras.optimizers.Adam(0.02))
    losses = lm.fit(["a story"] * 8, batch_size=4, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    with pytest.raises(AdapterError, match=f"the weights are {mode}"):
        backbone.adapters.merge()
    with pytest.raises(PresetError, match="expected no active adapter"):
        backbone.save_to_preset(tmp_path / "preset")
    with backbone.adapters.using(None):
        assert np.array_equal(run(backbone), before)


def test_a_model_can_be_quantized_under_its_adapter():
    backbone = tiny_backbone("llama")
    adapter = noisy(backbone, "a", rank=2)
    backbone.quantize("int8")
    kept = backbone.adapters["a"]
    assert all(np.array_equal(kept.updates[p].b, u.b) for p, u in adapter.updates.items())
    assert {v.path.rsplit("/", 1)[1] for v in backbone.trainable_variables} == {"lora_a", "lora_b"}


def test_dropout_hides_inputs_of_the_update_in_training_alone():
    backbone = tiny_backbone("llama")
    noisy(backbone, "a", rank=2, dropout=0.5)
    still = run(backbone)
    assert np.array_equal(run(backbone), still)
    layer = next(iter(backbone.adapters.live.values()))
    x = np.ones((1, 3, 32), "float32")
    assert not np.allclose(layer(x, training=True), layer(x, training=False), atol=1e-4)
    assert not np.allclose(layer(x, training=True), layer(x, training=True), atol=1e-4)
    backbone.adapters.remove("a")
    backbone.adapters.add("b", rank=2)
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False))


def test_streams_change_with_the_adapter_and_compile_once_a_rank():
    lm = CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), 64))

    def write():
        return lm.generate("ab", max_new_tokens=5, sampler="greedy")

    plain = write()
    noisy(lm.backbone, "a", seed=1, rank=2, targets="all")
    as_a = write()
    programs = lm.programs.step._cache_size()
    noisy(lm.backbone, "b", seed=5, rank=2, alpha=9, targets="all")
    as_b = write()
    assert lm.programs.step._cache_size() == programs
    assert len({plain, as_a, as_b}) == 3
    lm.adapters.use("a")
    assert write() == as_a
    lm.adapters.use(None)
    assert write() == plain


def test_impossible_adapters_are_refused_and_change_nothing():
    backbone = tiny_backbone("llama")
    before = run(backbone)
    for settings, message in (
        ({"rank": 0}, "rank: expected an integer"),
        ({"rank": True}, "rank: expected an integer"),
        ({"alpha": float("nan")}, "alpha: expected a finite number"),
        ({"dropout": 1.0}, "dropout: expected a number in"),
        ({"targets": ["query", "nothing"]}, r"some of \['down', 'gate', .*'nothing'"),
        ({"targets": "query"}, "expected names of projections or 'all'"),
        ({"targets": []}, "expected names"),
    ):
        with pytest.raises(SettingError, match=message):
            backbone.adapters.add("a", **settings)
    good = backbone.adapters.add("a", rank=2, seed=0)
    with pytest.raises(AdapterError, match="one called 'a' already"):
        backbone.adapters.add("a")
    with pytest.raises(AdapterError, match="already"):
        backbone.enable_lora(2, name="a")
    with pytest.raises(AdapterError, match="expected one of \\['a'\\], got 'b'"):
        backbone.adapters.use("b")
    path, update = next(iter(good.updates.items()))
    for updates, message in (
        ({}, "no updates"),
        ({"decoder_block_9/attention/query": update}, "no such projection"),
        ({path: LowRank(update.a[:, :-1], update.b)}, r"expected A and B of shapes"),
        ({path: LowRank(update.a, update.b * np.nan)}, "finite"),
    ):
        with pytest.raises(AdapterError, match=message):
            backbone.adapters["a"] = Adapter(AdapterConfig(2), updates)
    assert np.array_equal(run(backbone), before)
    with (
        pytest.raises(AdapterError, match="expected an active adapter"),
        backbone.adapters.using(None),
    ):
        backbone.adapters.merge()
