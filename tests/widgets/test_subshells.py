"""A real kernel and its subshells: what a page says arrives though an earlier page's is gone."""

import time

import pytest
from jupyter_client.manager import start_new_kernel
from patience import HANG

CELL = """
import threading
from workbench.widgets.shared.panel import Panel

class Talker(Panel):
    commands = {"greet": ("name",), "stop": ()}

    def __init__(self):
        super().__init__()
        self.greeted, self.stopped = [], threading.Event()

    def _on_greet(self, name):
        self.greeted.append(name)
        if len(self.greeted) == 1:
            threading.Thread(target=self.talk, daemon=True).start()

    def _on_stop(self):
        self.stopped.set()

    def talk(self):
        while not self.stopped.wait(0.01):
            self.send({"type": "news"})

panel = Talker()
"""


class Page:
    """What a front end says to a kernel, and to which of its subshells."""

    def __init__(self, client, comm_id):
        self.client, self.comm_id = client, comm_id

    def subshell(self):
        return self._control("create_subshell_request", {})["subshell_id"]

    def delete(self, subshell):
        self._control("delete_subshell_request", {"subshell_id": subshell})

    def say(self, subshell, **content):
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm_id, "data": data})
        message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)

    def _control(self, kind, content):
        message = self.client.session.msg(kind, content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=HANG)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]


@pytest.fixture(scope="module")
def page():
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive(CELL, output_hook=lambda message: None, timeout=HANG)
    info = client.kernel_info(reply=True, timeout=HANG)["content"]
    if "kernel subshells" not in info.get("supported_features", ()):
        pytest.skip("this ipykernel has no subshells")
    comm_id = value_of(client, "panel.model_id").strip("'")
    yield Page(client, comm_id)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def value_of(client, expression):
    reply = client.execute(
        "", silent=True, user_expressions={"value": expression}, reply=True, timeout=HANG
    )
    return reply["content"]["user_expressions"]["value"]["data"]["text/plain"]


def heard(page, subshell, expression):
    """Whether it becomes true soon. Asked on a subshell: the main one would set things right."""
    deadline = time.monotonic() + HANG
    while time.monotonic() < deadline:
        if value_on(page, subshell, expression) == "True":
            return True
        time.sleep(0.05)
    return False


def value_on(page, subshell, expression):
    content = {"code": "", "silent": True, "user_expressions": {"value": expression}}
    content |= {"store_history": False, "allow_stdin": False, "stop_on_error": True}
    message = page.client.session.msg("execute_request", content)
    message["header"]["subshell_id"] = subshell
    page.client.shell_channel.send(message)
    while True:
        reply = page.client.get_shell_msg(timeout=HANG)
        if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            return reply["content"]["user_expressions"]["value"]["data"]["text/plain"]


def test_a_page_is_heard_after_the_subshell_of_an_earlier_one_is_gone(page):
    first, second = page.subshell(), page.subshell()
    page.say(first, command="greet", name="first")
    assert heard(page, first, "panel.greeted == ['first']")
    page.delete(first)
    time.sleep(0.2)  # the panel goes on talking
    page.say(second, command="greet", name="second")
    page.say(None, command="greet", name="main")
    page.say(first, command="greet", name="gone")
    assert heard(page, second, "sorted(panel.greeted) == ['first', 'gone', 'main', 'second']")
    page.say(second, command="stop")
    assert heard(page, second, "panel.stopped.is_set()")
