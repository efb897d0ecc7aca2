"""What is saved loads again, bit for bit, and as KerasHub's own files do."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from preset_files import refused, same_weights, write_llama

from workbench.backbones.backbone import Backbone
from workbench.families.gemma import GemmaBackbone
from workbench.families.gpt2 import (
    GPT2Backbone,
    GPT2CausalLM,
    GPT2CausalLMPreprocessor,
    GPT2Tokenizer,
)
from workbench.families.llama import Llama3Backbone, LlamaBackbone
from workbench.families.mixtral import MixtralBackbone
from workbench.families.qwen_moe import QwenMoeBackbone
from workbench.presets.folders.manifest import KEY
from workbench.presets.load import load_preprocessor, load_tokenizer
from workbench.presets.save import save_preset
from workbench.tasks.causal_lm import CausalLM

TEXT = "Two words,  and\ttabs: naïve ☕"

SMALL = {"vocabulary_size": 13, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 12}
BACKBONES = {
    "llama": lambda: LlamaBackbone(num_query_heads=4, num_key_value_heads=2, **SMALL),
    "llama tied": lambda: LlamaBackbone(
        num_query_heads=4, num_key_value_heads=2, tie_word_embeddings=True, **SMALL
    ),
    "llama3": lambda: Llama3Backbone(
        num_query_heads=4,
        num_key_value_heads=1,
        rope_frequency_adjustment_factor=8.0,
        rope_low_freq_factor=1.0,
        rope_high_freq_factor=4.0,
        rope_pretraining_sequence_length=16,
        **SMALL,
    ),
    "gpt2": lambda: GPT2Backbone(num_heads=2, max_sequence_length=9, **SMALL),
    "gemma": lambda: GemmaBackbone(num_query_heads=4, num_key_value_heads=2, head_dim=6, **SMALL),
    "gemma2": lambda: GemmaBackbone(
        num_query_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        final_logit_soft_cap=8.0,
        use_sliding_window_attention=True,
        sliding_window_size=4,
        **SMALL,
    ),
    "mixtral": lambda: MixtralBackbone(
        num_query_heads=4, num_key_value_heads=2, num_experts=3, **SMALL
    ),
    "qwen_moe": lambda: QwenMoeBackbone(
        num_query_heads=4,
        num_key_value_heads=2,
        moe_intermediate_dim=5,
        shared_expert_intermediate_dim=7,
        num_experts=5,
        mlp_only_layers=[0],
        **SMALL,
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("max_shard_size", [None, 2e-6], ids=["whole", "sharded"])
def test_every_family_comes_back_bit_equal(tmp_path, name, max_shard_size):
    backbone = BACKBONES[name]()
    backbone.save_to_preset(tmp_path / "preset", max_shard_size=max_shard_size)
    again = Backbone.from_preset(tmp_path / "preset")
    assert type(again) is type(backbone)
    assert same_weights(again, backbone)
    kept = {k: v for k, v in backbone.get_config().items() if k != "name"}
    assert {k: v for k, v in again.get_config().items() if k != "name"} == kept
    assert (tmp_path / "preset" / "model.weights.json").exists() == (max_shard_size is not None)


def test_a_task_comes_back_whole(tiny_task, saved_task):
    again = CausalLM.from_preset(saved_task)
    assert type(again) is GPT2CausalLM
    assert again.preset == str(saved_task)
    assert same_weights(again.backbone, tiny_task.backbone)
    assert again.preprocessor.sequence_length == 12
    ids = tiny_task.preprocessor.tokenizer.tokenize(TEXT)
    assert again.preprocessor.tokenizer.tokenize(TEXT) == ids
    assert again.preprocessor.tokenizer.detokenize(ids) == TEXT


def test_saving_twice_writes_the_same_files(tiny_task, saved_task, tmp_path):
    CausalLM.from_preset(saved_task).save_to_preset(tmp_path / "again")
    for name in ("config.json", "task.json", "preprocessor.json", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_text() == (saved_task / name).read_text()


def test_parts_load_by_themselves(saved_task):
    assert isinstance(GPT2Backbone.from_preset(saved_task), GPT2Backbone)
    preprocessor = load_preprocessor(saved_task, GPT2CausalLMPreprocessor, sequence_length=5)
    assert preprocessor.sequence_length == 5
    tokenizer = load_tokenizer(saved_task, GPT2Tokenizer)
    assert tokenizer.vocabulary_size() == 258


def test_parts_are_saved_by_themselves(tiny_task, tmp_path):
    save_preset(tiny_task.preprocessor.tokenizer, tmp_path / "tokenizer")
    assert load_tokenizer(tmp_path / "tokenizer", GPT2Tokenizer).vocabulary_size() == 258
    save_preset(tiny_task.preprocessor, tmp_path / "parts")
    with refused("no backbone"):
        GPT2Backbone.from_preset(tmp_path / "parts")
    save_preset(tiny_task.backbone, tmp_path / "parts")
    again = CausalLM.from_preset(tmp_path / "parts")
    assert again.preprocessor.sequence_length == 12
    assert same_weights(again.backbone, tiny_task.backbone)


def test_a_task_without_preprocessor_has_none_again(tiny_task, saved_task, tmp_path):
    folder = shutil.copytree(saved_task, tmp_path / "preset")
    GPT2CausalLM(tiny_task.backbone).save_to_preset(folder)
    assert CausalLM.from_preset(folder).preprocessor is None
    assert not (folder / "preprocessor.json").exists()


def test_parts_can_be_replaced_while_loading(tiny_task, saved_task):
    again = CausalLM.from_preset(saved_task, preprocessor=None)
    assert again.preprocessor is None
    again = CausalLM.from_preset(saved_task, dropout=0.0)
    assert again.backbone.get_config()["dropout"] == 0.0
    with refused("nonsense"):
        CausalLM.from_preset(saved_task, nonsense=1)


def test_random_weights_need_no_weight_file(saved_task, tiny_task, tmp_path):
    folder = shutil.copytree(saved_task, tmp_path / "preset")
    (folder / "model.weights.h5").unlink()
    with refused(r"model\.weights\.h5"):
        CausalLM.from_preset(folder)
    random = CausalLM.from_preset(folder, load_weights=False)
    assert not same_weights(random.backbone, tiny_task.backbone)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "auto", None])
def test_an_asked_for_dtype_is_obeyed(tmp_path, dtype):
    backbone = LlamaBackbone.from_preset(write_llama(tmp_path), dtype=dtype)
    expected = dtype if dtype not in ("auto", None) else "float32"
    assert {v.dtype for v in backbone.weights} == {expected}


def test_bfloat16_weights_are_saved_as_they_are(tmp_path):
    backbone = LlamaBackbone.from_preset(write_llama(tmp_path / "in"), dtype="bfloat16")
    backbone.save_to_preset(tmp_path / "out")
    again = LlamaBackbone.from_preset(tmp_path / "out", dtype="bfloat16")
    assert same_weights(again, backbone)
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["parameter_count"] == backbone.count_params()


def test_a_transformers_folder_saved_as_keras_hub_is_the_same_model(tmp_path):
    backbone = LlamaBackbone.from_preset(write_llama(tmp_path / "in"))
    backbone.save_to_preset(tmp_path / "out")
    assert same_weights(Backbone.from_preset(tmp_path / "out"), backbone)


def test_a_transformers_folder_gives_its_context_and_its_start_token(tmp_path):
    folder = write_llama(tmp_path / "in", vocab_size=257, tie_word_embeddings=True)
    library = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "<s>": 1}, []))
    library.decoder = tokenizers.decoders.ByteLevel()
    library.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "<s>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    task = CausalLM.from_preset(folder, load_weights=False)
    assert task.preprocessor.sequence_length == 64
    assert task.preprocessor.prompt_ids("a") == [1, 0]
    task.save_to_preset(tmp_path / "out")
    again = CausalLM.from_preset(tmp_path / "out")
    assert again.preprocessor.prompt_ids("aa") == [1, 0, 0]
    assert again.preprocessor.tokenizer.end_token_id == 1
    (folder / "tokenizer.json").unlink()
    assert CausalLM.from_preset(folder, load_weights=False).preprocessor is None


def test_lora_is_merged_into_what_is_saved(tmp_path):
    backbone = BACKBONES["gpt2"]()
    backbone.enable_lora(2)
    noise = np.random.default_rng(0)
    for variable in backbone.trainable_variables:
        variable.assign(noise.normal(size=variable.shape))
    backbone.save_to_preset(tmp_path / "preset")
    again = GPT2Backbone.from_preset(tmp_path / "preset")
    ids = np.arange(6)[None] % 13
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    np.testing.assert_allclose(again(inputs), backbone(inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stated", [[], {"../x": "0"}, {"model.weights.h5": 3}, {"none.h5": "0"}])
def test_an_odd_manifest_is_refused(saved_task, tmp_path, stated):
    folder = shutil.copytree(saved_task, tmp_path / "preset")
    (folder / "metadata.json").write_text(json.dumps({KEY: stated}))
    with refused():
        GPT2Backbone.from_preset(folder)


PEER = r"""
import json, sys
import numpy as np
import keras_hub
for folder in sys.argv[1:]:
    task = keras_hub.models.CausalLM.from_preset(folder, dtype="float32")
    ids = np.arange(10)[None] % 13
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    print(json.dumps(np.asarray(task(inputs), "float64").tolist()))
    task.save_to_preset(folder + "_by_keras_hub")
"""


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub not installed")
def test_keras_hub_reads_what_we_write_and_we_read_what_it_writes(tiny_task, tmp_path):
    folders = [tmp_path / "whole", tmp_path / "sharded"]
    tiny_task.save_to_preset(folders[0])
    tiny_task.save_to_preset(folders[1], max_shard_size=1e-5)
    done = subprocess.run(
        [sys.executable, "-c", PEER, *map(str, folders)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr
    ids = np.arange(10)[None] % 13
    ours = np.asarray(tiny_task({"token_ids": ids, "padding_mask": np.ones_like(ids)}))
    for folder, line in zip(folders, done.stdout.splitlines(), strict=True):
        np.testing.assert_allclose(np.asarray(json.loads(line)), ours, atol=1e-5)
        again = CausalLM.from_preset(Path(f"{folder}_by_keras_hub"))
        assert same_weights(again.backbone, tiny_task.backbone)
