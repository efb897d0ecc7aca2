"""A save removes files that this project wrote there, by their exact names, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys

import pytest
from adapter_files import bare, random_adapter
from foreign_files import FILES, furnish, inventory, not_blocked
from preset_files import refused, same_weights

from workbench.families.gpt2 import GPT2Backbone, GPT2Tokenizer
from workbench.presets.adapters.keras_hub_lora import write_lora
from workbench.presets.adapters.peft import read_peft, write_peft
from workbench.presets.folders.manifest import KEY, Manifest, checksums
from workbench.storage import atomic
from workbench.storage.atomic import replacing, replacing_file
from workbench.storage.files import CHECKSUMS
from workbench.tasks.causal_lm import CausalLM

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="makes pipes, sockets and modes")

TOKEN = "0123456789abcdef"
SMALL = 1e-5  # gigabytes: a few tensors in a file


def save_adapter(folder):
    backbone = bare("hf/llama")
    write_peft(random_adapter(backbone, ("query",), 1, only="block_0"), folder, backbone)


@pytest.fixture
def writers(tiny_task):
    return {
        "task": tiny_task.save_to_preset,
        "shards": lambda folder: tiny_task.save_to_preset(folder, max_shard_size=SMALL),
        "backbone": tiny_task.backbone.save_to_preset,
        "preprocessor": tiny_task.preprocessor.save_to_preset,
        "tokenizer": tiny_task.preprocessor.tokenizer.save_to_preset,
        "export": tiny_task.export_to_transformers,
        "export of shards": lambda folder: tiny_task.export_to_transformers(folder, SMALL),
        "adapter": save_adapter,
    }


WRITERS = (
    *("task", "shards", "backbone", "preprocessor", "tokenizer"),
    *("export", "export of shards", "adapter"),
)


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_not_ours_stays(writers, writer, swaps, tmp_path, monkeypatch):
    if not swaps:
        monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    folder = furnish(tmp_path / "preset")
    before = inventory(folder)
    for _ in range(2):  # the second time over files of ours
        with not_blocked():
            writers[writer](folder)
        after = inventory(folder)
        assert {name: after.get(name) for name in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]


def test_a_saved_preset_loads_beside_other_files(tiny_task, tmp_path):
    folder = furnish(tmp_path / "preset")
    tiny_task.save_to_preset(folder)
    again = CausalLM.from_preset(folder)
    assert same_weights(again.backbone, tiny_task.backbone)


@pytest.mark.parametrize("first", WRITERS[:-1])
@pytest.mark.parametrize("second", ["task", "shards", "export", "export of shards"])
def test_a_model_replaces_another_whole(writers, first, second, tmp_path):
    for folder, kinds in ((tmp_path / "a", (first, second)), (tmp_path / "b", (second,))):
        for kind in kinds:
            writers[kind](folder)
    assert inventory(tmp_path / "a").keys() == inventory(tmp_path / "b").keys()


def test_a_tokenizer_alone_leaves_the_model(tiny_task, sealed_task, tmp_path):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    other = GPT2Tokenizer({**tiny_task.preprocessor.tokenizer.vocabulary, "he": 258}, ["h e"])
    other.save_to_preset(folder)
    assert same_weights(GPT2Backbone.from_preset(folder), tiny_task.backbone)
    assert GPT2Tokenizer.from_preset(folder).vocabulary_size() == 259
    assert set(inventory(folder)) == set(inventory(sealed_task)) - {"preprocessor.json"}
    with (folder / "model.weights.h5").open("ab") as file:
        file.write(b"\0")
    with refused("model.weights.h5: sha256"):
        GPT2Backbone.from_preset(folder)


def test_a_preset_of_a_version_without_a_table_is_replaced_whole(tiny_task, tmp_path):
    folder = tmp_path / "preset"
    tiny_task.save_to_preset(folder, max_shard_size=SMALL)
    digests = checksums(folder)
    (folder / CHECKSUMS).unlink()
    metadata = json.loads((folder / "metadata.json").read_text())
    weights = {name: digest for name, digest in digests.items() if name.endswith(".h5")}
    (folder / "metadata.json").write_text(json.dumps({**metadata, KEY: weights}))
    (folder / "notes.md").write_text("mine")
    tiny_task.backbone.save_to_preset(folder)
    left = {name for name in inventory(folder) if "." in name.rpartition("/")[2]}
    tokenizer = {f"assets/tokenizer/{name}" for name in GPT2Tokenizer.file_assets}
    ours = {"config.json", "metadata.json", "model.weights.h5", CHECKSUMS}
    assert left == ours | tokenizer | {"notes.md", "tokenizer.json", "preprocessor.json"}


def test_the_files_an_old_index_lists_go_and_no_others(tiny_task, tmp_path):
    folder = furnish(tmp_path / "clone")
    listed = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name in listed:
        (folder / name).write_bytes(b"theirs")
    odd = {"a": listed[0], "b": listed[1], "c": "README.md", "d": "../outside.safetensors", "e": 3}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": odd}))
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(b"mine")
    tiny_task.export_to_transformers(folder)
    names = set(inventory(folder))
    assert not names & {*listed, "model.safetensors.index.json"}
    assert set(FILES) < names and outside.exists()


@pytest.mark.parametrize("damage", [b"\0\xff", b"x" * 3_000_000, None])
def test_a_table_that_cannot_be_read_removes_nothing(tiny_task, sealed_task, tmp_path, damage):
    folder = shutil.copytree(sealed_task, tmp_path / "preset")
    (folder / CHECKSUMS).unlink()
    if damage is None:
        os.mkfifo(folder / CHECKSUMS)
    else:
        (folder / CHECKSUMS).write_bytes(damage)
    before = inventory(folder)
    with not_blocked():
        tiny_task.backbone.save_to_preset(folder)
    assert before.keys() <= inventory(folder).keys()


def test_siblings_with_our_former_names_stay(tiny_task, tmp_path):
    names = [".preset.new", ".preset.old", f".preset.{TOKEN}", f".preset.{TOKEN}.old"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    (tmp_path / ".preset.lock").write_text("mine")
    (tmp_path / ".a.lora.h5.new").write_text("mine")
    backbone = bare("keras_hub/llama")
    adapter = random_adapter(backbone, ("key",), 1, only="block_0")
    for _ in range(2):
        tiny_task.save_to_preset(tmp_path / "preset")
        write_lora(adapter, tmp_path / "a.lora.h5", backbone)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*names, "preset", ".preset.lock", "a.lora.h5", ".a.lora.h5.new"}
    assert all((tmp_path / name / "mine").read_text() == "mine" for name in names)


def test_only_what_the_record_names_is_swept(tmp_path):
    target = tmp_path / "preset"
    other = TOKEN[::-1]
    for token in (TOKEN, other):
        furnish(tmp_path / f".preset.{token}")
    (tmp_path / ".preset.saving").write_text(f"saved by workbench through {TOKEN}\n")
    with not_blocked(), replacing(target, 0) as new:
        (new / "a").write_text("x")
    assert {path.name for path in tmp_path.iterdir()} == {"preset", f".preset.{other}"}


def test_somebody_elses_file_with_the_name_of_the_record_is_refused(tmp_path):
    record = tmp_path / ".preset.saving"
    record.write_text("my savings")
    with refused("another file"), replacing(tmp_path / "preset", 0):
        pass
    record.unlink()
    os.mkfifo(record)
    with not_blocked(), refused("another file"), replacing(tmp_path / "preset", 0):
        pass
    record.unlink()
    (tmp_path / "diary").write_text("dear diary")
    record.symlink_to("diary")
    with refused("not saved"), replacing(tmp_path / "preset", 0):
        pass
    assert (tmp_path / "diary").read_text() == "dear diary"


def test_files_and_folders_of_one_name_are_refused(tmp_path):
    target = tmp_path / "preset"
    (target / "config.json").mkdir(parents=True)
    (target / "config.json" / "mine").write_text("mine")
    with refused("config.json: expected a file, got a folder"), replacing(target, 0) as new:
        (new / "config.json").write_text("{}")
    shutil.rmtree(target)
    target.mkdir()
    (target / "assets").write_text("mine")
    with refused("assets: expected a folder, got a file"), replacing(target, 0) as new:
        (new / "assets").mkdir()
    assert (target / "assets").read_text() == "mine"


def test_where_nothing_can_be_linked_files_are_copied(tmp_path, monkeypatch):
    def no_links(*arguments, **keywords):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder = furnish(tmp_path / "preset")
    before = inventory(folder)
    with not_blocked(), refused("another kind of file"), replacing(folder, 0):
        pass
    assert inventory(folder) == before
    (folder / "pipe.txt").unlink()
    (folder / "socket").unlink()
    before = inventory(folder)
    with replacing(folder, 0) as new:
        (new / "a").write_text("x")
    after = inventory(folder)
    for name, (mode, owner, *more) in before.items():
        assert after[name][:2] == (mode, owner)
        assert not more or after[name][4] == more[2]


def test_a_copy_that_does_not_fit_is_refused_before(tmp_path, monkeypatch):
    folder = tmp_path / "preset"
    folder.mkdir()
    with (folder / "large").open("wb") as file:
        file.truncate(2 * shutil.disk_usage(tmp_path).total)  # a hole, which takes no space

    def no_links(*arguments, **keywords):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with refused("[0-9]+ bytes needed, [0-9]+ free"), replacing(folder, 0):
        pass
    assert [path.name for path in folder.iterdir()] == ["large"]


def test_what_appears_during_a_save_stays(tmp_path, monkeypatch):
    target, exchange = tmp_path / "preset", atomic.exchange
    target.mkdir()

    def late(a, b):
        (b / "notebook.ipynb").write_text("saved meanwhile")
        return exchange(a, b)

    monkeypatch.setattr(atomic, "exchange", late)
    with replacing(target, 0) as new:
        (new / "a").write_text("x")
    assert (target / "notebook.ipynb").read_text() == "saved meanwhile"


def test_a_file_keeps_its_permissions_and_special_ones_stay(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    path.chmod(0o600)
    with replacing_file(path) as new:
        new.write_text("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    path.unlink()
    os.mkfifo(path)
    with not_blocked(), refused("another kind of file"), replacing_file(path) as new:
        new.write_text("new")
    assert path.is_fifo()


def test_an_adapter_and_a_model_share_a_folder(tiny_task, tmp_path):
    backbone = bare("hf/llama")
    save_adapter(tmp_path / "both")
    tiny_task.save_to_preset(tmp_path / "both")
    save_adapter(tmp_path / "both")
    assert CHECKSUMS not in Manifest(tmp_path / "both")
    assert same_weights(GPT2Backbone.from_preset(tmp_path / "both"), tiny_task.backbone)
    assert read_peft(tmp_path / "both", backbone).updates
