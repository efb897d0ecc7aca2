"""What a preset handle may be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from preset_files import refused

from workbench.presets import handles
from workbench.presets.handles import list_presets, resolve


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("https://example.org/model", "kaggle://... or hf://..., got 'https'"),
        ("kaggle://keras/gemma/gemma_2b_en", "expected kaggle://owner/model/framework/variation"),
        ("kaggle://keras/gemma/keras/../../../etc", "expected kaggle://"),
        ("kaggle://keras/gemma/abacus/gemma_2b_en", "framework: expected one of Kaggle's"),
        ("hf://gemma-2b", "expected hf://owner/repository"),
        ("hf://google/gemma--2b", "expected hf://owner/repository"),
        ("hf://google/gemma-2b@../../x", "expected hf://owner/repository"),
        ("hf://google/gemma-2b/../../x.gguf", "expected hf://owner/repository"),
        ("gemma_2b_xx", "no built-in preset of this name"),
        ("./nowhere/at/all", "no such folder"),
        ("model.gguf", "no such file"),
        ("", "a name or the path"),
        (None, "a name or the path"),
        (7, "a name or the path"),
        ("nul\0", "no such folder"),
        ("x" * 10_000, "a path"),
    ],
)
def test_what_cannot_be_loaded_is_explained(handle, message):
    with refused(message):
        resolve(handle)


def test_a_folder_is_itself(tmp_path):
    assert resolve(tmp_path) == tmp_path
    assert resolve(str(tmp_path)) == tmp_path


def test_a_path_is_never_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2_base_en").mkdir()
    assert resolve(Path("gpt2_base_en")) == Path("gpt2_base_en")
    with refused("no such folder"):
        resolve(Path("stories_tiny_en") / "x")


def test_a_file_is_no_preset(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    with refused("the path of a folder"):
        resolve(tmp_path / "weights.h5")


@pytest.fixture
def built_in(tmp_path, monkeypatch):
    folder = tmp_path / "story"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"class_name": "GPT2Backbone"}))
    metadata = {"description": "Small stories.", "parameter_count": 12}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    monkeypatch.setattr(handles, "EMBEDDED", tmp_path)
    return folder


def test_built_in_presets_are_listed_and_found_by_name(built_in):
    metadata = list_presets()["story"]["metadata"]
    assert metadata["description"] == "Small stories."
    assert metadata["params"] == 12
    assert metadata["family"] == "GPT2"
    assert resolve("story") == built_in
    with refused("there are: story"):
        resolve("stories")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (
            {"kaggle": "kaggle://a/b/keras/c/1", "hugging_face": "hf://a/b"},
            "kaggle://a/b/keras/c/1",
        ),
        ({"kaggle": None, "hugging_face": "hf://a/b"}, "hf://a/b"),
    ],
)
def test_a_name_in_the_catalog_is_fetched_from_its_hub(monkeypatch, listed, expected):
    fetched = []
    preset = SimpleNamespace(name="big", family="GPT-2", supported=True, **listed)
    monkeypatch.setattr(handles, "find", {"big": preset}.get)
    monkeypatch.setattr(handles, "_from_hub", lambda *what: fetched.append(what) or Path("there"))
    assert resolve("big", weights=False) == Path("there")
    assert fetched == [(expected, False)]


def test_a_preset_of_a_family_that_is_missing_is_not_fetched(monkeypatch):
    preset = SimpleNamespace(name="big", family="Ape", supported=False, kaggle="kaggle://x")
    monkeypatch.setattr(handles, "find", {"big": preset}.get)
    with refused("no models of the family Ape"):
        resolve("big")


def test_a_class_lists_the_presets_it_loads(built_in):
    from workbench.backbones.backbone import Backbone
    from workbench.families.gpt2 import GPT2Backbone, GPT2CausalLM
    from workbench.families.llama import LlamaCausalLM
    from workbench.tasks.causal_lm import CausalLM

    for cls in (Backbone, GPT2Backbone, CausalLM, GPT2CausalLM):
        assert "story" in cls.presets
    assert "story" not in LlamaCausalLM.presets
