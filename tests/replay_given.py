"""Tests of policies as histories: what a `test` declaration gives, for the replay to decide.

The judge is the online engine, stepped just as the runner of tests does it; the outcome that it writes is
compared with what columns decide, table by table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.hand import HandAction
from quell.engine.policy_test_steps import START, EventStep, LabelStep, ReadTest
from quell.engine.policy_tests import event_of
from quell.engine.settle import shown_until
from quell.engine.stepper import Stepper
from quell.grammar.types import is_textual
from quell.replay.choosing import why_not_columns
from quell.replay.columnar import Columnar
from quell.replay.database import Database, quoted
from quell.replay.dependence import Dependence
from quell.replay.history import History, principal
from quell.replay.history_types import arrow_type, to_column
from quell.replay.outcome import Outcome, OutcomeWriter
from quell.replay.stepping import step
from tests.replay_parity import differences

_N, _TEXT = pa.int64(), pa.string()
_ALL = pa.schema(
    [("n", _N), ("event", _TEXT), ("at", _N), ("id", _TEXT), ("file", _N), ("row", _N), ("entity", _TEXT)]
)
_HANDS = pa.schema([("n", _N), ("at", _N), ("action", _TEXT), ("file", _N), ("row", _N)])
_PROBLEMS = pa.schema(
    [("n", _N), ("nth", _N), *((c, _TEXT) for c in ("kind", "field", "path", "expected", "got"))]
)


APART = 1000 * 86_400_000_000
"""How long after one test another begins, where they are one history."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a test gives, with what it supplies, or a label that it gives."""

    entry: Decoded | HandAction
    supplied: dict[str, object] = field(default_factory=dict)


def entries_of(made: Build, test: ReadTest, start: int = START) -> Iterator[Entry]:
    """What a test gives, in order, as far as the first event that is refused; its clock begins at `start`."""
    clock, number = start, 0
    for given in test.steps:
        if isinstance(given, LabelStep):
            yield Entry(_label(given, clock))
        elif isinstance(given, EventStep):
            for index in range(given.count):
                clock += given.every if index else given.after
                number += 1
                decoded, supplied = event_of(made, given, clock, number)
                if not isinstance(decoded, Decoded):
                    return
                yield Entry(decoded, supplied)


def one_after_the_other(made: Build, tests: Sequence[ReadTest]) -> list[Entry]:
    """What tests that supply the same names give, as one history: each begins `APART` after the last."""
    return [e for i, test in enumerate(tests) for e in entries_of(made, test, START + i * APART)]


def _label(given: LabelStep, clock: int) -> HandAction:
    ref, label = given.written.entity, given.written.label.plain or ""
    until = None if given.lasts is None else clock + given.lasts
    return HandAction(
        at=clock,
        action="set",
        entity=ref.kind.name,
        id=ref.id.plain or "",
        label=label,
        by="a test",
        until=until,
    )


# ---------------------------------------------------------------------------------------- as a history


def history_of(db: Database, schema: str, build: Build, entries: Sequence[Entry]) -> History:
    """The entries as a history of a bundle that decodes all fields, in their order."""
    history = History(db, schema, build, [], (), "given")
    db.con.execute(f"CREATE SCHEMA {quoted(schema)}")
    schemas = build.analysis.symbols.schemas
    rows: dict[str, list[Any]] = {event: [] for event in schemas}
    everything: list[Any] = []
    hands: list[Any] = []
    newest = None
    for event, declared in schemas.items():
        history.columns[event] = [(f"f{i}", f) for i, f in enumerate(declared.fields)]
    for n, given in enumerate(entries, 1):
        entry = given.entry
        late = newest is not None and entry.at < newest
        newest = entry.at if newest is None or not late else newest
        history.late += late
        if isinstance(entry, HandAction):
            hands.append((n, entry.at, msgspec.json.encode(entry).decode(), 0, n))
            continue
        values = {f.name: build.reader(entry.event, f.name)(entry.e, entry.at) for f in _fields(build, entry)}
        rows[entry.event].append((n, entry.at, *_row(build, entry, values)))
        everything.append((n, entry.event, entry.at, *_told(build, entry, values, n)))
        history.supplied = {**history.supplied, n: given.supplied}
    history.events, history.hands, history.sorted = len(everything), len(hands), not history.late
    tables = {"all": (_ALL, everything), "hands": (_HANDS, hands), "problems": (_PROBLEMS, [])}
    for i, (event, declared) in enumerate(schemas.items()):
        columns = [(f"f{j}", arrow_type(f.type, f.record)) for j, f in enumerate(declared.fields)]
        tables[f"e{i}"] = (pa.schema([("n", _N), ("at", _N), *columns]), rows[event])
    for name, (made, held) in tables.items():
        _table(history, name, made, held)
    return history


