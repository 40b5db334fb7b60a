// Helpers, the switch between light and dark, tips, and the contents. Texts are only ever set as text.

const root = document.documentElement;
root.classList.add("js");
const data = JSON.parse(document.getElementById("report").textContent);
const one = (query, within = document) => within.querySelector(query);
const all = (query, within = document) => [...within.querySelectorAll(query)];

/** An element with a class and what stands in it: nodes, texts, or nothing. */
function make(tag, style, ...inside) {
  const made = document.createElement(tag);
  if (style) made.className = style;
  made.append(...inside.flat().filter((x) => x !== null && x !== undefined && x !== ""));
  return made;
}

const button = (text, act) => {
  const made = make("button", "", text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
};

// ------------------------------------------------------------------------------------------- light and dark

const dark = matchMedia("(prefers-color-scheme: dark)");
const remembered = {
  get: () => { try { return localStorage.getItem("quell-theme"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("quell-theme", value); } catch { /* not kept then */ } },
};
const theme = one("#theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
function showTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
}
if (["light", "dark"].includes(remembered.get())) root.dataset.theme = remembered.get();
theme.hidden = false;
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  remembered.set(root.dataset.theme);
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

// ---------------------------------------------------------------------------------------------------- tips

const tip = make("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("role", "status");
document.body.append(tip);
let marked = null;

function showTip(mark, x, y) {
  if (marked !== mark) {
    hideTip();
    marked = mark;
    mark.classList.add("at");
    const [title, ...lines] = mark.dataset.tip.split("\n");
    tip.replaceChildren(make("b", "", title), ...lines.map((l) => make("div", "", l.split("\t").map((c) => make("span", "", c)))));
    tip.hidden = false;
  }
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(10, Math.min(x + 14, innerWidth - width - 10));
  tip.style.left = `${x + 14 + width > innerWidth - 10 ? Math.max(10, x - width - 14) : left}px`;
  tip.style.top = `${y - height - 12 < 8 ? y + 18 : y - height - 12}px`;
}

function hideTip() {
  if (marked) marked.classList.remove("at");
  marked = null;
  tip.hidden = true;
}

const under = (event) => event.target.closest && event.target.closest("[data-tip]");
document.addEventListener("pointermove", (event) => {
  const mark = under(event);
  if (mark) showTip(mark, event.clientX, event.clientY);
  else hideTip();
});
document.addEventListener("pointerdown", (event) => {
  const mark = under(event);
  if (mark) showTip(mark, event.clientX, event.clientY);
  else hideTip();
});
document.addEventListener("scroll", () => {
  if (marked && marked.closest("[data-marks]") === document.activeElement) showBeside(marked);
  else hideTip();
}, { passive: true });

/** The tip of a mark that keys went to. */
function showBeside(mark) {
  const box = mark.getBoundingClientRect();
  showTip(mark, box.left + box.width / 2, box.top + Math.min(box.height / 2, 40));
}

for (const picture of all("[data-marks]")) {
  const title = picture.closest("section") ? one("h2", picture.closest("section")).textContent : "All events by verdict";
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", `${title}: the arrow keys go from value to value`);
}

// In a picture that has the focus the arrow keys go from mark to mark.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  const picture = document.activeElement;
  if (!picture || !picture.matches("[data-marks]")) return;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const marks = all("[data-tip]", picture).filter((m) => m.getClientRects().length);
  if (!marks.length) return;
  const at = marks.indexOf(marked);
  showBeside(marks[at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length]);
});
document.addEventListener("focusout", hideTip);

// ------------------------------------------------------------------------------------------------ contents

const contents = one("nav details");
if (innerWidth < 1080) contents.open = false;
const links = new Map(all("nav a").map((a) => [a.hash.slice(1), a]));
const seen = new Set();
const watch = new IntersectionObserver((entries) => {
  for (const e of entries) e.isIntersecting ? seen.add(e.target.id) : seen.delete(e.target.id);
  const first = [...links.keys()].find((id) => seen.has(id));
  for (const [id, a] of links) a.classList.toggle("here", id === first);
}, { rootMargin: "-70px 0px -50% 0px" });
for (const id of links.keys()) watch.observe(document.getElementById(id));
for (const a of links.values()) {
  a.addEventListener("click", () => { one("details", document.getElementById(a.hash.slice(1))).open = true; });
}
addEventListener("beforeprint", () => all("section > details").forEach((d) => { d.open = true; }));
