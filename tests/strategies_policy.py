"""Hypothesis strategies for whole bundles that compile, and for histories of events that fit them.

What is drawn uses every construct that runs: entities with labels, shapes, one to three event types,
lists of every kind, lets, functions, scores, and rules with all their clauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.grammar.source import Source
from tests.strategies_counters import event_let
from tests.strategies_events import SHORT_STEPS, STEPS, EventPlan, FieldPlan, history
from tests.strategies_expressions import ATOM, KEYS, Maker, Place, Value, World
from tests.strategies_words import (
    COLOURS,
    FIELD_NAMES,
    IDS,
    LET_NAMES,
    PARAMETER_NAMES,
    TEXTS,
    Dice,
    quote,
    spell,
)

EVENTS = ("message", "join", "odd event")
LABELS = ("spammer", "trusted", "new one")
LADDER = ("allow", "flag", "review", "challenge", "block")
LETS_KINDS = (
    "bool",
    "number",
    "text",
    "duration",
    "time",
    "User",
    "list<text>",
    "list<number>",
    "list<User>",
    "ip",
)
FIELD_KINDS = (
    "number", "text", "bool", "time", "duration", "ip", "User", "Server", "enum", "list<text>", "list<number>",
    "list<User>", "list<ip>", "list<time>", "list<bool>", "list<item>",
)  # fmt: skip
STATE_KINDS = ("User", "list<User>", "number", "bool", "list<number>", "duration")
COUNTED_KINDS = ("number", "number", "duration", "User", "time", "list<number>", "text")
CORE = (
    ("at", "time", False),
    ("author", "User", False),
    ("content", "text", False),
    ("server", "Server", True),
    ("addr", "ip", True),
    ("colour", "enum", True),
    ("items", "list<item>", True),
)
"""Fields that every event has, so that each kind has something to stand for it; and whether optional."""

LIST_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "names_l": ("exact", ("u1", "a", "red", "foo bar", "u2,5", "é", "10.0.0.1")),
    "hosts": ("domains", ("bad.test", "example.co.uk", "bit.ly", "пример.рф")),
    "nets": ("cidrs", ("10.0.0.0/8", "2001:db8::/32", "8.8.8.8")),
    "starts_l": ("prefixes", ("u", "see ", "10.", "İ", "😀")),
    "slurs": ("words", ("slur", "one two", "ſtraße", "ﬁne", "a")),
    "shapes_l": ("patterns", ("fr[e3]e", "/ſTRA/i", "(?i)foo", "^$", "\\bu1\\b")),
}
TABLE = (
    "table_l",
    "key,city,risk,since,ok,own\nu1,Paris,0.5,2020-01-01,true,10.0.0.1\na,,3,,false,\nu2,Oslo,,2021-05-05T00:00:00Z,,::1\n",
)
TABLE_COLUMNS = {"city": "text", "risk": "number", "since": "time", "ok": "bool", "own": "ip"}


@dataclass(slots=True)
class Case:
    """A bundle as text by file, its list files, and the events of a history as JSON."""

    declarations: list[str]
    extra: dict[str, bytes]
    events: list[bytes] = field(default_factory=list)

    def files(self, order: Sequence[int] | None = None, files: int = 1) -> Files:
        """The bundle, its declarations in some order and spread over some files."""
        order = range(len(self.declarations)) if order is None else order
        texts = [""] * files
        for place, index in enumerate(order):
            texts[place % files] += self.declarations[index] + "\n\n"
        sources = {f"f{i}.quell": Source(f"f{i}.quell", text) for i, text in enumerate(texts)}
        return Files("generated", sources, extra=self.extra)

    @property
    def text(self) -> str:
        """The whole policy."""
        return "\n\n".join(self.declarations)

    def __repr__(self) -> str:
        return f"\n{self.text}\n\n" + "\n".join(e.decode("utf-8", "backslashreplace") for e in self.events)


class _Bundle:
    """One bundle under construction."""

    def __init__(self, dice: Dice, focus: str) -> None:
        self.dice = dice
        self.world = World(focus, labels={"User": LABELS, "Server": LABELS[: dice.below(2)]})
        self.out: list[str] = []
        self.extra: dict[str, bytes] = {}
        self.plans: list[EventPlan] = []
        self.item: list[FieldPlan] = []
        self.tags: list[str] = []
        self.ladders: dict[str, tuple[str, ...]] = dict.fromkeys(EVENTS, LADDER)
        self.exempting: set[str] = set()
        self.old_names = 0

    def build(self) -> Case:
        """The declarations."""
        self._entities()
        self._events()
        self._lists()
        self._verdicts()
        least, most, kinds = _AMOUNTS[self.world.focus]
        for _ in range(self.dice.between(least, most)):
            kind = self.dice.pick(kinds)
            {"rule": self._rule, "let": self._let, "function": self._function, "score": self._score}[kind]()
        if not self.world.rules:
            self._rule()
        if self.dice.chance(60 if self.world.focus == "any" else 95):
            self._probe()
        return Case(self.out, self.extra)

    def _probe(self) -> None:
        """For every event a rule that sends the values of all lets and scores that the event has, and now and
        then one that shows them as shadow rules see them."""
        for i, (event, fields) in enumerate(self.world.events.items()):
            named = [v for v in self.world.values if v.parameters is None and v.needs <= fields]
            said = [spell(v.name) + (".at" if v.kind == "event" else "") for v in named]
            pairs = ", ".join(f"p{n}: {text}" for n, text in enumerate(said))
            shown = " ".join("{" + text + "}" for text in said)
            head = f"rule z{i} on {spell(event)}\n  when true"
            self.out.append(f'{head}\n  then send "probe" {{ {pairs} }}\n  because "{shown}"')
            if self.dice.chance(30):
                self.out.append(f'{head.replace("rule z", "rule y")}\n  mode shadow\n  because "{shown}"')
            for n, v in enumerate(named):
                # A condition is read in three ways: for its value, for when it is true, for when it is false.
                if v.kind == "bool":
                    self.out.append(f"rule z{i}{n}t on {spell(event)}\n  when {spell(v.name)}")
                    self.out.append(f"rule z{i}{n}f on {spell(event)}\n  when not {spell(v.name)}")

    # ------------------------------------------------------------- the schema

    def _entities(self) -> None:
        for name, labels in self.world.labels.items():
            listed = " labels " + ", ".join(quote(label) for label in labels) if labels else ""
            self.out.append(f"entity {name}{listed}")

    def _events(self) -> None:
        dice = self.dice
        self._item()
        shared = [FieldPlan(name, kind, optional, ("s", name)) for name, kind, optional in CORE]
        names = dice.some(FIELD_NAMES, 1, 6)
        among = {"state": STATE_KINDS, "counters": COUNTED_KINDS}.get(self.world.focus, FIELD_KINDS)
        kinds = {n: dice.pick(among) for n in names if n not in {c[0] for c in CORE}}
        settled = {n: self._optional(k) for n, k in kinds.items()}
        self.out.append("shape actor\n" + "\n".join(self._field(f) for f in shared))
        events = EVENTS[: dice.pick((1, 2, 3, 1))]
        alike = len(events) > 1 and dice.chance(25)
        for i, event in enumerate(events):
            own = [
                FieldPlan(n, k, settled[n][0], self._path(event, n, k), settled[n][1])
                for n, k in kinds.items()
                if i == 0 or dice.chance(60)
            ]
            plan = EventPlan(
                event,
                "same" if alike else f"wire {i}",
                i if alike else None,
                (*shared, *own),
                tuple(self.item),
                self.world.short,
            )
            self.plans.append(plan)
            when = f" when $.v == {i}" if alike else ""
            lines = [
                f'event {spell(event)} from "{plan.wire}"{when} with actor',
                *(self._field(f) for f in own),
            ]
            self.out.append("\n".join(lines))
            self.world.events[event] = frozenset(f.name for f in plan.fields)
            self.world.sources[event] = (event,)
        self.world.sources["actor"] = events
        self.world.fields = {f.name: f.kind for p in self.plans for f in p.fields}
        self.world.taken |= {*self.world.fields, *self.world.sources, "item", *self.world.labels}

    def _item(self) -> None:
        kinds = [
            ("name", "text", False),
            ("price", "number", True),
            ("x0", "number", False),
            ("when_", "time", True),
            ("own", "User", True),
        ]
        for name, kind, optional in [kinds[0], *self.dice.some(kinds[1:], 0, 4)]:
            self.item.append(FieldPlan(name, kind, optional, (name,)))
            self.world.item[name] = kind
        self.out.append("shape item\n" + "\n".join(self._field(f) for f in self.item))

    def _optional(self, kind: str) -> tuple[bool, str]:
        """Whether a field is optional, and its default."""
        choice = self.dice.below(4)
        if choice == 0 and kind in _DEFAULTS:
            return False, self.dice.pick(_DEFAULTS[kind])
        return choice != 1, ""

    def _path(self, event: str, name: str, kind: str) -> tuple[str | int | None, ...]:
        dice = self.dice
        base = ("f", name) if dice.chance(30) else (name + " \u00e9",)
        if kind.startswith("list<") and kind != "list<item>" and dice.chance(40):
            return (*base, None, "id") if dice.chance(50) else (*base, None)
        return (*base, 0) if dice.chance(10) else base

    @staticmethod
    def _field(f: FieldPlan) -> str:
        mark = "?" if f.optional else ""
        kind = 'one of ["' + '", "'.join(COLOURS[:3]) + '"]' if f.kind == "enum" else f.kind
        default = f" default {f.default}" if f.default else ""
        return f"  {spell(f.name)} {kind}{mark} = {f.spelled()}{default}"

    def _lists(self) -> None:
        for name in self.dice.some(sorted(LIST_FILES), 0, 4):
            kind, entries = LIST_FILES[name]
            self.world.lists[name] = kind
            self.extra[f"lists/{name}.txt"] = "\n".join(entries).encode()
            self.out.append(f'list {name} from "lists/{name}.txt" as {kind}')
        if self.dice.chance(40):
            name, data = TABLE
            self.world.tables[name] = TABLE_COLUMNS
            self.extra["lists/table.csv"] = data.encode()
            gives = ", ".join(f"{c} {k}" for c, k in TABLE_COLUMNS.items())
            self.out.append(f'list {name} from "lists/table.csv" as exact gives {gives}')
        self.world.taken |= {*self.world.lists, *self.world.tables}

    def _verdicts(self) -> None:
        if self.dice.chance(30):
            self.out.append("verdicts pass < hold < `stop it` on failure hold")
            self.ladders = dict.fromkeys(EVENTS, ("pass", "hold", "stop it"))
        if len(self.plans) > 1 and self.dice.chance(30):
            self.out.append("verdicts for join ok < bad")
            self.ladders["join"] = ("ok", "bad")

    # ----------------------------------------------------------- declarations

    def _name(self, pool: Sequence[str]) -> str | None:
        free = [n for n in pool if n not in self.world.taken]
        if not free:
            return None
        name = self.dice.pick(free)
        self.world.taken.add(name)
        return name

    def _let(self) -> None:
        name = self._name(LET_NAMES)
        if name is None:
            return
        place = Place(self.dice.pick(sorted(self.world.events.values(), key=sorted)))
        maker = Maker(self.world, self.dice)
        kind = self.dice.pick(("bool", "bool", *LETS_KINDS) if self.world.focus == "values" else LETS_KINDS)
        if self.dice.chance(_COUNTERS[self.world.focus]):
            kind = self.dice.pick(_COUNTER_KINDS if self.world.focus != "counters" else _PLAIN_KINDS)
            if kind == "event":
                body, value = event_let(maker, place, name)
                self.out.append(f"let {spell(name)} = {body}")
                self.world.values.append(value)
                return
            lists = kind.startswith("list<") and self.dice.chance(50)
            body = maker.counter(place, self.dice.below(2), kind[5:-1] if lists else kind, lists).text
        else:
            body = maker.make(kind, place, self.dice.between(1, 2 if self.world.focus == "values" else 3))
        self.out.append(f"let {spell(name)} = {body}")
        self.world.values.append(Value(name, kind, frozenset(maker.needs), maker.fired))

    def _function(self) -> None:
        name = self._name([f"f_{n}" for n in ("a", "b", "c")])
        if name is None:
            return
        kinds = [
            self.dice.pick(("number", "text", "User", "list<text>", "duration", "bool", "item"))
            for _ in range(self.dice.between(1, 2))
        ]
        free = [p for p in PARAMETER_NAMES if p not in self.world.taken][:2]
        names = dict(zip(free, kinds, strict=False))
        maker = Maker(self.world, self.dice)
        kind = self.dice.pick(LETS_KINDS)
        body = maker.make(
            kind, Place(self.dice.pick(sorted(self.world.events.values(), key=sorted)), names=names), 2
        )
        written = ", ".join(f"{n}: {k}" for n, k in names.items())
        self.out.append(f"let {name}({written}) = {body}")
        self.world.values.append(
            Value(name, kind, frozenset(maker.needs), maker.fired, tuple(names.values()))
        )

    def _score(self) -> None:
        name = self._name(("risk", "points_", "x3"))
        if name is None:
            return
        place = Place(self.dice.pick(sorted(self.world.events.values(), key=sorted)))
        maker = Maker(self.world, self.dice)
        lines = [f"score {name}"]
        for _ in range(self.dice.between(1, 3)):
            minus = "minus " if self.dice.chance(25) else ""
            points = self.dice.pick(("40", "1", "0.1", "0.2", "25.5", "0.7"))
            because = f" because {maker.template(place)}" if self.dice.chance(40) else ""
            lines.append(f"  {minus}{points} when {maker.make('bool', place, 2)}{because}")
        self.out.append("\n".join(lines))
        self.world.values.append(Value(name, "number", frozenset(maker.needs), maker.fired, score=True))

    # ------------------------------------------------------------------ rules

    def _rule(self) -> None:
        name = self._name([*(f"r{i}" for i in range(8)), "odd rule"])
        if name is None:
            return
        dice = self.dice
        on = dice.pick([*([e] for e in self.world.events), ["actor"], sorted(self.world.events)[:2]])
        events = tuple(dict.fromkeys(e for n in on for e in self.world.sources[n]))
        exempts = [r for r in self.world.rules if r not in self.exempting] if dice.chance(25) else []
        fields = frozenset.intersection(*(self.world.events[e] for e in events))
        place = Place(fields, events, firings=not exempts)
        maker = Maker(self.world, dice)
        if dice.chance(70 if self.world.focus == "state" else 30):
            condition = maker.stateful(place, dice.below(2)).text
        else:
            condition = maker.make("bool", place, dice.pick((0, 1, 2, 3)))
        if not exempts and dice.chance(8):
            own = f"count(fired {spell(name)} by author within 1h before this)"
            condition = f"({condition}) and {own} < {dice.between(1, 3)}"
        lines = [f"rule {spell(name)} on {', '.join(spell(n) for n in on)}", f"  when {condition}"]
        effects = [self._effect(maker, place, events) for _ in range(dice.below(4))]
        if exempts:
            self.exempting.add(name)
            effects.append("exempt from " + self._targets(exempts))
        effects += self._verdict(events, maker, place)
        lines += [f"{'       ' if i else '  then '}{e}" for i, e in enumerate(effects)]
        lines += self._clauses(maker, place)
        self.out.append("\n".join(lines))
        self.world.rules[name] = events

    def _targets(self, exempts: list[str]) -> str:
        choice = self.dice.below(3)
        if choice == 0 and self.tags:
            return f"tag {quote(self.dice.pick(self.tags))}"
        if choice == 1:
            return "all"
        return ", ".join(spell(r) for r in self.dice.some(exempts, 1, 2))

    def _verdict(self, events: tuple[str, ...], maker: Maker, place: Place) -> list[str]:
        ladders = [self.ladders[e] for e in events]
        both = [v for v in ladders[0] if all(v in ladder for ladder in ladders)]
        if not both or self.dice.chance(20):
            return []
        return [spell(self.dice.pick(both)) + self._limit(maker, place)]

    def _limit(self, maker: Maker, place: Place) -> str:
        if not self.dice.chance(35):
            return ""
        kinds = [self.dice.pick(KEYS) for _ in range(self.dice.below(3))]
        per = " per " + ", ".join(maker.make(k, place, 1, ATOM) for k in kinds) if kinds else ""
        return f" limit {self.dice.between(1, 3)}{per} every {self.dice.pick(('10s', '1h', '5s', '1d', '(1m * 2)'))}"

    def _effect(self, maker: Maker, place: Place, events: tuple[str, ...]) -> str:
        dice = self.dice
        choice = dice.below(4)
        if choice == 3:
            kinds = [dice.pick((*FIELD_KINDS, "item")) for _ in range(dice.below(3))]
            pairs = ", ".join(
                f"{spell(n)}: {maker.make(k, place, 2)}"
                for n, k in zip(("why", "n", "when"), kinds, strict=False)
            )
            payload = f" {{ {pairs} }}" if pairs or dice.chance(50) else ""
            return f'send "{dice.pick(("queue", "other"))}"{payload}{self._limit(maker, place)}'
        kind = dice.pick(("User", "User", "list<User>"))
        target = "author" if dice.chance(60) else maker.make(kind, place, dice.below(2), ATOM)
        label = quote(dice.lean(LABELS))
        if choice == 2:
            return f"unlabel {target} {label}{self._limit(maker, place)}"
        lasting = (
            f" for {dice.pick(('5s', '1h', '10s', '1s', '1d', '(30d + 1s)', '100000d'))}"
            if dice.chance(60)
            else ""
        )
        return f"label {target} {label}{lasting if '100000d' not in lasting else ' for 36600d'}{self._limit(maker, place)}"

    def _clauses(self, maker: Maker, place: Place) -> list[str]:
        dice = self.dice
        out = []
        if dice.chance(40):
            out.append(f"  because {maker.template(place)}")
        if dice.chance(25):
            out.append(f"  mode {dice.pick(('shadow', 'shadow', 'shadow', 'live', 'off'))}")
        if dice.chance(20):
            keys = [maker.make(dice.pick(KEYS), place, 1, ATOM) for _ in range(dice.between(1, 2))]
            out.append(f"  rollout {dice.pick(('50%', '0%', '100%', '12.5%'))} by {', '.join(keys)}")
        if dice.chance(25):
            tag = dice.pick(("spam", "a b"))
            self.tags.append(tag)
            out.append(f"  tag {quote(tag)}")
        if dice.chance(10):
            out.append('  owner "t & s"\n  severity high')
        if dice.chance(15):
            self.old_names += 1
            out.append(f"  formerly was_{self.old_names}, before_{self.old_names}")
        return out


_RULES = ("rule", "let", "rule", "let", "function", "score", "rule")
_AMOUNTS = {
    "any": (1, 9, _RULES),
    "values": (4, 9, ("let", "let", "let", "let", "function", "rule", "score")),
    "state": (4, 10, ("rule", "let", "rule", "let", "rule", "let", "score")),
    "counters": (6, 16, ("let", "let", "let", "let", "let", "let", "rule")),
}
"""How many declarations there are besides the schema, and of which kinds."""
_COUNTER_KINDS = (
    "number", "number", "list<number>", "event", "duration", "time", "text", "list<text>", "list<User>",
    "list<time>", "User", "bool",
)  # fmt: skip
_PLAIN_KINDS = (
    *("number",) * 7, *("duration",) * 3, "time", "time", "list<text>", "list<number>", "event", "event", "text",
)  # fmt: skip
"""What lets that are counters give, and where there are only those."""
_COUNTERS = {"any": 35, "values": 0, "state": 80, "counters": 100}
"""How many of a hundred lets are counters."""
_DEFAULTS = {
    "number": ("0", "2", "-1.5"),
    "text": ('""', '"none"', quote(TEXTS[7])),
    "bool": ("false", "true"),
    "duration": ("0s", "1h"),
    "User": (quote(IDS[0]),),
    "list<text>": ("[]", '["a", "a"]'),
    "list<number>": ("[]", "[1, 2]"),
    "time": ('"2026-01-01T00:00:00Z"',),
    "ip": ('"10.0.0.1"',),
    "enum": ('"green"',),
}


@st.composite
def cases(draw: st.DrawFn, focus: str = "any") -> Case:
    """A bundle without errors, and a history of events for it. `focus` is what it is about: `values` of
    expressions, `state`, `counters` over the events' own fields, or any."""
    dice = Dice(draw)
    bundle = _Bundle(dice, focus)
    case = bundle.build()
    most = {"any": 16, "values": 8, "state": 30, "counters": 40}[focus]
    steps = SHORT_STEPS if bundle.world.short else STEPS
    case.events = history(dice, bundle.plans, most, steps, bundle.world.labels)
    return case
