"""Graph nodes in SQL: they give what the interpreter gives, in every way in which they can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse, build
from quell.engine.operations import EARLIEST, LATEST, OPERATIONS
from quell.replay.database import Database
from quell.replay.sql_expressions import NotAColumn, Translator
from quell.replay.sql_python import Pythons
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function, Parameter
from tests.bundles import files, sound
from tests.model_files import model_of
from tests.sql_support import (
    Values,
    checkable,
    differences,
    drawn,
    events_of,
    field_values,
    given_nodes,
    hold,
    same,
)
from tests.strategies_policy import cases
from tests.test_generated import compiled

_profile = settings.default
EXAMPLES = max(25, _profile.max_examples // 2 if _profile is not None else 0)


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
@settings(max_examples=EXAMPLES)
def test_sql_gives_what_the_interpreter_gives(
    focus: str, data: st.DataObject, seed: int, db: Database
) -> None:
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
list exotic from "exotic.txt" as patterns
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
let l11 = note matches slurs
let l12 = size(found(note, slurs)) > 0
let l13 = content matches exotic
let e1 = extract(content, /fr(e)?(3)?/)
let e2 = replace(note, /[a-z]+/, "x")
let e3 = slice(content, 1, 3)
let e4 = hour_of_day(joined, "Europe/Paris")
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
  when fired strike or far > 3 or spam > 50% or whole > 3 or parts > 0.2
    or age > 1d or any reasons(parts) == "x"
  then review
  because "{note} and {amount}"
rule rest on message
  when same(content, "free") or b1 > 2 or rated > 2
  then flag
verdicts allow < flag < review < challenge < block
"""
LISTS = {
    "few.txt": "a\nfree\né",
    "many.txt": "\n".join(["free", "a b", *(f"u{i}" for i in range(2_500))]),
    "starts.txt": "fr\né",
    "hosts.txt": "bad.test\na.example",
    "nets.txt": "10.0.0.0/8\n2001:db8::/32",
    "slurs.txt": "free\nbad word",
    "shapes.txt": "fr[e3]e\n/^a/i",
    "exotic.txt": "\\pL+x\nfree",
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
    "", "a", "free", "FREE", "fr33 b", "é", "ÉCLAIR", "\u212a \u017f\u00df", "a\0b", "\u0130", "a b",
    "\n", "\U0001f600", "http://x.bad.test/a", "10.1.2.3", "bad  word", "ab", "\u01c5", "Σς",
    "{x} '\"\\", "\u2ebf0", "\U0002ebf0", "%", "_",
)  # fmt: skip
AWKWARD_NUMBERS = (
    0, 1, 2, 3, -1, -3, 7, 0.5, -0.5, 2.5, -2.5, 0.1, 0.30000000000000004, 6, -7.5, 1e308, -1e308, 5e-324,
    2**53, -(2**53), 9007199254740993, 1e16, 4503599627370495.5, 0.49999999999999994, 1e22, 123456.789, -0.0,
)  # fmt: skip


