"""A SentencePiece model written as `tokenizer.json` gives the ids of SentencePiece."""

import io
import json
import random
import unicodedata

import pytest
import sentencepiece
from mixed_texts import mixed_texts

from workbench.tokenizers import SentencePieceTokenizer, TransformersTokenizer
from workbench.tokenizers.sentence_piece_file import CONTROL, UNKNOWN, read_model
from workbench.tokenizers.sentence_piece_json import sentence_piece_json

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
EXACT = ["spaced", "plain", "symbols", "unigram", "unigram_symbols", "collapsing"]
TABLED = ["keras_hub_llama", "keras_hub_gemma"]  # these replace characters by a table
ODD_FORMS = [(0x1100, 0x1200), (0xFF00, 0xFFF0)]  # and marks
UNIGRAM = {"model_type": "unigram", "allow_whitespace_only_pieces": False}
TRAINED = {
    "symbols": {"user_defined_symbols": ["<|end|>", "<|e", "x y", SPACE * 3]},
    "unigram": UNIGRAM,
    "unigram_symbols": UNIGRAM | {"user_defined_symbols": ["<|end|>", "<|e"]},
    "collapsing": {"remove_extra_whitespaces": True},
}


def trained(corpus, **options):
    """A small model; its file."""
    model = io.BytesIO()
    settings = {
        "model_type": "bpe",
        "vocab_size": 420,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "character_coverage": 0.98,
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    lines = [line for text in corpus[2:6] for line in text.splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_writer=model, **settings | options
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def models(data, corpus):
    """Model files by name."""
    files = {name: (data / f"{name}.spm").read_bytes() for name in [*EXACT[:2], *TABLED]}
    return files | {name: trained(corpus, **options) for name, options in TRAINED.items()}


@pytest.fixture(params=[*EXACT, *TABLED])
def both(request, models):
    """The name of a model, its tokenizer, and the one read from what is written."""
    tokenizer = SentencePieceTokenizer(models[request.param])
    written = sentence_piece_json(tokenizer)
    return request.param, tokenizer, TransformersTokenizer(written.encode())


def plain(texts, tokenizer):
    """Those without control tokens, which a `tokenizer.json` takes as such in a text."""
    control = read_model(tokenizer.proto).of_kind(CONTROL, UNKNOWN)
    return [text for text in texts if not any(token in text for token in control)]


def test_ids_of_mixed_texts(both, corpus):
    name, tokenizer, again = both
    words = [token.replace(SPACE, " ") for token in tokenizer.get_vocabulary()]
    texts = plain([*corpus, *mixed_texts(5_000, words)], tokenizer)
    if name in TABLED:
        texts = [text for text in texts if not any(map(is_odd, text))]
    assert len(texts) > 1_500
    for text, ids in zip(texts, tokenizer(texts), strict=True):
        assert again(text) == ids, text


def is_odd(character):
    """Of the forms that are read by grapheme."""
    return unicodedata.category(character).startswith("M") or any(
        first <= ord(character) < end for first, end in ODD_FORMS
    )


def test_ids_where_pieces_overlap(both):
    _, tokenizer, again = both
    chance = random.Random(0)
    for alphabet in ("the ", "a ", " ", "xo", "=-", "e\n ", "<|end>", "<|e nd|> x y"):
        for _ in range(200):
            text = "".join(chance.choices(alphabet, k=chance.randint(1, 60)))
            assert again(text) == tokenizer(text), text


def test_text_of_ids(both, corpus):
    _, tokenizer, again = both
    for text in plain(corpus, tokenizer):
        ids = tokenizer(text)
        if tokenizer.token_to_id("<unk>") not in ids:
            assert again.detokenize(ids) == tokenizer.detokenize(ids)


def test_symbols_are_one_id_and_the_longest_wins(models):
    tokenizer = SentencePieceTokenizer(models["symbols"])
    again = TransformersTokenizer(sentence_piece_json(tokenizer).encode())
    end, start_of_end = (tokenizer.token_to_id(token) for token in ("<|end|>", "<|e"))
    assert again("a<|end|>b<|e") == tokenizer("a<|end|>b<|e")
    assert again("a<|end|>b<|e").count(end) == again("a<|end|>b<|e").count(start_of_end) == 1


def test_control_pieces_are_tokens_and_what_follows_begins_anew(models):
    tokenizer = SentencePieceTokenizer(models["spaced"])
    again = TransformersTokenizer(sentence_piece_json(tokenizer).encode())
    assert again("<s>the fox</s>") == tokenizer.tokenize_marked(
        "<s>the fox</s>", tokenizer.control_tokens()
    )


def test_names_of_bytes_are_letters(models):
    for name in ("spaced", "unigram"):
        tokenizer = SentencePieceTokenizer(models[name])
        again = TransformersTokenizer(sentence_piece_json(tokenizer).encode())
        assert again.detokenize(again("a<0x41>")) == "a<0x41>"


def field(number, data):
    """A message of less than 128 bytes in a protocol buffer."""
    return bytes([number << 3 | 2, len(data)]) + data


UNUSED_PIECE = field(1, field(1, b"zz") + b"\x18\x05")
PIECE_OF_NO_PIECES = field(1, field(1, "щщ".encode()) + b"\x18\x01")
SPACE_AFTER = field(2, b"\xc0\x01\x01")
SPACES_AS_THEY_ARE = field(3, b"\x28\x00")


@pytest.mark.parametrize(
    "change", [UNUSED_PIECE, PIECE_OF_NO_PIECES, SPACE_AFTER, SPACES_AS_THEY_ARE]
)
def test_what_cannot_be_written_is_not(models, change):
    assert sentence_piece_json(SentencePieceTokenizer(models["spaced"] + change)) is None


@pytest.mark.parametrize("kind", ["char", "word"])
def test_other_algorithms_are_not_written(corpus, kind):
    tokenizer = SentencePieceTokenizer(trained(corpus, model_type=kind, byte_fallback=False))
    assert sentence_piece_json(tokenizer) is None


def test_a_model_whose_ties_are_broken_otherwise_is_not_written(corpus):
    """Runs of eight spaces as three and five or five and three, which score the same."""
    proto = trained(corpus, **UNIGRAM | {"allow_whitespace_only_pieces": True})
    assert sentence_piece_json(SentencePieceTokenizer(proto)) is None


def test_special_tokens_of_the_tokenizer_are_marked(models, kinds):
    content = json.loads(sentence_piece_json(kinds["gemma"](models["plain"])))
    special = {token["content"] for token in content["added_tokens"] if token["special"]}
    assert special == {"<pad>", "<eos>", "<bos>", "<unk>"}
