"""Weight rules that several families share: pairs of a kernel or scale with its bias."""

from __future__ import annotations

from workbench.backbones.weights import Layout, Part, Rule, either

OURS = "decoder_block_{i}/"
HEADS, MERGED = "hkd -> (hk)d", "dhk -> d(hk)"
"""Transformers' layouts of the kernels of queries, keys and values, and of the output."""


def hub_norm(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Return rules for a LayerNorm's scale and shift, which KerasHub numbers 0 and 1."""
    return (Rule(f"{ours}/gamma", f"{theirs}/vars/0"), Rule(f"{ours}/beta", f"{theirs}/vars/1"))


def hub_projection(ours: str, theirs: str, layout: str, bias: str = "") -> tuple[Rule, Rule]:
    """Return rules for a kernel and its bias, which KerasHub numbers 0 and 1."""
    return (
        Rule(f"{ours}/kernel", f"{theirs}/vars/0", layout),
        Rule(f"{ours}/bias", f"{theirs}/vars/1", bias),
    )


def hub_attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    """Return rules for an attention layer with biases in KerasHub's own transformer blocks."""
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
    """Return rules for a block of KerasHub's TransformerEncoder or TransformerDecoder: with
    LayerNorms, biases and two matrices in its feed-forward network."""
    return (
        *hub_attention(f"{ours}attention", f"{theirs}_self_attention_layer"),
        *hub_norm(f"{ours}attention_norm", f"{theirs}_self_attention_layer_norm"),
        *hub_projection(f"{ours}mlp/up", f"{theirs}_feedforward_intermediate_dense", "fd -> df"),
        *hub_projection(f"{ours}mlp/down", f"{theirs}_feedforward_output_dense", "df -> fd"),
        *hub_norm(f"{ours}mlp_norm", f"{theirs}_feedforward_layer_norm"),
    )


def norm(prefix: str, ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Return rules for a LayerNorm in Transformers' files, with or without the base prefix."""
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
    """Return rules for a kernel and its bias in Transformers' files, with or without the base
    prefix."""
    return (
        Rule(f"{ours}/kernel", either(prefix, f"{theirs}.weight"), layout, part=part),
        Rule(f"{ours}/bias", either(prefix, f"{theirs}.bias"), bias, part=part),
    )


def fused_heads(prefix: str, theirs: str, heads: int) -> tuple[Rule, ...]:
    """Return rules for one matrix and one bias in which each head has its query, key and value."""
    return tuple(
        rule
        for index, name in enumerate(("query", "key", "value"))
        for rule in projection(
            prefix,
            f"{OURS}attention/{name}",
            theirs,
            HEADS,
            "hk -> (hk)",
            Part(index, index + 1, 3, groups=heads),
        )
    )


def tied_head(layout: Layout | str = "", theirs: str = "lm_head.weight") -> Rule:
    """Return the rule for an output projection, or for the copy of the token table in some
    files."""
    return Rule(
        "token_embedding/reverse_embeddings",
        theirs,
        layout,
        copy_of="token_embedding/embeddings",
    )
