"""The families in GGUF files: from the metadata to the arguments of a backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.formats import gguf_rules as rules
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings, fit_llama3

ROPE_FREQUENCIES = "rope_freqs.weight"
SHORT_FACTORS, LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"


def llama(settings: GgufSettings) -> dict[str, Any]:
    """Llama and what shares its backbone's arguments; its files carry no sliding window."""
    arguments = _decoder(settings)
    head_dim = _equal_heads(settings, arguments)
    theta, factor = settings.rope()
    arguments |= {
        "rope_max_wavelength": theta,
        "rope_position_scaling_factor": factor,
        "tie_word_embeddings": _tied(settings),
        **_llama3_scaling(settings, theta, head_dim),
    }
    settings.expect("rope.dimension_count", head_dim)
    settings.expect("expert_count", 0)
    settings.expect("expert_used_count", 0)
    settings.finish()
    return arguments


def mistral(settings: GgufSettings) -> dict[str, Any]:
    """Mistral; the files carry no sliding window."""
    arguments = _decoder(settings)
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    settings.expect("expert_count", 0)
    settings.expect("expert_used_count", 0)
    arguments |= {"head_dim": head_dim, "sliding_window": None, **_linear_rope(settings)}
    settings.finish()
    return arguments


def mixtral(settings: GgufSettings) -> dict[str, Any]:
    """Mixtral; the files carry no sliding window."""
    arguments = _decoder(settings)
    settings.expect("rope.dimension_count", _equal_heads(settings, arguments))
    arguments |= {
        "num_experts": settings.take("expert_count"),
        "top_k": settings.take("expert_used_count"),
        "sliding_window": None,
        **_linear_rope(settings),
    }
    settings.finish()
    return arguments


def qwen2(settings: GgufSettings) -> dict[str, Any]:
    """Qwen2 and Qwen2.5; the files carry no sliding window."""
    arguments = _decoder(settings)
    settings.expect("rope.dimension_count", _equal_heads(settings, arguments))
    arguments |= {"tie_word_embeddings": _tied(settings), **_linear_rope(settings)}
    settings.finish()
    return arguments


def qwen3(settings: GgufSettings) -> dict[str, Any]:
    """Qwen3; the files carry no sliding window."""
    arguments = _decoder(settings)
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    arguments |= {
        "head_dim": head_dim,
        "sliding_window_size": None,
        "tie_word_embeddings": _tied(settings),
        **_linear_rope(settings),
    }
    settings.finish()
    return arguments


def qwen2_moe(settings: GgufSettings) -> dict[str, Any]:
    """Qwen1.5-MoE and Qwen2-MoE, every layer with experts."""
    arguments = _decoder(settings)
    settings.expect("rope.dimension_count", _equal_heads(settings, arguments))
    arguments |= {
        **_experts(settings),
        "norm_top_k_prob": False,
        "shared_expert_intermediate_dim": settings.rows("blk.0.ffn_gate_shexp.weight"),
        "tie_word_embeddings": _tied(settings),
        **_linear_rope(settings),
    }
    settings.take("expert_shared_feed_forward_length", None)
    settings.finish()
    return arguments


def qwen3_moe(settings: GgufSettings) -> dict[str, Any]:
    """Qwen3-MoE, every layer with experts whose weights sum to 1."""
    arguments = _decoder(settings)
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    arguments |= {
        **_experts(settings),
        "head_dim": head_dim,
        "norm_top_k_prob": True,
        "sliding_window_size": None,
        "tie_word_embeddings": _tied(settings),
        **_linear_rope(settings),
    }
    settings.finish()
    return arguments


def _experts(settings: GgufSettings) -> dict[str, Any]:
    settings.take("expert_feed_forward_length", None)
    return {
        "num_experts": settings.take("expert_count"),
        "top_k": settings.take("expert_used_count"),
        "moe_intermediate_dim": settings.rows("blk.0.ffn_gate_exps.weight", axis=1),
    }


