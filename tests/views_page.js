// A page with nothing but one of the inspect panel's views.

import { createAttention } from "../widgets/inspect/attention.js";
import { createLens } from "../widgets/inspect/lens.js";
import { makeRoot } from "../widgets/shared/dom.js";

function render({ model, el }) {
  const root = makeRoot("wb-generate", "Views");
  const key = () => model.get("reading").key;
  const ask = (command) => (fields) => model.send({ command, key: key(), ...fields });
  const pick = (place) => {
    model.set("place", place);
    model.save_changes();
  };
  const kind = model.get("view");
  const view = { lens: createLens, attention: createAttention }[kind]({ ask: ask(kind), pick });
  const pieces = () => model.get("reading").pieces;
  const refresh = () => view.refresh({ place: model.get("place"), pieces: pieces() });
  model.on("change:place", refresh);
  model.on("change:reading", () => {
    view.clear();
    refresh();
  });
  model.on("msg:custom", (message, buffers) => view.show(message, buffers));
  root.append(view.node);
  el.append(root);
  refresh();
  view.visible(true);
  window.view = view;
  return () => view.dispose();
}

export default { render };
