"""`quell replay`: what a bundle would have done on a history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import built
from quell.engine.cli_files import whole, write_text
from quell.engine.cli_group import OK, Unreadable
from quell.engine.cli_output import PATIENCE, Watch, console, count, print_json, say
from quell.replay.cli_compare import Change, change_options
from quell.replay.cli_features import check_outs
from quell.replay.cli_replay_options import history_options, label_options, period_options, sample_options

if TYPE_CHECKING:
    from quell.engine.compile import Build
    from quell.replay.backtest_frame import Frame
    from quell.replay.backtest_report import Asked
    from quell.replay.database import Database
    from quell.replay.outcome import Outcome
    from quell.replay.report_data import Backtest, Comparison
    from quell.replay.run import Tell

STEPS = 1_000
_NOT_WITH_EVENT = {
    "gates": "--fail-if", "out": "--out", "html": "--html", "markdown": "--markdown", "labels": "--labels",
    "weigh": "--weigh", "explain": "--explain",
}  # fmt: skip
"""What asks for more than one event's explanation."""
"""Into how many parts progress is measured."""


@click.command("replay", short_help="Say what policies would have done on a history.")
@click.argument("policies", metavar="POLICIES")
@history_options
@period_options
@label_options
@sample_options
@change_options
@click.option(
    "--event", metavar="ID|PLACE", help="Explain only this event, in full, as the replay decided it."
)
@click.option(
    "--explain", is_flag=True, help="Say which way each part of the policies was replayed, and why."
)
@click.option(
    "--out", metavar="FILE", help="Write what every event got: a .parquet file with a row for each."
)
@click.option("--html", metavar="FILE", help="Write the report as one page that opens without a network.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, the reasons of samples included.")
def replay(policies: str, events: tuple[str, ...], **asked: Any) -> int:
    """Say what policies would have done on a history.

    The whole history is decided from its beginning, exactly as the engine decides it in service: counters,
    labels and limits as they stood at each event. The report says how often each verdict was given and each
    rule fired, on how many different accounts, which rules add nothing that others do not catch, and what to
    look at; with what the history says of itself.

    With --against it says what a change would change instead: which verdicts go over into which, which rules
    newly fire and no longer fire, events newly caught and newly let go with the reasons of both versions,
    and which counters begin cold. --fail-if makes a gate of its figures:

    \b
      new_blocks (new_ and any verdict), changed, harsher, milder, newly_caught,
      newly_let_go, new_hits, newly(RULE), no_longer(RULE), newly_refused, cold
      refused, missing, hits(RULE), verdict(VERDICT)
      precision, recall, false_positives, also of (RULE) or (VERDICT),
      precision_drop, recall_drop

    compared by > >= < <= == != with a number or a percentage (of all events), joined by and, or.

    Histories are JSON lines, CSV (each also as .gz or .zst) or Parquet.

    \b
    Example:
      quell replay policies --events day.jsonl
      quell replay policies --events day.jsonl --against main --fail-if 'new_blocks > 0.1%'
      quell replay policies --events 'march/*.parquet' --from 2026-03-08 --out decisions.parquet
    """
    _check_alone(asked)
    pages = (".html", ".htm")
    check_outs(events, asked["labels"], (asked["out"], (".parquet", ".pq")), (asked["html"], pages))
    build = built(policies)
    with Change(policies, build, asked, events) as change:
        if change.other is not None:
            return _compare(change, _asked(policies, asked, curves=False), events, asked)
        with opened(asked["memory"], asked["threads"]) as db, progress() as tell:
            prepared, outcome = _replayed(
                db, build, _asked(policies, asked, curves=asked["html"] is not None), events, tell
            )
            if asked["event"] is not None:
                return _explain_one(outcome, asked["event"], tell, asked["as_json"])
            from quell.replay.backtest_report import backtest_of, frame_of

            frame = frame_of(outcome, prepared)
            report = backtest_of(outcome, prepared, tell, frame)
            if asked["out"] is not None:
                _write_decisions(frame, asked["out"], tell)
        change.judge(report)
        _write_others(report, report.source.events, asked)  # whole, whoever reads how much of what is printed
        return change.tell(report, lambda: _print_backtest(report, asked["explain"]))


def _write_others(report: Backtest | Comparison, events: int, asked: dict[str, Any]) -> None:
    """Write the page, and say what else was written."""
    if asked["html"] is not None:
        write_html(report, asked["html"])
    if asked["out"] is not None:
        say(f"wrote {count(events, 'event')} to {asked['out']}")


def _print_backtest(report: Backtest, ways: bool) -> None:
    from quell.replay.cli_compare_view import print_gates
    from quell.replay.cli_replay_view import print_backtest

    print_backtest(report, ways=ways)
    print_gates(console(), report.gates)


def _compare(change: Change, asked: Asked, events: tuple[str, ...], said: dict[str, Any]) -> int:
    """What changes against other policies. Of events that each version shows by itself, which are not those
    that changed, only the JSON report has the reasons."""
    from quell.replay.cli_compare_view import print_comparison
    from quell.replay.compare_run import Pair, compared, histories

    assert change.other is not None and change.other_build is not None
    asked = replace(asked, explained=said["as_json"])
    with opened(said["memory"], said["threads"]) as db, progress() as tell:
        pair = Pair.of(change.other_build, change.build, asked, change.other.title)
        before, after = histories(db, pair, events, tell)
        done = compared(pair, before, after, against=change.other.title, tell=tell)
        if said["out"] is not None:
            _write_decisions(done.after, said["out"], tell)
    made = done.comparison
    made.notes[:0] = change.other.notes
    change.judge(made)
    _write_others(made, made.after.source.events, said)
    return change.tell(made, lambda: print_comparison(made, ways=said["explain"]))


