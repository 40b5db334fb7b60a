// The bundle and the service: what decides now, what the last reload came to, how journal and outbox are.

import { ago, bytes, count, data, make, moment, prose, set, took, visible } from "/live/live_dom.js";

/** What somebody should look at, a sentence each. */
export function troubles(said) {
  const service = said.service || {};
  const { last, pinned } = service.reload || {};
  const found = (service.warnings || []).filter((w) => !w.startsWith("the policies as they are now were refused"));
  if (last && last.result === "refused") {
    const n = last.errors || (last.findings || []).length;
    const [first] = last.findings || [];
    const where = first && first.file ? `, the first in \`${first.file}${first.line ? `:${first.line}` : ""}\`` : "";
    found.unshift(`the policies as they are now were refused (${count(n)} ${n === 1 ? "error" : "errors"}${n === 1 ? where.replace(", the first", "") : where}): an earlier version decides`);
  }
  if (pinned) found.push(`version ${pinned.number} was put back by hand: the folder is not used until it changes`);
  const dead = Object.values((service.outbox || {}).sinks || {}).reduce((n, sink) => n + (sink.dead || 0), 0);
  if (dead) found.push(`${count(dead)} ${dead === 1 ? "message is a dead letter: it was" : "messages are dead letters: they were"} not delivered`);
  return found;
}

const none = (words = "–") => make("span", "none", words);
const sentence = (words) => prose(words.charAt(0).toUpperCase() + words.slice(1));

function card(title, ...inside) {
  const filled = inside.flat(Infinity).filter(Boolean);
  return filled.length ? make("section", "card", make("h3", "", title), filled) : "";
}

/** What is known, a row each; what is not there is left out. */
function pairs(rows) {
  const kept = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return kept.length ? make("dl", "pairs", kept.map(([key, value, style]) => [make("dt", "", key), make("dd", style || "", value)])) : "";
}

const wrong = (words) => [words ? sentence(words) : "", "wrong"];
const since = (micros, wall) => (micros ? [moment(micros), make("small", "", ` ${ago(micros, wall)}`)] : "");

/** A few names, or how many of what they are, to be opened. */
function several(names, most = 3, what = "") {
  const list = () => make("ul", "", names.map((n) => make("li", "", prose(n))));
  return names.length <= most ? list() : make("details", "", make("summary", "", `${count(names.length)} ${what}`.trim()), list());
}

// --------------------------------------------------------------------------------------------------- bundle

function version(info, reload, wall) {
  if (!info) return "";
  const watching = { told: "changes of the folder are noticed at once", looking: "the folder is looked at now and then", off: "the folder is not watched" }[reload.watching];
  return card("Decides now", make("p", "large", `Version ${count(info.number)}`, make("code", "", visible(info.digest, 40))), make("p", "", "since ", moment(info.at), `, ${ago(info.at, wall)}, by `, make("b", "", data(info.by, 80)), ": ", data(info.why, 200)), (info.changed || []).length ? make("div", "changes", several(info.changed, 8, "changes")) : "", watching ? make("p", "soft", sentence(watching)) : "");
}

function finding(f) {
  return make("li", "", make("code", "place", `${visible(f.file, 200)}${f.line ? `:${f.line}` : ""}`), " ", prose(f.message), f.code ? make("small", "", ` ${visible(f.code)}`) : "", f.hint ? make("p", "hint", prose(f.hint)) : "");
}

function outcome(reload, wall) {
  const { last } = reload;
  if (!last) return reload.busy ? card("Last reload", make("p", "", "One is under way.")) : "";
  const findings = last.findings || [];
  const more = (last.errors || 0) - findings.length;
  const words = { live: last.why === "start" ? "started" : "taken", unchanged: last.why === "start" ? "as before" : "unchanged", refused: "refused", failed: "could not be checked" }[last.result] || last.result;
  const state = last.state || {};
  const lasted = [last.seconds ? `took ${took(last.seconds)}` : "", last.held ? `events were held up ${took(last.held)}` : ""].filter(Boolean).join(", ");
  return card(last.why === "start" ? "The start" : "Last reload",
    make("p", "large", make("span", `badge ${last.result}`, visible(words)), last.version ? make("small", "", `version ${last.version.number}`) : ""),
    make("p", "", moment(last.at), `, ${ago(last.at, wall)}, by `, make("b", "", data(last.by, 80)), ": ", data(last.why, 200), make("small", "", lasted ? ` · ${lasted}` : "")),
    reload.busy ? make("p", "soft", "Another one is under way.") : "",
    findings.length ? make("ol", "findings", findings.map(finding)) : "",
    more > 0 ? make("p", "soft", `${findings.length ? "and " : ""}${count(more)} more`) : "",
    ["kept", "longer", "cold", "dropped"].some((part) => (state[part] || []).length) ? pairs([
      ["state kept", several(state.kept || [])], ["kept, cold in part", (state.longer || []).length ? several(state.longer) : ""],
      ["cold", (state.cold || []).length ? several(state.cold) : ""], ["dropped", (state.dropped || []).length ? several(state.dropped) : ""],
    ]) : "");
}

