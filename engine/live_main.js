// The page as a whole: asks again and again, hands on what came, and keeps what is looked at in its address.

import { ask, askForKey, wantsKey } from "/live/live_ask.js";
import { Chart } from "/live/live_chart.js";
import { Counts, RANGES, total } from "/live/live_counts.js";
import { DetailView } from "/live/live_detail.js";
import { all, brief, button, chip, clock, colour, count, make, one, perSecond, prose, quoted, root, set, share, took, visible, when } from "/live/live_dom.js";
import { List, refOf } from "/live/live_list.js";
import { RuleTable } from "/live/live_rules.js";
import { StatusView, troubles } from "/live/live_status.js";

const TICK = 1000;
const SLOWER = { rules: 2, bundle: 5 };
const TOP_RULES = 7;
const TABS = ["decisions", "rules", "bundle"];

const state = {
  paused: false, opened: false, range: "10m", which: "fired", tab: "decisions", only: "", text: "",
  query: () => [state.only, state.text].filter(Boolean).join(" "),
  clear: () => go({ text: "", only: "" }),
};
const counts = new Counts();
let ladder = [];
let former = [];
let since = 0;
let failures = 0;
let status = null;
let updated = 0;

const kept = {
  get: (name) => { try { return localStorage.getItem(`quell-${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`quell-${name}`, value); } catch { /* not kept then */ } },
};

// ------------------------------------------------------------------------------------------- light and dark

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = one("#theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
function showTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  set(theme, { "aria-label": `Switch to ${isDark() ? "light" : "dark"} colours` });
}
if (["light", "dark"].includes(kept.get("theme"))) root.dataset.theme = kept.get("theme");
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  kept.set("theme", root.dataset.theme);
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

// ------------------------------------------------------------------------------------------------ the parts

const guard = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    if (wantsKey(error)) askForKey(error).then(tick);
    throw error;
  }
};
const look = (query) => { go({ text: query, only: "", tab: "decisions", opened: narrow() ? null : undefined }); list.focus(); };
const narrow = () => innerWidth < 900;
const detail = new DetailView(one("#detail"), { look, rule: (name) => { go({ tab: "rules", opened: narrow() ? null : undefined }); showRule(name); }, close: () => close(), leave: () => list.focus(), guard });
const list = new List(one("#panel-decisions"), state, { open: (summary) => (summary ? go({ opened: refOf(summary) }) : close()), enter: () => detail.enter(), guard });
const rules = new RuleTable(one("#panel-rules"), { look, counts, opened: () => {} });
const bundle = new StatusView(one("#panel-bundle"));

async function showRule(name) {
  await askRules();
  rules.show(name);
}

const byVerdict = new Chart(one("#by-verdict"), { title: "By verdict", unit: "decisions", none: "No decision in this time" });
const byRule = new Chart(one("#by-rule"), { title: "By rule", unit: "firings", none: "No rule fired in this time" });

function choice(name, options, get, act) {
  const group = set(make("div", "choice"), { role: "group", "aria-label": name });
  const show = () => all("button", group).forEach((b) => set(b, { "aria-pressed": String(b.textContent === get()) }));
  group.append(...options.map((option) => button(option, () => { act(option); show(); })));
  show();
  return group;
}
if (RANGES[kept.get("range")]) state.range = kept.get("range");
byVerdict.tools.append(choice("Span of time", Object.keys(RANGES), () => state.range, (range) => { state.range = range; kept.set("range", range); pictures(); }), byVerdict.table);
byRule.tools.append(choice("Which firings", ["live", "shadow"], () => (state.which === "fired" ? "live" : "shadow"), (which) => { state.which = which === "live" ? "fired" : "shadow"; pictures(); }), byRule.table);

/** Verdicts among some that the policies do not have, or no longer, as grave as they were. */
function strange(verdicts) {
  const known = new Map(former.map((r) => [r.verdict, r.level]));
  return [...verdicts].filter((v) => !ladder.some((r) => r.verdict === v)).map((verdict) => ({ verdict, level: known.get(verdict) ?? -1 })).sort((a, b) => a.level - b.level);
}

/** The gravest verdict stands at the bottom, where its height can be read. */
function pictures() {
  if (!updated) return;
  const model = (bars, series) => ({ starts: bars.starts, bar: bars.bar, per: RANGES[state.range].per, series, last: bars.last, since: reading ? 0 : counts.counted / 1e6 });
  const reading = counts.past.state === "reading";
  byVerdict.none = reading ? "The journal is being read …" : "No decision in this time";
  const none = (bars) => bars.starts.map(() => 0);
  const verdicts = { ...counts.bars("verdicts", state.range), last: counts.wall / 1e6 };
  const rungs = [...ladder, ...strange(verdicts.series.keys())];
  const others = counts.bars("others", state.range).series;
  const series = rungs.map((r) => ({ name: r.verdict, style: colour(r.level), counts: verdicts.series.get(r.verdict) || none(verdicts) })).reverse();
  if (others.has("refused")) series.push({ name: "refused", style: "v-none", counts: others.get("refused") });
  byVerdict.show(model(verdicts, series));
  const fired = { ...counts.bars(state.which, state.range), last: verdicts.last };
  byRule.none = reading ? byVerdict.none : state.which === "fired" ? "No rule fired in this time" : "No rule in shadow would have fired in this time";
  byRule.show(model(fired, topRules(fired)));
}

// A rule keeps its colour for as long as it is among the first.
const colours = new Map();
function topRules(bars) {
  const sums = [...bars.series].map(([name, n]) => [name, n.reduce((a, b) => a + b, 0)]).filter(([, n]) => n).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const top = sums.slice(0, TOP_RULES).map(([name]) => name);
  for (const name of [...colours.keys()]) if (!top.includes(name)) colours.delete(name);
  for (const name of top) {
    const free = Array.from({ length: TOP_RULES }, (_, i) => i).find((i) => ![...colours.values()].includes(i));
    if (!colours.has(name)) colours.set(name, free);
  }
  const series = top.map((name) => ({ name, style: `r-${colours.get(name)}`, counts: bars.series.get(name) }));
  const rest = sums.slice(TOP_RULES).map(([name]) => bars.series.get(name));
  if (rest.length) series.push({ name: `${rest.length} other ${rest.length === 1 ? "rule" : "rules"}`, style: "r-rest", counts: bars.starts.map((_, i) => rest.reduce((sum, n) => sum + n[i], 0)) });
  return series;
}

// -------------------------------------------------------------------------------------------------- figures

function figures(update) {
  const grave = new Set([...ladder, ...former].filter((r) => r.level > 0).map((r) => r.verdict));
  const acted = (sums) => total(new Map([...sums].filter(([verdict]) => grave.has(verdict))));
  const [minute, hour] = [counts.recent("verdicts", "seconds", 60), counts.recent("verdicts", "minutes", 60)];
  const refused = counts.recent("others", "seconds", 60).get("refused") || 0;
  const ten = total(counts.recent("verdicts", "seconds", 10, 1));
  const ever = Object.values(update.totals.verdicts).reduce((a, b) => a + b, 0);
  const kinds = Object.entries(update.totals.refused).sort((a, b) => b[1] - a[1]);
  const latency = update.latency;
  const rows = [
    ["Decisions a second", perSecond(ten / 10), `${brief(total(minute))} in the last minute`],
    ["Last hour", brief(total(hour)), update.past.state === "reading" ? "reading the journal …" : `${brief(ever)} since ${when(update.counted, update.wall)}`],
    total(minute) ? ["Acted on", share(acted(minute), total(minute)), `of the last minute, ${share(acted(hour), total(hour))} of the hour`] : ["Acted on", share(acted(hour), total(hour)), "of the last hour"],
    ["Median time", latency ? took(latency.p50) : "–", latency ? `99% within ${took(latency.p99)}` : "no decision since the start"],
    ["Refused", brief(refused), refused && kinds.length ? `last minute, mostly ${visible(kinds[0][0], 24)}` : "in the last minute"],
  ];
  const host = one("#figures");
  if (!host.children.length) host.append(...rows.map(([name]) => make("div", "", make("dt", "", name), make("dd"), make("dd", "sub"))));
  rows.forEach(([, large, small], i) => {
    const [, first, second] = host.children[i].children;
    if (first.textContent !== large) first.textContent = large;
    if (second.textContent !== small) second.textContent = small;
  });
}

/** The filter above the list: everything, what was acted on, one verdict, what was refused, what people did. */
function filters(update) {
  const sums = counts.recent("verdicts", "minutes", 60);
  const others = counts.recent("others", "minutes", 60);
  const rungs = [...ladder, ...strange(sums.keys())].sort((a, b) => b.level - a.level);
  const grave = rungs.filter((r) => r.level > 0).map((r) => r.verdict);
  const wanted = [
    ["", "All", null],
    ...(grave.length ? [[`verdict:${quoted(grave.join(","))}`, "Acted on", total(new Map([...sums].filter(([v]) => grave.includes(v))))]] : []),
    ...rungs.map((r) => [`verdict:${quoted(r.verdict)}`, r, sums.get(r.verdict) || 0]),
    ["is:refused", "refused", others.get("refused") || 0], ["is:hand", "by hand", others.get("by hand") || 0],
  ];
  const host = list.filters;
  const names = wanted.map(([only]) => only).join("\n");
  if (host.names !== names) {
    host.names = names;
    host.replaceChildren(...wanted.map(([only, word]) => {
      const press = button("", () => go({ only }));
      press.append(typeof word === "string" ? word : chip(word.verdict, word.level), make("small", ""));
      press.only = only;
      return press;
    }));
  }
  wanted.forEach(([only, , n], i) => {
    const press = host.children[i];
    press.lastChild.textContent = n === null ? "" : brief(n);
    press.title = n === null ? "" : `${count(n)} in the last hour${only === "is:refused" ? ", since the server started" : ""}`;
  });
  pressed();
}

const pressed = () => [...list.filters.children].forEach((press) => set(press, { "aria-pressed": String(press.only === state.only) }));

// --------------------------------------------------------------------------------------------------- asking

let timer = 0;
let ticks = 0;
let asking = false;

async function tick() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    if (!state.paused && !document.hidden) await askAll();
    if (failures) detail.again();
    failures = 0;
    say();
  } catch (error) {
    if (wantsKey(error)) {
      say("asks for a key", "off");
      askForKey(error).then(tick);
      asking = false;
      return;
    }
    failures += 1;
    say(updated ? `${error.message} since ${clock(updated * 1000)}` : error.message, "off");
  }
  root.classList.toggle("stale", failures > 0);
  asking = false;
  timer = setTimeout(tick, failures ? Math.min(8_000, TICK * 2 ** failures) : TICK);
}

async function askAll() {
  const update = await ask(`/v1/live?since=${since}`);
  let fresh = update.started !== counts.started;
  if (fresh && since) { since = 0; counts.empty(); counts.started = update.started; list.query = null; return askAll(); }
  fresh ||= update.past.state !== counts.past.state;  // all of it is there only now
  since = update.since;
  ({ ladder, former } = update);
  counts.take(update);
  updated = Date.now();
  one("#bundle").textContent = visible(update.bundle || "", 60);
  document.title = update.bundle ? `${visible(update.bundle, 60)} · Quell` : "Quell";
  figures(update);
  pictures();
  filters(update);
  await list.take(update);
  if (fresh || (state.tab === "rules" && ticks % SLOWER.rules === 0)) await askRules();
  if (fresh || ticks % SLOWER.bundle === 0) await askStatus(update);
  ticks += 1;
}

async function askRules() {
  const said = await guard(ask("/v1/live/rules"));
  rules.take(said);
  suggest(said.rules);
}

async function askStatus(said) {
  status = await ask("/v1/live/status");
  bundle.take(status, said);
  const found = troubles(status);
  const host = one("#alerts");
  const shown = found.slice(0, 1).join("\n") + found.length;
  if (host.said === shown) return;
  host.said = shown;
  host.classList.toggle("grave", found.length > 0 && found[0].startsWith("the policies"));
  host.replaceChildren(...(found.length ? [make("p", "", prose(found[0].charAt(0).toUpperCase() + found[0].slice(1)), ".", found.length > 1 ? ` And ${found.length - 1} more.` : ""), button("Look", () => { go({ tab: "bundle" }); one(".tabs").scrollIntoView({ block: "start" }); one("#tab-bundle").focus({ preventScroll: true }); })] : []));
}

function suggest(known) {
  const words = [...known.map((r) => `rule:${quoted(r.name)}`), ...[...new Set(known.flatMap((r) => r.events))].map((e) => `event:${e}`), ...ladder.map((r) => `verdict:${r.verdict}`), "is:shadow", "is:held", "is:labelled", "is:sent", "is:noted"];
  const host = one("#suggestions");
  if (host.said === words.join("\n")) return;
  host.said = words.join("\n");
  host.replaceChildren(...words.map((word) => { const made = make("option"); made.value = word; return made; }));
}

function say(words, style) {
  const told = words || (state.paused ? "paused" : "live");
  const host = one("#state");
  if (host.textContent !== told) host.textContent = told;
  host.className = `state ${style || (state.paused ? "paused" : "on")}`;
}

// ---------------------------------------------------------------------------------------- the page's address

function read() {
  const said = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (/^[1-9]\d{0,18}$/.test(said.get(name) || "") ? Number(said.get(name)) : 0);
  state.text = (said.get("q") || "").slice(0, 2000);
  state.only = (said.get("only") || "").slice(0, 200);
  state.tab = TABS.includes(said.get("tab")) ? said.get("tab") : "decisions";
  state.ref = number("decision") ? { decision: number("decision") } : number("refusal") ? { refusal: number("refusal") } : null;
  show();
}

/** Look at something else: `text`, `only`, `tab`, or what is opened. */
function go(change) {
  const wasOpen = state.opened;
  const ref = change.opened === undefined ? state.ref : change.opened;
  const next = { q: change.text ?? state.text, only: change.only ?? state.only, tab: change.tab ?? state.tab };
  const said = new URLSearchParams();
  if (next.tab !== "decisions") said.set("tab", next.tab);
  if (next.only) said.set("only", next.only);
  if (next.q) said.set("q", next.q);
  if (ref) said.set(ref.decision ? "decision" : "refusal", ref.decision || ref.refusal);
  const hash = said.toString();
  if (hash === location.hash.slice(1)) return;
  // Going back closes what was opened; from one decision to the next is no step of its own.
  history[ref && !wasOpen ? "pushState" : "replaceState"](null, "", hash ? `#${hash}` : location.pathname);
  read();
}

function show() {
  const before = state.shown;
  if (document.activeElement !== one("#query")) one("#query").value = state.text;
  for (const tab of TABS) {
    set(one(`#tab-${tab}`), { "aria-selected": String(tab === state.tab), tabindex: tab === state.tab ? "0" : "-1" });
    one(`#panel-${tab}`).hidden = tab !== state.tab;
  }
  state.opened = Boolean(state.ref);
  root.classList.toggle("opened", state.opened);
  if (state.ref) guard(detail.show(state.ref)).catch(() => {});
  else detail.hide();
  pressed();
  state.shown = `${state.tab}\n${state.query()}`;
  if (!updated || before === state.shown) return list.flow();
  if (state.tab === "rules") guard(askRules()).catch(() => {});
  if (before.split("\n")[1] !== state.query()) {
    if (state.query()) guard(list.search(state.query())).catch(() => {});
    else tick();
  }
}

function close() {
  if (!state.ref) return;
  go({ opened: null });
  list.focus();
}

addEventListener("popstate", read);
addEventListener("hashchange", read);

// ------------------------------------------------------------------------------------------------- controls

const query = one("#query");
let typing = 0;
query.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ text: query.value.trim(), tab: "decisions" }), 200);
});
one("#search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go({ text: query.value.trim(), tab: "decisions" });
  list.focus();
});

const pause = one("#pause");
pause.addEventListener("click", () => {
  state.paused = !state.paused;
  pause.textContent = state.paused ? "Resume" : "Pause";
  root.classList.toggle("paused", state.paused);
  say();
  if (!state.paused) tick();
  list.flow();
});

for (const tab of TABS) {
  const press = one(`#tab-${tab}`);
  press.addEventListener("click", () => go({ tab }));
  press.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const to = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
    go({ tab: to });
    one(`#tab-${to}`).focus();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || one("#ask-key").open) return;
  const typed = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    if (typed === query && query.value) { query.value = ""; go({ text: "" }); } else if (typed) typed.blur();
    else if (state.opened) close();
  } else if (!typed && event.key === "/") {
    event.preventDefault();
    query.focus();
    query.select();
  } else if (!typed && event.key === "p") pause.click();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
addEventListener("online", tick);
one("#skip").addEventListener("click", () => { go({ tab: "decisions" }); list.focus(); list.list.scrollIntoView({ block: "nearest" }); });

read();
tick();
