"""Shared readers of decoder settings in GGUF metadata; families build from them."""

from __future__ import annotations

from typing import Any

from workbench.formats.gguf_settings import GgufSettings


def rms_decoder(settings: GgufSettings) -> dict[str, Any]:
    """Return the arguments that all files with RMSNorm give in the same way."""
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
    """Return the arguments that all files with LayerNorm give in the same way; `heads` is the name
    of the argument for the number of heads.

    The feed-forward width in the metadata may differ from the one of the tensors.
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
    """Return the head width for families with hidden_dim / heads; the whole head is rotated."""
    width, heads = arguments["hidden_dim"], arguments["num_query_heads"]
    head_dim = settings.head_dim(width, heads)
    if head_dim * heads != width:
        expected = f"embedding_length ({width}) / head_count ({heads})"
        raise settings.error("attention.key_length", expected, head_dim)
    settings.expect("rope.dimension_count", head_dim)
    return head_dim


def own_heads(settings: GgufSettings, arguments: dict[str, Any]) -> int:
    """Return the head width for families that have it as an argument; the whole head is rotated."""
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    return head_dim


def linear_rope(
    settings: GgufSettings, factor: str = "rope_scaling_factor", theta: float = 10_000.0
) -> dict[str, Any]:
    """Return the rotary settings; `factor` names the argument by which positions are divided."""
    base, stretch = settings.rope(theta)
    return {"rope_max_wavelength": base, factor: stretch}


def is_tied(settings: GgufSettings) -> bool:
    """Return whether the file has no output head and so projects with its token table."""
    return "output.weight" not in settings.tensors


def is_dense(settings: GgufSettings) -> bool:
    """Return whether the file's model has no experts."""
    return settings.count("expert_count") == 0


def expect_dense(settings: GgufSettings) -> None:
    """Refuse a file with experts."""
    settings.expect("expert_count", 0)
    settings.expect("expert_used_count", 0)


def experts(settings: GgufSettings) -> dict[str, Any]:
    """Return the number of experts, the number that a token uses, and their width."""
    settings.take("expert_feed_forward_length", None)
    return {
        "num_experts": settings.take("expert_count"),
        "top_k": settings.take("expert_used_count"),
        "moe_intermediate_dim": settings.rows("blk.0.ffn_gate_exps.weight", axis=1),
    }
