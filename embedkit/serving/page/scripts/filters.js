// The filters: boxes per field beside the hits, and a chip per filter that is set.

import { byId, make, makeButton } from "./elements.js";
import { changed, currentIndex, state } from "./state.js";

const FIELDS = 12; // fields that have boxes
const VALUES = 7; // values of a field that are shown at first

export function setFilter(field, filter) {
  const { values, least, most, contains } = filter;
  const isSet = values?.length || least !== undefined || most !== undefined || contains;
  if (isSet) state.filters.set(field, filter); else state.filters.delete(field);
  drawChips();
  changed();
}

export function showOnlyValue(field, value) {
  if (!state.canFilter) return;
  setFilter(field, { values: [value] });
  drawBoxes();
}

export function clearFilters() {
  state.filters.clear();
  drawFilters();
  changed();
}

export function drawFilters() {
  drawBoxes();
  drawChips();
}

export function filterableFields() {
  if (!state.canFilter) return [];
  const { fields } = currentIndex(), names = new Set(fields.map((field) => field.name));
  const hasPassages = names.has("path") && names.has("line") && names.has("line_to");
  const isPlace = (name) => hasPassages && (name === "line" || name === "line_to");
  return fields.filter(({ name, type }) => type !== "other" && !isPlace(name)).slice(0, FIELDS);
}

// ---- chips

function drawChips() {
  const chips = [...state.filters].map(([field, filter]) => {
    const text = `${field}: ${described(filter)}`;
    return makeButton(text, () => removeFilter(field), { "aria-label": `Remove the filter ${text}` });
  });
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = !chips.length;
  byId("filters-button").textContent = chips.length ? `Filters (${chips.length})` : "Filters";
}

function described({ values, least, most, contains }) {
  if (values) return values.join(", ");
  if (contains) return `“${contains}”`;
  const range = [];
  if (least !== undefined) range.push(`≥ ${least}`);
  if (most !== undefined) range.push(`≤ ${most}`);
  return range.join(", ");
}

function removeFilter(field) {
  setFilter(field, {});
  drawBoxes();
  byId("query").focus();
}

// ---- boxes

function drawBoxes() {
  byId("filters").replaceChildren(...filterableFields().map((field) => {
    const legend = make("legend", { textContent: field.name });
    if (field.values.length) return make("fieldset", {}, legend, ...valueBoxes(field));
    return make("fieldset", {}, legend, field.type === "number" ? rangeBoxes(field) : containsBox(field));
  }));
}

function valueBoxes(field) {
  const chosen = new Set(state.filters.get(field.name)?.values ?? []);
  const boxes = field.values.map((value, place) => {
    const box = make("input", { type: "checkbox", checked: chosen.has(value), onchange: () => {
      if (box.checked) chosen.add(value); else chosen.delete(value);
      setFilter(field.name, { values: [...chosen] });
    } });
    const hidden = place >= VALUES && !chosen.has(value);
    return make("label", { className: "value", hidden }, box, make("span", { textContent: String(value) }));
  });
  if (boxes.every((box) => !box.hidden)) return boxes;
  const all = makeButton(`All ${boxes.length}`, () => {
    boxes.forEach((box) => { box.hidden = false; });
    all.remove();
  }, { className: "all" });
  return [...boxes, all];
}

function rangeBoxes(field) {
  const filter = state.filters.get(field.name) ?? {};
  const number = (box) => (Number.isFinite(box.valueAsNumber) ? box.valueAsNumber : undefined);
  const onchange = () => setFilter(field.name, { least: number(least), most: number(most) });
  const makeBox = (label, value = "") => make("input", {
    type: "number", step: "any", placeholder: label, value, onchange, "aria-label": `${field.name} ${label}`,
  });
  const least = makeBox("from", filter.least), most = makeBox("to", filter.most);
  return make("div", { className: "range" }, least, most);
}

function containsBox(field) {
  const value = state.filters.get(field.name)?.contains ?? "";
  const box = make("input", {
    type: "text", placeholder: "contains", value, "aria-label": `${field.name} contains`,
    onchange: () => setFilter(field.name, { contains: box.value.trim() }),
  });
  return box;
}
