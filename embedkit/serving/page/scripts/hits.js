// One hit: its title and place, its text with the words of the query marked, and after a click all of its
// document.

import { make, makeButton } from "./elements.js";
import { showOnlyValue } from "./filters.js";
import { markedPlaces, markedWords, wordsOf } from "./highlighting.js";
import { ask, Refusal } from "./requests.js";
import { currentIndex, state } from "./state.js";

const CHIPS = 6; // fields that are shown of a hit
const PLACE = new Set(["path", "line", "line_to", "headings"]); // fields of a passage of a file, shown above it
const OWN = new Set([ // what the server adds to a hit, and the title, which is shown above it
  "rank", "id", "score", "dense", "lexical", "terms", "text", "text_start", "text_length", "matches", "title",
]);

export function makeHit(hit) {
  const place = placeOf(hit), title = String(hit.title || place || hit.id);
  const trail = Array.isArray(hit.headings) ? hit.headings.join(" › ") : hit.headings;
  const opener = make("button", { type: "button", className: "opener", "aria-expanded": "false" },
    ...(title === place ? placeParts(hit) : [title]));
  const node = make("li", { className: "hit" },
    make("div", { className: "top" }, make("h2", {}, opener), makeScore(hit)));
  if (place && hit.title) node.append(make("p", { className: "place", textContent: place }));
  if (trail && trail !== title) node.append(make("p", { className: "trail", textContent: trail }));
  if (hit.text) node.append(make("p", { className: "text cut" }, ...markedPlaces(hit)));
  const chips = makeChips(hit);
  if (chips.length) node.append(make("div", { className: "fields" }, ...chips));
  node.addEventListener("click", (event) => { if (opens(event, opener)) toggle(node, opener, hit); });
  return node;
}

// Documents that come from elsewhere may have fields of the same names, which are shown like any others.
const isPassage = (hit) => Boolean(hit.path && hit.line && hit.line_to);
const isShownAsPlace = (name, hit) => PLACE.has(name) && isPassage(hit);
const placeOf = (hit) => (hit.path ? `${hit.path}${linesOf(hit)}` : "");
const placeParts = (hit) => [hit.path, make("span", { className: "lines", textContent: linesOf(hit) })];

function linesOf(hit) {
  if (!isPassage(hit)) return "";
  return hit.line_to > hit.line ? `:${hit.line}–${hit.line_to}` : `:${hit.line}`;
}

function makeScore(hit) {
  const score = hit.score.toFixed(3), isHybrid = hit.dense !== undefined;
  const title = isHybrid ? `similarity ${hit.dense.toFixed(3)}, words ${hit.lexical.toFixed(2)}` : "score";
  return make("span", { className: "score", textContent: score, title, "aria-label": `score ${score}` });
}

// The fields with few values, each of which filters the hits by its value.
function makeChips(hit) {
  const fields = currentIndex().fields.filter(({ name, values }) =>
    !OWN.has(name) && !isShownAsPlace(name, hit) && values.includes(hit[name]));
  return fields.slice(0, CHIPS).map(({ name }) => {
    const text = `${name}: ${hit[name]}`;
    return makeButton(text, () => showOnlyValue(name, hit[name]), { title: `Only ${text}` });
  });
}

// A click anywhere in a hit opens it, but not one on another button, in the opened part, or that selects text.
function opens(event, opener) {
  const button = event.target.closest("button");
  return button === opener || !(button || event.target.closest(".whole, .details") || String(getSelection()));
}

async function toggle(node, opener, hit) {
  const isOpen = opener.getAttribute("aria-expanded") === "true";
  opener.setAttribute("aria-expanded", String(!isOpen));
  node.querySelectorAll(".whole, .details").forEach((each) => each.remove());
  if (isOpen) return;
  try {
    const answer = await ask(`documents?${new URLSearchParams({ id: hit.id, index: state.index })}`);
    if (opener.getAttribute("aria-expanded") === "true") showDocument(node, hit, answer.documents[0]);
  } catch (error) {
    node.append(make("p", { className: "text whole", textContent: error.message }));
  }
}

function showDocument(node, hit, found) {
  if (!found) throw new Refusal("This document has been deleted meanwhile.");
  const { id, text, title, ...fields } = found;
  if (text && (text.includes("\n") || text !== hit.text)) { // the text above has no lines, and may be cut
    const whole = make("p", { className: "text whole", tabIndex: 0 }, ...markedWords(text, wordsOf(hit)));
    node.insertBefore(whole, node.querySelector(".fields"));
  }
  const rows = Object.entries(fields).filter(([name, value]) => value !== null && !isShownAsPlace(name, found));
  const list = [["id", id], ...rows].flatMap(([name, value]) => [
    make("dt", { textContent: name }),
    make("dd", { textContent: typeof value === "object" ? JSON.stringify(value) : String(value) }),
  ]);
  node.append(make("dl", { className: "details" }, ...list));
}
