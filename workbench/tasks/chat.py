"""A conversation with a model: its turns, the reply in progress, the cache the model keeps."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import PromptError, WorkbenchError, shown
from workbench.generation.events import Done, Event, Events, Token
from workbench.generation.prefix import Prefix
from workbench.generation.turn import Turn
from workbench.kinds import INTEGER, NOTHING
from workbench.preprocessing.image_chat import Content, check_content, content_text

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

Message = dict[str, Any]
End = Literal["cancelled", "failed"]


class Chat:
    """A conversation that keeps its turns and the model's cache for them.

    The model reads only new tokens: the keys and values of earlier turns stay in a cache that
    this conversation owns. Regenerating and editing keep the part of the cache that still
    applies. Replies equal those of `lm.chat` on the same messages.

    Several conversations may share a model. A conversation writes one reply at a time, from any
    thread.

    Args:
        lm: an instruct model.
        system: instructions before the first message; not all families support them.

    Raises:
        ChatTemplateError: the model has no chat template.

    Example:
        >>> chat = workbench.Chat(lm, system="Answer in one word.")
        >>> chat.send("What is the capital of France?")
        'Paris'
        >>> chat.send("And of Italy?", max_new_tokens=8, sampler="greedy")
        'Rome'
    """

    def __init__(self, lm: CausalLM, system: str | None = None) -> None:
        lm.chat_template()
        self.lm = lm
        self.system = system
        self.messages: list[Message] = []
        self._prefix = Prefix()
        self._writing = threading.Lock()

    def send(self, text: Content, **settings: Any) -> str:
        """Send a message and return the reply.

        Args:
            text: the user's message. A model that reads pictures also takes parts of text and
                pictures, as `lm.chat` does; it reads such a conversation from the start each time.
            settings: those of `lm.stream_chat`.

        Returns:
            The reply, without white space around it. It is also the last of `messages`.

        Raises:
            PromptError, ChatTemplateError, SettingError: as `lm.stream_chat`; `messages` stays
                as it was.
        """
        return self.turn(text).run(**settings)

    def stream(self, text: Content, **settings: Any) -> Iterator[Event]:
        """Send a message and yield the events of the reply, as `lm.stream` does.

        Closing the iterator cancels: the text so far is kept as a message marked
        `"end": "cancelled"`. A turn that ends before its first token leaves `messages` as it was.
        """
        return self.turn(text).stream(**settings)

    def regenerate(self, **settings: Any) -> str:
        """Write the last reply again.

        Raises:
            PromptError: nothing has been said yet.
        """
        return self.turn().run(**settings)

    def edit(self, index: int, text: Content, **settings: Any) -> str:
        """Change a user message, drop everything after it, and return the new reply.

        Args:
            index: its place in `messages`; negative numbers count from the end.
            text: its new content.
            settings: those of `lm.stream_chat`.

        Raises:
            PromptError: no user message is at that place.
        """
        return self.turn(text, at=index).run(**settings)

    def turn(self, text: Content | None = None, at: int | None = None) -> ChatTurn:
        """Return a reply to run, by its own methods or a `GenerationJob`. Until then nothing
        changes.

        Args:
            text: a new user message, or the new content of message `at`. None answers the last
                user message again.
            at: the place in `messages` of the message to change.

        Raises:
            PromptError: there is no such message, or `text` is neither a string nor parts.
        """
        text = None if text is None else check_content(text)
        (INTEGER | NOTHING).check("message", at, PromptError)
        users = [i for i, message in enumerate(self.messages) if message["role"] == "user"]
        if at is None and text is not None:
            return ChatTurn(self, text, len(self.messages))
        place = users[-1] if at is None and users else at
        if place is not None and place < 0:
            place += len(self.messages)
        if place not in users:
            raise PromptError(
                f"message: expected a place of one of the user's, {users}, got {shown(at)}"
            )
        said = self.messages[place]["content"] if text is None else text
        return ChatTurn(self, said, place)

    def __repr__(self) -> str:
        lines = [f"{m['role']}: {content_text(m['content'])}" for m in _prompt(self)]
        return "\n".join(["Chat", *lines])

    def clear(self) -> None:
        """Forget all turns and free their memory; `system` stays.

        Raises:
            WorkbenchError: a reply is being written.
        """
        with self.writing():
            self.messages = []
            self._prefix.clear()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Prefix]:
        """Lock the conversation against other changes, and give the cache of its read tokens.

        Raises:
            WorkbenchError: a reply is being written.
        """
        if not self._writing.acquire(blocking=False):
            raise WorkbenchError(
                "this conversation is writing a reply: wait for it, or cancel it, first"
            )
        try:
            yield self._prefix
        finally:
            self._writing.release()


class ChatTurn(Turn):
    """One reply of a `Chat`, to run once. Made by `Chat.turn`."""

    def __init__(self, chat: Chat, text: Content, place: int) -> None:
        self._chat, self._text, self._place = chat, text, place
        self._prompt: list[Message] = []
        self._arguments: Mapping[str, Any] | None = None
        self._tokens: int | None = None

    def run(self, **settings: Any) -> str:
        """Write the reply and return it; `settings` are those of `lm.stream_chat`."""
        ends = [event for event in self.stream(**settings) if isinstance(event, Done)]
        return ends[-1].text.strip()

    def stream(self, **settings: Any) -> Events:
        """Write the reply and yield its events; `settings` are those of `lm.stream_chat`.

        Raises:
            WorkbenchError: the conversation is writing another reply.
            PromptError, ChatTemplateError, SettingError: as `lm.stream_chat`.
        """
        chat = self._chat
        with chat.writing() as prefix:
            before = chat.messages
            chat.messages = [*before[: self._place], _message("user", self._text)]
            self._prompt = _prompt(chat)
            self._arguments = settings.get("template_arguments")
            reply = _Reply()
            try:
                events = chat.lm.stream_chat(self._prompt, prefix=prefix, **settings)
                with contextlib.closing(events):
                    yield from map(reply.hear, events)
            except Exception:
                reply.end = "failed"
                raise
            finally:
                said = reply.message()
                chat.messages = before if said is None else [*chat.messages, said]

    @property
    def prompt_tokens(self) -> int:
        """The number of tokens in the whole conversation; 0 before the turn runs."""
        if self._tokens is None and self._prompt:
            self._tokens = self._chat.lm.chat_tokens(self._prompt, self._arguments)
        return self._tokens or 0


class _Reply:
    """The text of a reply so far."""

    def __init__(self) -> None:
        self.end: End = "cancelled"  # the default: an interrupt, or a closed iterator
        self._parts: list[str] = []
        self._whole = False

    def hear(self, event: Event) -> Event:
        if isinstance(event, Token):
            self._parts.append(event.text)
        elif isinstance(event, Done):
            self._parts.append(event.tail)
            self._whole = True
        return event

    def message(self) -> Message | None:
        """Return the message to keep, marked if incomplete; None if there is no text yet."""
        text = "".join(self._parts).strip()
        if self._whole:
            return _message("assistant", text)
        return {**_message("assistant", text), "end": self.end} if text else None


def _message(role: str, content: Content) -> Message:
    return {"role": role, "content": content}


def _prompt(chat: Chat) -> list[Message]:
    """Return the messages for the template: the system's text, and all messages unmarked."""
    said = [_message(message["role"], message["content"]) for message in chat.messages]
    return said if chat.system is None else [_message("system", chat.system), *said]
