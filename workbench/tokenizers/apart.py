"""Splitting texts in a process of its own, for a tokenizer whose steps nobody vouches for."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.errors import PresetError
from workbench.tokenizers.limited import LimitedProcess, Program

MOST_PER_CHARACTER = 64  # tokens; a character of Unicode's form NFKC makes up to 33 bytes
_SPARE = 1024
_PROGRAM = Program(
    path=Path(__file__).with_name("encode_child.py"),
    packages=("tokenizers",),
    cpu_seconds=5,
    memory=512 << 20,
    error=PresetError,
)


class Apart(LimitedProcess):
    """Ids of texts, from a process that has 5 s of work and 512 MB of memory for each.

    `content`: a whole `tokenizer.json`. `what`: begins the message of a refusal.
    """

    def __init__(self, content: str, what: str) -> None:
        super().__init__(_PROGRAM, what, json.dumps({"content": content}).encode())

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text; `special`: with what the file puts around one.

        Raises:
            PresetError: it passes a limit, or makes far more tokens than it has characters.
        """
        most = MOST_PER_CHARACTER * len(text) + _SPARE
        return self.ask(json.dumps({"text": text, "special": special, "most": most}).encode())
