"""The process that renders chat templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import ChatTemplateError, PromptError
from workbench.tokenizers.limited import LimitedProcess, Program

OUTPUT = 1 << 20
MAX_SOURCE = 1 << 20
_PROGRAM = Program(
    path=Path(__file__).with_name("chat_child.py"),
    packages=("jinja2", "markupsafe"),
    cpu_seconds=1,
    memory=256 << 20,
    error=ChatTemplateError,
)


class Renderer(LimitedProcess):
    """Renders templates one at a time; safe to call from any thread."""

    def __init__(self) -> None:
        super().__init__(_PROGRAM, "chat template")

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """Return the text of a template.

        Raises:
            ChatTemplateError: the template is wrong, refuses the messages, or exceeds a limit:
                1 s of CPU time, 256 MB of memory, 1,048,576 characters of output.
            PromptError: the variables cannot be written as JSON.
        """
        if len(source) > MAX_SOURCE:
            raise ChatTemplateError(
                f"chat template: expected at most {MAX_SOURCE} characters, got {len(source)}"
            )
        request = {"source": source, "variables": dict(variables), "most": OUTPUT}
        try:
            data = json.dumps(request).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PromptError(f"messages: expected plain data, got: {error}") from error
        return self.ask(data)


renderer = Renderer()
