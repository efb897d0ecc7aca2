"""The tutorials where nothing is installed, and where panels work in the foreground: on Colab."""

from pathlib import Path

import nbformat
import pytest
from first_cell import code_cells, first_cell
from jupyter_client.manager import start_new_kernel
from patience import HANG

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SLOW = """
import sys
sys.path.insert(0, {tests!r})
from doubles import slow_down
pace = slow_down(lm, 0.05)
panel.max_new_tokens = 400
panel.start()
"""
# `%pip` only notes what it is asked.
NOTED = """
import importlib.util
asked, found = [], importlib.util.find_spec
get_ipython().register_magic_function(asked.append, magic_name="pip")
"""
MISSING = "importlib.util.find_spec = lambda name: None"
FOUND = "importlib.util.find_spec = found"


def sources(path):
    return [cell.source for cell in code_cells(nbformat.read(path, as_version=4))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_tutorial_begins_with_the_cell(path):
    assert sources(path)[0] == first_cell(), "python tests/first_cell.py notebooks/*.ipynb"


class Kernel:
    """A kernel, and what it answers."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, source):
        """Run a cell to its end; what it raises is raised here."""
        told = self.client.execute_interactive(source, output_hook=lambda m: None, timeout=300)
        content = told["content"]
        assert content["status"] == "ok", "\n".join(content.get("traceback", ()))

    def value(self, expression):
        asked = {"value": expression}
        told = self.client.execute("", user_expressions=asked, reply=True, timeout=HANG)
        return told["content"]["user_expressions"]["value"]["data"]["text/plain"]


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A kernel in which `google.colab` can be imported, as on Colab."""
    folder = tmp_path_factory.mktemp("colab")
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    yield Kernel(manager, client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_the_first_cell_installs_what_is_missing_and_nothing_else(colab):
    colab.run(NOTED)
    colab.run(first_cell())
    assert colab.value("asked") == "[]"
    colab.run(MISSING)
    colab.run(first_cell())
    colab.run(FOUND)
    assert colab.value("asked") == "['install --quiet causal-workbench']"


def test_the_first_tutorial_runs_with_its_panel_in_the_foreground(colab):
    for source in sources(NOTEBOOKS[0]):
        colab.run(source)
    assert colab.value("(panel.foreground, panel.status)") == "(True, 'done')"


def test_the_kernels_interrupt_is_the_stop_button(colab):
    tests = str(Path(__file__).parent)
    request = colab.client.execute(SLOW.format(tests=tests))
    while not is_of_tokens(colab.client.get_iopub_msg(timeout=HANG)):
        pass
    colab.manager.interrupt_kernel()
    while colab.client.get_shell_msg(timeout=HANG)["parent_header"]["msg_id"] != request:
        pass
    assert colab.value("(panel.status, panel.error)") == "('stopped', None)"
    assert 0 < int(colab.value("len(panel.tokens)")) < 400
    colab.run("panel.max_new_tokens = 5\npanel.start()")
    assert colab.value("(panel.status, len(panel.tokens))") == "('done', 5)"


def is_of_tokens(message):
    """Whether a panel tells its page of new tokens with it."""
    content = message["content"].get("data", {}).get("content", {})
    return message["msg_type"] == "comm_msg" and content.get("type") == "tokens"
