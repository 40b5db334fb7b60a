// The bundle and the service: what decides now, what the last reload came to, and how journal and outbox are.

import { ago, bytes, count, data, iso, make, moment, prose, set, visible, when } from "/live/live_dom.js";

const TITLES = { reload: "Last reload", history: "Versions", version: "This version" };
const KNOWN = new Set(["version", "reload", "history", "pinned", "problems"]);

/** What somebody should look at, the gravest first, each as `[words, tab]`. */
export function troubles(status) {
  const found = [];
  if (status.reload && status.reload.result === "refused") {
    const n = status.reload.errors || (status.reload.findings || []).length;
    found.push(`The last reload was refused${n ? `: ${count(n)} ${n === 1 ? "error" : "errors"}` : ""}. The version before goes on deciding.`);
  }
  if (status.pinned) found.push(`Version ${status.pinned} was put back by hand; the folder is not used until it changes.`);
  for (const [name, part] of Object.entries(status)) {
    if (!part || typeof part !== "object" || KNOWN.has(name)) continue;
    for (const [words, at] of [[part.problem, ""], ...Object.entries(part).filter(([, v]) => v && typeof v === "object").map(([k, v]) => [v.problem, ` ${k}`])]) {
      if (typeof words === "string" && words) found.push(`${title(name)}${at}: ${words}`);
    }
  }
  const dead = Object.values(status.outbox || {}).reduce((n, sink) => n + (sink && sink.dead > 0 ? sink.dead : 0), 0);
  if (dead) found.push(`${count(dead)} ${dead === 1 ? "message" : "messages"} could not be delivered and wait in the outbox as dead letters.`);
  return found.map((words) => visible(words, 300));
}

const title = (name) => TITLES[name] || name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

const TIMES = /^(at|started|oldest|newest_at|wall|since|until)$/;

function value(key, said, wall) {
  if (said === null || said === undefined || said === "") return make("span", "none", "–");
  if (typeof said === "boolean") return said ? "yes" : "no";
  if (typeof said === "number") {
    if (TIMES.test(key) && said > 1e14) return [moment(said), make("small", "", ` ${ago(said, wall)}`)];
    if (/bytes/.test(key)) return bytes(said);
    return Number.isInteger(said) ? count(said) : said.toLocaleString("en", { maximumFractionDigits: 4 });
  }
  if (Array.isArray(said)) return said.length && typeof said[0] === "object" ? `${count(said.length)}` : said.map((x) => visible(x)).join(", ") || make("span", "none", "none");
  return data(said, 400);
}

const words = (key) => visible(key, 60).replaceAll("_", " ");

function card(name, ...inside) {
  return make("section", "card", make("h3", "", name), inside);
}

function pairs(part, wall) {
  const rows = Object.entries(part).filter(([, said]) => said === null || typeof said !== "object" || Array.isArray(said));
  return rows.length ? make("dl", "pairs", rows.map(([key, said]) => [make("dt", "", words(key)), make("dd", key === "problem" && said ? "wrong" : "", value(key, said, wall))])) : "";
}

/** Several things of one kind, such as sinks, as a table with a row each. */
function table(parts, wall, first = "") {
  const columns = [...new Set(parts.flatMap(([, part]) => Object.keys(part)))].filter((c) => c !== "problem" || parts.some(([, p]) => p.problem));
  const head = make("tr", "", set(make("th", "", first), { scope: "col" }), columns.map((c) => set(make("th", "n", words(c)), { scope: "col" })));
  const rows = parts.map(([name, part]) => make("tr", "", set(make("th", "", data(name, 60)), { scope: "row" }), columns.map((c) => make("td", c === "dead" && part[c] > 0 ? "n wrong" : "n", value(c, part[c], wall)))));
  return make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", rows)));
}

const isTable = (part) => Object.values(part).length > 0 && Object.values(part).every((v) => v && typeof v === "object" && !Array.isArray(v));

function any(name, part, wall) {
  if (isTable(part)) return card(title(name), table(Object.entries(part), wall));
  const inner = Object.entries(part).filter(([, v]) => v && typeof v === "object" && !Array.isArray(v));
  return card(title(name), pairs(part, wall), inner.map(([key, v]) => [make("h4", "", words(key)), isTable(v) ? table(Object.entries(v), wall) : pairs(v, wall)]));
}

