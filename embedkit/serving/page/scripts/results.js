// The main part of the page: the hits, or what is shown instead of them.

import { setMode } from "./controls.js";
import { byId, counted, make, makeActions } from "./elements.js";
import { clearFilters } from "./filters.js";
import { makeHit } from "./hits.js";
import { currentIndex, MOST, state } from "./state.js";

let shownQuery = "";

export function showHits(query, hits, milliseconds) {
  document.title = `${query} · embedkit search`;
  if (shownQuery !== query) window.scrollTo({ top: 0 });
  shownQuery = query;
  if (!hits.length) {
    showNothing(query);
    return;
  }
  showOnly("hits");
  byId("hits").replaceChildren(...hits.map(makeHit));
  byId("more").hidden = hits.length < state.k || state.k >= MOST;
  byId("status").textContent = `${counted(hits.length, "hit")} in ${Math.max(1, Math.round(milliseconds))} ms`;
}

export function focusHit(number) {
  byId("hits").children[number]?.querySelector(".opener").focus();
}

export function showStart() {
  const { name, documents, encoder } = currentIndex();
  showOnly("start");
  document.title = "embedkit search";
  shownQuery = "";
  byId("start").replaceChildren(
    make("h2", { textContent: `Search ${counted(documents, "document")}` }),
    make("p", { textContent: `${name} · ${encoder}` }),
  );
}

// Shows an error, with a button that calls a function to try again.
export function showError(error, again) {
  showOnly("error");
  byId("error").replaceChildren(
    make("span", { textContent: error.message.replaceAll("`", "") }),
    makeActions([...waysToFilterLess(), ["Try again", () => again()]]),
  );
}

function showNothing(query) {
  const actions = waysToFilterLess(), reason = actions.length ? "passes the filters" : "has these words";
  if (state.mode === "words") actions.push(["Search by meaning", () => setMode("dense")]);
  showOnly("start");
  byId("start").replaceChildren(
    make("h2", { textContent: `No hits for “${query}”` }),
    make("p", { textContent: `No document ${reason}.` }),
    makeActions(actions),
  );
  byId("status").textContent = "0 hits";
}

const waysToFilterLess = () => (state.filters.size ? [["Remove the filters", clearFilters]] : []);

function showOnly(part) {
  byId("error").hidden = part !== "error";
  byId("start").hidden = part !== "start";
  byId("more").hidden = true;
  if (part === "hits") return;
  byId("hits").replaceChildren();
  byId("status").textContent = "";
}
