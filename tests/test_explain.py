"""Explanations: each condition with its value, what decided it, what was not needed, what came of it."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse, build
from quell.engine.decision import Refused
from quell.engine.explain import Explainer
from quell.engine.explain_view import print_explanation
from quell.engine.explanation import Explanation, Part, RuleResult
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import Report
from tests.bundles import engine, sound
from tests.conftest import ROOT

HEAD = """
entity User labels "trusted", "spammer"

event message from "message"
  id       text       = $.id
  at       time       = $.at
  author   User       = $.author
  joined   time?      = $.joined
  content  text       = $.content  default ""
  links    list<text> = $.links  default []
  n        number?    = $.n
  m        number?    = $.m

list bad   from "bad.txt" as domains
list slurs from "slurs.txt" as words
list geo   from "geo.csv" as exact gives country text

let age      = at - joined
let newcomer = age < 7d
let sent_1m  = count(message by author within 1m)
"""
LISTS = {"bad.txt": "evil.test\n", "slurs.txt": "grob\n", "geo.csv": "exact,country\na,DE\nb,\n"}


class Told:
    """A bundle whose decisions are explained."""

    def __init__(self, text: str) -> None:
        self.engine = engine(HEAD + text, LISTS)
        self._explainer = Explainer(self.engine)

    def __call__(self, seconds: int = 0, **fields: Any) -> Explanation:
        event = {
            "type": "message",
            "id": "1",
            "at": f"2026-01-01T12:00:{seconds:02d}Z",
            "author": "u1",
            **fields,
        }
        made = self._explainer.decide(msgspec.json.encode(event))
        assert isinstance(made, Explanation), made
        return made


def rule(made: Explanation, name: str = "r") -> RuleResult:
    return next(r for r in made.rules if r.rule == name)


def lines(part: Part, depth: int = 0) -> list[str]:
    """A part and what stands in it, one line each: state or value, text, role."""
    here = f"{'  ' * depth}{part.state or part.shown}: {part.text}" + (f" [{part.role}]" if part.role else "")
    return [here, *(line for child in part.parts for line in lines(child, depth + 1))]


def part_of(made: Explanation, text: str, name: str = "r") -> Part:
    stack = [rule(made, name).condition]
    while stack:
        top = stack.pop()
        if top.text == text:
            return top
        stack.extend(top.parts)
    raise AssertionError(f"no part {text}")


# ----------------------------------------------------------- parts and roles


def test_a_condition_is_told_part_by_part() -> None:
    told = Told("rule r on message when newcomer and (n > 3 or sent_1m >= 2) then flag\n")
    made = rule(told(joined="2025-12-31T12:00:00Z", n=5))
    assert made.outcome == "fired"
    assert lines(made.condition) == [
        "true: newcomer and (n > 3 or sent_1m >= 2)",
        "  true: newcomer",
        "    true: age < 7d",
        "      1d: age",
        "  true: n > 3 or sent_1m >= 2",
        "    true: n > 3 [decided]",
        "      5: n",
        "    false: sent_1m >= 2 [not needed]",
        "      1: sent_1m [not needed]",
    ]
    assert made.decided == ""


def test_the_first_false_part_in_the_plans_order_decides() -> None:
    told = Told(
        "rule r on message when content matches /x.*y/ and size(urls(content)) > 3 and n > 3 then flag\n"
    )
    made = rule(told(n=1, content="none of it"))
    assert made.outcome == "not matched"
    assert made.decided == "n > 3"  # a comparison costs less than a pattern or links
    assert [p.role for p in made.condition.parts] == ["not needed", "not needed", "decided"]
    assert made.deciding().text == "n > 3"


def test_a_false_part_decides_over_a_missing_one() -> None:
    told = Told("rule r on message when n > 3 and m > 3 then flag\n")
    made = rule(told(m=1))
    assert (made.outcome, made.decided) == ("not matched", "m > 3")
    made = rule(told(m=5))
    assert (made.outcome, made.decided) == ("missing", "n > 3")
    assert [(p.state, p.role) for p in made.condition.parts] == [
        ("missing", "decided"),
        ("true", "not needed"),
    ]


def test_a_false_or_needs_all_of_its_parts() -> None:
    told = Told("rule r on message when n > 3 or m > 3 then flag\n")
    made = rule(told(n=1, m=1))
    assert [p.role for p in made.condition.parts] == ["", ""]
    assert made.decided == "n > 3 or m > 3"


def test_what_decided_a_part_that_did_not_decide_is_not_the_reason() -> None:
    told = Told("rule r on message when (n > 3 or m > 3) and size(urls(content)) > 1 then flag\n")
    made = told(n=5, m=5, content="x")
    assert "decided" in (part_of(made, "n > 3").role, part_of(made, "m > 3").role)  # of an `or` that is true
    assert rule(made).decided == rule(made).deciding().text == "size(urls(content)) > 1"
    text = """
