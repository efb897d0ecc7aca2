"""Which tokens a language model learns to write: all of a text, the response to a prompt, or the
replies of a conversation. What stands before is read and not learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import PromptError
from workbench.tokenizers.chat import check_messages

if TYPE_CHECKING:
    from workbench.tasks.preprocessor import CausalLMPreprocessor

ASSISTANT = "assistant"


class Supervised(NamedTuple):
    """Token ids of a sample and, for each, whether the model is trained to write it."""

    ids: list[int]
    loss: list[bool]


def of_text(preprocessor: CausalLMPreprocessor, text: str) -> Supervised:
    """A text to continue: everything after its first token is learnt, the end token too."""
    ids = [*preprocessor.prompt_ids(text), *_end(preprocessor)]
    return _after(ids, 1)


def of_response(preprocessor: CausalLMPreprocessor, prompt: str, response: str) -> Supervised:
    """A prompt and its response, of which the response and the end token are learnt.

    The ids begin with those that `generate(prompt)` continues. The response follows as in the
    whole text where its tokens keep apart from the prompt's there, and else as a text of its own.
    """
    before = preprocessor.prompt_ids(prompt)
    whole = preprocessor.prompt_ids(prompt + response)
    if whole[: len(before)] != before:
        whole = [*before, *preprocessor.tokenizer.tokenize(response)]
    return _after([*whole, *_end(preprocessor)], len(before))


def of_messages(
    preprocessor: CausalLMPreprocessor,
    messages: Sequence[Mapping[str, Any]],
    template_arguments: Mapping[str, Any] | None = None,
) -> Supervised:
    """A conversation as the chat template writes it, of which the assistant's replies are learnt,
    each with the token that ends its turn. What follows the last reply is left out.

    A reply begins where the template, given the messages before it, lets the model begin. A
    template that writes earlier turns anew when others follow, as some do with thoughts, moves
    such beginnings: a turn that is not found is read and not learnt. The last one always is
    found, or an error tells.

    Raises:
        PromptError: the messages are no messages, none is the assistant's, or the template writes
            the last reply elsewhere than where the model would.
        ChatTemplateError: there is no template, or it fails.
    """
    turns = check_messages(messages)
    arguments = dict(template_arguments or {})
    replies = [place for place, turn in enumerate(turns) if turn["role"] == ASSISTANT]
    if not replies:
        raise PromptError("messages: expected at least one of the assistant to learn, got none")
    ids = preprocessor.chat_ids(turns, arguments | {"add_generation_prompt": False})
    # A conversation may open with a reply, which templates refuse to write nothing before.
    starts = [
        len(before) if ids[: len(before)] == before else None
        for before in (preprocessor.chat_ids(turns[:n], arguments) if n else [] for n in replies)
    ]
    if starts[-1] is None:
        raise PromptError(
            f"messages[{replies[-1]}]: expected the chat template to write this reply where a "
            "generated one would begin, but it writes the messages before it differently when a "
            "reply follows. Use another template, or prompts and responses."
        )
    return _replies(ids, starts, preprocessor.tokenizer.stop_token_ids)


def _replies(ids: list[int], starts: list[int | None], stops: Sequence[int]) -> Supervised:
    """Each reply reaches from its start to the first token that ends a turn."""
    loss = [False] * len(ids)
    bounds = [start for start in starts if start is not None]
    for start, limit in zip(bounds, [*bounds[1:], len(ids)], strict=True):
        ends = (place + 1 for place in range(start, limit) if ids[place] in stops)
        stop = next(ends, limit)
        loss[start:stop] = [True] * (stop - start)
    last = max(place for place, learnt in enumerate(loss) if learnt) + 1 if any(loss) else 0
    return Supervised(ids[:last], loss[:last])


def _after(ids: list[int], start: int) -> Supervised:
    return Supervised(ids, [place >= start for place in range(len(ids))])


def _end(preprocessor: CausalLMPreprocessor) -> list[int]:
    end = preprocessor.tokenizer.end_token_id
    return [end] if preprocessor.add_end_token and end is not None else []
