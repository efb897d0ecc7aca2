"""Chat templates: turn a list of messages into the text, and the ids, that a model was trained on.

Text in a message never becomes a control token (`control.py` has the exceptions): such words are
cut in two. A SentencePiece model that puts a space before every text puts one at the cut, too.
Without such words the ids equal those of Transformers' `apply_chat_template`.
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
    """Return messages as a list of dictionaries; a string becomes one message of the user.

    Raises:
        PromptError: the list is empty, or a message has no role or content.
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
    # Tool calls have no content, and content may be a list of parts: templates handle both.
    if not isinstance(content, str | Sequence) and "tool_calls" not in message:
        raise PromptError(
            f"messages[{index}]: content: expected a string, got {type(content).__name__}"
        )


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template of a conversation, as in Transformers' tokenizers.

    It runs in Jinja's immutable sandbox in a separate process, within 1 s of CPU time, 256 MB of
    memory and 1,048,576 characters of output. Its variables are `messages`, `bos_token`,
    `eos_token`, `pad_token`, `add_generation_prompt` and the caller's. Beside Jinja's functions it
    has `tojson` without HTML escapes, `strftime_now`, `raise_exception`, loop controls, and the
    `generation` tag, which does nothing here.

    `source`: the template's text.

    Example:
        >>> template = ChatTemplate.of(lm.preprocessor.tokenizer)
        >>> template.ids([{"role": "user", "content": "Hi"}], lm.preprocessor.tokenizer)
    """

    source: str

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ChatTemplate:
        """Return the template of a tokenizer.

        Raises:
            ChatTemplateError: the tokenizer has none.
        """
        if tokenizer.chat_template is None:
            raise ChatTemplateError(
                "chat: this is a base model: it continues text, and has no chat template. Use "
                "generate(), load an instruct preset, or set a template: "
                "lm.preprocessor.tokenizer.chat_template = "
                "workbench.tokenizers.built_in_chat_template('chatml'), or your own Jinja template."
            )
        return cls(tokenizer.chat_template)

    def text(
        self,
        messages: str | Sequence[Message],
        tokenizer: Tokenizer,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the conversation as text, up to where the reply begins.

        Args:
            messages: a string, or dictionaries with `role` and `content`.
            tokenizer: whose special tokens the template writes.
            arguments: more variables for the template, such as `enable_thinking` or `tools`.

        Raises:
            PromptError: the messages are malformed.
            ChatTemplateError: the template is wrong, refuses the messages, or exceeds a limit.
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
        """Return the token ids of `text`, with no word of a message read as a control token.

        Args:
            messages, tokenizer, arguments: as in `text`.
            marks: more control tokens, such as the placeholder of an image.
            expand: changes the text before it is tokenised; marks in it are the template's.

        Raises:
            PromptError, ChatTemplateError: as in `text`.
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
        """Return `text` of checked messages, with `CUT` inside each of their words that reads as a
        control token."""
        control = tokenizer.control_tokens(self.source) | marks
        safe = cut_messages([dict(message) for message in messages], control)
        return self._render(safe, tokenizer, cut_arguments(arguments, control))

    def token_ids(
        self, text: str, tokenizer: Tokenizer, marks: frozenset[str] = frozenset()
    ) -> list[int]:
        """Return the token ids of the result of `safe_text`, or of a part of it."""
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