let busy = n > 3 or m > 3
rule r on message when not (busy and content == "") and size(links) == 0 then flag
"""
    assert rule(Told(text)(n=1, m=1, content="x", links=["a"])).decided == "size(links) == 0"


def test_named_conditions_are_opened_where_they_stand() -> None:
    text = """
let busy = n > 1 and m > 1
let odd  = busy or newcomer
rule r on message when odd and busy then flag
"""
    made = rule(Told(text)(n=2, m=2))
    assert lines(made.condition) == [
        "true: odd and busy",
        "  true: odd",
        "    true: busy or newcomer",
        "      true: busy [decided]",
        "        true: n > 1 and m > 1",
        "          true: n > 1",
        "            2: n",
        "          true: m > 1",
        "            2: m",
        "      missing: newcomer",
        "        missing: age < 7d",
        "          missing: age",
        "  true: busy",
        "    true: n > 1 and m > 1",
        "      true: n > 1",
        "        2: n",
        "      true: m > 1",
        "        2: m",
    ]


def test_functions_of_the_bundle_are_opened_with_their_arguments() -> None:
    text = "let far(x: number, y: number) = x - y > 3\nrule r on message when far(n, m) then flag\n"
    made = rule(Told(text)(n=9, m=1))
    assert lines(made.condition)[-3:] == ["    8: x - y", "      9: x", "      1: y"]


def test_a_deep_chain_of_names_is_cut_and_not_exploded() -> None:
    text = "let a0 = n > 1\n" + "".join(
        f"let a{i} = a{i - 1} and (a{i - 1} or m > {i})\n" for i in range(1, 40)
    )
    made = rule(Told(text + "rule r on message when a39 then flag\n")(n=2))
    assert 100 < len(lines(made.condition)) < 500


# ------------------------------------------------------------------- notes


def test_counters_tell_what_they_count_under_which_key() -> None:
    told = Told("rule r on message when count(message by author within 1m before this) >= 1 then flag\n")
    told()
    counter = part_of(told(1), "count(message by author within 1m before this)")
    assert (counter.value, counter.note) == (1, 'under "u1"')
    assert counter.reading is not None
    assert counter.reading.counter == "count(message by author)"
    assert (counter.reading.window, counter.reading.keys) == ("within 1m before this", ["u1"])
    assert counter.reading.identity in told.engine.state.stores


def test_readings_say_their_word_and_what_they_share() -> None:
    told = Told(
        "let previous = last(message by author within 1h)\n"
        "rule r on message when previous.n\n"
        "  == mean(n of message by author within 1d resolution 1m before this)\n"
        "  and since_last(message by author ever) < 1m\n"
        "  and rate(message by author per 1m within 1h) > 0 then flag\n"
    )
    told(n=3)
    made = told(1)
    found = {
        text: part_of(made, text)
        for text in (
            "previous.n",
            "mean(n of message by author within 1d resolution 1m before this)",
            "since_last(message by author ever)",
            "rate(message by author per 1m within 1h)",
        )
    }
    readings = [p.reading for p in found.values()]
    assert [(r.word, r.counter, r.window) for r in readings if r is not None] == [
        ("last", "last(message by author).n", "within 1h"),
        ("mean", "sum(n of message by author resolution 1m)", "within 1d resolution 1m before this"),
        ("since_last", "count(message by author)", "ever"),
        ("rate", "count(message by author)", "within 1h"),
    ]
    assert [p.shown for p in found.values()] == ["3", "3", "1s", f"{2 / 60!r}"]
    notes = [p.note for p in found.values()]
    assert notes == ['under "u1"', 'under "u1"', 'under "u1"', 'under "u1": 2 in 1h, per 1m']
    previous = part_of(made, "previous")
    assert (previous.value, previous.shown) == ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("condition", "fields", "note"),
    [
        ("sent_1m reaches 1", {}, 'under "u1": 0 before this event, 1 now'),
        (
            "sum(n of message by author within 1h) reaches 5",
            {"n": 7},
            'under "u1": 0 before this event, 7 now',
        ),
        ("content matches /f.ee/i", {"content": "it is Free"}, 'found "Free"'),
        ("content matches slurs", {"content": "a grob"}, 'found "grob"'),
        ("any links.domain in bad", {"links": ["http://a.evil.test/"]}, 'true for "evil.test"'),
        (
            "any links.is_shortener",
            {"links": ["http://a.test", "https://bit.ly/x"]},
            'true for "https://bit.ly/x"',
        ),
        ("all links.domain in bad", {"links": ["http://a.test/"]}, 'false for "a.test"'),
        ("any links == content", {"links": ["a"], "content": "b"}, "true for none of 1"),
        ("any links == content", {}, "the list is empty"),
        ('author labelled "spammer"', {}, 'User "u1"'),
    ],
)
def test_notes_say_more_than_the_value(condition: str, fields: dict[str, Any], note: str) -> None:
    assert rule(Told(f"rule r on message when {condition} then flag\n")(**fields)).condition.note == note


def test_a_label_is_told_with_its_age() -> None:
    told = Told('rule r on message when author labelled "spammer" then flag\n')
    told.engine.state.label("User", "spammer").set("u1", told(0).decision.at, None)
    assert rule(told(30)).condition.note == 'User "u1", for 30s'


@pytest.mark.parametrize(
    ("condition", "fields", "why"),
    [
        ("age > 1d", {}, "the event has no `joined`"),
        (
            "age > 1d",
            {"joined": "tomorrow"},
            "`joined` at `$.joined` should be an ISO 8601 time",
        ),
        ("n / m > 1", {"n": 1, "m": 0}, "`n / m` divides by zero"),
        ("n * m > 1", {"n": 1e300, "m": 1e300}, "`n * m` is too large to be a number"),
        ("sqrt(n) > 1", {"n": -1}, "`sqrt` has no answer for -1"),
        ('geo[content].country == "DE"', {"content": "zz"}, '`geo` has no row for "zz"'),
        ('geo[content].country == "DE"', {"content": "b"}, "`country` is empty there"),
        ('label_age(author, "spammer") > 1d', {}, 'User "u1" does not carry "spammer"'),
        ("(n ?? m) > 1", {}, "the event has no `m`"),
        ('any links == "{n}"', {"links": ["a"]}, "the event has no `n`"),
        (
            "count(message by author within 1m before 1h ago) > 1",
            {},
            (
                "`count(message by author within 1m before 1h ago)` looks back further than events were "
                "watched (events are known since 2026-01-01T12:00:00Z)"
            ),
        ),
        (
            "max(n of message by author within 1h) > 1",
            {},
            "`max(n of message by author within 1h)` has counted nothing",
        ),
        (
            "stddev(n of message by author within 1h) > 1",
            {"n": 3},
            "`stddev(n of message by author within 1h)` has fewer than two values",
        ),
        (
            "sum(n * n of message by author within 1h) + sum([1e308, 1.1e308] of message by author ever) > 1",
            {"n": 1},
            "`sum([1e308, 1.1e308] of message by author ever)` is too large to be a number",
        ),
        (
            "last(message by author within 1h).n > 1",
            {},
            "`last(message by author within 1h).n` is of no event, or of one that had none",
        ),
        (
            "since_last(message by author ever) > 1h",
            {},
            "`since_last(message by author ever)` has counted nothing",
        ),
    ],
)
def test_a_missing_value_says_why(condition: str, fields: dict[str, Any], why: str) -> None:
    made = rule(Told(f"rule r on message when {condition} then flag\n")(**fields))
    assert made.outcome == "missing"
    assert made.condition.why.startswith(why)


# ---------------------------------------------------------------- outcomes

OUTCOMES = """
rule guards on message when author labelled "trusted" then exempt from flood
rule flood on message when n > 1
  then block
       label author "spammer" for 1h
       send "queue" { n: n, at: at } limit 1 per author every 1h
  because "{n} is too many"
  tag "spam"
  owner "integrity"
  severity high
