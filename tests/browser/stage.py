"""A page with a panel on it and no Jupyter: the module from a Blob, a model as ipywidgets has one.

The page's model talks to a real panel in this process, so a click runs through the same code as in
a notebook; only the transport is missing. Where a panel shows another one, a paragraph names it.
"""

import time

PAGE = """
<!doctype html>
<html lang="en"><head><title>panel</title></head>
<body style="margin: 16px; font-family: sans-serif">
<main id="stage"><h1 style="font-size: 16px">A page</h1></main></body></html>
"""

MOUNT = """
async ({ state, width }) => {
  const listeners = new Map();
  const call = (event, ...values) => [...(listeners.get(event) ?? [])].forEach((f) => f(...values));
  const changed = new Set();
  const set = (name, value, mine) => {
    if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
    state[name] = value;
    if (mine) changed.add(name);
    call(`change:${name}`);
  };
  const model = {
    get: (name) => state[name],
    set: (name, value) => set(name, value, true),
    save_changes() {
      const update = Object.fromEntries([...changed].map((name) => [name, state[name]]));
      changed.clear();
      window.toKernel({ method: "update", state: update, buffer_paths: [] });
    },
    send: (content) => window.toKernel({ method: "custom", content }),
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
    if (data.method === "custom") call("msg:custom", data.content, []);
    else Object.entries(data.state).forEach(([name, value]) => set(name, value, false));
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


class Stage:
    """A panel on a page. `run` lets both sides talk."""

    def __init__(self, page, panel, width=960):
        self.page, self.panel = page, panel
        self.alive = True
        self.heard = []
        page.set_content(PAGE)
        page.expose_function("toKernel", self._to_kernel)
        self.mount(width)

    def mount(self, width=960):
        state = {k: v for k, v in self.panel.get_state().items() if k != "layout"}
        self.page.evaluate(MOUNT, {"state": state, "width": width})

    def _to_kernel(self, data):
        self.heard.append(data)
        if self.alive:
            self.panel.comm.handle_msg({"content": {"data": data}, "buffers": []})

    def run(self, seconds=0.0):
        """Deliver messages for some seconds, and at least once."""
        end = time.monotonic() + seconds
        while True:
            self._deliver()
            if time.monotonic() >= end:
                return
            self.page.wait_for_timeout(15)

    def until(self, condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited too long"
            self.run(0.02)

    def _deliver(self):
        messages = [data for _, kind, data in self.panel.comm.drain() if kind == "comm_msg"]
        if messages and self.alive:
            self.page.evaluate("(messages) => window.fromKernel(messages)", messages)
