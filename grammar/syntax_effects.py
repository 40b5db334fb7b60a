"""What the analyst meant where labels, limits, what is sent and windows are written otherwise."""

from __future__ import annotations

import re

from quell.grammar.syntax_mistake import Fault, Mistake, shown

_LIMIT = "a limit is written `limit 1 per author every 1h`"
_AFTER_A_LABEL = re.compile(r'\blabelled\s+"[^"\n]*"\s*\Z')
_LABEL_FIRST = re.compile(r'\b((?:un)?label)\s+("[^"\n]*")\s*\Z')
_IN_A_LABEL = re.compile(r"\b((?:un)?label)\s+([\w.]+)\s*\Z")
_IN_A_LIMIT = re.compile(r"\blimit\b[^\n]*\Z")
_IN_A_SEND = re.compile(r"\bsend\s+\"[^\"\n]*\"\s*\Z")
_ON_A_FIELD = re.compile(r'\blabel\s+"[^"\n]*"\s+on\s+\w+\s*\Z')
_TIME_FOLLOWS = re.compile(r"\s+\d")


def labels(m: Mistake) -> Fault | None:
    """`is labelled`, `labelled "x" for 1d`, `label "x" author`, `label author as "x"`, `until 30d`."""
    before = m.text[: m.offset]
    if m.found == "labelled" and m.previous in ("is", "not", "are"):
        negated = re.search(r"\bnot\s+\Z", before) is not None
        return m.fault(hint=f'write `author {"not " if negated else ""}labelled "…"`, without `is`')
    if m.found in ("for", "since", "within", "over", "longer") and _AFTER_A_LABEL.search(before):
        return m.fault(hint='how long a label has been on is asked by `label_age(author, "…") > 1d`')
    if m.start == "test" and m.at_end and _ON_A_FIELD.search(m.text):
        return m.fault(hint='name an id, with its kind: `on User "u1"`')
    if m.start != "rule":
        return None
    first = _LABEL_FIRST.search(before)
    if first is not None and m.named:
        return m.fault(hint=f"the entity stands before the label: `{first[1]} {shown(m.found)} {first[2]}`")
    inside = _IN_A_LABEL.search(before)
    if inside is not None and m.found in ("as", "with", "is"):
        return m.fault(hint=f'write `{inside[1]} {shown(inside[2])} "…"`', replacement="")
    if m.kind in ("DURATION", "NUMBER") and m.previous == "until":
        hint = 'how long a label lasts is written `label author "…" for 30d`'
        return Fault("syntax", "`until` cannot stand here", hint, m.previous_at, len("until"))
    return None


def limits(m: Mistake) -> Fault | None:
    """A limit in other words, and something sent that stands in no braces."""
    if m.start != "rule":
        return None
    before = m.text[: m.offset + m.at_end]
    if m.previous == "every" and m.kind == "DURATION" and "UNLABEL" in m.accepts:  # read as a verdict
        return Fault("syntax", "`every` cannot stand here", _LIMIT, m.previous_at, len("every"))
    told = m.found in ("per", "within", "once", "in", "for", "an", "a") or m.at_end
    if told and _IN_A_LIMIT.search(before):
        return m.fault(hint=_LIMIT)
    if m.found in ("(", "[") and _IN_A_SEND.search(before):
        return m.fault(hint="what is sent stands in braces: `{ who: author }`")
    if m.found in (",", "}") and m.accepts == {"COLON"} and m.last is not None and m.last.type == "NAME":
        return m.fault(hint=f"a value follows its name: `{shown(m.previous)}: …`")
    return None


def windows(m: Mistake) -> Fault | None:
    """`last 1d` for a window, `before 1h` and `1h ago` for one in the past."""
    if m.found in ("last", "past", "previous") and m.value_is_complete and _follows(m):
        return m.fault(hint="a window is written `within 1h`", replacement="within")
    if m.found == "ago" and "AGO" not in m.accepts:
        return m.fault(hint="a window that ends in the past is written `within 7d before 1h ago`")
    if "AGO" in m.accepts and m.last is not None and m.last.type == "DURATION":
        span = shown(m.previous)
        return m.fault(hint=f"write `before {span} ago`, or `before this` to leave the present event out")
    return None


def _follows(m: Mistake) -> bool:
    return _TIME_FOLLOWS.match(m.text, m.offset + len(m.found)) is not None
