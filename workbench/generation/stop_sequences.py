"""Finds stop sequences: texts that end a completion and are not part of it."""

from __future__ import annotations

from collections.abc import Sequence


class StopSequences:
    """Finds the first of several stop sequences in a text that comes piece by piece.

    It holds back text that may begin a stop sequence, and returns it when the sequence does not
    follow. The first sequence is the one that is complete first, however the text is cut.

    >>> stops = StopSequences(["END"])
    >>> [stops.push("the E"), stops.push("gg E"), stops.push("ND of")], stops.found
    (['the ', 'Egg ', ''], True)
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self.found = False
        """Whether a stop sequence was found. Push nothing after that."""
        self._sequences = tuple(filter(None, sequences))
        self._held = ""

    def push(self, text: str) -> str:
        """Add a piece and return the text that certainly precedes any stop sequence."""
        text = self._held + text
        places = ((place, stop) for stop in self._sequences if (place := text.find(stop)) >= 0)
        first = min(places, key=lambda found: (found[0] + len(found[1]), found[0]), default=None)
        self.found = first is not None
        end = len(text) - self._begun(text) if first is None else first[0]
        self._held = "" if self.found else text[end:]
        return text[:end]

    def flush(self) -> str:
        """Return the text that is still held back. Call it once, at the end."""
        held, self._held = self._held, ""
        return held

    def _begun(self, text: str) -> int:
        """Return how many characters at the end of a text may begin a stop sequence."""
        longest = min(len(text), max(map(len, self._sequences), default=1) - 1)
        for size in range(longest, 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._sequences):
                return size
        return 0
