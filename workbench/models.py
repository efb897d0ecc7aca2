"""The flat namespace users type: `models.GemmaCausalLM`, `models.Backbone`, ..."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "workbench.backbones.backbone": ("Backbone",),
    "workbench.tasks.task": ("Task",),
    "workbench.tasks.causal_lm": ("CausalLM",),
    "workbench.tasks.preprocessor": ("CausalLMPreprocessor",),
    "workbench.tokenizers": ("Tokenizer",),
    "workbench.backbones.families.gemma": (
        "GemmaBackbone",
        "GemmaCausalLM",
        "GemmaCausalLMPreprocessor",
        "GemmaTokenizer",
    ),
    "workbench.backbones.families.gpt2": (
        "GPT2Backbone",
        "GPT2CausalLM",
        "GPT2CausalLMPreprocessor",
        "GPT2Tokenizer",
    ),
    "workbench.backbones.families.llama": (
        "Llama3Backbone",
        "Llama3CausalLM",
        "Llama3CausalLMPreprocessor",
        "Llama3Tokenizer",
        "LlamaBackbone",
        "LlamaCausalLM",
        "LlamaCausalLMPreprocessor",
        "LlamaTokenizer",
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
