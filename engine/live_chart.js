// A picture of counts over time: stacked bars, read off with the mouse, the arrow keys, or as a table.

import { brief, clock, count, data, day, draw, make, set, share, when } from "/live/live_dom.js";

const HEIGHT = 140;
const LEFT = 40;
const BELOW = 22;
const ABOVE = 8;

/** The least round number that is not below, and how many steps lead to it. */
function scale(top) {
  if (top <= 4) return { top: Math.max(1, top), steps: Math.max(1, top) };
  const size = 10 ** Math.floor(Math.log10(top / 4));
  const step = [1, 2, 2.5, 5, 10].map((by) => by * size).find((by) => Number.isInteger(by) && by * 4 >= top) || 10 * size;
  return { top: step * Math.ceil(top / step), steps: Math.ceil(top / step) };
}

/** Times to write under the bars: round ones, no closer than there is room for. */
function ticks(starts, bar, width) {
  const most = Math.max(2, Math.floor(width / 76));
  const length = starts.length * bar;
  const every = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200].find((by) => length / by <= most) || 86_400;
  const offset = new Date(starts[starts.length - 1] * 1000).getTimezoneOffset() * 60;
  return starts.flatMap((start, i) => ((start - offset) % every === 0 ? [[i, start]] : []));
}

/** `model` is `{starts, bar, per, series: [{name, style, counts}], last}`: bars in seconds, series from the
 *  bottom up, `last` the second up to which there is something, `since` that from which on it is counted. */
