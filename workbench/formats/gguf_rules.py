"""Weights in GGUF files: one set of names for all architectures.

What differs is which of them an architecture has, and four habits of the format: query and key
rows of Llama's files are interleaved, Gemma's norms have their 1 added, fused tensors hold all
queries, then all keys, then all values, and experts are stacked as ours are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.backbones.weights import SAME, Layout, Part, Rule, Shape


@dataclass(frozen=True)
class Interleaved(Layout):
    """Heads whose rows are stored so that each rotary pair lies side by side.

    Ours has the pair's two halves in the two halves of the head.
    """

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        heads, width, *rest = ours
        return theirs.reshape(heads, width // 2, 2, *rest).swapaxes(1, 2).reshape(ours)

    def store(self, ours: np.ndarray) -> np.ndarray:
        heads, width, *rest = ours.shape
        pairs = ours.reshape(heads, 2, width // 2, *rest).swapaxes(1, 2)
        return pairs.reshape(self.file_shape(ours.shape))


@dataclass(frozen=True)
class PlusOne(Layout):
    """A scale stored with the 1 that the layer adds."""

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        return theirs - np.ones((), theirs.dtype)

    def store(self, ours: np.ndarray) -> np.ndarray:
        return ours + np.ones((), ours.dtype)


_OURS = "decoder_block_{i}/"
_THEIRS = "blk.{i}."
_HEADS, _MERGED = "hkd -> (hk)d", "dhk -> d(hk)"

EMBEDDING = (Rule("token_embedding/embeddings", "token_embd.weight"),)
HEAD = (
    Rule(
        "token_embedding/reverse_embeddings",
        "output.weight",
        "dv -> vd",
        copy_of="token_embedding/embeddings",
    ),
)
TIED_HEAD = (
    Rule(
        "token_embedding/reverse_embeddings", "output.weight", copy_of="token_embedding/embeddings"
    ),
)
POSITIONS = (Rule("position_embedding/embeddings", "position_embd.weight"),)

_NORMS = {
    _OURS + "attention_norm": _THEIRS + "attn_norm",
    _OURS + "mlp_norm": _THEIRS + "ffn_norm",
    "final_norm": "output_norm",
}
_POST_NORMS = {
    _OURS + "post_attention_norm": _THEIRS + "post_attention_norm",
    _OURS + "post_mlp_norm": _THEIRS + "post_ffw_norm",
}


def _scales(names: Mapping[str, str], layout: Layout = SAME) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"{ours}/scale", f"{theirs}.weight", layout) for ours, theirs in names.items()
    )


def _layer_norms(names: Mapping[str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"{ours}/{kind}", f"{theirs}.{kind_there}")
        for ours, theirs in names.items()
        for kind, kind_there in (("gamma", "weight"), ("beta", "bias"))
    )


def _kernel(ours: str, theirs: str, layout: Layout | str = "", **how: Any) -> Rule:
    return Rule(f"{_OURS}{ours}/kernel", f"{_THEIRS}{theirs}.weight", layout, **how)


def _bias(ours: str, theirs: str, layout: Layout | str = "", **how: Any) -> Rule:
    return Rule(f"{_OURS}{ours}/bias", f"{_THEIRS}{theirs}.bias", layout, **how)


_OUTPUT = (_kernel("attention/output", "attn_output", _MERGED),)


def _attention(rows: Layout | str = _HEADS) -> tuple[Rule, ...]:
    return (
        _kernel("attention/query", "attn_q", rows),
        _kernel("attention/key", "attn_k", rows),
        _kernel("attention/value", "attn_v", _HEADS),
        *_OUTPUT,
    )


def _fused(heads: int, kv_heads: int, bias: bool) -> tuple[Rule, ...]:
    """All queries, then all keys, then all values, as rows of one tensor."""
    ends = (0, heads, heads + kv_heads, heads + 2 * kv_heads)
    rules = []
    for name, start, stop in zip(("query", "key", "value"), ends[:-1], ends[1:], strict=True):
        part = Part(start, stop, ends[-1])
        rules.append(_kernel(f"attention/{name}", "attn_qkv", _HEADS, part=part))
        if bias:
            rules.append(_bias(f"attention/{name}", "attn_qkv", "hk -> (hk)", part=part))
    return tuple(rules)


_GATED = (
    _kernel("mlp/gate", "ffn_gate"),
    _kernel("mlp/up", "ffn_up"),
    _kernel("mlp/down", "ffn_down"),
)
_DENSE = (
    _kernel("mlp/up", "ffn_up"),
    _kernel("mlp/down", "ffn_down"),
)
_DENSE_BIASES = (
    _bias("attention/output", "attn_output"),
    _bias("mlp/up", "ffn_up"),
    _bias("mlp/down", "ffn_down"),
)

_BIASES = tuple(
    _bias(f"attention/{kind}", f"attn_{kind[0]}", "hk -> (hk)")
    for kind in ("query", "key", "value")
)
_HEAD_NORMS = {
    _OURS + "attention/query_norm": _THEIRS + "attn_q_norm",
    _OURS + "attention/key_norm": _THEIRS + "attn_k_norm",
}

LLAMA = (*EMBEDDING, *HEAD, *_scales(_NORMS), *_attention(Interleaved(_HEADS)), *_GATED)
_EXPERTS = (
    _kernel("mlp/router", "ffn_gate_inp"),
    *(
        Rule(f"{_OURS}mlp/experts/{name}", f"{_THEIRS}ffn_{name}_exps.weight")
        for name in ("gate", "up", "down")
    ),
)
_SHARED_EXPERT = (
    *(_kernel(f"mlp/shared/{name}", f"ffn_{name}_shexp") for name in ("gate", "up", "down")),
    _kernel("mlp/shared_gate", "ffn_gate_inp_shexp", "od -> (od)"),
)

MIXTRAL = (*EMBEDDING, *HEAD, *_scales(_NORMS), *_attention(Interleaved(_HEADS)), *_EXPERTS)
GEMMA = (*EMBEDDING, *HEAD, *_scales(_NORMS, PlusOne("")), *_attention(), *_GATED)
GEMMA2 = (*GEMMA, *_scales(_POST_NORMS, PlusOne("")))
GEMMA3 = (*GEMMA2, *_scales(_HEAD_NORMS, PlusOne("")))
QWEN3 = (*EMBEDDING, *HEAD, *_scales({**_NORMS, **_HEAD_NORMS}), *_attention(), *_GATED)
QWEN2 = (*EMBEDDING, *HEAD, *_scales(_NORMS), *_attention(), *_BIASES, *_GATED)
QWEN2_MOE = (*(rule for rule in QWEN2 if rule not in _GATED), *_EXPERTS, *_SHARED_EXPERT)
QWEN3_MOE = (*(rule for rule in QWEN3 if rule not in _GATED), *_EXPERTS)


def gpt2(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """GPT-2's table; how many rows are queries depends on its heads."""
    heads = arguments["num_heads"]
    return (
        *EMBEDDING,
        *TIED_HEAD,
        *POSITIONS,
        *_layer_norms(_NORMS),
        *_fused(heads, heads, bias=True),
        *_OUTPUT,
        *_DENSE,
        *_DENSE_BIASES,
    )


