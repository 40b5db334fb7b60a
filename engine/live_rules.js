// The rules: what each does, how often it fired, who changed it last. Sorted, filtered, and opened to their text.

import { ask } from "/live/live_ask.js";
import { ago, brief, button, chip, count, data, draw, iso, lines, make, named, one, prose, quoted, set, share, visible, when } from "/live/live_dom.js";

const COLUMNS = [
  ["name", "Rule", "", (r) => r.name],
  ["does", "Does", "", (r) => (r.level || 0) * 1000 + (r.does || []).length],
  ["owner", "Owner", "wide", (r) => r.owner || "￿"],
  ["minute", "Last minute", "n", (r) => r.minute],
  ["hour", "Last hour", "n", (r) => r.hour],
  ["rate", "Of its events", "n", (r) => (r.of ? r.hour / r.of : -1)],
  ["total", "In all", "n", (r) => r.total],
  ["last", "Last hit", "n", (r) => r.last || 0],
  ["edited", "Last edit", "n wide", (r) => (r.edited ? r.edited.at : 0)],
];
const TITLES = { rate: "Share of the decisions on its events in the last hour" };

function spark(counts) {
  const top = Math.max(1, ...counts);
  const path = counts.map((n, i) => (n ? `M${i} 20h1V${(20 - (19 * n) / top).toFixed(1)}h-1z` : "")).join("");
  return draw("svg", { class: "spark", viewBox: "0 0 60 20", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("path", { d: path }));
}

function does(r) {
  const others = (r.does || []).filter((d) => d !== r.verdict).map((d) => make("span", "badge", visible(d, 60)));
  return [r.verdict ? chip(r.verdict, r.level ?? 0) : "", others];
}

const modeOf = (r) => {
  if (r.gone) return "gone";
  return r.mode === "live" && r.rollout !== undefined && r.rollout < 1 ? `${+(r.rollout * 100).toFixed(2)}%` : r.mode;
};

function editedOf(rule, wall) {
  if (!rule.edited) return make("span", "none", "–");
  const { version, at, by, change } = rule.edited;
  return change ? [make("span", "", ago(at, wall)), make("small", "", ` · v${version}, `, data(by, 20))] : make("span", "soft", `as in v${version}`);
}

export class RuleTable {
  /** `look` searches, `counts` are those over time. */
  constructor(host, { look, counts, opened }) {
    Object.assign(this, { look, counts, opened });
    this.rows = new Map();
    this.sort = ["hour", -1];
    this.open = new Set();
    this.texts = new Map();
    this.filter = set(make("input"), { type: "search", placeholder: "Filter rules: name, owner, tag, event, mode", "aria-label": "Filter rules", spellcheck: "false", autocomplete: "off" });
    this.filter.addEventListener("input", () => this.draw());
    this.said = set(make("span", "soft"), { role: "status" });
    this.heads = COLUMNS.map(([key, title, style]) => {
      const head = make("th", style, button(title, () => this.by(key)));
      head.scope = "col";
      if (TITLES[key]) head.title = TITLES[key];
      return head;
    });
    this.body = make("tbody");
    const table = make("table", "", make("caption", "unseen", "Rules of the bundle"), make("thead", "", make("tr", "", this.heads)), this.body);
    this.empty = make("p", "empty");
    host.append(make("div", "above", this.filter, this.said), make("div", "scroll", table), this.empty);
  }

  by(key) {
    const down = key === "name" || key === "owner" ? 1 : -1;
    this.sort = [key, this.sort[0] === key ? -this.sort[1] : down];
    this.draw();
  }

  take(said) {
    this.wall = said.wall;
    this.since = when(said.counted);
    this.rules = said.rules;
    this.heads[COLUMNS.findIndex(([key]) => key === "total")].title = `Since ${this.since}, as far as counts go back`;
    this.draw();
  }

  /** Show one rule, opened. */
  show(name) {
    this.filter.value = "";
    this.open.add(name);
    this.draw();
    const row = this.rows.get(name);
    if (row) {
      row.scrollIntoView({ block: "center" });
      one("button", row).focus({ preventScroll: true });
    }
  }

  fits(rule) {
    const wanted = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const has = [rule.name, rule.owner, rule.mode, rule.gone ? "gone" : "", rule.severity, rule.place, ...rule.events, ...(rule.tags || []), ...(rule.does || [])].join(" ").toLowerCase();
    return wanted.every((word) => has.includes(word));
  }

  draw() {
    if (!this.rules) return;
    const [key, way] = this.sort;
    const value = COLUMNS.find((c) => c[0] === key)[3];
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const by = typeof x === "string" ? x.localeCompare(y, "en") : x - y;
      return way * by || a.name.localeCompare(b.name, "en");
    };
    const shown = this.rules.filter((r) => this.fits(r)).sort(order);
    this.heads.forEach((head, i) => set(head, { "aria-sort": COLUMNS[i][0] === key ? (way > 0 ? "ascending" : "descending") : null }));
    const rows = shown.flatMap((rule) => this.row(rule));
    if (rows.length !== this.body.children.length || rows.some((row, i) => this.body.children[i] !== row)) {
      const focused = document.activeElement;
      this.body.replaceChildren(...rows);
      if (focused && focused !== document.activeElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
    }
    const live = this.rules.filter((r) => !r.gone);
    const modes = ["live", "shadow", "off"].map((mode) => [mode, live.filter((r) => r.mode === mode).length]).filter(([, n]) => n);
    const words = `${shown.length < this.rules.length ? `${count(shown.length)} of ` : ""}${count(live.length)} rules: ${modes.map(([mode, n]) => `${count(n)} ${mode}`).join(", ")}; hits counted since ${this.since}`;
    if (this.said.textContent !== words) this.said.textContent = words;
    this.empty.hidden = shown.length > 0;
    this.body.parentElement.hidden = !shown.length;
    this.empty.textContent = this.rules.length ? "No rule fits." : "The bundle has no rules.";
  }

  /** A rule's row, and beneath it what was opened. */
  row(rule) {
    let row = this.rows.get(rule.name);
    if (!row) {
      row = make("tr");
      this.rows.set(rule.name, row);
    }
    const said = JSON.stringify(rule) + Math.floor(this.wall / 10_000_000);
    if (row.said !== said) {
      row.said = said;
      this.fill(row, rule);
    }
    const open = this.open.has(rule.name);
    set(row.press, { "aria-expanded": String(open) });
    if (open && !row.below) row.below = make("tr", "opened", set(make("td", "", this.inside(rule)), { colspan: COLUMNS.length }));
    if (!open) row.below = null;
    return open ? [row, row.below] : [row];
  }

  fill(row, rule) {
    if (!row.press) {
      row.press = button("", () => {
        if (this.open.has(rule.name)) this.open.delete(rule.name);
        else { this.open.add(rule.name); this.opened(rule.name); }
        this.draw();
      }, "opener");
      row.press.append(named(rule.name));
      row.first = make("td", "first");
    }
    const mode = modeOf(rule);
    row.first.replaceChildren(row.press, make("span", `badge mode ${rule.gone ? "gone" : rule.mode}`, mode), make("small", "tags", [...(rule.tags || [])].map((t) => visible(t, 40)).join(" · ")));
    row.className = `${rule.gone || rule.mode === "off" ? "quiet" : ""} ${rule.hour ? "" : "silent"}`;
    const last = rule.last ? make("time", "", ago(rule.last, this.wall)) : make("span", "none", "–");
    if (rule.last) last.title = iso(rule.last);
    const edited = editedOf(rule, this.wall);
    const cells = [
      row.first,
      make("td", "does", does(rule)),
      make("td", "wide", rule.owner ? data(rule.owner, 60) : make("span", "none", "–")),
      make("td", "n", brief(rule.minute)),
      make("td", "n hour", make("span", "", brief(rule.hour)), spark(this.counts.hour(rule.mode === "shadow" ? "shadow" : "fired", rule.name))),
      make("td", "n", rule.of ? share(rule.hour, rule.of) : make("span", "none", "–")),
      make("td", "n", brief(rule.total)),
      make("td", "n", last),
      set(make("td", "n wide", edited), { title: rule.edited && rule.edited.change ? `version ${rule.edited.version}, ${iso(rule.edited.at)}: ${visible(rule.edited.change, 300)}` : null }),
    ];
    cells.forEach((cell, i) => { if (i > 2) cell.dataset.label = COLUMNS[i][1]; });
    row.cells.length ? [...row.cells].forEach((cell, i) => { if (i) cell.replaceWith(cells[i]); }) : row.append(...cells);
  }

  inside(rule) {
    const box = make("div", "inner");
    const text = make("div", "");
    const facts = [
      ["events", rule.events.map((e) => visible(e, 60)).join(", ")],
      ["severity", rule.severity],
      ["held back in the last hour", rule.held ? count(rule.held) : ""],
      ["last edit", rule.edited && !rule.edited.change ? `none since version ${rule.edited.version}, the first that is known` : rule.edited ? [`version ${rule.edited.version}, ${iso(rule.edited.at).slice(0, 16).replace("T", " ")} UTC, by `, data(rule.edited.by), ": ", ...prose(rule.edited.change)] : ""],
    ].filter(([, value]) => value && value.length);
    const press = button("Show its decisions", () => this.look(`rule:${quoted(rule.name)}`), "chief");
    box.append(text, make("dl", "pairs", facts.map(([k, v]) => [make("dt", "", k), make("dd", "", v)])), make("p", "", press));
    if (rule.gone) text.append(make("p", "none", `This rule fired since ${this.since}, and is no longer in the bundle.`));
    else this.source(rule, text);
    return box;
  }

  async source(rule, box) {
    try {
      const said = await ask(`/v1/live/rules/${encodeURIComponent(rule.name)}`);
      box.replaceChildren(...[said.doc ? make("p", "doc", lines(said.doc)) : "", make("pre", "", lines(said.source)), make("p", "soft", visible(said.place))].filter(Boolean));
    } catch (error) {
      box.replaceChildren(make("p", "wrong", prose(error.message)));
    }
  }
}
