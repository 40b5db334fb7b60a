"""Messages whose number is not the one in the condition beside it.

"more than 20 messages" beside `messages_1m > 10` is what is left when a threshold is changed. A number
is doubted only when the words around it speak of a threshold or of what the threshold counts, when
exactly one threshold can be meant, and when the number occurs nowhere in the rule or in the names it
uses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from quell.engine.lints_written import Texts, bare
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Related, Report
from quell.grammar.literals import (
    MICROS,
    LiteralError,
    spell_duration,
    spell_number,
    spell_percent,
    split_text,
)
from quell.grammar.source import Span

_DIGIT = re.compile("[0-9]")
_UNITS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "d": "d", "day": "d", "days": "d", "w": "w", "week": "w", "weeks": "w",
}  # fmt: skip
_SPELLED = "|".join(sorted((u for u in _UNITS if len(u) > 1), key=lambda u: (-len(u), u)))
_NUMERAL = re.compile(
    r"(?<![\w.,:/#$€£§-])(?P<number>[0-9]{1,3}(?:[,_][0-9]{3})+|[0-9]+(?:\.[0-9]+)?)"
    rf"(?:(?P<percent> ?%)|(?P<unit>[smhdw]\b|[ -]?(?i:{_SPELLED})\b))?"
    r"(?![\w%:/]|[.,][0-9])"
)
_THRESHOLD = re.compile(
    r"(?:\b(?:than|over|above|below|under|exceed(?:s|ed|ing)?|least|most|reach(?:es|ed)?|beyond|limit|"
    r"threshold|maximum|minimum)(?: of| is)?|[<>≥≤]=?)\s*$",
    re.IGNORECASE,
)
_PERIOD = re.compile(
    r"\b(?:within|in|during|over|last|past|per|every|than|least|most|under|below|above)"
    r"(?: the| the last| the past| an?)?\s*$",
    re.IGNORECASE,
)
_AFTER = re.compile(r"\s*(?:or more|or fewer|or less|or older|or younger|\+)", re.IGNORECASE)
_LATER = re.compile(
    r"\b(?:again|will|wait|until|expire[sd]?|unlocks?|come back|lasts?|for|review(?:ed)?)\b", re.IGNORECASE
)
_NEXT_WORD = re.compile(r"\s+([A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number or duration that a condition compares with: its kind, its value (microseconds, or a
    fraction for a percentage), where it stands, and the words that what is compared is made of."""

    kind: str
    value: float
    span: Span
    words: frozenset[str]


@dataclass(slots=True)
class Constants:
    """The numbers and durations of a condition, through every name it uses; `digits` are the numbers that
    its durations are written with."""

    numbers: set[float] = field(default_factory=set)
    digits: set[float] = field(default_factory=set)
    durations: set[int] = field(default_factory=set)
    thresholds: list[Threshold] = field(default_factory=list)

    def take(self, other: Constants) -> None:
        """Add another's."""
        self.numbers |= other.numbers
        self.digits |= other.digits
        self.durations |= other.durations
        self.thresholds += other.thresholds


