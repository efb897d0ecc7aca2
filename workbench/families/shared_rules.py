"""Pairs of weight rules that several families need: a kernel or scale with its bias."""

from __future__ import annotations

from workbench.backbones.weights import Layout, Part, Rule, either

OURS = "decoder_block_{i}/"
HEADS, MERGED = "hkd -> (hk)d", "dhk -> d(hk)"
"""How Transformers holds the kernels of queries, keys and values, and of the output."""


def hub_norm(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A LayerNorm's scale and shift, which KerasHub numbers 0 and 1."""
    return (Rule(f"{ours}/gamma", f"{theirs}/vars/0"), Rule(f"{ours}/beta", f"{theirs}/vars/1"))


def hub_projection(ours: str, theirs: str, layout: str, bias: str = "") -> tuple[Rule, Rule]:
    """A kernel and its bias, which KerasHub numbers 0 and 1."""
    return (
        Rule(f"{ours}/kernel", f"{theirs}/vars/0", layout),
        Rule(f"{ours}/bias", f"{theirs}/vars/1", bias),
    )


def hub_attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    """An attention layer with biases, as KerasHub's own transformer blocks hold it."""
    read = ("query", "key", "value")
    return (
        *(
            rule
            for part in read
            for rule in hub_projection(f"{ours}/{part}", f"{theirs}/{part}_dense", "hkd -> dhk")
        ),
        *hub_projection(f"{ours}/output", f"{theirs}/output_dense", "dhk -> hkd"),
    )


def hub_block(ours: str, theirs: str) -> tuple[Rule, ...]:
    """A block with LayerNorms, biases and two matrices in its feed-forward network, as KerasHub's
    TransformerEncoder and TransformerDecoder hold it."""
    return (
        *hub_attention(f"{ours}attention", f"{theirs}_self_attention_layer"),
        *hub_norm(f"{ours}attention_norm", f"{theirs}_self_attention_layer_norm"),
        *hub_projection(f"{ours}mlp/up", f"{theirs}_feedforward_intermediate_dense", "fd -> df"),
        *hub_projection(f"{ours}mlp/down", f"{theirs}_feedforward_output_dense", "df -> fd"),
        *hub_norm(f"{ours}mlp_norm", f"{theirs}_feedforward_layer_norm"),
    )


def norm(prefix: str, ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A LayerNorm as Transformers writes it, with or without the base prefix."""
    return (
        Rule(f"{ours}/gamma", either(prefix, f"{theirs}.weight")),
        Rule(f"{ours}/beta", either(prefix, f"{theirs}.bias")),
    )


def projection(
    prefix: str,
    ours: str,
    theirs: str,
    layout: Layout | str = "",
    bias: Layout | str = "",
    part: Part | None = None,
) -> tuple[Rule, Rule]:
    """A kernel and its bias as Transformers writes them, with or without the base prefix."""
    return (
        Rule(f"{ours}/kernel", either(prefix, f"{theirs}.weight"), layout, part=part),
        Rule(f"{ours}/bias", either(prefix, f"{theirs}.bias"), bias, part=part),
    )


def tied_head(layout: Layout | str = "") -> Rule:
    """An output projection of its own, or the copy of the token table some files hold."""
    return Rule(
        "token_embedding/reverse_embeddings",
        "lm_head.weight",
        layout,
        copy_of="token_embedding/embeddings",
    )
