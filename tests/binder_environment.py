"""Builds Binder's environment as repo2docker does, from the files in binder/, and works in it.

python tests/binder_environment.py                        # and runs all tutorials there
python tests/binder_environment.py 01 02 08               # or those whose names begin so

A copy of what git tracks stands for the repository and the home folder, a new virtual environment
for Binder's. Nothing of this environment is used but its Python.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FIRST = "/lab/tree/notebooks/01_your_first_tokens.ipynb"
START_SECONDS = 300


class Binder:
    """The repository, its environment, and commands run in both."""

    def __init__(self, folder: Path) -> None:
        self.home, self.venv = folder / "home", folder / "venv"

    def build(self) -> None:
        """Copy, install and prepare, step by step as repo2docker."""
        runtime = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
        here = "{}.{}".format(*sys.version_info)
        if runtime != here:
            raise SystemExit(f"binder/runtime.txt asks for Python {runtime}, this one is {here}")
        self._copy()
        subprocess.run([sys.executable, "-m", "venv", self.venv], check=True)
        self.run("pip", "install", "--quiet", "--no-cache-dir", "-r", "binder/requirements.txt")
        self.run(self.home / "binder" / "postBuild")

    def _copy(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).exists():
                target = self.home / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process on Binder; those of a surrounding Python or Jupyter are not."""
        foreign = ("PYTHON", "JUPYTER", "VIRTUAL_ENV", "WORKBENCH", "KERAS", "JAX", "XDG")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
        path = f"{self.venv / 'bin'}{os.pathsep}{kept['PATH']}"
        return {**kept, "HOME": str(self.home), "PATH": path}

    def run(self, *command: str | Path) -> None:
        """Run a program of the environment in the repository."""
        found = shutil.which(command[0], path=self.environment["PATH"])
        command = [str(found), *map(str, command[1:])]
        subprocess.run(command, cwd=self.home, env=self.environment, check=True)

    def landing(self) -> str:
        """The path on which one arrives who opens JupyterLab's root."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
        command = [str(self.venv / "bin" / "jupyter-lab"), *options, "--IdentityProvider.token="]
        with subprocess.Popen(
            command, cwd=self.home, env=self.environment, stderr=subprocess.DEVNULL
        ) as server:
            try:
                return self._asked(f"http://127.0.0.1:{port}")
            finally:
                server.terminate()

    def _asked(self, address: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(address, timeout=60) as page:
                    return page.url.removeprefix(address)
            except OSError:
                time.sleep(0.5)
        raise SystemExit(f"JupyterLab did not start within {START_SECONDS} s")

    def versions_differ(self) -> list[str]:
        """Packages whose versions are not those of constraints.txt."""
        listed = [str(self.venv / "bin" / "pip"), "list", "--format=json"]
        told = subprocess.run(listed, check=True, capture_output=True, env=self.environment)
        here = {p["name"].lower().replace("_", "-"): p["version"] for p in json.loads(told.stdout)}
        lines = (ROOT / "binder" / "constraints.txt").read_text().splitlines()
        pins = dict(pin for line in lines if not line.startswith("#") for pin in pins_of(line))
        return [f"{n} {here[n]}, not {v}" for n, v in pins.items() if here.get(n, v) != v]


def pins_of(line: str) -> list[tuple[str, str]]:
    """Name and version that a line of constraints.txt asks for here; none where its marker is not
    this Python's or this system's."""
    asked = Requirement(line)
    if asked.marker is not None and not asked.marker.evaluate():
        return []
    return [(asked.name, str(asked.specifier).removeprefix("=="))]


def main(beginnings: Sequence[str]) -> None:
    """Build, then open and execute."""
    names = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    chosen = [name for name in names if not beginnings or name.startswith(tuple(beginnings))]
    with tempfile.TemporaryDirectory() as folder:
        binder = Binder(Path(folder))
        began = time.monotonic()
        binder.build()
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        if wrong := binder.versions_differ():
            raise SystemExit(f"other versions than constraints.txt: {', '.join(wrong)}")
        if (found := binder.landing().split("?")[0]) != FIRST:
            raise SystemExit(f"expected to land on {FIRST}, got {found}")
        for name in chosen:
            began = time.monotonic()
            binder.run("jupyter", "execute", "--timeout=1200", f"notebooks/{name}")
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
