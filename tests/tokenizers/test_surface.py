"""KerasHub's calls, its configs and assets, and what happens to inputs that are wrong."""

import random

import numpy as np
import pytest

from workbench.errors import PresetError, PromptError, SettingError, WorkbenchError
from workbench.tokenizers import BytePairTokenizer, SentencePieceTokenizer, TransformersTokenizer

CLASSES = [BytePairTokenizer, SentencePieceTokenizer, TransformersTokenizer]
KERAS_HUB_LAYER = {
    "name": "some_tokenizer",
    "trainable": True,
    "dtype": {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "int32"},
        "registered_name": None,
    },
    "config_file": "tokenizer.json",
    "sequence_length": None,
}


def test_text_in_and_out(tokenizer):
    ids = tokenizer("the fox")
    assert ids == tokenizer.tokenize("the fox") == tokenizer(b"the fox")
    assert all(type(token) is int for token in ids)
    assert tokenizer(["the fox", ""]) == [ids, []]
    assert tokenizer(np.array(["the fox"], dtype=object)) == [ids]
    assert tokenizer([]) == []
    assert tokenizer.detokenize(ids) == tokenizer.detokenize(np.array(ids)) == "the fox"
    assert tokenizer.detokenize([ids, []]) == ["the fox", ""]
    assert tokenizer.detokenize(np.array([ids, ids])) == ["the fox"] * 2
    assert tokenizer.detokenize([]) == ""
    assert tokenizer.detokenize(np.zeros((0, 3), dtype=int)) == []


def test_vocabulary(tokenizer):
    tokens = tokenizer.get_vocabulary()
    assert len(tokens) == tokenizer.vocabulary_size()
    for token_id in (0, 5, len(tokens) - 1):
        assert tokenizer.id_to_token(token_id) == tokens[token_id]
        assert tokenizer.token_to_id(tokens[token_id]) == token_id


def test_special_token_ids(kinds, greedy_merges, data):
    llama3 = kinds["llama3"](*greedy_merges)
    assert llama3.stop_token_ids == (llama3.end_token_id, llama3.end_token2_id)
    assert llama3.pad_token_id == 0
    assert len(llama3.special_token_ids) == 5
    assert llama3.unsplittable_tokens == llama3.special_tokens
    gemma = kinds["gemma"](data / "plain.spm")
    assert (gemma.pad_token_id, gemma.end_token_id, gemma.start_token_id) == (0, 1, 2)
    assert gemma.stop_token_ids == (1, gemma.token_to_id("<end_of_turn>"))
    assert gemma.end_token2_id is None


def test_sequence_length_cuts_and_pads(data, kinds):
    short = kinds["gemma"](data / "plain.spm", sequence_length=3)
    ids = kinds["gemma"](data / "plain.spm")("the quick")
    assert short(["the quick", ""]) == [ids[:3], [0, 0, 0]]


def test_start_and_end_around_every_text(data, kinds):
    tokenizer = kinds["gemma"](data / "plain.spm", add_bos=True, add_eos=True)
    assert tokenizer("a") == [2, *kinds["gemma"](data / "plain.spm")("a"), 1]


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_byte_pair_config_and_assets(tmp_path, data, kinds, name):
    """A KerasHub preset's files come back byte for byte."""
    folder = data / f"keras_hub_{name}"
    special = kinds[name]().special_tokens
    config = {**KERAS_HUB_LAYER, "add_prefix_space": False, "unsplittable_tokens": special}
    tokenizer = kinds[name].from_config(config)
    tokenizer.load_assets(folder)
    assert tokenizer.get_config() == {
        **{key: value for key, value in config.items() if key != "trainable"},
        "dtype": "int32",
    }
    tokenizer.save_assets(tmp_path)
    for file in tokenizer.file_assets:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_sentence_piece_config_and_assets(tmp_path, data, kinds):
    config = {**KERAS_HUB_LAYER, "proto": None, "add_bos": False, "add_eos": False}
    tokenizer = kinds["llama"].from_config(config)
    tokenizer.set_proto(data / "keras_hub_llama.spm")
    tokenizer.save_assets(tmp_path)
    saved = (tmp_path / "vocabulary.spm").read_bytes()
    assert saved == (data / "keras_hub_llama.spm").read_bytes()
    assert set(tokenizer.get_config()) == set(config) - {"trainable"}


def test_merges_without_their_tokens_are_dropped_with_one_warning():
    """The vocabulary of KerasHub's own BLOOM example."""
    vocabulary = ["<unk>", "<s>", "</s>", "<pad>", "!", "air", "Ġair", "plane", "Ġat", "port"]
    merges = ["Ġ a", "Ġ t", "Ġ i", "Ġ b", "a i", "p l", "n e", "Ġa t", "p o", "r t"]
    with pytest.warns(UserWarning, match="10 of 10 merges") as caught:
        tokenizer = BytePairTokenizer(dict(zip(vocabulary, range(10), strict=True)), merges)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert tokenizer.merges == []
    assert tokenizer.vocabulary_size() == 10


def test_merges_as_rules_pairs_and_file(tmp_path):
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}
    file = tmp_path / "merges.txt"
    file.write_text("#version: 0.2\na b\nab c\n", encoding="utf-8")
    for merges in (["a b", "ab c"], [("a", "b"), ["ab", "c"]], file, str(file)):
        tokenizer = BytePairTokenizer(vocabulary, merges)
        assert tokenizer.merges == ["a b", "ab c"]
        assert tokenizer("abcab") == [4, 3]


