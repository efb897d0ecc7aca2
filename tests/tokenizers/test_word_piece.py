"""WordPiece beside the slow obvious version of the same algorithm."""

from __future__ import annotations

import json

import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PresetError
from workbench.tokenizers import WordPieceTokenizer, load_transformers_tokenizer, to_word_piece

VOCABULARY = (GOLDENS / "keras_hub/bert_classifier/assets/tokenizer/vocabulary.txt").read_text()
TOKENS = VOCABULARY.split("\n")[:-1]
WORDS = ["the", "foxes", "2024,", "12345", "unbelievable", "x" * 101, "can't", "☕", "a!b", "Fox"]


def longest_first(word):
    """One word's pieces: the longest that fits, again and again."""
    if len(word) > 100:
        return ["[UNK]"]
    pieces, start = [], 0
    while start < len(word):
        ends = range(len(word), start, -1)
        found = (("##" if start else "") + word[start:end] for end in ends)
        piece = next((piece for piece in found if piece in TOKENS), None)
        if piece is None:
            return ["[UNK]"]
        pieces.append(piece)
        start += len(piece) - (2 if start else 0)
    return pieces


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_spelled_by_its_longest_pieces(word):
    tokenizer = WordPieceTokenizer(TOKENS, split=False)
    assert [tokenizer.id_to_token(i) for i in tokenizer(word)] == longest_first(word)


def test_texts_are_split_at_spaces_punctuation_and_chinese_characters():
    tokenizer = WordPieceTokenizer([*TOKENS, "中", "文"], lowercase=True)
    pieces = [tokenizer.id_to_token(i) for i in tokenizer("The\tfox,中文 ¡a!")]
    assert pieces == ["the", "fox", ",", "中", "文", "[UNK]", "a", "!"]
    joined = WordPieceTokenizer([*TOKENS, "中", "##文"], split_on_cjk=False)
    assert [joined.id_to_token(i) for i in joined("中文")] == ["中", "##文"]


def test_accents_are_stripped_where_it_is_said():
    strip, keep = (WordPieceTokenizer(TOKENS, strip_accents=flag) for flag in (True, False))
    assert strip("é") == strip("e")
    assert keep("é") == [keep.token_to_id("[UNK]")]


def test_text_from_ids_has_a_space_before_every_word():
    tokenizer = WordPieceTokenizer(TOKENS, lowercase=True)
    assert tokenizer.detokenize(tokenizer("the   Foxes!")) == "the foxes !"


def test_special_tokens_in_a_text_are_words_unless_it_is_said():
    plain, marked = (
        wb.models.BertTokenizer(TOKENS, special_tokens_in_strings=flag) for flag in (False, True)
    )
    assert marked("[SEP] the") == [marked.end_token_id, *marked("the")]
    assert marked.end_token_id not in plain("[SEP] the")


def test_a_saved_tokenizer_is_the_same(tmp_path):
    tokenizer = wb.models.BertTokenizer(TOKENS, lowercase=True, strip_accents=True)
    tokenizer.save_to_preset(tmp_path / "saved")
    again = wb.models.BertTokenizer.from_preset(str(tmp_path / "saved"))
    assert again.get_config() == tokenizer.get_config()
    assert again("The Foxés [SEP]") == tokenizer("The Foxés [SEP]")


def test_a_vocabulary_without_a_token_for_unknown_words_is_refused():
    with pytest.raises(PresetError, match="UNK"):
        WordPieceTokenizer(["a", "b"])
    with pytest.raises(PresetError, match="MASK"):
        wb.models.BertTokenizer(["[UNK]", "[PAD]", "[CLS]", "[SEP]"])


def test_a_folder_with_a_vocabulary_alone(tmp_path):
    (tmp_path / "vocab.txt").write_text(VOCABULARY)
    settings = {"do_lower_case": True, "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": "[PAD]"}))
    tokenizer = load_transformers_tokenizer(tmp_path)
    assert tokenizer.start_token == "[CLS]"
    assert tokenizer.end_token == "[SEP]"
    assert tokenizer("The fóx") == WordPieceTokenizer(TOKENS)("the fox")


def test_a_library_file_gives_the_same_ids_and_text(tmp_path):
    own = wb.models.BertTokenizer(TOKENS, lowercase=True, special_tokens_in_strings=True)
    (tmp_path / "tokenizer.json").write_text(own.library_json())
    tokenizer = load_transformers_tokenizer(tmp_path)
    for text in ("The foxes, 12345!", "[CLS] a [SEP]", ""):
        assert tokenizer(text) == own(text)
        assert tokenizer.detokenize(tokenizer(text)) == own.detokenize(own(text))


def test_a_library_file_as_a_family_class(tmp_path):
    own = wb.models.BertTokenizer(TOKENS, lowercase=True, special_tokens_in_strings=True)
    (tmp_path / "tokenizer.json").write_text(own.library_json())
    made = to_word_piece(load_transformers_tokenizer(tmp_path), wb.models.BertTokenizer)
    for text in ("The foxes, 12345!", "[CLS] a [SEP] é", ""):
        assert made(text) == own(text)
    changed = json.loads(own.library_json())
    changed["normalizer"]["clean_text"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(changed))
    with pytest.raises(PresetError, match="clean_text"):
        to_word_piece(load_transformers_tokenizer(tmp_path), wb.models.BertTokenizer)
