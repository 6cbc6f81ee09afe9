"use strict";
// Every text of a document reaches the page through textContent: it is never read as HTML.

const STEP = 10, MOST = 100, PAUSE = 90; // hits at first and per step; hits at most; milliseconds after a key
const OWN = new Set(["rank", "id", "score", "dense", "lexical", "terms", "text", "text_start", "text_length", "matches",
  "title"]);
const PLACE = new Set(["path", "line", "line_to", "headings"]); // fields of passages of files, shown as their place
const $ = (id) => document.getElementById(id);
const state = { k: STEP, mode: null, index: null, filters: new Map(), indexes: [], canFilter: false };
let timer = 0, running = null, composing = false, searched = "";

class Refusal extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, signal) {
  const token = sessionStorage.getItem("token");
  let answer;
  try {
    answer = await fetch(path, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server does not answer. Is it still running?");
  }
  const value = await answer.json().catch(() => null);
  if (answer.status === 401) { await logIn(); return ask(path, signal); }
  if (!answer.ok) throw new Refusal(answer.status, value?.error?.message ?? `The server answered ${answer.status}.`);
  return value;
}

function logIn() {
  const dialog = $("login");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", $("token").value);
      $("token").value = "";
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// ---- the search -------------------------------------------------------------------------------------------

const index = () => state.indexes.find((each) => each.name === state.index) ?? state.indexes[0];

function soon() { clearTimeout(timer); timer = setTimeout(search, PAUSE); }

async function search() {
  clearTimeout(timer);
  running?.abort();
  const query = $("query").value.trim();
  keepInAddress(query);
  if (!query) { running = null; searched = ""; showStart(); return; }
  const own = running = new AbortController();
  const parameters = new URLSearchParams({ q: query, k: state.k, index: state.index, highlight: "true", snippet: "360" });
  if (state.mode === "hybrid") parameters.set("hybrid", "auto");
  if (state.mode === "words") parameters.set("lexical", "true");
  const where = condition();
  if (where) parameters.set("where", where);
  const started = performance.now();
  const waiting = setTimeout(() => $("hits").classList.add("old"), 150);
  try {
    const answer = await ask(`search?${parameters}`, own.signal);
    if (own === running) showHits(query, answer, performance.now() - started);
  } catch (error) {
    if (error.name !== "AbortError" && own === running) showError(error);
  } finally {
    clearTimeout(waiting);
    if (own === running) $("hits").classList.remove("old");
  }
}

function keepInAddress(query) {
  const parameters = new URLSearchParams();
  if (query) parameters.set("q", query);
  if (query && state.mode !== defaultMode()) parameters.set("mode", state.mode);
  if (state.indexes.length > 1 && state.index !== state.indexes[0].name) parameters.set("index", state.index);
  history.replaceState(null, "", parameters.size ? `?${parameters}` : location.pathname);
}

const defaultMode = () => (index()?.words ? "hybrid" : "dense");
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// ---- what is shown ----------------------------------------------------------------------------------------

function showOnly(part) {
  $("error").hidden = part !== "error";
  $("start").hidden = part !== "start";
  $("more").hidden = true;
  if (part !== "hits") { $("hits").replaceChildren(); $("status").textContent = ""; }
}

function showStart() {
  showOnly("start");
  const found = index();
  document.title = "embedkit search";
  $("start").replaceChildren(
    make("h2", { textContent: `Search ${plural(found.documents, "document")}` }),
    make("p", { textContent: `${found.name} · ${found.encoder}` }),
  );
}

function showError(error) {
  showOnly("error");
  const actions = [["Try again", state.indexes.length ? search : begin]];
  if (state.filters.size) actions.unshift(["Remove the filters", clearFilters]);
  $("error").replaceChildren(
    make("span", { textContent: error.message.replaceAll("`", "") }),
    make("div", { className: "actions" }, ...actions.map(([text, onclick]) => make("button", { type: "button", className: "quiet", textContent: text, onclick }))));
}

function showHits(query, answer, milliseconds) {
  showOnly(answer.hits.length ? "hits" : "start");
  document.title = `${query} · embedkit search`;
  if (searched !== query) { searched = query; window.scrollTo({ top: 0 }); }
  if (!answer.hits.length) { showNothing(query); return; }
  $("hits").replaceChildren(...answer.hits.map(hitOf));
  $("more").hidden = answer.hits.length < state.k || state.k >= MOST;
  $("status").textContent = `${plural(answer.hits.length, "hit")} in ${Math.max(1, Math.round(milliseconds))} ms`;
}

function showNothing(query) {
  const actions = [];
  if (state.filters.size) actions.push(make("button", { type: "button", className: "quiet", textContent: "Remove the filters", onclick: clearFilters }));
  if (state.mode === "words") actions.push(make("button", { type: "button", className: "quiet", textContent: "Search by meaning", onclick: () => setMode("dense") }));
  $("start").replaceChildren(
    make("h2", { textContent: `No hits for “${query}”` }),
    make("p", { textContent: state.filters.size ? "No document passes the filters." : "No document has these words." }),
    make("div", { className: "actions" }, ...actions),
  );
  $("status").textContent = "0 hits";
}

function hitOf(hit) {
  const place = placeOf(hit), lines = linesOf(hit), title = hit.title || place || hit.id;
  const trail = Array.isArray(hit.headings) ? hit.headings.join(" › ") : hit.headings;
  const scores = hit.dense === undefined ? "" : `similarity ${hit.dense.toFixed(3)}, words ${hit.lexical.toFixed(2)}`;
  const opener = make("button", { type: "button", className: "opener", "aria-expanded": "false" },
    ...(title === place ? [String(hit.path), make("span", { className: "lines", textContent: lines })] : [String(title)]));
  const node = make("li", { className: "hit" },
    make("div", { className: "top" },
      make("h2", {}, opener),
      make("span", { className: "score", textContent: hit.score.toFixed(3), title: scores || "score", "aria-label": `score ${hit.score.toFixed(3)}` })));
  if (place && hit.title) node.append(make("p", { className: "place", textContent: place }));
  if (trail && trail !== title) node.append(make("p", { className: "trail", textContent: trail }));
  const words = new Set();
  if (hit.text) node.append(make("p", { className: "text cut" }, ...marked(hit, words)));
  const chips = fieldChips(hit);
  if (chips.length) node.append(make("div", { className: "fields" }, ...chips));
  node.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button === opener || (!button && !event.target.closest(".whole, .details") && !String(getSelection()))) toggle(node, opener, hit, words);
  });
  return node;
}

