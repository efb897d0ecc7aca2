"""The code of KerasHub's pages on CausalLM and GemmaBackbone runs under the workbench's name.

Tiny presets stand in folders named like the big ones, so the calls are the documentation's own.
The blocks run in one process with eight virtual devices, as the last one wants them.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tiny import GOLDENS, byte_tokenizer

import workbench as wb

CAUSAL_LM = """
causal_lm = keras_hub.models.CausalLM.from_preset(
    "gpt2_base_en",
)
causal_lm.compile(sampler="top_k")
causal_lm.generate("Keras is a", max_length=64)

causal_lm = keras_hub.models.CausalLM.from_preset(
    "llama2_instruct_7b_en",
    dtype="bfloat16",
)
causal_lm.compile(sampler="greedy")
causal_lm.generate("Keras is a", max_length=64)

causal_lm = keras_hub.models.CausalLM.from_preset(
    "gemma_2b_en",
)
assert isinstance(causal_lm, keras_hub.models.GemmaCausalLM)
keras_hub.models.GemmaCausalLM.presets.keys()
causal_lm.preprocessor, causal_lm.backbone
causal_lm.save_to_preset("saved", max_shard_size=10)
"""

GEMMA_BACKBONE = """
input_data = {
    "token_ids": np.ones(shape=(1, 12), dtype="int32"),
    "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]]),
}

# Pretrained Gemma decoder.
model = keras_hub.models.GemmaBackbone.from_preset("gemma_2b_en")
model(input_data)

# Randomly initialized Gemma decoder with custom config.
model = keras_hub.models.GemmaBackbone(
    vocabulary_size=50257,
    num_layers=12,
    num_query_heads=12,
    num_key_value_heads=1,
    hidden_dim=768,
    intermediate_dim=3072,
    head_dim=64,
)
model(input_data)

# Load a Gemma backbone with pre-trained weights.
model = keras_hub.models.Backbone.from_preset(
    "gemma_2b_en",
)
# Load one with a pre-trained config and random weights.
model = keras_hub.models.Backbone.from_preset(
    "gemma_2b_en",
    load_weights=False,
)
assert model.token_embedding(np.array([[1, 2]])).shape == (1, 2, 64)
model.enable_lora(4)
"""

LAYOUT_MAP = """
from keras_hub.models import GemmaBackbone
# Feel free to change the mesh shape to balance data and model parallel
mesh = keras.distribution.DeviceMesh(
    shape=(1, 8), axis_names=('batch', 'model'),
    devices=keras.distribution.list_devices())
layout_map = GemmaBackbone.get_layout_map(
    mesh, model_parallel_dim_name="model")

distribution = keras.distribution.ModelParallel(
    layout_map=layout_map, batch_dim_name='batch')
with distribution.scope():
    gemma_model = keras_hub.models.GemmaCausalLM.from_preset("gemma_2b_en")
kernel = gemma_model.backbone.blocks[0].attention.query.kernel
assert len(kernel.value.sharding.device_set) == 8, kernel.value.sharding
assert not kernel.value.sharding.is_fully_replicated
assert gemma_model.generate("Keras is a", max_length=40) == alone
"""

HEADER = """
import numpy as np
import sys
import workbench as keras_hub
import keras
sys.modules["keras_hub"] = keras_hub
"""


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A folder of tiny presets under the names the pages use."""
    folder = tmp_path_factory.mktemp("presets")
    models = wb.models
    gpt2 = models.GPT2Backbone(
        vocabulary_size=257,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=64,
    )
    preprocessor = models.GPT2CausalLMPreprocessor(byte_tokenizer(), sequence_length=64)
    models.GPT2CausalLM(gpt2, preprocessor).save_to_preset(folder / "gpt2_base_en")
    gemma = models.GemmaBackbone(
        vocabulary_size=296,
        num_layers=1,
        num_query_heads=8,
        num_key_value_heads=8,
        hidden_dim=64,
        intermediate_dim=128,
        head_dim=8,
    )
    tokenizer = models.GemmaTokenizer(
        GOLDENS / "keras_hub" / "gemma" / "assets" / "tokenizer" / "vocabulary.spm"
    )
    preprocessor = models.GemmaCausalLMPreprocessor(tokenizer, sequence_length=64)
    models.GemmaCausalLM(gemma, preprocessor).save_to_preset(folder / "gemma_2b_en")
    (folder / "llama2_instruct_7b_en").symlink_to(GOLDENS / "keras_hub" / "llama")
    return folder


def test_the_pages_run_as_written(presets):
    alone = 'alone = causal_lm.generate("Keras is a", max_length=40)\n'
    program = HEADER + CAUSAL_LM + alone + GEMMA_BACKBONE + LAYOUT_MAP
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=presets,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
