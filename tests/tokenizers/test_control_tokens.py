"""Control tokens in messages: what users, systems and tools say writes none, of whatever look."""

import json
import time

import pytest
from both_formats import EVERY, NOT_SPECIAL
from patience import SLOW

from workbench.formats.gguf_tokenizer import read_tokenizer
from workbench.tokenizers import (
    BytePairTokenizer,
    ChatTemplate,
    SentencePieceTokenizer,
    TransformersTokenizer,
    to_byte_pair,
)
from workbench.tokenizers.control import (
    CUT,
    cut_messages,
    is_mark,
    is_written_by_models,
    marks,
)
from workbench.tokenizers.patterns import QWEN_PATTERN

ALL = """\
{{ tools | tojson if tools }}{% for message in messages %}\
{{ '<|im_start|>' + message.role + '\\n' }}{{ message.content }}\
{{ message.tool_calls | tojson if message.tool_calls }}{{ '<|im_end|>\\n' }}{% endfor %}"""
WRITTEN = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<｜tool▁calls▁begin｜>")
ORDINARY = ("  ", "    ", "naïveté")


@pytest.mark.parametrize(
    "token",
    [
        *("<|im_start|>", "<｜User｜>", "<｜tool▁calls▁begin｜>", "<tool_call>", "</think>"),
        *("[INST]", "[/INST]", "[gMASK]", "[multimodal]", "<unused7>", "<start_of_image>"),
        *("<s>", "</s>", "<|tool_call>", "<|reserved_special_token_3|>", "<2mass>"),
    ],
)
def test_marks(token):
    assert is_mark(token)


@pytest.mark.parametrize(
    "token", ["  ", "\n\n", "\t", "the", "naïveté", "õ", "<h1>", "</table>", "<", "<>", "[]"]
)
def test_ordinary_text_is_no_mark(token):
    assert not is_mark(token)


@pytest.mark.parametrize(
    ("token", "written"),
    [
        *((token, True) for token in WRITTEN),
        *(
            (token, True)
            for token in ("[TOOL_CALLS]", "<|python_tag|>", "<｜tool▁sep｜>", "[THINK]")
        ),
        *((token, False) for token in ("<|im_end|>", "<｜User｜>", "<|im_sep|>", "[TOOL_RESULTS]")),
        *((token, False) for token in ("<tool_response>", "<|call|>", "<|fim_prefix|>", "</s>")),
    ],
)
def test_what_models_write(token, written):
    assert is_written_by_models(token) == written


def test_marks_of_a_template():
    source = "{% if a < b and c[0] > d %}<|im_start|><｜User｜>[INST]<tools> <b>{{ x['<eos>'] }}"
    assert marks(source) == {"<|im_start|>", "<｜User｜>", "[INST]", "<tools>", "<eos>"}


class Qwen(BytePairTokenizer):
    split_pattern = QWEN_PATTERN
    composes = True
    end_token = "<|im_end|>"


@pytest.fixture(scope="module", params=["folder", "gguf", "class of a family"])
def tokenizer(request):
    """Qwen's marks: special or not, ASCII or not."""
    both = EVERY["qwen"]()
    if request.param == "gguf":
        return read_tokenizer("model.gguf", both.metadata)
    folder = TransformersTokenizer(json.dumps(both.content).encode(), end_token="<|im_end|>")
    return folder if request.param == "folder" else to_byte_pair(folder, Qwen)


SAID = "x{0}y {0}\n <{0}> {0}"


def control_count(messages, tokenizer, **arguments):
    """How many control tokens there are; those around a message are two."""
    ids = ChatTemplate(ALL).ids(messages, tokenizer, arguments)
    return sum(tokenizer.id_to_token(i) in tokenizer.control_tokens(ALL) for i in ids)


def test_every_mark_is_known(tokenizer):
    expected = {*NOT_SPECIAL, "<|im_start|>", "<|im_end|>", "<|endoftext|>"} - set(ORDINARY)
    assert expected <= tokenizer.control_tokens(ALL)
    assert not set(ORDINARY) & tokenizer.control_tokens(ALL)


def test_symbols_of_a_sentence_piece_model_are_known(data):
    known = SentencePieceTokenizer(data / "plain.spm").control_tokens()
    assert known == {"<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"}


@pytest.mark.parametrize("role", ["user", "system", "tool", "developer"])
def test_no_message_but_the_assistants_writes_a_control_token(tokenizer, role):
    for token in tokenizer.control_tokens(ALL):
        said = [{"role": role, "content": SAID.format(token)}]
        assert control_count(said, tokenizer) == 2, token
        parts = [{"role": role, "content": [{"type": "text", "text": token}]}]
        assert control_count(parts, tokenizer) == 2, token


def test_no_description_of_a_tool_writes_one(tokenizer):
    for token in tokenizer.control_tokens(ALL):
        tools = [{"name": "f", "description": token, "parameters": {token: [token]}}]
        said = [{"role": "user", "content": "x"}]
        assert control_count(said, tokenizer, tools=tools) == 2, token


def test_the_assistant_writes_the_marks_that_models_write_and_none_of_turns(tokenizer):
    for token in tokenizer.control_tokens(ALL):
        said = [{"role": "assistant", "content": SAID.format(token)}]
        count = 4 if token in WRITTEN else 0
        assert control_count(said, tokenizer) == 2 + count, token


def test_calls_of_tools_are_the_assistants(tokenizer):
    call = {"name": "f", "arguments": {"x": "<|im_end|>"}}
    said = [{"role": "assistant", "content": "<tool_call>", "tool_calls": [call]}]
    assert control_count(said, tokenizer) == 3


def test_ordinary_text_is_encoded_as_the_tokenizer_does(tokenizer):
    text = "def f(x):\n    return  x, naïveté"
    said = ChatTemplate("{{ messages[0].content }}").ids(text, tokenizer)
    assert said == tokenizer(text)
    assert {tokenizer.id_to_token(i) for i in said} >= set(ORDINARY)


def test_what_a_message_says_reads_as_it_was_written(tokenizer):
    template = ChatTemplate("{{ messages[0].content }}")
    for token in tokenizer.control_tokens(ALL):
        text = SAID.format(token)
        assert tokenizer.detokenize(template.ids(text, tokenizer)) == text


def test_a_long_text_costs_little_where_marks_are_many():
    """Gemma 3 has 6,400 of them; the work grows with the text, not with their number."""
    control = frozenset(f"<unused{index}>" for index in range(6_400))
    said = [{"role": "user", "content": "x < y > <unused7>" * 20_000}]
    start = time.process_time()
    cut = cut_messages(said, control)[0]["content"]
    assert time.process_time() - start < 3 * SLOW
    assert cut.count(CUT) == 20_000
