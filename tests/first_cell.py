"""The first code cell of every tutorial: it installs workbench where a notebook is opened alone.

python tests/first_cell.py notebooks/*.ipynb     # writes it into those that have another

A notebook on Colab has nothing beside it, so the address to install from stands in the cell. It is
that of `[project.urls]` in pyproject.toml, as Repository; without one, the distribution's name.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
CELL = """
# Installs workbench where it is missing, as on Colab. Elsewhere this cell does nothing.
import importlib.util

SOURCE = "{source}"  # for pip: a name, a folder, or git+https://...

if importlib.util.find_spec("workbench") is None:
    %pip install --quiet $SOURCE
""".strip()


def first_cell() -> str:
    """The cell, with where the package is installed from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository")
    return CELL.format(source=f"git+{address}" if address else project["name"])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that run, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def main(paths: list[str]) -> None:
    """Writes the cell into the notebooks that have another one in its place."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        cell = code_cells(notebook)[0]
        if "find_spec" not in cell.source:
            raise SystemExit(f"{path}: expected a first cell that looks for workbench, got none")
        if cell.source != first_cell():
            cell.source = first_cell()
            nbformat.write(notebook, path)
            print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
