// Elements of the page. Texts of documents become text nodes: they are never read as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function makeButton(text, onclick, properties = {}) {
  return make("button", { type: "button", textContent: text, onclick, ...properties });
}

// A row of buttons, from pairs of a text and a function.
export function makeActions(pairs) {
  const buttons = pairs.map(([text, onclick]) => makeButton(text, onclick, { className: "quiet" }));
  return make("div", { className: "actions" }, ...buttons);
}

export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
