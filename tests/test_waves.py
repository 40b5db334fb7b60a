"""Remote models in the graph: what is asked and when, what waits, and what is read when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from quell.engine.compile import build
from quell.engine.decision import Decision, Refused, Reply
from quell.engine.events import Decoded
from quell.engine.stepper import Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer
from tests.bundles import findings, sound

START = 1_772_323_200_000_000
SECOND = 1_000_000
HEAD = """
entity User labels "spammer"

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content
  friends  list<User> = $.friends[*]
  cheap    bool? = $.cheap

model scam from remote "scam-classifier"
  content = content
  when true
  gives likely number, reason text

model tone from remote "tone"
  text = content
  when cheap
"""


class Asked:
    """A stepper that answers as told and notes what it was asked."""

    def __init__(self, text: str, answers: dict[str, Any] | None = None) -> None:
        self.stepper = Stepper(build(sound(HEAD + text)), answering=self.answer)
        self.answers = answers or {}
        self.asked: list[str] = []

    def answer(self, waiting: Waiting) -> Sequence[Answer]:
        self.asked += [r.model for r in waiting.requests]
        return [self.one(r.model) for r in waiting.requests]

    def one(self, model: str) -> Answer:
        if model in self.answers:
            return Answer("answered", self.answers[model])
        return Answer("late", None, f"{model}: no answer")

    def admit(self, second: float = 0, **fields: Any) -> Decision | Refused | Waiting:
        at = START + round(second * SECOND)
        event = {"type": "message", "id": "1", "at": at, "author": "u", "content": "hi", "friends": []}
        decoded = self.stepper.decode(json.dumps({**event, **fields}))
        return self.stepper.admit(decoded)  # type: ignore[arg-type]  # these events are sound

    def waits(self, second: float = 0, **fields: Any) -> Waiting:
        answer = self.admit(second, **fields)
        assert isinstance(answer, Waiting)
        return answer

    def resume(self, waiting: Waiting) -> Decision:
        answer: Decision | Refused | Waiting = waiting
        while isinstance(answer, Waiting):
            answer = self.stepper.resume(answer, self.answer(answer))
        assert isinstance(answer, Decision)
        return answer

    def decide(self, second: float = 0, **fields: Any) -> Decision:
        answer = self.admit(second, **fields)
        assert not isinstance(answer, Refused)
        return answer if isinstance(answer, Decision) else self.resume(answer)


LIKELY = {"likely": 0.9, "reason": "bait"}


def rule(when: str, more: str = "", name: str = "r") -> str:
    return f"\nrule {name} on message\n  when {when}\n  then flag{more}\n"


# ------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("when", "fields", "asked"),
    [
        ("scam.likely > 0.8", {}, ["scam"]),
        ('content == "no" and scam.likely > 0.8', {}, []),
        ("cheap and scam.likely > 0.8", {"cheap": None}, []),
        ("count(message by author within 1m) > 1 and scam.likely > 0.8", {}, []),
        ("cheap or scam.likely > 0.8", {"cheap": True}, []),
        ("cheap or scam.likely > 0.8", {"cheap": False}, ["scam"]),
        ("(cheap or scam.likely > 0.8) and tone > 1", {"cheap": True}, ["tone"]),
        ("cheap and (scam.likely ?? 0) < 0.5", {"cheap": False}, []),
        ("(scam.likely ?? 0) < 0.5", {}, ["scam"]),
        ("scam is missing", {}, ["scam"]),
        ("tone > 1", {"cheap": False}, []),
        ("tone > 1", {"cheap": True}, ["tone"]),
        ("any friends == scam.reason", {"friends": ["x"]}, ["scam"]),
        ("any friends == scam.reason", {"friends": []}, []),
        ("not (scam.likely > 0.8 and cheap)", {"cheap": False}, []),
    ],
)
def test_only_what_an_undecided_rule_needs_is_asked(
    when: str, fields: dict[str, Any], asked: list[str]
) -> None:
    run = Asked(rule(when), {"scam": LIKELY, "tone": 2.0})
    run.decide(**fields)
    assert run.asked == asked


def test_a_message_or_payload_asks_once_its_rule_matches() -> None:
    run = Asked(rule('content == "hi"', '\n  because "{scam.reason}"'), {"scam": LIKELY})
    assert run.decide(content="no").fired == ()
    assert run.asked == []
    assert run.decide().fired[0].message == "bait"
    assert run.asked == ["scam"]


def test_one_question_serves_all_rules() -> None:
    text = rule("scam.likely > 0.8") + rule("scam.likely > 0.5", "", "s") + rule("cheap", "", "t")
    run = Asked(text, {"scam": LIKELY})
    assert [f.rule for f in run.decide(cheap=True).fired] == ["r", "s", "t"]
    assert run.asked == ["scam"]


SECOND_WAVE = """
model why from remote "explainer"
  reason = scam.reason
  when scam.likely > 0.5
  gives words list<text>
