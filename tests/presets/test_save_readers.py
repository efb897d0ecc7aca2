"""Who reads while somebody saves has the old or the new, whole."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from preset_files import refused, same_weights

from workbench.errors import PresetError
from workbench.families.gpt2 import GPT2Backbone, GPT2CausalLM
from workbench.storage import readers
from workbench.storage.atomic import replacing, replacing_file
from workbench.storage.readers import reading

LOADS = int(os.environ.get("WORKBENCH_LOADS", "10"))
FILES = ("a", "b", "c")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks folders")


def save(target, text):
    with replacing(target, 0) as new:
        for name in FILES:
            (new / name).write_text(text)


class Saver(threading.Thread):
    """Saves one thing after another until the block ends."""

    def __init__(self, *saves):
        super().__init__(daemon=True)
        self.saves, self.count, self.errors = saves, 0, []
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        assert not self.errors

    def run(self):
        try:
            while not self.ended.is_set():
                self.saves[self.count % len(self.saves)]()
                self.count += 1
        except BaseException as error:
            self.errors.append(error)


def test_files_read_in_one_go_are_of_one_save(tmp_path):
    target = tmp_path / "preset"
    save(target, "x" * 10_000)
    both = [lambda letter=letter: save(target, letter * 10_000) for letter in "xy"]
    with Saver(*both) as saver:
        for _ in range(30 * LOADS):
            with reading(target):
                texts = {(target / name).read_text() for name in FILES}
            assert len(texts) == 1
    assert saver.count > 2


def test_models_loaded_during_saves_are_the_old_or_the_new(tiny_task, tiny_lm_parts, tmp_path):
    target = tmp_path / "preset"
    backbone = GPT2Backbone(**tiny_task.backbone.arguments)
    other = GPT2CausalLM(**{**tiny_lm_parts, "backbone": backbone})
    tiny_task.save_to_preset(target)
    sharded = lambda: other.save_to_preset(target, max_shard_size=1e-5)  # noqa: E731
    with Saver(sharded, lambda: tiny_task.save_to_preset(target)) as saver:
        for _ in range(LOADS):
            found = GPT2CausalLM.from_preset(target).backbone
            assert same_weights(found, tiny_task.backbone) or same_weights(found, backbone)
    assert saver.count > 2


def test_a_writer_waits_for_readers(tmp_path):
    target = tmp_path / "preset"
    save(target, "old")
    with reading(target):
        writer = threading.Thread(target=save, args=(target, "new"))
        writer.start()
        time.sleep(0.3)
        assert (target / "a").read_text() == "old"
    writer.join()
    assert (target / "a").read_text() == "new"


@pytest.mark.parametrize("error", [None, FileNotFoundError("gone"), PresetError("mixed")])
def test_a_reader_that_was_not_waited_for_is_told(tmp_path, monkeypatch, error):
    monkeypatch.setattr(readers, "PATIENCE", 0)
    target = tmp_path / "preset"
    save(target, "old")
    with refused("replaced while it was read"), reading(target):
        save(target, "new")
        if error is not None:
            raise error


def test_a_file_is_not_replaced_under_its_reader_either(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "PATIENCE", 0)
    path = tmp_path / "x.lora.h5"
    path.write_text("old")
    with refused("replaced while it was read"), reading(path), replacing_file(path) as new:
        new.write_text("new")


def test_reading_leaves_nothing_open_and_errors_as_they_are(tmp_path):
    save(tmp_path / "preset", "old")
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else None
    for place in (tmp_path / "preset", tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(KeyError), reading(place):
            raise KeyError
        with pytest.raises(FileNotFoundError), reading(place):
            raise FileNotFoundError
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
