"""Reading Transformers folders, and turning what they hold into a family's own class."""

import json

import pytest
import tokenizers

from workbench.errors import PresetError
from workbench.tokenizers import (
    SentencePieceTokenizer,
    TransformersTokenizer,
    load_transformers_tokenizer,
    to_byte_pair,
    to_sentence_piece,
)
from workbench.tokenizers.tokenizer_classes import as_family_class

CONFIG = {"bos_token": "<bos>", "eos_token": {"content": "<eos>"}, "pad_token": "<pad>"}


@pytest.fixture
def folder(tmp_path, data):
    """Writes a folder like Gemma's: `files` are objects, or the name of one to copy."""

    def make(**files):
        names = {"tokenizer": "tokenizer.json", "model": "tokenizer.model"}
        for key, content in files.items():
            target = tmp_path / names.get(key, f"{key}.json")
            if isinstance(content, str):
                target.write_bytes((data / content).read_bytes())
            else:
                target.write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    return make


def test_tokenizer_json_comes_first(folder):
    both = folder(tokenizer="plain.json", model="plain.spm", tokenizer_config=CONFIG)
    assert isinstance(load_transformers_tokenizer(both), TransformersTokenizer)


@pytest.mark.parametrize("files", [{"tokenizer": "plain.json"}, {"model": "plain.spm"}])
def test_special_tokens(folder, files, corpus):
    tokenizer = load_transformers_tokenizer(folder(**files, tokenizer_config=CONFIG))
    assert (tokenizer.pad_token_id, tokenizer.end_token_id, tokenizer.start_token_id) == (0, 1, 2)
    assert tokenizer.stop_token_ids == (1,)
    assert {0, 1, 2} <= tokenizer.special_token_ids
    assert tokenizer.prepends_start_token
    assert tokenizer.detokenize(tokenizer(corpus)) == corpus


def test_ids_are_transformers_own(folder, data, corpus):
    tokenizer = load_transformers_tokenizer(folder(tokenizer="plain.json"))
    oracle = tokenizers.Tokenizer.from_file(str(data / "plain.json"))
    oracle.no_truncation()  # the file cuts at 8 tokens: a text is never cut silently
    for text in corpus:
        assert tokenizer(text) == oracle.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("ids", [5, [1, 5], [5, 1, 99_999]])
def test_end_ids_of_the_generation_config(folder, ids):
    made = folder(
        tokenizer="plain.json", tokenizer_config=CONFIG, generation_config={"eos_token_id": ids}
    )
    assert load_transformers_tokenizer(made).stop_token_ids == (1, 5)


def test_end_ids_of_the_config_without_a_generation_config(folder):
    made = folder(tokenizer="plain.json", config={"eos_token_id": [5, 1]})
    tokenizer = load_transformers_tokenizer(made)
    assert tokenizer.end_token_id == 5
    assert tokenizer.stop_token_ids == (5, 1)


def test_the_end_of_a_turn_in_a_chat_template_ends_generation(folder):
    template = "{{ '<start_of_turn>' + text + '<end_of_turn>\n' }}"
    made = folder(tokenizer="plain.json", tokenizer_config={**CONFIG, "chat_template": template})
    tokenizer = load_transformers_tokenizer(made)
    assert tokenizer.id_to_token(tokenizer.stop_token_ids[1]) == "<end_of_turn>"
    assert set(tokenizer.stop_token_ids) <= tokenizer.special_token_ids


def test_a_folder_may_say_that_nothing_comes_first(folder):
    made = folder(tokenizer="plain.json", tokenizer_config={**CONFIG, "add_bos_token": False})
    assert not load_transformers_tokenizer(made).prepends_start_token


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"tokenizer_config": CONFIG}, "tokenizer.json, tokenizer.model or vocab.txt"),
        ({"tokenizer": {"version": "1.0"}}, "tokenizer.json"),
        ({"tokenizer": "plain.json", "tokenizer_config": {"bos_token": "<zz>"}}, "<zz>"),
        ({"tokenizer": "plain.json", "tokenizer_config": {"bos_token": 7}}, "bos_token"),
        ({"tokenizer": "plain.json", "generation_config": {"eos_token_id": "1"}}, "eos_token_id"),
        ({"model": "plain.json"}, "SentencePiece"),
        ({"model": "plain.spm", "added_tokens": {"<extra>": 400}}, "<extra>"),
    ],
)
def test_refusals_name_what_is_wrong(folder, files, reason):
    with pytest.raises(PresetError, match=reason):
        load_transformers_tokenizer(folder(**files))


@pytest.mark.parametrize("decoder", [None, {"type": "BPEDecoder", "suffix": "</w>"}])
def test_a_decoder_that_is_not_understood_is_refused(data, decoder):
    content = json.loads((data / "plain.json").read_text(encoding="utf-8"))
    with pytest.raises(PresetError, match="decoder"):
        TransformersTokenizer(json.dumps({**content, "decoder": decoder}).encode())


def test_saving_keeps_the_file_byte_for_byte(tmp_path, data):
    tokenizer = TransformersTokenizer(data / "plain.json", start_token="<bos>", end_token="<eos>")
    tokenizer.save_assets(tmp_path)
    again = TransformersTokenizer.from_config(tokenizer.get_config())
    again.load_assets(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (data / "plain.json").read_bytes()
    assert again.get_config() == tokenizer.get_config()
    assert again("the fox") == tokenizer("the fox")


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_byte_level_files_become_the_family_class(pairs, kinds, corpus, name):
    source = pairs[f"{name}.json"].tokenizer
    tokenizer = to_byte_pair(source, kinds[name])
    assert tokenizer(corpus) == source(corpus)
    assert tokenizer.get_vocabulary() == source.get_vocabulary()
    assert tokenizer.special_token_ids == source.special_token_ids


def test_what_would_not_be_exact_is_refused_with_every_reason(pairs, kinds):
    with pytest.raises(PresetError, match=r"ignore_merges.*split pattern"):
        to_byte_pair(pairs["llama3.json"].tokenizer, kinds["gpt2"])
    with pytest.raises(PresetError, match=r"byte_fallback.*normalizer.*decoder"):
        to_byte_pair(pairs["plain.json"].tokenizer, kinds["gpt2"])


@pytest.mark.parametrize(("name", "family"), [("spaced", "llama"), ("plain", "gemma")])
def test_sentence_piece_files_become_the_family_class(pairs, kinds, data, corpus, name, family):
    source = pairs[f"{name}.json"].tokenizer
    tokenizer = to_sentence_piece(source, data / f"{name}.spm", kinds[family])
    plain = [text for text in corpus if "<s>" not in text]
    assert tokenizer(plain) == source(plain)


def test_a_folder_with_both_files_becomes_the_family_class(folder, kinds, corpus):
    """So that a preset saved of it is one that KerasHub reads."""
    source = load_transformers_tokenizer(folder(tokenizer="plain.json", model="plain.spm"))
    tokenizer = as_family_class(source, kinds["gemma"])
    assert isinstance(tokenizer, SentencePieceTokenizer)
    plain = [text for text in corpus if "<s>" not in text]
    assert tokenizer(plain) == source(plain)


def test_without_the_model_a_file_stays_what_it_is(folder, kinds):
    source = load_transformers_tokenizer(folder(tokenizer="plain.json"))
    with pytest.raises(PresetError, match="cannot be converted to Gemma"):
        as_family_class(source, kinds["gemma"])


def test_another_model_is_refused(pairs, data):
    source = pairs["plain.json"].tokenizer
    with pytest.raises(PresetError, match="token 0"):
        to_sentence_piece(source, data / "spaced.spm", SentencePieceTokenizer)
