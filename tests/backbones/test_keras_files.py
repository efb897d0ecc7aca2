"""Kinds of models by Keras's ways of saving: what is read is what was written, bit by bit."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import zipfile

import keras
import numpy as np
import pytest
from saved_kinds import KINDS, make, of_kind, state, told_value
from tiny import GOLDENS, byte_tokenizer

from workbench import models
from workbench.errors import PresetError
from workbench.families.registry import families

# Keras, when it writes an optimizer.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


# With parts that are objects, and with a head. WORKBENCH_COPIES names more of the goldens.
FAMILIES = ("bert_classifier", "gemma3_vision", "parseq")


def weights(name, **settings):
    def way(lm, other, folder):
        lm.save_weights(folder / name, **settings)
        other.load_weights(folder / name)
        return other

    return way


def checkpoint(name, weights_only):
    def way(lm, other, folder):
        path = str(folder / name)
        callback = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
        callback.set_model(lm)
        callback.on_epoch_end(0, {})
        if not weights_only:
            return keras.saving.load_model(path)
        other.load_weights(path)
        return other

    return way


def backup(lm, other, folder):
    before, after = (keras.callbacks.BackupAndRestore(str(folder / "backup")) for _ in range(2))
    before.set_model(lm)
    before.on_epoch_end(0)
    after.set_model(other)
    after.on_train_begin()
    return other


def function(lm, other, folder):
    keras.saving.save_model(lm, folder / "lm.keras")
    return keras.saving.load_model(folder / "lm.keras")


def weights_of_a_model(lm, other, folder):
    lm.save(folder / "lm.keras")
    other.load_weights(folder / "lm.keras")
    return other


WAYS = {
    "save_weights": weights("lm.weights.h5"),
    "sharded": weights("lm.weights.json", max_shard_size=1),
    "ModelCheckpoint of weights": checkpoint("lm.weights.h5", True),
    "BackupAndRestore": backup,
    "weights of save": weights_of_a_model,
    "save_model": function,
    "ModelCheckpoint": checkpoint("lm.keras", False),
    "pickle": lambda lm, other, folder: pickle.loads(pickle.dumps(lm)),
    "deepcopy": lambda lm, other, folder: copy.deepcopy(lm),
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """A model that may have been trained, and one of its kind with other numbers."""
    made = of_kind(request.param), of_kind(request.param, seed=9)
    for lm in made:
        lm.optimizer.build(lm.trainable_variables)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_what_is_read_is_what_was_written(pair, way, tmp_path):
    lm, other = pair
    other.backbone.token_embedding.weights[0].assign(
        np.zeros_like(other.backbone.token_embedding.weights[0])
    )
    before = state(lm)
    read = WAYS[way](lm, other, tmp_path)
    assert type(read) is type(lm)
    assert state(read) == state(lm) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_preset_has_the_adapter_in_its_weights_or_is_refused_when_written(kind, tmp_path):
    lm = of_kind(kind)
    if lm.adapters.live and lm.backbone.quantization:
        with pytest.raises(PresetError, match=r"adapters\.save\(\)"):
            lm.save_to_preset(tmp_path / "preset")
        return
    lm.save_to_preset(tmp_path / "preset")
    again = models.CausalLM.from_preset(str(tmp_path / "preset"))
    if lm.adapters.live:
        lm.adapters.merge()
    weights = [{v.path: told_value(v.value) for v in one.backbone.weights} for one in (again, lm)]
    assert weights[0] == weights[1]


def test_a_merged_adapter_that_was_read_is_taken_out_again():
    lm = of_kind("merged")
    again = copy.deepcopy(lm)
    for model in (lm, again):
        model.adapters.unmerge()
    assert state(again) == state(lm)


def test_a_copy_is_a_model_of_its_own_and_a_folder_serves_too(tmp_path):
    lm = of_kind("lora")
    lm.save(tmp_path / "lm", zipped=False)
    again = keras.saving.load_model(tmp_path / "lm")
    assert state(again) == state(lm)
    again.adapters.remove("captain")
    assert list(lm.adapters) == ["captain"]
    backbone = pickle.loads(pickle.dumps(lm.backbone))
    assert isinstance(backbone, models.LlamaBackbone)
    assert list(backbone.adapters) == ["captain"]


def test_all_that_a_task_is_comes_with_it(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ messages }}"
    lm = make(True, preprocessor=models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=9))
    lm.preset, lm.context_length = "hf://somebody/something", 31
    lm.compile(keras.optimizers.SGD(0.25, momentum=0.5), sampler="greedy")
    lm.optimizer.build(lm.trainable_variables)
    lm.optimizer.variables[2].assign_add(np.ones(lm.optimizer.variables[2].shape))
    again = copy.deepcopy(lm)
    assert (again.preset, again.context_length) == (lm.preset, lm.context_length)
    assert type(again.sampler) is type(lm.sampler)
    assert again.preprocessor.get_config() == lm.preprocessor.get_config()
    assert again.preprocessor.tokenizer.chat_template == tokenizer.chat_template
    assert again.preprocessor.prompt_ids("A text") == lm.preprocessor.prompt_ids("A text")
    assert isinstance(again.optimizer, keras.optimizers.SGD)
    for ours, theirs in zip(again.optimizer.variables, lm.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_was_not_trained_gets_no_state_of_an_optimizer():
    assert not copy.deepcopy(make()).optimizer.built


@pytest.mark.parametrize("name", [*FAMILIES, *os.environ.get("WORKBENCH_COPIES", "").split()])
def test_families_of_other_shapes_are_copied(name):
    kind = models.TextClassifier if name == "bert_classifier" else models.CausalLM
    lm = kind.from_preset(str(GOLDENS / "keras_hub" / name))
    again = copy.deepcopy(lm)
    assert state(again) == state(lm)
    assert again.get_config() == lm.get_config()
    assert again.preprocessor.get_config() == lm.preprocessor.get_config()


def test_registered_names_do_not_say_where_a_class_lives(tmp_path):
    classes = {cls for family in families() for cls in family.classes}
    names = {cls.__name__: keras.saving.get_registered_name(cls) for cls in classes}
    assert names == {name: f"workbench>{name}" for name in names}
    path = tmp_path / "lm.keras"
    make().save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = files["config.json"].decode()
    assert json.loads(config)["registered_name"] == "workbench>LlamaCausalLM"
    moved = re.sub(r'"workbench\.[\w.]+"', '"workbench.moved.elsewhere"', config)
    assert moved != config
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "config.json": moved.encode()}.items():
            archive.writestr(name, data)
    assert isinstance(keras.saving.load_model(path), models.LlamaCausalLM)
