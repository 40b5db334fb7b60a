// The newest decisions, or those that a search finds: a list that keeps still while somebody looks at it.

import { ask, wantsKey } from "/live/live_ask.js";
import { all, button, chip, clock, colour, count, data, day, iso, make, set, took, visible, when } from "/live/live_dom.js";

const SHOWN = 200;
const PAGE = 100;

/** What a row is called in the address of the page. */
export const refOf = (s) => (s.kind === "refused" ? { refusal: s.number } : { decision: s.seq });

function who(s) {
  if (!s.entities || !s.entities.length) return "";
  const [first] = s.entities;
  const more = s.entities.length - 1 + (s.more_entities || 0);
  return [make("span", "kind", visible(first.kind, 40), " "), data(first.id, 80), more ? make("small", "", ` +${more}`) : ""];
}

function why(s) {
  if (s.message) return [make("span", "said", ...proseOf(s.message))];
  const fired = (s.fired || []).map((rule) => make("bdi", "name", visible(rule, 80)));
  const shadow = (s.shadow || []).map((rule) => set(make("bdi", "name shadow", visible(rule, 80)), { title: "in shadow" }));
  const more = (s.more_fired || 0) + (s.more_shadow || 0);
  return [...fired, ...shadow, more ? make("small", "", `+${more}`) : ""];
}

const proseOf = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", "", visible(part)) : visible(part)));

const SIGNS = [
  ["labels", "⚑", (n) => `${n} ${n === 1 ? "label" : "labels"} changed`],
  ["sends", "↗", (n) => `${n} sent`],
  ["held", "◦", (n) => `${n} held back`],
  ["notes", "!", (n) => `${n} ${n === 1 ? "thing" : "things"} to note`],
];

function signs(s) {
  return SIGNS.filter(([part]) => s[part]).map(([part, sign, words]) => set(make("span", `sign ${part}`, sign, make("span", "unseen", `${words(s[part])} `)), { title: words(s[part]) }));
}

const verdictOf = (s) => (s.kind === "decision" ? chip(s.verdict, s.level) : chip(s.kind, -1, "odd"));

function rowOf(s) {
  const cells = [
    set(make("span", "time", day(s.wall) === day(Date.now() * 1000) ? clock(s.wall) : when(s.wall)), { title: iso(s.wall) }),
    make("span", "verdict", verdictOf(s)),
    make("span", "event", s.event ? visible(s.event, 60) : "–"),
    make("span", "who", who(s)),
    make("span", "why", why(s)),
    make("span", "signs", signs(s)),
    s.seconds ? make("span", "took", took(s.seconds)) : set(make("span", "took none", "–"), { title: "The journal does not say how long it took" }),
  ];
  const made = set(make("li", `row ${colour(s.kind === "decision" ? s.level : -1)}`, cells), { role: "option", id: `n${s.number}`, "aria-selected": "false" });
  made.summary = s;
  return made;
}

export class List {
  /** `open` is called with a summary, or null to close; `enter` goes into what is opened; `state` is the page's;
   *  `guard` asks for a key where one is wanted. */
  constructor(host, state, { open, enter, guard }) {
    Object.assign(this, { state, open, enter, guard });
    this.rows = new Map();
    this.waiting = null;
    this.hovered = false;
    this.keyed = false;
    this.at = null;
    this.filters = make("div", "chips");
    set(this.filters, { role: "group", "aria-label": "Which decisions" });
    this.words = set(make("span"), { role: "status" });
    this.press = make("span");
    this.reach = make("span");  // no part of what is announced: it moves with every answer
    this.note = make("div", "note", this.words, this.press, this.reach);
    this.list = set(make("ul", "rows"), { role: "listbox", tabindex: "0", "aria-label": "Decisions, newest first: the arrow keys go from one to the next, Enter opens, and the right arrow goes into what is opened" });
    this.older = button("Show older", () => this.more(), "older");
    this.older.hidden = true;
    const head = set(make("div", "row head", ["Time", "Verdict", "Event", "Who", "Rules that fired", "", "Took"].map((word, i) => make("span", ["time", "verdict", "event", "who", "why", "signs", "took"][i], word))), { "aria-hidden": "true" });
    this.empty = make("p", "empty", "Asking …");
    const framed = make("div", "list", head, this.list);
    framed.hidden = true;
    host.append(make("div", "above", this.filters, this.note), framed, this.empty, this.older);
    this.listen();
  }