export class Chart {
  constructor(host, { title, unit, none }) {
    this.unit = unit;
    this.none = none;
    this.title = make("h2", "", title);
    this.per = make("small");
    this.tools = make("div", "tools");
    this.plot = make("div", "plot");
    this.legend = make("ul", "legend");
    this.at = null;
    this.hidden = new Set();
    this.tabled = false;
    this.tip = make("div", "tip");
    this.tip.hidden = true;
    this.spoken = set(make("div", "unseen"), { role: "status" });
    set(this.plot, { tabindex: "0", role: "group", "aria-label": `${unit} over time, ${title.toLowerCase()}: the arrow keys go from bar to bar` });
    host.append(make("header", "", make("div", "", this.title, this.per), this.tools), this.plot, this.legend, this.spoken);
    this.width = 0;
    new ResizeObserver(() => {
      const width = Math.floor(this.plot.clientWidth);
      if (width !== this.width) { this.width = width; this.render(); }
    }).observe(this.plot);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.go(null));
    this.plot.addEventListener("blur", () => this.go(null));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.table = set(make("button", "quiet"), { type: "button", "aria-pressed": "false" });
    this.table.textContent = "Table";
    this.table.addEventListener("click", () => {
      this.tabled = !this.tabled;
      set(this.table, { "aria-pressed": String(this.tabled) });
      this.go(null);
      this.render();
    });
  }

  show(model) {
    this.model = model;
    this.render();
  }

  shown() {
    return this.model.series.filter((s) => !this.hidden.has(s.name));
  }

  render() {
    if (!this.model || this.width < 60) return;
    const { starts, per, since } = this.model;
    this.per.textContent = `per ${per}${since > starts[0] ? `, counted since ${when(since * 1e6)}` : ""}`;
    this.plot.classList.toggle("tabled", this.tabled);
    if (this.tabled) this.renderTable();
    else this.renderBars();
    this.renderLegend();
    if (this.at !== null) this.go(Math.min(this.at, this.model.starts.length - 1), false);
  }

  // ---------------------------------------------------------------------------------------------------- bars

  renderBars() {
    const { starts, bar, since } = this.model;
    const series = this.shown();
    const sums = starts.map((_, i) => series.reduce((sum, s) => sum + s.counts[i], 0));
    const { top, steps } = scale(Math.max(0, ...sums));
    const [width, high] = [this.width - LEFT, HEIGHT - BELOW - ABOVE];
    const step = width / starts.length;
    const gap = step > 5 ? 1.5 : step > 3 ? 1 : 0;
    const y = (n) => ABOVE + high * (1 - n / top);
    const marks = [];
    for (let i = 0; i <= steps; i += 1) {
      const at = Math.round(y((top * i) / steps)) + 0.5;
      marks.push(draw("line", { class: i ? "grid" : "base", x1: LEFT, x2: this.width, y1: at, y2: at }));
      marks.push(draw("text", { x: LEFT - 7, y: at + 3.5, "text-anchor": "end" }, brief((top * i) / steps)));
    }
    const before = Math.min(width, ((since - starts[0]) / bar) * step);
    if (before > 0) marks.unshift(draw("rect", { class: "before", x: LEFT, y: ABOVE, width: before, height: high }));
    for (const [i, start] of ticks(starts, bar, width)) {
      const x = LEFT + i * step;
      marks.push(draw("line", { class: "tick", x1: x, x2: x, y1: HEIGHT - BELOW, y2: HEIGHT - BELOW + 4 }));
      if (x > LEFT + 14 && x < this.width - 12) marks.push(draw("text", { x, y: HEIGHT - 5, "text-anchor": "middle" }, clock(start * 1e6, false)));
    }
    const below = starts.map(() => 0);
    for (const s of series) {
      const path = [];
      s.counts.forEach((n, i) => {
        if (!n) return;
        const x = LEFT + i * step + gap / 2;
        const from = y(below[i]);
        below[i] += n;
        path.push(`M${x.toFixed(2)} ${from.toFixed(2)}h${(step - gap).toFixed(2)}V${y(below[i]).toFixed(2)}h${(gap - step).toFixed(2)}z`);
      });
      if (path.length) marks.push(draw("path", { class: `fill ${s.style}`, d: path.join("") }));
    }
    this.column = draw("rect", { class: "column", x: 0, y: ABOVE - 4, width: step, height: high + 4, visibility: "hidden" });
    marks.push(this.column);
    const nothing = sums.every((n) => !n) ? make("p", "nothing", this.none) : "";
    const picture = draw("svg", { width: this.width, height: HEIGHT, viewBox: `0 0 ${this.width} ${HEIGHT}`, "aria-hidden": "true" }, marks);
    this.plot.replaceChildren(...[picture, nothing, this.tip].filter(Boolean));
    this.step = step;
  }

  // --------------------------------------------------------------------------------------------------- table

  renderTable() {
    const { starts, per } = this.model;
    const series = this.shown().filter((s) => s.counts.some(Boolean));
    const head = make("tr", "", set(make("th", "", `Start of each ${per}`), { scope: "col" }), series.map((s) => set(make("th", "n", data(s.name, 60)), { scope: "col" })), set(make("th", "n", "all"), { scope: "col" }));
    const rows = starts.map((start, i) => {
      const sum = series.reduce((n, s) => n + s.counts[i], 0);
      return make("tr", sum ? "" : "zero", set(make("th", "", this.moment(start)), { scope: "row" }), series.map((s) => make("td", "n", count(s.counts[i]))), make("td", "n", count(sum)));
    });
    const scrolled = this.plot.querySelector(".rows");
    const [left, above] = scrolled ? [scrolled.scrollLeft, scrolled.scrollTop] : [0, 0];
    const made = make("div", "rows", make("table", "", make("caption", "unseen", `${this.title.textContent}, newest first`), make("thead", "", head), make("tbody", "", rows.reverse())));
    this.plot.replaceChildren(made);
    made.scrollTo(left, above);
  }

  moment(start) {
    const at = clock(start * 1e6, this.model.bar < 60);
    return day(start * 1e6) === day(this.model.last * 1e6) ? at : `${day(start * 1e6)} ${at}`;
  }

  // -------------------------------------------------------------------------------------------------- legend

  renderLegend() {
    const sums = this.model.series.map((s) => s.counts.reduce((a, b) => a + b, 0));
    const whole = sums.reduce((a, b) => a + b, 0);
    const known = new Map([...this.legend.children].map((item) => [item.series, item]));
    const items = this.model.series.map((s, i) => {
      const item = known.get(s.name) || this.entry(s.name);
      const [press, number] = item.children;
      press.className = `key ${s.style}`;
      set(press, { "aria-pressed": String(!this.hidden.has(s.name)), title: `${share(sums[i], whole)} of all here; press to ${this.hidden.has(s.name) ? "show" : "hide"} it` });
      number.textContent = brief(sums[i]);
      item.classList.toggle("zero", !sums[i]);
      return item;
    });
    if (items.some((item, i) => this.legend.children[i] !== item) || items.length !== this.legend.children.length) this.legend.replaceChildren(...items);
  }

  entry(name) {
    const press = make("button", "key", data(name, 60));
    press.type = "button";
    press.addEventListener("click", () => {
      if (this.hidden.has(name)) this.hidden.delete(name);
      else this.hidden.add(name);
      this.render();
    });
    const item = make("li", "", press, make("span", "n"));
    item.series = name;
    return item;
  }

  // ------------------------------------------------------------------------------------------------- reading

  point(event) {
    if (this.tabled || !this.model || event.target.closest(".tip")) return;
    const x = event.clientX - this.plot.getBoundingClientRect().left - LEFT;
    const i = Math.floor(x / this.step);
    this.go(i >= 0 && i < this.model.starts.length ? i : null, false);
  }

  key(event) {
    if (this.tabled || !this.model) return;
    const last = this.model.starts.length - 1;
    const at = this.at === null ? last + 1 : this.at;
    const to = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined || (to === null && this.at === null)) return;
    event.preventDefault();
    event.stopPropagation();
    this.go(to, true);
  }

  go(i, aloud = false) {
    this.at = i;
    if (i === null || this.tabled) {
      this.tip.hidden = true;
      if (this.column) set(this.column, { visibility: "hidden" });
      return;
    }
    const x = LEFT + i * this.step;
    set(this.column, { x, visibility: "visible" });
    const { starts, bar, last } = this.model;
    const series = [...this.shown()].reverse().filter((s) => s.counts[i]);
    const sum = series.reduce((n, s) => n + s.counts[i], 0);
    const until = starts[i] + bar;
    const title = `${this.moment(starts[i])}–${clock(until * 1e6, bar < 60)}${until > last + 1 ? ", so far" : ""}`;
    const rows = series.slice(0, 12).map((s) => make("div", "", make("span", `key ${s.style}`, data(s.name, 40)), make("b", "", count(s.counts[i])), make("span", "", share(s.counts[i], sum))));
    this.tip.replaceChildren(make("p", "", title), make("div", "sum", make("span", "", this.unit), make("b", "", count(sum)), make("span")), ...rows);
    this.tip.hidden = false;
    const room = this.width - this.tip.offsetWidth;
    const right = x + this.step + 10;
    this.tip.style.left = `${right <= room ? right : Math.max(0, x - this.tip.offsetWidth - 10)}px`;
    if (aloud) this.spoken.textContent = `${title}: ${count(sum)} ${this.unit}. ${series.map((s) => `${s.name} ${s.counts[i]}`).join(", ")}`;
  }
}
