"""What is exported for Transformers: its own files again, tensor for tensor, and its outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from preset_files import refused
from safetensors.numpy import load_file
from tiny import GOLDENS, whole_logits

import workbench as wb

ENCODERS = {"bart", "bert_classifier", "t5gemma"}  # test_export_encoders.py has these
FOLDERS = sorted({path.name for path in (GOLDENS / "hf").iterdir() if path.is_dir()} - ENCODERS)
OTHER_INPUTS = {"gemma3_vision", "moonshine", "paligemma", "paligemma2"}  # not text alone
PRESETS = ("bloom", "falcon", "gemma3_text", "gpt2", "llama", "llama3", "phi3_su_long", "qwen3")
TEXTS = ["the quick brown fox", "the earth is round", " the", "  two  spaces ", "naïve café ☕"]


@pytest.fixture(scope="module", params=FOLDERS)
def exported(request, tmp_path_factory):
    """A folder of the reference's, and what comes of reading and exporting it."""
    original = GOLDENS / "hf" / request.param
    folder = tmp_path_factory.mktemp("exported") / request.param
    wb.models.Backbone.from_preset(str(original), dtype="float32").export_to_transformers(folder)
    return original, folder


def test_tensors_are_the_originals(exported):
    expected, written = (load_file(path / "model.safetensors") for path in exported)
    assert written.keys() == expected.keys()
    for name, tensor in expected.items():
        unused = 2 if name.endswith("decoder.embed_positions.weight") else 0  # OPT's first rows
        np.testing.assert_array_equal(written[name][unused:], tensor[unused:], err_msg=name)


def test_settings_are_the_originals(exported):
    """What is written is read as the same model, and says nothing that the original did not."""
    original, folder = exported
    first, again = (
        wb.models.Backbone.from_preset(str(path), load_weights=False) for path in exported
    )
    assert again.arguments == first.arguments
    written = json.loads((folder / "config.json").read_text())
    theirs = json.loads((original / "config.json").read_text())
    assert written["model_type"] == theirs["model_type"]
    assert written["architectures"] == theirs["architectures"]


@pytest.mark.parametrize("name", sorted({*FOLDERS} - OTHER_INPUTS))
def test_transformers_computes_the_same(name, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    backbone = wb.models.Backbone.from_preset(str(GOLDENS / "hf" / name), dtype="float32")
    backbone.export_to_transformers(tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    golden = np.load(GOLDENS / "hf" / name / "golden.npz")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(golden["input_ids"])).logits.numpy()
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_tasks_are_exported_with_their_tokenizer(name, tmp_path):
    original = wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / name), dtype="float32")
    if name == "bloom":  # Transformers has no BLOOM whose network is not four times as wide
        with refused("intermediate_dim"):
            original.export_to_transformers(tmp_path / "out")
        return
    original.export_to_transformers(tmp_path / "out")
    again = wb.models.CausalLM.from_preset(str(tmp_path / "out"), dtype="float32")
    for text in TEXTS:
        assert again.preprocessor.prompt_ids(text) == original.preprocessor.prompt_ids(text)
    assert set(again.preprocessor.tokenizer.stop_token_ids) == set(
        original.preprocessor.tokenizer.stop_token_ids
    )
    ids = [original.preprocessor.prompt_ids("the quick brown fox")]
    np.testing.assert_array_equal(
        whole_logits(again.backbone, ids), whole_logits(original.backbone, ids)
    )


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "bloom"])
def test_transformers_reads_the_tokenizer(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    lm = wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / name))
    lm.export_to_transformers(tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS:
        assert theirs(text)["input_ids"] == lm.preprocessor.prompt_ids(text), text


def test_large_models_are_written_in_shards(tmp_path):
    source = GOLDENS / "hf" / "llama"
    backbone = wb.models.Backbone.from_preset(str(source), dtype="float32")
    backbone.export_to_transformers(tmp_path / "out", max_shard_size=50_000 / 2**30)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = set(index["weight_map"].values())
    assert len(files) > 2
    assert {path.name for path in (tmp_path / "out").glob("*.safetensors")} == files
    again = wb.models.Backbone.from_preset(str(tmp_path / "out"), dtype="float32")
    for one, other in zip(backbone.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_lora_is_merged(tmp_path):
    backbone = wb.models.Backbone.from_preset(str(GOLDENS / "hf" / "llama"), dtype="float32")
    backbone.enable_lora(2)
    for variable in backbone.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape) * 0.1)
    backbone.export_to_transformers(tmp_path / "out")
    again = wb.models.Backbone.from_preset(str(tmp_path / "out"), dtype="float32")
    ids = [[1, 2, 3, 4]]
    np.testing.assert_allclose(
        whole_logits(again, ids), whole_logits(backbone, ids), atol=1e-5, rtol=1e-5
    )


def test_a_failed_export_leaves_what_was_there(tmp_path):
    lm = wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / "bloom"))
    folder = tmp_path / "out"
    wb.models.Backbone.from_preset(str(GOLDENS / "hf" / "llama")).export_to_transformers(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with refused("intermediate_dim"):
        lm.export_to_transformers(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
