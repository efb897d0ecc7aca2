"""A conversation with a model: its turns, the reply being written, what the model keeps of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import PromptError, WorkbenchError, shown
from workbench.generation.events import Done, Event, Token
from workbench.generation.prefix import Prefix
from workbench.generation.turn import Turn
from workbench.kinds import INTEGER, NOTHING
from workbench.preprocessing.image_chat import Content, check_content, content_text

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

Message = dict[str, Any]
End = Literal["cancelled", "failed"]


class Chat:
    """A conversation that keeps its turns and what the model has read of them.

    The model reads only what is new: the keys and values of the earlier turns stay in a cache
    that belongs to this conversation and goes with it. Regenerating and editing keep as much of
    it as the changed conversation has in common. Replies equal those of `lm.chat` on the same
    messages.

    Several conversations may share a model. One conversation writes one reply at a time, from
    any thread.

    Args:
        lm: an instruct model.
        system: instructions that stand before the first message; not all families know them.

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
        """Say something and wait for the reply.

        Args:
            text: the user's message; parts of text and pictures for a model that reads pictures,
                as `lm.chat` takes them. Such a conversation is read from its start every time.
            settings: those of `lm.stream_chat`.

        Returns:
            The reply, without white space around it. It is also the last of `messages`.

        Raises:
            PromptError, ChatTemplateError, SettingError: as `lm.stream_chat`; `messages` is
                then what it was before.
        """
        return self.turn(text).run(**settings)

    def stream(self, text: Content, **settings: Any) -> Iterator[Event]:
        """Say something and yield the events of the reply, as `lm.stream` does.

        Closing the iterator cancels: what has been written is kept as a message marked
        `"end": "cancelled"`. A turn that ends before its first token leaves `messages` as it was.
        """
        return self.turn(text).stream(**settings)

    def regenerate(self, **settings: Any) -> str:
        """Write the last reply anew.

        Raises:
            PromptError: nothing has been said yet.
        """
        return self.turn().run(**settings)

    def edit(self, index: int, text: Content, **settings: Any) -> str:
        """Change a message of the user; it is answered anew, and all later turns are dropped.

        Args:
            index: its place in `messages`, negative ones count from the end.
            text: what it says now.
            settings: those of `lm.stream_chat`.

        Raises:
            PromptError: no message of the user is at that place.
        """
        return self.turn(text, at=index).run(**settings)

    def turn(self, text: Content | None = None, at: int | None = None) -> ChatTurn:
        """A reply to be written, by itself or by a `GenerationJob`. Nothing changes until it runs.

        Args:
            text: a new message of the user, or what message `at` says now; None answers the
                last message of the user anew.
            at: the place in `messages` of the message that changes.

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
        """Forget all turns, and free the memory that was kept for them; `system` stays.

        Raises:
            WorkbenchError: a reply is being written.
        """
        with self.writing():
            self.messages = []
            self._prefix.clear()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Prefix]:
        """While it is entered nobody else may change the conversation; what has been read of it.

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
    """One reply of a `Chat`, to be written once. Made by `Chat.turn`."""

    def __init__(self, chat: Chat, text: Content, place: int) -> None:
        self._chat, self._text, self._place = chat, text, place
        self._prompt: list[Message] = []
        self._arguments: Mapping[str, Any] | None = None
        self._tokens: int | None = None

    def run(self, **settings: Any) -> str:
        """Write the reply and return it; `settings` are those of `lm.stream_chat`."""
        *_, done = self.stream(**settings)
        return done.text.strip()

    def stream(self, **settings: Any) -> Iterator[Event]:
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
        """How many tokens the model is given, the whole conversation; 0 before the turn runs."""
        if self._tokens is None and self._prompt:
            preprocessor = self._chat.lm.preprocessor
            self._tokens = len(preprocessor.chat_ids(self._prompt, self._arguments))
        return self._tokens or 0


class _Reply:
    """What has come of a reply."""

    def __init__(self) -> None:
        self.end: End = "cancelled"  # an interrupt, or the iterator closed
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
        """The message to keep, marked when it is not whole; None when nothing has come."""
        text = "".join(self._parts).strip()
        if self._whole:
            return _message("assistant", text)
        return {**_message("assistant", text), "end": self.end} if text else None


def _message(role: str, content: Content) -> Message:
    return {"role": role, "content": content}


def _prompt(chat: Chat) -> list[Message]:
    """What the template is given: the system's text and the messages without their marks."""
    said = [_message(message["role"], message["content"]) for message in chat.messages]
    return said if chat.system is None else [_message("system", chat.system), *said]
