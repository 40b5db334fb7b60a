// Questions to the server, and the key that goes with them. The key is kept by this tab alone.

import { one } from "/live/live_dom.js";

const KEPT = "quell-key";
const PATIENCE = 15_000;

/** What the server would not answer: its status, what it said, and what it says to try. */
export class Refused extends Error {
  constructor(status, said) {
    super(said.detail || said.title || `the server answers ${status}`);
    this.status = status;
    this.hint = said.hint || "";
  }
}

const kept = {
  get: () => { try { return sessionStorage.getItem(KEPT) || ""; } catch { return key; } },
  set: (value) => { try { sessionStorage.setItem(KEPT, value); } catch { /* this page remembers it itself */ } },
  drop: () => { try { sessionStorage.removeItem(KEPT); } catch { /* nothing was kept */ } },
};
let key = "";
key = kept.get();

/** The JSON at a path, for which this waits so many milliseconds. Raises Refused; without an answer its status is 0. */
export async function ask(path, patience = PATIENCE) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(patience) });
  } catch (error) {
    throw new Refused(0, { detail: error.name === "TimeoutError" ? `no answer within ${patience / 1000} s` : "no answer from the server" });
  }
  let said = {};
  try { said = await answer.json(); } catch { /* told by its status */ }
  if (!answer.ok) throw new Refused(answer.status, said || {});
  return said;
}

// ------------------------------------------------------------------------------------------------- the dialog

const dialog = one("#ask-key");
const box = one("#key-value");
const wrong = one("#key-wrong");
const again = one("#key");
let waiting = null;

/** Whether an error says that another key is needed. */
export const wantsKey = (error) => error instanceof Refused && (error.status === 401 || error.status === 403);

/** Ask for a key; resolves when there is one to try. */
export function askForKey(error) {
  if (!waiting) {
    waiting = {};
    waiting.done = new Promise((done) => { waiting.found = done; });
    const why = error.status === 401 ? "Not accepted" : "Not enough";
    wrong.textContent = key ? `${why}: ${[error.message, error.hint].filter(Boolean).join("; ").replaceAll("`", "")}` : "";
    kept.drop();
    key = "";
    box.value = "";
    again.hidden = true;
    dialog.showModal();
    box.focus();
  }
  return waiting.done;
}

dialog.addEventListener("submit", (event) => {
  event.preventDefault();
  // A header holds no other characters, and a key has no blanks.
  const said = box.value.trim();
  if (!/^[\x21-\x7e]+$/.test(said)) {
    wrong.textContent = "A key has no blanks and no letters beyond ASCII.";
    return;
  }
  key = said;
  kept.set(key);
  box.value = "";
  dialog.close();
  again.hidden = false;
  const { found } = waiting;
  waiting = null;
  found();
});
dialog.addEventListener("cancel", (event) => event.preventDefault());

again.hidden = !key;
again.textContent = "Forget key";
again.addEventListener("click", () => {
  kept.drop();
  location.reload();
});
