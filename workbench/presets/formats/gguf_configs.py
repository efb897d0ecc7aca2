"""The families in GGUF files: from the metadata to the arguments of a backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.presets.formats import gguf_rules as rules
from workbench.presets.formats.gguf_family import Gguf
from workbench.presets.formats.gguf_settings import GgufSettings, fit_llama3

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


def phi3(settings: GgufSettings) -> dict[str, Any]:
    """Phi-3, with longrope where the file holds its two tensors of factors."""
    arguments = _decoder(settings)
    settings.expect("rope.dimension_count", _equal_heads(settings, arguments))
    longest = settings.get("context_length")
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
            "rope_scaling_short_factor": settings.values(SHORT_FACTORS).tolist(),
            "rope_scaling_long_factor": settings.values(LONG_FACTORS).tolist(),
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
    arguments = _gemma(settings)
    settings.finish()
    return arguments


def gemma2(settings: GgufSettings) -> dict[str, Any]:
    """Gemma 2. The files do not say how scores are scaled; only the 27B model, known by its 46
    layers, scales by another width than a head's."""
    arguments = _gemma(settings)
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


def _gemma(settings: GgufSettings) -> dict[str, Any]:
    arguments = _decoder(settings)
    head_dim = settings.head_dim(arguments["hidden_dim"], arguments["num_query_heads"])
    if settings.rope() != (10_000.0, 1.0):
        raise settings.error("rope.freq_base", "10000, unscaled", "another")
    settings.expect("rope.dimension_count", head_dim)
    if type(arguments["intermediate_dim"]) is int:
        arguments["intermediate_dim"] *= 2
    return arguments | {"head_dim": head_dim}


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


def _llama3_scaling(settings: GgufSettings, theta: float, head_dim: int) -> dict[str, Any]:
    if ROPE_FREQUENCIES not in settings.tensors:
        return {}
    found = fit_llama3(settings.values(ROPE_FREQUENCIES), theta, head_dim)
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
    return settings.get("expert_count", 0) == 0


def _is_llama(settings: GgufSettings) -> bool:
    width, heads = settings.get("embedding_length"), settings.get("attention.head_count")
    key = settings.get("attention.key_length")
    return _is_dense(settings) and (key is None or key * heads == width)


def _is_llama3(settings: GgufSettings) -> bool:
    return _is_llama(settings) and settings.tokenizer == "gpt2"


LLAMA = Gguf("llama", rules.LLAMA, llama, ignored=(ROPE_FREQUENCIES,), match=_is_llama)
LLAMA3 = replace(LLAMA, match=_is_llama3)
MISTRAL = Gguf("llama", rules.LLAMA, mistral, match=_is_dense)
QWEN2 = Gguf("qwen2", rules.QWEN2, qwen2)
QWEN3 = Gguf("qwen3", rules.QWEN3, qwen3)
PHI3 = Gguf("phi3", rules.phi3, phi3, ignored=(SHORT_FACTORS, LONG_FACTORS))
BLOOM = Gguf("bloom", rules.bloom, bloom)
GPT2 = Gguf("gpt2", rules.gpt2, gpt2)
GEMMA = Gguf("gemma", rules.GEMMA, gemma)
GEMMA2 = Gguf("gemma2", rules.GEMMA2, gemma2)
