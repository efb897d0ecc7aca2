"""PEFT folders, both ways: `data/lora/peft` holds what PEFT 0.21 wrote for golden checkpoints, and
what Transformers 5.23 computed with it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from adapter_files import (
    ATTENTION,
    EVERY,
    LORA,
    bare,
    random_adapter,
    refused,
    same_updates,
)
from damage import mutants
from safetensors.numpy import load_file, save_file
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.errors import AdapterError
from workbench.presets.adapters.peft import CONFIG, WEIGHTS, read_peft, write_peft
from workbench.presets.adapters.peft_config import parse_config
from workbench.storage.files import ADAPTER_CHECKSUMS

TOLERANCE = 1e-4  # float32 logits, absolute
PEFT = LORA / "peft"
WRITTEN = sorted(path.name for path in PEFT.iterdir())
FAMILIES = sorted(path.name for path in (GOLDENS / "hf").iterdir() if path.is_dir())
# Models whose logits are compared: plain, fused by rows, fused by heads, transposed, with
# pictures, with experts, with an encoder.
COMPARED = ["bart", "bloom", "gemma3_vision", "gpt2", "llama", "paligemma", "phi3", "qwen2_moe"]
COMPARED += ["t5gemma"]
PREFIX = "base_model.model."


def inputs_of(name):
    """The golden inputs of a checkpoint, as our model takes them."""
    golden = dict(np.load(GOLDENS / "hf" / name / "golden.npz"))
    ids = golden["input_ids"].astype("int32")
    if "decoder_input_ids" in golden:
        target = golden["decoder_input_ids"].astype("int32")
        return {
            "encoder_token_ids": ids,
            "encoder_padding_mask": golden["attention_mask"].astype("int32"),
            "decoder_token_ids": target,
            "decoder_padding_mask": np.ones_like(target),
        }
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    if "pixel_values" not in golden:
        return inputs
    pictures = golden["pixel_values"].transpose(0, 2, 3, 1)
    if name == "paligemma":
        text = ids[:, 16:]  # after the picture's places
        masks = {"padding_mask": np.ones_like(text), "response_mask": np.zeros_like(text)}
        return {"images": pictures, "token_ids": text, **masks}
    kinds = golden["token_type_ids"].astype("int32")
    return inputs | {"images": pictures[:, None], "vision_mask": kinds}


def logits_of(lm, name):
    """What the model makes of them, with the adapter it has now."""
    return np.asarray(jax.jit(lambda inputs: lm(inputs))(inputs_of(name)), np.float32)


@pytest.fixture
def llama_folder(tmp_path):
    """A copy of the Llama adapter, to damage."""
    shutil.copytree(PEFT / "llama", tmp_path / "adapter")
    return tmp_path / "adapter"


def edit(folder, **settings):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | settings))


def rewrite(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize("name", COMPARED)
def test_logits_are_those_of_peft(name):
    lm = wb.models.CausalLM.from_preset(str(GOLDENS / "hf" / name), dtype="float32")
    lm.adapters["peft"] = read_peft(PEFT / name, lm.backbone)
    lm.adapters.use("peft")
    logits = logits_of(lm, name)
    wanted = np.load(PEFT / name / "golden.npz")["logits"]
    if name == "paligemma":
        wanted = wanted[:, 16:]
    np.testing.assert_allclose(logits, wanted, atol=TOLERANCE)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_read_is_written_as_it_was(name, tmp_path):
    """Every tensor bit for bit, and scales that PEFT's own rules make of the settings."""
    backbone = bare(f"hf/{name}")
    adapter = read_peft(PEFT / name, backbone)
    write_peft(adapter, tmp_path / "again", backbone)
    before, after = load_file(PEFT / name / WEIGHTS), load_file(tmp_path / "again" / WEIGHTS)
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        np.testing.assert_array_equal(tensor, after[key], err_msg=key)
    same_updates(adapter, read_peft(tmp_path / "again", backbone))
    old, new = (
        parse_config(json.loads((folder / CONFIG).read_text()))
        for folder in (PEFT / name, tmp_path / "again")
    )
    for key in before:
        module = key.removeprefix(PREFIX).rpartition(".lora_")[0]
        assert old.rank_of(module) == new.rank_of(module), module
        assert old.scale_of(module) == pytest.approx(new.scale_of(module), rel=1e-12), module
    assert (old.base, old.dropout) == (new.base, new.dropout)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_every_number(name, tmp_path):
    backbone = bare(f"hf/{name}")
    for targets in (("query", "value"), EVERY):
        adapter = random_adapter(backbone, targets)
        if name == "gemma3_vision":  # asserted elsewhere to have no module of its own
            adapter.updates.pop("image_connector/projection", None)
        write_peft(adapter, tmp_path / "adapter", backbone)
        again = read_peft(tmp_path / "adapter", backbone)
        same_updates(adapter, again)
        assert again.config.scale == adapter.config.scale
        assert set(again.config.targets) <= set(targets)


