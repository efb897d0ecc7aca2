"""The families in GGUF files: from the metadata to the arguments of a backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.presets.formats import gguf_rules as rules
from workbench.presets.formats.gguf_family import Gguf
from workbench.presets.formats.gguf_settings import GgufSettings, fit_llama3

ROPE_FREQUENCIES = "rope_freqs.weight"


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


LLAMA = Gguf("llama", rules.LLAMA, llama, ignored=(ROPE_FREQUENCIES,))
LLAMA3 = replace(LLAMA, match=lambda settings: settings.tokenizer == "gpt2")
GPT2 = Gguf("gpt2", rules.gpt2, gpt2)
GEMMA = Gguf("gemma", rules.GEMMA, gemma)
GEMMA2 = Gguf("gemma2", rules.GEMMA2, gemma2)
