"""Whatever keeps a save from its end is a named error, and what was there is unchanged."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager

import pytest
from adapter_files import bare, random_adapter
from preset_files import refused

from workbench.errors import PresetError, WorkbenchError
from workbench.presets.adapters.keras_hub_lora import write_lora
from workbench.presets.adapters.peft import write_peft
from workbench.presets.folders.manifest import checksums

BAD_PATHS = ("a\0b", "a\ud800b", "a\udcffb", "", None, 3, b"bytes", "~nobody-of-this-name/x")


@pytest.fixture
def writers(tiny_task):
    llama = bare("hf/llama")
    hub_llama = bare("keras_hub/llama")
    return {
        "preset": tiny_task.save_to_preset,
        "backbone": tiny_task.backbone.save_to_preset,
        "preprocessor": tiny_task.preprocessor.save_to_preset,
        "tokenizer": tiny_task.preprocessor.tokenizer.save_to_preset,
        "export": tiny_task.export_to_transformers,
        "peft": lambda path: write_peft(random_adapter(llama, ("query",)), path, llama),
        "lora": lambda path: write_lora(random_adapter(hub_llama, ("key",)), path, hub_llama),
    }


@pytest.mark.parametrize("bad", BAD_PATHS)
def test_impossible_paths_are_named_errors(writers, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in writers.values():
        with pytest.raises(WorkbenchError) as caught:
            write(bad)
        str(caught.value).encode()
    if bad and isinstance(bad, str):
        with refused("path of a folder or file"):
            writers["lora"](f"{bad}.lora.h5")
    assert not list(tmp_path.iterdir())


@contextmanager
def file_size_limit(size):
    """Writing more than `size` bytes into a file fails, as it does on a full disk."""
    import resource

    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, usual)


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit")
@pytest.mark.parametrize("writer", ["preset", "export", "peft", "lora"])
def test_a_disk_that_fills_up_is_named_with_its_bytes(writers, writer, tmp_path):
    path = tmp_path / ("x.lora.h5" if writer == "lora" else "x")
    writers[writer](path)
    before = checksums(tmp_path)
    for size in (0, 100, 700):
        with file_size_limit(size), refused("not saved: .*[0-9]+ bytes needed, [0-9]+ free"):
            writers[writer](path)
        assert checksums(tmp_path) == before
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    writers[writer](path)


def test_half_a_character_in_a_text_is_a_named_error(tiny_task, tmp_path):
    tokenizer = tiny_task.preprocessor.tokenizer
    tiny_task.save_to_preset(tmp_path / "preset")
    before = checksums(tmp_path)
    tokenizer.chat_template = "\ud800"
    try:
        for save in (tiny_task.save_to_preset, tiny_task.export_to_transformers):
            with pytest.raises(PresetError, match="no Unicode"):
                save(tmp_path / "preset")
    finally:
        tokenizer.chat_template = None
    assert checksums(tmp_path) == before
