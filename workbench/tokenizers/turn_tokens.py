"""The tokens that end a turn in known chat templates."""

from __future__ import annotations

END_OF_TURN = ("<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>")
"""Tokens that close a turn in the families' templates; each ends generation too."""

END_OF_TEXT = "<|endoftext|>"
"""A token that chat models of some families end with, though no template writes it."""


def end_of_turn_tokens(source: str | None) -> list[str]:
    """Return the tokens that end a reply under a template."""
    turns = [token for token in END_OF_TURN if source is not None and token in source]
    return [*turns, END_OF_TEXT] if turns else []
