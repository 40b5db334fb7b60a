"""The interpreter says what the language means, and generated code says what the interpreter says.

Every bundle here runs twice over its events, as it is and with probes that hand over each value of the
graph; `bundles.Judged` holds both against the interpreter. What the interpreter itself must say is
written out by hand.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.agreement import build_probed, differences, fits, probe_differences, same, unfit
from quell.engine.compile import analyse, build
from quell.engine.events import Decoded
from quell.engine.graph import Graph
from quell.engine.interpret import Evaluator, FieldReaders, Interpreter, NotRead
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.grammar.types import BOOL, NUMBER, TEXT, Type, list_of
from tests.bundles import SECOND, Judged, engine, files, sound

HEAD = """
entity User labels "trusted", "spammer"
entity Server

shape item
  sku   text   = $.sku
  price number? = $.price
  tags  list<text> = $.tags[*]  default []

event order from "order"
  id      text        = $.id
  at      time        = $.at
  user    User        = $.user
  peer    User?       = $.peer
  server  Server?     = $.server
  n       number?     = $.n
  m       number?     = $.m
  k       number      = $.k  default 3
  t       text?       = $.t
  u       text        = $.u  default "Hello World"
  yes     bool?       = $.yes
  flag    bool        = $.flag  default false
  then_   time?       = $.then
  span    duration?   = $.span
  address ip?         = $.ip
  colour  one of ["red", "green"]? = $.colour
  xs      list<number>? = $.xs
  names   list<text>  = $.names  default []
  friends list<User>  = $.friends  default []
  items   list<item>  = $.items  default []