def test_settings_are_read(tmp_path):
    adapter = read_peft(PEFT / "llama", bare("hf/llama"))
    targets = ("query", "value", "output", "down")
    assert set(adapter.config.targets) == set(targets)
    assert (adapter.config.rank, adapter.config.alpha, adapter.config.dropout) == (4, 6.0, 0.1)
    assert adapter.base == "example/llama"
    scales = {path: (update.rank, update.scale) for path, update in adapter.updates.items()}
    assert scales["decoder_block_0/attention/query"] == (4, 1.5)
    assert scales["decoder_block_1/attention/query"] == (2, 3.0)
    assert scales["decoder_block_1/attention/value"] == (4, 5.0)
    assert scales["decoder_block_2/attention/output"] == (4, 0.75)
    assert scales["decoder_block_0/mlp/down"] == (3, 2.0)
    assert scales["decoder_block_1/mlp/down"] == (4, 1.5)


def test_root_scaling_is_read():
    adapter = read_peft(PEFT / "phi3", bare("hf/phi3"))
    assert {update.scale for update in adapter.updates.values()} == {2.5}
    assert adapter.config.scale == 2.5
    assert {path.partition("/")[0] for path in adapter.updates} == {
        "decoder_block_0",
        "decoder_block_2",
    }


def test_settings_are_written(tmp_path):
    """What PEFT's own loader needs, targets by short names where these are enough."""
    backbone = bare("hf/llama")
    adapter = random_adapter(backbone, ("query", "value"), rank=2, scale=1.25)
    write_peft(Adapter(adapter.config, adapter.updates, "hf://a/b"), tmp_path / "x", backbone)
    config = json.loads((tmp_path / "x" / CONFIG).read_text())
    wanted = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "a/b",
        "r": 2,
        "lora_alpha": 2.5,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
        "rank_pattern": {},
        "alpha_pattern": {},
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
    }
    assert wanted.items() <= config.items()
    first = random_adapter(backbone, ("query",), only="block_1")
    write_peft(first, tmp_path / "x", backbone)
    config = json.loads((tmp_path / "x" / CONFIG).read_text())
    assert config["target_modules"] == ["model.layers.1.self_attn.q_proj"]


def test_pictures_have_names_of_version_5(tmp_path):
    backbone = bare("hf/gemma3_vision")
    write_peft(random_adapter(backbone, ("query",)), tmp_path / "x", backbone)
    names = {name.rpartition(".layers.")[0] for name in load_file(tmp_path / "x" / WEIGHTS)}
    assert names == {
        f"{PREFIX}model.language_model",
        f"{PREFIX}model.vision_tower.encoder",
    }


@pytest.mark.parametrize("old", ["language_model.model.", "model.language_model."])
def test_pictures_have_names_of_earlier_versions_too(old, tmp_path):
    backbone = bare("hf/paligemma")
    shutil.copytree(PEFT / "paligemma", tmp_path / "x")

    def rename(tensors):
        for name in list(tensors):
            tensors[name.replace("model.language_model.", old, 1)] = tensors.pop(name)

    rewrite(tmp_path / "x", rename)
    same_updates(read_peft(PEFT / "paligemma", backbone), read_peft(tmp_path / "x", backbone))


