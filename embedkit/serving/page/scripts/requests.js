// Requests to the server, with a token if it needs one.

import { byId } from "./elements.js";

export class Refusal extends Error {}

// Returns the JSON that a path answers; throws a Refusal with a line to show, or the AbortError of the signal.
export async function ask(path, signal) {
  const token = sessionStorage.getItem("token");
  let answer;
  try {
    answer = await fetch(path, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it still running?");
  }
  const value = await answer.json().catch(() => null);
  if (answer.status === 401) {
    await logIn();
    return ask(path, signal);
  }
  if (!answer.ok) throw new Refusal(value?.error?.message ?? `The server answered ${answer.status}.`);
  return value;
}

// Keeps a token that the address brought (#token=...) until the tab is closed, and removes it from the address.
export function keepToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname + location.search);
}

function logIn() {
  const dialog = byId("login"), box = byId("token");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", box.value);
      box.value = "";
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}
