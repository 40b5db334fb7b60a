"""The language reference on the columns of the replay: what each case decides, it decides there too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path

import pytest

from quell.engine.agreement import build_probed
from quell.engine.bundle import read_bundle
from quell.engine.compile import Analysis, Build, analyse, build
from quell.engine.policy_tests import ready_tests
from quell.grammar.diagnostics import Report
from quell.replay.choosing import why_not_columns
from quell.replay.columnar import Columnar
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.stepping import step
from tests.language_cases import BundleCase, EventsCase, ValueCase
from tests.language_lift import Lift, with_fields
from tests.replay_given import Entry, entries_of, one_after_the_other, replay_given
from tests.replay_parity import differences
from tests.test_language import BUNDLES, EVENTS, VALUES, errors_of, files_of, lifted

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    "policies",
    "examples/payments",
    "examples/remote",
    "tests/histories/email",
    "tests/histories/wiki",
)
NAMES = count()


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    """One database for all cases: each has schemas of its own in it."""
    with Database(threads=1) as made:
        yield made


# ------------------------------------------------------------------------------------------ bundles


def deciding(case: BundleCase) -> Analysis | None:
    """A bundle with tests, analysed; one that has none gets one, with neutral events. None for one with
    errors."""
    analysis = analyse(files_of(case.text, case.files), lints=False)
    if not analysis.report.errors and not analysis.symbols.tests and any(analysis.rules.values()):
        given = "".join(f"  given {event} {{}} after 1m\n" for event in 2 * list(analysis.symbols.schemas))
        verdict = next(iter(analysis.symbols.ladders.values())).verdicts[0]
        text = f'{case.text}\ntest "something"\n{given}  expect {verdict}\n'
        analysis = analyse(files_of(text, case.files), lints=False)
        assert analysis.symbols.tests
        assert errors_of(analysis) == ""
    return None if analysis.report.errors or not analysis.symbols.tests else analysis


@pytest.mark.parametrize("case", BUNDLES, ids=lambda c: c.name)
def test_bundles(case: BundleCase, db: Database) -> None:
    """Every event of every test of a bundle is decided by columns as the runner of tests decides it, to each
    value. None has to be stepped."""
    analysis = deciding(case)
    for made, test in () if analysis is None else ready_tests(analysis, analysis.symbols.tests):
        assert differing(db, made, list(entries_of(made, test))) == [], test.written.title.plain


@pytest.mark.parametrize("folder", FOLDERS)
def test_bundles_of_this_repository(folder: str, db: Database) -> None:
    """The tests of a larger bundle, one after the other."""
    report = Report()
    analysis = analyse(read_bundle(ROOT / folder, report), report, lints=False)
    made, tests = zip(*ready_tests(analysis, analysis.symbols.tests, together=True), strict=True)
    assert len(tests) == len(analysis.symbols.tests)
    assert differing(db, made[0], one_after_the_other(made[0], tests)) == []


def differing(db: Database, made: Build, entries: list[Entry]) -> list[str]:
    """What columns decide otherwise, or give another value."""
    out = []
    for each in (made, build_probed(made.analysis)) if entries else ():
        done = replay_given(db, f"given{next(NAMES)}", each, entries)
        out += [*([f"it was stepped: {done.stepped}"] if done.stepped else []), *done.found]
        done.drop()
    return out


def test_a_test_of_a_policy_supplies_values_to_columns(db: Database) -> None:
    """What `with` supplies stands in the place of a value that follows from counters, from decisions, or from
    a remote model, on just the events with which it is supplied."""
    analysis = analyse(files_of(SUPPLIED), lints=False)
    assert errors_of(analysis) == ""
    ((made, test),) = ready_tests(analysis, analysis.symbols.tests)
    assert differing(db, made, list(entries_of(made, test))) == []
    done = replay_given(db, f"given{next(NAMES)}", made, list(entries_of(made, test)))
    assert db.rows(f"SELECT n, rule FROM {done.outcome.table('hits')} ORDER BY ALL") == [
        (1, "many"), (2, "known"), (3, "scam"), (5, "many"),
    ]  # fmt: skip


SUPPLIED = """\
entity User labels "known"
event note from "note"
  at time = $.at
  author User = $.author
let recent = count(note by author within 1h)
let trusted = author labelled "known"
model answer from remote "answer"
  recent = recent
  gives likely number, kind text
  when not trusted
rule many on note
  when recent >= 4
  then review
rule known on note
  when trusted
  then label author "known" for 1s
rule scam on note
  when answer.likely > 0.5 and answer.kind != "none"
  then block
test "supplied"
  given note {} with recent = 9
  given note {} after 1m with trusted = true
  given note {} after 1m with answer = { likely: 0.9, kind: "scam" }
  given note {} after 1m with recent = missing
  given note {} after 1m
  expect review by many
