// Long tables that show their first rows, tables that sort, the filter of rules, and rules that open.

function caps(host) {
  const limit = Number(host.dataset.cap);
  const list = one("tbody", host) || host;
  const rows = () => [...list.children].filter((r) => !r.matches(".opened, .head"));
  const total = rows().length;
  let open = false;
  const more = button("", () => { open = !open; apply(); });
  more.className = "all";
  host.after(more);
  function apply(filtering = false) {
    rows().forEach((row, i) => row.classList.toggle("hidden", !open && !filtering && i >= limit));
    more.textContent = open ? `Show the first ${limit} only` : `Show all ${total.toLocaleString("en")}`;
    more.classList.toggle("hidden", filtering);
  }
  host.capped = apply;
  apply();
}
all("[data-cap]").forEach(caps);

const shut = (table) => all(".opened", table).forEach((row) => {
  one("[aria-expanded]", row.previousElementSibling).setAttribute("aria-expanded", "false");
  row.remove();
});

function sorts(head) {
  const table = head.closest("table");
  const column = [...head.parentElement.children].indexOf(head);
  const press = button(head.textContent, () => {
    const down = head.classList.contains("n") ? head.ariaSort !== "descending" : head.ariaSort === "ascending";
    shut(table);
    const value = (row) => row.children[column].dataset.v;
    const text = (row) => row.children[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const by = value(a) === undefined ? text(a).localeCompare(text(b), "en") : Number(value(a)) - Number(value(b));
      return down ? -by : by;
    });
    all("th", table).forEach((th) => th.removeAttribute("aria-sort"));
    head.ariaSort = down ? "descending" : "ascending";
    table.tBodies[0].append(...rows);
    const host = table.parentElement;
    if (host.capped) host.capped();
  });
  head.replaceChildren(press);
}
all("th.sort").forEach(sorts);

for (const box of all("input[data-filter]")) {
  box.hidden = false;
  const host = one(`#${box.dataset.filter}-table > .scroll`);
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    shut(one("table", host));
    if (host.capped) host.capped(wanted.length > 0);
    if (!wanted.length && host.capped) return;
    for (const row of one("tbody", host).rows) {
      const words = (row.dataset.words || "").toLowerCase();
      row.classList.toggle("hidden", !wanted.every((w) => words.includes(w)));
    }
  });
}

// ------------------------------------------------------------------------------------------- rules that open

for (const name of all("[data-open]")) {
  const rule = data.rules[Number(name.closest("tr").dataset.rule)];
  const press = button("", () => toggle(press, rule));
  press.append(...name.childNodes);
  press.setAttribute("aria-expanded", "false");
  name.append(press);
}

function toggle(press, rule) {
  const row = press.closest("tr");
  const open = press.getAttribute("aria-expanded") === "true";
  press.setAttribute("aria-expanded", String(!open));
  if (open) { row.nextElementSibling.remove(); return; }
  const cell = make("td", "", ruleInside(rule, row));
  cell.colSpan = row.children.length;
  row.after(make("tr", "opened", cell));
}

const heading = (text) => make("h4", "", text);
const facts = (pairs) => make("dl", "facts", pairs.map(([k, v]) => make("div", "", make("dt", "", k), make("dd", "", v))));

/** A rule's text; the lines that the other text has not are marked. */
function markedLines(text, other, style) {
  const known = new Set(other.split("\n").map((line) => line.trim()));
  const lines = text.split("\n").map((line) => make("span", known.has(line.trim()) ? "" : `line-${style}`, `${line}\n`));
  return make("pre", "", lines);
}

function ruleInside(rule, row) {
  const texts = rule.b
    ? make("div", "two", make("div", "", heading("Before"), markedLines(rule.b, rule.t, "gone")), make("div", "", heading("After"), markedLines(rule.t, rule.b, "new")))
    : rule.t ? make("pre", "", rule.t) : null;
  const where = rule.p ? make("p", "about", make("small", "", rule.p)) : null;
  return make("div", "inner", texts, where, facts(rule.f), bigger(row), samplesOf(rule));
}

// The outline over time once more, larger, with the times of the pictures above.
function bigger(row) {
  const small = one(".spark", row);
  if (!small) return null;
  const large = small.cloneNode(true);
  large.classList.add("big");
  const times = one("#time .times");
  return make("div", "", heading("Over time"), large, times ? times.cloneNode(true) : null);
}

function samplesOf(rule) {
  const groups = rule.g ? [["Newly fires on", rule.s], ["No longer fires on", rule.g]] : [["Events to look at", rule.s]];
  return groups.filter(([, places]) => places.length).map(([title, places]) => [
    heading(title), make("div", "", places.map((place) => sampleCard(data.samples[place]))),
  ]).flat();
}
