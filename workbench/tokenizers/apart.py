"""Tokenise texts in a separate process with limits, for a `tokenizer.json` that is not trusted."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.errors import PresetError
from workbench.tokenizers.limited import LimitedProcess, Program

MOST_PER_CHARACTER = 64  # tokens; NFKC turns a character into up to 33 bytes
_SPARE = 1024
_PROGRAM = Program(
    path=Path(__file__).with_name("encode_child.py"),
    packages=("tokenizers",),
    cpu_seconds=5,
    memory=512 << 20,
    error=PresetError,
)


class Apart(LimitedProcess):
    """A separate process that tokenises texts, each within 5 s of CPU time and 512 MB of memory.

    `content`: a whole `tokenizer.json`. `what`: begins the error messages.
    """

    def __init__(self, content: str, what: str) -> None:
        super().__init__(_PROGRAM, what, json.dumps({"content": content}).encode())

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text; with `special`, those that the file's post-processor adds too.

        Raises:
            PresetError: the text exceeds a limit, or gives far more tokens than characters.
        """
        most = MOST_PER_CHARACTER * len(text) + _SPARE
        return self.ask(json.dumps({"text": text, "special": special, "most": most}).encode())