// Documents that come from elsewhere may have fields of the same names, which are shown like any others.
const isPassage = (hit) => Boolean(hit.path && hit.line && hit.line_to);

const linesOf = (hit) => (isPassage(hit) ? `:${hit.line}${hit.line_to > hit.line ? `–${hit.line_to}` : ""}` : "");
const placeOf = (hit) => (hit.path ? `${hit.path}${linesOf(hit)}` : "");

// The places of words count characters, not the 16-bit units of JavaScript.
function marked(hit, words) {
  const characters = Array.from(hit.text), parts = [];
  let end = 0;
  for (const [from, to] of hit.matches ?? []) {
    const word = characters.slice(from, to).join("");
    words.add(word.toLowerCase());
    parts.push(characters.slice(end, from).join(""), make("mark", { textContent: word }));
    end = to;
  }
  parts.push(characters.slice(end).join(""));
  if (hit.text_start > 0) parts.unshift("… ");
  if ((hit.text_start ?? 0) + characters.length < hit.text_length) parts.push(" …");
  return parts;
}

function fieldChips(hit) {
  const chips = [];
  for (const field of index().fields) {
    const value = hit[field.name];
    if (OWN.has(field.name) || (PLACE.has(field.name) && isPassage(hit)) || value === undefined || !field.values.includes(value)) continue;
    chips.push(make("button", {
      type: "button", textContent: `${field.name}: ${value}`, title: `Only ${field.name}: ${value}`,
      onclick: () => { if (state.canFilter) { setFilter(field.name, { values: [value] }); drawFilters(); } },
    }));
  }
  return chips.slice(0, 6);
}

async function toggle(node, opener, hit, words) {
  const open = opener.getAttribute("aria-expanded") === "true";
  opener.setAttribute("aria-expanded", String(!open));
  node.querySelectorAll(".whole, .details").forEach((each) => each.remove());
  if (open) return;
  try {
    const answer = await ask(`documents?${new URLSearchParams({ id: hit.id, index: state.index })}`);
    const found = answer.documents[0];
    if (opener.getAttribute("aria-expanded") !== "true") return;
    if (!found) throw new Refusal(404, "This document has been deleted meanwhile.");
    const { id, text, title, ...fields } = found;
    if (text && text.length > (hit.text ?? "").length) node.insertBefore(make("p", { className: "text whole", tabIndex: 0 }, ...markedWords(text, words)), node.querySelector(".fields"));
    const list = make("dl", { className: "details" }, make("dt", { textContent: "id" }), make("dd", { textContent: id }));
    for (const [name, value] of Object.entries(fields)) {
      if (value === null || (PLACE.has(name) && isPassage(found))) continue;
      list.append(make("dt", { textContent: name }), make("dd", { textContent: typeof value === "object" ? JSON.stringify(value) : String(value) }));
    }
    node.append(list);
  } catch (error) {
    node.append(make("p", { className: "text whole", textContent: error.message }));
  }
}

