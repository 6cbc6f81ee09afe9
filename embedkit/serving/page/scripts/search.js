// The search: a moment after the last key, and never shown after a newer one has begun.

import { conditionOf } from "./conditions.js";
import { byId } from "./elements.js";
import { ask } from "./requests.js";
import { focusHit, showError, showHits, showStart } from "./results.js";
import { keepInAddress, MOST, state, STEP } from "./state.js";

const PAUSE = 90; // milliseconds after a key
const PATIENCE = 150; // milliseconds after which the hits of the last query fade
const SNIPPET = 360; // characters of a text

let timer = 0, running = null;

export function searchSoon() {
  state.k = STEP;
  stopWaiting();
  timer = setTimeout(search, PAUSE);
}

export function stopWaiting() {
  clearTimeout(timer);
}

export async function searchMore() {
  const shown = state.k;
  state.k = Math.min(MOST, state.k + STEP);
  await search();
  focusHit(shown);
}

export async function search() {
  stopWaiting();
  running?.abort();
  running = null;
  if (!state.indexes.length) return; // the page has not begun, and will search then
  const query = byId("query").value.trim();
  keepInAddress(query);
  if (query) await answer(query); else showStart();
}

async function answer(query) {
  const own = running = new AbortController(), started = performance.now();
  const fading = setTimeout(() => byId("hits").classList.add("old"), PATIENCE);
  try {
    const found = await ask(`search?${parametersOf(query)}`, own.signal);
    if (own === running) showHits(query, found.hits, performance.now() - started);
  } catch (error) {
    if (own === running && error.name !== "AbortError") showError(error, search);
  } finally {
    clearTimeout(fading);
    if (own === running) byId("hits").classList.remove("old");
  }
}

function parametersOf(query) {
  const { k, index, mode } = state, where = conditionOf(state.filters);
  const parameters = new URLSearchParams({ q: query, k, index, highlight: "true", snippet: SNIPPET });
  if (mode === "hybrid") parameters.set("hybrid", "auto");
  if (mode === "words") parameters.set("lexical", "true");
  if (where) parameters.set("where", where);
  return parameters;
}