@dataclass(slots=True)
class Messages:
    """The lint, with the constants of every name once they were needed."""

    symbols: Symbols
    texts: Texts
    report: Report
    _names: dict[str, tuple[Constants, list[str]]] = field(default_factory=dict)

    def lint(self) -> None:
        """Report every doubtful number in reasons and in what is sent."""
        for rule in self.symbols.rules.values():
            told = [rule.because] if rule.because is not None else []
            sends = [e for e in rule.effects if isinstance(e, tree.Send) and e.payload is not None]
            told += [v for s in sends if s.payload for _, v in s.payload.pairs if isinstance(v, tree.Text)]
            if rule.condition is not None:
                self._texts(told, rule.condition, rule)
        for score in self.symbols.scores.values():
            for item in score.items:
                self._texts([item.because] if item.because is not None else [], item.condition, item)

    def _texts(self, told: list[tree.Text], condition: tree.Expr, whole: tree.Node) -> None:
        doubtful = [t for t in told if any(isinstance(p, str) and _DIGIT.search(p) for p in t.parts)]
        if not doubtful:
            return
        known = self._of(condition)
        around = self._of(whole, {id(t) for t in told})
        for text in doubtful:
            for number in numerals(text, self.texts):
                meant = _meant(number, known, around)
                if meant is not None:
                    self._tell(number, meant)

    def _tell(self, number: Numeral, meant: Threshold) -> None:
        right = _spelled(meant, number)
        self.report.add(
            "message-number",
            f"the message says `{number.shown}`, and the condition `{self.texts.shown(meant.span)}`",
            number.span,
            hint=f"write {right}, or let the message say the value itself, in braces",
            related=[Related(meant.span, "the condition")],
            replacement=right if number.exact else None,
        )

    # -------------------------------------------------- constants of a condition

    def _of(self, node: tree.Node, told: Collection[int] = ()) -> Constants:
        """The constants of a node, but for those in the messages `told`, and of every name it uses."""
        out, names = _direct(node, told)
        seen: set[str] = set()
        stack = [*names]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            symbols = self.symbols
            declared = symbols.lets.get(name) or symbols.scores.get(name) or symbols.models.get(name)
            if declared is not None:
                if name not in self._names:
                    self._names[name] = _direct(declared)
                out.take(self._names[name][0])
                stack.extend(self._names[name][1])
        return out


def _direct(node: tree.Node, told: Collection[int] = ()) -> tuple[Constants, list[str]]:
    """The constants that stand in a node, and the names."""
    out = Constants()
    names: dict[str, None] = {}
    for part in tree.walk(node):
        if id(part) not in told:
            out.numbers.update(_numbers(part))
        if isinstance(part, tree.Duration):
            out.durations.add(part.micros)
            out.digits.update(_inside(part.text))
        elif isinstance(part, tree.Name):
            names[part.name] = None
        elif isinstance(part, tree.Call):
            names[part.function.name] = None
        _threshold(part, out)
    return out, list(names)


def _threshold(part: tree.Node, out: Constants) -> None:
    if isinstance(part, tree.Compare):
        sides = [part.first, *(e for _, e in part.rest)]
        for left, right in pairwise(sides):
            _edge(left, right, out)
            _edge(right, left, out)
    elif isinstance(part, tree.Word) and part.op == "reaches":
        _edge(part.left, part.right, out)
    elif isinstance(part, tree.Counter) and isinstance(part.within, tree.Duration):
        out.thresholds.append(Threshold("duration", part.within.micros, part.within.span, frozenset()))


def _edge(term: tree.Expr, edge: tree.Expr, out: Constants) -> None:
    value = bare(edge)
    if isinstance(value, tree.Number):
        kind = "percent" if value.percent else "number"
        out.thresholds.append(Threshold(kind, value.value, edge.span, _words(term)))
    elif isinstance(value, tree.Duration):
        out.thresholds.append(Threshold("duration", value.micros, edge.span, _words(term)))


def _numbers(part: tree.Node) -> Iterable[float]:
    """The numbers that a node says by itself, also inside texts."""
    if isinstance(part, tree.Number):
        return (part.value, part.value * 100) if part.percent else (part.value,)
    if isinstance(part, tree.Points):
        return (part.points,)
    if isinstance(part, tree.Limit):
        return (part.count,)
    if isinstance(part, tree.Rollout):
        return part.share, part.share * 100
    if isinstance(part, tree.Text):
        return _inside(" ".join(p for p in part.parts if isinstance(p, str)))
    return _inside(part.pattern) if isinstance(part, tree.Regex) else ()


def _inside(text: str) -> list[float]:
    return [float(n) for n in re.findall("[0-9]{1,15}", text)]


def _words(term: tree.Expr) -> frozenset[str]:
    """The words of the names in an expression, without a plural's s."""
    found: set[str] = set()
    for part in tree.walk(term):
        name = part.name if isinstance(part, tree.Name) else ""
        if isinstance(part, tree.Call):
            name = part.function.name
        found |= {w.rstrip("s") for w in re.findall("[a-z]+", name.lower()) if len(w) > 2}
    return frozenset(found)


