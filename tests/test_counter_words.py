"""What the words of counters take and refuse, what is told of them, and what they say when memory is full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Decision
from quell.engine.diagram import diagram
from quell.engine.explain import Explainer
from quell.engine.explanation import Explanation
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from quell.signals.memory import Memory
from quell.signals.state import State

HEAD = """
entity User
entity Card

event payment from "payment"
  at       time     = $.at
  user     User     = $.user
  card     Card     = $.card
  amount   number   = $.amount
  took     duration = $.took
  country  text?    = $.country
  others   list<User> = $.others[*]

event message from "message"
  at       time     = $.at
  user     User     = $.user
  country  number   = $.country

let previous = last(payment by user within 1h)
"""
RETURNING = "let f(u: User) = last(payment by user as u within 1h)\n"


def analysed(text: str) -> Analysis:
    return analyse(Files("bundle", {"p.quell": Source("p.quell", HEAD + text)}), lints=False)


def errors(expression: str) -> list[str]:
    """What is said of an expression that a rule on payments compares with itself."""
    found = analysed(f"{RETURNING}rule r on payment when {expression} then flag\n").report.errors
    return [f"{d.code}: {d.message} ({d.hint})" for d in found]


COUNTED = (
    "type-mismatch: `previous` is a counted event, and a value is needed here "
    "(take something of it, such as previous.at or previous.user, or ask whether it is missing)"
)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (
            "sum(payment by card within 1h) > 1",
            "bad-counter: `sum` needs a value before `of` (such as sum(amount of payment by card within 1h))",
        ),
        (
            "last(amount of payment by card within 1h) > 1",
            (
                "bad-counter: `last` takes no value before `of` "
                "(take the value of the event that it gives: last(payment by …).amount)"
            ),
        ),
        (
            "since_last(amount of payment by card within 1h) > 1h",
            (
                "bad-counter: `since_last` takes no value before `of` "
                "(such as since_last(message by author within 1h))"
            ),
        ),
        (
            "mean(country of payment by card within 1h) > 1",
            (
                "bad-counter: `mean` takes numbers or durations, and this is a text "
                "(distinct(x of …) and values(x of …) take any kind)"
            ),
        ),
        (
            "sum(at of payment by card within 1h) > 1",
            (
                "bad-counter: `sum` takes numbers or durations, and this is a time "
                "(min and max take times and durations, sum and mean durations)"
            ),
        ),
        (
            "stddev(took of payment by card within 1h) > 1",
            (
                "bad-counter: `stddev` takes numbers, and this is a duration "
                "(min and max take times and durations, sum and mean durations)"
            ),
        ),
        (
            "sum(amount > 3 of payment by card within 1h) > 1",
            (
                "bad-counter: `sum` takes numbers or durations, and this is a bool "
                "(count the events of which it is true: count(… where …))"
            ),
        ),
        (
            "rate(payment by card within 1h) > 1",
            (
                "bad-counter: this rate does not say per how long "
                "(such as rate(message by author per 1h within 30d))"
            ),
        ),
        (
            "rate(payment by card per 1h ever) > 1",
            "bad-counter: a rate is taken over a window, and `ever` is none (write within 30d)",
        ),
        (
            "rate(payment by card per took within 1d) > 1",
            "not-constant: what follows `per` must be the same for every event (write it out, such as 10m)",
        ),
        (
            "rate(payment by card per 0s within 1d) > 1",
            (
                "bad-window: what follows `per` must be longer than nothing and at most 3660d "
                "(write a duration such as 10m)"
            ),
        ),
        ("count(payment by card per 1h within 1d) > 1", "bad-counter: `per` belongs to rate (leave it out)"),
        (
            "max(amount of payment by card within 1d resolution 1m) > 1",
            "bad-counter: `max` has no resolution (leave it out; count, rate, sum and mean have one)",
        ),
        (
            "count(payment by card ever resolution 1m) > 1",
            (
                "bad-counter: a window without end has no start that a resolution could round "
                "(leave it out, or write within 30d)"
            ),
        ),
        (
            "count(payment by card within 1d resolution 10ms) > 1",
            "bad-window: a resolution must be at least 1s (write resolution 1m, or leave it out)",
        ),
        (
            "count(payment by card within 1m resolution 1m) > 1",
            "bad-window: a resolution must be shorter than its window (write resolution 1m, or leave it out)",
        ),
        (
            "count(payment by card within 1h resolution 1m before 30s ago) > 1",
            "bad-window: a resolution must not be longer than what follows `before` (write a finer one)",
        ),
        (
            "since_last(payment by card within 1d before 1h ago) > 1h",
            (
                "bad-counter: `since_last` is seen from the present event and has no `before … ago` "
                "(leave it out, or take the difference yourself: at - last(…).at)"
            ),
        ),
        (
            "size(values(amount of payment by card as others within 1d)) > 1",
            (
                "entity-mismatch: this counter's key is a Card, and it is read under a list<User> "
                "(read it by card as card)"
            ),
        ),
        (
            "size(values(amount of payment by user as others within 1d)) > 1",
            (
                "bad-counter: `values` under a list of keys would make a list of lists "
                "(read it under one key: by … as …)"
            ),
        ),
        (
            "median(amount of payment by card within 1d) > 1",
            "unknown-function: there is no counter `median` (did you mean `mean`?)",
        ),
        ("previous == amount", COUNTED),
        ("previous", COUNTED),
        ("f(user).amount > 3", COUNTED.replace("previous", "last(…)")),
        (
            "size(last(payment by user as others within 1h)) > 3",
            COUNTED.replace("previous", "last(…)").replace("a counted event", "a list of counted events"),
        ),
        ("previous.colour == 3", "unknown-name: nothing is called `colour` (None)"),
        (
            "last(payment, message by user within 1h).card == card",
            "not-on-event: `message` has no field `card` (it is a field of `payment`)",
        ),
        (
            "last(payment, message by user within 1h).country == country",
            "entity-mismatch: `country` is a text on `payment` and a number on `message` (None)",
        ),
        (
            "any last(payment by user as others within 1h).others == user",
            "bad-counter: `.others` would make a list of lists (None)",
        ),
        (
            "mean(amount of payment by card within 1h) reaches 3",
            "bad-counter: only a count, a distinct or a sum reaches a number (write count(…) reaches 10)",
        ),
        (
            "rate(payment by card per hour within 1d) > 1",
            "unknown-name: nothing is called `hour` (a duration is written `1h`)",
        ),
        (
            "count(r by card within 1d) > 1",
            (
                "unknown-event: there is no event or shape `r` "
                "(`r` is a rule: its firings are counted as `fired r`)"
            ),
        ),
        ("previous.user.id == card", "unknown-field: a User has no `id` (a User is its id: leave `.id` out)"),
        (
            "sum(took of payment by card within 1h) reaches 3",
            (
                "type-mismatch: what follows `reaches` must be a duration, and this is a number "
                "(write a duration such as 10m)"
            ),
        ),
    ],
)
def test_what_does_not_fit_together_is_told(condition: str, told: str) -> None:
    found = errors(condition)
    assert told in found, found


def test_a_counter_says_that_it_sees_no_parameter() -> None:
    text = "let f(x: number) = count(payment by card within 1d where amount > x)\n"
    found = analysed(f"{text}rule r on payment when f(5) > 1 then flag\n").report.errors
    assert {(d.message, d.hint) for d in found} == {
        (
            "`x` is a parameter, and a counter counts the same whoever reads it",
            "write it out; only the key it is read under may differ: by … as …",
        )
    }


def test_the_fields_that_a_counter_can_be_read_under_are_named() -> None:
    gift = 'event gift from "gift"\n  at time = $.at\n  giver User = $.giver\n  taker User = $.taker\n'
    found = analysed(f"{gift}rule r on gift when count(payment by user within 1d) > 1 then flag\n").report
    assert [(d.message, d.hint) for d in found.errors] == [
        (
            "`gift` has no `user` to read this counter under",
            "say which of its fields to use: by user as giver or by user as taker",
        )
    ]


def payment(seconds: int, user: str = "u1", **fields: Any) -> bytes:
    at = f"2026-01-01T12:{seconds // 60:02d}:{seconds % 60:02d}Z"
    event = {
        "type": "payment",
        "at": at,
        "user": user,
        "card": "c",
        "amount": 5,
        "took": 1,
        "others": [],
        **fields,
    }
    return json.dumps(event).encode()


SHARED = """
let low   = min(amount of payment by user within 1h)
let high  = max(amount of payment by user within 1d before this)
let usual = mean(amount of payment by user within 30d before 1h ago)
let total = sum(amount of payment by user ever)
let rough = sum(amount of payment by user within 1d resolution 1m)
let many  = count(payment by user within 1h)
let often = rate(payment by user per 1h within 7d)
let ago   = since_last(payment by user ever)
let kinds = distinct(country of payment by user within 1h)
let seen  = values(country of payment by user within 1d)
let next_ = first(payment by user within 1h)

