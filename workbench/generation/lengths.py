"""The one rule for the largest length of a text.

`generate` and `stream` take it from the call, or else from the preprocessor's sequence length.
Conversations and inspected texts take the length the model was made for. It never exceeds what the
model's positions allow.
"""

from __future__ import annotations

from workbench.errors import PromptError

NO_LIMIT = 2**31 - 1  # positions are int32


def check_length(
    what: str, tokens: int, most: int, context: int | None, remedy: str, room: int = 0
) -> None:
    """Refuse a text that is longer than the model reads.

    Args:
        what: the text's name, for the message.
        tokens: tokens of the text.
        most: most tokens of the text and `room` together.
        context: most tokens that the model's positions allow; None if they set no limit.
        remedy: how the user raises `most`, in the imperative, if the positions allow more.
        room: tokens that have to fit after the text.

    Raises:
        PromptError: it is too long; the message has both lengths.
    """
    if tokens + room <= most:
        return
    if context is not None and most >= context:
        remedy = "take a model that reads more"
    limit = f"and leaves no room among {most}" if room else f"where {most} are the most"
    raise PromptError(f"{what} has {tokens} tokens {limit}. Shorten it, or {remedy}.")
