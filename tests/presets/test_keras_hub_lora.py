"""KerasHub's `.lora.h5` files, both ways: `data/lora/gemma_lora` holds a file that KerasHub 0.32
wrote, with the preset that it is for and what KerasHub computed with it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import h5py
import jax
import numpy as np
import pytest
from adapter_files import (
    EVERY,
    LORA,
    bare,
    bare_integers,
    random_adapter,
    refused,
    same_deltas,
    same_updates,
)
from damage import mutants
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.errors import AdapterError, PresetError
from workbench.formats.tensor_digest import ATTRIBUTE
from workbench.presets.adapters.keras_hub_layers import default_targets, hub_layers
from workbench.presets.adapters.keras_hub_lora import read_lora, write_lora
from workbench.presets.adapters.low_rank_factors import from_heads, reduced, to_heads

TOLERANCE = 1e-4  # float32 logits, absolute
GEMMA = LORA / "gemma_lora"
FILE = GEMMA / "adapter.lora.h5"
ORDERS = json.loads((LORA / "keras_hub_layers.json").read_text())
DEFAULTS = ("query_dense", "value_dense", "query", "value")
FAMILIES = sorted({case["preset"] for case in ORDERS})


def gemma():
    return bare("../lora/gemma_lora")


def contents(path):
    """The tensors of a file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.fixture
def damaged(tmp_path):
    """Writes a copy of the Gemma file, changed."""

    def make(change):
        tensors = contents(FILE)
        change(tensors)
        path = tmp_path / "x.lora.h5"
        with h5py.File(path, "w") as file:
            for name, values in tensors.items():
                file.create_dataset(name, data=values)
        return path

    return make


@pytest.fixture(scope="module")
def tuned():
    lm = wb.models.CausalLM.from_preset(str(GEMMA), dtype="float32")
    assert lm.adapters.load(FILE) == "adapter"
    return lm, np.load(GEMMA / "golden.npz"), json.loads((GEMMA / "golden.json").read_text())


def test_logits_are_those_of_keras_hub(tuned):
    lm, golden, _ = tuned
    inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
    real = inputs["padding_mask"].astype(bool)
    logits = np.asarray(jax.jit(lm)(inputs))
    np.testing.assert_allclose(logits[real], golden["lora_logits"][real], atol=TOLERANCE)


def test_ids_and_strings_are_those_of_keras_hub(tuned):
    lm, golden, said = tuned
    inputs = {key[7:]: golden[key] for key in golden.files if key.startswith("gen_in_")}
    made = lm.generate(inputs, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(made["token_ids"], golden["lora_gen_out"])
    ends = [lm.preprocessor.tokenizer.end_token_id]
    texts = lm.generate(said["prompts"], said["max_length"], stop_token_ids=ends, sampler="greedy")
    assert texts == said["lora_generated"]


def test_a_file_is_written_as_it_was_read(tmp_path):
    """Every number of KerasHub's own file, and its rank."""
    adapter = read_lora(FILE, gemma())
    assert adapter.config == AdapterConfig(4, targets=adapter.config.targets)
    assert set(adapter.config.targets) == {"query", "value"}
    assert len(adapter.updates) == 6
    names = write_lora(adapter, tmp_path / "x.lora.h5", gemma())
    assert names == DEFAULTS
    before, after = contents(FILE), contents(tmp_path / "x.lora.h5")
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert values.dtype == after[name].dtype
        np.testing.assert_array_equal(values, after[name], err_msg=name)


def test_what_heads_share_is_one_update():
    """A query of several heads: B once for each head, A of all heads."""
    adapter, tensors = read_lora(FILE, gemma()), contents(FILE)
    update = adapter.updates["decoder_block_0/attention/query"]
    a, b = (tensors[f"lora/10/vars/lora_kernel_{x}"] for x in "ab")
    assert update.a.shape == (16, 32) and update.b.shape == (64, 16) and update.scale == 1
    wanted = np.einsum("hdr,rk->hkd", a, b).reshape(64, 32)
    np.testing.assert_allclose(update.delta, wanted, atol=1e-6)


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: case["preset"])
def test_layers_are_numbered_as_keras_hub_does(case):
    backbone = bare(f"keras_hub/{case['preset']}", **case["arguments"])
    assert [layer.path for layer in hub_layers(backbone)] == case["layers"]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_its_updates(name, tmp_path):
    backbone, path = bare(f"keras_hub/{name}"), tmp_path / "x.lora.h5"
    adapter = random_adapter(backbone, EVERY)
    write_lora(adapter, path, backbone)
    again = read_lora(path, backbone)
    same_deltas(adapter, again)
    assert {update.rank for update in again.updates.values()} == {3}
    rank = contents(path)["lora/vars/rank"]
    assert again.config.rank == rank
    write_lora(again, path, backbone)
    assert contents(path)["lora/vars/rank"] == rank
    same_deltas(again, read_lora(path, backbone))