function version(info, wall) {
  return [
    make("p", "large", `Version ${count(info.number)}`, make("code", "", visible(info.digest, 40))),
    make("p", "", "since ", moment(info.at), ` (${ago(info.at, wall)}), by `, make("b", "", data(info.by, 80)), ": ", data(info.why, 200)),
    changes(info),
  ];
}

const changes = (info) => ((info.changed || []).length ? make("ul", "changes", info.changed.map((line) => make("li", "", prose(line)))) : make("p", "none", "Nothing is known to have changed in it."));

function finding(f) {
  return make("li", "", make("code", "place", `${visible(f.file, 200)}${f.line ? `:${f.line}` : ""}`), " ", prose(f.message), f.code ? make("small", "", ` ${visible(f.code)}`) : "", f.hint ? make("p", "hint", prose(f.hint)) : "");
}

function reload(outcome, wall) {
  const said = { live: "taken", unchanged: "unchanged", refused: "refused" }[outcome.result] || outcome.result;
  const findings = outcome.findings || [];
  const more = (outcome.errors || 0) - findings.length;
  const state = outcome.state || {};
  const kept = ["kept", "longer", "cold", "dropped"].filter((part) => (state[part] || []).length);
  return [
    make("p", "large", make("span", `badge ${outcome.result}`, said)),
    make("p", "", moment(outcome.at), ` (${ago(outcome.at, wall)}), by `, make("b", "", data(outcome.by, 80)), ": ", data(outcome.why, 200), outcome.seconds ? make("small", "", ` · took ${outcome.seconds.toFixed(2)} s${outcome.held ? `, decisions were held up ${(outcome.held * 1000).toFixed(1)} ms` : ""}`) : ""),
    findings.length ? make("ol", "findings", findings.map(finding)) : "",
    more > 0 && findings.length ? make("p", "soft", `and ${count(more)} more`) : "",
    kept.length ? make("dl", "pairs", kept.map((part) => [make("dt", "", part === "longer" ? "kept, cold in part" : part), make("dd", "", details(state[part]))])) : "",
  ];
}

const details = (names) => (names.length > 4 ? make("details", "", make("summary", "", count(names.length)), make("ul", "", names.map((n) => make("li", "", data(n))))) : names.map((n) => make("div", "", data(n))));

function history(versions, live, wall) {
  const newest = [...versions].sort((a, b) => b.number - a.number).slice(0, 50);
  const rows = newest.map((v) => make("tr", live && v.number === live.number ? "current" : "", set(make("th", "n", `${v.number}`), { scope: "row" }), make("td", "", moment(v.at), make("small", "", ago(v.at, wall))), make("td", "", data(v.by, 60)), make("td", "", data(v.why, 100)), make("td", "what", (v.changed || []).length ? details(v.changed) : make("span", "none", "–"))));
  const head = make("tr", "", ["", "When", "By", "Why", "What changed"].map((word) => set(make("th", word ? "" : "n", word), { scope: "col" })));
  return make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", rows)));
}

export class StatusView {
  constructor(host) {
    this.host = host;
    this.empty = make("p", "empty", "Asking …");
    host.append(this.empty);
  }

  take(status, wall) {
    const said = JSON.stringify(status) + Math.floor(wall / 5_000_000);
    if (said === this.said || this.host.contains(document.activeElement) || getSelection().toString()) return;
    this.said = said;
    const open = this.host.querySelectorAll("details[open]").length;
    if (open) return;
    const found = troubles(status);
    const cards = [
      found.length ? make("section", "card whole troubles", make("h3", "", "To look at"), make("ul", "", found.map((words) => make("li", "", words)))) : "",
      status.reload ? card("Last reload", reload(status.reload, wall)) : "",
      status.version ? card("Decides now", version(status.version, wall)) : "",
      this.plain(status, wall),
      Object.entries(status).filter(([name, part]) => part && typeof part === "object" && !Array.isArray(part) && !KNOWN.has(name)).map(([name, part]) => any(name, part, wall)),
      (status.history || []).length ? make("section", "card whole", make("h3", "", "Versions"), history(status.history, status.version, wall)) : "",
    ].flat(2).filter(Boolean);
    this.host.replaceChildren(make("div", "cards", cards));
  }

  /** What is said of the service as a whole. */
  plain(status, wall) {
    const rest = Object.fromEntries(Object.entries(status).filter(([name, v]) => !KNOWN.has(name) && (v === null || typeof v !== "object")));
    return Object.keys(rest).length ? card("Service", pairs(rest, wall)) : "";
  }
}
