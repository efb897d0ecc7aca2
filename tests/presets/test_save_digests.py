"""Every flipped bit of what we save is found, or changes nothing that is read.

WORKBENCH_FLIPS=2000 tries more of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading

import h5py
import pytest
from adapter_files import bare, random_adapter, same_updates
from patience import HANG
from preset_files import refused, same_weights

from workbench.backbones.backbone import Backbone
from workbench.errors import AdapterError, PresetError
from workbench.families.gpt2 import GPT2Backbone
from workbench.formats.tensor_digest import ATTRIBUTE
from workbench.presets.adapters.keras_hub_lora import read_lora, write_lora
from workbench.presets.adapters.peft import read_peft, write_peft
from workbench.presets.folders.manifest import KEY, Manifest, checksums
from workbench.presets.handles import EMBEDDED
from workbench.presets.load import open_preset
from workbench.recipes.describing import describe
from workbench.storage.files import ADAPTER_CHECKSUMS, CHECKSUMS
from workbench.tasks.causal_lm import CausalLM

FLIPS = int(os.environ.get("WORKBENCH_FLIPS", "12"))
SMALL = 1e-5  # gigabytes: a few tensors in a file


def flipped(path, count, seed=0):
    """Flip a bit of a file, `count` times another; in the end the file is as it was."""
    data, chance = path.read_bytes(), random.Random(seed)
    try:
        for _ in range(count):
            damaged = bytearray(data)
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            yield
    finally:
        path.write_bytes(data)


def checked(folder):
    """What a load does with the digests, without the model."""
    preset = open_preset(folder, Backbone)
    with preset.manifest.checked():
        pass


def files_of(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def save_with_template(task, folder, **settings):
    """A preset of all that a text model has."""
    task.preprocessor.tokenizer.chat_template = "{{ messages }}"
    try:
        task.save_to_preset(folder, **settings)
    finally:
        task.preprocessor.tokenizer.chat_template = None


LAYOUTS = {
    "preset": save_with_template,
    "shards": lambda task, folder: save_with_template(task, folder, max_shard_size=SMALL),
    "export": lambda task, folder: task.export_to_transformers(folder),
    "export of shards": lambda task, folder: task.export_to_transformers(folder, SMALL),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_flipped_bit_of_a_model_is_found(tiny_task, tmp_path, layout):
    LAYOUTS[layout](tiny_task, tmp_path / "x")
    checked(tmp_path / "x")
    for path in files_of(tmp_path / "x"):
        for _ in flipped(path, FLIPS):
            with pytest.raises(PresetError):
                checked(tmp_path / "x")
    checked(tmp_path / "x")


def test_every_file_but_the_table_is_in_it(tiny_task, tmp_path):
    for name, save in LAYOUTS.items():
        save(tiny_task, tmp_path / name)
        there = {path.relative_to(tmp_path / name).as_posix() for path in files_of(tmp_path / name)}
        assert all(file in Manifest(tmp_path / name) for file in there - {CHECKSUMS})


def test_every_flipped_bit_of_a_peft_adapter_is_found(tmp_path):
    backbone, folder = bare("hf/llama"), tmp_path / "x"
    write_peft(random_adapter(backbone, ("query",), 1, only="block_0"), folder, backbone)
    read_peft(folder, backbone)
    for path in files_of(folder):
        for _ in flipped(path, FLIPS):
            with pytest.raises(AdapterError):
                read_peft(folder, backbone)


def test_every_flipped_bit_of_a_lora_file_is_found_or_harmless(tmp_path):
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    write_lora(random_adapter(backbone, ("key",), 1, only="block_0"), path, backbone)
    saved, harmless = read_lora(path, backbone), 0
    for _ in flipped(path, 10 * FLIPS):
        try:
            same_updates(read_lora(path, backbone), saved)
            harmless += 1
        except AdapterError:
            pass
    assert harmless < 10 * FLIPS
    data = path.read_bytes()
    for position in range(place := data_of_a_tensor(path), place + 4):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(AdapterError, match="sha256: expected the tensors that were saved"):
            read_lora(path, backbone)


def data_of_a_tensor(path):
    """Where in the file the numbers of a tensor begin."""
    places = []

    def note(name, item):
        if name.endswith("lora_kernel_a"):
            places.append(item.id.get_offset())

    with h5py.File(path) as h5:
        h5.visititems(note)
    return places[0]


def test_a_lora_file_without_a_digest_is_read(tmp_path):
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    write_lora(random_adapter(backbone, ("key",), 1, only="block_0"), path, backbone)
    saved = read_lora(path, backbone)
    with h5py.File(path, "a") as h5:
        del h5.attrs[ATTRIBUTE]
    same_updates(read_lora(path, backbone), saved)


@pytest.mark.parametrize("load", [GPT2Backbone, CausalLM])
def test_a_whole_load_finds_them_too(sealed_task, tmp_path, load):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    for name in ("model.weights.h5", "task.json", "assets/tokenizer/vocabulary.json"):
        path = folder / name
        data = path.read_bytes()
        place = len(data) - 100
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(PresetError):
            load.from_preset(folder)
        path.write_bytes(data)
    load.from_preset(folder)


def test_an_edited_file_is_named_and_can_be_accepted(sealed_task, tiny_task, tmp_path):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    for name in ("config.json", "model.weights.h5"):
        path = folder / name
        with path.open("ab") as file:
            file.write(b" \n")
        with refused(f"{name}: sha256.*delete the line of the file in {CHECKSUMS}"):
            GPT2Backbone.from_preset(folder)
        table = folder / CHECKSUMS
        lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
        assert same_weights(GPT2Backbone.from_preset(folder), tiny_task.backbone)


def test_a_file_that_is_missing_is_named(sealed_task, tmp_path):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    (folder / "preprocessor.json").unlink()
    with refused("preprocessor.json: sha256.*no such file.*delete the line of the file in"):
        CausalLM.from_preset(folder)


def test_digests_of_versions_before_are_checked(sealed_task, tmp_path):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    digest = checksums(folder)["model.weights.h5"]
    (folder / CHECKSUMS).unlink()
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**metadata, KEY: {"model.weights.h5": "0"}}))
    with refused("model.weights.h5: sha256"):
        GPT2Backbone.from_preset(folder)
    (folder / "metadata.json").write_text(
        json.dumps({**metadata, KEY: {"model.weights.h5": digest}})
    )
    GPT2Backbone.from_preset(folder)


@pytest.mark.parametrize("folder", [path.parent for path in EMBEDDED.glob("*/config.json")])
def test_embedded_presets_have_digests_of_all_their_files(folder):
    manifest = Manifest(folder)
    assert {path.relative_to(folder).as_posix() for path in files_of(folder)} == {
        *(name for name in checksums(folder) if name in manifest),
        *("README.md", CHECKSUMS),
    }
    manifest.check()
    with manifest.checked():
        pass


def test_a_published_preset_is_described_and_whole(sealed_task, tmp_path):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    (folder / "README.md").write_text("a card")
    describe(folder, description="A small model.", modality="text")
    metadata = json.loads((folder / "metadata.json").read_text())
    assert list(metadata)[:2] == ["description", "modality"]
    assert {path.name for path in files_of(folder)} == {
        *(path.name for path in files_of(sealed_task)),
        "README.md",
    }
    checked(folder)


LINE = "0" * 64 + "  config.json\n"


@pytest.mark.parametrize(
    "table",
    [
        LINE + LINE,
        LINE[:-1],
        LINE + "\n",
        LINE.upper(),
        LINE.replace("  ", " *"),
        LINE.replace("config.json", "../config.json"),
        LINE.replace("config.json", "/etc/passwd"),
        LINE.replace("config.json", "none.json"),
        "# " + LINE,
        "\0",
        LINE * 20_000,
    ],
)
@pytest.mark.parametrize("name", [CHECKSUMS, ADAPTER_CHECKSUMS])
def test_an_odd_table_is_refused(sealed_task, tmp_path, table, name):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    (folder / name).write_text(table)
    with refused():
        Manifest(folder, name).check()


def test_small_files_are_hashed_before_and_weights_beside_the_loading(sealed_task, monkeypatch):
    from workbench.presets.folders import manifest

    seen = []
    usual = manifest._sha256
    monkeypatch.setattr(
        manifest, "_sha256", lambda path, stop: seen.append(path.name) or usual(path)
    )
    stated = Manifest(sealed_task)
    stated.check()
    assert "config.json" in seen and "model.weights.h5" not in seen
    loading, beside = threading.Event(), []

    def held(path, stop):
        beside.append(loading.wait(HANG))
        return usual(path)

    monkeypatch.setattr(manifest, "_sha256", held)
    with stated.checked():
        loading.set()
    assert beside and all(beside)
