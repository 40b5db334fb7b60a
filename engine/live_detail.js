// A decision opened: who, what, why, and what came of it; then its explanation, which is fetched when wanted.

import { ask, wantsKey } from "/live/live_ask.js";
import { button, bytes, chip, count, data, iso, lines, make, moment, named, one, prose, quoted, set, took, visible, when } from "/live/live_dom.js";
import { explained, fetched } from "/live/live_explanation.js";

const LONG = 130_000;

function part(title, ...inside) {
  const filled = inside.flat(Infinity).filter(Boolean);
  return filled.length ? make("section", "part", make("h3", "", title), filled) : "";
}

const pairs = (rows) => {
  const kept = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? make("dl", "pairs", kept.map(([key, value]) => [make("dt", "", key), make("dd", "", value)])) : "";
};

export class DetailView {
  /** `look` searches, `rule` shows a rule, `close` closes, `leave` goes back to the list. */
  constructor(host, { look, rule, close, leave, guard }) {
    Object.assign(this, { host, look, rule, close, guard });
    this.ref = null;
    this.levels = new Map();
    this.spoken = set(make("div", "unseen"), { role: "status" });
    host.before(this.spoken);
    host.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); close(); }
      else if (event.key === "ArrowLeft" && event.target === one("h2", host)) leave();
    });
  }

  /** Let reading go on in what is opened. */
  enter() {
    const title = one("h2", this.host);
    if (title) title.focus({ preventScroll: true });
  }

  hide() {
    this.ref = null;
    this.spoken.textContent = "";
    this.host.hidden = true;
    this.host.replaceChildren();
  }

  /** Show a decision by its number, or a refusal. */
  async show(ref) {
    if (this.ref && this.ref.decision === ref.decision && this.ref.refusal === ref.refusal) return;
    this.ref = ref;
    this.unanswered = false;
    const path = ref.decision ? `/v1/live/decisions/${ref.decision}` : `/v1/live/refusals/${ref.refusal}`;
    this.host.hidden = false;
    set(this.host, { "aria-busy": "true" });
    if (!this.host.children.length) this.host.replaceChildren(this.top(ref.decision ? `Decision ${count(ref.decision)}` : "Refusal", null), make("p", "soft", "Asking …"));
    let made;
    try {
      made = this.whole(ref, await ask(path), path);
    } catch (error) {
      if (wantsKey(error)) { this.hide(); throw error; }
      made = this.failed(ref, error);
    }
    if (this.ref !== ref) return;
    const inside = this.host.contains(document.activeElement);
    this.host.replaceChildren(...made.filter(Boolean));
    // Where it hides the list, and where somebody reads in it already, reading goes on in it.
    if (inside || this.host.clientWidth >= innerWidth) this.enter();
    else this.spoken.textContent = `${one("h2", this.host).textContent} is opened`;
    set(this.host, { "aria-busy": "false" });
    this.host.scrollTop = 0;
  }

  failed(ref, error) {
    this.unanswered = error.status === 0;
    const again = this.unanswered ? make("p", "", button("Try again", () => this.again())) : "";
    return [this.top(ref.decision ? `Decision ${count(ref.decision)}` : "Refusal"), make("p", "wrong", prose(error.message)), error.hint ? make("p", "soft", prose(error.hint)) : "", again];
  }

  /** Ask again for what the server did not answer. */
  again() {
    const { ref } = this;
    if (!ref || !this.unanswered) return;
    this.ref = null;
    this.guard(this.show(ref)).catch(() => {});
  }

  verdict(verdict, level) {
    return chip(verdict, this.levels.get(verdict) ?? level, "large");
  }

  top(title, chief) {
    const copy = button("Copy link", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "The address bar has it";
      }
      setTimeout(() => { copy.textContent = "Copy link"; }, 1500);
    }, "quiet");
    const shut = set(button("✕", () => this.close(), "quiet"), { "aria-label": "Close", title: "Close (Escape)" });
    return make("header", "top", make("div", "", chief, set(make("h2", "", title), { tabindex: "-1" })), make("div", "ends", copy, shut));
  }

  whole(ref, detail, path) {
    const s = detail.summary;
    this.levels = new Map(detail.ladder.map((r) => [r.verdict, r.level]));
    const title = s.kind === "decision" ? [visible(s.event, 60), make("small", "", ` · decision ${count(s.seq)}`)] : s.kind === "refused" ? "Refused event" : `Label by hand ${count(s.seq)}`;
    const chief = s.kind === "decision" ? this.verdict(s.verdict, s.level) : "";
    return [
      this.top(title, chief),
      this.about(s),
      this.who(detail),
      s.kind === "decision" ? this.reply(detail.reply) : s.kind === "refused" ? this.refusal(detail.reply) : this.acted(detail.reply),
      this.event(path),
      detail.explained ? this.explanation(s.seq) : "",
    ];
  }

  about(s) {
    const late = Math.abs(s.wall - s.at) > 1e6;
    return pairs([
      [{ refused: "refused", "by hand": "done" }[s.kind] || "decided", [moment(s.wall, when(s.wall)), s.seconds ? ` · took ${took(s.seconds)}` : "", ` · version ${s.version}`, s.number ? "" : " · out of the journal"]],
      ["event time", s.at && late ? [make("time", "", iso(s.at))] : ""],
      ["id", s.id ? set(make("button", "link", data(s.id, 300)), { type: "button", "data-look": `id:${quoted(s.id)}` }) : ""],
    ]);
  }

  who(detail) {
    if (!detail.entities.length) return "";
    const rows = detail.entities.map((e) => [
      make("dt", "", visible(e.field, 60)),
      make("dd", "", make("span", "kind", visible(e.kind, 60), " "), this.seek(data(e.id, 400), `entity:${quoted(e.id.slice(0, 300))}`, `Decisions that concern this ${visible(e.kind, 60)}`)),
    ]);
    return part("Who", make("dl", "pairs", rows));
  }

  /** A text that searches when it is pressed. */
  seek(shown, query, title) {
    const made = button("", () => this.look(query), "link");
    made.append(shown);
    made.title = title;
    return made;
  }

  ruleLink(name) {
    const made = button("", () => this.rule(name), "link");
    made.append(named(name));
    made.title = "Show this rule";
    return made;
  }

  /** The rules whose verdicts are gravest come first, as they decided. */
  grave(fired) {
    const level = (f) => this.levels.get(f.verdict) ?? -1;
    return [...(fired || [])].sort((a, b) => level(b) - level(a));
  }

  reply(reply) {
    return make("div", "", [
      part("Rules that fired", this.grave(reply.fired).map((f) => this.firing(f))),
      reply.fired && reply.fired.length ? "" : part("Rules that fired", make("p", "none", "None.")),
      part("In shadow, for the record only", this.grave(reply.shadow).map((f) => this.firing(f, true))),
      part("Held back", (reply.held || []).map((h) => make("p", "", this.ruleLink(h.rule), " by ", data(h.by)))),
      part("Labels", (reply.labels || []).map((c) => this.label(c))),
      part("Labels that a person's word outranks", (reply.outranked || []).map((o) => make("p", "", data(o.label), o.on ? " on " : " off ", make("span", "kind", visible(o.entity), " "), data(o.id), ", asked for by ", this.ruleLink(o.rule), "; ", data(o.by), " says otherwise"))),
      part("Sent", (reply.sends || []).map((s) => this.sent(s))),
      part("Worth noting", this.notes(reply)),
      part("Models asked", (reply.asked || []).map((a) => this.asked(a))),
      reply.models && reply.models.length ? part("Models", make("p", "soft", reply.models.map((m, i) => [i ? ", " : "", data(m.model), " ", make("code", "", visible(m.digest))]))) : "",
    ].filter(Boolean));
  }

  firing(fired, shadow = false) {
    return make("div", `firing${shadow ? " shadow" : ""}`, [
      make("div", "", this.ruleLink(fired.rule), fired.verdict ? chip(fired.verdict, this.levels.get(fired.verdict) ?? -1) : "", fired.severity ? make("span", "badge", `severity ${visible(fired.severity)}`) : "", (fired.tags || []).map((t) => make("span", "badge", visible(t, 60)))),
      fired.message ? make("p", "because", prose(fired.message, 1000)) : "",
    ]);
  }

  label(c) {
    return make("p", "", make("span", c.on ? "mark on" : "mark off", c.on ? "+" : "−"), " ", make("b", "", data(c.label)), c.on ? " on " : " off ", make("span", "kind", visible(c.entity), " "), this.seek(data(c.id, 300), `entity:${quoted(c.id.slice(0, 300))}`, "Decisions that concern it"), c.on ? ` ${c.until ? `until ${visible(c.until)}` : "for good"}` : "", " by ", this.ruleLink(c.rule));
  }

  sent(s) {
    return make("div", "firing", make("div", "", make("b", "", data(s.sink)), " by ", this.ruleLink(s.rule)), make("pre", "", lines(JSON.stringify(s.payload, null, 2)).slice(0, 4000)));
  }

  notes(reply) {
    const counters = (names, words) => (names || []).map((name) => make("p", "", make("code", "", data(name)), ` ${words}`));
    return [
      (reply.problems || []).map((p) => make("p", "", make("code", "", data(p.field || p.path)), " at ", make("code", "", data(p.path)), ": expected ", data(p.expected), ", got ", data(p.got), ". It counts as missing.")),
      counters(reply.late, "took the event as of a later time, since it came late"),
      counters(reply.full, "had no more room, and told less than there was"),
      counters(reply.cold, "is cold: it has not watched its whole window yet"),
    ];
  }

  asked(a) {
    return make("p", "", make("b", "", data(a.model)), ` ${visible(a.status)}`, a.value !== undefined && a.value !== null ? [": ", make("code", "", data(JSON.stringify(a.value), 400))] : "", a.reason ? make("small", "", " ", data(a.reason)) : "");
  }

  refusal(reply) {
    return part("Why it was refused", make("p", "because", prose(reply.message, 1000)), pairs([["kind", make("code", "", visible(reply.kind))], ["event", reply.event ? visible(reply.event) : ""], ["at", reply.path ? make("code", "", data(reply.path)) : ""], ["answered with", chip(reply.verdict, this.levels.get(reply.verdict) ?? -1)]]));
  }

  acted(reply) {
    const word = { set: "put on", remove: "taken off", release: "handed back to the rules" }[reply.action];
    return part("What was done", make("p", "", make("b", "", data(reply.label)), ` ${word} by `, make("b", "", data(reply.by))), pairs([["why", reply.why ? data(reply.why, 2000) : ""], ["until", reply.until ? visible(reply.until) : ""], ["before", reply.was ? "carried the label" : "did not carry it"], ["after", reply.on ? "carries the label" : "does not carry it"], ["reasons ended", reply.cleared && reply.cleared.length ? reply.cleared.map((r) => [this.ruleLink(r), " "]) : ""]]));
  }

  event(path) {
    return fetched("The event", () => this.guard(ask(`${path}/event`)), (event) => {
      const about = `${bytes(event.bytes)}${event.json ? "" : ", not JSON"}${event.cut ? `, its first ${count(event.text.length)} characters` : ""}`;
      return [make("p", "soft", about), set(make("pre", "event", lines(event.text)), { tabindex: "0", "aria-label": "The event" })];
    });
  }

  explanation(seq) {
    const path = `/v1/decisions/${seq}/explanation`;
    return fetched("Why, part by part", () => this.guard(ask(path, LONG)), explained, "The decision is made again out of the journal, which can take some seconds …");
  }
}
