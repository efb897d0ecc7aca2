"""What decoders have in common in the metadata of GGUF files: blocks that families build from."""

from __future__ import annotations

from typing import Any

from workbench.formats.gguf_settings import GgufSettings


def rms_decoder(settings: GgufSettings) -> dict[str, Any]:
    """The arguments that all files with RMSNorm give alike."""
    heads = settings.take("attention.head_count")
    return {
        "vocabulary_size": settings.rows("token_embd.weight"),
        "num_layers": settings.take("block_count"),
        "num_query_heads": heads,
        "num_key_value_heads": settings.take("attention.head_count_kv", heads),
        "hidden_dim": settings.take("embedding_length"),
        "intermediate_dim": settings.take("feed_forward_length"),
        "layer_norm_epsilon": settings.take("attention.layer_norm_rms_epsilon"),
    }


def layer_norm_decoder(settings: GgufSettings, heads: str = "num_heads") -> dict[str, Any]:
    """The arguments that all files with LayerNorm give alike; `heads` is that of their number.

    Files may say another width of the feed-forward network than its tensors have.
    """
    settings.take("feed_forward_length", None)
    return {
        "vocabulary_size": settings.rows("token_embd.weight"),
        "num_layers": settings.take("block_count"),
        heads: settings.take("attention.head_count"),
        "hidden_dim": settings.take("embedding_length"),
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "layer_norm_epsilon": settings.take("attention.layer_norm_epsilon"),
    }


def expect_heads(settings: GgufSettings, heads: int) -> None:
    """Refuse a file whose keys and values have fewer heads than its queries."""
    settings.expect("attention.head_count_kv", heads)


def equal_heads(settings: GgufSettings, arguments: dict[str, Any]) -> int:
    """The width of a head, all of which turns, for families that make it hidden_dim / heads."""
    width, heads = arguments["hidden_dim"], arguments["num_query_heads"]
    head_dim = settings.head_dim(width, heads)
    if head_dim * heads != width:
        expected = f"embedding_length ({width}) / head_count ({heads})"
        raise settings.error("attention.key_length", expected, head_dim)
    settings.expect("rope.dimension_count", head_dim)
    return head_dim


def own_heads(settings: GgufSettings, arguments: dict[str, Any]) -> int:
    """The width of a head, all of which turns, for families that have it as an argument."""
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    return head_dim


def linear_rope(
    settings: GgufSettings, factor: str = "rope_scaling_factor", theta: float = 10_000.0
) -> dict[str, Any]:
    """Rotary settings; `factor` is the argument that positions are divided by."""
    base, stretch = settings.rope(theta)
    return {"rope_max_wavelength": base, factor: stretch}


def is_tied(settings: GgufSettings) -> bool:
    """A file without a head of its own projects with its token table."""
    return "output.weight" not in settings.tensors


def is_dense(settings: GgufSettings) -> bool:
    """Whether the file's model has no experts."""
    return settings.count("expert_count") == 0


def expect_dense(settings: GgufSettings) -> None:
    """Refuse a file with experts."""
    settings.expect("expert_count", 0)
    settings.expect("expert_used_count", 0)


def experts(settings: GgufSettings) -> dict[str, Any]:
    """How many experts there are, how many a token uses, and how wide they are."""
    settings.take("expert_feed_forward_length", None)
    return {
        "num_experts": settings.take("expert_count"),
        "top_k": settings.take("expert_used_count"),
        "moe_intermediate_dim": settings.rows("blk.0.ffn_gate_exps.weight", axis=1),
    }
