"""Text to ids and back gives the text."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's own sign for a space
NAMES = ["gpt2", "gpt2.json", "llama3", "llama3.json", "spaced.spm", "plain.spm"]
NAMES += ["spaced.json", "plain.json"]


@pytest.fixture(params=NAMES)
def exact(request, pairs):
    """The tokenizers whose model does not normalise text."""
    return pairs[request.param].tokenizer


def test_the_corpus_comes_back(exact, corpus):
    """But `spaced.json` puts a space after a special token too, as the library does."""
    after_special = exact.detokenize(exact("<s>hi")) == "<s> hi"
    texts = [text for text in corpus if not (after_special and "<s>" in text)]
    assert exact.detokenize(exact(texts)) == texts


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters=SPACE)))
def test_any_text_comes_back(exact, text):
    assert exact.detokenize(exact(text)) == text


def test_the_sign_for_a_space_becomes_one(pairs):
    """Nothing can tell the two apart after SentencePiece has read them."""
    for name in ("spaced.spm", "spaced.json"):
        tokenizer = pairs[name].tokenizer
        assert tokenizer.detokenize(tokenizer(f"a{SPACE}b")) == "a b"


def test_generated_text_leaves_special_tokens_out(pairs):
    tokenizer = pairs["gpt2"].tokenizer
    ids = [tokenizer.start_token_id, *tokenizer("a fox"), tokenizer.end_token_id]
    kept = [token for token in ids if token not in tokenizer.special_token_ids]
    assert tokenizer.detokenize(kept) == "a fox"
    assert tokenizer.detokenize(ids) == "<|endoftext|>a fox<|endoftext|>"
