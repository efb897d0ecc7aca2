"""Chat templates: from a list of messages to the text, and the ids, that a model was trained on.

Text of messages never becomes a control token (`control.py` says which may). A SentencePiece model
that puts a space before every text puts one where a word is cut. For messages without such words
the ids are those of Transformers' `apply_chat_template`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import ChatTemplateError, PromptError, shown
from workbench.kinds import NOTHING, OBJECT
from workbench.tokenizers.control import CUT, cut_arguments, cut_messages
from workbench.tokenizers.tokenizer import Tokenizer

Message = Mapping[str, Any]

_ARGUMENTS = OBJECT | NOTHING


def check_messages(messages: str | Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as a list of dictionaries; a string is one message of the user.

    Raises:
        PromptError: there is none, or one has no role or content.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping) or not isinstance(messages, Sequence) or not messages:
        raise PromptError(
            "messages: expected a string or a list of {'role': ..., 'content': ...}, got "
            f"{shown(messages)}"
        )
    for index, message in enumerate(messages):
        _check_message(index, message)
    return [dict(message) for message in messages]


def _check_message(index: int, message: object) -> None:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise PromptError(
            f"messages[{index}]: expected {{'role': ..., 'content': ...}}, got {shown(message)}"
        )
    content = message.get("content")
    # Tool calls have no content, and content may come in parts: a template knows what to do.
    if not isinstance(content, str | Sequence) and "tool_calls" not in message:
        raise PromptError(
            f"messages[{index}]: content: expected a string, got {type(content).__name__}"
        )


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template of a conversation, as Transformers' tokenizers carry it.

    It runs in Jinja's immutable sandbox in a process of its own, for at most 1 s, with at most
    256 MB of memory and 1,048,576 characters of output. It sees `messages`, `bos_token`,
    `eos_token`, `pad_token`, `add_generation_prompt` and what the caller adds; and beside Jinja's
    own: `tojson` without HTML escapes, `strftime_now`, `raise_exception`, loop controls, and the
    `generation` tag, which does nothing here.

    `source`: the template's text.

    Example:
        >>> template = ChatTemplate.of(lm.preprocessor.tokenizer)
        >>> template.ids([{"role": "user", "content": "Hi"}], lm.preprocessor.tokenizer)
    """

    source: str

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ChatTemplate:
        """The template of a tokenizer.

        Raises:
            ChatTemplateError: it has none.
        """
        if tokenizer.chat_template is None:
            raise ChatTemplateError(
                "chat: this model has no chat template, as a base model, which continues text and "
                "was not trained to answer. Use generate(), load an instruct preset, or say how a "
                "conversation is written: lm.preprocessor.tokenizer.chat_template = "
                "workbench.tokenizers.built_in_chat_template('chatml'), or a Jinja template of "
                "your own."
            )
        return cls(tokenizer.chat_template)

    def text(
        self,
        messages: str | Sequence[Message],
        tokenizer: Tokenizer,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as text, up to where the reply begins.

        Args:
            messages: a string, or dictionaries with `role` and `content`.
            tokenizer: whose special tokens the template writes.
            arguments: more variables for the template, such as `enable_thinking` or `tools`.

        Raises:
            PromptError: the messages are no messages.
            ChatTemplateError: the template is wrong, refuses them, or passes a limit.
        """
        return self._render(check_messages(messages), tokenizer, arguments)

    def ids(
        self,
        messages: str | Sequence[Message],
        tokenizer: Tokenizer,
        arguments: Mapping[str, Any] | None = None,
        marks: frozenset[str] = frozenset(),
        expand: Callable[[str], str] = str,
    ) -> list[int]:
        """The token ids of `text`, with no word of a message read as a control token.

        Args:
            messages, tokenizer, arguments: as `text`.
            marks: more control tokens, such as what stands for a picture.
            expand: makes of the text what is tokenised; a mark in it is the template's.

        Raises:
            PromptError, ChatTemplateError: as `text`.
        """
        safe = self.safe_text(check_messages(messages), tokenizer, arguments, marks)
        return self.token_ids(expand(safe), tokenizer, marks)

    def safe_text(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        arguments: Mapping[str, Any] | None = None,
        marks: frozenset[str] = frozenset(),
    ) -> str:
        """`text` of checked messages, with `CUT` in every word of theirs that reads as a control
        token."""
        control = tokenizer.control_tokens(self.source) | marks
        safe = cut_messages(list(messages), control)
        return self._render(safe, tokenizer, cut_arguments(arguments, control))

    def token_ids(
        self, text: str, tokenizer: Tokenizer, marks: frozenset[str] = frozenset()
    ) -> list[int]:
        """The token ids of what `safe_text` gives, or of a part of it."""
        control = tokenizer.control_tokens(self.source) | marks
        parts = (part for part in text.split(CUT) if part)
        return [token for part in parts for token in tokenizer.tokenize_marked(part, control)]

    def _render(
        self,
        messages: list[dict[str, Any]],
        tokenizer: Tokenizer,
        arguments: Mapping[str, Any] | None,
    ) -> str:
        from workbench.tokenizers.chat_renderer import renderer

        _ARGUMENTS.check("template_arguments", arguments)
        named = {
            "bos_token": tokenizer.start_token,
            "eos_token": tokenizer.end_token,
            "pad_token": tokenizer.pad_token,
        }
        variables = {key: token for key, token in named.items() if token is not None}
        variables |= {"messages": messages, "add_generation_prompt": True, **(arguments or {})}
        return renderer.render(self.source, variables)