function markedWords(text, words) {
  if (!words.size) return [text];
  const pattern = [...words].sort((a, b) => b.length - a.length).map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  return text.split(new RegExp(`(${pattern})`, "giu")).map((part, place) => (place % 2 ? make("mark", { textContent: part }) : part));
}

// ---- filters ----------------------------------------------------------------------------------------------

const name = (field) => `"${field.replaceAll('"', '""')}"`;
const literal = (value) => (typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value));

function condition() {
  const parts = [];
  for (const [field, filter] of state.filters) {
    if (filter.values) parts.push(`${name(field)} IN (${filter.values.map(literal).join(", ")})`);
    if (filter.least !== undefined) parts.push(`${name(field)} >= ${filter.least}`);
    if (filter.most !== undefined) parts.push(`${name(field)} <= ${filter.most}`);
    if (filter.contains) parts.push(`contains(lower(CAST(${name(field)} AS VARCHAR)), ${literal(filter.contains.toLowerCase())})`);
  }
  return parts.join(" AND ");
}

function setFilter(field, filter) {
  const empty = !filter.values?.length && filter.least === undefined && filter.most === undefined && !filter.contains;
  if (empty) state.filters.delete(field); else state.filters.set(field, filter);
  state.k = STEP;
  drawChips();
  search();
}

function clearFilters() { state.filters.clear(); drawFilters(); drawChips(); search(); }

function drawChips() {
  const chips = [...state.filters].map(([field, filter]) => {
    const range = [filter.least !== undefined ? `≥ ${filter.least}` : "", filter.most !== undefined ? `≤ ${filter.most}` : ""].filter(Boolean).join(", ");
    const text = `${field}: ${filter.values?.join(", ") ?? (filter.contains ? `“${filter.contains}”` : range)}`;
    return make("button", { type: "button", textContent: text, "aria-label": `Remove the filter ${text}`, onclick: () => { setFilter(field, {}); drawFilters(); $("query").focus(); } });
  });
  $("chips").replaceChildren(...chips);
  $("chips").hidden = !chips.length;
  $("filters-button").textContent = chips.length ? `Filters (${chips.length})` : "Filters";
}

const hasPassages = () => ["path", "line", "line_to"].every((name) => index().fields.some((each) => each.name === name));
const filterable = () => (state.canFilter ? index().fields.filter((each) => each.type !== "other" && !(hasPassages() && ["line", "line_to"].includes(each.name))).slice(0, 12) : []);

function drawFilters() {
  $("filters").replaceChildren(...filterable().map((field) => {
    const body = field.values.length ? valueBoxes(field) : field.type === "number" ? rangeBoxes(field) : [containsBox(field)];
    return make("fieldset", {}, make("legend", { textContent: field.name }), ...body);
  }));
}

function valueBoxes(field) {
  const chosen = new Set(state.filters.get(field.name)?.values ?? []);
  const boxes = field.values.map((value, place) => make("label", { className: "value", hidden: place >= 7 && !chosen.has(value) },
    make("input", { type: "checkbox", checked: chosen.has(value), onchange: (event) => {
      if (event.target.checked) chosen.add(value); else chosen.delete(value);
      setFilter(field.name, { values: [...chosen] });
    } }), make("span", { textContent: String(value) })));
  if (boxes.every((box) => !box.hidden)) return boxes;
  const all = make("button", { type: "button", className: "all", textContent: `All ${boxes.length}`, onclick: () => { boxes.forEach((box) => { box.hidden = false; }); all.remove(); } });
  return [...boxes, all];
}

function rangeBoxes(field) {
  const filter = state.filters.get(field.name) ?? {}, boxes = {};
  const number = (box) => (box.value === "" || !Number.isFinite(box.valueAsNumber) ? undefined : box.valueAsNumber);
  const changed = () => setFilter(field.name, { least: number(boxes.least), most: number(boxes.most) });
  for (const [key, label] of [["least", "from"], ["most", "to"]]) {
    boxes[key] = make("input", { type: "number", step: "any", placeholder: label, value: filter[key] ?? "", onchange: changed, "aria-label": `${field.name} ${label}` });
  }
  return [make("div", { className: "range" }, boxes.least, boxes.most)];
}

