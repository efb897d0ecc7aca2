"""Equal outputs to the reference libraries, through the loader users call.

The folders hold tiny random checkpoints with what Transformers 5.23 and KerasHub 0.32 computed
from them (`data/goldens/make_transformers.py` and `make_keras_hub.py` show how).
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb

TOLERANCE = 1e-4  # float32 logits, absolute

# KerasHub presets and their classes.
KERAS_HUB = {
    "bloom": "BloomCausalLM",
    "falcon": "FalconCausalLM",
    "gemma": "GemmaCausalLM",
    "gemma2": "GemmaCausalLM",
    "gemma3_text": "Gemma3CausalLM",
    "gpt2": "GPT2CausalLM",
    "gpt_neo_x": "GPTNeoXCausalLM",
    "llama": "LlamaCausalLM",
    "llama3": "Llama3CausalLM",
    "llama_int8": "LlamaCausalLM",
    "llama_sharded": "LlamaCausalLM",
    "mistral": "MistralCausalLM",
    "mixtral": "MixtralCausalLM",
    "opt": "OPTCausalLM",
    "phi3": "Phi3CausalLM",
    "phi3_su_long": "Phi3CausalLM",
    "phi3_su_short": "Phi3CausalLM",
    "qwen": "QwenCausalLM",
    "qwen3": "Qwen3CausalLM",
    "qwen3_moe": "Qwen3MoeCausalLM",
    "qwen_moe": "QwenMoeCausalLM",
    "smollm3": "SmolLM3CausalLM",
}
# Settings with which KerasHub computed its outputs, where they are not the ones it wrote down: it
# ignores query_head_dim_normalize=False and scales as if it were True.
OVERRIDES = {"gemma2": {"query_head_dim_normalize": True}}
# Where the ids agree and KerasHub writes other text.
OTHER_STRINGS = {
    "falcon": "KerasHub pads with id 0, which ends a text in this vocabulary",
    "smollm3": "KerasHub leaves out <think> and </think>, which a reply keeps here",
    "phi3": "KerasHub leaves out unknown tokens, whose id it pads with, and writes out turn tokens",
}
TRANSFORMERS = {
    "bloom": "BloomCausalLM",
    "falcon_alibi": "FalconCausalLM",
    "falcon_new": "FalconCausalLM",
    "falcon_rope_mqa": "FalconCausalLM",
    "gemma": "GemmaCausalLM",
    "gemma2": "GemmaCausalLM",
    "gemma3_text": "Gemma3CausalLM",
    "gpt2": "GPT2CausalLM",
    "gpt_neox": "GPTNeoXCausalLM",
    "gpt_neox_sequential": "GPTNeoXCausalLM",
    "llama": "LlamaCausalLM",
    "llama3_rope": "LlamaCausalLM",
    "llama_tied": "LlamaCausalLM",
    "mistral_window": "MistralCausalLM",
    "mixtral": "MixtralCausalLM",
    "olmo2": "Olmo2CausalLM",
    "opt": "OPTCausalLM",
    "phi3": "Phi3CausalLM",
    "phi3_longrope": "Phi3CausalLM",
    "qwen2": "QwenCausalLM",
    "qwen2_moe": "QwenMoeCausalLM",
    "qwen2_moe_dense": "QwenMoeCausalLM",  # two of its four layers have experts
    "qwen3": "Qwen3CausalLM",
    "qwen3_moe": "Qwen3MoeCausalLM",
    "smollm3": "SmolLM3CausalLM",
    "vaultgemma": "GemmaCausalLM",
}


def forward(lm, ids, mask):
    # Beside integers activations are rounded: where a compiled program differs in a last bit, one
    # may move by a whole step. The reference computed operation by operation.
    run = lm if lm.backbone.quantization else lm.predict_on_batch
    return np.asarray(run({"token_ids": ids, "padding_mask": mask}), np.float32)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_folders(name):
    folder = GOLDENS / "hf" / name
    golden = np.load(folder / "golden.npz")
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    assert type(lm).__name__ == TRANSFORMERS[name]
    ids = golden["input_ids"].astype("int32")
    mask = np.ones_like(ids)
    np.testing.assert_allclose(forward(lm, ids, mask), golden["logits"], atol=TOLERANCE)
    room = ((0, 0), (0, golden["greedy"].shape[1] - ids.shape[1]))
    arrays = {"token_ids": np.pad(ids, room), "padding_mask": np.pad(mask, room)}
    out = lm.generate(arrays, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["token_ids"], golden["greedy"])


@pytest.fixture(scope="module", params=KERAS_HUB)
def keras_hub(request):
    folder = GOLDENS / "keras_hub" / request.param
    settings = OVERRIDES.get(request.param, {})
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32", **settings)
    assert type(lm).__name__ == KERAS_HUB[request.param]
    return lm, np.load(folder / "golden.npz"), json.loads((folder / "golden.json").read_text())


def test_keras_hub_logits(keras_hub):
    lm, golden, _ = keras_hub
    real = golden["in_padding_mask"].astype(bool)  # padding's own logits mean nothing
    logits = forward(lm, golden["in_token_ids"], golden["in_padding_mask"])
    np.testing.assert_allclose(logits[real], golden["logits"][real], atol=TOLERANCE)


def test_keras_hub_ids(keras_hub):
    lm, golden, _ = keras_hub
    arrays = {name: golden[f"gen_in_{name}"] for name in ("token_ids", "padding_mask")}
    out = lm.generate(arrays, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["token_ids"], golden["gen_out"])


def test_keras_hub_strings(keras_hub):
    lm, _, golden = keras_hub
    if golden["name"] in OTHER_STRINGS:
        pytest.skip(OTHER_STRINGS[golden["name"]])
    # KerasHub stops at the end token alone, not where a chat's turn ends.
    ends = [lm.preprocessor.tokenizer.end_token_id]
    length = golden["max_length"]
    made = lm.generate(golden["prompts"], length, stop_token_ids=ends, sampler="greedy")
    assert made == golden["generated"]


def test_keras_hub_token_ids(keras_hub):
    lm, _, golden = keras_hub
    for text, ids in golden["tokenizer"]["ids"].items():
        assert lm.preprocessor.tokenizer(text) == ids, text


def test_the_scale_of_27b_models_is_honoured():
    """The one golden where the reference departs from what its own file says."""
    folder = GOLDENS / "keras_hub" / "gemma2"
    golden = np.load(folder / "golden.npz")
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    logits = forward(lm, golden["in_token_ids"], golden["in_padding_mask"])
    assert np.abs(logits - golden["logits"]).max() > 0.1


def test_bfloat16_weights_load_exactly_and_compute_in_the_asked_precision():
    folder = GOLDENS / "keras_hub" / "llama_bfloat16"
    golden = np.load(folder / "golden.npz")
    inputs = golden["in_token_ids"], golden["in_padding_mask"]
    wide = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    narrow = wb.models.CausalLM.from_preset(str(folder), dtype="bfloat16")
    assert {variable.dtype for variable in narrow.backbone.variables} == {"bfloat16"}
    for one, other in zip(wide.backbone.variables, narrow.backbone.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other).astype("float32"))
    # 8 bits of mantissa over three layers: a few hundredths of the logits' range.
    spread = np.abs(golden["logits"]).max()
    assert np.abs(forward(wide, *inputs) - golden["logits"]).max() < 0.05 * spread
    assert np.abs(forward(narrow, *inputs) - golden["logits"]).max() < 0.05 * spread
