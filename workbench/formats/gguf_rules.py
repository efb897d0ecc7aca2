"""Weights in GGUF files: all architectures share one set of names; a family uses some of them.

Four conventions of the format: query and key rows in Llama's files are interleaved, Gemma's norms
    include the added 1, fused tensors hold all queries, then all keys, then all values, and experts
    are stacked like ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.backbones.weights import SAME, Layout, Part, Rule, Shape


@dataclass(frozen=True)
class Interleaved(Layout):
    """Heads whose rows are stored with the two rows of each rotary pair next to each other.

    Our layout has one row of each pair in each half of the head.
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


OURS, THEIRS = "decoder_block_{i}/", "blk.{i}."
_HEADS, _MERGED = "hkd -> (hk)d", "dhk -> d(hk)"
_TABLE, _HEAD = "token_embedding/embeddings", "token_embedding/reverse_embeddings"

EMBEDDING = (Rule(_TABLE, "token_embd.weight"),)
HEAD = (Rule(_HEAD, "output.weight", "dv -> vd", copy_of=_TABLE),)
TIED_HEAD = (Rule(_HEAD, "output.weight", copy_of=_TABLE),)
"""The copy of the token table that files of models with a tied head may hold."""
POSITIONS = (Rule("position_embedding/embeddings", "position_embd.weight"),)

NORMS = {
    OURS + "attention_norm": THEIRS + "attn_norm",
    OURS + "mlp_norm": THEIRS + "ffn_norm",
    "final_norm": "output_norm",
}
HEAD_NORMS = {
    OURS + "attention/query_norm": THEIRS + "attn_q_norm",
    OURS + "attention/key_norm": THEIRS + "attn_k_norm",
}


def scales(names: Mapping[str, str], layout: Layout = SAME) -> tuple[Rule, ...]:
    """Return rules for RMSNorms; `names` maps our names to theirs."""
    return tuple(
        Rule(f"{ours}/scale", f"{theirs}.weight", layout) for ours, theirs in names.items()
    )


def layer_norms(names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return rules for LayerNorms; `names` maps our names to theirs."""
    return tuple(
        Rule(f"{ours}/{kind}", f"{theirs}.{kind_there}")
        for ours, theirs in names.items()
        for kind, kind_there in (("gamma", "weight"), ("beta", "bias"))
    )


def kernel(ours: str, theirs: str, layout: Layout | str = "", **how: Any) -> Rule:
    """Return the rule for a matrix of a block; `how` is passed to `Rule`."""
    return Rule(f"{OURS}{ours}/kernel", f"{THEIRS}{theirs}.weight", layout, **how)


def bias(ours: str, theirs: str, layout: Layout | str = "", **how: Any) -> Rule:
    """Return the rule for a bias of a block; `how` is passed to `Rule`."""
    return Rule(f"{OURS}{ours}/bias", f"{THEIRS}{theirs}.bias", layout, **how)


OUTPUT = (kernel("attention/output", "attn_output", _MERGED),)


def attention(interleaved: bool = False) -> tuple[Rule, ...]:
    """Return rules for queries, keys, values and output in separate tensors."""
    rows = Interleaved(_HEADS) if interleaved else _HEADS
    return (
        kernel("attention/query", "attn_q", rows),
        kernel("attention/key", "attn_k", rows),
        kernel("attention/value", "attn_v", _HEADS),
        *OUTPUT,
    )


def fused(heads: int, kv_heads: int, biased: bool = False) -> tuple[Rule, ...]:
    """Return rules for all queries, then all keys, then all values, as rows of one tensor."""
    ends = (0, heads, heads + kv_heads, heads + 2 * kv_heads)
    rules = []
    for name, start, stop in zip(("query", "key", "value"), ends[:-1], ends[1:], strict=True):
        part = Part(start, stop, ends[-1])
        rules.append(kernel(f"attention/{name}", "attn_qkv", _HEADS, part=part))
        if biased:
            rules.append(bias(f"attention/{name}", "attn_qkv", "hk -> (hk)", part=part))
    return tuple(rules)


BIASES = tuple(
    bias(f"attention/{kind}", f"attn_{kind[0]}", "hk -> (hk)") for kind in ("query", "key", "value")
)
GATED = (
    kernel("mlp/gate", "ffn_gate"),
    kernel("mlp/up", "ffn_up"),
    kernel("mlp/down", "ffn_down"),
)
DENSE = (
    kernel("mlp/up", "ffn_up"),
    kernel("mlp/down", "ffn_down"),
)
DENSE_BIASES = (
    bias("attention/output", "attn_output"),
    bias("mlp/up", "ffn_up"),
    bias("mlp/down", "ffn_down"),
)
EXPERTS = (
    kernel("mlp/router", "ffn_gate_inp"),
    *(
        Rule(f"{OURS}mlp/experts/{name}", f"{THEIRS}ffn_{name}_exps.weight")
        for name in ("gate", "up", "down")
    ),
)
SHARED_EXPERT = (
    *(kernel(f"mlp/shared/{name}", f"ffn_{name}_shexp") for name in ("gate", "up", "down")),
    kernel("mlp/shared_gate", "ffn_gate_inp_shexp", "od -> (od)"),
)


def llama_like(
    *,
    norms: Mapping[str, str] = NORMS,
    norm_layout: Layout = SAME,
    interleaved: bool = False,
    mlp: tuple[Rule, ...] = GATED,
) -> tuple[Rule, ...]:
    """Return rules for a model with RMSNorm, one tensor per projection, and optionally a head."""
    return (*EMBEDDING, *HEAD, *scales(norms, norm_layout), *attention(interleaved), *mlp)


def gpt_like(heads: int, norms: Mapping[str, str] = NORMS) -> tuple[Rule, ...]:
    """Return rules for a model with LayerNorm, biases, and one tensor for queries, keys and values,
    but without its head."""
    return (
        *EMBEDDING,
        *layer_norms(norms),
        *fused(heads, heads, biased=True),
        *OUTPUT,
        *DENSE,
        *DENSE_BIASES,
    )
