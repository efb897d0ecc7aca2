"""The families and their public classes by name, one line per family, without importing them.

`workbench.models` offers these classes, the registry imports these modules, and the catalog checks
here whether a preset's family is known.
"""

from __future__ import annotations

_DECODER = ("Backbone", "CausalLM", "CausalLMPreprocessor", "Tokenizer")
_SEQ2SEQ = ("Backbone", "Seq2SeqLM", "Seq2SeqLMPreprocessor", "Tokenizer")
_CLASSIFIER = ("Backbone", "TextClassifier", "TextClassifierPreprocessor", "Tokenizer")
_RECORDINGS = ("AudioConverter", "AudioToText", "AudioToTextPreprocessor", "Backbone", "Tokenizer")
_PICTURES = (*_DECODER, "ImageConverter")


def _classes(prefix: str, kinds: tuple[str, ...] = _DECODER, *more: str) -> tuple[str, ...]:
    return (*(prefix + kind for kind in kinds), *more)


NAMES: dict[str, tuple[str, ...]] = {
    "bart": _classes("Bart", _SEQ2SEQ),
    "bert": _classes("Bert", _CLASSIFIER),
    "bloom": _classes("Bloom"),
    "falcon": _classes("Falcon"),
    "gemma": _classes("Gemma"),
    "gemma3": _classes("Gemma3", _PICTURES, "Gemma3VisionEncoder"),
    "gpt2": _classes("GPT2"),
    "gpt_neo_x": _classes("GPTNeoX"),
    "llama": (*_classes("Llama"), *_classes("Llama3")),
    "mistral": _classes("Mistral"),
    "mixtral": _classes("Mixtral"),
    "moonshine": _classes("Moonshine", _RECORDINGS),
    "olmo2": _classes("Olmo2"),
    "opt": _classes("OPT"),
    "pali_gemma": _classes("PaliGemma", _PICTURES),
    "parseq": _classes("PARSeq", _PICTURES, "ViTBackbone"),
    "phi3": _classes("Phi3"),
    "qwen": _classes("Qwen"),
    "qwen3": _classes("Qwen3"),
    "qwen3_moe": _classes("Qwen3Moe"),
    "qwen_moe": _classes("QwenMoe"),
    "smollm3": _classes("SmolLM3"),
    "t5gemma": _classes("T5Gemma", _SEQ2SEQ),
}
"""The public classes of each module that defines one family or several similar ones."""

CLASSES = frozenset(name for names in NAMES.values() for name in names)


def home(module: str) -> str:
    """Return the full name of a family's module."""
    return f"workbench.families.{module}"
