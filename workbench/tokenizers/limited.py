"""A process that works on what a file says and nobody vouches for, within limits of time and
memory: kept for the next question, ended when it misbehaves."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import WorkbenchError

OUT_OF_MEMORY = 77
WALL_SECONDS = 30.0  # for seconds of work on a machine that is busy with other things
WATCH_SECONDS = 0.02
_CHILD = Path(__file__).with_name("limited_child.py")


@dataclass(frozen=True)
class Program:
    """What the process runs.

    Attributes:
        path: a file that defines `answer(request)`, from and to plain data.
        packages: those that it imports.
        cpu_seconds: of work for one answer.
        memory: bytes that the process may hold.
        error: what is raised when it fails.
    """

    path: Path
    packages: tuple[str, ...]
    cpu_seconds: int
    memory: int
    error: type[WorkbenchError]


class LimitedProcess:
    """Answers one question at a time, from any thread. The process starts with the first question
    and ends with this object.

    `opening`: what every new process is asked first, such as what it is to work with.
    """

    def __init__(self, program: Program, what: str, opening: bytes = b"") -> None:
        self._program, self._what, self._opening = program, what, opening
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize | None = None

    def ask(self, request: bytes) -> Any:
        """The answer to a question, both JSON; the program's error when the process fails."""
        with self._lock:
            reply = self._ask(request)
        if "error" in reply:
            raise self._failure(reply["error"])
        return reply["answer"]

    def close(self) -> None:
        """End the process; the next question starts another."""
        self._process = None
        if self._stop is not None:
            self._stop()

    def _failure(self, reason: str) -> WorkbenchError:
        return self._program.error(f"{self._what}: {reason}")

    def _ask(self, request: bytes) -> dict[str, Any]:
        try:
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._process = _start(self._program)
                self._stop = weakref.finalize(self, _kill, self._process)
                if self._opening and "error" in (reply := self._watched(self._opening)):
                    return reply
            return self._watched(request)
        except BaseException:
            self.close()  # an interrupted exchange would answer the next question
            raise

    def _watched(self, request: bytes) -> dict[str, Any]:
        done = threading.Event()
        watch = threading.Thread(
            target=_watch, args=(self._process, self._program, done), daemon=True
        )
        watch.start()
        try:
            return self._exchange(self._process, request)
        finally:
            done.set()
            watch.join()

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes) -> dict[str, Any]:
        try:
            process.stdin.write(len(request).to_bytes(8, "big") + request)
            process.stdin.flush()
        except OSError:
            raise self._failure(self._end(process)) from None
        size = int.from_bytes(process.stdout.read(8), "big")
        reply = process.stdout.read(size)
        if not size or len(reply) < size:
            raise self._failure(self._end(process))
        return json.loads(reply)

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Why the process is gone."""
        status = process.wait()
        if status in (OUT_OF_MEMORY, -signal.SIGABRT):  # native code aborts without memory
            return f"needs more than {self._program.memory >> 20} MB of memory"
        if sys.platform != "win32" and status == -signal.SIGPROF:
            return f"works for more than {self._program.cpu_seconds} s"
        return f"passed the limits of time or memory (status {status})"


def _start(program: Program) -> subprocess.Popen[bytes]:
    """Isolated, and without site packages but those the program needs to be found in."""
    found = (importlib.util.find_spec(name).origin for name in program.packages)
    places = sorted({str(Path(origin).parents[1]) for origin in found})
    limits = map(str, (program.cpu_seconds, program.memory, OUT_OF_MEMORY))
    command = [sys.executable, "-I", "-S", str(_CHILD), *limits, str(program.path), *places]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _watch(process: subprocess.Popen[bytes], program: Program, done: threading.Event) -> None:
    """Ends a process that never answers or, where it cannot limit itself, that uses too much."""
    watched = None if sys.platform == "linux" else _Watched(process.pid, program)
    deadline = time.monotonic() + WALL_SECONDS
    while not done.wait(WATCH_SECONDS):
        if time.monotonic() > deadline or (watched is not None and watched.is_over()):
            process.kill()
            return


class _Watched:
    """A process on a system without limits for processes."""

    def __init__(self, pid: int, program: Program) -> None:
        self._process, self._program = psutil.Process(pid), program
        self._before = self._worked()

    def is_over(self) -> bool:
        """Whether it has used more time or memory than it may."""
        try:
            too_large = self._process.memory_info().rss > self._program.memory
            return too_large or self._worked() - self._before > self._program.cpu_seconds
        except psutil.Error:
            return False  # it is gone

    def _worked(self) -> float:
        spent = self._process.cpu_times()
        return spent.user + spent.system
