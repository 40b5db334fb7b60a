"""Counters of the whole family as text: what is counted, under which key, how far back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.strategies_expressions import (
    ADD,
    ATOM,
    COUNTED_LISTS,
    KEYS,
    OR,
    Expr,
    Maker,
    Place,
    Value,
    element,
    is_list,
)
from tests.strategies_words import AGOS, SHORT_AGOS, SHORT_WINDOWS, WINDOWS, spell

_EVENT = ("first", "last")
_WORDS: dict[str, tuple[str, ...]] = {
    "number": ("count", "count", "distinct", "sum", "mean", "min", "max", "stddev", "rate", "of", "of"),
    "duration": ("sum", "mean", "min", "max", "since_last", "since_last", "of"),
    "time": ("min", "max", "at", "at", "of"),
    "event": ("event",),
}
"""What can give a value of a kind: a counter's word, or something `of` a counted event, or when it was
`at`, or an `event` itself."""
_LISTED = ("values", "values", "of")
_REACHING = {"number": ("count", "count", "distinct", "sum"), "duration": ("sum",)}
_NUMERIC = ("sum", "mean", "min", "max", "stddev")
_ROUNDED = ("count", "rate", "sum", "mean")
_COUNTABLE = ("text", "User", "number", "list<text>", "list<User>", "bool", "time", "ip")
_ROUGH = (
    ("10s", "7s", "7s"),
    ("5s", "2s", "5s"),
    ("1h", "1m", "1h"),
    ("1h", "3500ms", "10s"),
    ("2s", "1s", "1s"),
)
"""Windows with a resolution, and how long ago they may end."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a counter is to be: its word, the kind it gives under one key, whether it is read under a list,
    whether `reaches` follows."""

    word: str
    kind: str
    lists: bool
    reach: bool


def counter(maker: Maker, place: Place, depth: int, kind: str, lists: bool, reach: bool) -> Expr | None:
    """A counter that gives a kind of value, or with `lists` a list of such; with `reach` one that `reaches`
    may follow. None when there is none."""
    words = _REACHING[kind] if reach else _LISTED if is_list(kind) else _WORDS.get(kind, ("of",))
    form = Form(maker.dice.pick(words), kind, lists, reach)
    own = [n for n, events in maker.world.sources.items() if set(place.events) <= set(events)]
    if reach and not own:
        return None
    sources, events = _sources(maker, place, form, own)
    fields = frozenset.intersection(*(maker.world.events[e] for e in events))
    inside = Place(fields, tuple(sorted(events)), counting=True, firings=False)
    return _written(maker, sources, inside, place, depth, form)


def _sources(maker: Maker, place: Place, form: Form, own: list[str]) -> tuple[list[str], set[str]]:
    """What is counted, and the events that are."""
    world, dice = maker.world, maker.dice
    names = [dice.pick(own if form.reach else sorted(world.sources))]
    if dice.chance(15) and not form.reach:
        names.append(dice.pick(sorted(world.sources)))
    sources = [spell(n) for n in names]
    events = {e for n in names for e in world.sources[n]}
    firings = place.firings and not place.counting and not form.reach
    rules = [r for r, on in world.rules.items() if on] if firings else []
    if rules and dice.chance(40):
        rule = dice.pick(rules)
        added = set(world.rules[rule])
        maker.fired = True
        if form.word in ("count", "rate", "since_last", "at") and dice.chance(20):
            return [*sources, f"fired {spell(rule)}"], events | added
        return [f"fired {spell(rule)}"], added
    return sources, events


def _written(
    maker: Maker, sources: list[str], inside: Place, place: Place, depth: int, form: Form
) -> Expr | None:
    outer, maker.needs = maker.needs, set()
    word, after = form.word, ""
    if word in ("of", "at", "event"):
        word = maker.dice.pick(_EVENT)
    value = ""
    if form.word in ("distinct", "values", *_NUMERIC):
        depth_of = 0 if maker.world.focus == "counters" else min(depth, 1)
        value = maker.make(_counted(maker, form), inside, depth_of) + " of "
    elif form.word == "at":
        after = ".at"
    elif form.word == "of":
        named = _named(maker, form.kind, inside)
        if not named:
            maker.needs = outer
            return None
        after = f".{spell(maker.dice.pick(named))}"
    by, reading = _keys(maker, inside, place, depth, form, outer)
    maker.needs = set()
    often = 12 if maker.world.focus == "counters" else 30
    where = f" where {maker.make('bool', inside, depth, OR)}" if maker.dice.chance(often) else ""
    maker.needs = outer
    events = ", ".join(dict.fromkeys(sources))
    return Expr(f"{word}({value}{events}{by}{reading}{_window(maker, form)}{where}){after}", ATOM)


def _counted(maker: Maker, form: Form) -> str:
    """The kind of what is counted."""
    if maker.world.focus == "counters" and form.word in ("distinct", *_NUMERIC):
        return form.kind if form.word != "distinct" else maker.dice.pick(("number", "User", "text"))
    if form.word == "values":
        return f"list<{element(form.kind)}>" if maker.dice.chance(20) else element(form.kind)
    if form.word == "distinct":
        return maker.dice.pick(_COUNTABLE)
    return f"list<{form.kind}>" if maker.dice.chance(12) else form.kind


def _named(maker: Maker, kind: str, inside: Place) -> list[str]:
    """The fields and lets of a kind that every counted event has."""
    fields = [
        n for n, k in sorted(maker.world.fields.items()) if k == kind and n in inside.fields and n != "at"
    ]
    lets = [
        v.name
        for v in maker.world.values
        if v.kind == kind and v.parameters is None and maker.fits(v, inside)
    ]
    return fields + lets


def _window(maker: Maker, form: Form) -> str:
    dice, short = maker.dice, maker.world.short
    per = f" per {dice.pick(('1s', '1h', '7s', '10m'))}" if form.word == "rate" else ""
    if form.word != "rate" and dice.chance(10):
        return f"{per} ever{_before(maker, form, short)}"
    within, rounded, before = dice.pick(SHORT_WINDOWS if short else WINDOWS), "", _before(maker, form, short)
    if form.word in _ROUNDED and dice.chance(15):
        within, resolution, ago = dice.pick(_ROUGH)
        before = f" before {ago} ago" if "ago" in before else before
        rounded = f" resolution {resolution}"
    return f"{per} within {within}{rounded}{before}"


def _before(maker: Maker, form: Form, short: bool) -> str:
    ago = f" before {maker.dice.pick(SHORT_AGOS if short else AGOS)} ago"
    some = ("", "", "", " before this", "" if form.word == "since_last" else ago)
    return "" if form.reach else maker.dice.pick(some)


def _keys(
    maker: Maker, inside: Place, place: Place, depth: int, form: Form, needs: set[str]
) -> tuple[str, str]:
    """The clauses `by` and `as`. A key whose fields the reading event lacks, and a list that is not to
    be read as one, is read under another; `needs` are those of the reading event."""
    dice, lists = maker.dice, form.lists
    if maker.world.focus == "counters" and not lists and "author" in place.fields and dice.chance(80):
        needs.add("author")
        return (" by author", "") if dice.chance(85) else ("", "")
    kinds = ["User"] if lists else []
    among = ("User", "User", "bool", "number") if maker.world.short else KEYS
    count = dice.pick((0, 0, 1) if lists else (1, 1, 1, 0, 2))
    kinds += [dice.pick(among) for _ in range(count)]
    if not kinds:
        return "", ""
    maker.needs = set()
    many = not form.reach and f"list<{kinds[0]}>" in COUNTED_LISTS and dice.chance(25)
    # What is counted under a key may be read under it on another event, which `reaches` would not allow.
    keyed = replace(inside, events=())
    counted = [
        maker.make(f"list<{k}>" if many and not i else k, keyed, min(depth, 1), ADD)
        for i, k in enumerate(kinds)
    ]
    asked, maker.needs = maker.needs, needs
    by = f" by {', '.join(counted)}"
    if asked <= place.fields and many == lists and not dice.chance(35):
        needs |= asked
        return by, ""
    read = [f"list<{k}>" if lists and not i else k for i, k in enumerate(kinds)]
    return by, f" as {', '.join(maker.make(k, place, int(lists), ADD) for k in read)}"


def of_named(maker: Maker, kind: str, place: Place) -> Expr | None:
    """Something of a let that stands for a counted event: `previous.content`, `previous.at`."""
    events = [v for v in maker.world.values if v.kind == "event" and maker.fits(v, place)]
    if not events:
        return None
    value = maker.dice.pick(events)
    fields = frozenset.intersection(*(maker.world.events[e] for e in value.counter))
    named = _named(maker, kind, Place(fields, value.counter, counting=True, firings=False))
    named += ["at"] if kind == "time" else []
    return Expr(f"{maker.use(value).text}.{spell(maker.dice.pick(named))}") if named else None


def event_let(maker: Maker, place: Place, name: str) -> tuple[str, Value]:
    """The body of a let that stands for a counted event, and the let."""
    form = Form("event", "event", False, False)
    sources, events = _sources(maker, place, form, [])
    if any(s.startswith("fired") for s in sources):
        sources, events = sources[-1:], events
    fields = frozenset.intersection(*(maker.world.events[e] for e in events))
    inside = Place(fields, tuple(sorted(events)), counting=True, firings=False)
    made = _written(maker, sources, inside, place, 1, form)
    assert made is not None
    return made.text, Value(name, "event", frozenset(maker.needs), maker.fired, counter=inside.events)
