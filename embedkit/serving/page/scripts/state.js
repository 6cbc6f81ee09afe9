// What is searched, and how: the state that the parts of the page share, and its copy in the address.

export const STEP = 10, MOST = 100; // hits at first and per step, hits at most
const MODES = ["hybrid", "dense", "words"];

export const state = {
  indexes: [], // as the server describes them
  index: null, // the name of the one that is searched
  canFilter: false, // whether the server can evaluate conditions
  mode: null, // one of MODES
  filters: new Map(), // by the name of a field: {values}, {least, most} or {contains}
  k: STEP, // hits that are asked for
};

let listener = () => {};

// Calls a function after each change of the mode, the index or the filters.
export function onChange(call) {
  listener = call;
}

export function changed() {
  state.k = STEP;
  listener();
}

export const currentIndex = () => state.indexes.find((each) => each.name === state.index) ?? state.indexes[0];
export const defaultMode = () => (currentIndex()?.words ? "hybrid" : "dense");
export const isMode = (mode) => MODES.includes(mode);

export function keepInAddress(query) {
  const parameters = new URLSearchParams();
  if (query) parameters.set("q", query);
  if (query && state.mode !== defaultMode()) parameters.set("mode", state.mode);
  if (state.indexes.length > 1 && state.index !== state.indexes[0].name) parameters.set("index", state.index);
  history.replaceState(null, "", parameters.size ? `?${parameters}` : location.pathname);
}