function containsBox(field) {
  const value = state.filters.get(field.name)?.contains ?? "";
  return make("input", { type: "text", placeholder: "contains", value, onchange: (event) => setFilter(field.name, { contains: event.target.value.trim() }), "aria-label": `${field.name} contains` });
}

// ---- keys, themes, and the start --------------------------------------------------------------------------

function move(step) {
  const hits = [...$("hits").children];
  if (!hits.length) return;
  const place = hits.indexOf(document.activeElement?.closest(".hit")) + step;
  if (place < 0) { $("query").focus(); return; }
  const next = hits[Math.min(place, hits.length - 1)];
  next.querySelector(".opener").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || $("login").open) return;
  const typing = event.target.closest("input, select, textarea"), box = event.target === $("query");
  if (event.key === "/" && !typing) { event.preventDefault(); $("query").focus(); $("query").select(); }
  if (event.key === "ArrowDown" && (box || !typing)) { event.preventDefault(); move(1); }
  if (event.key === "ArrowUp" && !typing && event.target.closest(".hit")) { event.preventDefault(); move(-1); }
  if (event.key === "Escape" && !box) { event.preventDefault(); $("query").focus(); }
});

function setMode(mode) {
  state.mode = mode;
  for (const radio of document.querySelectorAll('input[name="mode"]')) radio.checked = radio.value === mode;
  search();
}

function setIndex(wanted) {
  state.index = state.indexes.find((each) => each.name === wanted)?.name ?? state.indexes[0].name;
  $("index").value = state.index;
  state.filters.clear();
  const words = index().words;
  for (const radio of document.querySelectorAll('input[name="mode"]')) radio.disabled = radio.value !== "dense" && !words;
  $("filters-button").hidden = !filterable().length;
  if (!filterable().length) openFilters(false);
  drawFilters();
  drawChips();
}

function openFilters(open) {
  $("filters").hidden = !open;
  $("filters-button").setAttribute("aria-expanded", String(open));
}

const THEMES = { auto: "as the system", light: "light", dark: "dark" };
function setTheme(theme) {
  const label = `Colours: ${THEMES[theme]}`;
  if (theme === "auto") document.documentElement.removeAttribute("data-theme"); else document.documentElement.dataset.theme = theme;
  $("theme").setAttribute("aria-label", label);
  $("theme").title = label;
  localStorage.setItem("theme", theme);
}

function listen() {
  $("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  $("query").addEventListener("compositionstart", () => { composing = true; clearTimeout(timer); });
  $("query").addEventListener("compositionend", () => { composing = false; state.k = STEP; soon(); });
  $("query").addEventListener("input", (event) => { if (!composing && !event.isComposing) { state.k = STEP; soon(); } });
  $("modes").addEventListener("change", (event) => setMode(event.target.value));
  $("index").addEventListener("change", (event) => { setIndex(event.target.value); setMode(state.mode !== "dense" && !index().words ? "dense" : state.mode); });
  $("filters-button").addEventListener("click", () => openFilters($("filters").hidden));
  $("more").addEventListener("click", () => { const first = state.k; state.k = Math.min(MOST, state.k + STEP); search().then(() => $("hits").children[first]?.querySelector(".opener").focus()); });
  $("theme").addEventListener("click", () => { const all = Object.keys(THEMES); setTheme(all[(all.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % all.length]); });
  $("login").addEventListener("cancel", (event) => event.preventDefault());
}

function start() {
  setTheme(localStorage.getItem("theme") in THEMES ? localStorage.getItem("theme") : "auto");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) { sessionStorage.setItem("token", token); history.replaceState(null, "", location.pathname + location.search); }
  listen();
  begin();
}

async function begin() {
  const given = new URLSearchParams(location.search);
  try {
    const answer = await ask("indexes");
    state.indexes = answer.indexes;
    state.canFilter = answer.filters;
  } catch (error) { showError(error); return; }
  $("index").replaceChildren(...state.indexes.map((each) => make("option", { value: each.name, textContent: each.name })));
  $("index-label").hidden = state.indexes.length < 2;
  setIndex(given.get("index"));
  openFilters(filterable().length > 0 && matchMedia("(min-width: 62rem)").matches);
  if (!$("query").value) $("query").value = given.get("q") ?? "";
  const mode = given.get("mode");
  setMode(index().words && ["hybrid", "dense", "words"].includes(mode) ? mode : defaultMode());
}

start();
