"""Generated bundles whose lets are answered by remote models: asking somebody else changes nothing.

Some lets of a generated bundle become remote models that are sent the let's value and answer with it. Over
a plain history the decisions stay the same, although counters, rules and effects now wait for answers, and
are left undecided where the answer is not needed. A concurrent run is made again from its record.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Decision, Refused, Reply
from quell.engine.events import Decoded
from quell.engine.recorded import Record, replay
from quell.engine.stepper import Stepper
from quell.engine.waiting import Waiting
from quell.grammar.source import Source
from quell.grammar.types import Type
from quell.signals.remote_types import Answer
from tests.strategies_policy import Case, cases

ANSWERED = ("bool", "number", "text", "time", "duration", "ip", "entity", "list")


@dataclass(frozen=True, slots=True)
class Asked:
    """A bundle as generated, and the same with some of its lets asked for."""

    plain: Analysis
    remote: Analysis


def asked(case: Case, dice: random.Random) -> Asked | None:
    """The case with a few of its lets turned into remote models; None when none can be."""
    plain = analyse(case.files(), lints=False)
    candidates = [name for name in plain.symbols.lets if spelled(plain, name) is not None]
    dice.shuffle(candidates)
    files, remote = case.files(), None
    for name in candidates[: dice.randint(1, 3)]:
        made = turned(files, plain, name, dice)
        analysis = analyse(made, lints=False)
        if not analysis.report.errors:
            files, remote = made, analysis
    return None if remote is None else Asked(plain, remote)


def spelled(analysis: Analysis, name: str) -> str | None:
    """The type of a let as a declaration writes it; None where it has not one that can be answered."""
    if analysis.symbols.lets[name].parameters is not None:
        return None
    types: set[Type] = set()
    for event, values in analysis.values.items():
        types |= {analysis.lowerer.graph(event)[v.node].type.present() for v in values if v.name == name}
    if len(types) != 1:
        return None
    (type_,) = types
    element = type_.element or type_
    plain = type_.kind in ANSWERED and element.kind in ANSWERED and element.kind != "list"
    return str(type_) if plain or (type_.kind == "list" and element.kind in ANSWERED) else None


def turned(files: Files, plain: Analysis, name: str, dice: random.Random) -> Files:
    """The bundle with one let answered by a remote model."""
    let = plain.symbols.lets[name]
    file = let.span.file
    text = files.sources[file].text
    own = plain.files.sources[file].text
    said = own[let.body.span.start : let.body.span.end]
    assert said in text
    spelling = own[let.name.span.start : let.name.span.end]
    model = f"remote_{abs(hash_of(name))}"
    lines = "\n".join("    " + line for line in said.split("\n")).strip()
    gives = spelled(plain, name)
    declared = f'model {model} from remote "echo"\n  value = {lines}\n  gives value {gives}\n  when true\n'
    whole = own[let.span.start : let.span.end]
    changed = text.replace(whole, f"{declared}\nlet {spelling} = {model}.value", 1)
    return replace(files, sources={**files.sources, file: Source(file, changed)})


def hash_of(name: str) -> int:
    """A number for a name, the same on every run."""
    return int.from_bytes(name.encode(), "big") % 10**9


def echo(waiting: Waiting) -> Sequence[Answer]:
    """Answers with what was sent."""
    return [Answer("answered", {"value": values[0]}) for _, values in waiting.wanted]


def essence(answer: Reply) -> object:
    """What of a decision must not depend on who answers: all but the questions, and the names of counters,
    which hold the let's own text."""
    if not isinstance(answer, Decision):
        return answer
    d = answer
    return d.event, d.seq, d.at, d.verdict, d.fired, d.shadow, d.held, d.labels, d.sends, bool(d.late)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=150)
def test_asking_somebody_else_changes_nothing(case: Case, seed: int) -> None:
    made = asked(case, random.Random(seed))
    if made is None:
        return
    plain, remote = Stepper(build(made.plain)), Stepper(build(made.remote), answering=echo)
    for event in case.events:
        expected, got = plain.decide(event), remote.decide(event)
        if isinstance(got, Refused):
            assert got.kind != "internal", got.message
        assert essence(got) == essence(expected)


@given(cases("state"), st.integers(0, 2**32))
@settings(max_examples=150)
def test_a_concurrent_run_is_made_again_from_its_record(case: Case, seed: int) -> None:
    dice = random.Random(seed)
    made = asked(case, dice)
    if made is None:
        return
    bundle = build(made.remote)
    records = concurrent(Stepper(bundle), case.events, dice)
    again = list(replay(Stepper(bundle), records))
    assert [now for _, now in again] == [then for then, _ in again]
    assert len(again) == len(records)


def concurrent(stepper: Stepper, events: Sequence[bytes], dice: random.Random) -> list[Record]:
    """A run in which decisions wait for a while, as the dice have it."""
    records: list[Record] = []
    waiting: list[tuple[bytes, Waiting]] = []

    def take(event: bytes, answer: Reply | Waiting) -> None:
        if isinstance(answer, Waiting):
            waiting.append((event, answer))
        elif not isinstance(answer, Refused):
            records.append((event, answer))

    def go_on() -> None:
        event, answer = waiting.pop(dice.randrange(len(waiting)))
        take(event, stepper.resume(answer, echo(answer)))

    for event in events:
        decoded = stepper.decode(event)
        take(event, stepper.admit(decoded) if isinstance(decoded, Decoded) else stepper.reply(decoded))
        while waiting and dice.random() < 0.5:
            go_on()
    while waiting:
        go_on()
    return records