rule r on payment
  when low > 1 or high > 1 or usual > 1 or total > 1 or rough > 1 or many > 1 or often > 1 or ago > 1s
   or kinds > 1 or size(seen) > 1 or previous.at > at or previous.amount > 1 or next_.amount > 1
  then flag
"""


def test_readings_of_the_same_share_a_store() -> None:
    analysis = analysed(SHARED)
    assert not analysis.report.errors
    stores = sorted((s.kind, s.text, s.longest is None) for s in analysis.lowerer.stores.values())
    assert stores == [
        ("count", "count(payment by user)", True),
        ("distinct", "distinct(country of payment by user)", False),
        ("event", "last(payment by user).amount", False),
        ("number", "sum(amount of payment by user resolution 1m)", False),
        ("number", "sum(amount of payment by user)", True),
    ]


def test_the_graph_names_what_is_read() -> None:
    drawn = diagram(analysed(SHARED), {"payment"}, None, "all")
    edges = {a.label for a in drawn.arrows}
    assert {
        "min within 1h",
        "max within 1d before this",
        "mean within 30d before 1h ago",
        "sum ever",
        "within 7d",
        "since_last ever",
        "values within 1d",
        "last within 1h",
        "first within 1h",
    } <= edges
    shown = {line for s in drawn.shapes.values() for line in s.lines}
    assert "sum(amount of payment by user)" in shown


FULL = """
rule many on payment when count(payment by user within 1h) > 0 then flag
rule none_before on payment when not count(payment by user within 1h before this) > 0 then flag
rule climbs on payment when count(payment by user within 1h) reaches 1 then flag
rule spent on payment when sum(amount of payment by user within 1h) >= 0 then flag
rule first_of on payment when size(values(country of payment by user within 1h)) >= 0 then flag
"""


def test_when_memory_is_full_nothing_is_told_wrongly() -> None:
    stepper = Stepper(build(analysed(FULL)), State(memory=Memory(left=3)))
    held = stepper.decide(payment(0, country="FR"))
    assert isinstance(held, Decision)
    assert [f.rule for f in held.fired] == ["climbs", "first_of", "many", "none_before", "spent"]
    assert held.full == ()
    told = stepper.decide(payment(1, user="u2", country="FR"))
    assert isinstance(told, Decision)
    assert (told.fired, told.verdict) == ((), "allow")
    assert told.full == (
        "count(payment by user)",
        "distinct(country of payment by user)",
        "sum(amount of payment by user)",
    )
    again = stepper.decide(payment(2, country="FR"))
    assert isinstance(again, Decision)
    assert [f.rule for f in again.fired] == ["first_of", "many", "spent"]
    assert again.full == ()


def test_an_explanation_says_that_memory_is_full_and_reports_nothing_by_itself() -> None:
    text = "rule r on payment when amount > 100 and count(payment by user within 1h) > 0 then flag\n"
    stepper = Stepper(build(analysed(text), all_fields=True), State(memory=Memory(left=1)))
    explainer = Explainer(stepper)
    explainer.decide(payment(0))
    made = explainer.decide(payment(1, user="u2"))
    assert isinstance(made, Explanation)
    assert made.decision.full == ()
    counted = made.rules[0].condition.parts[1].parts[0]
    assert counted.shown == "missing"
    assert counted.why == "`count(payment by user within 1h)` cannot be told, since memory is full"
