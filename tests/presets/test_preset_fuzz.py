"""S2, S12 in small: random damage ends in a named error or in a model, never in anything else."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from damage import mutants
from preset_files import drain, llama_tensors, safetensors_bytes, shapes_of

from workbench.errors import PresetError
from workbench.families.gpt2 import KERAS_HUB_RULES, GPT2CausalLMPreprocessor
from workbench.families.llama import TRANSFORMERS_RULES
from workbench.formats.hdf5 import open_hdf5
from workbench.formats.safetensors import open_safetensors
from workbench.presets.load import load_preprocessor
from workbench.presets.loading import WeightLoader

MUTANTS = 300


def outcomes(data, path, read, seed=0):
    """How many mutants loaded; everything else must have been refused by name."""
    loaded = 0
    for damaged in mutants(data, MUTANTS, seed):
        path.write_bytes(damaged)
        try:
            read()
            loaded += 1
        except PresetError as error:
            assert len(str(error)) <= 2000
    return loaded


def test_damaged_safetensors(tmp_path, llama_shapes):
    data = safetensors_bytes(llama_tensors())

    def read():
        source = open_safetensors(tmp_path)
        try:
            drain(WeightLoader(source, TRANSFORMERS_RULES, 2), llama_shapes)
        finally:
            source.close()

    loaded = outcomes(data, tmp_path / "model.safetensors", read)
    assert loaded < MUTANTS / 2


def test_damaged_hdf5(tmp_path, saved_task, tiny_task):
    shapes = shapes_of(tiny_task.backbone)

    def read():
        source = open_hdf5(tmp_path)
        try:
            drain(WeightLoader(source, KERAS_HUB_RULES, 1), shapes)
        finally:
            source.close()

    data = (saved_task / "model.weights.h5").read_bytes()
    outcomes(data, tmp_path / "model.weights.h5", read)


@pytest.mark.parametrize("name", ["preprocessor.json", "assets/tokenizer/vocabulary.json"])
def test_damaged_json(tmp_path, saved_task, name):
    folder = shutil.copytree(saved_task, tmp_path / "preset")
    data = (folder / name).read_bytes()
    outcomes(data, folder / name, lambda: load_preprocessor(folder, GPT2CausalLMPreprocessor))


def test_data_bytes_are_not_checked_without_a_manifest(tmp_path, llama_shapes):
    """What S2 asks of data bytes needs a checksum: a flipped one loads as another number."""
    data = bytearray(safetensors_bytes(llama_tensors()))
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    source = open_safetensors(tmp_path)
    values = drain(WeightLoader(source, TRANSFORMERS_RULES, 2), llama_shapes)
    source.close()
    assert not np.array_equal(values["final_norm/scale"], llama_tensors()["model.norm.weight"])
