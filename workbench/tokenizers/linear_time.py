"""Recognise tokenizers whose time and memory grow only linearly with the text.

The `tokenizers` library is native code that cannot be interrupted, and a `tokenizer.json` controls
it: `Replace` steps may each double a text, patterns may try every way to split it. Tokenizers
recognised here run in the kernel, others in a separate process (`apart.py`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import tokenizers
from tokenizers import models

from workbench.tokenizers.patterns import PATTERNS

MAX_GROWTH = 16  # output bytes for one input byte; the bounds of Llama 2's steps multiply to 12
MAX_STEPS = 16
LONGEST_AFFIX = 64  # characters that a model adds before or after pieces
LONGEST_WORD = 100  # characters; WordPiece does not split longer words, as in BERT's code
LONGEST_PIECE = 1024  # characters; Unigram tries all lengths at each position

# Unicode bounds the growth of these steps, and repeating them adds little.
_KNOWN = frozenset(
    (
        # normalizers
        *("NFC", "NFD", "NFKC", "NFKD", "Nmt"),
        *("Lowercase", "Strip", "StripAccents", "BertNormalizer"),
        # pre-tokenizers
        *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits"),
        *("UnicodeScripts", "CharDelimiterSplit", "FixedLength"),
        # decoders
        *("ByteFallback", "Fuse", "WordPiece"),
    )
)
_PARTS = ("normalizers", "pretokenizers", "decoders")
_ESCAPED_LETTER = re.compile(r"\\u00[4-7]")
_NORMALIZER = re.compile(r'"normalizer"\s*:\s*(?=[{\[])')


def is_linear(library: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer's work is known to grow linearly with the text."""
    steps = (library.normalizer, library.pre_tokenizer)
    states = (json.loads(step.__getstate__()) for step in steps if step is not None)
    return math.prod(map(growth, states)) <= MAX_GROWTH and _spells_linearly(library)


def reads_linearly(data: bytes) -> bool:
    """Whether a `tokenizer.json` can be read safely: reading it normalises its added tokens.

    The file is searched, not parsed, which would double the reading time. An escaped letter, which
    no program writes, could hide a key, and so counts as unsafe.
    """
    text = data.decode("utf-8", "replace")
    found = list(islice(_NORMALIZER.finditer(text), 2))
    if not found:
        return _ESCAPED_LETTER.search(text) is None
    if len(found) > 1 or _ESCAPED_LETTER.search(text):
        return False
    try:
        step, _ = json.JSONDecoder().raw_decode(text, found[0].end())
        return growth(step) <= MAX_GROWTH
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return False  # the library explains malformed files better


def growth(step: dict[str, Any]) -> float:
    """Return how many bytes a normalizer, pre-tokenizer or decoder may write for a byte it reads;
    infinity if that or its run time is not known."""
    steps = list(islice(_flat(step), MAX_STEPS + 1))
    return math.inf if len(steps) > MAX_STEPS else math.prod(map(_growth, steps))


def _flat(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if step.get("type") != "Sequence":
        yield step
        return
    for name in _PARTS:
        for part in step.get(name, ()):
            yield from _flat(part)


def _growth(step: dict[str, Any]) -> float:
    match step:
        case {"type": str(kind)} if kind in _KNOWN:
            return 1
        case {"type": "Replace", "pattern": pattern, "content": str(content)}:
            least = _least(pattern)
            return max(1, _size(content) / least) if least else math.inf
        case {"type": "Split", "pattern": pattern}:
            return 1 if _least(pattern) else math.inf
        case {"type": "Prepend", "prepend": str(prefix)}:
            return 1 + _size(prefix)
        case {"type": "Metaspace", "replacement": str(mark)}:
            return 1 + _size(mark)
        case {"type": "ByteLevel"}:
            return 4 if step.get("add_prefix_space") else 2
    return math.inf


def _least(pattern: dict[str, str]) -> int:
    """Return the fewest bytes that a pattern matches; 0 if that or its run time is not known."""
    if "String" in pattern:
        return _size(pattern["String"])
    return int(pattern["Regex"] in PATTERNS)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _spells_linearly(library: tokenizers.Tokenizer) -> bool:
    model = library.model
    match model:
        case models.BPE():
            affixes = (model.continuing_subword_prefix, model.end_of_word_suffix)
            return all(len(affix or "") <= LONGEST_AFFIX for affix in affixes)
        case models.WordPiece():
            short = len(model.continuing_subword_prefix) <= LONGEST_AFFIX
            return short and model.max_input_chars_per_word <= LONGEST_WORD
        case models.Unigram():
            return max(map(len, library.get_vocab()), default=0) <= LONGEST_PIECE
    return isinstance(model, models.WordLevel)
