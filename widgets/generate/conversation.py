"""The conversation of the generate panel: its turns, and the runs that wrote the replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.errors import ChatTemplateError, SettingError
from workbench.generation.events import Stats

from ..shared.runs import Run
from ..shared.settings import Settings, load_code, quoted, send_code

ENDS = {"cancelled": "stopped", "failed": "failed"}  # of replies that are not whole


def refusal_of(lm: Any) -> str:
    """Return in a few words why a model cannot chat; empty if it can."""
    try:
        lm.chat_template()
    except ChatTemplateError:
        return "no chat template"
    return ""


class Reply(Run):
    """A run that answers the message at `place` in a conversation.

    `said` is the new text of that message, empty for a regenerated reply; `system` is the system
    prompt.
    """

    place = 0
    said = ""
    system = ""

    def figures(self, stats: Stats) -> list[str]:
        """Return the speed, and how much of the conversation was reused from the cache."""
        figures = [f"{stats.tokens_per_second:.0f} tok/s"] if stats.tokens_per_second else []
        if self.job.status == "done":
            of = f"{stats.reused_tokens:,} of {stats.prompt_tokens:,}"
            figures.append(f"{of} prompt tokens from the cache")
        return figures

    def snapshot(self) -> dict[str, Any]:
        """Return everything the page shows of the reply."""
        return {**super().snapshot(), "reply": True}

    @property
    def code(self) -> str:
        """The call that writes the reply again; a stopped reply up to where it stopped."""
        if self.job.status == "done":
            return send_code(self.prompt, self.settings)
        shorter = {**self.settings, "max_new_tokens": len(self.job.tokens)}
        return f"{send_code(self.prompt, shorter)}  # ended early"


class Conversation:
    """A `Chat` with the run of each reply, made once the model is loaded.

    Raises:
        ChatTemplateError: the model has no chat template.
    """

    def __init__(self, lm: Any) -> None:
        from workbench.tasks.chat import Chat  # brings JAX, which the model has brought before

        self._chat = Chat(lm)
        self._replies: dict[int, Reply] = {}
        self._writing: Reply | None = None
        self._before: list[dict[str, str]] = []

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages: `role`, `content`, and `end` for an incomplete reply."""
        return [dict(message) for message in self._chat.messages]

    @property
    def replies(self) -> list[Reply]:
        """The kept replies, in order."""
        return [self._replies[place] for place in sorted(self._replies)]

    @property
    def last(self) -> Reply | None:
        """The last kept reply."""
        return self._replies.get(len(self._chat.messages) - 1)

    def place_of(self, text: str | None, at: object) -> int:
        """Return the place of the message that is sent, edited or answered again.

        Raises:
            SettingError: there is no such message of the user.
        """
        count = len(self._chat.messages)
        users = [i for i, message in enumerate(self._chat.messages) if message["role"] == "user"]
        if at is None:
            place = count if text is not None else (users or [None])[-1]
            if place is None:
                raise SettingError("nothing has been said yet")
            return place
        place = at + count if type(at) is int and at < 0 else at
        if type(place) is not int or place not in users:
            raise SettingError(f"index must be a place of your messages, {users}, got {at!r:.20}")
        return place

    def reply(
        self,
        number: int,
        text: str | None,
        place: int,
        system: str,
        settings: Settings,
        on_event: Callable[..., None],
    ) -> Reply:
        """Return a run that answers the message at `place`; `text` is its new text, or None."""
        chat = self._chat
        new = place == len(chat.messages)
        turn = chat.turn(text) if new else chat.turn(text, at=place)
        prompt = chat.messages[place]["content"] if text is None else text
        reply = Reply(number, chat.lm, prompt, settings, on_event, turn)
        reply.place, reply.said, reply.system = place, text or "", system
        chat.system = system if system.strip() else None
        self._writing, self._before = reply, chat.messages
        return reply

    def settle(self, reply: Reply) -> str:
        """Handle the end of the reply. If nothing was written, the conversation is unchanged;
        return the message that got no answer."""
        self._writing = None
        if self._chat.messages is self._before:
            return reply.said
        earlier = {i: past for i, past in self._replies.items() if i < reply.place}
        self._replies = {**earlier, reply.place + 1: reply}
        return ""

    def clear(self) -> None:
        """Forget all turns and free the cache."""
        self._chat.clear()
        self._replies = {}

    def find(self, number: int) -> Reply | None:
        """Return the reply that run `number` writes or has written."""
        replies = [*self._replies.values(), self._writing]
        return next((reply for reply in replies if reply and reply.number == number), None)

    def entries(self) -> list[dict[str, Any]]:
        """Return what the page shows of each turn; the tokens of a running reply are in its run."""
        writing = self._writing
        kept = self._chat.messages if writing is None else self._before[: writing.place]
        shown = [self._entry(index, message) for index, message in enumerate(kept)]
        if writing is not None:
            shown.append({"role": "user", "index": writing.place, "text": writing.prompt})
            shown.append(_reply_entry(writing.place + 1, writing, ""))
        return shown

    def _entry(self, index: int, message: dict[str, str]) -> dict[str, Any]:
        if message["role"] == "user":
            return {"role": "user", "index": index, "text": message["content"]}
        return _reply_entry(index, self._replies[index], ENDS.get(message.get("end"), ""))


def chat_code(
    preset: str | None, replies: list[Reply], message: str, system: str, settings: Settings
) -> str:
    """Return Python code that repeats the conversation, or begins one if there is none."""
    now = replies[0].system if replies else system
    made = f", system={quoted(now)}" if now.strip() else ""
    lines = [f"{load_code(preset)}chat = wb.Chat(lm{made})"]
    for reply in replies:
        if reply.system != now:
            now = reply.system
            lines.append(f"chat.system = {quoted(now) if now.strip() else None}")
        lines.append(reply.code)
    if not replies:
        lines.append(send_code(message, settings))
    return "\n".join(lines)


def _reply_entry(index: int, run: Reply, end: str) -> dict[str, Any]:
    snapshot = run.snapshot()
    return {
        "role": "assistant",
        "index": index,
        "run": run.number,
        "pieces": snapshot["pieces"],
        "percents": snapshot["percents"],
        "end": end,
    }


def line_of(message: dict[str, str]) -> str:
    """Return a message as a line of text, for places without a page."""
    end = f" ({ENDS[message['end']]})" if "end" in message else ""
    return f"{message['role'].capitalize()}: {message['content']}{end}"