def _fields(build: Build, entry: Decoded) -> Any:
    return build.analysis.symbols.schemas[entry.event].fields


def _row(build: Build, entry: Decoded, values: dict[str, Any]) -> Iterator[Any]:
    for f in _fields(build, entry):
        value, make = values[f.name], to_column(f.type, f.record)
        yield value if make is None or value is None else make(value)


def _told(build: Build, entry: Decoded, values: dict[str, Any], n: int) -> tuple[Any, ...]:
    schema = build.analysis.symbols.schemas[entry.event]
    main, named = principal(schema), schema.field("id")
    id = values["id"] if named is not None and is_textual(named.type) else None
    return id, 0, n, None if main is None else values[main.name]


def _table(history: History, name: str, schema: pa.Schema, rows: list[Any]) -> None:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    con = history.db.con
    con.register("_given", pa.Table.from_arrays(arrays, schema=schema))
    con.execute(f"CREATE TABLE {history.table(name)} AS SELECT * FROM _given")
    con.unregister("_given")


# ------------------------------------------------------------------------------------------- both ways


def judge(history: History, entries: Sequence[Entry], name: str) -> Outcome:
    """What the online engine decides, event after event, just as the runner of tests has it."""
    outcome, supplied = Outcome(history, name), dict[str, object]()
    stepper, writer = Stepper(history.build, injected=supplied), OutcomeWriter(outcome)
    for n, given in enumerate(entries, 1):
        entry = given.entry
        if isinstance(entry, HandAction):
            stepper.seq += 1
            labels = stepper.state.label(entry.entity, entry.label)
            was = labels.has(entry.id, entry.at)
            labels.set(entry.id, entry.at, entry.until)
            if not was:
                until = None if entry.until is None else shown_until(entry.until)
                writer.put("labels", (n, entry.entity, entry.id, entry.label, True, None, until))
            continue
        supplied.clear()
        supplied.update(given.supplied)
        decision = stepper.decide_decoded(entry)
        assert isinstance(decision, Decision), decision
        writer.add(n, decision)
    writer.close()
    return outcome


@dataclass(frozen=True, slots=True)
class Replayed:
    """What differs between the engine and the replay, and why the replay was stepped, if it was."""

    found: list[str]
    stepped: str
    outcome: Outcome

    def drop(self) -> None:
        """Drop all that it left in the database."""
        name = self.outcome.schema
        for schema in (name, f"{name}_judge", f"{name}_rows", f"{name}_history"):
            self.outcome.db.con.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")


def replay_given(db: Database, name: str, build: Build, entries: Sequence[Entry]) -> Replayed:
    """Replay what tests give: by columns where the bundle can go that way, else stepped. The database is as
    before once it is dropped."""
    history = history_of(db, f"{name}_history", build, entries)
    judged, outcome = judge(history, entries, f"{name}_judge"), Outcome(history, name)
    dependence = Dependence(build.analysis)
    stepped = why_not_columns(history, dependence)
    if stepped:
        step(outcome)
    else:
        Columnar(outcome, dependence).run()
    return Replayed(differences(judged, outcome), stepped, outcome)