list bad   from "bad.txt"   as domains
list words_ from "words.txt" as words
list nets  from "nets.txt"  as cidrs
list geo   from "geo.csv"   as exact gives country text, lat number
"""
LISTS = {
    "bad.txt": "evil.test\n",
    "words.txt": "grob\nfree money\n",
    "nets.txt": "10.0.0.0/8\n",
    "geo.csv": "exact,country,lat\na,DE,52.5\nb,,\n",
}


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "order", "id": "1", "at": "2026-01-01T12:00:00Z", "user": "u1", **fields}


# ------------------------------------------------------------- operators

PAIRS: list[tuple[str, dict[str, Any], Any]] = [
    ("n + m", {"n": 2, "m": 0.5}, 2.5),
    ("n + m", {"n": 2}, None),
    ("n + m", {"n": 1.7e308, "m": 1.7e308}, None),
    ("n - m", {"n": 2, "m": 0.5}, 1.5),
    ("n * m", {"n": 9007199254740993, "m": 3}, 9007199254740992.0 * 3),
    ("n / m", {"n": 1, "m": 4}, 0.25),
    ("n / m", {"n": 1, "m": 0}, None),
    ("n // m", {"n": -7, "m": 2}, -4.0),
    ("n % m", {"n": -7, "m": 3}, 2.0),
    ("n % m", {"n": -7, "m": 0}, None),
    ("-n", {"n": 4}, -4),
    ("-n", {}, None),
    ("n ?? m ?? k", {}, 3),
    ("n ?? m ?? k", {"m": 7}, 7),
    ("at - then_", {"then": "2026-01-01T11:00:00Z"}, 3600 * SECOND),
    ("at - then_", {}, None),
    ("then_ + span", {"then": "2026-01-01T11:00:00Z", "span": 60}, 1767265260 * SECOND),
    ("then_ - span", {"then": "0001-01-01T00:00:00Z", "span": 60}, None),
    ("span * 1.5", {"span": 1}, 1_500_000),
    ("span / 4", {"span": 1}, 250_000),
    ("span / n", {"span": 1, "n": 0}, None),
    ("span / 1s", {"span": 90}, 90.0),
    ("span // 1m", {"span": 90}, 1.0),
    ("span + 1s - 2s", {"span": 90}, 89 * SECOND),
    ("n == m", {"n": 1, "m": 1.0}, True),
    ("n != m", {"n": 1}, None),
    ("n < m", {"n": 1, "m": 2}, True),
    ("1 <= n < 5", {"n": 5}, False),
    ("1 <= n < 5", {}, None),
    ('t >= "b"', {"t": "a"}, False),
    ('colour == "red"', {"colour": "red"}, True),
    ('colour == "red"', {"colour": "blue"}, None),
    ('address == "10.0.0.1"', {"ip": "10.0.0.1"}, True),
    ("user == peer", {"peer": "u1"}, True),
    ("user == peer", {}, None),
    ("yes and flag", {"flag": False}, False),
    ("yes and flag", {"flag": True}, None),
    ("yes or flag", {"flag": True}, True),
    ("yes or flag", {"flag": False}, None),
    ("not yes", {}, None),
    ("not yes", {"yes": False}, True),
    ("not (yes and n > 3 or flag)", {"yes": True, "n": 2}, True),
    ("n is missing", {}, True),
    ("n is present", {}, False),
    ("n is not missing", {"n": 0}, True),
    ('u contains "lo W"', {}, True),
    ('t contains "x"', {}, None),
    ('t not contains "x"', {}, None),
    ('t not contains "x"', {"t": "abc"}, True),
    ('u starts with "Hello"', {}, True),
    ('t ends with "c"', {"t": "abc"}, True),
    ("u matches /w.rld/i", {}, True),
    ("t matches /w.rld/i", {}, None),
    ("t not matches /w.rld/i", {"t": "word"}, True),
    ("u matches words_", {"u": "a Grob!"}, True),
    ("t matches words_", {}, None),
    ("found(u, words_)", {"u": "free money, grob"}, ["free money", "grob"]),
    ("found(t, words_)", {}, None),
    ("u in bad", {"u": "https://a.evil.test/x"}, True),
    ("t in bad", {}, None),
    ("address in nets", {"ip": "10.2.3.4"}, True),
    ("address in nets", {"ip": "11.2.3.4"}, False),
    ("geo[t].country", {"t": "a"}, "DE"),
    ("geo[t].country", {"t": "b"}, None),
    ("geo[t].country", {"t": "zz"}, None),
    ("geo[t].lat", {}, None),
    ("n in [1, 2, 3]", {"n": 2}, True),
    ("n not in [1, 2, 3]", {}, None),
    ("n in xs", {"n": 2, "xs": [1, 2]}, True),
    ("n in xs", {"n": 2}, None),
    ("xs contains 4", {"xs": [1, 2]}, False),
    ("t in names", {"t": "a", "names": ["b", "a"]}, True),
    ('"{n} and {t}"', {"n": 1.5, "t": "x"}, "1.5 and x"),
    ('"{n} and {t}"', {"n": 1.5}, None),
    ('User("x{k}") == user', {"user": "x3"}, True),
    ("[n, m, k]", {"m": 4}, [4, 3]),
    ("size(names)", {"names": ["a"]}, 1),
    ("size(xs)", {}, None),
    ("upper(t)", {"t": "ab"}, "AB"),
    ("upper(t)", {}, None),
    ("sqrt(n)", {"n": -1}, None),
    ("min(n, m, k)", {"n": 5, "m": 4}, 3),
    ("min(n, m, k)", {"n": 5}, None),
    ("number(t)", {"t": "x"}, None),
    ("number(t)", {"t": "1.5"}, 1.5),
    ("any names == t", {"t": "a", "names": ["b", "a"]}, True),
    ("any names == t", {"names": ["b", "a"]}, None),
    ("any names == t", {}, False),
    ("any xs > 3", {}, None),
    ("all xs > 3", {"xs": [4, 5]}, True),
    ("all xs > 3", {"xs": []}, True),
    ("none xs > 3", {"xs": [1, 5]}, False),
    ("none xs > 3", {}, None),
    ("[x of xs where x > n]", {"xs": [1, 2, 3], "n": 1}, [2, 3]),
    ("[x of xs where x > n]", {"xs": [1, 2, 3]}, []),
    ("[x of xs where x > n]", {}, None),
    ("items.sku", {"items": [{"sku": "a"}, {"sku": "b"}]}, ["a", "b"]),
    ("items.price", {"items": [{"sku": "a", "price": 2}, {"sku": "b"}]}, [2]),
    ("any items.price > 1", {"items": [{"sku": "a", "price": 2}, {"sku": "b"}]}, True),
    ("size([i of items where i.price > 1])", {"items": [{"sku": "a", "price": 2}, {"sku": "b"}]}, 1),
    ("size([i of items where i.price is missing])", {"items": [{"sku": "a", "price": 2}, {"sku": "b"}]}, 1),
    ("size([i of items where any i.tags == t])", {"items": [{"sku": "a", "tags": ["q"]}], "t": "q"}, 1),
    ("size([x of xs where any [y of xs where y > x] == k])", {"xs": [1, 2, 3]}, 2),
    ('user labelled "spammer"', {}, False),
    ('peer labelled "spammer"', {}, None),
    ('any friends labelled "spammer"', {"friends": ["u1"]}, False),
    ('label_age(user, "spammer")', {}, None),
]


BODIES = list(dict.fromkeys(body for body, _, _ in PAIRS))
LETS = "".join(f"let v{i} = {body}\n" for i, body in enumerate(BODIES))


@pytest.fixture(scope="module")
def lets() -> Judged:
    """A bundle with a let for every operation."""
    return Judged(HEAD + LETS, LISTS)


@pytest.mark.parametrize(("body", "fields", "expected"), PAIRS, ids=[f"{b} {f}" for b, f, _ in PAIRS])
def test_what_an_operation_means(lets: Judged, body: str, fields: dict[str, Any], expected: Any) -> None:
    assert same(lets.values(event(**fields))[f"v{BODIES.index(body)}"], expected)


def test_a_score_counts_only_what_is_true() -> None:
    text = """
