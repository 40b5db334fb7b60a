"""Graph nodes in SQL: they give what the interpreter gives, in every way in which they can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.compile import analyse, build
from quell.engine.interpret import Evaluator
from quell.engine.operations import OPERATIONS
from quell.replay.database import Database
from quell.replay.sql_expressions import LEAVES, NotAColumn, Translator
from quell.signals.patterns import search
from tests.bundles import files, sound
from tests.model_files import model_of
from tests.sql_support import Values, differences, drawn, events_of, field_values, given_nodes, hold, testable
from tests.strategies_policy import cases
from tests.test_generated import compiled


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with Database() as made:
        yield made


def rows_of(translator: Translator, entries: list[Any], rng: Random) -> list[Values]:
    """What the columns hold for some events: their fields, and state as it may be."""
    out = []
    for entry in entries:
        values = field_values(translator.build, translator, entry)
        for number in given_nodes(translator):
            if number not in values:
                values[number] = drawn(rng, translator.graph[number], translator.types)
        out.append(values)
    return out


@pytest.mark.parametrize("focus", ["values", "any"])
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_sql_gives_what_the_interpreter_gives(focus: str, data: st.DataObject, seed: int, db: Database) -> None:
    case = data.draw(cases(focus))
    made = build(compiled(case), all_fields=True)
    for event, entries in events_of(made, case.events).items():
        translator = Translator(db, made, event)
        found = differences(db, translator, rows_of(translator, entries, Random(seed)))
        assert not found, f"{found[0]}\n{len(found)} differences\n{case.text}"


# ----------------------------------------------------------- every operation

BUNDLE = """
entity User labels "spammer"
shape thing
  name  text = $.name
  price number? = $.price
  by    User? = $.by
event message from "m"
  id      text   = $.id
  at      time   = $.at
  author  User   = $.author
  content text   = $.content
  note    text?  = $.note
  amount  number = $.amount
  extra   number? = $.extra
  ok      bool?  = $.ok
  joined  time?  = $.joined
  took    duration = $.took
  addr    ip?    = $.addr
  colour  one of ["red", "green"]? = $.colour
  tags    list<text> = $.tags[*]
  sizes   list<number>? = $.sizes[*]
  things  list<thing> = $.things[*]
list few    from "few.txt" as exact
list many   from "many.txt" as exact
list starts from "starts.txt" as prefixes
list hosts  from "hosts.txt" as domains
list nets   from "nets.txt" as cidrs
list slurs  from "slurs.txt" as words
list shapes from "shapes.txt" as patterns
list geo    from "geo.csv" as exact gives city text, risk number, since time, near bool
model spam from "spam.lgb"
  length  = length(content)
  extra   = extra
  country = note
model far from remote "far"
  content = content
  when amount > 3
score whole
  40 when amount > 5 because "big {amount}"
  minus 15 when ok
score parts
  0.1 when amount > 5
  0.2 when extra > 5 because "more {note}"
  minus 0.3 when ok
let counted = count(message by author within 1h)
let rated = rate(message by author per 7m within 1h)
let b1 = rate(message by author per 10m within 1h)
let a1 = amount + extra * 2 - 0.1
let a2 = amount / extra
let a3 = amount // extra
let a4 = amount % extra
let a5 = -amount
let a6 = amount / 7
let a7 = amount // 3
let a8 = amount % 3
let a9 = amount * 1e308 * 10
let t1 = joined + took
let t2 = joined - took
let t3 = at - joined
let t4 = took + 1h
let t5 = took - (at - joined)
let t6 = took * extra
let t7 = took / extra
let t8 = took / 3
let t9 = took / (at - joined)
let t10 = took // (at - joined)
let c1 = amount == extra or amount != 3
let c2 = amount < extra and amount <= 3 or not (amount > extra) and amount >= 3
let c3 = extra ?? amount
let c4 = extra is missing
let c5 = content contains note or note contains ""
let c6 = content starts with note
let c7 = content ends with note
let c8 = content < note
let j1 = "{author}:{content}"
let j2 = "{amount} of {took} {ok} {tags}"
let m1 = content matches /fr[e3]{2}/i
let m2 = note matches /^\\pL+$/
let m3 = note matches /(?<n>a)b/
let l1 = content in few
let l2 = content in many
let l3 = content in starts
let l4 = note in hosts
let l5 = addr in nets
let l6 = content matches slurs
let l7 = note matches shapes
let l8 = found(content, slurs)
let l9 = geo[content].risk
let l10 = geo[content].since
let x1 = [amount, extra, 3]
let x2 = content in tags
let x3 = note in tags
let x4 = amount in [1, 2, 0.5]
let x5 = things.price
let x6 = [t of things where t.price > 3]
let x7 = any things.price > 3
let x8 = all things.name contains "a"
let x9 = any tags == note
let x10 = none sizes > 3
let x11 = User(content) == author
let x12 = first(x6).name
let x13 = [t of things where t.name.host in hosts]
let x14 = any tags in ["a", "b"]
let f1 = same(content, note)
let same(a: text, b: text) = lower(a) == lower(b)
let lab = author labelled "spammer"
let age = label_age(author, "spammer")
rule strike on message
  when counted reaches 5 and lab
  then flag