def phi3(settings: GgufSettings) -> dict[str, Any]:
    """Phi-3, with longrope where the file holds its two tensors of factors."""
    arguments = _decoder(settings)
    head_dim = _equal_heads(settings, arguments)
    settings.expect("rope.dimension_count", head_dim)
    longest = settings.take("context_length")
    original = settings.take("rope.scaling.original_context_length", longest)
    arguments |= {
        "max_sequence_length": longest,
        "pretraining_sequence_length": original,
        "rope_max_wavelength": settings.take("rope.freq_base", 10_000.0),
        "sliding_window": settings.take("attention.sliding_window", 0) or None,
    }
    settings.expect("rope.scaling.type", "longrope", "none")
    # It follows from the two lengths.
    settings.take("rope.scaling.attn_factor", None)
    if LONG_FACTORS in settings.tensors:
        arguments |= {
            "rope_scaling_type": "su",
            "rope_scaling_short_factor": _factors(settings, SHORT_FACTORS, head_dim),
            "rope_scaling_long_factor": _factors(settings, LONG_FACTORS, head_dim),
        }
    settings.finish()
    return arguments


def bloom(settings: GgufSettings) -> dict[str, Any]:
    """BLOOM."""
    heads = settings.take("attention.head_count")
    settings.expect("attention.head_count_kv", heads)
    arguments = {
        "vocabulary_size": settings.rows("token_embd.weight"),
        "num_layers": settings.take("block_count"),
        "num_heads": heads,
        "hidden_dim": settings.take("embedding_length"),
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "layer_norm_epsilon": settings.take("attention.layer_norm_epsilon"),
    }
    settings.take("feed_forward_length", None)
    settings.expect("attention.max_alibi_bias", 8.0)
    settings.finish()
    return arguments


def gpt2(settings: GgufSettings) -> dict[str, Any]:
    """GPT-2."""
    heads = settings.take("attention.head_count")
    settings.expect("attention.head_count_kv", heads)
    arguments = {
        "vocabulary_size": settings.rows("token_embd.weight"),
        "num_layers": settings.take("block_count"),
        "num_heads": heads,
        "hidden_dim": settings.take("embedding_length"),
        # Files of a model with another width than 4 times the model's say 4 times all the same.
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "max_sequence_length": settings.rows("position_embd.weight"),
    }
    settings.take("feed_forward_length", None)
    settings.expect("attention.layer_norm_epsilon", 1e-5)
    settings.finish()
    return arguments


def gemma(settings: GgufSettings) -> dict[str, Any]:
    """Gemma 1."""
    arguments = _gemma_1_or_2(settings)
    settings.finish()
    return arguments


def gemma2(settings: GgufSettings) -> dict[str, Any]:
    """Gemma 2. The files do not say how scores are scaled; only the 27B model, known by its 46
    layers, scales by another width than a head's."""
    arguments = _gemma_1_or_2(settings)
    arguments |= {
        "query_head_dim_normalize": arguments["num_layers"] != 46,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "attention_logit_soft_cap": settings.take("attn_logit_softcapping", None),
        "final_logit_soft_cap": settings.take("final_logit_softcapping", None),
        "use_sliding_window_attention": True,
        "sliding_window_size": settings.take("attention.sliding_window"),
    }
    settings.finish()
    return arguments


def gemma3(settings: GgufSettings) -> dict[str, Any]:
    """Gemma 3, text. Of the published models the 27B alone, known by its 62 layers, scales scores
    by another width than a head's."""
    arguments = _gemma(settings, theta=1_000_000.0)
    arguments |= {
        "image_size": None,
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "query_head_dim_normalize": arguments["num_layers"] != 62,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "final_logit_soft_cap": settings.take("final_logit_softcapping", None),
        "use_sliding_window_attention": True,
        "sliding_window_size": settings.take("attention.sliding_window"),
        "global_rope_scaling_factor": arguments.pop("rope_scaling_factor"),
    }
    settings.expect("rope.freq_base_swa", 10_000.0)
    settings.finish()
    return arguments