# ------------------------------------------------------------------ numerals


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a message: its kind and value as in `Threshold`, whether words around it speak of a
    threshold, the word after it. `exact` says that `span` is the number and not the whole text."""

    kind: str
    value: float
    shown: str
    unit: str
    span: Span
    exact: bool
    limits: bool
    word: str


def numerals(text: tree.Text, texts: Texts) -> Iterator[Numeral]:
    """The numbers in the plain parts of a text."""
    places = _places(text, texts)
    plain = [p for p in text.parts if isinstance(p, str)]
    for part, (start, exact) in zip(plain, places, strict=True):
        for match in _NUMERAL.finditer(part):
            made = _numeral(match)
            if made is None:
                continue
            kind, value, unit = made
            before, after = part[: match.start()], part[match.end() :]
            word = _NEXT_WORD.match(after)
            span = Span(text.span.file, start + match.start(), start + match.end()) if exact else text.span
            limits = bool(_THRESHOLD.search(before) or _AFTER.match(after))
            if kind == "duration":
                limits = bool(_PERIOD.search(before) or _AFTER.match(after)) and not _LATER.search(part)
            following = word[1].lower().rstrip("s") if word else ""
            yield Numeral(kind, value, match[0], unit, span, exact, limits, following)


def _places(text: tree.Text, texts: Texts) -> list[tuple[int, bool]]:
    """Where each plain part begins in its file, and whether its characters stand there as they are."""
    source = texts.at(text.span)
    try:
        split = split_text(source) if source else []
    except LiteralError:
        split = []
    pieces = [(offset, chars) for kind, offset, chars in split if kind == "text"]
    plain = [p for p in text.parts if isinstance(p, str)]
    if len(pieces) != len(plain):
        return [(text.span.start, False)] * len(plain)
    return [(text.span.start + at, source[at : at + len(chars)] == chars) for at, chars in pieces]


def _numeral(match: re.Match[str]) -> tuple[str, float, str] | None:
    if len(match["number"]) > 15:
        return None
    value = float(match["number"].replace(",", "").replace("_", ""))
    if match["percent"]:
        return "percent", value / 100, ""
    if match["unit"]:
        unit = _UNITS[match["unit"].strip(" -").lower()]
        return "duration", value * MICROS[unit], unit
    return "number", value, ""


def _meant(number: Numeral, known: Constants, around: Constants) -> Threshold | None:
    """The one threshold that a number should be, when it is none of the rule's constants."""
    if _stands(number, around):
        return None
    of_kind = [t for t in known.thresholds if t.kind == number.kind]
    candidates = list({(t.value): t for t in of_kind}.values())
    speaking = [t for t in candidates if number.word and number.word in t.words]
    if len(speaking) == 1 and number.kind == "number":
        return speaking[0]
    return candidates[0] if number.limits and len(candidates) == 1 else None


def _stands(number: Numeral, around: Constants) -> bool:
    if number.kind == "duration":
        face = number.value / MICROS[number.unit]
        return number.value in around.durations or face in around.numbers
    near = {number.value - 1, number.value, number.value + 1} if number.kind == "number" else {number.value}
    if number.kind == "percent":
        return any(abs(number.value * k - n) < 1e-9 for n in around.numbers for k in (1, 100))
    return bool(near & around.numbers) or number.value in around.digits


def _spelled(meant: Threshold, number: Numeral) -> str:
    if meant.kind == "percent":
        return spell_percent(meant.value)
    if meant.kind == "number":
        return spell_number(meant.value)
    size = MICROS[number.unit]
    if meant.value % size:
        return spell_duration(int(meant.value))
    count, tail = meant.value // size, number.shown.lstrip("0123456789.,_")
    word = tail.strip(" -")
    if len(word) > 3 and not tail.startswith("-"):
        tail = tail.rstrip("s") + ("" if count == 1 else "s")
    return f"{spell_number(count)}{tail}"
