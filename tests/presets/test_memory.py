"""Memory estimates: their parts against real arrays, and refusals before a weight is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import jax
import pytest
from tiny import GOLDENS, tiny_backbone

from workbench.backbones.config import (
    Attention,
    DecoderConfig,
    Gated,
    LayerSpec,
    RMSNorm,
    Rope,
)
from workbench.errors import MemoryTooSmallError, PresetError, SettingError
from workbench.estimates.estimate import estimate_config, estimate_sizes
from workbench.estimates.sizes import ImageSizes, Sizes
from workbench.memory import free_memory
from workbench.models import Backbone, BartBackbone, CausalLM
from workbench.presets import catalog, memory
from workbench.presets.estimates import estimate
from workbench.presets.listed_sizes import sizes_of_listed

GB = 10**9


def real_bytes(arrays):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(arrays))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_weights_and_cache_are_those_of_the_arrays(family):
    backbone = tiny_backbone(family)
    found = estimate_config(backbone.config, "float32", length=64, batch=3)
    assert found.cache == real_bytes(backbone.init_cache(3, 64))
    weights = real_bytes([variable.value for variable in backbone.variables])
    assert found.weights <= weights, "norms and biases are left out"
    assert found.weights == pytest.approx(weights, rel=0.05)


def test_an_encoder_counts_too():
    backbone = BartBackbone(
        vocabulary_size=300,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=64,
    )
    found = estimate_config(backbone.config, "float32", length=16)
    weights = real_bytes([variable.value for variable in backbone.variables])
    assert found.weights == pytest.approx(weights, rel=0.05)
    layers, keys_and_values, own_and_read = 2, 2, 2
    assert found.cache == layers * keys_and_values * own_and_read * 16 * 32 * 4


def test_pictures_take_places_beside_the_text():
    folder = GOLDENS / "keras_hub" / "pali_gemma"
    backbone = Backbone.from_preset(str(folder), dtype="float32")
    own = estimate_config(backbone.config, "float32", length=9, batch=2, images=backbone.images)
    saved = estimate(folder, "float32", length=9, batch=2)
    assert own.cache == saved.cache == real_bytes(backbone.init_cache(2, 9 + 16))
    weights = real_bytes([variable.value for variable in backbone.variables])
    assert saved.weights == weights
    assert own.weights == pytest.approx(weights, rel=0.05)


def test_large_pictures_need_room_while_they_are_encoded():
    def found(name):
        return estimate(name, "bfloat16", length=64)

    small, large = found("pali_gemma_3b_mix_224"), found("pali_gemma_3b_896")
    grown = large.cache / small.cache
    assert grown == (4096 + 64) / (256 + 64)
    encoder = {"vit_patch_size": 14, "vit_num_heads": 16, "vit_hidden_dim": 8}
    arguments = {"image_size": 896, **encoder}
    images = ImageSizes.of_arguments(arguments)
    assert (images.ahead, images.patches, images.heads) == (4096, 4096, 16)
    assert ImageSizes.of_arguments({"image_size": 896}) is None
    scores = 2 * 16 * 128 * 4096 * 4  # of a block of patches
    blind = Sizes(parameters=10**6, largest=10**5)
    for training in (False, True):
        seeing = replace(blind, images=replace(images, layers=1))
        works = {"length": 64, "training": training}
        more = estimate_sizes(seeing, "float32", **works).activations
        assert more > scores > estimate_sizes(blind, "float32", **works).activations


@pytest.mark.parametrize("rank", [None, 2])
def test_the_optimizer_keeps_two_numbers_for_each_trained_one(rank):
    backbone = tiny_backbone("llama")
    found = estimate_config(backbone.config, "float32", length=8, training=True, lora_rank=rank)
    if rank is not None:
        backbone.enable_lora(rank)
    trained = real_bytes([variable.value for variable in backbone.trainable_variables])
    assert found.optimizer == pytest.approx(2 * trained, rel=0.02)


def test_estimates_of_folders_count_every_tensor():
    for folder in ("keras_hub/llama", "hf/llama"):
        found = estimate(GOLDENS / folder, "float32", length=32)
        backbone = Backbone.from_preset(str(GOLDENS / folder), dtype="float32")
        assert found.weights == real_bytes([variable.value for variable in backbone.variables])
        assert found.cache == real_bytes(backbone.init_cache(1, 32))


def test_estimates_by_name_and_by_folder_agree():
    name = "stories_tiny_en"
    assert estimate(name) == estimate(catalog.EMBEDDED / name)
    assert estimate(name) == estimate(catalog.find(name))


def test_every_preset_has_an_estimate_that_its_weights_dominate():
    for info in catalog.presets():
        found = estimate(info, "float32")
        assert found.weights == 4 * info.parameters
        assert found.total > found.weights
        if info.parameters > 5e9:
            assert found.total < 1.45 * found.weights, info.name


PEAKS = json.loads((GOLDENS.parent / "memory" / "peaks.json").read_text())


@pytest.mark.parametrize("measured", PEAKS, ids=[row["case"] for row in PEAKS])
def test_estimates_are_near_the_measured_peaks(measured, monkeypatch):
    """`tests/bench/memory.py` measured them on two CPU cores; run it to measure them anew."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    sizes = measured["config"]
    config = DecoderConfig(
        vocabulary_size=sizes["vocab_size"],
        width=sizes["hidden_size"],
        layers=(LayerSpec(),) * sizes["num_hidden_layers"],
        position=Rope(),
        norm=RMSNorm(),
        attention=Attention(
            sizes["num_attention_heads"], sizes["num_key_value_heads"], head_dim=64, scale=0.125
        ),
        mlp=Gated(sizes["intermediate_size"]),
    )
    found = estimate_config(config, measured["dtype"], **measured["work"])
    assert 0.9 <= found.total / measured["peak"] <= 1.15


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def test_a_smaller_dtype_takes_less(accelerator):
    dtypes = ("float32", "bfloat16", "int8", "int4")
    # Of a preset whose largest matrix, there as floats while it is turned into integers, is small
    # beside all others.
    totals = [estimate("mistral_7b_en", dtype).total for dtype in dtypes]
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == 4
    weights = [estimate("gemma2_2b_en", dtype).weights for dtype in dtypes]
    assert weights == sorted(weights, reverse=True) and len(set(weights)) == 4


