"""The flat namespace users type: `models.GemmaCausalLM`, `models.Backbone`, ..."""

from __future__ import annotations

import importlib
from typing import Any

from workbench.families.names import NAMES, home

_BASES = {
    "Backbone": "workbench.backbones.backbone",
    "Task": "workbench.tasks.task",
    "CausalLM": "workbench.tasks.causal_lm",
    "CausalLMPreprocessor": "workbench.preprocessing.preprocessor",
    "TextClassifier": "workbench.tasks.text_classifier",
    "TextClassifierPreprocessor": "workbench.preprocessing.text_classifier_preprocessor",
    "Seq2SeqLM": "workbench.tasks.seq2seq_lm",
    "Seq2SeqLMPreprocessor": "workbench.preprocessing.seq2seq_preprocessor",
    "AudioToText": "workbench.tasks.audio_to_text",
    "AudioToTextPreprocessor": "workbench.preprocessing.audio_to_text_preprocessor",
    "Tokenizer": "workbench.tokenizers",
}
_HOME_OF = _BASES | {name: home(module) for module, names in NAMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"workbench.models has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
