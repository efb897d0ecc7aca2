"""A JupyterLab of its own for a test: everything it writes lands in a temporary folder."""

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import nbformat
from patience import HANG
from stage import patient

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
OPTIONS = {
    "ServerApp.port_retries": "0",
    "IdentityProvider.token": "",
    "ServerApp.password": "",
    "ServerApp.disable_check_xsrf": "True",
}
ROOT = Path(__file__).parents[2]
LATEST = "python3"  # the kernel of the environment that runs the tests
OLDER = "ipykernel-6.31"
OLDER_PYTHON = ROOT / "tests" / ".cache" / OLDER / "bin" / "python"
# The older ipykernel comes before all else; what it does not have is the other environment's.
OLDER_LAUNCH = f"""
import runpy, site
site.addsitedir({sysconfig.get_path("purelib")!r})
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""
NOTIFICATIONS = "@jupyterlab/apputils-extension:notification"
NOTEBOOK = "jupyterapp.shell.currentWidget"
EVALUATE = """
async (expression) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const request = { code: "", silent: true, user_expressions: { value: expression } };
  const reply = await kernel.requestExecute(request).done;
  const value = reply.content.user_expressions.value;
  return value.status === "ok" ? value.data["text/plain"] : `${value.ename}: ${value.evalue}`;
}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A server over `folder`; use as a context manager."""

    module = "jupyterlab"
    exposed = "LabApp.expose_app_in_browser"  # as `jupyterapp`
    pages = "lab/tree"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.notebooks = self.folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self):
        settings = self.folder / "config" / "lab" / "user-settings"
        file = settings / NOTIFICATIONS.replace(":", "/")
        file.parent.mkdir(parents=True)
        file.with_suffix(".jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
        env = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "PYTHONPATH": str(Path(__file__).parents[1]),  # for `doubles`
        }
        self._add_older_kernel()
        port = self.url.rsplit(":", 1)[1]
        command = [sys.executable, "-m", self.module, "--no-browser", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--allow-root", f"--{self.exposed}=True"]
        command += [f"--{name}={value}" for name, value in OPTIONS.items()]
        with (self.folder / "server.txt").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.notebooks, env=env, stdout=log, stderr=log
            )
        self._wait()
        return self

    def __exit__(self, *problem):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _add_older_kernel(self):
        launch = [str(OLDER_PYTHON), "-c", OLDER_LAUNCH, "-f", "{connection_file}"]
        folder = self.folder / "data" / "kernels" / OLDER
        folder.mkdir(parents=True)
        spec = {"argv": launch, "display_name": OLDER, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def _wait(self):
        deadline = time.monotonic() + HANG
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=HANG):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError((self.folder / "server.txt").read_text()[-2000:])

    def write(self, name, cells, kernel=LATEST):
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(notebook, self.notebooks / name)


class Notebook7(Lab):
    """A server with Notebook 7's pages instead of JupyterLab's."""

    module = "notebook"
    exposed = "JupyterNotebookApp.expose_app_in_browser"
    pages = "notebooks"


def cells_to_first_panel():
    """What the first tutorial runs up to its panel, and that."""
    notebook = nbformat.read(ROOT / "notebooks" / "01_your_first_tokens.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    last = next(i for i, source in enumerate(sources) if "wb.generate(" in source)
    return sources[: last + 1]


class Notebook:
    """A notebook open in the browser."""

    def __init__(self, page, lab, name):
        self.page, self.lab, self.name = patient(page), lab, name

    def open(self):
        self.page.goto(f"{self.lab.url}/{self.lab.pages}/{self.name}?reset")
        self.ready()

    def ready(self):
        """Until the kernel is there and does nothing."""
        ready = f"""
          window.jupyterapp && {NOTEBOOK}?.sessionContext?.session?.kernel?.status === "idle"
          && {NOTEBOOK}.sessionContext.session.kernel.connectionStatus === "connected"
        """
        self.page.wait_for_function(ready)

    def run_all(self):
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")

    def save(self):
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")

    def theme(self, name):
        command = f"jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})"
        self.page.evaluate(command)
        light = str("Light" in name).lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")  # the theme's curtain

    def until(self, condition):
        """Wait until a condition is true."""
        end = time.monotonic() + HANG
        while not condition():
            assert time.monotonic() < end, "waited too long"
            self.page.wait_for_timeout(50)

    def value(self, expression):
        """The repr of an expression in the kernel."""
        return self.page.evaluate(EVALUATE, expression)