def falcon(settings: GgufSettings) -> dict[str, Any]:
    """Falcon with rotary positions; the format has no place for the ALiBi models."""
    heads = settings.take("attention.head_count")
    two_norms = "blk.0.attn_norm_2.weight" in settings.tensors
    arguments = {
        "vocabulary_size": settings.rows("token_embd.weight"),
        "num_layers": settings.take("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": settings.take("attention.head_count_kv", 1),
        "hidden_dim": settings.take("embedding_length"),
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "layer_norm_epsilon": settings.take("attention.layer_norm_epsilon"),
        "block": "parallel_two_norms" if two_norms else "parallel",
        "rope_max_wavelength": settings.take("rope.freq_base", 10_000.0),
        "bias": False,
    }
    settings.take("feed_forward_length", None)
    settings.finish()
    return arguments


def _decoder(settings: GgufSettings) -> dict[str, Any]:
    """What all files with RMSNorm say alike."""
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


def _gemma(settings: GgufSettings, theta: float) -> dict[str, Any]:
    arguments = _decoder(settings)
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    settings.expect("rope.dimension_count", head_dim)
    base, factor = settings.rope(theta)
    if base != theta:
        raise settings.error("rope.freq_base", theta, base)
    return arguments | {"head_dim": head_dim, "rope_scaling_factor": factor}


def _gemma_1_or_2(settings: GgufSettings) -> dict[str, Any]:
    arguments = _gemma(settings, theta=10_000.0)
    if arguments.pop("rope_scaling_factor") != 1:
        raise settings.error("rope.scaling.factor", 1, "another")
    # Both branches together, as KerasHub counts.
    return arguments | {"intermediate_dim": 2 * settings.rows("blk.0.ffn_up.weight")}


def _equal_heads(settings: GgufSettings, arguments: dict[str, Any]) -> int:
    """The width of a head, for families that make it hidden_dim / heads."""
    width, heads = arguments["hidden_dim"], arguments["num_query_heads"]
    head_dim = settings.head_dim(width, heads)
    if head_dim * heads != width:
        expected = f"embedding_length ({width}) / head_count ({heads})"
        raise settings.error("attention.key_length", expected, head_dim)
    return head_dim


def _linear_rope(settings: GgufSettings) -> dict[str, Any]:
    theta, factor = settings.rope()
    return {"rope_max_wavelength": theta, "rope_scaling_factor": factor}


def _tied(settings: GgufSettings) -> bool:
    """A file without a head of its own projects with its token table."""
    return "output.weight" not in settings.tensors


def _factors(settings: GgufSettings, name: str, head_dim: int) -> list[float]:
    return [float(str(factor)) for factor in settings.vector(name, head_dim // 2)]


def _llama3_scaling(settings: GgufSettings, theta: float, head_dim: int) -> dict[str, Any]:
    if ROPE_FREQUENCIES not in settings.tensors:
        return {}
    factors = settings.vector(ROPE_FREQUENCIES, head_dim // 2)
    found = fit_llama3(factors, theta, head_dim)
    if found is None:
        raise settings.error(ROPE_FREQUENCIES, "divisors of Llama 3.1's rule", "others")
    factor, original = found
    return {
        "rope_frequency_adjustment_factor": factor,
        "rope_low_freq_factor": 1.0,
        "rope_high_freq_factor": 4.0,
        "rope_pretraining_sequence_length": original,
    }


# Four families share the name "llama". What is left over is the most general of them.


def _is_dense(settings: GgufSettings) -> bool:
    return settings.count("expert_count") == 0


def _is_llama(settings: GgufSettings) -> bool:
    width, heads = settings.count("embedding_length"), settings.count("attention.head_count")
    return _is_dense(settings) and settings.count("attention.key_length") * heads in (0, width)


def _is_llama3(settings: GgufSettings) -> bool:
    return _is_llama(settings) and settings.tokenizer == "gpt2"


LLAMA = Gguf("llama", rules.LLAMA, llama, ignored=(ROPE_FREQUENCIES,), match=_is_llama)
LLAMA3 = replace(LLAMA, match=_is_llama3)
MISTRAL = Gguf("llama", rules.LLAMA, mistral, match=_is_dense)
QWEN2 = Gguf("qwen2", rules.QWEN2, qwen2)
MIXTRAL = Gguf("llama", rules.MIXTRAL, mixtral, match=lambda settings: not _is_dense(settings))
QWEN3 = Gguf("qwen3", rules.QWEN3, qwen3)
QWEN2_MOE = Gguf("qwen2moe", rules.QWEN2_MOE, qwen2_moe)
QWEN3_MOE = Gguf("qwen3moe", rules.QWEN3_MOE, qwen3_moe)
PHI3 = Gguf("phi3", rules.phi3, phi3, ignored=(SHORT_FACTORS, LONG_FACTORS))
BLOOM = Gguf("bloom", rules.bloom, bloom, tied=True)
FALCON = Gguf("falcon", rules.falcon, falcon, tied=True)
GEMMA3 = Gguf("gemma3", rules.GEMMA3, gemma3)
GPT2 = Gguf("gpt2", rules.gpt2, gpt2, tied=True)
GEMMA = Gguf("gemma", rules.GEMMA, gemma)
GEMMA2 = Gguf("gemma2", rules.GEMMA2, gemma2)
