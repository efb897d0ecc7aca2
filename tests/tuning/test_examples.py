"""Examples: what is learnt of texts, pairs, conversations and ids; cuts, splits and previews."""

from __future__ import annotations

import numpy as np
import pytest
from chats import TEMPLATE, said
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import GOLDENS, byte_tokenizer

import workbench as wb
from workbench.data.examples import Example
from workbench.data.reading import read_examples
from workbench.errors import ChatTemplateError, DataError, PromptError, SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.preprocessing.supervision import of_messages, of_response
from workbench.tokenizers import built_in_chat_template
from workbench.tuning.preview import preview

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def bytewise():
    """A token per byte, with a chat template."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return CausalLMPreprocessor(tokenizer, sequence_length=64)


@pytest.fixture(scope="module")
def pieces():
    """A SentencePiece tokenizer, which merges letters."""
    path = GOLDENS / "keras_hub" / "gemma" / "assets" / "tokenizer" / "vocabulary.spm"
    tokenizer = wb.models.GemmaTokenizer(path)
    return wb.models.GemmaCausalLMPreprocessor(tokenizer, sequence_length=64)


def learnt(example, preprocessor):
    """The text of what is learnt, special tokens by name."""
    return preprocessor.tokenizer.detokenize(example.ids[example.loss])


def whole(example, preprocessor):
    return preprocessor.tokenizer.detokenize(example.ids)


def test_a_text_is_learnt_after_its_first_token(bytewise):
    (example,) = read_examples(["a fox"], bytewise)
    assert whole(example, bytewise) == f"{END}a fox{END}"
    assert example.loss.tolist() == [False] + [True] * 6
    assert (example.text, example.prompt, example.where) == ("a fox", None, "record 0")
    assert example.ids.dtype == np.int32 and example.loss.dtype == bool


def test_of_a_pair_the_response_and_its_end_are_learnt(bytewise):
    (example,) = read_examples([("who?", " me")], bytewise)
    assert whole(example, bytewise) == f"{END}who? me{END}"
    assert learnt(example, bytewise) == f" me{END}"
    assert example.prompt == "who?" and example.text == "who? me"


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(TEXTS, TEXTS)
@settings(deadline=None)
def test_a_pair_begins_as_generation_does(pieces, prompt, response):
    ids, loss = of_response(pieces, prompt, response)
    before = pieces.prompt_ids(prompt)
    assert ids[: len(before)] == before
    assert loss == [False] * len(before) + [True] * (len(ids) - len(before))
    assert ids[-1] == pieces.tokenizer.end_token_id


def test_tokens_of_a_response_are_those_of_the_whole_text_where_they_keep_apart(pieces):
    tokenizer = pieces.tokenizer
    apart = of_response(pieces, "the quick", " fox").ids
    assert apart == [*pieces.prompt_ids("the quick fox"), tokenizer.end_token_id]
    assert pieces.text(apart) == "the quick fox"


def test_of_a_conversation_every_reply_and_its_end_is_learnt(bytewise):
    (example,) = read_examples([{"messages": said("hi", "yo", "and", "no")}], bytewise)
    assert learnt(example, bytewise) == f"yo{END}no{END}"
    assert whole(example, bytewise).endswith(f"<assistant>no{END}"), "nothing follows the last"
    assert example.prompt == "and"


def test_a_list_of_messages_is_a_record_and_from_and_value_are_read(bytewise):
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
    made = read_examples([said("hi", "yo"), {"conversations": turns}], bytewise)
    np.testing.assert_array_equal(made[0].ids, made[1].ids)


@pytest.mark.parametrize("name", ["chatml", "llama3", "gemma"])
def test_built_in_templates(name):
    """Each ends a turn in its own way; a turn's line feed is not learnt."""
    marks = {
        "chatml": ["<|im_start|>", "<|im_end|>"],
        "llama3": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "gemma": ["<start_of_turn>", "<end_of_turn>"],
    }[name]
    preprocessor = marked(built_in_chat_template(name), marks)
    turns = said("hi", "yo", "and", "no")
    ids, loss = of_messages(preprocessor, turns)
    text = preprocessor.tokenizer.detokenize(np.array(ids)[loss])
    assert text == f"yo{marks[-1]}no{marks[-1]}"
    last = preprocessor.chat_ids(turns[:3])
    assert ids[: len(last)] == last, "the last reply stands where a generated one would"


def marked(template, marks):
    """A byte tokenizer with tokens for the marks of a template."""
    import tokenizers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, END, *marks]
    tokenizer = wb.models.GPT2Tokenizer({word: index for index, word in enumerate(words)}, [])
    tokenizer.chat_template = template
    return CausalLMPreprocessor(tokenizer)