"""


def test_what_needs_an_answer_is_asked_in_a_second_wave() -> None:
    run = Asked(SECOND_WAVE + rule('any why.words == "bad"'), {"scam": LIKELY, "why": {"words": ["bad"]}})
    first = run.waits()
    assert [(r.model, r.inputs) for r in first.requests] == [("scam", ("hi",))]
    second = run.stepper.resume(first, [Answer("answered", LIKELY)])
    assert isinstance(second, Waiting)
    assert [(r.model, r.inputs) for r in second.requests] == [("why", ("bait",))]
    decision = run.resume(second)
    assert decision.verdict == "flag"
    assert [(a.model, a.status) for a in decision.asked] == [("scam", "answered"), ("why", "answered")]


def test_a_second_wave_is_left_out_when_its_gate_is_shut() -> None:
    run = Asked(SECOND_WAVE + rule("size(why.words) >= 0"), {"scam": {"likely": 0.1, "reason": ""}})
    assert run.decide().verdict == "allow"
    assert run.asked == ["scam"]


def test_a_first_wave_is_left_out_when_it_could_only_open_a_gate_that_stays_shut() -> None:
    text = SECOND_WAVE.replace("when scam.likely", "when cheap and scam.likely")
    run = Asked(text + rule("size(why.words) >= 0"), {"scam": LIKELY, "why": {"words": []}})
    assert run.decide(cheap=False).verdict == "allow"
    assert run.asked == []
    assert run.decide(cheap=True).verdict == "flag"
    assert run.asked == ["scam", "why"]


# ---------------------------------------------------------- missing, told why


def test_a_late_answer_is_missing_and_the_decision_says_why() -> None:
    run = Asked(rule("scam.likely > 0.8") + rule("(scam.likely ?? 1) > 0.8", "", "fallback"))
    decision = run.decide()
    assert [f.rule for f in decision.fired] == ["fallback"]
    assert [(a.model, a.status, a.reason) for a in decision.asked] == [("scam", "late", "scam: no answer")]


def test_a_stepper_alone_asks_nobody() -> None:
    stepper = Stepper(build(sound(HEAD + rule("scam.likely > 0.8"))))
    event = {"type": "message", "id": "1", "at": START, "author": "u", "content": "hi", "friends": []}
    decision = stepper.decide(json.dumps(event))
    assert isinstance(decision, Decision)
    assert [a.status for a in decision.asked] == ["unasked"]


# ------------------------------------------------------------ when it is read


def test_counters_are_read_as_they_stood_when_the_event_came_in() -> None:
    text = rule(
        "scam.likely > 0.8",
        '\n  because "{count(message by author within 1m)} {count(message by author within 1m before this)}"',
    )
    run = Asked(text, {"scam": LIKELY})
    first, second, third = (run.waits(i) for i in range(3))
    messages = [run.resume(w).fired[0].message for w in (third, first, second)]
    assert messages == ["3 2", "1 0", "2 1"]


def test_labels_are_seen_by_what_is_admitted_after_the_decision() -> None:
    text = """
rule mark on message
  when scam.likely > 0.8
  then label author "spammer"

rule known on message
  when tone > 1 and author labelled "spammer"
  then flag
