// What the service can be asked, read from /openapi.json, each with a form to try it.

import { make, one, prose, set, visible } from "/docs/http_docs_dom.js";

const KEPT = "quell-key";
const PATIENCE = 30_000;
const LONGEST = 200_000;
const EXAMPLE_TIME = "2026-01-01T12:00:00Z"; // an event is tried as of now, as others are
const told = one("#told");
const box = one("#key-value");
let key = "";
try { key = sessionStorage.getItem(KEPT) || ""; } catch { /* this page remembers it itself */ }

one("#key").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = box.value.trim();
  if (said && !/^[\x21-\x7e]+$/.test(said)) { told.textContent = "A key has no blanks and no letters beyond ASCII."; return; }
  key = said;
  box.value = "";
  try { sessionStorage.setItem(KEPT, key); } catch { /* as above */ }
  show();
});

const headers = (more) => (key ? { Authorization: `Bearer ${key}`, ...more } : { ...more });
const ask = (path, more) => fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(PATIENCE), ...more });

// --------------------------------------------------------------------------------------------- what there is

async function show() {
  let described;
  try {
    const answer = await ask("/openapi.json", { headers: headers({ Accept: "application/json" }) });
    described = await answer.json();
    if (!answer.ok) { told.textContent = [described.detail, described.hint].filter(Boolean).join(": ").replaceAll("`", ""); return; }
  } catch (error) { told.textContent = `The server does not answer: ${error.message}`; return; }
  told.textContent = "";
  one("#version").textContent = described.info.version;
  const rows = Object.entries(described.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, row]) => ({ path, method, row })));
  const contents = one("#contents");
  const main = one("#operations");
  contents.replaceChildren();
  main.replaceChildren(make("h1", "", "API"), ...described.info.description.trim().split("\n\n").map((p) => make("p", "soft", prose(p))));
  for (const tag of described.tags) {
    const mine = rows.filter(({ row }) => row.tags[0] === tag.name);
    main.append(make("h2", "", tag.description), ...mine.map((found) => operation(found, described)));
    contents.append(make("h2", "", tag.description), make("ul", "", mine.map(link)));
  }
  open();
}

function link({ row, path }) {
  const made = set(make("a", "", path), { href: `#${row.operationId}`, title: row.summary });
  return make("li", "", made);
}

function open() {
  const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (found instanceof HTMLDetailsElement) { found.open = true; found.scrollIntoView(); }
}
addEventListener("hashchange", open);

function operation({ path, method, row }, described) {
  const summary = make("summary", "", make("span", `method ${method}`, method.toUpperCase()), make("code", "", path), make("span", "about", row.summary));
  const made = set(make("details", "operation", summary), { id: row.operationId });
  let filled = false;
  made.addEventListener("toggle", () => {
    if (!filled && made.open) { filled = true; made.append(form({ path, method, row }, described)); }
  });
  return made;
}

// ---------------------------------------------------------------------------------------------- trying it

function form({ path, method, row }, described) {
  const id = row.operationId;
  const parts = (row.description || "").split("\n\n").filter(Boolean).map((p) => make("p", "", prose(p)));
  const inputs = (row.parameters || []).map((parameter) => input(id, parameter));
  if (inputs.length) parts.push(make("h3", "", "Parameters"), make("div", "parameters", inputs.map(({ shown }) => shown)));
  const body = row.requestBody ? bodyOf(id, row.requestBody.content) : null;
  if (body) parts.push(body.shown);
  const answer = set(make("div", "answer"), { role: "status" });
  const send = set(make("button", "chief", "Send"), { type: "button" });
  const curl = make("pre", "");
  const request = () => requestOf(path, method, inputs, body);
  const refresh = () => { curl.textContent = asCurl(request()); };
  send.addEventListener("click", async () => { send.disabled = true; try { await tried(request(), answer); } finally { send.disabled = false; } });
  const meaning = (said) => (said.$ref ? described.components.responses[said.$ref.split("/").pop()] : said).description;
  const statuses = Object.entries(row.responses).map(([status, said]) => make("tr", "", make("td", "mono", status), make("td", "", meaning(said))));
  const content = make("div", "", parts, make("div", "actions", send), answer, make("h3", "", "With curl"), curl,
    make("h3", "", "Answers"), make("table", "", make("tbody", "", statuses)), schemas(row, described));
  content.addEventListener("input", refresh);
  refresh();
  return content;
}