"""


# ------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize("case", EVENTS, ids=lambda c: c.name)
def test_events(case: EventsCase, db: Database, tmp_path: Path) -> None:
    """The events of a table are taken, refused and decided as the table says, by columns."""
    made = build(analyse(files_of(case.bundle.text, case.bundle.files), lints=False))
    file, name = tmp_path / "events.jsonl", f"events{next(NAMES)}"
    file.write_text("".join(f"{event}\n" for _, event, _ in case.rows), encoding="utf-8")
    history = ingest(db, f"{name}_history", made, [file], order="given")
    dependence = Dependence(made.analysis)
    assert not why_not_columns(history, dependence)
    judge, columnar = Outcome(history, f"{name}_judge"), Outcome(history, name)
    step(judge)
    Columnar(columnar, dependence).run()
    assert differences(judge, columnar) == []
    got = answers_of(columnar, judge)
    # An empty line of a file is no record: online it is a message like any other, and refused.
    assert got == {row: told for row, (_, event, told) in enumerate(case.rows, 1) if event}


def answers_of(outcome: Outcome, judge: Outcome) -> dict[int, str]:
    """The answer to each record of a history's one file, as a table of the reference writes it. What was late
    is known to the judge alone."""
    rows = outcome.db.rows

    def of(table: str, column: str, source: Outcome = outcome) -> dict[int, list[str]]:
        found = rows(f"SELECT n, list({column} ORDER BY {column}) FROM {source.table(table)} GROUP BY n")
        return dict(found)

    problems, late = of("problems", "kind"), of("late", "counter", judge)
    outranked, changed = of("outranked", "label"), of("labels", '"on"')
    out = {row: f"refused {kind}" for row, kind in rows(f"SELECT row, kind FROM {outcome.table('refused')}")}
    all_ = outcome.table("all")
    query = f"SELECT a.row, n, v.verdict FROM {outcome.table('verdicts')} v JOIN {all_} a USING (n)"
    for row, n, verdict in rows(query):
        reported = f", reported {', '.join(dict.fromkeys(problems[n]))}" if n in problems else ""
        out[row] = verdict + reported + ", late" * (n in late) + ", outranked" * (n in outranked)
    for row, n, action in rows(f"SELECT row, n, action FROM {outcome.table('hands')}"):
        on = changed.get(n, [False])[0]  # a label by hand that changes nothing leaves no row
        out[row] = f"{json.loads(action)['action']}, {'labelled' if on else 'not labelled'}"
    return out


# ------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Together:
    """Expressions of one page that share their declarations, as one policy: a rule for each."""

    page: str
    cases: list[ValueCase]
    text: str


def together(shared: str, cases: list[ValueCase]) -> Together:
    """Each expression in two rules: as it is written, and with its literals in fields."""
    text = shared or "event moment\n  at time = $.at\n"
    event = text.split("event ", 1)[1].split()[0]
    rules = []
    for number, case in enumerate(cases):
        expected = "is missing" if case.value == "missing" else f"== ({case.value})"
        for kind, made in (("written", Lift(case.expression, "", 0)), ("lifted", lifted(case))):
            expression, fields = (t.replace("lifted_", f"v{number}_") for t in (made.expression, made.fields))
            text = with_fields(text, fields) if fields else text
            rules.append(
                f"rule {kind}_{number} on {event}\n  when ({expression}) {expected}\n  then review\n"
            )
    test = f'test "it holds"\n  given {event} {{}}\n  expect review by written_0\n'
    return Together(cases[0].page, cases, "\n".join([text, *rules, test]))


def test_values(db: Database) -> None:
    """Each expression has its value, as it is written and with its literals supplied by the event, and so
    has each part of it."""
    assert not any(case.files for case in VALUES)
    for (_, shared), cases in groupby(VALUES, lambda c: (c.page, c.shared)):
        made = together(shared, list(cases))
        analysis = analyse(files_of(made.text), lints=False)
        assert errors_of(analysis) == "", made.page
        (build_, test), *_ = ready_tests(analysis, analysis.symbols.tests)
        entries = list(entries_of(build_, test))
        for each in (build_, build_probed(build_.analysis)):
            done = replay_given(db, f"given{next(NAMES)}", each, entries)
            assert done.stepped == "", made.page
            hits = {rule for (rule,) in db.rows(f"SELECT rule FROM {done.outcome.table('hits')}")}
            wrong = [
                case.name
                for number, case in enumerate(made.cases)
                if not {f"written_{number}", f"lifted_{number}"} <= hits
            ]
            assert (wrong, done.found) == ([], []), made.page
            done.drop()
