"""Texts of many scripts, for tests that compare tokenizers on thousands of them."""

import random

SNAGS = "'s|'LL| |  |\n|\r\n|\t|12345|é|e\u0301|日|☕|👩\u200d👧|\x00|the| the|=|\u00a0|\u3000|ſ|ﬁ"
RANGES = [
    (0x20, 0x7F),
    (0x20, 0x7F),
    (0xA0, 0x250),  # Latin
    (0x300, 0x370),  # combining marks
    (0x370, 0x600),  # Greek to Hebrew
    (0x600, 0x700),  # Arabic
    (0x900, 0xA00),  # Devanagari and Bengali
    (0x1100, 0x1200),  # Hangul letters
    (0x1E00, 0x2100),
    (0x2190, 0x2700),  # signs
    (0x3040, 0x3100),  # kana
    (0x4E00, 0xA000),
    (0xAC00, 0xD7A4),
    (0xF900, 0xFE00),  # forms for compatibility
    (0xFF00, 0xFFF0),
    (0x1F300, 0x1FB00),
    (0, 0xD800),
    (0xE000, 0x110000),
]


def mixed_texts(count: int, words: list[str], seed: int = 0) -> list[str]:
    """Each of one to eight parts: a snag, a run of one, a word, or characters of one range."""
    chance = random.Random(seed)
    snags = SNAGS.split("|")
    kinds = [
        lambda: chance.choice(snags),
        lambda: chance.choice(snags) * chance.randint(2, 20),
        lambda: chance.choice(words),
        lambda: chance.choice(words),
        lambda: characters(chance),
        lambda: characters(chance),
    ]
    return [
        "".join(chance.choice(kinds)() for _ in range(chance.randint(1, 8))) for _ in range(count)
    ]


def marked_texts(count: int, words: list[str], marks: list[str], seed: int = 0) -> list[str]:
    """Mixed texts in which marks stand, with white space of every kind around them or without."""
    chance = random.Random(seed)
    spaces = ["", "", " ", "  ", "\n", " \n\t", "\u00a0", "\u3000", "\x1c"]
    texts = []
    for text in mixed_texts(count, words, seed):
        for _ in range(chance.randint(0, 3)):
            at = chance.randint(0, len(text))
            mark = chance.choice(spaces) + chance.choice(marks) + chance.choice(spaces)
            text = text[:at] + mark + text[at:]
        texts.append(text)
    return texts


def characters(chance: random.Random) -> str:
    first, end = chance.choice(RANGES)
    return "".join(chr(chance.randrange(first, end)) for _ in range(chance.randint(1, 6)))
