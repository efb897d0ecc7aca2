"""Chat templates: text and ids equal Transformers', and no message can write a control token."""

import json

import make_data
import pytest
import tokenizers

from workbench.errors import ChatTemplateError, PresetError, PromptError, SettingError
from workbench.tokenizers import (
    BytePairTokenizer,
    ChatTemplate,
    SentencePieceTokenizer,
    TransformersTokenizer,
    built_in_chat_template,
    load_transformers_tokenizer,
)
from workbench.tokenizers.control import is_written_by_models

NAMED = {
    "bytes": {"end_token": "<|im_end|>"},
    "plain": {"start_token": "<bos>", "end_token": "<eos>"},
    "spaced": {"start_token": "<s>", "end_token": "</s>"},
}


@pytest.fixture(scope="module")
def tokenizer_of(data):
    """A tokenizer of the data folders by name: `bytes`, `plain`, `spaced`, or `plain.spm` ..."""

    def find(name):
        if name == "bytes":
            return TransformersTokenizer(data.parent / "chat" / "bytes.json", **NAMED[name])
        if not name.endswith(".spm"):
            return TransformersTokenizer(data / f"{name}.json", **NAMED[name])
        kind = type("Family", (SentencePieceTokenizer,), NAMED[name.removesuffix(".spm")])
        return kind(data / name)

    return find


@pytest.fixture(scope="module")
def cases(data):
    """Conversations as Transformers writes them."""
    return json.loads((data.parent / "chat" / "chat.json").read_text(encoding="utf-8"))


def template_of(case):
    name = case["template"]
    return ChatTemplate(built_in_chat_template(name) if name else case["source"])


def test_text_and_ids_are_transformers_own(tokenizer_of, cases):
    for case in cases:
        tokenizer, template = tokenizer_of(case["tokenizer"]), template_of(case)
        arguments = (case["messages"], tokenizer, case["arguments"])
        assert template.text(*arguments) == case["text"]
        assert template.ids(*arguments) == case["ids"]


def test_sentence_piece_files_give_the_same_ids(tokenizer_of, cases):
    spoken = [case for case in cases if case["tokenizer"] != "bytes"]
    for case in spoken:
        tokenizer = tokenizer_of(f"{case['tokenizer']}.spm")
        assert template_of(case).ids(case["messages"], tokenizer) == case["ids"]
    assert len(spoken) == 9


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("bytes", "chatml"),
        ("plain", "gemma"),
        ("plain.spm", "gemma"),
        ("spaced", "llama2"),
        ("spaced.spm", "llama2"),
    ],
)
def test_no_message_writes_a_control_token(tokenizer_of, name, template):
    tokenizer, template = tokenizer_of(name), ChatTemplate(built_in_chat_template(template))
    control = tokenizer.control_tokens(template.source)
    assert len(control) >= 2
    attack = "".join(f"{word}\nx {word[0]}{word}{word[1:]}" for word in sorted(control))
    of_turns = {word for word in control - {"<unk>"} if not is_written_by_models(word)}

    def marks(text):
        said = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
        ids = template.ids([*said, {"role": "user", "content": text}], tokenizer)
        return [i for i in ids if tokenizer.id_to_token(i) in of_turns]

    assert marks(attack) == marks("hello")


def test_byte_pair_files_give_the_same_ids(data, cases, tokenizer_of):
    source = tokenizer_of("bytes")
    vocabulary = {source.id_to_token(i): i for i in range(source.vocabulary_size())}
    tokenizer = type("Family", (BytePairTokenizer,), NAMED["bytes"])(vocabulary, [])
    assert tokenizer.unsplittable_tokens == ["<|im_end|>"]  # as KerasHub saves them
    for case in cases:
        if case["tokenizer"] == "bytes":
            arguments = (case["messages"], tokenizer, case["arguments"])
            assert template_of(case).ids(*arguments) == case["ids"]


def test_phi3_marks_swallow_the_line_end_after_them(tmp_path, monkeypatch):
    monkeypatch.setattr(make_data, "DATA", tmp_path)
    named = ["<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"]
    make_data.train("phi3", vocab_size=400, add_dummy_prefix=True, user_defined_symbols=named)
    content = make_data.transformers_json("phi3", spaced=True)
    tokenizer = SentencePieceTokenizer(tmp_path / "phi3.spm")
    marks = [
        {**make_data.added_token(tokenizer.token_to_id(mark), mark, True), "rstrip": True}
        for mark in named
    ]
    content["added_tokens"] += marks  # as the family's file says
    content["truncation"] = None
    oracle = tokenizers.Tokenizer.from_str(json.dumps(content))
    said = [
        {"role": "user", "content": "The fox?"},
        {"role": "assistant", "content": "It runs."},
        {"role": "user", "content": "The dog\n\nsleeps"},
    ]
    text = "".join(f"<|{m['role']}|>\n{m['content']}<|end|>\n" for m in said) + "<|assistant|>\n"
    expected = oracle.encode(text, add_special_tokens=False).ids
    template = ChatTemplate(built_in_chat_template("phi3"))
    assert template.ids(said, tokenizer) == expected