def test_names_of_a_model_without_its_head_are_read(llama_folder):
    def rename(tensors):
        for name in list(tensors):
            tensors[name.replace(".model.model.", ".model.", 1)] = tensors.pop(name)

    rewrite(llama_folder, rename)
    edit(llama_folder, rank_pattern={}, alpha_pattern={}, r=4)
    backbone = bare("hf/llama")
    with pytest.raises(AdapterError, match=r"expected shape \(4, "):  # ranks as the file has them
        read_peft(llama_folder, backbone)
    edit(llama_folder, rank_pattern={"layers.1.self_attn.q_proj": 2, "layers.0.mlp.down_proj": 3})
    again = read_peft(llama_folder, backbone)
    wanted = read_peft(PEFT / "llama", backbone)
    for path, update in wanted.updates.items():
        np.testing.assert_array_equal(update.a, again.updates[path].a)


def test_halves_are_read(llama_folder):
    import ml_dtypes

    def narrow(tensors):
        for name, tensor in tensors.items():
            tensors[name] = tensor.astype(ml_dtypes.bfloat16)

    rewrite(llama_folder, narrow)
    adapter = read_peft(llama_folder, bare("hf/llama"))
    wanted = read_peft(PEFT / "llama", bare("hf/llama"))
    for path, update in wanted.updates.items():
        assert adapter.updates[path].a.dtype == np.float32
        np.testing.assert_allclose(adapter.updates[path].a, update.a, rtol=2**-8)


def fused(updates, tmp_path):
    """What a Phi-3 file holds of some updates of the first block's attention, and reads as."""
    backbone = bare("hf/phi3")
    place = "decoder_block_0/attention/"
    adapter = Adapter(AdapterConfig(2), {place + name: u for name, u in updates.items()})
    write_peft(adapter, tmp_path / "x", backbone)
    config = json.loads((tmp_path / "x" / CONFIG).read_text())
    tensors = {
        name.rpartition(".lora_")[2][0]: value
        for name, value in load_file(tmp_path / "x" / WEIGHTS).items()
    }
    again = {
        path.removeprefix(place): u
        for path, u in read_peft(tmp_path / "x", backbone).updates.items()
    }
    return config, tensors, again


def phi3_updates(**ranks):
    adapters = {
        name: random_adapter(bare("hf/phi3"), (name,), rank, seed=len(name), only="block_0/att")
        for name, rank in ranks.items()
    }
    return {name: next(iter(one.updates.values())) for name, one in adapters.items()}


def test_unlike_projections_become_one_module(tmp_path):
    """Ranks add up, and come back as they were, zeros dropped."""
    updates = phi3_updates(query=2, value=3)
    config, tensors, again = fused(updates, tmp_path)
    assert config["r"] == 5 and config["target_modules"] == ["model.layers.0.self_attn.qkv_proj"]
    assert config["lora_alpha"] / config["r"] == 2.0
    heads, groups, width = 6, 2, 8
    assert tensors["A"].shape == (5, 48) and tensors["B"].shape == ((heads + 2 * groups) * width, 5)
    assert not tensors["B"][heads * width : (heads + groups) * width].any()  # the keys
    assert again.keys() == updates.keys()
    for name, update in updates.items():
        np.testing.assert_array_equal(again[name].a, update.a)
        np.testing.assert_array_equal(again[name].b, update.b)


def test_unlike_scales_become_one(tmp_path):
    updates = phi3_updates(query=2, value=2)
    updates["query"] = updates["query"]._replace(scale=0.5)
    config, _, again = fused(updates, tmp_path)
    assert config["lora_alpha"] == 4 and config["r"] == 4
    for name, update in updates.items():
        np.testing.assert_array_equal(again[name].delta, update.delta)


def test_an_untrained_fused_adapter_keeps_its_rank(tmp_path):
    updates = phi3_updates(query=2, key=2, value=2)
    a = updates["query"].a
    updates = {name: LowRank(a, np.zeros_like(u.b), 1.0) for name, u in updates.items()}
    config, tensors, again = fused(updates, tmp_path)
    assert config["r"] == 2 and tensors["A"].shape[0] == 2
    for update in again.values():
        np.testing.assert_array_equal(update.a, a)
        assert not update.b.any()