def _asked(policies: str, asked: dict[str, Any], *, curves: bool) -> Asked:
    from quell.replay.backtest_report import Asked

    start, until = asked["start"], asked["until"]
    if start is not None and until is not None and start >= until:
        raise click.UsageError("`--from` is not before `--until`")
    return Asked(
        order=asked["order"],
        format=asked["format_"],
        limit=asked["limit"],
        start=start,
        until=until,
        warm_up=asked["warm_up"],
        samples=asked["samples"],
        explained=asked["as_json"] or asked["html"] is not None,
        nearest=asked["against"] is None,
        policies=policies,
        labels=asked["labels"],
        positive=asked["positive"],
        known_by=asked["known_by"],
        weigh=asked["weigh"],
        curves=curves,
    )


def _check_alone(asked: dict[str, Any]) -> None:
    """Refuse what `--event`, which explains one event and nothing else, would leave undone."""
    if asked["event"] is None:
        return
    for name, option in _NOT_WITH_EVENT.items():
        if asked[name]:
            raise click.UsageError(f"`--event` explains one event: leave out `{option}`")


# ------------------------------------------------------------------------------- shared with others


@contextmanager
def opened(memory: str | None, threads: int | None) -> Iterator[Database]:
    """A database to work in, gone afterwards. What it cannot do is told in a sentence, and Ctrl-C while it
    works is Ctrl-C."""
    import duckdb

    from quell.engine.sources import SourceError
    from quell.replay.cli_features import not_a_value
    from quell.replay.database import Database
    from quell.replay.interrupt import interruptible
    from quell.replay.labels import LabelsError
    from quell.replay.named_values import NotAValue

    try:
        with Database(memory, threads) as db, interruptible(db.con):
            yield db
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error
    except LabelsError as error:
        raise Unreadable(error.message, error.hint) from error
    except NotAValue as error:
        raise not_a_value(error) from error
    except duckdb.InterruptException as error:
        raise click.Abort from error
    except duckdb.OutOfMemoryException as error:
        hint = "give it more with --memory, or fewer --threads"
        raise Unreadable("the replay does not fit in the memory it was given", hint) from error
    except duckdb.IOException as error:
        raise _unwritable(str(error)) from error


def _unwritable(said: str) -> Unreadable:
    """What to say where the database could not read or write: in nearly all cases its disk is full."""
    if "no space left" in said.lower():
        return Unreadable(
            "there is no space left on the disk that the replay works on", "TMPDIR names a folder with more"
        )
    told = " ".join(said.removeprefix("IO Error: ").split())[:300]
    return Unreadable("a file cannot be read or written", f"DuckDB says: {told}")


@contextmanager
def progress() -> Iterator[Tell]:
    """What shows how far a replay is, part by part. A timer sees to it that a part which tells nothing, since
    it is one long query, is shown too."""
    lock, part, share = Lock(), "reading", 0.0

    def show() -> None:
        with lock:
            watch.tell(int(share * STEPS))

    def tell(what: str, done: float | None) -> None:
        nonlocal part, share
        with lock:
            if what != part:
                watch.turn(what, None if done is None else STEPS)
            part, share = what, done or 0.0
            watch.tell(int(share * STEPS))

    timer = Timer(PATIENCE + 0.1, show)
    timer.daemon = True
    with Watch(part, STEPS) as watch:
        timer.start()
        try:
            yield tell
        finally:
            timer.cancel()
            timer.join()


def _replayed(
    db: Database, build: Build, asked: Asked, events: tuple[str, ...], tell: Tell
) -> tuple[Any, Outcome]:
    from quell.replay.backtest_report import prepare, run

    prepared = prepare(build, asked)
    return prepared, run(db, "after", prepared, events, tell)


def write_html(report: Backtest | Comparison, path: str) -> None:
    """Write a report as a page; the file takes its name only once it is whole."""
    from quell.replay.page import page

    write_text(Path(path), page(report))
    say(f"wrote the report to {path}: open it in a browser")


def _write_decisions(frame: Frame, out: str, tell: Tell) -> None:
    """Write the decisions; the file takes its name only once it is whole."""
    from quell.replay.backtest_files import write_decisions

    tell("writing decisions", None)
    with whole(Path(out)) as stream:
        write_decisions(frame, stream)


def _explain_one(outcome: Outcome, wanted: str, tell: Tell, as_json: bool) -> int:
    """Explain one event of the replay in full."""
    from quell.engine.explain_view import print_explanation
    from quell.replay.backtest_places import find
    from quell.replay.run import explanations

    n = find(outcome.history, wanted)
    if n is None:
        hint = "an event without an id is named by its place, such as day.jsonl:12"
        raise Unreadable(f"no event of the history has the id `{wanted}`", hint)
    tell("explaining", None)
    found = explanations(outcome, [n])[n]
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        ladder = outcome.history.build.analysis.symbols.ladders[found.decision.event]
        print_explanation(found, ladder, full=False, rules=())
    return OK
