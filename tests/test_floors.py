"""The floors of the house: every import points down, and no files import each other in a circle.

`ARCHITECTURE.md` says what each floor is for. A room is a package or a module directly below
`workbench/`, or a folder of `widgets/`. Rooms of one floor do not know each other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    "errors interrupts ports tables toy_data version",
    "kinds workers",
    "audio memory storage",
    "backbones samplers",
    "images tokenizers",
    "formats",
    "estimates",
    "generation",
    "preprocessing",
    "data inspection",
    "tasks",
    "families tree",
    "models",
    "presets",
    "jobs",
    "recipes tuning",
    "widgets",
    "__init__",
    "cli",
    "__main__",
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms.split()}


def module_name(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("workbench", *parts) if parts[0] == "widgets" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for folder in ("workbench", "widgets")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imports(name: str, path: Path) -> Iterator[str]:
    """The files of the project that a file imports, wherever in it the import stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if whole in FILES else module


GRAPH = {
    name: {other for other in imports(name, path) if other in FILES and other != name}
    for name, path in FILES.items()
}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def test_every_room_has_a_floor():
    assert {room(name) for name in FILES} == FLOOR.keys()


@pytest.mark.parametrize("name", FLOOR)
def test_every_import_points_down(name):
    up = [
        f"{file} imports {other}"
        for file, others in GRAPH.items()
        for other in sorted(others)
        if room(file) == name != room(other) and FLOOR[room(other)] >= FLOOR[name]
    ]
    assert not up


def test_no_files_import_each_other_in_a_circle():
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_picture_shows_these_floors():
    picture = (ROOT / "ARCHITECTURE.md").read_text().split("```")[1]
    names = re.findall(r"^ (\S.*?)(?:  |$)", picture, re.MULTILINE)
    drawn = [sorted(name.split(" · ")) for name in names]
    assert drawn == [sorted(rooms.split()) for rooms in reversed(FLOORS)]


def test_recipes_are_not_installed():
    wheel = (ROOT / "pyproject.toml").read_text()
    assert '"workbench.presets"' in wheel and "recipes" not in wheel
    assert not [
        file for file, others in GRAPH.items() for o in others if room(o) == "recipes" != room(file)
    ]


def test_the_reader_of_imports_sees_them_all(tmp_path):
    source = "import workbench.errors\ndef f():\n    from workbench import samplers\n"
    path = tmp_path / "new.py"
    path.write_text(source + "    from .shared import runs\n    from ..kinds import Kind\n")
    found = set(imports("workbench.widgets.new", path))
    assert {"workbench.errors", "workbench.samplers", "workbench.kinds"} <= found
    assert "workbench.widgets.shared" in found
