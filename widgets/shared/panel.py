"""The base of all panels: checks messages from the page, prints as text, and frees everything."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import anywidget
import traitlets

from workbench.errors import SettingError, WorkbenchError

from .cells import replace_panels
from .pace import Throttle
from .subshells import hear_where_sent

MAX_SHOWN = 300
REFUSAL_EVERY = 0.5  # seconds; a page that floods the kernel is not answered with a flood


class Panel(anywidget.AnyWidget):
    """A view that checks every message from the page.

    A subclass lists in `page_writes` the traits that the page may set, each with the function
    that checks a value, and in `commands` the methods the page may call, each with the names of
    its arguments. An invalid message changes nothing and shows one error.

    Messages may arrive on any thread; they are handled under `self._lock`.
    """

    error = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)

    page_writes: ClassVar[dict[str, Callable[[object], Any]]] = {}
    commands: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init__(self, **traits: Any) -> None:
        self._lock = threading.RLock()
        self._buffers: list[Any] = []
        self._refusals = Throttle(REFUSAL_EVERY)
        super().__init__(**traits)
        replace_panels(self)

    def open(self) -> None:
        """Start the communication with pages."""
        super().open()
        hear_where_sent(self.comm)

    def close(self) -> None:
        """Remove the panel from the page and free everything that ipywidgets keeps of it."""
        if self.comm is None:
            return
        with self._lock:
            self.release()
            self.layout.close()
            super().close()

    def release(self) -> None:
        """Stop the panel's work; called once, when it closes."""

    def notify_change(self, change: traitlets.Bunch) -> None:
        """Notify under the lock: worker, page and user set traits from several threads."""
        with self._lock:
            super().notify_change(change)

    def describe(self) -> list[str]:
        """Return the panel as lines of plain text, for places without a page."""
        return [type(self).__name__]

    def show_error(self, message: str, details: str = "") -> None:
        """Show an error as one sentence, with folded details."""
        self.error = {"message": message, "details": details}

    def show_exception(self, error: BaseException, details: str) -> None:
        """Show an exception as one sentence that says what to do."""
        if isinstance(error, WorkbenchError):
            self.show_error(str(error), details)
            return
        reason = f"{type(error).__name__}: {str(error)[:MAX_SHOWN]}"
        self.show_error(f"{reason}. What was done so far is kept; try again.", details)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        lines = self.describe()
        data["text/plain"] = "\n".join(lines)
        data["text/html"] = "".join(
            f'<div style="white-space: pre-wrap">{html.escape(line)}</div>' for line in lines
        )
        return data, metadata

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        """Check every message from the page before it changes anything."""
        with self._lock:
            self._buffers = list(msg.get("buffers") or ())  # what a command may bring along
            try:
                self._obey(msg["content"]["data"])
            except WorkbenchError as error:
                self._refuse(str(error))
            finally:
                self._buffers = []

    def _obey(self, data: object) -> None:
        match data:
            case {"method": "update", "state": dict(state)}:
                self._update(state)
            case {"method": "request_state"}:
                self.send_state()
            case {"method": "custom", "content": {"command": str(command), **arguments}}:
                self._call(command, arguments)
            case _:
                raise SettingError("it is no message of this panel")

    def _update(self, state: dict[str, Any]) -> None:
        for name in state:
            if name not in self.page_writes:
                raise SettingError(f"the page may not set {str(name)[:80]!r}")
        self.set_state({name: self.page_writes[name](value) for name, value in state.items()})

    def _call(self, command: str, arguments: dict[str, Any]) -> None:
        expected = self.commands.get(command)
        if expected is None or set(expected) != set(arguments):
            raise SettingError(f"there is no command {command[:80]!r} with such arguments")
        getattr(self, f"_on_{command}")(**arguments)

    def _refuse(self, reason: str) -> None:
        if not self._refusals.ready():
            return
        self.show_error(f"The panel refused a message from the page: {reason[:MAX_SHOWN]}")
        self.send_state(tuple(self.page_writes))