score risk
  40 when n > 1 because "n is {n}"
  25 when yes because "said {yes}, {t}"
  minus 10 when flag because "flag"
  5 when user == "u1"
let told = reasons(risk)
rule r on order when risk >= 30 then review because "{risk}: {reasons(risk)}"
"""
    judged = Judged(HEAD + text, LISTS)
    assert judged.values(event(n=2, flag=True)) == {"risk": 35, "told": ["n is 2", "flag"]}
    assert judged.values(event()) == {"risk": 5, "told": []}
    decision = judged.decide(event(n=2, yes=True))
    assert [f.message for f in decision.fired] == ["70: n is 2, said true, ?"]


def test_functions_of_the_bundle_are_what_their_bodies_are() -> None:
    text = "let twice(x: number) = x * 2\nlet far(x: number, y: number) = abs(x - y) > k\n"
    lets = {"a": "twice(n)", "b": "far(twice(n), m)"}
    whole = HEAD + text + "".join(f"let {n} = {b}\n" for n, b in lets.items())
    judged = Judged(whole, LISTS)
    assert judged.values(event(n=2, m=0)) == {"a": 4, "b": True}
    assert judged.values(event(n=2)) == {"a": 4, "b": None}


# ---------------------------------------------------------------- counters

COUNTERS = """
let c        = count(order by user within 10s)
let c_before = count(order by user within 10s before this)
let c_ever   = count(order by user ever)
let c_all    = count(order within 10s)
let c_ago    = count(order by user within 10s before 5s ago)
let c_list   = count(order by friends within 1m)
let c_peer   = count(order by user as peer within 1m)
let c_where  = count(order by user, server within 1m where n > 1)
let d        = distinct(t of order by user within 10s)
let d_before = distinct(t of order by user within 10s before this)
let d_list   = distinct(friends of order by user within 1m before this)
let d_ever   = distinct(t of order by user ever)
let d_ago    = distinct(t of order by user within 10s before 5s ago)
let nested   = count(order by user within 1m where c >= 2)
let strikes  = count(fired hit by user within 1m)
let strikes_before = count(fired hit by user within 1m before this)
rule third on order when c reaches 3 then flag
rule twice on order when d reaches 2 then flag
rule hit on order when n > 1 then review because "{c} {d}"
rule again on order when strikes reaches 2 then review because "{strikes}"
rule seen on order when strikes_before >= 1 and fired hit then flag
"""


def at(seconds: int) -> str:
    return f"2026-01-01T12:00:{seconds:02d}Z"


def test_counters_read_after_the_event_was_counted() -> None:
    judged = Judged(HEAD + COUNTERS, LISTS)
    first = judged.values(event(t="a", friends=["f1", "f2", "f1"], n=2))
    assert first == {
        "c": 1,
        "c_before": 0,
        "c_ever": 1,
        "c_all": 1,
        "c_ago": None,
        "c_list": [1, 1],
        "c_peer": None,
        "c_where": None,
        "d": 1,
        "d_before": 0,
        "d_list": 0,
        "d_ever": 1,
        "d_ago": None,
        "nested": 0,
        "strikes": 1,
        "strikes_before": 0,
    }
    second = judged.values(event(at=at(4), t="a", friends=["f2", "f3"], peer="u1", server="s", n=2))
    assert (second["c"], second["c_before"], second["d"], second["d_before"]) == (2, 1, 1, 1)
    assert (second["c_list"], second["d_list"]) == ([2, 1], 2)
    assert (second["c_peer"], second["c_where"], second["nested"]) == (2, 1, 1)
    assert (second["strikes"], second["strikes_before"]) == (2, 1)
    third = judged.values(event(at=at(8), t="b"))
    assert (third["c"], third["d"], third["d_before"], third["strikes"]) == (3, 2, 1, 2)
    later = judged.values(event(at=at(25), t="a"))
    assert (later["c"], later["c_before"], later["c_ever"], later["c_ago"]) == (1, 0, 4, 0)
    assert (later["d"], later["d_before"], later["d_ever"]) == (1, 0, 2)


def test_reaching_and_strikes_agree_with_generated_code() -> None:
    judged = Judged(HEAD + COUNTERS, LISTS)
    fired = []
    for i in range(5):
        decision = judged.decide(event(at=at(i), t="ab"[i % 2], n=2))
        fired.append({f.rule for f in decision.fired})
    assert fired == [
        {"hit"},
        {"hit", "twice", "again", "seen"},
        {"hit", "third", "seen"},
        {"hit", "seen"},
        {"hit", "seen"},
    ]


def test_a_late_event_counts_as_of_its_keys_newest_time() -> None:
    judged = Judged(HEAD + COUNTERS, LISTS)
    judged.values(event(at=at(30), t="a"))
    late = judged.values(event(at=at(5), t="b"))
    assert (late["c"], late["c_before"], late["d"], late["d_before"]) == (2, 1, 2, 1)


def test_shadow_rules_see_shadow_firings_and_live_ones_do_not() -> None:
    text = """