def bloom(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """BLOOM's table: GPT-2's with a norm of the embedding in place of positions."""
    return (
        *(rule for rule in gpt2(arguments) if rule not in POSITIONS),
        *_layer_norms({"embedding_norm": "token_embd_norm"}),
    )


def falcon(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Falcon's table. With two norms the first that is named is the feed-forward branch's."""
    if arguments["block"] == "parallel_two_norms":
        norms = {
            _OURS + "attention_norm": _THEIRS + "attn_norm_2",
            _OURS + "mlp_norm": _THEIRS + "attn_norm",
        }
    else:
        norms = {_OURS + "attention_norm": _THEIRS + "attn_norm"}
    return (
        *EMBEDDING,
        *TIED_HEAD,
        *_layer_norms({**norms, "final_norm": "output_norm"}),
        *_fused(arguments["num_attention_heads"], arguments["num_key_value_heads"], bias=False),
        *_OUTPUT,
        *_DENSE,
    )


def phi3(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Phi-3's table; gate and up are the halves of one tensor."""
    return (
        *EMBEDDING,
        *HEAD,
        *_scales(_NORMS),
        *_fused(arguments["num_query_heads"], arguments["num_key_value_heads"], bias=False),
        *_OUTPUT,
        _kernel("mlp/gate", "ffn_up", part=Part(0, 1, 2)),
        _kernel("mlp/up", "ffn_up", part=Part(1, 2, 2)),
        _kernel("mlp/down", "ffn_down"),
    )
