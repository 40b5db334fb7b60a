// Elements, texts and numbers. Texts are only ever set as text, with what cannot be seen in them spelt out.

export const root = document.documentElement;
export const one = (query, within = document) => within.querySelector(query);
export const all = (query, within = document) => [...within.querySelectorAll(query)];

/** An element with a class and what stands in it: nodes, texts, lists of these, or nothing. */
export function make(tag, style, ...inside) {
  const made = document.createElement(tag);
  if (style) made.className = style;
  made.append(...inside.flat(Infinity).filter((x) => x !== null && x !== undefined && x !== "" && x !== false));
  return made;
}

/** The same with attributes. */
export function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) made.removeAttribute(name);
    else made.setAttribute(name, value === true ? "" : value);
  }
  return made;
}

export function button(text, act, style = "") {
  const made = make("button", style, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** A part of a picture. */
export function draw(tag, attributes, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  made.append(...inside.flat());
  return made;
}

const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
const spelt = (c) => {
  const code = c.codePointAt(0);
  return SHORT[c] || (code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
};

/** A text from outside: shortened, and nothing in it can turn the writing round or hide. */
export function visible(text, longest = 300) {
  const said = String(text);
  const cut = said.length > longest ? said.slice(0, longest - 1) : said;
  return cut.replace(UNSEEN, spelt) + (said.length > longest ? "…" : "");
}

/** Text of several lines, with what cannot be seen spelt out. */
export const lines = (text) => String(text).split("\n").map((line) => line.replaceAll("\t", "    ").replace(UNSEEN, spelt)).join("\n");

/** A text from outside as an element of its own, which keeps its direction to itself. */
export function data(text, longest) {
  return make("bdi", "", visible(text, longest));
}

/** A name that may go on in the next line after each underscore. */
export function named(name, style = "name") {
  const parts = visible(name, 200).split("_");
  return make("bdi", style, parts.flatMap((part, i) => (i < parts.length - 1 ? [`${part}_`, make("wbr")] : [part])));
}

/** A sentence in which names stand in backticks. */
export function prose(text, longest = 600) {
  const parts = visible(text, longest).split("`");
  return parts.length % 2 ? parts.map((part, i) => (i % 2 ? make("code", "", part) : part)) : [visible(text, longest)];
}

/** A value as a search has it. */
export const quoted = (text) => (/^[^\s"\\]+$/.test(text) ? text : JSON.stringify(text));

// -------------------------------------------------------------------------------------------------- numbers

export const count = (n) => Math.round(n).toLocaleString("en");

/** A count in little room: 12,345 as 12.3 k. */
export function brief(n) {
  if (n < 10_000) return count(n);
  const [by, unit] = n < 1e6 ? [1e3, "k"] : n < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${(n / by).toFixed(n / by < 100 ? 1 : 0)} ${unit}`;
}

export function share(part, whole) {
  if (!whole) return "–";
  const percent = (100 * part) / whole;
  if (part && percent < 0.01) return "<0.01%";
  return part ? `${percent.toFixed(percent >= 10 ? 1 : 2)}%` : "0%";
}

export function perSecond(rate) {
  return rate >= 100 ? count(rate) : rate >= 10 ? rate.toFixed(1) : rate.toFixed(2).replace(/\.?0+$/, "") || "0";
}

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1000; at += 1; }
  return `${at && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
}

export function took(seconds) {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 2 : seconds < 0.1 ? 1 : 0)} ms`;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

// ---------------------------------------------------------------------------------------------------- times

const two = (n) => String(n).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time of the day, of microseconds since 1970, on this computer's clock. */
export function clock(micros, seconds = true) {
  const t = new Date(micros / 1000);
  return `${two(t.getHours())}:${two(t.getMinutes())}${seconds ? `:${two(t.getSeconds())}` : ""}`;
}

export function day(micros) {
  const t = new Date(micros / 1000);
  return `${t.getDate()} ${MONTHS[t.getMonth()]}`;
}

/** When something was: with the day where that was not today. */
export function when(micros, now = Date.now() * 1000) {
  return day(micros) === day(now) ? clock(micros) : `${day(micros)} ${clock(micros, false)}`;
}

/** In UTC, whole. */
export function iso(micros) {
  const t = new Date(micros / 1000);
  return Number.isNaN(t.getTime()) ? String(micros) : t.toISOString();
}

/** How long ago. */
export function ago(micros, now) {
  const s = Math.max(0, (now - micros) / 1e6);
  if (s < 1.5) return "now";
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129_600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} d ago`;
}

/** An element for a moment, whose tip gives it whole in UTC. */
export function moment(micros, text) {
  const made = make("time", "", text ?? when(micros));
  made.dateTime = iso(micros);
  made.title = iso(micros);
  return made;
}

// ------------------------------------------------------------------------------------------------- verdicts

/** The class of a verdict's colour, by its gravity; none where nobody knows how grave it is, or it is no verdict. */
export const colour = (level = 0) => `v-${level >= 0 ? level : "none"}`;

/** A verdict, in the colour of its gravity. */
export function chip(verdict, level, style = "") {
  return make("span", `chip ${colour(level)} ${style}`, visible(verdict, 40));
}