rule quiet on order when n > 1 then block mode shadow
rule echo on order when fired quiet then flag mode shadow
rule live on order when fired quiet then review
rule counts on order when count(fired quiet by user within 1m) >= 1 then review
"""
    decision = Judged(HEAD + text, LISTS).decide(event(n=2))
    assert [f.rule for f in decision.shadow] == ["echo", "quiet"]
    assert decision.fired == ()


def test_exemptions_rollouts_and_effects_agree() -> None:
    text = """
rule friends_of_ours on order when user labelled "trusted" then exempt from tag "x"
rule some on order when n > 0
  then block
       label friends "spammer" for 1h
       unlabel peer "spammer"
       send "q" { n: n, t: t, who: friends } limit 1 per user, n every 1m
  because "{n} {t}"
  rollout 50% by user, peer
  tag "x"
rule all_ on order when n > 0 then send "q" {} limit 2 per user every 1m tag "x"
"""
    judged = Judged(HEAD + text, LISTS)
    held = 0
    for i in range(40):
        decision = judged.decide(event(user=f"u{i}", peer=f"p{i}", n=i % 3, friends=["a"]))
        held += len(decision.held)
    assert 5 < held < 22  # about half of the 26 that matched
    assert [h.by for h in judged.decide(event(n=1)).held] == ["rollout"]  # no peer, so outside


def test_injected_values_take_the_place_of_lets() -> None:
    text = HEAD + "let big = n > 3\nrule r on order when big and k > 1 then block\n"
    supplied: dict[str, Any] = {}
    made = build(analyse(files(text, LISTS), injected=frozenset({"big"}), lints=False), all_fields=True)
    running = Stepper(made, injected=supplied)
    found = []
    for value in (True, False, None, ...):
        supplied.clear()
        if value is not ...:
            supplied["big"] = value
        wrong: list[Any] = []

        def observe(decoded: Decoded, hits: list[Hit], wrong: list[Any] = wrong) -> None:
            interpreter = Interpreter(running.bundle, running.state, decoded, hits, supplied)
            wrong.extend(differences(interpreter, hits))

        decoded = running.decode(msgspec.json.encode(event(n=5)))
        assert isinstance(decoded, Decoded)
        decision = running.decide_decoded(decoded, observe)
        assert not wrong
        found.append(decision.verdict)
    assert found == ["block", "allow", "allow", "block"]


# ---------------------------------------------------------- random events

OPTIONAL = {
    "n": st.sampled_from([0, 1, 2, 3, -1.5, 1e308, 9007199254740993]),
    "m": st.sampled_from([0, 1, 2, 0.5, -7, 1e308]),
    "k": st.integers(0, 4),
    "t": st.sampled_from(["", "a", "b", "evil.test", "free money", "wOrld"]),
    "u": st.sampled_from(["", "Hello World", "grob", "https://x.evil.test/"]),
    "yes": st.booleans(),
    "flag": st.booleans(),
    "then": st.sampled_from(["2025-12-01T00:00:00Z", "2026-01-01T12:00:00Z", "0001-01-01T00:00:00Z"]),
    "span": st.sampled_from([0, 1, 0.5, 86400, -3]),
    "ip": st.sampled_from(["10.0.0.1", "192.0.2.1", "::1"]),
    "colour": st.sampled_from(["red", "green", "blue"]),
    "peer": st.sampled_from(["u1", "u2"]),
    "server": st.sampled_from(["s1", "s2"]),
    "xs": st.lists(st.integers(0, 4), max_size=4),
    "names": st.lists(st.sampled_from(["a", "b", "evil.test"]), max_size=3),
    "friends": st.lists(st.sampled_from(["u1", "u2", "u3"]), max_size=3),
    "items": st.lists(
        st.fixed_dictionaries(
            {"sku": st.sampled_from(["a", "b"])},
            optional={"price": st.integers(0, 3), "tags": st.lists(st.sampled_from(["q", "a"]), max_size=2)},
        ),
        max_size=3,
    ),
}
EVENTS = st.lists(
    st.builds(
        lambda user, second, fields: event(user=user, at=at(second), **fields),
        st.sampled_from(["u1", "u2"]),
        st.integers(0, 59),
        st.fixed_dictionaries({}, optional=OPTIONAL),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def everything(lets: Judged) -> Judged:
    """Every operation above in lets and in rules that join them, and counters."""
    graph = lets.analysis.lowerer.graph("order")
    conditions = [v.name for v in lets.analysis.values["order"] if graph[v.node].type.kind == "bool"]
    rules = ""
    for i in range(0, len(conditions) - 3, 2):
        a, b, c, d = conditions[i : i + 4]
        condition = f"{a} and not {b} or ({c} and {d})"
        rules += f'rule r{i} on order when {condition} then flag because "{{{a}}} {{v{i}}}"\n'
    return Judged(HEAD + LETS + rules + COUNTERS, LISTS)


@given(events=EVENTS)
def test_generated_code_and_interpreter_agree_on_any_events(
    everything: Judged, events: list[dict[str, Any]]
) -> None:
    for each in events:  # the memory grows from example to example: any history must do
        everything.decide(each)


# ------------------------------------------------------------ the tools


def test_a_field_that_no_rule_reads_is_not_decoded() -> None:
    running = Stepper(build(sound(HEAD + "rule r on order when n > 1 then flag\n", LISTS)))
    decoded = running.decode(msgspec.json.encode(event(n=1, t="x")))
    assert isinstance(decoded, Decoded)
    readers = FieldReaders(running.bundle)
    assert readers.read(decoded, "n") == 1
    with pytest.raises(NotRead, match="`t` of `order` is not decoded"):
        readers.read(decoded, "t")


def test_deep_expressions_do_not_exhaust_the_stack() -> None:
    graph = Graph("e")
    node = graph.add("injected", (), ("x",), NUMBER)
    for _ in range(20_000):
        node = graph.add("add", (node, graph.const(1, NUMBER)), (), NUMBER)
    assert Evaluator(graph, lambda node, values: 5).value(node) == 20_005


def test_the_judge_sees_a_wrong_answer() -> None:
    running = engine(HEAD + 'rule r on order when n > 1 then block send "q" { n: n } because "{n}"\n', LISTS)
    taken: list[str] = []

    def observe(decoded: Decoded, hits: list[Hit]) -> None:
        interpreter = Interpreter(running.bundle, running.state, decoded, hits)
        assert not differences(interpreter, hits)
        taken.extend(str(d) for d in differences(interpreter, []))
        index, _, _, values = hits[0]
        taken.extend(str(d) for d in differences(interpreter, [(index, "rollout", "3", values)]))
        taken.extend(
            str(d) for d in differences(interpreter, [(index, None, "2", ((None,), ({"n": True},)))])
        )
        graph = interpreter.graph
        wrong = graph.add("injected", (), ("nothing",), BOOL)
        taken.extend(unfit(interpreter, [graph[wrong]]))

    decoded = running.decode(msgspec.json.encode(event(n=2)))
    assert isinstance(decoded, Decoded)
    running.decide_decoded(decoded, observe)
    assert taken == [
        "rule r matches: generated code gives False, the interpreter True",
        "rule r: held back: generated code gives 'rollout', the interpreter None",
        "rule r: message: generated code gives '3', the interpreter '2'",
        (
            "rule r: effects: generated code gives [[None], [{'n': True}]], "
            "the interpreter [[None], [{'n': 2.0}]]"
        ),
        "injected(nothing) is None, and a bool is never missing",
    ]


def test_probes_see_a_wrong_value() -> None:
    analysis = sound(HEAD + "rule r on order when n > 1 then block\n", LISTS)
    running = Stepper(build_probed(analysis))
    taken: list[str] = []

    def observe(decoded: Decoded, hits: list[Hit]) -> None:
        interpreter = Interpreter(running.bundle, running.state, decoded, hits)
        assert not probe_differences(interpreter, hits)
        rules = running.bundle.programs["order"].program.rules
        seen = next(h for h in hits if rules[h[0]].name == "~ values")
        seen[3][0][0].update(dict.fromkeys(seen[3][0][0], True))
        taken.extend(str(d) for d in probe_differences(interpreter, hits))

    decoded = running.decode(msgspec.json.encode(event(n=2)))
    assert isinstance(decoded, Decoded)
    running.decide_decoded(decoded, observe)
    assert "value of field(n): generated code gives True, the interpreter 2.0" in taken


@pytest.mark.parametrize(
    ("value", "type_", "good"),
    [
        (True, BOOL, True),
        (1, BOOL, False),
        (True, NUMBER, False),
        (float("inf"), NUMBER, False),
        (1.5, Type("time"), False),
        ("x", TEXT, True),
        ("x", Type("enum", values=("y",)), False),
        (["x", None], list_of(TEXT), False),
        (("x",), list_of(TEXT), False),
        ({}, Type("record", name="r"), True),
    ],
)
def test_what_fits_a_type(value: Any, type_: Type, good: bool) -> None:
    assert fits(value, type_) is good


def test_true_is_not_one() -> None:
    assert not same(True, 1)
    assert same(1, 1.0)
    assert same([1, {"a": None}], (1.0, {"a": None}))
    assert not same({"a": 1}, {"b": 1})
