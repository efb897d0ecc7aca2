"""The tutorials are a course: one form, links that lead somewhere, exercises with solutions, and
results that a static viewer shows. They are executed by nbmake; here they are only read."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from execute_notebooks import MACHINE_PATH, WIDGET, solutions, tidy, with_solutions
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = {path.name: nbformat.read(path, as_version=4) for path in PATHS}
TITLE = re.compile(r"# (\d+)\. (.+)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+\.ipynb)(#[^)]*)?\)")
LARGEST = 700_000  # bytes; larger ones are slow to open on code hosts
each = pytest.mark.parametrize("name", NOTEBOOKS)


def markdown(notebook):
    """All Markdown of a notebook, as one text."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code_cells(notebook):
    """The cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    """All outputs, in order."""
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def title(name):
    """The number and the title that a notebook's heading gives."""
    number, text = TITLE.match(NOTEBOOKS[name].cells[0].source).groups()
    return int(number), text


def test_they_are_numbered_without_gaps():
    numbers = [int(name[:2]) for name in NOTEBOOKS]
    assert numbers == list(range(1, 15))
    assert [title(name)[0] for name in NOTEBOOKS] == numbers


def test_they_are_listed_in_the_first_one_and_in_the_readme():
    first = markdown(NOTEBOOKS[PATHS[0].name])
    readme = (ROOT / "README.md").read_text()
    for name in NOTEBOOKS:
        short = title(name)[1].partition(":")[0]
        assert f"| {short} |" in first or f"[{short}]({name})" in first, name
        assert re.search(rf"\[{short}[^\]]*\]\(notebooks/{name}\)", readme), name


@each
def test_a_notebook_is_valid_and_small(name):
    nbformat.validate(NOTEBOOKS[name])
    assert (ROOT / "notebooks" / name).stat().st_size < LARGEST


@each
def test_the_first_cells_have_one_form(name):
    opening, setup = NOTEBOOKS[name].cells[0].source, code_cells(NOTEBOOKS[name])[0].source
    lines = [line for line in opening.splitlines() if line]
    assert lines[1].startswith("**What you will learn:** ")
    assert any(line.startswith("**Time:** ") and "minutes" in line for line in lines)
    assert setup == code_cells(NOTEBOOKS[PATHS[0].name])[0].source
    assert setup.startswith("# Installs workbench where it is missing")


@each
def test_links_lead_to_notebooks_and_headings(name):
    for file, anchor in LINK.findall(markdown(NOTEBOOKS[name])):
        assert file in NOTEBOOKS, file
        headings = re.findall(r"^#+ (.+)$", markdown(NOTEBOOKS[file]), re.M)
        assert not anchor or anchor[1:] in {heading.replace(" ", "-") for heading in headings}


def test_the_last_cells_make_a_course():
    names = list(NOTEBOOKS)
    for place, name in enumerate(names):
        last = NOTEBOOKS[name].cells[-1].source
        neighbours = {"Previous": names[place - 1 : place], "Next": names[place + 1 : place + 2]}
        for word, expected in neighbours.items():
            found = re.findall(rf"{word}: \[(\d+)\. ([^\]]+)\]\(([^)]+)\)", last)
            assert found == [(str(title(n)[0]), title(n)[1], n) for n in expected], name


@each
def test_exercises_have_a_place_to_try_and_a_solution(name):
    cells = NOTEBOOKS[name].cells
    starts = [i for i, cell in enumerate(cells) if "## Exercises" in cell.source]
    assert len(starts) == 1
    tried = [i for i in range(starts[0], len(cells)) if cells[i].source == "# Try it here."]
    assert len(tried) >= 2
    for number, place in enumerate(tried, start=1):
        assert f"**{number}.** " in cells[place - 1].source
        assert cells[place + 1].source.startswith("<details>\n<summary>Solution</summary>\n\n")
        for code in solutions(cells[place + 1]):
            ast.parse(code)


@each
def test_results_are_kept(name):
    cells = code_cells(NOTEBOOKS[name])
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for output in outputs(NOTEBOOKS[name])}
    assert "stream" in kinds and "error" not in kinds
    assert not any(output.get("name") == "stderr" for output in outputs(NOTEBOOKS[name]))


@each
def test_there_is_a_picture(name):
    shown = [kind for output in outputs(NOTEBOOKS[name]) for kind in output.get("data", {})]
    attached = any("attachments" in cell for cell in NOTEBOOKS[name].cells)
    assert attached or any(kind.startswith("image/") for kind in shown)


@each
def test_nothing_of_a_machine_is_kept(name):
    notebook = NOTEBOOKS[name]
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not any(cell.metadata for cell in notebook.cells)
    for output in outputs(notebook):
        assert WIDGET not in output.get("data", {})
        texts = [output.get("text", ""), *output.get("data", {}).values()]
        assert not any(MACHINE_PATH.search(text) for text in texts if isinstance(text, str))


def test_tidying_keeps_what_a_reader_sees():
    data = {WIDGET: {"model_id": "1"}, "text/html": "<p>panel</p>", "text/plain": "panel"}
    picture = {"image/png": "A" * 9, "image/jpeg": "A" * 5, "text/plain": "<Image>"}
    shown = [new_output("display_data", data=data), new_output("display_data", data=picture)]
    cell = new_code_cell("x", outputs=shown, metadata={"execution": {"busy": "now"}})
    notebook = new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    tidy(notebook)
    assert [list(output.data) for output in cell.outputs] == [
        ["text/html", "text/plain"],
        ["image/jpeg", "text/plain"],
    ]
    assert not cell.metadata and "widgets" not in notebook.metadata


@pytest.mark.parametrize(
    "output",
    [
        new_output("stream", name="stderr", text="a warning"),
        new_output("stream", name="stdout", text="saved in /home/ada/file"),
        new_output("error", ename="ValueError", evalue="", traceback=[]),
    ],
)
def test_tidying_refuses_what_nobody_should_see(output):
    with pytest.raises(ValueError, match=r"a cell wrote|a path of this machine"):
        tidy(new_notebook(cells=[new_code_cell("x", outputs=[output])]))


def test_solutions_stand_behind_their_exercises():
    folded = "<details>\n<summary>Solution</summary>\n\n```python\nx = 1\n```\n\n</details>"
    cells = [new_code_cell("# Try it here."), new_markdown_cell(folded), new_code_cell("y = 2")]
    made = with_solutions(new_notebook(cells=cells)).cells
    assert [cell.source for cell in made if cell.cell_type == "code"] == [
        "# Try it here.",
        "x = 1\n",
        "y = 2",
    ]