def test_integers_have_the_same_adapters(tmp_path):
    backbone, integers = bare("keras_hub/llama"), bare_integers("keras_hub/llama", "int8")
    assert hub_layers(integers) == hub_layers(backbone)
    adapter = random_adapter(integers, EVERY)
    same_updates(adapter, random_adapter(backbone, EVERY))
    write_lora(adapter, tmp_path / "x.lora.h5", integers)
    same_deltas(adapter, read_lora(tmp_path / "x.lora.h5", backbone))


def test_names_of_layers_to_enable_are_told(tmp_path):
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    every = default_targets(backbone)
    assert every == DEFAULTS
    assert write_lora(random_adapter(backbone, ("value",)), path, backbone) == every
    assert len(contents(path)) == 1 + 2 * 6  # queries as well, all zero
    assert set(read_lora(path, backbone).config.targets) == {"value"}
    names = write_lora(random_adapter(backbone, ("key", "down"), only="block_1"), path, backbone)
    assert names == ("feedforward_output_dense", "key")
    assert len(contents(path)) == 1 + 2 * 6
    assert len(read_lora(path, backbone).updates) == 2


def test_pictures_have_targets_of_their_own(tmp_path):
    backbone, path = bare("keras_hub/pali_gemma"), tmp_path / "x.lora.h5"
    names = write_lora(random_adapter(backbone, ("query", "value")), path, backbone)
    assert names == (*DEFAULTS, "query_proj", "value_proj")
    text = random_adapter(backbone, ("query", "value"), only="decoder")
    assert write_lora(text, path, backbone) == names
    same_deltas(text, read_lora(path, backbone))


def test_scales_are_in_the_numbers(tmp_path):
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    adapter = random_adapter(backbone, ("value",), scale=0.37)
    write_lora(adapter, path, backbone)
    again = read_lora(path, backbone)
    assert again.config.scale == 1
    same_deltas(adapter, again)


def test_untrained_updates_stay(tmp_path):
    """Where B is zero, A is kept: training goes on from it."""
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    shared = np.random.default_rng(0).standard_normal((4, 2, 64), np.float32)
    update = from_heads(shared, np.zeros((2, 16), np.float32))
    adapter = Adapter(
        AdapterConfig(2, targets=("query",)), {"decoder_block_0/attention/query": update}
    )
    write_lora(adapter, path, backbone)
    again = read_lora(path, backbone)
    same_updates(adapter, again)
    assert again.config.rank == 2 and not update.delta.any() and update.a.any()


def test_the_rank_is_no_larger_than_needed():
    """Heads of 2 numbers cannot need more than rank 2, one head no more than the update has."""
    chance = np.random.default_rng(0)
    update = LowRank(chance.standard_normal((5, 12), np.float32), np.float32(np.eye(8, 5)))
    a, b = to_heads(update, heads=4)
    assert b.shape == (2, 2)
    np.testing.assert_allclose(
        np.einsum("hri,rk->hki", a, b).reshape(8, 12), update.delta, atol=1e-6
    )
    a, b = to_heads(update, heads=1)
    assert a.shape == (1, 5, 12) and b.shape == (5, 8)


