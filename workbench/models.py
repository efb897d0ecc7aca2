"""The flat namespace users type: `models.GemmaCausalLM`, `models.Backbone`, ..."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "workbench.backbones.backbone": ("Backbone",),
    "workbench.tasks.task": ("Task",),
    "workbench.tasks.causal_lm": ("CausalLM",),
    "workbench.preprocessing.preprocessor": ("CausalLMPreprocessor",),
    "workbench.tasks.text_classifier": ("TextClassifier",),
    "workbench.preprocessing.text_classifier_preprocessor": ("TextClassifierPreprocessor",),
    "workbench.families.bert": (
        "BertBackbone",
        "BertTextClassifier",
        "BertTextClassifierPreprocessor",
        "BertTokenizer",
    ),
    "workbench.tasks.seq2seq_lm": ("Seq2SeqLM",),
    "workbench.preprocessing.seq2seq_preprocessor": ("Seq2SeqLMPreprocessor",),
    "workbench.families.bart": (
        "BartBackbone",
        "BartSeq2SeqLM",
        "BartSeq2SeqLMPreprocessor",
        "BartTokenizer",
    ),
    "workbench.families.t5gemma": (
        "T5GemmaBackbone",
        "T5GemmaSeq2SeqLM",
        "T5GemmaSeq2SeqLMPreprocessor",
        "T5GemmaTokenizer",
    ),
    "workbench.tokenizers": ("Tokenizer",),
    "workbench.families.bloom": (
        "BloomBackbone",
        "BloomCausalLM",
        "BloomCausalLMPreprocessor",
        "BloomTokenizer",
    ),
    "workbench.families.falcon": (
        "FalconBackbone",
        "FalconCausalLM",
        "FalconCausalLMPreprocessor",
        "FalconTokenizer",
    ),
    "workbench.families.gemma": (
        "GemmaBackbone",
        "GemmaCausalLM",
        "GemmaCausalLMPreprocessor",
        "GemmaTokenizer",
    ),
    "workbench.families.gemma3": (
        "Gemma3Backbone",
        "Gemma3CausalLM",
        "Gemma3CausalLMPreprocessor",
        "Gemma3ImageConverter",
        "Gemma3Tokenizer",
        "Gemma3VisionEncoder",
    ),
    "workbench.families.gpt2": (
        "GPT2Backbone",
        "GPT2CausalLM",
        "GPT2CausalLMPreprocessor",
        "GPT2Tokenizer",
    ),
    "workbench.families.llama": (
        "Llama3Backbone",
        "Llama3CausalLM",
        "Llama3CausalLMPreprocessor",
        "Llama3Tokenizer",
        "LlamaBackbone",
        "LlamaCausalLM",
        "LlamaCausalLMPreprocessor",
        "LlamaTokenizer",
    ),
    "workbench.families.mistral": (
        "MistralBackbone",
        "MistralCausalLM",
        "MistralCausalLMPreprocessor",
        "MistralTokenizer",
    ),
    "workbench.families.mixtral": (
        "MixtralBackbone",
        "MixtralCausalLM",
        "MixtralCausalLMPreprocessor",
        "MixtralTokenizer",
    ),
    "workbench.tasks.audio_to_text": ("AudioToText",),
    "workbench.preprocessing.audio_to_text_preprocessor": ("AudioToTextPreprocessor",),
    "workbench.families.moonshine": (
        "MoonshineAudioConverter",
        "MoonshineAudioToText",
        "MoonshineAudioToTextPreprocessor",
        "MoonshineBackbone",
        "MoonshineTokenizer",
    ),
    "workbench.families.opt": (
        "OPTBackbone",
        "OPTCausalLM",
        "OPTCausalLMPreprocessor",
        "OPTTokenizer",
    ),
    "workbench.families.pali_gemma": (
        "PaliGemmaBackbone",
        "PaliGemmaCausalLM",
        "PaliGemmaCausalLMPreprocessor",
        "PaliGemmaImageConverter",
        "PaliGemmaTokenizer",
    ),
    "workbench.families.parseq": (
        "PARSeqBackbone",
        "PARSeqCausalLM",
        "PARSeqCausalLMPreprocessor",
        "PARSeqImageConverter",
        "PARSeqTokenizer",
        "ViTBackbone",
    ),
    "workbench.families.phi3": (
        "Phi3Backbone",
        "Phi3CausalLM",
        "Phi3CausalLMPreprocessor",
        "Phi3Tokenizer",
    ),
    "workbench.families.qwen": (
        "QwenBackbone",
        "QwenCausalLM",
        "QwenCausalLMPreprocessor",
        "QwenTokenizer",
    ),
    "workbench.families.qwen3": (
        "Qwen3Backbone",
        "Qwen3CausalLM",
        "Qwen3CausalLMPreprocessor",
        "Qwen3Tokenizer",
    ),
    "workbench.families.qwen3_moe": (
        "Qwen3MoeBackbone",
        "Qwen3MoeCausalLM",
        "Qwen3MoeCausalLMPreprocessor",
        "Qwen3MoeTokenizer",
    ),
    "workbench.families.qwen_moe": (
        "QwenMoeBackbone",
        "QwenMoeCausalLM",
        "QwenMoeCausalLMPreprocessor",
        "QwenMoeTokenizer",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"workbench.models has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
