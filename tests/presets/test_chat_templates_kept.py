"""The chat template of a preset: kept when saved, known for instruct presets that hold none."""

import pytest
from tiny import byte_tokenizer, tiny_backbone

import workbench as wb
from workbench.presets.catalog import presets
from workbench.presets.chat_templates import known_chat_template
from workbench.tokenizers import built_in_chat_template

TEMPLATE = "{{ messages[0].content }}\n{# kept\r\n as it is #}"


@pytest.fixture
def lm():
    """A GPT-2 that chats."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    preprocessor = wb.models.GPT2CausalLMPreprocessor(tokenizer)
    return wb.models.GPT2CausalLM(tiny_backbone("gpt2"), preprocessor)


def test_a_saved_template_comes_back(tmp_path, lm):
    lm.save_to_preset(tmp_path)
    again = wb.models.CausalLM.from_preset(tmp_path)
    assert again.preprocessor.tokenizer.chat_template == TEMPLATE
    assert wb.models.GPT2Tokenizer.from_preset(tmp_path).chat_template == TEMPLATE
    said = {"max_new_tokens": 5, "sampler": "greedy"}
    assert again.chat("Hi", **said) == lm.chat("Hi", **said)


def test_saving_without_a_template_removes_the_old_one(tmp_path, lm):
    lm.save_to_preset(tmp_path)
    lm.preprocessor.tokenizer.chat_template = None
    lm.save_to_preset(tmp_path)
    assert wb.models.GPT2Tokenizer.from_preset(tmp_path).chat_template is None


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("gemma_instruct_2b_en", "gemma"),
        ("kaggle://keras/gemma/keras/gemma_instruct_2b_en/3", "gemma"),
        ("hf://keras/llama3_instruct_8b_en@main", "llama3"),
        ("mistral_0.2_instruct_7b_en", "mistral"),
        ("mistral_0.3_instruct_7b_en", "mistral_v3"),
        ("vicuna_1.5_7b_en", "vicuna"),
    ],
)
def test_instruct_presets_have_one(handle, name):
    assert known_chat_template(handle) == built_in_chat_template(name)


@pytest.mark.parametrize(
    "handle", ["gemma_2b_en", "llama3.1_guard_8b", "shieldgemma_2b_en", "./gemma_instruct_2b_en"]
)
def test_others_have_none(handle):
    assert known_chat_template(handle) is None


def test_every_instruct_preset_is_thought_of():
    without = {
        preset.family
        for preset in presets()
        if preset.instruct and known_chat_template(preset.name) is None
    }
    assert without == {"BLOOMZ", "ShieldGemma", "Llama 3.1", "Llama 3.2"}  # the last two: guards
