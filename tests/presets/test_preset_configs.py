"""S6, S7: what the JSON files of a preset may say. Absurd numbers and hostile objects go no further
than the file they stand in."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path

import pytest
from preset_files import nothing_opened_outside, refused, write_llama

from workbench.backbones.backbone import Backbone
from workbench.errors import PresetError
from workbench.families.gemma import GemmaCausalLM
from workbench.families.gpt2 import GPT2Backbone, GPT2CausalLM, GPT2Tokenizer
from workbench.families.llama import LlamaBackbone
from workbench.families.registry import families
from workbench.formats.policies import read_policy, write_policy
from workbench.formats.settings import Settings
from workbench.storage.json_files import parse_json
from workbench.tasks.causal_lm import CausalLM


@pytest.fixture
def preset(saved_task, tmp_path):
    return shutil.copytree(saved_task, tmp_path / "preset")


def edit(path: Path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


NUMBERS = [2**31, 2**40, 10**400, -1, 0, True, "12", 2.5, [2], None, {}, 1e300]
KEYS = {
    "transformers": ["num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads"],
    "keras_hub": ["num_layers", "hidden_dim", "vocabulary_size", "max_sequence_length"],
}


@pytest.mark.parametrize("load_weights", [True, False], ids=["weights", "random"])
@pytest.mark.parametrize("key", KEYS["transformers"])
def test_s6_impossible_numbers_in_a_transformers_config(tmp_path, key, load_weights):
    for number in NUMBERS:
        folder = write_llama(tmp_path, **{key: number})
        with refused(), nothing_opened_outside(folder):
            LlamaBackbone.from_preset(folder, load_weights=load_weights)


@pytest.mark.parametrize("load_weights", [True, False], ids=["weights", "random"])
@pytest.mark.parametrize("key", KEYS["keras_hub"])
def test_s6_impossible_numbers_in_a_keras_hub_config(preset, key, load_weights):
    for number in NUMBERS:
        edit(preset / "config.json", lambda c, n=number: c["config"].update({key: n}))
        with refused(), nothing_opened_outside(preset):
            GPT2Backbone.from_preset(preset, load_weights=load_weights)


@pytest.mark.parametrize("load_weights", [True, False], ids=["weights", "random"])
def test_s6_a_million_layers(tmp_path, preset, load_weights):
    with refused():
        folder = write_llama(tmp_path, num_hidden_layers=10**6)
        LlamaBackbone.from_preset(folder, load_weights=load_weights)
    edit(preset / "config.json", lambda c: c["config"].update(num_layers=10**6))
    with refused():
        GPT2Backbone.from_preset(preset, load_weights=load_weights)


@pytest.mark.parametrize("rope", [{"rope_theta": 0}, {"rope_theta": "big"}, {"rope_theta": True}])
def test_s6_impossible_rope_settings(tmp_path, rope):
    with refused():
        LlamaBackbone.from_preset(write_llama(tmp_path, **rope))


BAD_JSON = {
    "empty": b"",
    "list": b"[]",
    "number": b"3",
    "not UTF-8": b'{"model_type": "\xff"}',
    "NaN": b'{"model_type": NaN}',
    "infinite": b'{"model_type": 1e999}',
    "duplicate key": b'{"model_type": "llama", "model_type": "gpt2"}',
    "nested duplicate": b'{"model_type": "llama", "a": {"b": 1, "b": 2}}',
    "depth 200k": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "depth 200k, lists": b"[" * 200_000 + b"]" * 200_000,
    "brackets in a string, then depth": b'{"a\\"[[[":' + b"[" * 70 + b"]" * 70 + b"}",
    "unfinished": b'{"model_type": "llama"',
    "50 MB": b'{"a": "' + b"x" * (50 * 2**20) + b'"}',
    "digits": b'{"a": ' + b"9" * 100_000 + b"}",
    "surrogate": b'{"\\ud800": "\\udfff"}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_s6_what_is_no_config_is_refused(tmp_path, name):
    folder = write_llama(tmp_path)
    (folder / "config.json").write_bytes(BAD_JSON[name])
    with refused(seconds=1), nothing_opened_outside(folder):
        LlamaBackbone.from_preset(folder)


def test_brackets_in_strings_do_not_count_as_depth():
    text = {"template": "[{" * 500 + '\\"' + "}" * 300, "list": [[1]]}
    assert parse_json(json.dumps(text).encode(), "a.json") == text


def test_messages_do_not_repeat_large_files(tmp_path):
    folder = write_llama(tmp_path, **{"k" * 100_000: "v" * 500_000})
    with refused("not understood"):
        LlamaBackbone.from_preset(folder)


# S7


CANARY: list[str] = []

HOSTILE = {
    "os.system": {
        "module": "os",
        "class_name": "system",
        "config": {"command": "exit"},
        "registered_name": "os>system",
    },
    "known class, lying module": {
        "module": "antigravity",
        "class_name": "GPT2Backbone",
        "config": {},
        "registered_name": "keras_hub>GPT2Backbone",
    },
    "known name, other class": {
        "module": "keras_hub.src.models.gpt2.gpt2_backbone",
        "class_name": "Lambda",
        "config": {},
        "registered_name": "keras_hub>GPT2Backbone",
    },
    "other library": {
        "module": "keras_hub.src.models.gpt2.gpt2_backbone",
        "class_name": "GPT2Backbone",
        "config": {},
        "registered_name": "evil>GPT2Backbone",
    },
    "keras layer": {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"units": 1},
        "registered_name": None,
    },
    "lambda layer": {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
        "registered_name": None,
    },
    "lambda": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}},
    "function": {
        "module": "builtins",
        "class_name": "function",
        "config": "eval",
        "registered_name": "function",
    },
    "get_file": {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
    },
    "string": "os.system",
    "list": ["keras_hub>GPT2Backbone"],
    "compile settings": {"compile_config": {"optimizer": "adam"}},
}


def put(*keys):
    """A position in a file: where the hostile value goes."""

    def change(content, value):
        *path, last = keys
        for key in path:
            content = content[key]
        content[last] = value

    return change


POSITIONS = {
    "config.json": ("config.json", lambda content, v: content.clear() or content.update(_dict(v))),
    "a setting": ("config.json", put("config", "hidden_dim")),
    "a setting nobody knows": ("config.json", put("config", "extra")),
    "dtype": ("config.json", put("config", "dtype")),
    "compile_config": ("config.json", put("compile_config")),
    "task: backbone": ("task.json", put("config", "backbone")),
    "task: preprocessor": ("task.json", put("config", "preprocessor")),
    "preprocessor: tokenizer": ("preprocessor.json", put("config", "tokenizer")),
    "tokenizer: proto": ("preprocessor.json", put("config", "tokenizer", "config", "vocabulary")),
    "build_config": ("config.json", put("build_config")),
}


def _dict(value):
    return value if isinstance(value, dict) else {"registered_name": value}


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("attack", HOSTILE)
def test_s7_hostile_objects_are_refused_wherever_they_stand(preset, position, attack):
    file, change = POSITIONS[position]
    if position == "build_config" and attack in ("string", "list"):
        pytest.skip("plain values that nothing reads")
    edit(preset / file, lambda content: change(content, copy.deepcopy(HOSTILE[attack])))
    before = set(sys.modules)
    with refused(), nothing_opened_outside(preset):
        CausalLM.from_preset(preset)
    assert set(sys.modules) <= before
    assert not CANARY


def test_s7_old_names_and_keys_of_keras_nlp_are_read(preset):
    def old(content):
        content["registered_name"] = "keras_nlp>GPT2Backbone"
        content["module"] = "keras_nlp.models.gpt2.gpt2_backbone"
        content |= {"assets": [], "weights": "model.weights.h5", "build_config": {"shape": [None]}}
        content["config"]["dtype"]["class_name"] = "FloatDTypePolicy"

    (preset / "task.json").unlink()
    edit(preset / "config.json", old)
    assert isinstance(GPT2Backbone.from_preset(preset), GPT2Backbone)


def quantized_policy(mode, **config):
    class_name = "QuantizedDTypePolicy"
    config = {"mode": mode, "source_name": None, **config}
    return {"module": "keras.dtype_policies", "class_name": class_name, "config": config}


def policy_map(layers, default=None):
    config = {"default_policy": default, "policy_map": layers}
    return {"module": "keras.dtype_policies", "class_name": "DTypePolicyMap", "config": config}


def test_maps_of_int8_policies_are_read():
    layers = {"a/query": quantized_policy("int8"), "a/norm": "float32"}
    assert read_policy(policy_map(layers), "config.json", "dtype") == "int8"


@pytest.mark.parametrize(
    "policy",
    [
        {"module": "keras", "class_name": "DTypePolicyMap", "config": {"name": "map"}},
        policy_map({}),
        policy_map([quantized_policy("int8")]),
        policy_map({"a": quantized_policy("int8"), "b": quantized_policy("gptq")}),
        policy_map({"a": {**quantized_policy("int8"), "module": "os"}}),
        policy_map({"a": quantized_policy("int8", source_name="float8")}),
        policy_map({"a": quantized_policy("int8")}, default="float8"),
        quantized_policy("int4"),
        {**write_policy("int4"), "config": {"group": 64}},
    ],
    ids=str,
)
def test_policies_that_are_not_known_are_refused(policy):
    with pytest.raises(PresetError):
        read_policy(policy, "config.json", "dtype")


def test_a_tokenizer_cannot_be_quantized(preset):
    edit(preset / "tokenizer.json", lambda c: c["config"].update(dtype=write_policy("int8")))
    with refused("plain values"):
        GPT2Tokenizer.from_preset(preset)


def test_unknown_and_missing_settings_are_named(preset):
    edit(preset / "config.json", lambda c: c["config"].update(hidden_size=8))
    with refused("hidden_size"):
        GPT2Backbone.from_preset(preset)
    edit(
        preset / "config.json",
        lambda c: (c["config"].pop("hidden_size"), c["config"].pop("num_layers")),
    )
    with refused("num_layers"):
        GPT2Backbone.from_preset(preset)


def test_a_task_that_contradicts_its_backbone_is_refused(preset):
    edit(preset / "task.json", lambda c: c["config"]["backbone"]["config"].update(dropout=0.5))
    with refused("dropout"):
        CausalLM.from_preset(preset)


def test_the_wrong_class_is_named_with_the_right_one(preset):
    with refused(r"expected GPT2CausalLM.from_preset.*got GemmaCausalLM"):
        GemmaCausalLM.from_preset(preset)
    with refused("expected GPT2Backbone"):
        LlamaBackbone.from_preset(preset)
    assert type(CausalLM.from_preset(preset)) is GPT2CausalLM
    assert type(Backbone.from_preset(preset)) is GPT2Backbone


def test_a_users_subclass_is_built_as_asked(preset):
    class Mine(GPT2CausalLM):
        pass

    assert type(Mine.from_preset(preset)) is Mine


def test_linked_and_missing_assets_are_refused(preset, tmp_path):
    asset = preset / "assets" / "tokenizer" / "merges.txt"
    secret = tmp_path / "secret.txt"
    shutil.move(asset, secret)
    with refused("no such file"):
        CausalLM.from_preset(preset)
    asset.symlink_to(secret)
    with refused("inside the preset"), nothing_opened_outside(preset):
        CausalLM.from_preset(preset)


def test_an_asset_folder_that_leads_elsewhere_is_refused(preset):
    edit(preset / "tokenizer.json", lambda c: c["config"].update(config_file="../../x.json"))
    with refused("file name"), nothing_opened_outside(preset):
        from workbench.presets.load import load_tokenizer

        load_tokenizer(preset, GPT2Tokenizer)


# Transformers configs


def test_both_generations_of_rope_settings_are_read():
    scaling = {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    expected = {"rope_theta": 5e5, "rope_type": "llama3", **scaling}
    for config in (
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **scaling}},
        {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **scaling}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **scaling}},
        {"rope_theta": 5e5, "rope_parameters": {"rope_type": "llama3", **scaling}},
    ):
        settings = Settings(config)
        assert settings.rope(kinds=("default", "llama3")) == expected
        settings.finish()
    assert Settings({}).rope(1e4) == {"rope_theta": 1e4, "rope_type": "default"}
    assert Settings({"rope_scaling": None, "rope_theta": 7}).rope()["rope_theta"] == 7


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": {"type": "yarn", "factor": 2.0}},
        {"rope_scaling": {"type": "linear"}},
        {"rope_scaling": {"type": "linear", "factor": 2.0, "mscale": 1}},
        {"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}},
        {"rope_scaling": {"type": ["linear"], "factor": 2.0}},
        {"rope_scaling": [1]},
        {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 2e4, "rope_type": "default"}},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        {
            "rope_parameters": {"rope_type": "linear", "factor": 2.0},
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        },
    ],
    ids=str,
)
def test_other_rope_settings_are_refused(config):
    with refused("rope"):
        Settings(config).rope(kinds=("default", "linear", "llama3"))


# What the releases' own config.json files say, beyond what Transformers 5 writes.
RELEASES = {
    "bloom": {
        "attention_softmax_in_fp32": True,
        "bias_dropout_fusion": True,
        "bos_token_id": 1,
        "masked_softmax_fusion": True,
        "model_type": "bloom",
        "n_embed": 1024,
        "n_inner": None,
        "n_layer": 24,
        "num_attention_heads": 16,
        "offset_alibi": 100,
        "pretraining_tp": 1,
        "seq_length": 2048,
        "skip_bias_add": True,
        "skip_bias_add_qkv": False,
        "unk_token_id": 0,
        "vocab_size": 250880,
    },
    "falcon": {
        "alibi": False,
        "apply_residual_connection_post_layernorm": False,
        "auto_map": {"AutoConfig": "configuration_falcon.FalconConfig"},
        "bias": False,
        "hidden_size": 4544,
        "model_type": "falcon",
        "multi_query": True,
        "n_head": 71,
        "n_layer": 32,
        "parallel_attn": True,
        "vocab_size": 65024,
    },
    "gemma2": {
        "attn_logit_softcapping": 50.0,
        "cache_implementation": "hybrid",
        "final_logit_softcapping": 30.0,
        "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 3584,
        "intermediate_size": 14336,
        "max_position_embeddings": 8192,
        "model_type": "gemma2",
        "num_attention_heads": 16,
        "num_hidden_layers": 42,
        "num_key_value_heads": 8,
        "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "sliding_window_size": 4096,
        "vocab_size": 256000,
    },
    "phi3": {
        "attention_bias": False,
        "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"},
        "hidden_act": "silu",
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 131072,
        "model_type": "phi3",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"type": "su", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48},
        "rope_theta": 10000.0,
        "sliding_window": 262144,
        "tie_word_embeddings": False,
        "vocab_size": 32064,
    },
}


@pytest.mark.parametrize("model_type", RELEASES)
def test_the_releases_own_settings_are_understood(model_type):
    config = RELEASES[model_type]
    files = [family.transformers for family in families() if family.transformers]
    found = next(each for each in files if each.model_type == model_type)
    arguments = found.arguments(config)
    heads = config.get("num_attention_heads", config.get("n_head"))
    assert heads in arguments.values()
    assert arguments["hidden_dim"] == config.get("hidden_size", config.get("n_embed"))
    assert found.arguments(found.config(arguments)) == arguments


def test_two_names_of_a_setting_with_two_values_are_refused():
    bloom = next(family.transformers for family in families() if family.name == "bloom")
    with refused("n_layer"):
        bloom.arguments({**RELEASES["bloom"], "num_hidden_layers": 25})


def test_settings_not_understood_are_refused_together():
    config = {"n_embd": 1, "b": None, "c": False, "d": "x", "use_cache": True, "e": [1], "f": 3}
    settings = Settings(config)
    assert settings.take("n_embd") == 1
    with refused(r"(?s)'d': 'x'.*'e'") as caught:
        settings.finish(defaults={"f": 3})
    assert "'b'" not in str(caught.value)
    assert "use_cache" not in str(caught.value)
    with refused("expected a value, got none"):
        settings.take("n_embd")
    for value in (1, "true", [True], {}):
        with refused("scale_embedding: expected true or false"):
            Settings({"scale_embedding": value}).take("scale_embedding", False)
    with refused("which is all this family has"):
        Settings({"act": "relu"}).expect("act", "silu")


def test_every_setting_of_a_config_matters_or_is_refused(tmp_path):
    for key in (
        "attention_bias",
        "mlp_bias",
        "quantization_config",
        "sliding_window",
        "layer_types",
    ):
        value = {"layer_types": ["sliding_attention"], "quantization_config": {"bits": 4}}
        with refused(key):
            LlamaBackbone.from_preset(write_llama(tmp_path, **{key: value.get(key, True)}))


def test_an_unknown_model_type_is_named(tmp_path):
    with refused("'mamba' is not a family"):
        Backbone.from_preset(write_llama(tmp_path, model_type="mamba"))
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50"}))
    with refused("registered_name or model_type"):
        Backbone.from_preset(tmp_path)
