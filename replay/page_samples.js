// Events to look at, and the trees of their explanations.

const text = (place) => data.texts[place || 0];
const chip = (verdict) => make("span", `chip ${data.styles[verdict] || "v-none"}`, verdict);
const OUTCOMES = { fired: "fired", shadow: "would have fired", held: "held back", missing: "missing", "not matched": "did not match" };
const MARKS = ["", "✓", "✗", "?"];
const STATES = ["value", "true", "false", "missing"];
const rank = (verdict) => data.ladder.indexOf(verdict);

function sampleCard(sample) {
  const verdict = sample.b === undefined
    ? chip(sample.v)
    : make("span", "", chip(sample.b), sample.b === sample.v ? "" : make("span", "arrow", "→"), sample.b === sample.v ? "" : chip(sample.v));
  const label = sample.l === undefined ? null : make("span", "badge", sample.l ? "labelled abuse" : "labelled fine");
  const about = [sample.e, sample.w, sample.i && `id ${sample.i}`].filter(Boolean).join(" · ");
  const said = make("div", "said", make("p", "", make("bdi", "", sample.m || sample.r.join(", ") || "no rule fired")), sample.q ? make("p", "quoted", make("bdi", "", `“${sample.q}”`)) : null, make("p", "about", make("bdi", "", about)), (sample.k || []).map((near) => make("p", "about", "nearest: ", make("bdi", "", near))));
  const card = make("details", "sample", make("summary", "", make("span", "", verdict, label ? make("div", "label", label) : null), said, make("span", "when", sample.t)));
  card.addEventListener("toggle", () => {
    if (card.open && !one(".inside", card)) card.append(sampleInside(sample));
  });
  return card;
}

function sampleInside(sample) {
  const inside = make("div", "inside");
  if (sample.x && sample.o) {
    inside.append(make("div", "two", side("Before", sample.b, sample.o, sample.x), side("After", sample.v, sample.x, sample.o)), fields(sample.x, false));
  } else if (sample.x) {
    inside.append(make("div", "two", make("div", "", results(sample.x, null)), make("div", "", fields(sample.x, true))));
  } else {
    inside.append(make("p", "none", "The explanation is left out to keep this page small; the command below shows it."));
  }
  inside.append(make("h4", "", "All of it, in a terminal"), make("code", "command", sample.c), make("p", "about", `${sample.p} · event ${sample.n.toLocaleString("en")} of the replay`));
  return inside;
}

const side = (title, verdict, explained, other) => make("div", "", make("h4", "", `${title}: `, chip(verdict)), results(explained, other));

function results(explained, other) {
  const now = (r) => r.k ?? r.n; // what a rule that was renamed is called now
  const outcome = (e, rule) => (e.r.find((r) => now(r) === now(rule)) || {}).s;
  const made = explained.r.map((r) => result(r, other && outcome(other, r) !== r.s));
  for (const r of other ? other.r : []) {
    if (outcome(explained, r) === undefined) made.push(make("div", "result lone", make("header", "", make("b", "", text(r.n)), make("small", "", "is not among these policies"))));
  }
  if (!made.length) made.push(make("p", "none", "No rule matched."));
  if (explained.w) made.push(make("ul", "came", explained.w.map((w) => make("li", "", make("bdi", "", text(w))))));
  if (explained.c) made.push(make("p", "none", make("small", "", `${explained.c} other rules did not match`)));
  if (explained.v && explained.v.length) made.push(values(explained.v));
  return made;
}

function result(rule, lone) {
  const made = make("div", `result ${rule.s.replace(" ", "-")}${lone ? " lone" : ""}`);
  made.append(make("header", "", make("b", "", text(rule.n)), make("span", `badge ${rule.s.replace(" ", "-")}`, OUTCOMES[rule.s]), lone ? make("small", "", "differs") : ""));
  if (rule.b) made.append(make("p", "", make("bdi", "", text(rule.b))));
  if (rule.h) made.append(make("p", "", `held back by ${text(rule.h)}`));
  else if (rule.o) made.append(make("p", "", make("small", "", `rollout: ${text(rule.o)}`)));
  const [, , code = 0, , parts = []] = rule.t;
  const joined = parts.length && code < 10 && / (and|or) /.test(text(rule.t[0]));
  made.append(make("ul", "tree", joined && / and /.test(text(rule.t[0])) ? parts.map(branch) : branch(rule.t)));
  for (const [what, done, why] of rule.e || []) {
    made.append(make("p", done ? "" : "none", "→ ", make("code", "", text(what)), done ? "" : ` not done${why ? `: ${text(why)}` : ""}`));
  }
  return made;
}

