"""The tokens that end a turn of a conversation in the known chat templates."""

from __future__ import annotations

END_OF_TURN = ("<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>")
"""What closes a turn in the templates of the families; each ends generation too."""

END_OF_TEXT = "<|endoftext|>"
"""What a chat model of the families that have it may end with, though no template writes it."""


def end_of_turn_tokens(source: str | None) -> list[str]:
    """The tokens that end a reply written by a template."""
    turns = [token for token in END_OF_TURN if source is not None and token in source]
    return [*turns, END_OF_TEXT] if turns else []
