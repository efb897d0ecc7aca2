"""Presets whose weights are integers: made on the way from floats, kept as they are."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from preset_files import refused
from tiny import GOLDENS

from workbench.models import CausalLM

HUB = GOLDENS / "keras_hub"
FAMILIES = ("gemma2", "gpt2", "llama", "qwen3_moe")


def load(folder, dtype=None):
    return CausalLM.from_preset(str(folder), dtype=dtype)


def expect_equal(one, other):
    weights, others = one.backbone.weights, other.backbone.weights
    assert [(w.path, w.dtype) for w in weights] == [(w.path, w.dtype) for w in others]
    for weight, again in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, again)


@pytest.mark.parametrize("mode", ["int8", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_quantized_while_loading_saved_and_loaded_again(family, mode, tmp_path):
    quantized, after = load(HUB / family, mode), load(HUB / family, "float32")
    after.quantize(mode)
    expect_equal(quantized, after)
    quantized.save_to_preset(tmp_path / "preset")
    again = load(tmp_path / "preset")
    assert again.backbone.quantization == mode
    expect_equal(again, quantized)


def test_int8_is_saved_as_keras_hub_saves_it(tmp_path):
    load(HUB / "llama_int8").save_to_preset(tmp_path / "preset")
    with (
        h5py.File(HUB / "llama_int8" / "model.weights.h5") as theirs,
        h5py.File(tmp_path / "preset" / "model.weights.h5") as ours,
    ):
        found = {}
        theirs.visititems(lambda name, item: found.setdefault(name, item))
        tensors = {k: v for k, v in found.items() if isinstance(v, h5py.Dataset)}
        for name, tensor in tensors.items():
            assert ours[name].dtype == tensor.dtype
            np.testing.assert_array_equal(ours[name][()], tensor[()])
    policy = json.loads((tmp_path / "preset" / "config.json").read_text())["config"]["dtype"]
    assert policy["class_name"] == "DTypePolicyMap"


def test_other_modes_than_the_preset_has_are_refused():
    with refused("int4, as asked for"):
        load(HUB / "llama_int8", "int4")


def test_quantized_models_are_not_exported(tmp_path):
    with refused("quantized to int8"):
        load(HUB / "llama_int8").export_to_transformers(tmp_path / "out")
    assert not (tmp_path / "out").exists()
