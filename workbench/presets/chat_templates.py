"""Chat templates for presets whose files have none, such as KerasHub's."""

from __future__ import annotations

from pathlib import Path

from workbench.presets.catalog import PresetInfo, find
from workbench.tokenizers import built_in_chat_template

_OF_FAMILY = {
    "CodeGemma": "gemma",
    "Gemma": "gemma",
    "Gemma 2": "gemma",
    "Gemma 3": "gemma3",
    "Llama 2": "llama2",
    "Llama 3": "llama3",
    "Llama 3.1": "llama3",
    "Llama 3.2": "llama3",
    "Mistral": "mistral",
    "Mixtral": "mistral",
    "Phi-3": "phi3",
    "Qwen2.5": "qwen2.5",
    "Qwen3": "qwen3",
    "Qwen3-MoE": "qwen3",
    "SmolLM3": "chatml",  # the original also writes the date and a reasoning mode
    "T5Gemma": "gemma",
    "Vicuna": "vicuna",
}
# The guard models classify a conversation by a policy written for each use.
_OF_PRESET = {
    "llama3.1_guard_8b": None,
    "llama3.2_guard_1b": None,
    "mistral_0.3_instruct_7b_en": "mistral_v3",
}


def known_chat_template(handle: str | Path) -> str | None:
    """Return the template of a preset that the catalog lists as an instruct model, by its name or
    hub handle; None for any other preset and for folders."""
    listed = _listed(str(handle))
    if listed is None or not listed.instruct:
        return None
    name = _OF_PRESET.get(listed.name, _OF_FAMILY.get(listed.family))
    return None if name is None else built_in_chat_template(name)


def _listed(handle: str) -> PresetInfo | None:
    """Find the preset in the catalog: on both hubs one part of KerasHub's handles is its name."""
    names = handle.partition("@")[0].split("/") if "://" in handle else [handle]
    return next((found for found in map(find, names) if found is not None), None)
