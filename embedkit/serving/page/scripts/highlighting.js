// The words of the query in a text, as marks.

import { make } from "./elements.js";

const mark = (word) => make("mark", { textContent: word });

// Returns the parts of a hit's text, with its matches marked and dots where the server cut it.
export function markedPlaces(hit) {
  const characters = charactersOf(hit), parts = [];
  let end = 0;
  for (const [from, to] of hit.matches ?? []) {
    parts.push(characters.slice(end, from).join(""), mark(characters.slice(from, to).join("")));
    end = to;
  }
  parts.push(characters.slice(end).join(""));
  if (hit.text_start > 0) parts.unshift("… ");
  if ((hit.text_start ?? 0) + characters.length < hit.text_length) parts.push(" …");
  return parts;
}

// Returns the words of the query that a hit has, in lower case.
export function wordsOf(hit) {
  const characters = charactersOf(hit);
  return new Set((hit.matches ?? []).map(([from, to]) => characters.slice(from, to).join("").toLowerCase()));
}

// Returns the parts of a text, with each occurrence of some words marked.
export function markedWords(text, words) {
  if (!words.size) return [text];
  const longestFirst = [...words].sort((one, two) => two.length - one.length);
  const pattern = longestFirst.map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  return text.split(new RegExp(`(${pattern})`, "giu")).map((part, place) => (place % 2 ? mark(part) : part));
}

// The places of matches count characters, not the 16-bit units of JavaScript.
const charactersOf = (hit) => Array.from(hit.text ?? "");
