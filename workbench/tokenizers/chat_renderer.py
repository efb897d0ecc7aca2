"""The process that renders chat templates, kept for the next one and ended when it misbehaves."""

from __future__ import annotations

import atexit
import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import ChatTemplateError, PromptError

CPU_SECONDS = 1
MEMORY = 256 << 20
OUTPUT = 1 << 20
OUT_OF_MEMORY = 77
MAX_SOURCE = 1 << 20
WALL_SECONDS = 30.0  # for a second of work on a machine that is busy with other things
WATCH_SECONDS = 0.02


class Renderer:
    """Renders templates one at a time, from any thread. The process starts with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """The text of a template.

        Raises:
            ChatTemplateError: the template is wrong, refuses the messages, or passes a limit:
                1 s of work, 256 MB of memory, 1,048,576 characters of output.
            PromptError: the variables are no data.
        """
        if len(source) > MAX_SOURCE:
            raise ChatTemplateError(
                f"chat template: expected at most {MAX_SOURCE} characters, got {len(source)}"
            )
        try:
            request = json.dumps({"source": source, "variables": dict(variables)}).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PromptError(f"messages: expected plain data, got: {error}") from error
        with self._lock:
            reply = self._ask(request)
        if "error" in reply:
            raise ChatTemplateError(f"chat template: {reply['error']}")
        return reply["text"]

    def close(self) -> None:
        """End the process; the next template starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, request: bytes) -> dict[str, str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = _start()
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(self._process, done), daemon=True)
        watch.start()
        try:
            return self._exchange(self._process, request)
        except BaseException:
            self.close()  # an interrupted exchange would answer the next question
            raise
        finally:
            done.set()
            watch.join()

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes) -> dict[str, str]:
        try:
            process.stdin.write(len(request).to_bytes(8, "big") + request)
            process.stdin.flush()
        except OSError:
            raise ChatTemplateError(_end(process)) from None
        size = int.from_bytes(process.stdout.read(8), "big")
        if not size:
            raise ChatTemplateError(_end(process))
        return json.loads(process.stdout.read(size))


def _start() -> subprocess.Popen[bytes]:
    """Isolated, and without site packages but those Jinja needs to be found in."""
    places = {str(Path(importlib.util.find_spec(n).origin).parents[1]) for n in _PACKAGES}
    command = [sys.executable, "-I", "-S", str(_CHILD), *map(str, _LIMITS), *sorted(places)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


_CHILD = Path(__file__).with_name("chat_child.py")
_LIMITS = (CPU_SECONDS, MEMORY, OUTPUT, OUT_OF_MEMORY)
_PACKAGES = ("jinja2", "markupsafe")


def _watch(process: subprocess.Popen[bytes], done: threading.Event) -> None:
    """Ends a process that never answers or, where it cannot limit itself, that uses too much."""
    watched = None if sys.platform == "linux" else _Watched(process.pid)
    deadline = time.monotonic() + WALL_SECONDS
    while not done.wait(WATCH_SECONDS):
        if time.monotonic() > deadline or (watched is not None and watched.is_over()):
            process.kill()
            return


class _Watched:
    """A process on a system without limits for processes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._worked()

    def is_over(self) -> bool:
        """Whether it has used more time or memory than it may."""
        try:
            too_large = self._process.memory_info().rss > MEMORY
            return too_large or self._worked() - self._before > CPU_SECONDS
        except psutil.Error:
            return False  # it is gone

    def _worked(self) -> float:
        spent = self._process.cpu_times()
        return spent.user + spent.system


def _end(process: subprocess.Popen[bytes]) -> str:
    """Why the process is gone, as a sentence."""
    status = process.wait()
    if status == OUT_OF_MEMORY:
        return f"chat template: needs more than {MEMORY >> 20} MB of memory"
    if sys.platform != "win32" and status == -signal.SIGPROF:
        return f"chat template: works for more than {CPU_SECONDS} s"
    return f"chat template: passed the limits of time or memory (status {status})"


renderer = Renderer()
atexit.register(renderer.close)
