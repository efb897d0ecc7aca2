"""Runs tutorials and keeps what they print and draw in their files, as a static viewer shows it.

python tests/execute_notebooks.py notebooks/01_your_first_tokens.ipynb ...
python tests/execute_notebooks.py --solutions notebooks/*.ipynb     # runs the folded solutions too

What depends on the machine or the moment is left out, so that running a notebook again changes a
file only where its results changed.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

WIDGET = "application/vnd.jupyter.widget-view+json"
MACHINE_PATH = re.compile(r"/(?:tmp|home|root|work|Users|usr|opt)/[\w.-]+")
SOLUTION = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.S)
FENCED = re.compile(r"```python\n(.*?)```", re.S)


def solutions(cell: NotebookNode) -> list[str]:
    """The code of a Markdown cell's folded solutions."""
    folded = "".join(SOLUTION.findall(cell.source)) if cell.cell_type == "markdown" else ""
    return FENCED.findall(folded)


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """A notebook in which each folded solution stands behind its exercise as a cell."""
    cells = []
    for cell in notebook.cells:
        cells += [cell, *map(new_code_cell, solutions(cell))]
    return nbformat.from_dict({**notebook, "cells": cells})


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Runs all cells in `folder`. Widgets' states are not stored: they hold the panels' programs,
    and no viewer shows them without a kernel."""
    NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def tidy(notebook: NotebookNode) -> None:
    """Keeps of metadata and outputs what a reader sees."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            _tidy_output(output)


def _tidy_output(output: NotebookNode) -> None:
    if output.output_type == "error" or output.get("name") == "stderr":
        raise ValueError(f"a cell wrote an error or a warning: {output}")
    data = output.get("data", {})
    data.pop(WIDGET, None)  # dead without a kernel; what remains is the panel's own HTML and text
    pictures = [kind for kind in ("image/png", "image/jpeg") if kind in data]
    for kind in sorted(pictures, key=lambda kind: len(data[kind]))[1:]:
        del data[kind]
    shown = [output.get("text", ""), *(data.get(f"text/{kind}", "") for kind in ("plain", "html"))]
    for text in shown:
        if found := MACHINE_PATH.search(text):
            raise ValueError(f"a path of this machine in an output: {found.group()}")


def main() -> None:
    """Runs the notebooks that are named and writes them back, or only checks their solutions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--solutions", action="store_true", help="run them too; write nothing")
    asked = parser.parse_args()
    for path in asked.notebooks:
        notebook = nbformat.read(path, as_version=4)
        began = time.perf_counter()
        if asked.solutions:
            execute(with_solutions(notebook), path.parent)
        else:
            execute(notebook, path.parent)
            tidy(notebook)
            nbformat.validate(notebook)
            nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