THINKING = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{%- if message.role == 'assistant' and loop.last %} <think>hm</think>{% endif %} \
{{ message.content }}<|im_end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant{% endif -%}
"""
REWRITES = """\
{%- for message in messages -%}
<|im_start|>{{ messages | length }}{{ message.role }} {{ message.content }}<|im_end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|im_start|>{{ messages | length }}assistant{% endif -%}
"""


def test_a_template_that_drops_earlier_thoughts():
    preprocessor = marked(THINKING, ["<|im_start|>", "<|im_end|>"])
    ids, loss = of_messages(preprocessor, said("hi", "yo", "and", "no"))
    text = preprocessor.tokenizer.detokenize(np.array(ids)[loss])
    assert text == " yo<|im_end|> <think>hm</think> no<|im_end|>"


def test_a_template_that_moves_the_reply_is_named():
    preprocessor = marked(REWRITES, ["<|im_start|>", "<|im_end|>"])
    with pytest.raises(PromptError, match=r"record 0: messages\[1\]: expected the chat template"):
        read_examples([said("hi", "yo")], preprocessor)


def test_conversations_that_teach_nothing_are_named(bytewise):
    with pytest.raises(PromptError, match="record 0: messages: expected at least one of the ass"):
        read_examples([said("hi")], bytewise)
    plain = CausalLMPreprocessor(byte_tokenizer())
    with pytest.raises(ChatTemplateError, match="record 0: chat: this model has no chat template"):
        read_examples([said("hi", "yo")], plain)


def test_ids_are_taken_as_they_are(bytewise):
    records = [
        {"token_ids": [256, 1, 2, 3]},
        {"input_ids": np.array([256, 1, 2, 3]), "labels": [-100, -100, 2, 3]},
        {"token_ids": [256, 1, 2, 0, 0], "padding_mask": [1, 1, 1, 0, 0], "loss": [0, 0, 1, 0, 0]},
    ]
    made = read_examples(records, bytewise)
    assert [example.ids.tolist() for example in made] == [[256, 1, 2, 3]] * 2 + [[256, 1, 2]]
    flags = [[False, True, True, True], [False, False, True, True], [False, False, True]]
    assert [example.loss.tolist() for example in made] == flags
    columns = {"token_ids": np.array([[256, 1, 2], [256, 3, 0]]), "padding_mask": [[1, 1, 1]] * 2}
    assert [len(example) for example in read_examples(columns, bytewise)] == [3, 3]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"token_ids": [1, 999]}, "expected ids from 0 to 256, got 1 to 999"),
        ({"token_ids": [1.5, 2.5]}, "token_ids: expected integers of shape"),
        ({"token_ids": [1, 2], "labels": [2, 3]}, "labels: expected each to be the id"),
        ({"token_ids": [1, 2], "loss": [1]}, r"loss: expected integers of shape \(2,\)"),
    ],
)
def test_wrong_ids_are_named(bytewise, record, words):
    with pytest.raises(DataError, match=f"record 0: .*{words}"):
        read_examples([record], bytewise)


# Lengths.


def test_what_is_too_long_is_cut_and_counted(bytewise):
    examples = read_examples(["abc", "abcdefgh", ("abcdef", "gh")], bytewise, length=5)
    assert [len(example) for example in examples] == [5, 6]
    assert examples.cut == 2, "and one of the two has nothing left to learn"
    assert examples.dropped == ("record 2",)
    assert (examples.tokens, examples.loss_tokens, examples.longest) == (11, 9, 6)
    assert repr(examples) == "Examples(2 examples, 11 tokens, 9 to learn, 2 cut, 1 dropped)"


def test_a_longer_length_brings_back_what_was_cut(bytewise):
    examples = read_examples(["abcdefgh", ("abcdef", "gh")], bytewise, length=5)
    again = examples.at_length(60)
    assert [len(example) for example in again] == [10, 10]
    assert (again.cut, again.dropped) == (0, ())
    part = examples[:1].at_length(60)
    assert whole(part[0], bytewise) == f"{END}abcdefgh{END}"


def test_nothing_left_is_named(bytewise):
    with pytest.raises(DataError, match="at least one example with a token to learn within 3"):
        read_examples([("abcdef", "gh")], bytewise, length=3)
    with pytest.raises(SettingError, match="length: expected an integer of at least 1"):
        read_examples(["a"], bytewise, length=0)


def test_examples_are_a_sequence(bytewise):
    examples = read_examples(["a", "b", "c", "d"], bytewise)
    assert [example.text for example in examples[1:3]] == ["b", "c"]
    assert examples[-1].text == "d" and len(examples) == 4
    assert read_examples(examples, bytewise) is examples


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
@settings(deadline=None)
def test_a_split_has_every_example_once(bytewise, number, share, seed):
    examples = read_examples([f"text {index}" for index in range(number)], bytewise)
    if round(share * number) >= number:
        return
    train, held_out = examples.split(share, seed)
    names = [[example.where for example in part] for part in (train, held_out)]
    assert sorted([*names[0], *names[1]]) == sorted(example.where for example in examples)
    assert len(held_out) == max(1, round(share * number))
    again = examples.split(share, seed)
    assert [[example.where for example in part] for part in again] == names


def test_a_split_takes_a_number_too_and_refuses_the_impossible(bytewise):
    examples = read_examples(["a", "b", "c"], bytewise)
    assert list(map(len, examples.split(2))) == [1, 2]
    for share in (0, 3, 1.0, -0.5, "half", True, 0.99):
        with pytest.raises(SettingError, match="split: expected"):
            examples.split(share)


# Previews.


def test_a_preview_shows_special_tokens_by_name_and_what_is_learnt(bytewise):
    (example,) = read_examples([("who", " é")], bytewise)
    made = preview(example, bytewise.tokenizer)
    assert [piece.text for piece in made] == [END, "w", "h", "o", " ", "", "é", END]
    assert [piece.loss for piece in made] == [False] * 4 + [True] * 4
    assert [piece.special for piece in made] == [True] + [False] * 6 + [True]


@given(st.lists(st.integers(0, 256), min_size=1, max_size=20))
@settings(deadline=None)
def test_the_pieces_of_any_ids_are_their_text(bytewise, ids):
    example = Example(np.array(ids, np.int32), np.ones(len(ids), bool))
    made = preview(example, bytewise.tokenizer)
    assert "".join(piece.text for piece in made if not piece.special) == bytewise.text(ids)
    assert [piece.id for piece in made] == ids