function input(id, parameter) {
  const schema = parameter.schema;
  const field = set(make("input", "mono"), { id: `${id}-${parameter.name}`, type: "text", autocomplete: "off", spellcheck: "false", maxlength: 2000, placeholder: schema.type || "" });
  if (parameter.required && schema.type === "integer") field.value = "1";
  const label = set(make("label", "mono", parameter.name, parameter.required ? "" : " (optional)"), { for: field.id });
  return { parameter, field, shown: [label, field, make("span", "soft", prose(parameter.description))] };
}

function bodyOf(id, content) {
  const [type, said] = Object.entries(content)[0];
  const given = said.examples ? Object.entries(said.examples).map(([name, { value }]) => [name, value]) : [["", said.example]];
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const text = (value) => (typeof value === "string" ? value : value === undefined ? "{}" : JSON.stringify(value, null, 2)).replaceAll(EXAMPLE_TIME, now);
  const field = set(make("textarea", "", text(given[0]?.[1])), { id: `${id}-body`, spellcheck: "false", "aria-label": "Body" });
  const shown = [make("h3", "", `Body (${type})`)];
  if (given.length > 1) {
    const choice = set(make("select", "", given.map(([name]) => make("option", "", name))), { "aria-label": "Example" });
    choice.addEventListener("change", () => { field.value = text(given[choice.selectedIndex][1]); field.dispatchEvent(new Event("input", { bubbles: true })); });
    shown.push(make("p", "", choice));
  }
  return { type, field, shown: make("div", "", shown, field) };
}

function requestOf(path, method, inputs, body) {
  const query = new URLSearchParams();
  const more = {};
  for (const { parameter, field } of inputs) {
    const value = field.value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, value);
    else more[parameter.name] = value;
  }
  if (body) more["Content-Type"] = body.type;
  const tail = query.toString();
  return { method: method.toUpperCase(), path: tail ? `${path}?${tail}` : path, headers: more, body: body ? body.field.value : null };
}

async function tried(request, answer) {
  const began = performance.now();
  try {
    const came = await ask(request.path, { method: request.method, headers: headers(request.headers), body: request.body });
    const text = await came.text();
    const took = Math.round(performance.now() - began);
    const status = make("span", `status ${came.ok ? "good" : "bad"}`, `${came.status}`);
    answer.replaceChildren(make("p", "", status, ` ${came.headers.get("content-type") || ""}, ${text.length.toLocaleString("en")} characters, ${took} ms`), make("pre", "", pretty(text)));
  } catch (error) { answer.replaceChildren(make("p", "wrong", `no answer: ${error.message}`)); }
}

function pretty(text) {
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* lines, or no JSON */ }
  return visible(shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown);
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl({ method, path, headers: more, body }) {
  const lines = [`curl -s ${quoted(location.origin + path)}`];
  if (method !== "GET" && body === null) lines.push(`-X ${method}`);
  if (key) lines.push("-H \"Authorization: Bearer $QUELL_KEY\"");
  for (const [name, value] of Object.entries(more)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== null) lines.push(`--data-binary ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

function schemas(row, described) {
  const good = row.responses["200"].content;
  const schema = Object.values(good)[0].schema;
  const named = [...JSON.stringify(schema).matchAll(/#\/components\/schemas\/([^"]+)/g)].map(([, name]) => name);
  return named.map((name) => {
    const shown = make("pre", "", JSON.stringify(described.components.schemas[name], null, 2));
    return make("details", "", make("summary", "", "Schema of ", make("code", "", name)), shown);
  });
}

show();
