"""What keeps the panels fit for pages other than JupyterLab's, such as those of VS Code and marimo:
they lean on nothing that only one of them has. These hosts themselves are not tried here."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "widgets"
SCRIPTS, STYLES, MODULES = (sorted(FOLDER.glob(kind)) for kind in ("*/*.js", "*/*.css", "*/*.py"))
# Globals, modules and nodes of one host, the network, and code that a host's policy may forbid.
FOREIGN = re.compile(
    r"\b(?:jupyterapp|jupyterlab|requirejs|require|IPython|acquireVsCodeApi|google|importScripts|"
    r"XMLHttpRequest|WebSocket|eval)\b\s*[.(]|\bfetch\(|\bimport\(|new Function\(|\.jp-|https?://(?!www\.w3\.org)"
)


def name_of(path):
    return f"{path.parent.name}-{path.stem}"


def code_of(path):
    """A script without its comments."""
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_needs_no_host_and_no_network(path):
    found = FOREIGN.search(code_of(path))
    assert found is None, found.group()


def uses_of(name, text):
    """What stands between the brackets of each `var(--name…)`."""
    for found in re.finditer(rf"var\((--{name}-[\w-]+)", text):
        yield found.group(1), text[found.end() : found.end() + 1]


@pytest.mark.parametrize("path", STYLES, ids=name_of)
def test_a_hosts_colours_have_others_in_their_place(path):
    text = path.read_text(encoding="utf-8")
    for host in ("jp", "vscode"):
        alone = [name for name, follows in uses_of(host, text) if follows != ","]
        assert alone == []


def test_nothing_polls_the_kernel_from_a_cell():
    for path in MODULES:
        assert not re.search(r"jupyter_ui_poll|nest_asyncio|do_one_iteration", path.read_text())