@pytest.mark.parametrize(
    "heads, rank, width, inputs", [(4, 3, 8, 64), (2, 9, 4, 16), (40, 16, 16, 90)]
)
def test_shared_factors_come_back_bit_for_bit(heads, rank, width, inputs):
    """As long as they say no more than the matrix holds."""
    chance = np.random.default_rng(1)
    a = chance.standard_normal((heads, rank, inputs), np.float32)
    b = chance.standard_normal((rank, width), np.float32)
    update = from_heads(a, b)
    wanted = np.einsum("hri,rk->hki", a.astype(float), b.astype(float)).reshape(-1, inputs)
    np.testing.assert_allclose(update.delta, wanted, atol=2e-6 * np.abs(wanted).max())
    again = to_heads(update, heads)
    if heads * rank <= min(heads * width, inputs):
        np.testing.assert_array_equal(again[0], a)
        np.testing.assert_array_equal(again[1], b)
    assert update.rank <= min(heads * width, inputs)
    assert again[1].shape[0] <= min(rank, width)


def test_a_wide_update_comes_back_from_many_heads_in_its_own_rank():
    """32 heads need rank 64 for an update of rank 8, which from there would be one of 2048."""
    chance = np.random.default_rng(2)
    a = chance.standard_normal((8, 128), np.float32)
    update = LowRank(a, chance.standard_normal((32 * 64, 8), np.float32))
    shared = to_heads(update, heads=32)
    assert shared[1].shape == (64, 64)
    again = from_heads(*shared)
    assert again.rank == 8
    np.testing.assert_allclose(again.delta, update.delta, atol=2e-6 * np.abs(update.delta).max())


def test_rows_that_say_the_same_are_one():
    a = np.random.default_rng(3).standard_normal((2, 9), np.float32)
    doubled = LowRank(np.concatenate([a, a]), np.ones((5, 4), np.float32), 0.5)
    assert reduced(doubled).rank == 1
    np.testing.assert_allclose(reduced(doubled).delta, doubled.delta, atol=1e-6)
    assert reduced(LowRank(a, np.zeros((5, 2), np.float32))).rank == 2


def put(name, values):
    return lambda tensors: tensors.update({name: values})


