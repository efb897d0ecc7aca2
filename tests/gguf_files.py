"""GGUF files for tests: goldens of Transformers folders written over, and small files by hand.

What is written was compared once with the files that llama.cpp's own `convert_hf_to_gguf.py`
makes of the same folders: the same tensors, names, values and settings of the architecture.
"""

from __future__ import annotations

import json
import struct

import gguf
import numpy as np
import tokenizers
from safetensors.numpy import load_file

STRING, ARRAY, UINT32, INT32, FLOAT32, BOOL, UINT64 = 8, 9, 4, 5, 6, 7, 10

# Architecture and how it differs from the folder's tensors, by the folder's model_type.
ARCHITECTURES = {
    "bloom": "bloom",
    "falcon": "falcon",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "gpt2": "gpt2",
    "gpt_neox": "gptneox",
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "olmo2": "olmo2",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2moe",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "smollm3": "smollm3",
}


def write_golden(path, folder, kind=gguf.GGMLQuantizationType.F32, tokenizer=None):
    """A Transformers folder as a GGUF file; matrices of type `kind`, vectors float32.

    `tokenizer`: more metadata, key to value.
    """
    config = json.loads((folder / "config.json").read_text())
    model_type = config["model_type"]
    writer = gguf.GGUFWriter(path, ARCHITECTURES[model_type])
    for key, value in settings(config).items():
        add(writer, f"{ARCHITECTURES[model_type]}.{key}", value)
    for key, value in (tokenizer or {}).items():
        add(writer, key, value)
    for name, values in tensors(folder, config).items():
        plain = values.ndim == 1 or kind == gguf.GGMLQuantizationType.F32
        data = values.astype(np.float32) if plain else gguf.quants.quantize(values, kind)
        raw = gguf.GGMLQuantizationType.F32 if plain else kind
        writer.add_tensor(name, np.ascontiguousarray(data), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add(writer, key, value):
    """One entry of metadata, of the type the format's converters use."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def settings(config):
    """The architecture's metadata for a Transformers config."""

    def first(*keys):
        return next((config[key] for key in keys if config.get(key) is not None), None)

    width, heads = first("hidden_size", "n_embd"), first("num_attention_heads", "n_head")
    rope = config.get("rope_parameters") or {}
    full = rope.get("full_attention", rope)
    found = {
        "context_length": first("max_position_embeddings", "n_positions", "seq_length"),
        "embedding_length": width,
        "block_count": first("num_hidden_layers", "n_layer"),
        "feed_forward_length": first("intermediate_size") or 4 * width,
        "attention.head_count": heads,
        "attention.head_count_kv": groups_of(config),
        "attention.layer_norm_rms_epsilon": first("rms_norm_eps"),
        "attention.layer_norm_epsilon": first("layer_norm_epsilon", "layer_norm_eps"),
        "rope.freq_base": full.get("rope_theta"),
        "rope.freq_base_swa": rope.get("sliding_attention", {}).get("rope_theta"),
        "attention.key_length": first("head_dim"),
        "attention.value_length": first("head_dim"),
        "attn_logit_softcapping": first("attn_logit_softcapping"),
        "final_logit_softcapping": first("final_logit_softcapping"),
        "expert_count": first("num_local_experts", "num_experts"),
        "expert_used_count": first("num_experts_per_tok"),
        "expert_feed_forward_length": first("moe_intermediate_size"),
        "expert_shared_feed_forward_length": first("shared_expert_intermediate_size"),
    }
    if config["model_type"] in ("gemma2", "gemma3_text"):
        found["attention.sliding_window"] = config["sliding_window"]
    if config["model_type"] == "phi3":
        found["attention.sliding_window"] = config["sliding_window"] or 0
        found["rope.scaling.original_context_length"] = config["original_max_position_embeddings"]
    if config["model_type"] == "gpt_neox":
        found["rope.dimension_count"] = int(rope["partial_rotary_factor"] * (width // heads))
        found["use_parallel_residual"] = config["use_parallel_residual"]
        del found["rope.freq_base"], found["attention.head_count_kv"]
    if config["model_type"] == "smollm3":
        found["rope.dimension_count"] = width // heads
    return {key: value for key, value in found.items() if value is not None}


def groups_of(config):
    """Heads of keys and values."""
    heads = config.get("num_attention_heads") or config.get("n_head")
    if config["model_type"] == "falcon" and not config["new_decoder_architecture"]:
        return 1 if config["multi_query"] else heads
    return config.get("num_key_value_heads") or config.get("num_kv_heads") or heads


def tensors(folder, config):
    """The tensors under the format's names, in its layouts."""
    model_type, ours = config["model_type"], load_file(folder / "model.safetensors")
    layers = config.get("num_hidden_layers") or config["n_layer"]
    architecture = ARCHITECTURES[model_type]
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(number, layers)
    found = {}
    for name, values in _stacked(ours).items():
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        short = name.removeprefix("transformer.") if model_type == "bloom" else name
        theirs = names.get_name(short, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise KeyError(name)
        found[theirs] = _as_stored(model_type, config, name, values)
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = _llama3_divisors(config["head_dim"], rope)
    if rope.get("rope_type") == "longrope":
        found["rope_factors_long.weight"] = np.float32(rope["long_factor"])
        found["rope_factors_short.weight"] = np.float32(rope["short_factor"])
    return found


def _stacked(tensors):
    """Experts in one tensor, under the name the mapping knows."""
    found, experts = {}, {}
    for name, values in tensors.items():
        if ".experts." in name:
            before, _, after = name.partition(".experts.")
            index, _, rest = after.partition(".")
            experts.setdefault(f"{before}.experts.{rest}", {})[int(index)] = values
        else:
            found[name] = values
    for name, parts in experts.items():
        merged = name.replace("block_sparse_moe", "feed_forward").removeprefix("model.")
        name = merged if "feed_forward" in merged else name
        found[name] = np.stack([parts[i] for i in range(len(parts))])
    return found


def _as_stored(model_type, config, name, values):
    heads = config.get("num_attention_heads") or config.get("n_head")
    groups = groups_of(config)
    if model_type in ("llama", "mistral", "mixtral", "smollm3"):
        if "q_proj" in name:
            return interleaved(values, heads)
        if "k_proj" in name:
            return interleaved(values, groups)
    if model_type.startswith("gemma") and "norm" in name:
        return values + 1
    if model_type == "gpt2" and values.ndim == 2 and ("c_" in name):
        return values.T
    if "query_key_value" in name:
        head = (config["hidden_size"] // heads, *values.shape[1:])
        grouped = values.reshape(groups, heads // groups + 2, *head)
        parts = grouped[:, :-2], grouped[:, -2:-1], grouped[:, -1:]
        return np.concatenate([part.reshape(-1, *values.shape[1:]) for part in parts])
    return values


def interleaved(values, heads):
    """Rows (head, half, place) as rows (head, place, half)."""
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _llama3_divisors(head_dim, rope):
    """Frequency by frequency, as Llama 3.1's paper of settings says it."""
    divisors = []
    for place in range(0, head_dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (place / head_dim)
        turns = rope["original_max_position_embeddings"] / wavelength
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        if turns > high:
            divisors.append(1.0)
        elif turns < low:
            divisors.append(rope["factor"])
        else:
            smooth = (turns - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.float32(divisors)


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
    "<|im_start|>"
)


def byte_tokenizer_metadata(rows):
    """A tokenizer of bytes and chat marks for a model of so many rows."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|im_start|>", "<|im_end|>", *alphabet][:rows]
    merged = tokens[2] + tokens[3]
    tokens[-1] = merged
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 3] + [1] * (len(tokens) - 2),
        "tokenizer.ggml.merges": [f"{tokens[2]} {tokens[3]}"],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


# Files byte by byte, to put anything in them.


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, payload):
    return text(key) + struct.pack("<I", kind) + payload


def string_entry(key, value):
    return entry(key, STRING, text(value))


def number_entry(key, value):
    return entry(key, UINT32, struct.pack("<I", value))


def info(name, shape, kind=0, offset=0):
    """A tensor's line; `shape` as numpy writes it."""
    sizes = struct.pack(f"<{len(shape)}Q", *reversed(shape))
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


def assembled(entries=(), infos=(), data=b"", *, version=3, counts=None, magic=b"GGUF"):
    """A whole file; `counts` instead of the true (tensors, entries)."""
    tensors, keys = counts or (len(infos), len(entries))
    head = magic + struct.pack("<IQQ", version, tensors, keys) + b"".join([*entries, *infos])
    return head + bytes(-len(head) % 32) + data
