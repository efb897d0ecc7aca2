"""The one rule for how long a text may be.

`generate` and `stream` hold it to what the call says, else to the preprocessor's sequence length;
conversations and what is looked into, to what the model was made for. It is never more than the
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
        what: the text, for the message.
        tokens: how many it has.
        most: how many it may have, with `room` for more of them after it.
        context: how many the model's positions allow; None where they set no limit.
        remedy: how more would be read, in the imperative, where the positions allow more.
        room: tokens that have to fit behind the text.

    Raises:
        PromptError: it is too long; the message has both lengths.
    """
    if tokens + room <= most:
        return
    if context is not None and most >= context:
        remedy = "take a model that reads more"
    limit = f"and leaves no room among {most}" if room else f"where {most} are the most"
    raise PromptError(f"{what} has {tokens} tokens {limit}. Shorten it, or {remedy}.")