function history(versions, live, wall) {
  if (!versions.length) return "";
  const rows = [...versions].sort((a, b) => b.number - a.number).slice(0, 50).map((v) => make("tr", live && v.number === live.number ? "current" : "", set(make("th", "n", String(v.number)), { scope: "row" }), make("td", "", moment(v.at), make("small", "", ago(v.at, wall))), make("td", "", data(v.by, 60)), make("td", "", data(v.why, 100)), make("td", "what", (v.changed || []).length ? several(v.changed, 3, "changes") : none())));
  const head = make("tr", "", ["", "When", "By", "Why", "What changed"].map((word) => set(make("th", word ? "" : "n", word), { scope: "col" })));
  const made = card("Versions", make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", rows))));
  made.classList.add("whole");
  return made;
}

// -------------------------------------------------------------------------------------------------- service

function service(said, page) {
  const { began, restart = {} } = said.service;
  const { counted, past = {}, oldest, kept } = page;
  const back = [restart.made ? `${count(restart.made)} decisions made again` : "", restart.snapshot ? `snapshot of ${count(restart.snapshot)}` : "", restart.seconds ? took(restart.seconds) : ""].filter(Boolean).join(", ");
  return card("Service", pairs([
    ["running", began ? since(began, said.wall) : ""], ["came back with", back], ["came out otherwise", ...wrong(restart.differing ? `${count(restart.differing)} decisions` : "")],
    ["this page counts", counted ? [past.state === "reading" ? "reading the journal, so far " : "", since(counted, said.wall)].flat() : ""],
    ["and lists", kept ? [`${count(kept)} answers, back to `, since(oldest, said.wall)].flat() : ""],
    ["of the journal", ...wrong(past.problem)],
    ["waiting for answers", `${count(said.waiting)} ${said.waiting === 1 ? "decision" : "decisions"}`],
  ]));
}

function journal(j) {
  if (!j) return "";
  return card("Journal", pairs([
    ["holds", `${count(j.entries)} entries, ${bytes(j.bytes)} in ${count(j.segments)} ${j.segments === 1 ? "segment" : "segments"}`],
    ["numbers", j.entries ? `${count(j.first)} to ${count(j.last)}` : ""],
    ["not written", ...wrong(j.unwritten ? bytes(j.unwritten) : "")], ["not on disk yet", j.unsynced ? bytes(j.unsynced) : ""],
    ["problem", ...wrong(j.problem)], ["trouble", ...wrong(j.trouble)],
  ]));
}

const SINK = [["waiting", "Waiting"], ["under_way", "Under way"], ["delivered", "Delivered"], ["failed", "Tries failed"], ["dead", "Dead"]];

function outbox(o, wall) {
  if (!o) return "";
  const sinks = Object.entries(o.sinks || {});
  const head = make("tr", "", set(make("th", "", "Sink"), { scope: "col" }), SINK.map(([, word]) => set(make("th", "n", word), { scope: "col" })));
  const rows = sinks.map(([name, sink]) => {
    const trouble = sink.configured === false ? "is not set up" : sink.trouble;
    const oldest = sink.oldest ? `the oldest waits since ${ago(sink.oldest, wall).replace(" ago", "")}` : "";
    return make("tr", "", set(make("th", "", data(name, 60), trouble ? make("small", "wrong", prose(trouble)) : "", oldest ? make("small", "", oldest) : ""), { scope: "row" }), SINK.map(([key]) => make("td", key === "dead" && sink.dead ? "n wrong" : "n", count(sink[key] || 0))));
  });
  return card("Outbox", sinks.length ? make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", rows))) : none("No rule sends anything."), pairs([["problem", ...wrong(o.problem)], ["dead letters let go", ...wrong(o.dropped ? count(o.dropped) : "")]]));
}

function snapshots(s, wall) {
  if (!s) return "";
  return card("Snapshots", pairs([
    ["newest", s.number ? [`up to ${count(s.number)}`, s.wall ? [", ", since(s.wall, wall)] : ""].flat(2) : none("none yet")], ["size", s.last && s.last.bytes ? bytes(s.last.bytes) : ""],
    ["decisions made again", s.made ? count(s.made) : ""], ["came out otherwise", ...wrong(s.differing ? count(s.differing) : "")], ["problem", ...wrong(s.problem)],
  ]));
}

function filling(f) {
  if (!f || !(f.busy || f.problem || (f.counters || []).length)) return "";
  return card("Filling of new counters", pairs([["now", f.busy ? "under way" : "done"], ["last", (f.counters || []).length ? several(f.counters) : ""], ["events held up", f.held ? took(f.held) : ""], ["problem", ...wrong(f.problem)]]));
}

export class StatusView {
  constructor(host) {
    this.host = host;
    host.append(make("p", "empty", "Asking …"));
  }

  /** Show what was said, unless nothing changed or somebody reads in it what was opened or marked. */
  take(said, page) {
    const known = JSON.stringify([said.service, said.versions.length, said.waiting, Math.floor(said.wall / 10_000_000)]);
    const reading = this.host.querySelector("details[open]") || this.host.contains(document.activeElement) || (getSelection().toString() && this.host.contains(getSelection().anchorNode));
    if (known === this.known || reading) return;
    this.known = known;
    const told = said.service || {};
    const reload = told.reload || {};
    const found = troubles(said);
    const alarms = found.length ? card("To look at", make("ul", "", found.map((words) => make("li", "", sentence(words))))) : "";
    if (alarms) alarms.classList.add("whole", "troubles");
    const cards = [alarms, outcome(reload, said.wall), version(reload.live || said.versions[said.versions.length - 1], reload, said.wall), outbox(told.outbox, said.wall), service(said, page), journal(told.journal), snapshots(told.snapshots, said.wall), filling(told.filling), history(said.versions, reload.live, said.wall)];
    this.host.replaceChildren(make("div", "cards", cards.filter(Boolean)));
  }
}
