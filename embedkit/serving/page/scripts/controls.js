// The controls below the box: the mode, the index, and the button of the filters.

import { byId } from "./elements.js";
import { drawFilters, filterableFields } from "./filters.js";
import { changed, currentIndex, state } from "./state.js";

const modes = document.querySelectorAll('input[name="mode"]');

export function addControls() {
  byId("modes").addEventListener("change", (event) => setMode(event.target.value));
  byId("filters-button").addEventListener("click", () => openFilters(byId("filters").hidden));
  byId("index").addEventListener("change", (event) => {
    setIndex(event.target.value);
    setMode(currentIndex().words ? state.mode : "dense");
  });
}

export function setMode(mode) {
  state.mode = mode;
  for (const radio of modes) radio.checked = radio.value === mode;
  changed();
}

// Chooses an index by its name, else the first one, without searching it yet.
export function setIndex(name) {
  state.index = (state.indexes.find((each) => each.name === name) ?? state.indexes[0]).name;
  byId("index").value = state.index;
  for (const radio of modes) radio.disabled = radio.value !== "dense" && !currentIndex().words;
  const canFilter = filterableFields().length > 0;
  byId("filters-button").hidden = !canFilter;
  if (!canFilter) openFilters(false);
  state.filters.clear();
  drawFilters();
}

export function openFilters(open) {
  byId("filters").hidden = !open;
  byId("filters-button").setAttribute("aria-expanded", String(open));
}