"""
    run = Asked(text, {"scam": LIKELY, "tone": 2.0})
    first, second = run.waits(0, cheap=True), run.waits(1, cheap=True)
    one = run.resume(first)
    third = run.waits(2, cheap=True)
    assert [c.on for c in one.labels] == [True]
    assert run.resume(second).verdict == "allow"  # it was admitted before the label was put on
    assert run.resume(third).verdict == "flag"


def test_a_rule_that_needs_no_answer_is_decided_on_what_it_saw() -> None:
    text = rule("count(message by author within 1m) == 1") + rule("scam.likely > 2", "", "s")
    run = Asked(text, {"scam": LIKELY})
    first = run.waits()
    run.decide(1)
    assert [f.rule for f in run.resume(first).fired] == ["r"]


def test_strikes_of_a_waiting_rule_count_when_it_fires() -> None:
    text = rule("scam.likely > 0.8") + rule(
        "count(fired r by author within 1d) >= 2", '\n  because "{count(fired r by author within 1d)}"', "s"
    )
    run = Asked(text, {"scam": LIKELY})
    first, second = run.waits(0), run.waits(1)
    assert [f.rule for f in run.resume(second).fired] == ["r"]
    assert [(f.rule, f.message) for f in run.resume(first).fired] == [("r", None), ("s", "2")]


def test_a_counter_whose_condition_is_an_answer_counts_for_every_event() -> None:
    text = rule("count(message by author within 1d where scam.likely > 0.8) >= 2")
    run = Asked(text, {"scam": LIKELY})
    assert [run.decide(i).verdict for i in range(3)] == ["allow", "flag", "flag"]
    assert run.asked == ["scam"] * 3


def test_strikes_under_an_answer_ask_for_it_when_their_rule_fires() -> None:
    text = rule('content == "hi"') + rule("count(fired r by scam.reason within 1d) >= 2", "", "s")
    text = text.replace("by scam.reason", "by scam.reason as content")
    run = Asked(text, {"scam": {"likely": 0.9, "reason": "hi"}})
    assert [[f.rule for f in run.decide(i).fired] for i in range(3)] == [["r"], ["r", "s"], ["r", "s"]]
    assert run.asked == ["scam"] * 3
    run.decide(9, content="no")
    assert run.asked == ["scam"] * 3


def test_sequence_numbers_tell_the_order_of_all_steps() -> None:
    run = Asked(rule("scam.likely > 0.8 and cheap"), {"scam": LIKELY})
    first = run.waits(0, cheap=True)
    at_once = run.decide(1, cheap=False)
    second = run.waits(2, cheap=True)
    told = [(d.seq, d.decided) for d in (at_once, run.resume(second), run.resume(first))]
    assert told == [(2, 2), (3, 3), (1, 4)]


def test_what_came_late_is_told_by_its_own_decision() -> None:
    run = Asked(rule("scam.likely > 0.8 and count(message by author within 1m) > 0"), {"scam": LIKELY})
    run.decide(10)
    waiting = run.waits(0)
    assert run.decide(20).late == ()
    assert run.resume(waiting).late == ("count(message by author)",)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            rule("count(message by author as User(scam.reason) within 1d) > 1"),
            "waits-for-remote: counters and labels are read when the event comes in",
        ),
        (rule('User(scam.reason) labelled "spammer"'), "waits-for-remote: counters and labels are read"),
        (
            rule('size([f of friends where f labelled "spammer" and scam.likely > 0.5]) > 1'),
            "waits-for-remote: inside a list, a counter or label cannot stand beside a remote answer",
        ),
        (
            rule("scam.likely > 0.8")
            + 'model last from remote "x"\n  n = 1\n  when fired r\n'
            + rule("last > 1", "", "s"),
            "waits-for-remote: `last` is asked before `r` is decided",
        ),
        ('\nmodel m from remote "x"\n  n = 1\n' + rule("m > 1"), "bad-remote: `m` does not say when"),
        ('\nmodel m from remote "x"\n  when true\n' + rule("m > 1"), "bad-remote: `m` has no inputs"),
        (
            '\nmodel m from remote "x"\n  n = 1\n  when true\n  wait 2h\n' + rule("m > 1"),
            "bad-window: a decision waits from 1ms to 60s",
        ),
        (
            '\nmodel m from remote "x"\n  n = m2\n  when true\n'
            'model m2 from remote "x"\n  n = m\n  when true\n' + rule("m > 1"),
            "cycle: ",
        ),
        (rule("scam > 0.8"), "type-mismatch: "),
        (rule("scam.liky > 0.8"), "unknown-field: `scam` has no `liky` (did you mean `likely`?)"),
    ],
)
def test_what_cannot_be_had_is_refused(text: str, found: str) -> None:
    told = findings(HEAD + text)
    assert any(t.startswith(found) for t in told), told


def test_a_list_with_its_own_state_is_read_when_the_event_comes_in() -> None:
    text = """
