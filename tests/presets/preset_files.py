"""Small files built byte by byte, and a watch on what is opened while they are read."""

from __future__ import annotations

import gc
import json
import os
import struct
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from patience import SLOW

from workbench.errors import PresetError

CODES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "uint8": "U8",
    "float64": "F64",
}

LLAMA_CONFIG = {
    "model_type": "llama",
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}

LLAMA_ARGUMENTS = {
    "vocabulary_size": 11,
    "num_layers": 2,
    "num_query_heads": 4,
    "hidden_dim": 8,
    "intermediate_dim": 12,
    "num_key_value_heads": 2,
}


def safetensors_bytes(tensors, header=None):
    """A well-formed file; `header` may change the table before it is written."""
    table, position = {}, 0
    for name, values in tensors.items():
        end = position + values.nbytes
        code = CODES[values.dtype.name]
        table[name] = {"dtype": code, "shape": list(values.shape), "data_offsets": [position, end]}
        position = end
    if header is not None:
        header(table)
    text = json.dumps(table).encode()
    data = b"".join(np.ascontiguousarray(values).tobytes() for values in tensors.values())
    return struct.pack("<Q", len(text)) + text + data


def llama_tensors(layers=2, seed=0):
    """The tensors of LLAMA_CONFIG as Transformers names them."""
    noise = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (11, 8), "lm_head.weight": (11, 8)}
    for i in range(layers):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "self_attn.q_proj.weight": (8, 8),
            layer + "self_attn.k_proj.weight": (4, 8),
            layer + "self_attn.v_proj.weight": (4, 8),
            layer + "self_attn.o_proj.weight": (8, 8),
            layer + "mlp.gate_proj.weight": (12, 8),
            layer + "mlp.up_proj.weight": (12, 8),
            layer + "mlp.down_proj.weight": (8, 12),
            layer + "input_layernorm.weight": (8,),
            layer + "post_attention_layernorm.weight": (8,),
        }
    shapes["model.norm.weight"] = (8,)
    return {n: noise.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


def write_llama(folder, tensors=None, **config):
    """A Transformers folder without tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA_CONFIG | config))
    tensors = llama_tensors() if tensors is None else tensors
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    return folder


def shapes_of(backbone):
    """What a backbone asks a loader for: names and shapes, in order."""
    return {v.path: tuple(v.shape) for v in backbone.weights}


def drain(loader, shapes):
    """Ask for every weight as a model being built does; the values by name."""
    values = {n: np.asarray(loader.value(n, s, "float32")) for n, s in shapes.items()}
    loader.finish()
    return values


def same_weights(a, b):
    return all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(a.weights, b.weights, strict=True)
    )


@contextmanager
def refused(match=None, seconds=2.0):
    """The block ends in one named error, short and soon."""
    gc.disable()  # its rounds take longer the more there is, whoever made it
    try:
        start = time.process_time()  # what else runs on the machine does not count
        with pytest.raises(PresetError, match=match) as caught:
            yield caught
        took = time.process_time() - start
    finally:
        gc.enable()
    assert took < seconds * SLOW
    assert len(str(caught.value)) <= 2000
    str(caught.value).encode("utf-8")


_watching: list[list[str]] = []
_hooked = False


def _hook(event, arguments):
    if event == "open" and _watching and isinstance(arguments[0], str | bytes | os.PathLike):
        _watching[-1].append(os.fsdecode(arguments[0]))


@contextmanager
def nothing_opened_outside(folder):
    """No file outside `folder` is opened in the block; Python's own modules, and what the system
    says of free memory, aside."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    opened: list[str] = []
    _watching.append(opened)
    try:
        yield
    finally:
        _watching.pop()
    inside = os.path.realpath(folder)
    ours = str(Path(__file__).parents[2] / "workbench")
    allowed = (inside, sys.prefix, sys.base_prefix, ours, "/proc/", "/sys/fs/cgroup/")
    foreign = [path for path in opened if not os.path.realpath(path).startswith(allowed)]
    assert foreign == []
