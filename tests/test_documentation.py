"""The code of KerasHub's pages runs under the workbench's name.

Tiny presets lie in the hub library's cache where the big ones would, so the calls are the
documentation's own. The blocks run in one process with eight virtual devices, as the last one
wants them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kagglehub.handle import parse_model_handle
from tiny import GOLDENS, byte_tokenizer

import workbench as wb
from workbench.presets.catalog import find
from workbench.presets.hubs import kaggle_cache
from workbench.presets.hubs.selection import ListedFile

CAUSAL_LM = """
causal_lm = keras_hub.models.CausalLM.from_preset(
    "gpt2_base_en",
)
causal_lm.compile(sampler="top_k")
causal_lm.generate("Keras is a", max_length=64)

causal_lm = keras_hub.models.CausalLM.from_preset(
    "mistral_instruct_7b_en",
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

BLOOM = """
bloom_lm = keras_nlp.models.BloomCausalLM.from_preset("bloom_560m_multi")
bloom_lm.generate("I want to say", max_length=30)
# Generate with batched prompts.
bloom_lm.generate(["This is a", "Where are you"], max_length=30)

bloom_lm = keras_nlp.models.BloomCausalLM.from_preset("bloom_560m_multi")
bloom_lm.compile(sampler="top_k")
bloom_lm.generate("I want to say", max_length=30)
bloom_lm.compile(sampler=keras_nlp.samplers.BeamSampler(num_beams=2))
bloom_lm.generate("I want to say", max_length=30)

prompt = {
    # Token ids for "<s> Keras is".
    "token_ids": np.array([[1, 46, 15762, 632, 3, 3, 3, 3, 3]] * 2),
    # Use `"padding_mask"` to indicate values that should not be overridden.
    "padding_mask": np.array([[1, 1, 1, 1, 0, 0, 0, 0, 0]] * 2),
}
bloom_lm = keras_nlp.models.BloomCausalLM.from_preset(
    "bloom_560m_multi",
    preprocessor=None,
)
bloom_lm.generate(prompt)

features = ["The quick brown fox jumped.", "I forgot my homework."]
bloom_lm = keras_nlp.models.BloomCausalLM.from_preset("bloom_560m_multi")
bloom_lm.fit(x=features, batch_size=2)

x = {
    # Token ids for "<bos> Keras is deep learning library<eos>"
    "token_ids": np.array([[2, 214064, 603, 5271, 6044, 9581, 1, 0]] * 2),
    "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 0]] * 2),
}
y = np.array([[214064, 603, 5271, 6044, 9581, 3, 0, 0]] * 2)
sw = np.array([[1, 1, 1, 1, 1, 1, 0, 0]] * 2)
bloom_lm = keras_nlp.models.BloomCausalLM.from_preset(
    "bloom_560m_multi",
    preprocessor=None,
)
bloom_lm.fit(x=x, y=y, sample_weight=sw, batch_size=2)
"""

BLOOM_VOCABULARY = """
features = [
    " airplane at airport",
    " airplane airport",
]
vocab = ["<unk>", "<s>", "</s>", "<pad>"]
vocab += ["!", "air", "Ġair", "plane", "Ġat", "port"]
vocab = dict([(token, i) for i, token in enumerate(vocab)])
merges = ["Ġ a", "Ġ t", "Ġ i", "Ġ b", "a i", "p l", "n e"]
merges += ["Ġa t", "p o", "r t", "Ġt h", "ai r", "pl a", "po rt"]
merges += ["Ġai r", "Ġa i", "pla ne"]
warnings.simplefilter("always")  # merges of pieces that this vocabulary lacks are dropped
with warnings.catch_warnings(record=True) as told:
    tokenizer = keras_nlp.models.BloomTokenizer(vocabulary=vocab, merges=merges)
assert "merges need tokens that the vocabulary lacks" in str(told[0].message), told
preprocessor = keras_nlp.models.BloomCausalLMPreprocessor(
    tokenizer=tokenizer,
    sequence_length=128,
)
backbone = keras_nlp.models.BloomBackbone(
    vocabulary_size=tokenizer.vocabulary_size(),
    num_layers=4,
    num_heads=4,
    hidden_dim=32,
    intermediate_dim=128,
)
bloom_lm = keras_nlp.models.BloomCausalLM(
    backbone=backbone,
    preprocessor=preprocessor,
)
bloom_lm.fit(x=features, batch_size=2)
"""

PHI3 = """
causal_lm = keras_hub.models.CausalLM.from_preset(
    "gemma_2b_en",
)
causal_lm = keras_hub.models.Phi3CausalLM(
    backbone=keras_hub.models.Phi3Backbone(
        vocabulary_size=20,
        num_layers=1,
        hidden_dim=16,
        intermediate_dim=16,
        num_query_heads=2,
        num_key_value_heads=1,
    )
)
assert causal_lm.preprocessor is None
causal_lm.backbone
# Load a Bert classification task.
model = keras_hub.models.TextClassifier.from_preset(
    "bert_base_en",
    num_classes=2,
)
assert model.predict(["What an amazing movie!"]).shape == (1, 2)
"""

PALI_GEMMA = r"""
image = np.random.rand(224, 224, 3)
pali_gemma_lm = keras_hub.models.PaliGemmaCausalLM.from_preset(
    "pali_gemma_3b_mix_224"
)
made = pali_gemma_lm.generate(
  {
    "images": image,
    "text": ["answer en where is the cow standing?\n"]
  }
)
assert len(made) == 1

# Generate with batched prompts.
made = pali_gemma_lm.generate(
  {
    "images": [image, image],
    "text": ["answer en where is the cow standing?\n", "caption en\n"]
  }
)
assert len(made) == 2

image = np.random.rand(224, 224, 3)
inputs = {
    "images": [image, image],
    # Token ids for "<bos> Keras is".
    "token_ids": np.array([[2, 214064, 603, 0, 0, 0, 0]] * 2),
    # Use `"padding_mask"` to indicate values that should not be overridden.
    "padding_mask": np.array([[1, 1, 1, 0, 0, 0, 0]] * 2),
}

pali_gemma_lm = keras_hub.models.PaliGemmaCausalLM.from_preset(
    "pali_gemma_3b_mix_224",
    preprocessor=None,
)
out = pali_gemma_lm.generate(inputs)
assert out["token_ids"].shape == (2, 7), out
assert (out["token_ids"][:, :3] == inputs["token_ids"][:, :3]).all(), out

# The defaults are 2.9 billion parameters.
from functools import partial
keras_hub.models.PaliGemmaBackbone = partial(
    keras_hub.models.PaliGemmaBackbone,
    vocabulary_size=290, num_layers=1, hidden_dim=16, intermediate_dim=32, head_dim=4,
    vit_patch_size=56, vit_num_heads=2, vit_hidden_dim=16, vit_num_layers=1,
)

tokenizer = keras_hub.models.PaliGemmaTokenizer(
    proto="proto.spm",
)
preprocessor = keras_hub.models.PaliGemmaCausalLMPreprocessor(
    tokenizer=tokenizer,
    sequence_length=128,
)
backbone = keras_hub.models.PaliGemmaBackbone()
pali_gemma_lm = keras_hub.models.PaliGemmaCausalLM(
    backbone=backbone,
    preprocessor=preprocessor,
)
made = pali_gemma_lm.generate({"images": image, "prompts": "caption en"}, max_new_tokens=3)
assert made.startswith("caption en")
"""

HEADER = """
import warnings
import numpy as np
import sys
import workbench as keras_hub
import workbench as keras_nlp
import keras
sys.modules["keras_hub"] = keras_hub
# The presets are tiny, the sizes that are known of their names are not.
import workbench.presets.memory
workbench.presets.memory.free_memory = lambda: 10**12
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of tiny presets under the names the pages use."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLEHUB_CACHE", str(folder))
        stand_in("gpt2_base_en", gpt2())
        stand_in("gemma_2b_en", gemma())
        stand_in("mistral_instruct_7b_en", GOLDENS / "keras_hub" / "mistral")
        stand_in("bloom_560m_multi", bloom())
        stand_in("pali_gemma_3b_mix_224", pali_gemma())
        stand_in("bert_base_en", GOLDENS / "keras_hub" / "bert_classifier")
    return folder


def stand_in(name, preset):
    """Put a task, or the folder of one, where the library would have downloaded the preset."""
    model = parse_model_handle(find(name).kaggle.removeprefix("kaggle://"))
    folder = kaggle_cache.folder_of(model)
    if isinstance(preset, Path):
        shutil.copytree(preset, folder)
    else:
        preset.save_to_preset(folder)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    kaggle_cache.remember(model, [ListedFile(file, 1) for file in files], weights=True)


def gpt2():
    models = wb.models
    backbone = models.GPT2Backbone(
        vocabulary_size=257,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=64,
    )
    preprocessor = models.GPT2CausalLMPreprocessor(byte_tokenizer(), sequence_length=64)
    return models.GPT2CausalLM(backbone, preprocessor)


def gemma():
    models = wb.models
    backbone = models.GemmaBackbone(
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
    return models.GemmaCausalLM(backbone, preprocessor)


def pali_gemma():
    """As many token ids as the page uses, and no more than that of anything else."""
    models = wb.models
    backbone = models.PaliGemmaBackbone(
        vocabulary_size=257_152,
        num_layers=1,
        num_query_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        head_dim=4,
        vit_patch_size=56,
        vit_num_heads=2,
        vit_hidden_dim=8,
        vit_num_layers=1,
        vit_intermediate_dim=8,
    )
    preprocessor = models.PaliGemmaCausalLMPreprocessor(
        models.PaliGemmaTokenizer(PROTO),
        models.PaliGemmaImageConverter((224, 224), scale=1 / 127.5, offset=-1.0),
        sequence_length=64,
    )
    return models.PaliGemmaCausalLM(backbone, preprocessor)


def bloom():
    """As many token ids as the page uses, and no more than that of anything else."""
    assets = GOLDENS / "keras_hub" / "bloom" / "assets" / "tokenizer"
    tokenizer = wb.models.BloomTokenizer(assets / "vocabulary.json", assets / "merges.txt")
    backbone = wb.models.BloomBackbone(
        vocabulary_size=250_880, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8
    )
    preprocessor = wb.models.BloomCausalLMPreprocessor(tokenizer, sequence_length=32)
    return wb.models.BloomCausalLM(backbone, preprocessor)


ALONE = 'alone = causal_lm.generate("Keras is a", max_length=40)\n'
PROTO = GOLDENS / "keras_hub" / "pali_gemma" / "assets" / "tokenizer" / "vocabulary.spm"
PAGES = {
    "causal_lm_and_gemma": CAUSAL_LM + ALONE + GEMMA_BACKBONE + LAYOUT_MAP,
    "pali_gemma": PALI_GEMMA,
    "bloom_and_phi3": BLOOM + BLOOM_VOCABULARY + PHI3,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_run_as_written(page, cache, tmp_path):
    shutil.copy(PROTO, tmp_path / "proto.spm")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEADER + PAGES[page]],
        cwd=tmp_path,
        env={
            **os.environ,
            "KAGGLEHUB_CACHE": str(cache),
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