rule half on message when n > 1 then review rollout 0% by author
rule quiet on message when n > 1 then block send "queue" {} mode shadow
rule off_ on message when n > 1 then block mode off
rule none_ on message when n > 100 then block
"""


def test_every_outcome_stands_in_order() -> None:
    made = Told(OUTCOMES)(n=2)
    assert [(r.rule, r.outcome) for r in made.rules] == [
        ("flood", "fired"),
        ("quiet", "shadow"),
        ("half", "held"),
        ("guards", "not matched"),
        ("none_", "not matched"),
    ]
    flood = rule(made, "flood")
    assert (flood.because, flood.tags, flood.owner, flood.severity) == (
        "2 is too many",
        ["spam"],
        "integrity",
        "high",
    )
    assert flood.does == ["verdict block", "label spammer", "send queue"]
    assert flood.place == f"p.quell:{HEAD.count(chr(10)) + 3}:6"


def test_effects_say_whether_they_were_done_and_why_not() -> None:
    told = Told(OUTCOMES)
    first, second = told(n=2), told(1, n=2)
    assert [(e.text, e.done) for e in rule(first, "flood").effects] == [
        ("block", True),
        ('label author "spammer" for 1h', True),
        ('send "queue" { n: n, at: at } limit 1 per author every 1h', True),
    ]
    assert rule(first, "flood").effects[1].value == {"on": "u1", "until": "2026-01-01T13:00:00Z"}
    assert rule(first, "flood").effects[2].value == {"n": 2, "at": "2026-01-01T12:00:00Z"}
    limited = rule(second, "flood").effects[2]
    assert (limited.done, limited.why) == (False, "the limit of 1 every 1h is used up")
    assert len(first.decision.sends) == 1
    assert second.decision.sends == ()
    assert {e.why for e in rule(first, "quiet").effects} == {"the rule is in shadow, so nothing leaves"}


def test_what_holds_a_rule_back_is_told() -> None:
    told = Told(OUTCOMES)
    assert rule(told(n=2), "half").held.startswith('rollout: "u1" stands at ')
    assert rule(told(n=2), "half").held.endswith("%, outside the 0%")
    told.engine.state.label("User", "trusted").set("u1", 0, None)
    made = told(1, n=2)
    assert rule(made, "flood").held == "exempt by guards"
    assert [e.done for e in rule(made, "flood").effects] == [False, False, False]
    assert [(e.text, e.done) for e in rule(made, "guards").effects] == [("exempt from flood", True)]


def test_a_missing_rollout_key_is_outside() -> None:
    made = rule(Told('rule r on message when n > 1 then flag rollout 50% by "{m}"\n')(n=2))
    assert made.held == "rollout: the key is missing, so it is outside the 50%"


def test_the_outcomes_are_those_of_the_decision() -> None:
    report = Report()
    running = Stepper(build(analyse(read_bundle(ROOT / "policies", report), report), all_fields=True))
    explainer = Explainer(running)
    for i in range(12):
        event = {
            "type": "message_create",
            "id": str(i),
            "created_at": f"2026-01-01T00:00:{i:02d}Z",
            "author": {"id": f"u{i % 2}", "created_at": "2025-12-31T12:00:00Z"},
            "guild_id": "s",
            "channel_id": "c",
            "message": {"content": f"GO https://bit.ly/{i} grobnik", "mentions": [{"id": str(i)}]},
        }
        made = explainer.decide(msgspec.json.encode(event))
        assert isinstance(made, Explanation)
        by = {o: {r.rule for r in made.rules if r.outcome == o} for o in ("fired", "shadow", "held")}
        decision = made.decision
        assert by["fired"] == {f.rule for f in decision.fired}
        assert by["shadow"] == {f.rule for f in decision.shadow}
        assert by["held"] == {h.rule for h in decision.held}
        sends = [e for r in made.rules for e in r.effects if e.kind == "send" and e.done]
        assert len(sends) == len(decision.sends)


# ------------------------------------------------------------ the whole of it


def test_fields_and_named_values_are_told() -> None:
    made = Told("score s\n  5 when newcomer\n  3 when n > 1\nrule r on message when s >= 3 then flag\n")(n=2)
    assert [(f.name, f.type, f.shown) for f in made.fields][:4] == [
        ("id", "text", '"1"'),
        ("at", "time", "2026-01-01T12:00:00Z"),
        ("author", "User", '"u1"'),
        ("joined", "time?", "missing"),
    ]
    assert [(v.name, v.shown, v.text, v.why) for v in made.values] == [
        ("s", "3", "", ""),
        ("newcomer", "missing", "age < 7d", "the event has no `joined`"),
        ("age", "missing", "at - joined", "the event has no `joined`"),
    ]
    score = part_of(made, "s")
    assert [(p.points, p.state, p.text) for p in score.parts] == [
        (5, "missing", "newcomer"),
        (3, "true", "n > 1"),
    ]


def test_wrong_values_and_late_events_are_told() -> None:
    told = Told("rule r on message when n > 1 and sent_1m > 0 then flag\n")
    told(30)
    made = told(1, n="many")
    assert made.problems == ['`n` at `$.n`: expected a number, got "many"']
    assert made.warnings == ["`count(message by author)` took the event as of a later time, its key's newest"]


def test_a_refused_event_has_no_explanation() -> None:
    running = engine(HEAD + "rule r on message when n > 1 then flag\n", LISTS)
    made = Explainer(running).decide(b'{"type": "message"}')
    assert isinstance(made, Refused)


def test_explaining_changes_no_decision() -> None:
    plain, told = engine(HEAD + OUTCOMES, LISTS), Told(OUTCOMES)
    for i in range(5):
        event = {"type": "message", "id": "1", "at": f"2026-01-01T12:00:{i:02d}Z", "author": "u1", "n": i}
        assert plain.decide(msgspec.json.encode(event)) == told(i, n=i).decision


def test_an_engine_that_skips_fields_explains_what_it_reads() -> None:
    running = Stepper(build(sound(HEAD + "rule r on message when n > 1 or true then flag\n", LISTS)))
    event = {"type": "message", "id": "1", "at": "2026-01-01T12:00:00Z", "author": "u1", "n": 2}
    made = Explainer(running).decide(msgspec.json.encode(event))
    assert isinstance(made, Explanation)
    assert part_of(made, "n > 1").shown == "not looked at"
    assert [f.name for f in made.fields] == ["id", "at", "author"]  # the counter's key, too


def test_an_explanation_is_plain_data() -> None:
    made = msgspec.json.decode(msgspec.json.encode(Told(OUTCOMES)(n=2)))
    assert made["decision"]["verdict"] == "block"
    assert made["rules"][0]["condition"] == {
        "text": "n > 1",
        "kind": "compare",
        "value": True,
        "shown": "true",
        "state": "true",
        "parts": [{"text": "n", "kind": "field", "value": 2, "shown": "2"}],
    }


def test_an_explanation_on_a_terminal() -> None:
    told = Told(OUTCOMES + "rule r on message when newcomer and (n > 1 or m > 1) then flag\n")
    made = told(joined="2025-12-31T12:00:00Z", n=2, content="\x1b[2Jboo")
    ladder = told.engine.bundle.analysis.symbols.ladders["message"]
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    print_explanation(made, ladder, stream, rules=["r"])
    stream.seek(0)
    text = stream.read()
    for line in (
        "message 1 at 2026-01-01T12:00:00Z: block",
        "  fired: flood, r",
        '"\\u001b[2Jboo"',
        "r  fired  p.quell:",
        "✓ newcomer = age < 7d",
        "└── age = 1d",
        "├── ✓ n > 1  ← decided",
        "└── · m > 1  not needed",
        "  → flag",
    ):
        assert line in text
    assert "none_" not in text
    assert "\x1b" not in text


def test_a_plain_terminal_gets_plain_letters() -> None:
    told = Told(OUTCOMES)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    print_explanation(told(n=2), told.engine.bundle.analysis.symbols.ladders["message"], stream, full=True)
    stream.seek(0)
    assert "+ n > 1" in stream.read()
