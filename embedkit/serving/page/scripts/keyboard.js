// The keys: / and Esc go to the box, arrows move through the hits.

import { byId } from "./elements.js";

export function addKeys() {
  byId("login").addEventListener("cancel", (event) => event.preventDefault()); // Esc does not close it
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || byId("login").open) return;
    const action = actionOf(event.key, event.target);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf(key, target) {
  const inBox = target === byId("query"), isTyping = target.closest("input, select, textarea");
  if (key === "/" && !isTyping) return () => { byId("query").focus(); byId("query").select(); };
  if (key === "Escape" && !inBox) return () => byId("query").focus();
  if (key === "ArrowDown" && (inBox || !isTyping)) return () => move(1);
  if (key === "ArrowUp" && !isTyping && target.closest(".hit")) return () => move(-1);
  return null;
}

function move(step) {
  const hits = [...byId("hits").children];
  if (!hits.length) return;
  const place = hits.indexOf(document.activeElement?.closest(".hit")) + step;
  if (place < 0) {
    byId("query").focus();
    return;
  }
  const next = hits[Math.min(place, hits.length - 1)];
  next.querySelector(".opener").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}
