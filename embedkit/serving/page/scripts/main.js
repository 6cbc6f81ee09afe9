// The start of the page: connects its parts, and asks the server what it serves.

import { addControls, openFilters, setIndex, setMode } from "./controls.js";
import { byId, make } from "./elements.js";
import { filterableFields } from "./filters.js";
import { addKeys } from "./keyboard.js";
import { ask, keepToken } from "./requests.js";
import { showError } from "./results.js";
import { search, searchMore, searchSoon, stopWaiting } from "./search.js";
import { currentIndex, defaultMode, isMode, onChange, state } from "./state.js";
import { addTheme } from "./theme.js";

const WIDE = "(min-width: 62rem)"; // a screen on which the filters have room

keepToken();
addTheme();
addControls();
addKeys();
addSearch();
begin();

function addSearch() {
  onChange(search);
  byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  byId("query").addEventListener("input", (event) => { if (!event.isComposing) searchSoon(); });
  byId("query").addEventListener("compositionstart", stopWaiting); // Chinese is searched once it is chosen
  byId("query").addEventListener("compositionend", searchSoon);
  byId("more").addEventListener("click", searchMore);
}

async function begin() {
  try {
    const answer = await ask("indexes");
    state.indexes = answer.indexes;
    state.canFilter = answer.filters;
  } catch (error) {
    showError(error, begin);
    return;
  }
  showWhatIsAsked();
}

function showWhatIsAsked() {
  const given = new URLSearchParams(location.search), mode = given.get("mode");
  const options = state.indexes.map(({ name }) => make("option", { value: name, textContent: name }));
  byId("index").replaceChildren(...options);
  byId("index-label").hidden = options.length < 2;
  setIndex(given.get("index"));
  openFilters(filterableFields().length > 0 && matchMedia(WIDE).matches);
  byId("query").value ||= given.get("q") ?? "";
  setMode(currentIndex().words && isMode(mode) ? mode : defaultMode());
}
