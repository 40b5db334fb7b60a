// An explanation: every rule's condition with the values of its parts. Parts are made when they are opened.

import { data, make, named, prose, set, visible } from "/live/live_dom.js";

const MARKS = { true: "✓", false: "✗", missing: "?" };
const OUTCOMES = {
  fired: "fired", shadow: "would have fired, is in shadow", held: "was held back", missing: "lacked something", "not matched": "did not match",
};

/** A part that is made when somebody opens it. */
export function opening(style, summary, inside, open = false) {
  const made = make("details", style, make("summary", "", summary));
  const fill = () => {
    if (made.open && made.children.length === 1) made.append(...[inside()].flat(Infinity));
  };
  made.addEventListener("toggle", fill);
  made.open = open;
  fill();
  return made;
}

/** A part of a condition and, beneath it, its own parts. */
function branch(part) {
  const skipped = part.role === "not needed";
  const told = [make("code", "", data(part.text, 400))];
  if (part.points !== undefined && part.points !== null) told.unshift(make("b", "", `${part.state === "true" ? (part.points > 0 ? "+" : "−") + Math.abs(part.points) : "0"} `));
  if (!part.state && !skipped) told.push(" = ", make("b", "", data(part.shown, 400)));
  if (skipped) told.push(make("em", "", " not needed"));
  const note = part.why || part.note;
  if (note && !skipped) told.push(make("em", "", " ", data(note, 400)));
  if (part.role === "decided") told.push(make("span", "decided", " ← decided"));
  const line = make("div", "line", make("span", "mark", skipped ? "·" : MARKS[part.state] || ""), make("span", "", told));
  const state = skipped ? "skip" : part.state || "value";
  const parts = part.parts || [];
  return make("li", state, line, parts.length ? make("ul", "", parts.map(branch)) : null);
}

function tree(condition) {
  const joined = condition.kind === "and" && !condition.note && (condition.parts || []).length;
  return make("ul", "tree", joined ? condition.parts.map(branch) : branch(condition));
}

function effects(rule) {
  return (rule.effects || []).map((effect) => make("p", effect.done ? "effect" : "effect none", "→ ", make("code", "", data(effect.text, 300)), effect.done ? "" : [" not done", effect.why ? [": ", data(effect.why)] : ""]));
}

function ruleInside(rule) {
  return [
    rule.because ? make("p", "because", prose(rule.because, 1000)) : "",
    rule.held ? make("p", "", "held back by ", data(rule.held)) : "",
    rule.rollout ? make("p", "soft", "rollout: ", data(rule.rollout)) : "",
    tree(rule.condition),
    effects(rule),
    make("p", "soft", [visible(rule.place), rule.owner ? `owner ${visible(rule.owner)}` : "", rule.mode && rule.mode !== "live" ? rule.mode : ""].filter(Boolean).join(" · ")),
  ].flat(2).filter(Boolean);
}

function ruleOf(rule, open) {
  const outcome = rule.outcome.replace(" ", "-");
  const summary = [
    named(rule.rule),
    make("span", `badge ${outcome}`, OUTCOMES[rule.outcome] || rule.outcome),
    rule.outcome === "not matched" && rule.decided ? make("small", "", data(rule.decided, 90)) : "",
  ];
  return opening(`result ${outcome}`, summary, () => ruleInside(rule), open);
}

function fields(explanation) {
  const rows = explanation.fields.map((f) => [make("dt", "", visible(f.name)), make("dd", f.value === null ? "none" : "", data(f.shown, 1000), f.why ? make("small", "", " ", data(f.why)) : "")]);
  return make("dl", "pairs", rows);
}

function values(explanation) {
  return explanation.values.map((value) => {
    const summary = [make("code", "", data(value.name)), " = ", make("b", "", data(value.shown, 200)), value.why ? make("small", "", " ", data(value.why)) : ""];
    const inside = () => [make("p", "soft", make("code", "", data(value.text, 600)), ` ${visible(value.place)}`), value.part ? tree(value.part) : ""].filter(Boolean);
    return opening("result value", summary, inside);
  });
}

/** Everything that an explanation says. */
export function explained(explanation) {
  const told = explanation.rules.filter((r) => r.outcome !== "not matched");
  const rest = explanation.rules.filter((r) => r.outcome === "not matched");
  const warnings = [...(explanation.problems || []), ...(explanation.warnings || [])];
  return [
    warnings.length ? make("ul", "warnings", warnings.map((w) => make("li", "", prose(w)))) : "",
    told.map((rule) => ruleOf(rule, rule.outcome === "fired")),
    told.length ? "" : make("p", "none", "No rule matched."),
    rest.length ? opening("more", `${rest.length} ${told.length ? "other " : ""}${rest.length === 1 ? "rule" : "rules"} did not match`, () => rest.map((rule) => ruleOf(rule, false))) : "",
    explanation.values.length ? opening("more", `Named values (${explanation.values.length})`, () => values(explanation)) : "",
    opening("more", `Fields of the event (${explanation.fields.length})`, () => fields(explanation)),
  ].flat().filter(Boolean);
}

/** Something that is fetched when it is opened, said in a `details`. */
export function fetched(title, ask, inside, meanwhile = "Asking …") {
  const box = make("div", "fetched");
  const made = make("details", "part", make("summary", "", title), box);
  let begun = false;
  const fill = async () => {
    if (!made.open || begun) return;
    begun = true;
    box.replaceChildren(make("p", "soft", meanwhile));
    try {
      box.replaceChildren(...[inside(await ask())].flat(Infinity));
    } catch (error) {
      begun = false;
      const hint = error.hint ? make("p", "soft", prose(error.hint)) : "";
      box.replaceChildren(...[set(make("p", "wrong", prose(error.message)), { role: "alert" }), hint].filter(Boolean));
    }
  };
  made.addEventListener("toggle", fill);
  return made;
}
