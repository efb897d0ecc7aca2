"""The generate panel: streams completions of a prompt, or a conversation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError

from ..shared import settings as setting
from ..shared.pages import page, style
from ..shared.run_panel import RunPanel
from ..shared.runs import Run
from .conversation import Conversation, Reply, chat_code, line_of, refusal_of

COUNTED_PROMPT = 20_000  # characters; longer prompts are counted when they run
_TEXTS = ("prompt", "message", "system")


def _text(value: str = "") -> traitlets.Any:
    return traitlets.Any(value).tag(sync=True)


class GeneratePanel(RunPanel):
    """Watch a model write, and move the sampler's controls meanwhile.

    Args:
        lm: A `CausalLM`, or the handle of a preset. A handle's model is loaded in the background.
            All open panels with that handle share it; a new panel loads it again if its weights,
            adapters or sampler have changed since.
        prompt: The first text of the prompt box.
        chat: Start in chat mode instead of completion mode; a switch on the panel changes it.
        system: The system prompt of the conversation.
        **settings: `sampler` ("greedy", "random", "top_k", "top_p"), `temperature`, `top_k`,
            `top_p`, `min_p`, `repetition_penalty`, `max_new_tokens`, `seed`.

    Raises:
        SettingError: A setting is unknown or out of its range.
        ChatTemplateError: The model cannot chat.

    Everything on the page can also be done from Python, on the same object:

    ```python
    panel = wb.generate("stories_tiny_en", prompt="Once upon a time")
    panel.temperature = 0.5
    panel.start()
    panel.wait()
    print(panel.text)
    ```

    and with an instruct model:

    ```python
    panel = wb.generate(lm, chat=True)
    panel.send("What is the capital of France?")
    panel.wait()
    print(panel.messages)
    ```
    """

    _esm = page("generate/panel.js")
    _css = style("generate")

    prompt = _text()
    mode = _text("complete")
    message = _text()
    system = _text()
    refusal = traitlets.Unicode().tag(sync=True)
    prompt_tokens = traitlets.Int(None, allow_none=True).tag(sync=True)
    turns = traitlets.List().tag(sync=True)

    resent: ClassVar = ("turns",)
    commands: ClassVar = {
        **RunPanel.commands,
        "start": ("prompt", "settings"),
        "send": ("text", "system", "settings"),
        "regenerate": ("system", "settings"),
        "edit": ("index", "text", "system", "settings"),
        "clear": (),
    }

    def __init__(
        self, lm: Any, prompt: str = "", *, chat: bool = False, system: str = "", **settings: Any
    ) -> None:
        self._talk: Conversation | None = None
        self._left: dict[str, Run | None] = {}
        texts = {name: functools.partial(setting.check_text, name) for name in _TEXTS}
        self.page_writes = {**RunPanel.page_writes, **texts, "mode": self._check_mode}
        if chat and not isinstance(lm, str | Path):
            lm.chat_template()
        super().__init__(
            lm,
            settings,
            prompt=setting.check_text("prompt", prompt),
            system=setting.check_text("system", system),
            mode="chat" if chat else "complete",
        )

    # -- what a user does: completions --------------------------------------------------

    def start(self) -> None:
        """Complete the prompt with the current settings, in the background.

        In chat mode it sends the message in the box. While the model is loading, it starts after
        the load.

        Raises:
            WorkbenchError: A run is in progress.
        """
        if self.mode == "chat":
            self.send(self.message)
        else:
            super().start()

    # -- what a user does: a conversation -----------------------------------------------

    def send(self, text: str) -> None:
        """Send a message; the model replies in the background.

        Raises:
            ChatTemplateError: The model cannot chat.
            SettingError: The text is empty.
            WorkbenchError: A run is in progress.
        """
        checked = setting.check_message(text)
        self._answer(lambda: self.send(checked), checked, None)

    def regenerate(self) -> None:
        """Write the last reply again. A sampler that draws gets the next seed; others repeat it.

        Raises:
            SettingError: There is no message yet.
            WorkbenchError: A run is in progress.
        """
        with self._lock:
            self.refuse_when_busy()
            last = self._talk.last if self._talk is not None else None
            if last is not None and last.settings == self.settings:
                self.seed = (self.seed + setting.reads_seed(self.settings)) % 2**32
            self._answer(self.regenerate, None, None)

    def edit(self, index: int, text: str) -> None:
        """Change your message `index`; the model answers it again, and later turns are removed.

        Raises:
            SettingError: There is no message of yours at that place, or the text is empty.
            WorkbenchError: A run is in progress.
        """
        checked = setting.check_message(text)
        self._answer(lambda: self.edit(index, checked), checked, index)

    def clear(self) -> None:
        """Forget the conversation and free its cache; the system prompt stays.

        Raises:
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            if self._talk is not None:
                self._talk.clear()
            self._left.pop("chat", None)
            self.turns = []
            if self.mode == "chat":
                self.put(None)
            self._write_code()

    # -- state --------------------------------------------------------------------------

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as `lm.chat` takes it; `end` marks an incomplete reply."""
        return self._talk.messages if self._talk is not None else []

    def describe(self) -> list[str]:
        """Return heading and text as lines of text."""
        lines = super().describe()
        if self.mode == "chat":
            lines += [f"System: {self.system}"] if self.system.strip() else []
            lines += map(line_of, self.messages)
        else:
            lines.append(f"Prompt: {self.prompt}")
            lines += [f"Completion: {self.text}"] if self._run is not None else []
        return lines if self._run is None else [*lines, self._run.summary]

    # -- how it works -------------------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """Take over the loaded model and show what it can do."""
        super().adopt(lm)
        self.refusal = refusal_of(lm)
        if not self.refusal:
            self._conversation()
        elif self.mode == "chat":
            self.mode = "complete"
            self.show_error(f"{self.heading['name']} has {self.refusal}: it completes a prompt.")
        self._count_prompt()

    def new_run(self, number: int) -> Run:
        """Return a run that completes the prompt."""
        return Run(number, self._lm, self.prompt, self.settings, self.on_event)

    def bring_back(self, run: Run) -> None:
        """Restore the run's prompt, and show the prompt box."""
        self.mode, self.prompt = "complete", run.prompt

    def forget(self) -> None:
        """Clear the turns and what each mode keeps for the other."""
        self.clear()
        self._left = {}
        self.put(None)

    def ended(self, run: Run) -> None:
        """Keep the text; put a message without an answer back into its box."""
        if isinstance(run, Reply):
            unanswered = self._talk.settle(run)
            self.message = "\n\n".join(filter(None, [unanswered, self.message]))
            self.turns = self._talk.entries()
        super().ended(run)

    def find(self, number: object) -> Run:
        """Return a run of the history, or the reply of a turn."""
        reply = self._talk.find(number) if self._talk and type(number) is int else None
        return self.past_run(number) if reply is None else reply

    def code_now(self, preset: str | None) -> str:
        """Return Python code that writes the same completion, or the same conversation."""
        if self.mode == "chat":
            replies = self._talk.replies if self._talk is not None else []
            return chat_code(preset, replies, self.message, self.system, self.settings)
        shown = self._run or self
        return setting.code_of(preset, shown.prompt, shown.settings)

    def _answer(self, again: Callable[[], None], text: str | None, at: object) -> None:
        with self._lock:
            if self.when_loaded(again):
                return
            self.refuse_when_busy()
            reply = self._begin_reply(text, at)
        reply.job.start()

    def _begin_reply(self, text: str | None, at: object) -> Reply:
        talk = self._conversation()
        place = talk.place_of(text, at)
        with self.hold_sync():
            self.mode = "chat"
            number, system = self._number + 1, self.system
            reply = talk.reply(number, text, place, system, self.settings, self.on_event)
            self.begin(reply)
            self.turns = talk.entries()
            if at is None and self.message == text:
                self.message = ""
            self._write_code()
        return reply

    def _conversation(self) -> Conversation:
        """Return the conversation, or raise a ChatTemplateError that says what to do."""
        if self._talk is None:
            self._talk, self.refusal = Conversation(self._lm), ""
        return self._talk

    # -- what the page asks for ---------------------------------------------------------

    def _on_start(self, prompt: object, settings: object) -> None:
        text = setting.check_text("prompt", prompt)
        checked = setting.check_page_settings(settings)
        if self.busy or self.status == "loading":
            return
        with self.hold_sync():
            self.mode, self.prompt, self.settings = "complete", text, checked
        self.start()

    def _on_send(self, text: object, system: object, settings: object) -> None:
        if self._take(system, settings, setting.check_message(text), None):
            self.send(text)

    def _on_edit(self, index: object, text: object, system: object, settings: object) -> None:
        if type(index) is not int:
            raise SettingError("index must be a whole number")
        if self._take(system, settings, setting.check_message(text), index):
            self.edit(index, text)

    def _on_regenerate(self, system: object, settings: object) -> None:
        if self._take(system, settings, None, None):
            self.regenerate()

    def _take(self, system: object, settings: object, text: str | None, at: object) -> bool:
        """Check a turn, then set its system prompt and settings; return False if busy."""
        checked = setting.check_page_settings(settings)
        instructions = setting.check_text("system", system)
        if self.busy or self.status == "loading":
            return False
        if self._lm is not None:
            self._conversation().place_of(text, at)
        with self.hold_sync():
            self.system, self.settings = instructions, checked
        return True

    def _on_clear(self) -> None:
        self.clear()

    # -- traits -------------------------------------------------------------------------

    def _check_mode(self, value: object) -> str:
        mode = setting.check_mode(value)
        if mode != self.mode:
            self.refuse_when_busy()
            if mode == "chat" and self._lm is not None:
                self._conversation()
        return mode

    @traitlets.validate("mode", *_TEXTS)
    def _check_text(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])

    @traitlets.observe("mode")
    def _switch(self, change: traitlets.Bunch) -> None:
        if self._lm is not None:
            self._left[change["old"]] = self._run
            self.put(self._left.get(change["new"]))
        self._write_code()

    @traitlets.observe("prompt")
    def _count_prompt(self, change: traitlets.Bunch | None = None) -> None:
        counted = self._lm is not None and len(self.prompt) <= COUNTED_PROMPT
        self.prompt_tokens = len(self._lm.preprocessor.prompt_ids(self.prompt)) if counted else None

    @traitlets.observe(*_TEXTS)
    def _reword(self, change: traitlets.Bunch) -> None:
        self._write_code()


def generate(
    lm: Any, prompt: str = "", *, chat: bool = False, system: str = "", **settings: Any
) -> GeneratePanel:
    """Return a panel that generates with a model; see `GeneratePanel` for the arguments.

    ```python
    wb.generate("stories_tiny_en", prompt="Once upon a time", temperature=0.6)
    ```
    """
    return GeneratePanel(lm, prompt, chat=chat, system=system, **settings)
