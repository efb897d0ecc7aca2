"""A page with a panel on it and no Jupyter: the module from a Blob, a model as ipywidgets has one.

The page's model talks to a real panel in this process, so a click runs through the same code as in
a notebook; only the transport is missing. Where a panel shows another one, a paragraph names it.
"""

import base64
import math
import time

from axe_playwright_python.sync_playwright import Axe
from ipywidgets.widgets.widget import _remove_buffers
from patience import HANG

TURN = 0.02  # seconds between messages
LET_TURN_PASS = "(milliseconds) => new Promise((done) => setTimeout(done, milliseconds))"
# The rules that axe is asked for.
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
PAGE = """
<!doctype html>
<html lang="en"><head><title>panel</title></head>
<body style="margin: 16px; font-family: sans-serif">
<main id="stage"><h1 style="font-size: 16px">A page</h1></main></body></html>
"""

MOUNT = """
async ({ state, width }) => {
  const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const text = (buffer) => {
    const bytes = new Uint8Array(buffer.buffer ?? buffer);
    let codes = "";
    for (let i = 0; i < bytes.length; i += 4096) {
      codes += String.fromCharCode(...bytes.subarray(i, i + 4096));
    }
    return btoa(codes);
  };
  /** What ipywidgets does: buffers take their places in the state as views of bytes. */
  const place = ({ state, buffer_paths: paths = [], buffers = [] }) => {
    paths.forEach((path, index) => {
      const last = path[path.length - 1];
      path.slice(0, -1).reduce((node, key) => node[key], state)[last] = view(buffers[index]);
    });
    return state;
  };
  state = place(state);
  const listeners = new Map();
  const call = (event, ...values) => [...(listeners.get(event) ?? [])].forEach((f) => f(...values));
  const changed = new Set();
  /** As Backbone does: nobody hears of a change before all of them are there. */
  const set = (values) => {
    const differs = (name) => JSON.stringify(state[name]) !== JSON.stringify(values[name]);
    const names = Object.keys(values).filter(differs);
    Object.assign(state, Object.fromEntries(names.map((name) => [name, values[name]])));
    names.forEach((name) => call(`change:${name}`));
    return names;
  };
  const model = {
    get: (name) => state[name],
    set: (name, value) => set({ [name]: value }).forEach((mine) => changed.add(mine)),
    save_changes() {
      const update = Object.fromEntries([...changed].map((name) => [name, state[name]]));
      changed.clear();
      window.toKernel({ method: "update", state: update, buffer_paths: [] });
    },
    send: (content, callbacks, buffers = []) =>
      window.toKernel({ method: "custom", content, buffers: buffers.map(text) }),
    on(event, listener) {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    off(event, listener) {
      listeners.set(event, (listeners.get(event) ?? []).filter((f) => f !== listener));
    },
    widget_manager: {
      get_model: async (id) => ({ id }),
      async create_view({ id }) {
        const el = Object.assign(document.createElement("p"), { textContent: `panel ${id}` });
        return { el, remove: () => el.remove() };
      },
    },
  };
  window.fromKernel = (messages) => messages.forEach((data) => {
    if (data.method === "custom") {
      // As in JupyterLab: those of messages are buffers, those of the state are views.
      call("msg:custom", data.content, (data.buffers ?? []).map((text) => view(text).buffer));
    } else set(place(data));
  });
  const style = document.createElement("style");
  style.textContent = state._css;
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  const module = await import(url);
  const el = document.createElement("div");
  el.style.width = `${width}px`;
  document.getElementById("stage").append(el);
  const dispose = await module.default.render({ model, el });
  window.unmount = () => { dispose(); el.remove(); };
  window.listenerCount = () => [...listeners.values()].flat().length;
}
"""


# The names of what reaches beyond the edges of its panel, and cannot be scrolled to.
SPILLS = """
() => {
  const clipped = (node, panel) => {
    for (let at = node.parentElement; at !== panel; at = at.parentElement) {
      if (getComputedStyle(at).overflowX !== "visible") return true;
    }
    return false;
  };
  const spilled = (panel) => {
    const { left, right } = panel.getBoundingClientRect();
    return [...panel.querySelectorAll("*")].filter((node) => {
      const box = node.getBoundingClientRect();
      const out = box.right > right + 1 || box.left < left - 1;
      return out && box.width && box.height && !clipped(node, panel);
    });
  };
  const panels = [...document.querySelectorAll(".wb-panel")].filter((panel) => panel.offsetWidth);
  return panels.flatMap(spilled).map((node) => node.outerHTML.slice(0, 80));
}
"""


def encoded(buffers):
    return [base64.b64encode(buffer).decode() for buffer in buffers]


def patient(page):
    """The page, which waits for all that must come as long as any test does."""
    page.set_default_timeout(1000 * HANG)
    return page


def let_go(panel):
    """Cancel what a panel does, and let a fake model that is held notice it."""
    panel.cancel()
    if panel.lm is not None:
        panel.lm.let_go()


class Stage:
    """A panel on a page. `run` lets both sides talk."""

    def __init__(self, page, panel, width=960):
        self.page, self.panel = patient(page), panel
        self.alive = True
        self.heard = []
        page.set_content(PAGE)
        page.expose_function("toKernel", self._to_kernel)
        self.mount(width)

    def mount(self, width=960):
        state = {k: v for k, v in self.panel.get_state().items() if k != "layout"}
        state, paths, buffers = _remove_buffers(state)
        message = {"state": state, "buffer_paths": paths, "buffers": encoded(buffers)}
        self.page.evaluate(MOUNT, {"state": message, "width": width})

    def _to_kernel(self, data):
        buffers = [base64.b64decode(text) for text in data.pop("buffers", ())]
        self.heard.append(data)
        if self.alive:
            self.panel.comm.handle_msg({"content": {"data": data}, "buffers": buffers})

    def run(self, seconds=0.0):
        """Deliver messages for some seconds, and at least once.

        They are seconds of the page's own timers: what the page has put off for less is done.
        """
        self._deliver()
        for _ in range(math.ceil(seconds / TURN)):
            self.page.evaluate(LET_TURN_PASS, 1000 * TURN)
            self._deliver()

    def until(self, condition):
        """Deliver messages until a condition is true."""
        end = time.monotonic() + HANG
        while not condition():
            assert time.monotonic() < end, "waited too long"
            self.run(TURN)

    def _deliver(self):
        messages = [
            {**data, "buffers": encoded(data.get("buffers", ()))}
            for _, kind, data in self.panel.comm.drain()
            if kind == "comm_msg"
        ]
        if messages and self.alive:
            self.page.evaluate("(messages) => window.fromKernel(messages)", messages)


def check_looks(on, folder, name, settle=lambda on: on.run(0.05)):
    """In light and in dark: a picture of what `on` shows, into the folder; axe finds nothing, and
    nothing spills over. `settle` waits until the page has taken the colours."""
    for scheme in ("light", "dark"):
        on.page.emulate_media(color_scheme=scheme)
        settle(on)
        on.page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
        found = Axe().run(on.page, options=AXE)
        assert found.violations_count == 0, found.generate_report()
        assert on.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