REFUSED = {
    "peft_type": ["LOHA", None, 3],
    "use_dora": [True],
    "bias": ["all", "lora_only"],
    "modules_to_save": [["lm_head"]],
    "target_parameters": [["experts.gate_up_proj"]],
    "trainable_token_indices": [[1, 2]],
    "layer_replication": [[[0, 2]]],
    "lora_bias": [True],
    "use_qalora": [True],
    "init_lora_weights": ["pissa", "olora", "loftq", "corda", "pissa_niter_16"],
    "arrow_config": [{"top_k": 2}],
    "alora_invocation_tokens": [[1]],
    "something_new": [1.5, "fast", [0], True],
    "r": [0, -1, 2.0, True, None, "8", 2**40],
    "lora_alpha": ["16", None, True, [1], 1e300],
    "lora_dropout": [1, -0.1, "0"],
    "use_rslora": [1, "yes"],
    "rank_pattern": [{"q_proj": 0}, {"q_proj": "4"}, ["q_proj"], {"(a+)+$": 4}],
    "alpha_pattern": [{"q_proj": None}, {".*": 4}],
    "base_model_name_or_path": [3],
}


@pytest.mark.parametrize("key", REFUSED)
def test_other_kinds_of_adapters_are_refused(key, llama_folder):
    for value in REFUSED[key]:
        edit(llama_folder, **{key: value})
        with pytest.raises(AdapterError, match=rf"adapter_config.json: '?{key}"):
            read_peft(llama_folder, bare("hf/llama"))


def test_harmless_settings_are_accepted(llama_folder):
    edit(
        llama_folder,
        target_modules="all-linear",
        layers_to_transform=[0, 1],
        layers_pattern="layers",
        eva_config={"rho": 2.0},
        something_new=None,
        something_else=False,
        another={},
        inference_mode=False,
        fan_in_fan_out=True,
        init_lora_weights="gaussian",
    )
    same_updates(
        read_peft(llama_folder, bare("hf/llama")), read_peft(PEFT / "llama", bare("hf/llama"))
    )


