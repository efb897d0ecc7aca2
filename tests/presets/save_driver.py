"""Kills and races savers, for test_save_survives: run as a script, prints a JSON summary.

Pure Python without JAX, so that it can fork: a child costs two milliseconds. What a preset is made
of does not matter here, only that it is never half written.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from workbench.errors import PresetError
from workbench.presets.folders.manifest import Manifest
from workbench.presets.saved_folder import saving
from workbench.storage import atomic

FILES = ("config.json", "model.weights.h5", "assets/tokenizer/vocabulary.json")


def save(target: Path, version: str) -> None:
    with saving(target, 0) as new:
        for name in FILES:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(f"{version} {name} " + version * 5000)


def version_of(target: Path) -> str:
    """Which save the folder holds, "mixed" for anything but one whole save."""
    folder = atomic.surviving(target)
    try:
        texts = {name: (folder / name).read_text() for name in FILES}
    except OSError:
        return "mixed"
    version = texts[FILES[0]].partition(" ")[0]
    whole = all(t == f"{version} {name} " + version * 5000 for name, t in texts.items())
    kept = (folder / "notes.md").exists() and (folder / "notes.md").read_text() == "kept"
    return version if whole and kept and fits_its_digests(folder) else "mixed"


def fits_its_digests(folder: Path) -> bool:
    manifest = Manifest(folder)
    try:
        manifest.check()
        with manifest.checked():
            pass
    except PresetError:
        return False
    return all(name in manifest for name in FILES)


def start(target: Path) -> None:
    target.mkdir(parents=True)
    (target / "notes.md").write_text("kept")
    save(target, "old")


def forked(work) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except PresetError:
            os._exit(3)
        except BaseException:
            os._exit(4)
        os._exit(0)
    return child


def killed_at(step: int):
    """A hook that ends the process at the step-th file system call."""
    calls = iter(range(10**6))
    watched = ("open", "os.", "shutil.", "ctypes.")

    def hook(event: str, arguments: object) -> None:
        if event.startswith(watched) and next(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def kill_everywhere(root: Path) -> dict[str, int]:
    """Kill a save before each of its calls in turn, until one comes to its end."""
    results: dict[str, int] = {}
    for step in range(10_000):
        target = root / f"step{step}" / "preset"
        start(target)

        def work(step=step, target=target) -> None:
            sys.addaudithook(killed_at(step))
            save(target, "new")

        _, status = os.waitpid(forked(work), 0)
        count(results, version_of(target))
        save(target, "next")
        count(results, "swept" if clean(target) else "leftovers")
        if status == 0:
            return results
    raise AssertionError("the save never ended")


def kill_anywhen(root: Path, rounds: int) -> dict[str, int]:
    """Kill a save after a random part of the time it takes."""
    chance, results = random.Random(0), {}
    usual = seconds_of_a_save(root / "timed" / "preset")
    for number in range(rounds):
        target = root / f"time{number}" / "preset"
        start(target)
        child = forked(lambda target=target: save(target, "new"))
        time.sleep(chance.uniform(0, 2 * usual))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        count(results, version_of(target))
    return results


def seconds_of_a_save(target: Path) -> float:
    start(target)
    begin = time.perf_counter()
    os.waitpid(forked(lambda: save(target, "new")), 0)
    return time.perf_counter() - begin


def race(root: Path, rounds: int) -> dict[str, int]:
    """Two savers at once: one wins, the other is told."""
    results: dict[str, int] = {}
    target = root / "race" / "preset"
    start(target)
    for number in range(rounds):
        versions = [f"a{number}", f"b{number}"]
        children = [forked(lambda v=version: save(target, v)) for version in versions]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        winners = [v for v, code in zip(versions, codes, strict=True) if code == 0]
        count(results, "one whole" if version_of(target) in winners else "mixed")
        for code in codes:
            count(results, {0: "saved", 3: "told"}.get(code, f"code {code}"))
    count(results, "swept" if clean(target) else "leftovers")
    return results


def clean(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == ["preset"]


def count(results: dict[str, int], key: str) -> None:
    results[key] = results.get(key, 0) + 1


if __name__ == "__main__":
    folder, can_exchange, rounds = Path(sys.argv[1]), sys.argv[2] == "exchange", int(sys.argv[3])
    if not can_exchange:
        atomic.exchange = lambda a, b: False
    summary = {
        "steps": kill_everywhere(folder),
        "times": kill_anywhen(folder, rounds),
        "race": race(folder, rounds),
        "jax": "jax" in sys.modules,
    }
    print(json.dumps(summary))
