"""Run untrusted work in a separate process with limits of time and memory. The process is kept for
the next request, and killed when it exceeds a limit."""

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
from typing import IO, Any

import psutil

from workbench.errors import WorkbenchError

OUT_OF_MEMORY = 77
WALL_SECONDS = 30.0  # for the CPU seconds of a request on a busy machine
WATCH_SECONDS = 0.02
_CHILD = Path(__file__).with_name("limited_child.py")


@dataclass(frozen=True)
class Program:
    """The program of a process, and its limits.

    Attributes:
        path: a file that defines `answer(request)`, from and to plain data.
        packages: the packages that it imports.
        cpu_seconds: limit of CPU time for one answer.
        memory: limit of memory, in bytes.
        error: the error to raise when it fails.
    """

    path: Path
    packages: tuple[str, ...]
    cpu_seconds: int
    memory: int
    error: type[WorkbenchError]


class LimitedProcess:
    """Answers one request at a time, from any thread. The process starts with the first request
    and ends with this object.

    `what`: begins the error messages. `opening`: the first request to every new process, such as
    the data that it works with.
    """

    def __init__(self, program: Program, what: str, opening: bytes = b"") -> None:
        self._program, self._what, self._opening = program, what, opening
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize | None = None

    def ask(self, request: bytes) -> Any:
        """Send a request, as JSON, and return the answer.

        Raises:
            WorkbenchError: the program's error: it failed or exceeded a limit.
        """
        with self._lock:
            reply = self._ask(request)
        if "error" in reply:
            raise self._failure(reply["error"])
        return reply["answer"]

    def close(self) -> None:
        """End the process; the next request starts another."""
        self._process = None
        if self._stop is not None:
            self._stop()

    def _failure(self, reason: str) -> WorkbenchError:
        return self._program.error(f"{self._what}: {reason}")

    def _ask(self, request: bytes) -> dict[str, Any]:
        try:
            process = self._process
            if process is None or process.poll() is not None:
                self.close()
                process = self._process = _start(self._program)
                self._stop = weakref.finalize(self, _kill, process)
                if self._opening and "error" in (reply := self._watched(process, self._opening)):
                    return reply
            return self._watched(process, request)
        except BaseException:
            self.close()  # the reply to an interrupted request would answer the next one
            raise

    def _watched(self, process: subprocess.Popen[bytes], request: bytes) -> dict[str, Any]:
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(process, self._program, done), daemon=True)
        watch.start()
        try:
            return self._exchange(process, request)
        finally:
            done.set()
            watch.join()

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes) -> dict[str, Any]:
        stdin, stdout = _pipes(process)
        try:
            stdin.write(len(request).to_bytes(8, "big") + request)
            stdin.flush()
        except OSError:
            raise self._failure(self._end(process)) from None
        size = int.from_bytes(stdout.read(8), "big")
        reply = stdout.read(size)
        if not size or len(reply) < size:
            raise self._failure(self._end(process))
        return json.loads(reply)

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Say why the process ended."""
        status = process.wait()
        if status in (OUT_OF_MEMORY, -signal.SIGABRT):  # native code aborts without memory
            return f"needs more than {self._program.memory >> 20} MB of memory"
        if sys.platform != "win32" and status == -signal.SIGPROF:
            return f"works for more than {self._program.cpu_seconds} s"
        return f"exceeded the limits of time or memory (status {status})"


def _start(program: Program) -> subprocess.Popen[bytes]:
    """Start an isolated process that finds only the folders of the program's packages."""
    places = sorted({_folder_of(name) for name in program.packages})
    limits = map(str, (program.cpu_seconds, program.memory, OUT_OF_MEMORY))
    command = [sys.executable, "-I", "-S", str(_CHILD), *limits, str(program.path), *places]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


def _folder_of(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return str(Path(spec.origin).parents[1])


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process without pipes")
    return process.stdin, process.stdout


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _watch(process: subprocess.Popen[bytes], program: Program, done: threading.Event) -> None:
    """Kill a process that never answers or, on systems without limits, that uses too much."""
    watched = None if sys.platform == "linux" else _Watched(process.pid, program)
    deadline = time.monotonic() + WALL_SECONDS
    while not done.wait(WATCH_SECONDS):
        if time.monotonic() > deadline or (watched is not None and watched.is_over()):
            process.kill()
            return


class _Watched:
    """A process on a system that cannot limit processes."""

    def __init__(self, pid: int, program: Program) -> None:
        self._process, self._program = psutil.Process(pid), program
        self._before = self._worked()

    def is_over(self) -> bool:
        """Whether it has exceeded a limit."""
        try:
            too_large = self._process.memory_info().rss > self._program.memory
            return too_large or self._worked() - self._before > self._program.cpu_seconds
        except psutil.Error:
            return False  # it has ended

    def _worked(self) -> float:
        spent = self._process.cpu_times()
        return spent.user + spent.system