rule again on message
  when fired strike or far > 3 or spam > 50% or whole > 3 or parts > 0.2 or age > 1d or any reasons(parts) == "x"
  then review
  because "{note} and {amount}"
rule rest on message
  when same(content, "free") or b1 > 2 or rated > 2
  then flag
verdicts allow < flag < review < challenge < block
"""
LISTS = {
    "few.txt": "a\nfree\né",
    "many.txt": "\n".join(["free", "a b", *(f"u{i}" for i in range(300))]),
    "starts.txt": "fr\né",
    "hosts.txt": "bad.test\na.example",
    "nets.txt": "10.0.0.0/8\n2001:db8::/32",
    "slurs.txt": "free\nbad word",
    "shapes.txt": "fr[e3]e\n/^a/i",
    "geo.csv": "key,city,risk,since,near\nfree,Paris,0.5,2020-01-01,true\na,,,,\n",
}
MODEL = """
objective: binary
features: length, extra, country
categories of country: "a", "free", "us"
length > 3: 0.7
extra > 2: -1.1
country in "a", "us": 1.3
"""
AWKWARD_TEXTS = (
    "", "a", "free", "FREE", "fr33 b", "é", "ÉCLAIR", "\u212a \u017f\u00df", "a\0b", "\u0130", "a b", "\n", "\U0001f600",
    "http://x.bad.test/a", "10.1.2.3", "bad  word", "ab", "\u01c5", "Σς", "{x} '\"\\", "\u2ebf0", "\U0002ebf0", "%", "_",
)  # fmt: skip
AWKWARD_NUMBERS = (
    0, 1, 2, 3, -1, -3, 7, 0.5, -0.5, 2.5, -2.5, 0.1, 0.30000000000000004, 6, -7.5, 1e308, -1e308, 5e-324, 2**53, -(2**53),
    9007199254740993, 1e16, 4503599627370495.5, 0.49999999999999994, 1e22, 123456.789, -0.0,
)  # fmt: skip


def awkward_events(rng: Random, count: int) -> list[bytes]:
    """Messages whose every value is awkward."""

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.25 else value

    def thing() -> dict[str, Any]:
        name, price, by = rng.choice(AWKWARD_TEXTS), rng.choice(AWKWARD_NUMBERS), rng.choice(AWKWARD_TEXTS)
        return {"name": name, "price": maybe(price), "by": maybe(by)}

    return [
        msgspec.json.encode(
            {
                "type": "m",
                "id": f"m{i}",
                "at": 1_772_323_200_000_000 + i * 1_000_000,
                "author": rng.choice(("u1", "é", "a", "free")),
                "content": rng.choice(AWKWARD_TEXTS),
                "note": maybe(rng.choice(AWKWARD_TEXTS)),
                "amount": rng.choice(AWKWARD_NUMBERS),
                "extra": maybe(rng.choice(AWKWARD_NUMBERS)),
                "ok": maybe(rng.random() < 0.5),
                "joined": maybe(rng.choice((1_772_236_800_000_001, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))),
                "took": rng.choice((0, 1, 3600, 0.000001, 1e9, 86_400.5, 3e12)),
                "addr": maybe(rng.choice(("10.1.2.3", "2001:db8::1", "8.8.8.8"))),
                "colour": maybe(rng.choice(("red", "green"))),
                "tags": [rng.choice(AWKWARD_TEXTS) for _ in range(rng.randrange(4))],
                "sizes": maybe([rng.choice(AWKWARD_NUMBERS) for _ in range(rng.randrange(4))]),
                "things": [thing() for _ in range(rng.randrange(4))],
            }
        )
        for i in range(count)
    ]


def bundle() -> Any:
    """The bundle with every operation."""
    made = files(BUNDLE, LISTS)
    made.extra["spam.lgb"] = model_of(MODEL)
    return analyse(made, lints=False)


def test_every_operation_gives_what_the_interpreter_gives(db: Database) -> None:
    analysis = bundle()
    assert not analysis.report.errors, analysis.report.errors
    made = build(analysis, all_fields=True)
    translator = Translator(db, made, "message")
    entries = events_of(made, awkward_events(Random(4), 300))["message"]
    assert len(entries) > 250
    found = differences(db, translator, rows_of(translator, entries, Random(5)))
    assert not found, f"{found[0]}\n{len(found)} differences"
    missing = set(OPERATIONS) - {node.op for node in translator.graph.nodes} - {"injected"}
    assert not missing, f"the bundle does not use {missing}"