/** A part of a condition: `[text, shown, state and role, note, parts, points]`. */
function branch([what, shown, code = 0, note, parts = [], points = 0]) {
  const state = code % 10;
  const role = Math.floor(code / 10);
  const skipped = role === 2;
  const told = [make("code", "", text(what))];
  if (points) told.unshift(make("b", "", `${state === 1 ? (points > 0 ? "+" : "−") + Math.abs(points) : "0"} `));
  if (!state && !skipped) told.push(" = ", make("b", "", make("bdi", "", text(shown))));
  if (skipped) told.push(make("em", "", " not needed"));
  if (note && !skipped) told.push(make("em", "", "  ", make("bdi", "", text(note))));
  if (role === 1) told.push(make("span", "why", "  ← decided"));
  const line = make("div", "line", make("span", "mark", skipped ? "·" : MARKS[state]), make("span", "", told));
  return make("li", skipped ? "skip" : STATES[state], line, parts.length ? make("ul", "", parts.map(branch)) : null);
}

function fields(explained, open) {
  const list = make("dl", "fields", explained.f.map(([name, shown, why]) => [
    make("dt", "", text(name)), make("dd", text(shown) === "missing" ? "none" : "", make("bdi", "", text(shown)), why ? make("small", "", ` ${text(why)}`) : ""),
  ]).flat());
  const made = make("details", "more", make("summary", "", "The event"), list);
  made.open = open;
  return made;
}

function values(held) {
  const list = make("dl", "fields", held.map(([name, shown, what]) => [
    make("dt", "", text(name)), make("dd", "", make("b", "", make("bdi", "", text(shown))), make("small", "", `  ${text(what)}`)),
  ]).flat());
  return make("details", "more", make("summary", "", "What the names stand for"), list);
}

// --------------------------------------------------------------------------------------------- the whole list

const STEP = 25;
const host = one("#sample-list");
const select = (title, options) => {
  const made = make("select", "", options.map(([value, name]) => {
    const option = make("option", "", name);
    option.value = value;
    return option;
  }));
  made.setAttribute("aria-label", title);
  return made;
};

function sampleList() {
  if (!data.samples.length) return;
  const compared = data.samples.some((s) => s.b !== undefined);
  const words = make("input", "");
  words.type = "search";
  words.placeholder = "Filter by text, entity, id or rule";
  words.setAttribute("aria-label", "Filter events");
  const named = (key) => [...new Set(data.samples.flatMap((s) => s[key]))].sort();
  const verdict = select("Verdict", [["", "every verdict"], ...data.ladder.filter((v) => data.samples.some((s) => s.v === v)).map((v) => [v, v])]);
  const rule = select("Rule", [["", "every rule"], ...named("r").map((r) => [r, r])]);
  const label = select("Label", [["", "every label"], ["true", "labelled abuse"], ["false", "labelled fine"], ["undefined", "no label"]]);
  const way = select("Change", [["", "every change"], ["1", "decided harsher"], ["-1", "decided milder"], ["0", "same verdict"]]);
  const pickers = [verdict, rule];
  if (data.samples.some((s) => s.l !== undefined)) pickers.push(label);
  if (compared) pickers.unshift(way);
  const list = make("div");
  const told = make("p", "about");
  const more = button("Show more", () => { shown += STEP; draw(); });
  more.className = "all";
  let shown = STEP;
  function fits(s) {
    const wanted = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const has = [s.m, s.q, s.w, s.i, s.e, s.v, s.p, ...s.r].join(" ").toLowerCase();
    return wanted.every((w) => has.includes(w)) && (!verdict.value || s.v === verdict.value) && (!rule.value || s.r.includes(rule.value))
      && (!label.value || String(s.l) === label.value) && (!way.value || String(Math.sign(rank(s.v) - rank(s.b))) === way.value);
  }
  function draw() {
    const found = data.samples.filter(fits);
    list.replaceChildren(...found.slice(0, shown).map(sampleCard));
    const left = data.left_out ? `; ${data.left_out.toLocaleString("en")} more were left out to keep this page small` : "";
    told.textContent = `${found.length.toLocaleString("en")} of ${data.samples.length.toLocaleString("en")} sampled events${left}`;
    more.classList.toggle("hidden", found.length <= shown);
  }
  for (const control of [words, ...pickers]) {
    control.addEventListener("input", () => { shown = STEP; draw(); });
  }
  host.append(make("div", "filters", words, pickers), told, list, more);
  draw();
}
sampleList();
if (data.missed) one("#missed-list")?.append(...data.missed.map((place) => sampleCard(data.samples[place])));
