"""Tiny models shared by the preset tests."""

from __future__ import annotations

import shutil

import pytest
import tokenizers
from preset_files import LLAMA_ARGUMENTS, shapes_of

from workbench.families import gpt2, llama
from workbench.storage.files import CHECKSUMS


@pytest.fixture(scope="session")
def llama_backbone():
    return llama.LlamaBackbone(**LLAMA_ARGUMENTS)


@pytest.fixture(scope="session")
def llama_shapes(llama_backbone):
    return shapes_of(llama_backbone)


@pytest.fixture(scope="session")
def tiny_lm_parts():
    """A one-layer GPT-2 with a tokenizer of bytes and one merge: arguments of GPT2CausalLM."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    tokenizer = gpt2.GPT2Tokenizer({**vocabulary, "<|endoftext|>": 256, "th": 257}, ["t h"])
    backbone = gpt2.GPT2Backbone(
        vocabulary_size=258,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        max_sequence_length=16,
    )
    return {
        "backbone": backbone,
        "preprocessor": gpt2.GPT2CausalLMPreprocessor(tokenizer, sequence_length=12),
    }


@pytest.fixture(scope="session")
def tiny_task(tiny_lm_parts):
    return gpt2.GPT2CausalLM(**tiny_lm_parts)


@pytest.fixture(scope="session")
def sealed_task(tiny_task, tmp_path_factory):
    """A preset folder as save_to_preset writes it. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("sealed") / "tiny"
    tiny_task.save_to_preset(folder)
    return folder


@pytest.fixture(scope="session")
def saved_task(sealed_task, tmp_path_factory):
    """The same without digests, so that changes in a copy of it are read."""
    folder = shutil.copytree(sealed_task, tmp_path_factory.mktemp("presets") / "tiny")
    (folder / CHECKSUMS).unlink()
    return folder
