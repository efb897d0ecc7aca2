"""Text as ids come: the deltas and the flush are the whole text, and no delta is half a character.

The first half knows no tokenizer: a token is any run of bytes, and every way to cut is tried.
"""

import functools
import itertools
import random

import pytest

from workbench.tokenizers.incremental import IncrementalDecoder, TextRule

ALPHABET = "ab \n'é£ßא日本☕€😀👩‍👧🇩🇪\u0301\u200d\x00\ufffd"
ENDINGS = [bytes(e) for n in (1, 2, 3) for e in itertools.product(b"\x80\x90\xa0", repeat=n)]


def decoder_of(pieces, rule=None, skip=frozenset()):
    """A decoder whose token `i` is `pieces[i]`."""
    return IncrementalDecoder(pieces.__getitem__, rule or TextRule(), skip)


def deltas_of(pieces, rule=None):
    """What each piece adds, and the flush at the end."""
    decoder = decoder_of(pieces, rule)
    return [*map(decoder.push, range(len(pieces))), decoder.flush()]


def cuts(data):
    """Every way to cut a run of bytes into pieces."""
    places = range(1, len(data))
    for count in range(len(data)):
        for chosen in itertools.combinations(places, count):
            ends = [0, *chosen, len(data)]
            yield [data[a:b] for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("text", ["é€😀", "👩‍👧", "a\u0301 ☕b", "日本語x", "\x00\ufffd\ufeffü"])
def test_every_way_to_cut_a_text(text):
    for pieces in cuts(text.encode()):
        deltas = deltas_of(pieces)
        assert "".join(deltas) == text
        shown, sent = "", b""
        for piece, delta in zip(pieces, deltas, strict=False):
            shown, sent = shown + delta, sent + piece
            assert shown == sent.decode("utf-8", "ignore")  # all that is whole, at once


def test_every_place_to_cut_ten_thousand_texts():
    chance = random.Random(0)
    for _ in range(10_000):
        text = "".join(chance.choices(ALPHABET, k=chance.randint(1, 6)))
        data = text.encode()
        for cut in range(len(data) + 1):
            assert "".join(deltas_of([data[:cut], data[cut:]])) == text
        assert "".join(deltas_of([bytes([byte]) for byte in data])) == text


EDGES = bytes.fromhex("41 80 8f 90 9f a0 bf c1 c2 e0 e2 ed f0 f4 f5")


@pytest.mark.parametrize("rule", [TextRule("replace"), TextRule("surrogateescape")])
def test_every_four_bytes_at_the_edges_of_utf8(rule):
    """Equal to the whole-text decoder, and held back only while a character can come of it."""
    for data in map(bytes, itertools.product(EDGES, repeat=4)):
        deltas = deltas_of([data[i : i + 1] for i in range(4)], rule)
        whole = data.decode("utf-8", rule.bad_bytes)
        expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in whole)
        assert "".join(deltas) == expected
        assert bool(deltas[-1]) == unfinished(data)


def unfinished(data):
    """Whether some end of these bytes is the beginning of a character."""
    tails = (data[-length:] for length in (1, 2, 3))
    return any(can_be_completed(tail) for tail in tails)


@functools.cache
def can_be_completed(tail):
    return any(is_one_character(tail + ending) for ending in ENDINGS)


def is_one_character(data):
    try:
        return len(data.decode("utf-8")) == 1
    except UnicodeDecodeError:
        return False


def test_whole_text_ends_an_unfinished_character():
    assert deltas_of([b"\xe2\x98", "ab", b"\x95"]) == ["", "\ufffdab", "\ufffd", ""]


def test_leading_spaces():
    for spaces, expected in ((0, "  a b"), (1, " a b"), (float("inf"), "a b")):
        assert "".join(deltas_of([" ", " a", " b"], TextRule(leading_spaces=spaces))) == expected
    assert "".join(deltas_of([b" a", " b"], TextRule(leading_spaces=1))) == " a b"


def test_skipped_tokens_leave_no_trace():
    decoder = decoder_of([b"\xe2\x98", "</s>", b"\x95"], skip=frozenset({1}))
    assert [*map(decoder.push, range(3)), decoder.flush()] == ["", "", "☕", ""]


def test_the_work_per_token_does_not_grow():
    """Each piece is asked for once and no more than three bytes are ever held back."""
    asked = []

    def piece(token_id):
        asked.append(token_id)
        return "😀".encode()[token_id % 4 :][:1]

    decoder = IncrementalDecoder(piece, TextRule(), frozenset())
    assert [decoder.push(i) for i in range(4000)] == ["", "", "", "😀"] * 1000
    assert asked == list(range(4000))


# From here on with tokenizers of every kind.


def test_deltas_are_the_text(tokenizer, corpus):
    for text in corpus:
        ids = tokenizer(text)
        decoder = tokenizer.decoder()
        joined = "".join(map(decoder.push, ids)) + decoder.flush()
        assert joined == tokenizer.detokenize(without_special(tokenizer, ids))


def test_going_on_after_every_beginning(tokenizer, corpus):
    for text in corpus:
        ids = tokenizer(text)[:60]
        for cut in range(len(ids) + 1):
            first = tokenizer.decoder()
            shown = "".join(map(first.push, ids[:cut]))
            rest = tokenizer.decoder(ids[:cut])
            shown += "".join(map(rest.push, ids[cut:])) + rest.flush()
            assert shown == tokenizer.detokenize(without_special(tokenizer, ids))


def test_random_ids(tokenizer):
    chance = random.Random(0)
    for _ in range(500):
        ids = [chance.randrange(tokenizer.vocabulary_size() + 5) for _ in range(20)]
        decoder = tokenizer.decoder()
        joined = "".join(map(decoder.push, ids)) + decoder.flush()
        assert joined == tokenizer.detokenize(without_special(tokenizer, ids))


def without_special(tokenizer, ids):
    return [token for token in ids if token not in tokenizer.special_token_ids]


def test_a_continuation_keeps_its_space(pairs):
    tokenizer = pairs["spaced.spm"].tokenizer
    prompt, rest = tokenizer("once upon"), tokenizer("a time")
    decoder = tokenizer.decoder([tokenizer.start_token_id, *prompt])
    assert "".join(map(decoder.push, rest)) == " a time"
    fresh = tokenizer.decoder([tokenizer.start_token_id])
    assert "".join(map(fresh.push, rest)) == "a time"


def test_display_of_one_token(pairs):
    llama, gpt2 = pairs["spaced.spm"].tokenizer, pairs["gpt2"].tokenizer
    assert llama.token_text(llama.token_to_id("<0xE2>")) == "\\xe2"
    assert llama.token_text(llama.start_token_id) == "<s>"
    assert llama.token_text(llama.token_to_id("▁the")) == " the"
    assert gpt2.token_text(gpt2.token_to_id("Ġ")) == " "
    assert gpt2.token_text(gpt2.vocabulary_size()) == f"<{gpt2.vocabulary_size()}>"