@pytest.mark.parametrize("text", ["a\ud83d", "\udc80", b"\xff", 5, None, ["a", 5], {"a": 1}])
def test_what_is_not_text_is_a_prompt_error(tokenizer, text):
    with pytest.raises(PromptError, match="prompt"):
        tokenizer(text)


@pytest.mark.parametrize(
    "ids", [-1, [-1], [1.5], ["a"], "a", None, [[1], 2], [[[1]]], [True, None]]
)
def test_what_is_not_ids_is_a_setting_error(tokenizer, ids):
    with pytest.raises(SettingError):
        tokenizer.detokenize(ids)


def test_ids_that_no_token_has_add_nothing(tokenizer):
    ids = tokenizer("the fox")
    assert tokenizer.detokenize([*ids, tokenizer.vocabulary_size(), 10**9]) == "the fox"
    with pytest.raises(SettingError):
        tokenizer.id_to_token(tokenizer.vocabulary_size())
    with pytest.raises(SettingError):
        tokenizer.token_to_id("no such token")


@pytest.mark.parametrize("cls", CLASSES)
def test_without_a_vocabulary(cls, tmp_path):
    for call in (
        lambda t: t("a"),
        lambda t: t.vocabulary_size(),
        lambda t: t.save_assets(tmp_path),
    ):
        with pytest.raises(PresetError, match="vocabulary"):
            call(cls())
    assert repr(cls()) == f"{cls.__name__}(no vocabulary)"
    with pytest.raises(PresetError, match="no such file"):
        cls().load_assets(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"vocabulary": "/etc/passwd"},
        {"merges": ["a b"]},
        {"sequence_length": "12"},
        {"sequence_length": -1},
        {"sequence_length": True},
        {"dtype": "string"},
        {"dtype": {"class_name": "DTypePolicy"}},
        {"config_file": "../tokenizer.json"},
        {"add_prefix_space": "no"},
        {"unsplittable_tokens": [1]},
        {"unsplittable_tokens": 1.0},
        {"unsplittable_tokens": "<s>"},
        {"unsplittable_tokens": {"<s>": 1}},
        {"extra_stop_tokens": 7},
        {"split_pattern": 5},
        "config",
    ],
)
def test_a_wrong_config_is_refused(config):
    with pytest.raises(WorkbenchError):
        BytePairTokenizer.from_config(config)


def test_a_config_may_not_name_a_model_file(data):
    with pytest.raises(PresetError, match="proto"):
        SentencePieceTokenizer.from_config({"proto": str(data / "plain.spm")})


@pytest.mark.parametrize(
    ("vocabulary", "merges"),
    [
        ({"a": -1}, []),
        ({"a": 0, "b": 0}, []),
        ({"a": "0"}, []),
        ({"a": True}, []),
        ({"a": 2**40}, []),
        ({"a": 0}, ["a"]),
        ({"a": 0}, ["a a a"]),
        ({"a": 0}, [5]),
        ({"a": 0}, 5),
        ({1: 0}, []),
        (["a"], []),
        ("missing.json", []),
    ],
)
def test_a_wrong_vocabulary_is_refused(vocabulary, merges):
    with pytest.raises(PresetError):
        BytePairTokenizer(vocabulary, merges)


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 0, "a": 1}', "\xff", "[" * 200_000])
def test_a_wrong_vocabulary_file_is_named(tmp_path, content):
    file = tmp_path / "vocabulary.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(PresetError, match=r"vocabulary\.json"):
        BytePairTokenizer(file, [])


def test_missing_special_tokens_are_named(kinds, data, greedy_merges):
    with pytest.raises(PresetError, match="<bos>"):
        kinds["gemma"](data / "spaced.spm")
    with pytest.raises(PresetError, match=r"<\|endoftext\|>"):
        kinds["gpt2"]({"a": 0}, [])
    with pytest.raises(PresetError, match="<nowhere>"):
        BytePairTokenizer(*greedy_merges, unsplittable_tokens=["<nowhere>"])


def test_a_pattern_that_is_none(greedy_merges):
    with pytest.raises(PresetError, match="split_pattern"):
        BytePairTokenizer(*greedy_merges, split_pattern="(a")


def test_a_pattern_that_never_ends_its_search(greedy_merges, capfd):
    """The library gives up by panicking, which is no Python exception; the next text is fine."""
    tokenizer = BytePairTokenizer(*greedy_merges, split_pattern="(a+)+$")
    with pytest.raises(PresetError, match="retry-limit"):
        tokenizer("a" * 50 + "b")
    assert tokenizer.detokenize(tokenizer("b")) == "b"
    capfd.readouterr()


@pytest.mark.parametrize("name", ["plain.json", "plain.spm"])
def test_damaged_files_end_in_a_named_error(data, name):
    cls = TransformersTokenizer if name.endswith("json") else SentencePieceTokenizer
    whole = (data / name).read_bytes()
    chance = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            tokenizer = cls(bytes(damaged))
            tokenizer.detokenize(tokenizer("the fox ☕ <eos>"))
            tokenizer.get_vocabulary()
        except WorkbenchError as error:
            assert len(str(error)) <= 2000