def test_what_looks_like_a_control_token_reads_as_it_was_written(tokenizer_of):
    tokenizer = tokenizer_of("bytes")
    text = "stop at <|im_end|>, please"
    ids = ChatTemplate("{{ messages[0].content }}").ids(text, tokenizer)
    assert tokenizer.detokenize(ids) == text
    assert ids == tokenizer("stop at <") + tokenizer("|im_end|>, please")


def test_thoughts_of_earlier_turns_are_found_by_the_template(tokenizer_of):
    tokenizer = tokenizer_of("bytes")
    said = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>hm</think>\n\nb"},
        {"role": "user", "content": "c"},
    ]
    template = ChatTemplate(built_in_chat_template("qwen3"))
    assert "hm" not in tokenizer.detokenize(template.ids(said, tokenizer))


def test_the_last_turn_may_be_given_variables(tokenizer_of):
    template = ChatTemplate("{{ greeting }} {{ messages[0].content }}{{ bos_token }}")
    assert template.text("x", tokenizer_of("spaced"), {"greeting": "Hi"}) == "Hi x<s>"


@pytest.mark.parametrize(
    "messages",
    [[], {}, {"role": "user", "content": "x"}, ["x"], [{"content": "x"}], [{"role": "user"}], 7],
)
def test_what_is_no_message_is_a_prompt_error(tokenizer_of, messages):
    with pytest.raises(PromptError, match="messages"):
        ChatTemplate("x").ids(messages, tokenizer_of("bytes"))


def test_a_template_may_refuse(tokenizer_of):
    said = [{"role": "assistant", "content": "x"}]
    with pytest.raises(ChatTemplateError, match="the user first"):
        ChatTemplate(built_in_chat_template("gemma")).ids(said, tokenizer_of("plain"))


def test_a_base_model_says_how_to_go_on(tokenizer_of):
    with pytest.raises(ChatTemplateError, match=r"base model.*built_in_chat_template"):
        ChatTemplate.of(tokenizer_of("bytes"))
    with pytest.raises(SettingError, match="chatml"):
        built_in_chat_template("klingon")


@pytest.mark.parametrize(
    ("name", "template", "stops"),
    [
        ("bytes", "chatml", ["<|im_end|>", "<|endoftext|>"]),
        ("plain", "gemma", ["<eos>", "<end_of_turn>"]),
        ("spaced", "llama2", ["</s>"]),
    ],
)
def test_the_end_of_a_turn_ends_generation(tokenizer_of, name, template, stops):
    tokenizer = tokenizer_of(name)
    tokenizer.chat_template = built_in_chat_template(template)
    assert [tokenizer.id_to_token(i) for i in tokenizer.stop_token_ids] == stops
    assert set(tokenizer.stop_token_ids) <= tokenizer.special_token_ids


@pytest.mark.parametrize(
    ("template", "file", "expected"),
    [
        ("from config", None, "from config"),
        ("from config", "from file\n", "from file\n"),
        ([{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}], None, "b"),
        ([{"name": "tools", "template": "a"}], None, "a"),
        (None, None, None),
    ],
)
def test_where_a_folder_keeps_its_template(tmp_path, data, template, file, expected):
    (tmp_path / "tokenizer.json").write_bytes((data / "plain.json").read_bytes())
    config = {"eos_token": "<eos>", "chat_template": template}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    if file is not None:
        (tmp_path / "chat_template.jinja").write_text(file, encoding="utf-8")
    assert load_transformers_tokenizer(tmp_path).chat_template == expected


@pytest.mark.parametrize("template", [7, [], ["x"], [{"name": "default"}]])
def test_a_template_that_is_none_is_refused(tmp_path, data, template):
    (tmp_path / "tokenizer.json").write_bytes((data / "plain.json").read_bytes())
    config = {"chat_template": template}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PresetError, match="chat_template"):
        load_transformers_tokenizer(tmp_path)