AWKWARD_TIMES = (1_772_236_800_000_001, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")


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
                "joined": maybe(
                    rng.choice((1_772_236_800_000_001, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
                ),
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


def with_model(text: str, lists: dict[str, str]) -> Analysis:
    """A bundle without errors that has the model `spam.lgb`."""
    held = files(text, lists)
    extra = {**held.extra, "spam.lgb": model_of(MODEL)}
    analysis = analyse(Files("written", held.sources, extra=extra), lints=False)
    assert not analysis.report.errors, analysis.report.errors
    return analysis


def test_every_operation_gives_what_the_interpreter_gives(db: Database) -> None:
    analysis = with_model(BUNDLE, LISTS)
    graph = analysis.lowerer.graph("message")
    for node in [n for n in graph.nodes if n.op == "field" and n.type.kind == "text"]:
        graph.add("fold", (node.id,), (), node.type)  # which only the plan makes
    made = build(analysis, all_fields=True)
    translator = Translator(db, made, "message")
    entries = events_of(made, awkward_events(Random(4), 300))["message"]
    assert len(entries) > 250
    found = differences(db, translator, rows_of(translator, entries, Random(5)))
    assert not found, f"{found[0]}\n{len(found)} differences"
    missing = set(OPERATIONS) - {node.op for node in translator.graph.nodes} - {"injected"}
    assert not missing, f"the bundle does not use {missing}"


# ------------------------------------------------------------ every function

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "number": tuple(map(float, AWKWARD_NUMBERS)),
    "text": ("héllo 😀!", *AWKWARD_TEXTS, "  x ", "\u2003a,b,,c\u3000", ",", "ab" * 40, "aaa", "\x1ca"),
    "time": (
        0,
        -1,
        1_772_323_200_000_000,
        EARLIEST,
        LATEST,
        -86_400_000_000,
        86_399_999_999,
        951_782_400_000_000,
    ),
    "list": ([], [0.5], [1.0, 2.0, 1.0], [-0.0, 0.0], [2.0, 0.5, 3.0]),
}
LITERALS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "round": ((0,), (1,), (2,), (15,)),
    "replace": (("a", ""), ("aa", "a'b"), ("{", "}"), ("é", "ee"), ("a\0", "x"), (("[a-z]", ""), "x")),
    "extract": ((("fr", ""),), (("(a)|b", ""),)),
    "hour_of_day": (("UTC",), ("Europe/Paris",)),
    "day_of_week": (("UTC",), ("Europe/Paris",)),
    "date": (("UTC",), ("Europe/Paris",)),
}


def kind_of(parameter: Parameter) -> str:
    """The arguments that a parameter is tried with."""
    return "number" if parameter.type.kind == "var" else parameter.type.kind


@pytest.mark.parametrize("row", [r for r in REGISTRY.rows() if r.sql is not None], ids=lambda r: r.name)
def test_duckdb_is_the_judge_of_the_sql_of_a_function(row: Function, db: Database) -> None:
    free = [ARGUMENTS[kind_of(p)] for p in row.parameters if not p.literal]
    if row.variadic:
        free.append(free[-1][:5])
    cases = list(product(*free))
    cases = cases if len(cases) < 2_000 else Random(1).sample(cases, 2_000)
    types = [pa.list_(pa.float64()) if isinstance(f[0], list) else None for f in free]
    arrays = [pa.array([c[i] for c in cases], types[i]) for i in range(len(free))]
    names = [f"a{i}" for i in range(len(free))]
    db.con.register("tried", pa.Table.from_arrays(arrays, names=names))
    said = 0
    for literals in LITERALS.get(row.name, ((),)):
        text = row.sql if isinstance(row.sql, str) else row.sql(*literals) if row.sql is not None else None
        call = row.call if row.prepare is None else row.prepare(*literals)
        assert call is not None
        if text is None:
            continue
        said += 1
        text = text.replace("{python}", "'left to Python'")
        found = db.rows(f"SELECT {text.format(*names, all=', '.join(names))} FROM tried")
        for (got,), case in zip(found, cases, strict=True):
            if got == "left to Python":
                continue
            assert same(got, call(*case)), f"{row.name}{case} {literals}: {got!r}, not {call(*case)!r}"
    assert said


# ------------------------------------------------------------------ patterns

PATTERNS = (
    ("free", ""), ("FREE", "i"), ("^a$", ""), ("^a$", "m"), ("a.b", ""), ("a.b", "s"), ("k", "i"), ("s", "i"),
    (r"\bab\b", ""), (r"\d+", ""), (r"[[:alpha:]]", ""), (r"\x00", ""), ("^", ""), ("a|^$", ""), (r"\pL", ""),
    (r"\P{Han}", "i"), (r"\p{So}", ""), ("'", ""), (r"\Qa b", ""), ("(?i)Fr[e3]{2}", ""), ("é", "i"),
    ("[^a]", ""), ("ss", "i"),
    (r"\s", ""), (r"\w$", "m"), ("%", ""), ("_", ""), ("x{0}", ""), ("(?-i)free", "i"), (r"\n", ""),
)  # fmt: skip


def test_patterns_are_found_where_online_finds_them(db: Database) -> None:
    lines = [f"let p{i} = content matches /{p}/{f}" for i, (p, f) in enumerate(PATTERNS)]
    lines = [*HEAD, *lines, *(f"let q{i} = note matches /{p}/{f}" for i, (p, f) in enumerate(PATTERNS))]
    made = build(sound("\n".join(lines)), all_fields=True)
    translator = Translator(db, made, "message")
    texts = [*AWKWARD_TEXTS, "xa b", "a\nb", "K", "\u017fS", "\u2ffc", "日本", "'"]
    events = [
        msgspec.json.encode({"type": "m", "at": 1_772_323_200_000_000, "content": t, "note": n})
        for t in texts
        for n in (None, t)
    ]
    rows = [field_values(made, translator, e) for e in events_of(made, events)["message"]]
    assert not differences(db, translator, rows)
    matches = [n.id for n in translator.graph.nodes if n.op == "match"]
    over = translator.over("held", matches, hold(db, translator, rows))
    assert over.relation.count("regexp_matches") == 2, "there is no gate before the patterns of each text"


HEAD = (
    'event message from "m"',
    "  at      time    = $.at",
    "  content text    = $.content",
    "  note    text?   = $.note",
    "  amount  number? = $.amount",
)

# ----------------------------------------------------------- shapes of graphs


def numbers(db: Database, lines: list[str]) -> tuple[Translator, list[Values]]:
    """A bundle of lets over an amount, and rows of amounts."""
    made = build(sound("\n".join([*HEAD, *lines])), all_fields=True)
    events = [
        {"type": "m", "at": 1_772_323_200_000_000, "content": f"{a}", "amount": a}
        for a in (*AWKWARD_NUMBERS, None)
    ]
    translator = Translator(db, made, "message")
    entries = events_of(made, [msgspec.json.encode(e) for e in events])["message"]
    return translator, [field_values(made, translator, e) for e in entries]


def test_a_deep_expression_is_worked_out(db: Database) -> None:
    deep = ["let d0 = amount", *(f"let d{i} = d{i - 1}{' * 0.5 + 1 - amount' * 30}" for i in range(1, 8))]
    many = " or ".join(f"amount == {i}" for i in range(900))
    translator, rows = numbers(db, [*deep, f"let many = {many}"])
    wanted = [v.node for v in translator.build.analysis.values["message"]]
    assert not differences(db, translator, rows, wanted)


def test_lets_that_double_one_another_stay_short(db: Database) -> None:
    lines = ["let a0 = amount * 0.5", *(f"let a{i} = a{i - 1} * 2 + a{i - 1} / 3" for i in range(1, 40))]
    translator, rows = numbers(db, lines)
    columns = hold(db, translator, rows)
    wanted = checkable(translator)
    assert max(len(translator.sql(w, columns)) for w in wanted) < 50_000
    assert not differences(db, translator, rows)


def test_points_that_are_no_whole_numbers_are_added_up_exactly(db: Database) -> None:
    items = [f"  {'minus ' * (i % 3 == 1)}{(i + 1) / 10} when amount > {i - 40}" for i in range(130)]
    translator, rows = numbers(db, ["score risk", *items, "let r = risk > 0"])
    assert not differences(db, translator, rows)
    assert any("points" in why for _, why in translator.ways)


def test_numbers_of_models_are_those_of_single_rows_to_the_bit(db: Database) -> None:
    lines = [
        'model spam from "spam.lgb"',
        "  length = length(content)",
        "  extra = amount",
        "  country = note",
    ]
    ready = build(with_model("\n".join([*HEAD, *lines, "let s = spam"]), {}), all_fields=True)
    translator = Translator(db, ready, "message")
    rng = Random(3)
    notes = (None, "a", "free", "other")
    events = [
        {"type": "m", "at": 1, "content": "x" * rng.randrange(9), "note": rng.choice(notes)}
        | ({"amount": rng.random() * 5} if rng.random() < 0.7 else {})
        for _ in range(3_000)
    ]
    entries = events_of(ready, [msgspec.json.encode(e) for e in events])["message"]
    rows = [field_values(ready, translator, e) for e in entries]
    assert not differences(db, translator, rows)


# -------------------------------------------------------------------- errors


def test_what_is_in_no_column_is_named(db: Database) -> None:
    translator, _ = numbers(db, ["let n = count(message by content within 1h)"])
    counter = next(n.id for n in translator.graph.nodes if n.op == "counter")
    fields = {n: "x" for n in given_nodes(translator) if translator.graph[n].op != "counter"}
    with pytest.raises(NotAColumn, match=f"node {counter} .counter"):
        translator.sql(counter, fields)


def test_a_defect_in_python_is_an_error_and_no_missing_value(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator, rows = numbers(db, ['let s = similarity(content, "broken") > 0.5'])
    columns = hold(db, translator, rows)
    node = next(n for n in translator.graph.nodes if n.op == "call" and n.data[0] == "similarity")

    def broken(*values: Any) -> Any:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(Pythons, "one", lambda self, root, inputs: broken)
    text = translator.sql(node.id, columns)
    with pytest.raises(duckdb.Error, match="`similarity` could not be worked out: by nought"):
        db.rows(f"SELECT {text} FROM held")


def test_functions_keep_their_names_and_other_policies_have_others(db: Database) -> None:
    lines = ['let s = similarity(content, "free") > 0.5']
    said = []
    for more in ([], [], ["let other = 3"]):
        translator, rows = numbers(db, lines + more)
        node = next(n for n in translator.graph.nodes if n.op == "call")
        said.append(translator.sql(node.id, hold(db, translator, rows)))
        assert translator.ways == [(node.id, "`similarity` is worked out in Python")]
    assert said[0] == said[1] != said[2]


def test_a_costly_value_needed_twice_is_shared(db: Database) -> None:
    lines = [
        'let s = similarity(content, "free")',
        "let both = s > 0.5 or s < 0.1",
        "let once = content == note",
    ]
    translator, rows = numbers(db, lines)
    columns = hold(db, translator, rows)
    roots = [v.node for v in translator.build.analysis.values["message"]]
    call = next(n.id for n in translator.graph.nodes if n.op == "call")
    over = translator.over("held", roots, columns)
    assert set(over.columns) - set(columns) == {call}
    assert translator.true(roots[0], over.columns).count("quell_") == 0