let known = size([f of friends where f labelled "spammer"])

rule mark on message
  when content == "mark"
  then label author "spammer"
""" + rule("known >= 1 and scam.likely > 0.8")
    run = Asked(text, {"scam": LIKELY})
    before = run.admit(0, friends=["u"])
    assert isinstance(before, Decision)  # nobody is labelled yet, so nothing is asked
    run.decide(1, content="mark")
    waiting = run.waits(2, friends=["u"])
    assert run.resume(waiting).verdict == "flag"


def test_what_a_waiting_decision_will_read_is_not_forgotten_meanwhile() -> None:
    """However far events run ahead: here by 20 hours, with windows of one and a lateness of one."""
    stepper = Stepper(
        build(
            sound(
                """
entity User
event message from "message"
  at      time = $.at
  author  User = $.author
  content text = $.content
model scam from remote "scam-classifier"
  content = content
  when length(content) > 1
rule slow on message
  when scam > 0.5
  then send "queue" { n: count(fired slow by author within 1h before this) } limit 1 per author every 1h
rule strikes on message
  when count(fired slow by author within 1h) == 2
  then flag
"""
            )
        )
    )
    minute, start = 60_000_000, 1_772_323_200_000_000

    def admitted(at: int, author: str, content: str) -> Waiting | Reply:
        said = {"type": "message", "at": at, "author": author, "content": content}
        decoded = stepper.decode(said)
        assert isinstance(decoded, Decoded)
        return stepper.admit(decoded)

    def answered(waiting: Waiting | Reply) -> Decision:
        assert isinstance(waiting, Waiting)
        made = stepper.resume(waiting, [Answer("answered", 0.9)])
        assert isinstance(made, Decision)
        return made

    assert len(answered(admitted(start, "u", "hello")).sends) == 1
    waiting = admitted(start + 10 * minute, "u", "hello")
    for i in range(1_200):
        admitted(start + i * minute, f"other {i}", "x")
    made = answered(waiting)
    assert [f.rule for f in made.fired] == ["slow", "strikes"]
    assert made.sends == ()
    for i in range(1_200, 1_800):
        admitted(start + i * minute, f"other {i}", "x")
    assert (stepper.state.clock.horizon or 0) > start + 1_000 * minute


FIELD_OR_MODEL = """
entity User
event message from "message"
  at      time = $.at
  author  User = $.author
  `FIELD` number = $.value
model `MODEL` from remote "scam-classifier"
  value = `FIELD`
  when `FIELD` > 1
rule slow on message
  when `FIELD` > 2 and `MODEL` > 0.5 and `FIELD` < 9
  then flag
  because "{`FIELD`} at {`MODEL`}"
"""
SPELLED = ["wanted", "answers", "answers_2", "ask_scam", "held", "hits", "e", "k", "x0"]


@pytest.mark.parametrize("name", SPELLED)
def test_fields_and_models_may_be_called_as_anything_in_generated_code(name: str) -> None:
    for field, model in ((name, "scam"), ("value", name)):
        text = FIELD_OR_MODEL.replace("FIELD", field).replace("MODEL", model)
        stepper = Stepper(build(sound(text)))
        stepper.answering = lambda waiting: [Answer("answered", 0.9)] * len(waiting.requests)
        made = stepper.decide({"type": "message", "at": 1_772_323_200_000_000, "author": "u", "value": 5})
        assert isinstance(made, Decision), made
        assert [f.message for f in made.fired] == ["5 at 0.9"]