QUERY = "lora/10/vars/lora_kernel_"
DAMAGES = {
    "no rank": (
        lambda t: t.pop("lora/vars/rank"),
        "expected one integer, got none",
    ),
    "rank": (put("lora/vars/rank", 0), "'lora/vars/rank': expected 1 to"),
    "negative rank": (put("lora/vars/rank", -4), "'lora/vars/rank': expected 1 to"),
    "another rank": (put("lora/vars/rank", 5), r"expected shape \(2, 32, 5\), got shape"),
    "rank as a float": (put("lora/vars/rank", 4.0), "expected one integer, got float64"),
    "ranks": (put("lora/vars/rank", [4]), "expected one integer"),
    "missing A": (lambda t: t.pop(QUERY + "a"), "lora_kernel_a': expected a tensor of shape"),
    "missing B": (lambda t: t.pop(QUERY + "b"), "lora_kernel_b': expected a tensor of shape"),
    "shape": (put(QUERY + "a", np.zeros((2, 32, 4), "f")), r"expected shape \(4, 32, 4\)"),
    "axes": (put(QUERY + "a", np.zeros((128, 4), "f")), r"expected shape \(4, 32, 4\)"),
    "NaN": (put(QUERY + "b", np.full((4, 16), np.inf, "f")), "expected finite numbers"),
    "dtype": (put(QUERY + "b", np.zeros((4, 16), "i4")), "expected float32 or float16"),
    "a layer too many": (put("lora/99/vars/lora_kernel_a", np.zeros(3, "f")), "a layer from 0 to"),
    "a norm": (put("lora/11/vars/lora_kernel_a", np.zeros(3, "f")), "pre_attention_norm, which"),
    "a padded number": (put("lora/010/vars/lora_kernel_a", np.zeros(3, "f")), "got 010"),
    "another tensor": (put("lora/10/vars/kernel", np.zeros(3, "f")), "got another tensor"),
    "an embedding": (
        put("lora/0/vars/lora_embeddings_a", np.zeros((9, 4), "f")),
        "lora_embeddings_a': expected",
    ),
    "no layers": (
        lambda t: [t.pop(name) for name in list(t) if "kernel" in name],
        "'lora': expected tensors of layers",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_does_not_fit_is_named(kind, damaged):
    change, said = DAMAGES[kind]
    with pytest.raises(AdapterError, match=said) as raised:
        read_lora(damaged(change), gemma())
    assert str(raised.value).startswith("x.lora.h5")


def test_all_that_does_not_fit_is_in_one_error(damaged):
    def change(tensors):
        tensors.pop(QUERY + "a")
        tensors["lora/99/vars/lora_kernel_a"] = np.zeros(3)
        tensors["more"] = np.zeros(3)

    with pytest.raises(AdapterError, match="3 problems") as raised:
        read_lora(damaged(change), gemma())
    assert len(str(raised.value).splitlines()) == 4


def test_files_of_another_model_and_none_are_refused(tmp_path):
    with pytest.raises(AdapterError, match="problems"):
        read_lora(FILE, bare("keras_hub/llama"))
    with pytest.raises(AdapterError, match="expected a file of LoRA weights, found none"):
        read_lora(tmp_path / "x.lora.h5", gemma())
    (tmp_path / "x.lora.h5").write_bytes(b"no HDF5")
    with pytest.raises(AdapterError, match="expected readable HDF5"):
        read_lora(tmp_path / "x.lora.h5", gemma())


def test_what_keras_hub_cannot_hold_is_refused(tmp_path):
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    adapter = random_adapter(backbone, ("query",))
    with pytest.raises(AdapterError, match=r"ends in \.lora\.h5"):
        write_lora(adapter, tmp_path / "x.h5", backbone)
    other = random_adapter(bare("keras_hub/pali_gemma"), ("query",), only="image")
    with pytest.raises(AdapterError, match="a projection that KerasHub has as a layer"):
        write_lora(other, path, backbone)
    with pytest.raises(AdapterError, match=r"KerasHub has no FalconBackbone with .*block"):
        write_lora(adapter, path, bare("hf/falcon_rope_mqa"))
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    from workbench.presets.adapters import keras_hub_lora

    backbone, path = gemma(), tmp_path / "x.lora.h5"
    path.write_bytes(FILE.read_bytes())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras_hub_lora, "write_sealed", full)
    with pytest.raises(PresetError, match="No space left on device"):
        write_lora(random_adapter(backbone, ("query",)), path, backbone)
    assert path.read_bytes() == FILE.read_bytes()
    assert [item.name for item in tmp_path.iterdir()] == ["x.lora.h5"]


@pytest.fixture
def small(tmp_path):
    """A file of two small layers without a digest, so that damage is read, and its reader."""
    backbone, path = bare("keras_hub/llama"), tmp_path / "x.lora.h5"
    write_lora(random_adapter(backbone, ("key",), 1, only="block_0"), path, backbone)
    with h5py.File(path, "a") as h5:
        del h5.attrs[ATTRIBUTE]
    return path, lambda: read_lora(path, backbone)


def test_truncated_files_are_refused(small):
    path, read = small
    data = path.read_bytes()
    lengths = {*range(0, len(data), 13), *range(600)}
    for length in sorted(lengths):
        path.write_bytes(data[:length])
        assert refused(read, AdapterError), length


def test_damaged_files_are_refused_or_read(small):
    path, read = small
    outcomes = []
    for changed in mutants(path.read_bytes(), 500):
        path.write_bytes(changed)
        outcomes.append(refused(read, AdapterError))
    assert 50 < sum(outcomes) < 500


# Loads each of our files into KerasHub's model, as its user does, prints how far the outputs are
# from ours; then writes a file of KerasHub's own with random numbers, and its outputs.
PEER = """
import json, sys
from pathlib import Path
import keras_hub
import numpy as np
folder, work = Path(sys.argv[1]), Path(sys.argv[2])
for name, names in json.loads(sys.argv[3]).items():
    golden = np.load(folder / name / "golden.npz")
    inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
    for kind, targets in names.items():
        task = keras_hub.models.CausalLM.from_preset(str(folder / name), dtype="float32")
        backbone = task.backbone
        if targets is not None:
            import h5py
            with h5py.File(work / f"{name}_{kind}.lora.h5") as file:
                rank = int(file["lora/vars/rank"][()])
            backbone.enable_lora(rank, target_layer_names=targets)
        backbone.load_lora_weights(str(work / f"{name}_{kind}.lora.h5"))
        ours = np.load(work / f"{name}_{kind}.npy")
        off = np.abs(np.asarray(task(inputs)) - ours)
        mask = inputs.get("padding_mask", inputs.get("decoder_padding_mask")).astype(bool)
        print(json.dumps([name, kind, float(off[mask].max())]))
    task = keras_hub.models.CausalLM.from_preset(str(folder / name), dtype="float32")
    task.backbone.enable_lora(3)
    random = np.random.default_rng(0)
    for weight in task.backbone.trainable_weights:
        weight.assign(random.normal(size=weight.shape) * 0.2)
    task.backbone.save_lora_weights(str(work / f"{name}_theirs.lora.h5"))
    np.save(work / f"{name}_theirs.npy", np.asarray(task(inputs)))
"""
PEERS = ["gemma2", "gpt2", "llama", "pali_gemma", "phi3", "qwen_moe", "t5gemma"]


def outputs(lm, name):
    golden = np.load(GOLDENS / "keras_hub" / name / "golden.npz")
    inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
    mask = inputs.get("padding_mask", inputs.get("decoder_padding_mask")).astype(bool)
    return np.asarray(jax.jit(lambda given: lm(given))(inputs)), mask


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub not installed")
def test_keras_hub_reads_what_is_written_here_and_the_other_way_round(tmp_path):
    said = {}
    models = {
        name: wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / name), dtype="float32")
        for name in PEERS
    }
    for name, lm in models.items():
        said[name] = {}
        for kind, targets in {"usual": ("query", "value"), "every": EVERY}.items():
            adapter = random_adapter(lm.backbone, targets, scale=0.02)
            lm.adapters[kind] = adapter
            lm.adapters.use(kind)
            np.save(tmp_path / f"{name}_{kind}.npy", outputs(lm, name)[0])
            names = write_lora(adapter, tmp_path / f"{name}_{kind}.lora.h5", lm.backbone)
            said[name][kind] = None if kind == "usual" else list(names)
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(GOLDENS / "keras_hub"), str(tmp_path), json.dumps(said)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    off = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(off) == 2 * len(PEERS)
    assert [row for row in off if not row[2] < TOLERANCE] == []
    for name, lm in models.items():
        lm.adapters["theirs"] = read_lora(tmp_path / f"{name}_theirs.lora.h5", lm.backbone)
        lm.adapters.use("theirs")
        logits, mask = outputs(lm, name)
        theirs = np.load(tmp_path / f"{name}_theirs.npy")
        np.testing.assert_allclose(logits[mask], theirs[mask], atol=TOLERANCE, err_msg=name)
