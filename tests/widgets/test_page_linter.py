"""What the linter says of the page modules, with the rules of `biome.json`; only where npm is."""

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LINTER = "@biomejs/biome@2.6.8"
RULES = ("noUnusedImports", "noUndeclaredVariables", "noUnusedFunctionParameters", "noRedeclare")
WRONG = 'import { make } from "./dom.js";\n\nexport function f(a) {\n  return a + undeclared;\n}\n'


@pytest.fixture(scope="module")
def lint():
    """Runs the linter in a folder: (exit code, what it says). It is fetched, unless npm has it."""
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("no npx on the path (it comes with npm)")

    def run(folder, *arguments):
        command = [npx, "--yes", LINTER, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    try:
        code, said = run(REPOSITORY, "--version")
    except subprocess.TimeoutExpired:
        code, said = 1, "no answer in 300 seconds"
    if code:
        pytest.skip(f"npx cannot fetch {LINTER}: {said[-300:]}")
    return run


def test_the_linter_has_nothing_to_say(lint):
    code, said = lint(REPOSITORY, "lint", "--error-on-warnings", "--colors=off")
    assert code == 0, said


def test_it_knows_names_that_are_unused_undeclared_or_declared_twice(lint, tmp_path):
    shutil.copy(REPOSITORY / "biome.json", tmp_path)
    module = tmp_path / "widgets/shared/bad.js"
    module.parent.mkdir(parents=True)
    module.write_text(f"{WRONG}function f(b) {{}}\n", encoding="utf-8")
    code, said = lint(tmp_path, "lint", "--colors=off")
    assert code != 0 and [rule for rule in RULES if rule not in said] == []
