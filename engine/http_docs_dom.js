// Elements and texts. Texts are only ever set as text.

export const one = (query, within = document) => within.querySelector(query);

/** An element with a class and what stands in it: nodes, texts, lists of these, or nothing. */
export function make(tag, style, ...inside) {
  const made = document.createElement(tag);
  if (style) made.className = style;
  made.append(...inside.flat(Infinity).filter((x) => x !== null && x !== undefined && x !== ""));
  return made;
}

/** The same with attributes. */
export function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(name, value);
  return made;
}

/** A text in which what stands between backquotes is code. */
export function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", "", part) : part));
}

const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const spelt = (c) => (c === "\n" ? c : `\\u{${c.codePointAt(0).toString(16)}}`);

/** Text from outside, with what cannot be seen in it spelt out. */
export const visible = (text) => String(text).replace(UNSEEN, spelt);