QUERY = PREFIX + "model.layers.0.self_attn.q_proj.lora_"
DAMAGES = {
    "missing A": (lambda t: t.pop(QUERY + "A.weight"), "q_proj.lora_A.weight': expected a tensor"),
    "missing B": (lambda t: t.pop(QUERY + "B.weight"), "q_proj.lora_B.weight': expected a tensor"),
    "shape": (
        lambda t: t.update({QUERY + "A.weight": np.zeros((4, 49), np.float32)}),
        r"expected shape \(4, 48\), got shape \(4, 49\)",
    ),
    "rank": (
        lambda t: t.update({QUERY + "A.weight": np.zeros((5, 48), np.float32)}),
        r"expected shape \(4, 48\), got shape \(5, 48\)",
    ),
    "NaN": (lambda t: t[QUERY + "B.weight"].fill(np.nan), "expected finite numbers, got NaN"),
    "dtype": (
        lambda t: t.update({QUERY + "A.weight": np.zeros((4, 48), np.int8)}),
        "expected float32 or float16 or bfloat16, got int8",
    ),
    "unknown module": (
        lambda t: t.update({PREFIX + "lm_head.lora_A.weight": np.zeros((4, 64), np.float32)}),
        "lm_head': expected the name of a projection",
    ),
    "a layer too many": (
        lambda t: t.update({QUERY.replace(".0.", ".9.") + "A.weight": np.zeros((4, 64), "f")}),
        "layers.9.self_attn.q_proj': expected the name of a projection",
    ),
    "embedding": (
        lambda t: t.update({PREFIX + "model.embed_tokens.lora_embedding_A": np.zeros((4, 9), "f")}),
        "got an update of an embedding",
    ),
    "DoRA": (
        lambda t: t.update({QUERY + "magnitude_vector": np.zeros(64, np.float32)}),
        "got a magnitude of DoRA",
    ),
    "no prefix": (
        lambda t: t.update({"lora_A.weight": t.pop(QUERY + "A.weight")}),
        "'lora_A.weight': expected base_model.model.<module>",
    ),
    "twice": (
        lambda t: t.update({k.replace("model.model", "model"): v for k, v in list(t.items())}),
        "expected each module once",
    ),
    "empty": (lambda t: t.clear(), "expected tensors, got none"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_does_not_fit_is_named(kind, llama_folder):
    change, said = DAMAGES[kind]
    rewrite(llama_folder, change)
    with pytest.raises(AdapterError, match=said) as raised:
        read_peft(llama_folder, bare("hf/llama"))
    assert str(raised.value).startswith(WEIGHTS)


def test_all_that_does_not_fit_is_in_one_error(llama_folder):
    def change(tensors):
        tensors.pop(QUERY + "A.weight")
        tensors[PREFIX + "lm_head.lora_B.weight"] = np.zeros((4, 4), np.float32)
        tensors["extra"] = np.zeros(3, np.float32)

    rewrite(llama_folder, change)
    with pytest.raises(AdapterError, match="3 problems") as raised:
        read_peft(llama_folder, bare("hf/llama"))
    assert len(str(raised.value).splitlines()) == 4


def test_an_adapter_of_another_model_is_refused():
    with pytest.raises(AdapterError, match=r"40 more|\.\.\. and"):
        read_peft(PEFT / "t5gemma", bare("hf/llama"))
    with pytest.raises(AdapterError, match="expected shape"):
        read_peft(PEFT / "llama", bare("hf/qwen3"))


def test_missing_files_are_named(tmp_path):
    backbone = bare("hf/llama")
    with pytest.raises(AdapterError, match="expected a PEFT folder with adapter_config"):
        read_peft(tmp_path / "nowhere", backbone)
    shutil.copy(PEFT / "llama" / CONFIG, tmp_path)
    with pytest.raises(AdapterError, match=r"expected adapter_model\.safetensors, found none$"):
        read_peft(tmp_path, backbone)
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(AdapterError, match=r"adapter_model\.bin is not read"):
        read_peft(tmp_path, backbone)


def test_files_stay_inside_the_folder(llama_folder, tmp_path):
    (llama_folder / WEIGHTS).rename(tmp_path / "outside")
    (llama_folder / WEIGHTS).symlink_to(tmp_path / "outside")
    with pytest.raises(AdapterError):
        read_peft(llama_folder, bare("hf/llama"))


def test_what_transformers_has_no_module_for_is_refused(tmp_path):
    backbone = bare("hf/gemma3_vision")
    adapter = random_adapter(backbone, ("projection", "query"), only="image")
    with pytest.raises(AdapterError, match="image_connector/projection: expected a projection"):
        write_peft(adapter, tmp_path / "x", backbone)
    assert not list(tmp_path.iterdir())
    with pytest.raises(AdapterError, match="it has no updates"):
        write_peft(Adapter(adapter.config, {}), tmp_path / "x", backbone)
    with pytest.raises(AdapterError, match="PEFT works on models of Transformers"):
        write_peft(adapter, tmp_path / "x", bare("keras_hub/parseq"))


def test_routers_are_read_and_not_written(tmp_path):
    """They were linear layers before version 5 of Transformers."""
    backbone = bare("hf/qwen2_moe")
    adapter = random_adapter(backbone, ("router",), rank=2, scale=2.0)
    with pytest.raises(AdapterError, match="mlp/router: expected a projection"):
        write_peft(adapter, tmp_path / "x", backbone)
    shutil.copytree(PEFT / "qwen2_moe", tmp_path / "x")
    first = adapter.updates["decoder_block_0/mlp/router"]
    name = PREFIX + "model.layers.0.mlp.gate.lora_"
    rewrite(
        tmp_path / "x", lambda t: t.update({name + "A.weight": first.a, name + "B.weight": first.b})
    )
    again = read_peft(tmp_path / "x", backbone).updates["decoder_block_0/mlp/router"]
    np.testing.assert_array_equal(again.delta, first.delta)


def test_an_adapter_of_other_shapes_is_not_written(tmp_path):
    adapter = random_adapter(bare("hf/llama"), ATTENTION)
    with pytest.raises(AdapterError, match="expected A and B of shapes"):
        write_peft(adapter, tmp_path / "x", bare("hf/qwen3"))


def test_other_files_of_the_folder_stay(llama_folder):
    (llama_folder / "README.md").write_text("notes")
    (llama_folder / "adapter_model.bin").write_bytes(b"old")
    backbone = bare("hf/llama")
    write_peft(random_adapter(backbone, ("key",)), llama_folder, backbone)
    assert {path.name for path in llama_folder.iterdir()} == {
        "README.md",
        "adapter_model.bin",
        CONFIG,
        WEIGHTS,
        "golden.npz",
        ADAPTER_CHECKSUMS,
    }
    assert (llama_folder / "adapter_model.bin").read_bytes() == b"old"
    assert set(read_peft(llama_folder, backbone).config.targets) == {"key"}


def test_a_write_that_fails_leaves_the_old_adapter(llama_folder, monkeypatch):
    from workbench.errors import PresetError
    from workbench.presets.adapters import peft

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(peft, "write_safetensors", full)
    backbone = bare("hf/llama")
    with pytest.raises(PresetError, match="No space left on device"):
        write_peft(random_adapter(backbone, ("key",)), llama_folder, backbone)
    same_updates(read_peft(llama_folder, backbone), read_peft(PEFT / "llama", backbone))
    assert [path.name for path in llama_folder.parent.iterdir()] == ["adapter"]


def small_adapter(tmp_path):
    """A folder without digests, so that damage is read, and a function that reads it."""
    backbone = bare("hf/llama")
    write_peft(random_adapter(backbone, ("query",), 1, only="block_0"), tmp_path / "x", backbone)
    (tmp_path / "x" / ADAPTER_CHECKSUMS).unlink()
    return tmp_path / "x", lambda: read_peft(tmp_path / "x", backbone)


def test_truncated_weights_are_refused(tmp_path):
    folder, read = small_adapter(tmp_path)
    data = (folder / WEIGHTS).read_bytes()
    for length in range(len(data)):
        (folder / WEIGHTS).write_bytes(data[:length])
        assert refused(read, AdapterError), length


def test_truncated_settings_are_refused(tmp_path):
    folder, read = small_adapter(tmp_path)
    data = (folder / CONFIG).read_bytes().rstrip()
    for length in range(len(data)):
        (folder / CONFIG).write_bytes(data[:length])
        assert refused(read, AdapterError), length


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_damaged_files_are_refused_or_read(file, tmp_path):
    folder, read = small_adapter(tmp_path)
    outcomes = []
    for damaged in mutants((folder / file).read_bytes(), 500):
        (folder / file).write_bytes(damaged)
        outcomes.append(refused(read, AdapterError))
    assert 100 < sum(outcomes) < 500


# Prints how far the outputs of Transformers' models with our adapters are from ours.
PEER = """
import json, sys
from pathlib import Path
import numpy as np
folder, work, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, str(folder))
import make_peft
from peft import PeftModel
for name in names:
    for kind in ("usual", "every"):
        model = PeftModel.from_pretrained(make_peft.base(name), work / f"{name}_{kind}").eval()
        logits = make_peft.logits(model, name)
        ours = np.load(work / f"{name}_{kind}.npy")
        off = np.abs(logits[:, -ours.shape[1]:] - ours).max()
        print(json.dumps([name, kind, float(off)]))
"""
PEERS = ["bart", "bloom", "falcon_new", "gemma3_vision", "gpt2", "llama", "mixtral", "opt"]
PEERS += ["paligemma", "phi3", "qwen2_moe", "t5gemma"]


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft not installed")
def test_peft_reads_what_is_written_here(tmp_path):
    for name in PEERS:
        lm = wb.models.CausalLM.from_preset(str(GOLDENS / "hf" / name), dtype="float32")
        for kind, targets in {"usual": ("query", "value"), "every": EVERY}.items():
            lm.adapters[kind] = random_adapter(lm.backbone, targets, scale=0.02)
            lm.adapters.use(kind)
            lm.adapters.save(tmp_path / f"{name}_{kind}")
            np.save(tmp_path / f"{name}_{kind}.npy", logits_of(lm, name))
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(LORA), str(tmp_path), *PEERS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "missing adapter keys" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(rows) == 2 * len(PEERS)
    assert [row for row in rows if not row[2] < TOLERANCE] == []
