"""The folder and the GGUF file of one model give the same ids, control tokens included: those of
Transformers."""

import json
import os

import pytest
import tokenizers
from both_formats import EVERY
from mixed_texts import marked_texts

from workbench.formats.gguf_tokenizer import read_tokenizer
from workbench.tokenizers import ChatTemplate, SentencePieceTokenizer, load_transformers_tokenizer
from workbench.tokenizers.tokenizer_classes import as_family_class

COUNT = int(os.environ.get("WORKBENCH_MIXED_TEXTS", "1000"))


@pytest.fixture(scope="module", params=EVERY)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def both(name):
    return EVERY[name]()


@pytest.fixture(scope="module")
def folder(both, tmp_path_factory):
    return load_transformers_tokenizer(both.write_folder(tmp_path_factory.mktemp("folder")))


@pytest.fixture(scope="module")
def gguf(both):
    return read_tokenizer("model.gguf", both.metadata)


@pytest.fixture(scope="module")
def reference(name, data):
    """Texts and chats with Transformers' ids."""
    file = data.parent / "marked" / "marked.json"
    return json.loads(file.read_text(encoding="utf-8"))[name]


def test_texts_have_transformers_ids(folder, gguf, reference):
    for text, ids in reference["texts"]:
        assert folder(text) == ids, text
        assert gguf(text) == ids, text


def test_chats_have_transformers_ids(folder, gguf, reference):
    for said, ids in reference["chats"]:
        assert ChatTemplate.of(folder).ids(said, folder) == ids, said
        assert ChatTemplate.of(gguf).ids(said, gguf) == ids, said


def test_any_text_has_the_ids_of_the_library(both, folder, gguf):
    oracle = tokenizers.Tokenizer.from_str(json.dumps(both.content))
    words = [folder.token_text(i) for i in range(folder.vocabulary_size())]
    texts = [*marked_texts(COUNT, words, both.marks, seed=1), *edges(both.marks)]
    expected = [row.ids for row in oracle.encode_batch(texts, add_special_tokens=False)]
    assert folder(texts) == expected
    assert gguf(texts) == expected


def edges(marks):
    """Each mark at the start, at the end, and beside white space."""
    around = ("", "a", " ", " a ", "\n", "\n\u3000a")
    return [before + mark + after for mark in marks for before in around for after in around]


def test_text_of_ids(folder, gguf, reference):
    for text, ids in reference["texts"]:
        assert gguf.detokenize(ids) == folder.detokenize(ids), text


def test_both_know_the_same_control_tokens(folder, gguf):
    template = folder.chat_template
    assert gguf.control_tokens(template) == folder.control_tokens(template)


@pytest.mark.parametrize("name", ["llama2", "phi3", "gemma"], indirect=True)
def test_chats_stay_as_they_are_as_a_class_of_a_family(name, gguf, reference):
    """As a preset that KerasHub reads is saved, also of a file with rows that no token has."""
    named = {"start_token": gguf.start_token, "end_token": gguf.end_token}
    cls = type("Family", (SentencePieceTokenizer,), named | {"marks_take_space": name == "phi3"})
    tokenizer = as_family_class(gguf, cls)
    for said, ids in reference["chats"]:
        assert ChatTemplate.of(tokenizer).ids(said, tokenizer) == ids, said
