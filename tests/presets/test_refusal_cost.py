"""Rule G: what is refused is refused at once and within little memory, however it fills the files
that a preset may have. Limits leave room for the largest models that are published."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc

import h5py
import numpy as np
import pytest
from gguf_files import byte_tokenizer_metadata, write_golden
from patience import SLOW
from preset_files import refused, safetensors_bytes
from tiny import GOLDENS

from workbench.errors import PresetError
from workbench.formats import hdf5
from workbench.formats.hdf5 import Hdf5File, open_hdf5
from workbench.formats.safetensors import SafetensorsFile, open_safetensors
from workbench.presets.folders import gguf
from workbench.storage.json_files import MAX_PUNCTUATION, parse_json
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers.files import read_json

MB = 2**20

FULL = {
    "empty lists": b"[" + b"[]," * (14 * MB // 3) + b"[]]",
    "empty objects": b"[" + b"{}," * (14 * MB // 3) + b"{}]",
    "objects of one key": b"[" + b'{"a":1},' * (14 * MB // 8) + b"{}]",
    "numbers": b"[" + b"0.5," * (14 * MB // 4) + b"1]",
    "empty strings": b"[" + b'"",' * (14 * MB // 3) + b'""]',
    "quotes": b'"' * (14 * MB),
    "brackets in strings": b'"["' * (14 * MB // 3),
    "closing brackets": b'"]' * (7 * MB),
    "digits": b"9" * (14 * MB),
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("reader", ["settings", "vocabulary"])
def test_json_full_of_small_values(name, reader, tmp_path):
    data = b'{"a":' + FULL[name] + b"}"
    path = tmp_path / "a.json"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with refused("a.json"):
            parse_json(data, "a.json") if reader == "settings" else read_json(path)
        assert tracemalloc.get_traced_memory()[1] < 200 * MB
    finally:
        tracemalloc.stop()


def test_json_of_as_many_values_as_may_be():
    count = MAX_PUNCTUATION // 3 - 10
    data = b'{"a":[' + b"[]," * (count - 1) + b"[]]}"
    start = time.process_time()
    assert len(parse_json(data, "a.json")["a"]) == count
    assert time.process_time() - start < 2 * SLOW


def test_depth_is_counted_outside_of_strings():
    text = '{"a":"[[\\"[{","b":["]","\\\\",{"c":"}"}],"":[["x"],""]}'
    assert parse_json(text.encode(), "a.json") == json.loads(text)
    for deep in ("[" * 64 + "]" * 64, '["",' * 64 + "1" + "]" * 64, '["[",' * 64 + "1" + "]" * 64):
        with refused("nesting"):
            parse_json(b'{"a":' + deep.encode() + b"}", "a.json")


def test_a_file_of_99_000_tensors_is_read(tmp_path):
    """DeepSeek-V3 has 91,991 in all its files, Qwen3-235B 36,945."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(
        safetensors_bytes({f"model.{i}": np.zeros(1, np.float32) for i in range(99_000)})
    )
    start = time.process_time()
    source = SafetensorsFile(path)
    source.close()
    assert len(source.names()) == 99_000
    assert time.process_time() - start < 2 * SLOW


@pytest.mark.parametrize(
    ("index", "opens"),
    [("model.safetensors.index.json", open_safetensors), ("model.weights.json", open_hdf5)],
)
def test_an_index_of_a_thousand_files(index, opens, tmp_path):
    table = {f"/layers/{i}": f"model-{i}.file" for i in range(1000)}
    (tmp_path / index).write_text(json.dumps({"weight_map": table}))
    with refused("weight_map: expected at most 500 files, got 1000"):
        opens(tmp_path)


def h5_file(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def groups(file):
    for i in range(1000):
        file.create_group(f"layers/{i}")


def links(file):
    for i in range(1000):
        file[f"{i}"] = h5py.SoftLink("/layers")


def names(file):
    group = file.create_group("layers")
    for i in range(1000):
        file[f"{i}"] = group


def nested(file):
    file.create_group("/".join("a" * 1000))


@pytest.mark.parametrize(
    ("fill", "reason"),
    [(groups, "at most 500"), (links, "SoftLink"), (names, "one name"), (nested, "32 levels")],
)
def test_links_of_an_hdf5_file_are_counted_before_an_object_is_opened(
    tmp_path, monkeypatch, fill, reason
):
    path = h5_file(tmp_path / "a.h5", fill)
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 500)
    opened = []
    monkeypatch.setattr(h5py.Group, "__getitem__", lambda *arguments: opened.append(arguments))
    with refused(reason):
        Hdf5File(path)
    assert not opened


def test_a_model_of_a_thousand_layers_is_below_the_limits():
    """Keras makes three objects of a weight; no released layer has more than 6 weights."""
    assert hdf5.MAX_OBJECTS >= 1000 * 6 * 3


def test_tokens_without_rows_are_refused_before_they_are_read(tmp_path, monkeypatch):
    metadata = byte_tokenizer_metadata(300)
    metadata["tokenizer.ggml.tokens"] *= 3
    path = write_golden(tmp_path / "a.gguf", GOLDENS / "hf" / "llama", tokenizer=metadata)
    monkeypatch.setattr(gguf, "read_tokenizer", lambda *arguments: pytest.fail("it was read"))
    with refused("rows, one a token"):
        CausalLM.from_preset(str(path))


# Files beside those that are used, and what nothing reads.


@pytest.fixture
def preset(tmp_path):
    return shutil.copytree(GOLDENS / "keras_hub" / "pali_gemma", tmp_path / "preset")


@pytest.mark.parametrize("file", ["tokenizer.json", "image_converter.json"])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(registered_name="os>system"),
        lambda content: content["config"].update(dtype={"class_name": "Lambda"}),
        lambda content: content["config"].update(sequence_length="12", image_size="12"),
        lambda content: content["config"].update(function={"class_name": "x", "module": "os"}),
    ],
)
def test_a_part_beside_the_preprocessor_is_read(preset, file, change):
    path = preset / file
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with refused(file):
        CausalLM.from_preset(preset)


def test_a_part_beside_the_preprocessor_is_of_its_class(preset):
    other = GOLDENS / "keras_hub" / "gpt2" / "tokenizer.json"
    shutil.copy(other, preset / "tokenizer.json")
    with refused("tokenizer.json: class_name"):
        CausalLM.from_preset(preset)


@pytest.mark.parametrize("tasks", ["CausalLM", [1], [[]], {}, None, True])
def test_tasks_of_the_metadata_are_names(preset, tasks):
    path = preset / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tasks": tasks}))
    with refused("metadata.json: tasks"):
        CausalLM.from_preset(preset)


@pytest.mark.parametrize("length", [2**31, 10**30, 0, True, "12"])
@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessor.json"])
def test_a_length_that_texts_are_padded_to_has_a_limit(preset, file, length):
    path = preset / file
    content = json.loads(path.read_text())
    content["config"]["sequence_length"] = length
    path.write_text(json.dumps(content))
    with refused(f"{file}.*sequence_length: expected an integer"):
        CausalLM.from_preset(preset)


def test_small_files_are_small(preset):
    (preset / "preprocessor.json").write_text(" " * (2 * MB))
    with pytest.raises(PresetError, match=r"preprocessor\.json: file size"):
        CausalLM.from_preset(preset)
