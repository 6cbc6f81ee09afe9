// The colours: as the system has them, light, or dark; the choice is kept in this browser.

import { byId } from "./elements.js";

const LABELS = { auto: "as the system", light: "light", dark: "dark" };
const THEMES = Object.keys(LABELS);

export function addTheme() {
  const kept = localStorage.getItem("theme");
  let theme = THEMES.includes(kept) ? kept : "auto";
  show(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("theme", theme);
    show(theme);
  });
}

function show(theme) {
  const root = document.documentElement, label = `Colours: ${LABELS[theme]}`;
  if (theme === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = theme;
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
}