  listen() {
    const { list } = this;
    if (matchMedia("(hover: hover)").matches) {
      list.addEventListener("pointerenter", () => { this.hovered = true; });
      list.addEventListener("pointerleave", () => { this.hovered = false; this.flow(); });
    }
    list.addEventListener("blur", () => { this.keyed = false; this.flow(); });
    list.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) { this.mark(row); this.open(row.summary); }
    });
    list.addEventListener("keydown", (event) => this.key(event));
  }

  get held() {
    return this.hovered || this.keyed || this.state.paused || this.state.opened || this.paged;
  }

  key(event) {
    const rows = [...this.list.children];
    const at = rows.findIndex((row) => row.summary.number === this.at);
    const page = Math.max(1, Math.floor(innerHeight / 45));
    const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: rows.length - 1, PageDown: at + page, PageUp: Math.max(0, at - page) }[event.key];
    if (to !== undefined && rows.length) {
      event.preventDefault();
      this.keyed = true;
      const row = rows[Math.min(to, rows.length - 1)];
      this.mark(row);
      row.scrollIntoView({ block: "nearest" });
      if (this.state.opened) this.open(row.summary);
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      event.preventDefault();
      this.open(rows[at].summary);
    } else if (event.key === "ArrowRight" && this.state.opened) {
      event.preventDefault();
      this.enter();
    } else if (event.key === "Escape" && !this.state.opened && this.keyed) {
      this.keyed = false;
      this.mark(null);
      this.flow();
    }
  }

  mark(row) {
    for (const other of all('[aria-selected="true"]', this.list)) set(other, { "aria-selected": "false" });
    this.at = row ? row.summary.number : null;
    if (row) set(row, { "aria-selected": "true" });
    set(this.list, { "aria-activedescendant": row ? row.id : null });
  }

  focus() {
    this.list.focus({ preventScroll: true });
  }

  // --------------------------------------------------------------------------------------------- what is shown

  /** Take the newest answers of an update; those of a search are asked for. */
  async take(update) {
    const query = this.state.query();
    this.told = update.told;
    this.update = update;
    this.showReach();
    if (!query) {
      const oldest = update.decisions.length ? update.decisions[update.decisions.length - 1].number : 0;
      const newest = this.current && this.query === "" ? (this.current[0] || { number: 0 }).number : 0;
      const joined = newest && oldest <= newest + 1 ? [...update.decisions, ...this.current.filter((s) => s.number < oldest)] : update.decisions;
      this.offer(query, joined.slice(0, SHOWN), null);
    } else if (this.query !== query || this.searched !== update.past.state || (!this.held && update.told !== this.seen)) {
      this.searched = update.past.state;
      await this.search(query);
    } else {
      this.tell();
    }
  }

  /** Search, unless a newer search has begun meanwhile. */
  async search(query) {
    this.asking = query;
    try {
      const found = await ask(`/v1/live/search?limit=${PAGE}&q=${encodeURIComponent(query)}`);
      if (this.asking === query && this.state.query() === query) this.offer(query, found.decisions, found);
    } catch (error) {
      if (wantsKey(error)) throw error;
      this.words.textContent = error.message;
    }
  }

  /** Show these now, or once nobody looks any more. */
  offer(query, decisions, found) {
    const told = this.told;
    const fresh = query !== this.query;
    if (fresh) { this.paged = false; this.keyed = false; this.mark(null); }
    this.current = decisions;
    this.waiting = { query, decisions, found, told };
    if (!this.held || fresh || !this.list.children.length) this.flow(true);
    else this.tell();
  }

  /** Let what waits be seen. */
  flow(anyway = false) {
    if (this.waiting && (anyway || !this.held)) {
      const { query, decisions, found, told } = this.waiting;
      this.waiting = null;
      this.query = query;
      this.seen = told;
      this.draw(decisions, found);
    }
    this.tell();
  }

  draw(decisions, found) {
    const rows = new Map();
    for (const s of decisions) rows.set(s.number, this.rows.get(s.number) || rowOf(s));
    this.rows = rows;
    this.list.replaceChildren(...rows.values());
    const marked = this.at === null ? null : rows.get(this.at);
    if (this.at !== null && !marked) this.mark(null);
    this.found = found;
    this.older.hidden = found ? !found.more : this.update.kept <= decisions.length;
    this.say(decisions, found);
  }

  say(decisions, found) {
    this.list.parentElement.hidden = !decisions.length;
    this.empty.hidden = decisions.length > 0;
    const reading = this.update && this.update.past.state === "reading";
    const nothing = reading ? "The journal is being read …" : "Nothing has been decided yet.";
    if (found && !decisions.length) {
      const since = found.oldest ? ` since ${when(found.oldest)}` : "";
      this.empty.replaceChildren(found.searched ? `Nothing fits among the newest ${count(found.searched)} answers${since}. ` : `${nothing} `, button("Show all", () => this.state.clear()));
    } else {
      this.empty.textContent = reading ? nothing : `${nothing} Send an event to /v1/decide, and it appears here.`;
    }
  }

  /** Say what is shown and whether it keeps still. */
  tell() {
    const behind = this.told && this.seen ? this.told - this.seen : 0;
    const still = this.held && this.seen;
    const found = this.found;
    const looked = found && found.decisions.length ? `${count(this.list.children.length)}${found.more ? "+" : ""} found` : "";
    const words = !still ? looked : this.state.paused ? "Paused" : "Held while you look";
    if (this.words.textContent !== words) this.words.textContent = words;
    const newer = still && behind && !this.state.paused ? (this.query ? "Show the newest" : `Show ${count(behind)} newer`) : "";
    const press = this.press.firstChild;
    if (newer && press) press.textContent = newer;
    else this.press.replaceChildren(...(newer ? [button(newer, () => this.release(), "newer")] : []));
    this.showReach();
  }

  /** Say how far back the list and a search look. */
  showReach() {
    const { kept, oldest, past } = this.update || {};
    const back = kept ? `${this.query ? "among the" : ""} newest ${count(kept)}, back to ${when(oldest)}` : "";
    const unread = past && past.state === "failed" ? "the journal was not read" : "";
    const words = past && past.state === "reading" ? "reading the journal …" : [back.trim(), unread].filter(Boolean).join("; ");
    if (this.reach.textContent !== words) this.reach.textContent = words;
    this.reach.title = unread ? past.problem : kept ? "Older ones are in the journal: a link to one still opens it" : "";
  }

  async release() {
    this.paged = false;
    this.keyed = false;
    this.hovered = false;
    this.open(null);
    if (this.query) await this.guard(this.search(this.query)).catch(() => {});
    this.flow(true);
    scrollTo({ top: Math.min(scrollY, this.list.getBoundingClientRect().top + scrollY - 120), behavior: "instant" });
  }

  async more() {
    const rows = [...this.list.children];
    const last = rows[rows.length - 1];
    const query = this.query || "";
    this.paged = true;
    const before = this.found && this.found.before ? this.found.before : last.summary.number;
    const found = await this.guard(ask(`/v1/live/search?limit=${PAGE}&before=${before}&q=${encodeURIComponent(query)}`)).catch((error) => { this.words.textContent = error.message; });
    if (!found || query !== (this.query || "")) return;
    const known = rows.map((row) => row.summary);
    this.draw([...known, ...found.decisions.filter((s) => !this.rows.has(s.number))], found);
    this.tell();
  }
}