def test_on_cpu_16_bit_weights_are_there_in_float32_too():
    wide, narrow = (estimate("gemma2_2b_en", dtype) for dtype in ("float32", "bfloat16"))
    assert narrow.weights == wide.weights // 2
    assert narrow.activations > wide.weights
    assert estimate("gemma2_2b_en", "int8").total < wide.weights


def test_a_shorter_text_takes_less():
    info = catalog.find("gemma2_2b_en")
    lengths = [estimate(info, "float32", length=length).total for length in (64, 1024, 8192)]
    assert lengths == sorted(lengths)
    generating, lora, training = (
        estimate(info, "float32", length=256, training=training, lora_rank=rank).total
        for training, rank in ((False, None), (True, 8), (True, None))
    )
    assert generating < lora < training


def test_presets_stored_as_integers_stay_so_unless_asked():
    assert estimate("llama2_7b_en_int8").weights == pytest.approx(6.74e9, rel=0.01)
    assert estimate("llama2_7b_en_int8", "bfloat16").weights > 13e9


def test_quantized_weights_stay_as_the_file_has_them():
    class Source:
        tensors: ClassVar = {"codes": ("int8", (2000, 500)), "scales": ("bfloat16", (1000,))}

        def names(self):
            return self.tensors

        def shape(self, name):
            return self.tensors[name][1]

        def dtype(self, name):
            return self.tensors[name][0]

    sizes = Sizes.of_files({"num_layers": 1}, Source())
    assert (sizes.codes, sizes.parameters) == (1_000_000, 1000)
    with pytest.raises(MemoryTooSmallError, match="weights 1 MB"):
        memory.check("quantized", sizes, "float32", free=10**6)


def test_dtypes_are_policies_or_their_names():
    import keras

    policy = keras.dtype_policies.get("mixed_bfloat16")
    assert estimate("gpt2_base_en", policy) == estimate("gpt2_base_en", policy.name)
    assert estimate("gpt2_base_en", "int8_from_float32").cache > 0
    blocks = estimate("gpt2_base_en", "int4/128_from_float32")
    assert blocks.weights == estimate("gpt2_base_en", "int4").weights
    with pytest.raises(SettingError, match="bfloat16"):
        estimate("gpt2_base_en", "float17")


def test_what_is_not_here_is_not_estimated():
    with pytest.raises(PresetError, match="download it first"):
        estimate("hf://someone/something")
    with pytest.raises(PresetError, match="no such"):
        estimate("./no_such_folder")


def test_an_estimate_reads_well():
    said = str(estimate("gemma2_2b_en", "bfloat16"))
    assert "(weights 5.2 GB, cache " in said and "optimizer" not in said


def test_refusals_name_what_fits(accelerator):
    sizes = sizes_of_listed(catalog.find("gemma2_9b_en"))
    alike = [preset for preset in catalog.presets() if preset.family == "Gemma 2"]
    memory.check("gemma2_9b_en", sizes, "bfloat16", alike=alike, free=40 * GB)
    with pytest.raises(MemoryTooSmallError) as refusal:
        memory.check("gemma2_9b_en", sizes, "bfloat16", alike=alike, free=16 * GB)
    text = str(refusal.value)
    assert 'dtype="int8"' in text and "gemma2_2b_en" in text
    assert 'dtype="bfloat16"' not in text and "gemma2_27b_en" not in text
    assert "14.4 GB may be used" in text
    with pytest.raises(MemoryTooSmallError, match="another machine"):
        memory.check("gemma2_9b_en", sizes, "bfloat16", alike=alike, free=GB)


def test_a_shorter_text_is_named_where_it_helps():
    sizes = sizes_of_listed(catalog.find("gpt2_base_en"))
    short = estimate("gpt2_base_en", "float32", length=2048).total
    with pytest.raises(MemoryTooSmallError, match="2048 tokens"):
        memory.check("gpt2_base_en", sizes, "float32", length=8192, free=int(short / 0.85))


@pytest.mark.parametrize("folder", ["keras_hub/llama", "hf/llama"])
def test_loading_is_refused_before_a_weight_is_read(folder, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    monkeypatch.setattr(memory, "resident", lambda: 0)
    monkeypatch.setattr("workbench.presets.load.WeightLoader", None)
    with pytest.raises(MemoryTooSmallError, match="llama in float32 needs"):
        CausalLM.from_preset(str(GOLDENS / folder), dtype="float32")


def test_a_listed_preset_is_refused_before_its_download(accelerator, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 16 * GB)
    with pytest.raises(MemoryTooSmallError, match=r"gemma2_27b_en in bfloat16.*gemma2_2b_en"):
        memory.check_listed("gemma2_27b_en", "bfloat16")
    memory.check_listed("gemma3_270m", "bfloat16")


def test_a_container_has_less_free_than_its_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "CGROUP", tmp_path)
    machine = free_memory.free_memory()
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
    assert free_memory.free_memory() == 500_000 < machine
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_memory() > 500_000
    assert memory.limit(1000) == 900


def test_an_accelerator_says_what_it_has(monkeypatch):
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 400}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert free_memory.free_memory() == 600
