"""`quell decide`: the decisions for a file of events, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from quell.engine.cli_files import STDIO, missing_parent, same_file, stdout_bytes, whole
from quell.engine.cli_group import DEFECT, OK, UNREADABLE, Unreadable, say_error
from quell.engine.cli_output import Watch, count, print_json, say, stderr, stdout
from quell.engine.cli_state import leave, report_json, resumed, tell

if TYPE_CHECKING:
    from quell.engine.compile import Analysis
    from quell.engine.decision_files import DecisionWriter
    from quell.engine.decision_summary import Summary
    from quell.engine.sources import Source
    from quell.engine.stepper import Stepper

FORMATS = ("json lines", "json", "csv", "tsv", "parquet")
_STEP = 256
"""Events between two looks at the clock."""


@click.command("decide", short_help="Decide a file of events.")
@click.argument("policies", metavar="POLICIES")
@click.option(
    "--events",
    "events",
    required=True,
    metavar="FILE|-",
    help="The events, in order: a file, a journal's folder, or - for standard input.",
)
@click.option(
    "--out",
    metavar="FILE|-",
    help="Write the decisions: .jsonl or .parquet; - is JSON lines on standard output.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="What the events are, where the file's ending does not say.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N events.")
@click.option(
    "--state",
    metavar="FILE",
    help="Go on from the state in this file, if it is there, and leave the state in it at the end.",
)
@click.option(
    "--ask",
    is_flag=True,
    help="Ask the remote models that quell.toml gives an address; without it their answers are missing.",
)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def decide(
    policies: str,
    events: str,
    out: str | None,
    format_: str | None,
    limit: int | None,
    state: str | None,
    ask: bool,
    as_json: bool,
) -> int:
    """Decide a file of events, and say what came of it.

    Events are JSON lines, Parquet or CSV, each also as .gz where it is text. An event that is not what the
    schema says is refused and counted; the rest goes on. The summary goes to standard output, or to
    standard error where the decisions go to standard output.

    Each event is decided before the next is looked at, remote models asked or not.

    \b
    Example:
      quell decide policies --events day.jsonl --out decisions.parquet
      quell decide policies --events tuesday.jsonl --state state.quell
      tail -f log.jsonl | quell decide policies --events - --out - | jq .verdict
    """
    _refuse_same(events, out)
    made, report = resumed(policies, state, events, out)
    with _answering(made, ask):
        summary, took, failure = _run(made, events, out, format_, limit)
    if state is not None and failure is None:
        leave(made, state)
    stream = stderr() if out == STDIO else stdout()
    if as_json:
        heading = {"bundle": made.bundle.analysis.files.name, "version": made.version, "source": events}
        speed = round(summary.total / took) if took else None
        timing = {"seconds": round(took, 3), "events_per_second": speed}
        print_json({**heading, **summary.as_json(), **timing, **report_json(report)}, stream)
    else:
        from quell.engine.cli_summary import print_summary

        print_summary(summary, took, stream)
        if report is not None:
            tell(report)
        if out is not None and out != STDIO and failure is None:
            say(f"wrote {count(summary.total, 'decision')} to {out}")
    return _status(summary, failure, out)


@contextmanager
def _answering(made: Stepper, ask: bool) -> Iterator[None]:
    """Let remote models be asked, if that is wanted, one event after another."""
    if not ask:
        yield
        return
    from quell.engine.asking import Blocking, SetupError, remotes_of

    try:
        remotes = remotes_of(made.bundle)
    except SetupError as error:
        raise Unreadable(str(error), "say in quell.toml where they are, or leave --ask out") from error
    if remotes is None:
        raise click.UsageError("the policies ask no remote model, so there is nothing to --ask")
    with Blocking(remotes) as made.answering:
        yield


def _status(summary: Summary, failure: Unreadable | None, out: str | None) -> int:
    if failure is not None:
        failure.show()
        if out not in (None, STDIO):
            say(f"nothing was written to {out}")
        return failure.exit_code
    if "internal" in summary.refused:
        say_error("deciding failed inside Quell for some events, please report it")
        return DEFECT
    if summary.turned_away and not summary.decided:
        hint = "compare an event with the paths in the policies' event declarations"
        say_error("no event could be decided", hint)
        return UNREADABLE
    return OK


def _refuse_same(events: str, out: str | None) -> None:
    if out is None or out == STDIO:
        return
    if Path(out).suffix.lower() not in (".jsonl", ".ndjson", ".parquet", ".pq"):
        raise click.UsageError(f"`{out}` does not say what to write: end it in .jsonl or .parquet")
    if events != STDIO and same_file(events, out):
        raise click.UsageError("the decisions would overwrite the events")
    missing_parent(Path(out))


def _run(
    made: Stepper, events: str, out: str | None, format_: Any, limit: int | None
) -> tuple[Summary, float, Unreadable | None]:
    """Decide the events; gives what came of them, the seconds it took, and why reading ended early."""
    from quell.engine.decision_summary import Summary
    from quell.engine.sources import SourceError, open_source

    summary = Summary(made.bundle.analysis.symbols)
    decoder = made.bundle.decoder
    try:
        with (
            open_source(
                events, format=format_, columns=decoder.columns(), max_bytes=decoder.max_bytes, journals=True
            ) as source,
            Watch("deciding", _total(source, limit)) as watch,
        ):
            note_answers(source, made.bundle.analysis)
            try:
                with _writer(out, events) as writer:
                    _decide(made, source, summary, writer, watch, limit)
            except SourceError as error:
                return summary, watch.elapsed, Unreadable(error.message, error.hint or None)
            return summary, watch.elapsed, None
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error


def note_answers(source: Source, analysis: Analysis) -> None:
    """Say that the answers of remote models in a journal are passed over, where there would be some."""
    from quell.engine.source_journal import JournalEvents

    if isinstance(source, JournalEvents) and analysis.lowerer.remotes:
        say("what remote models answered in service is not taken from the journal: `quell replay` does that")


def _total(source: Source, limit: int | None) -> int | None:
    return source.total if limit is None else limit


def _decide(
    made: Stepper,
    source: Source,
    summary: Summary,
    writer: DecisionWriter | None,
    watch: Watch,
    limit: int | None,
) -> None:
    from quell.engine.decision import Decision, Refused
    from quell.engine.sources import decoded

    for done, (number, event) in enumerate(decoded(source, made.bundle.decoder), 1):
        answer = made.reply(event)
        placed = isinstance(answer, Refused) or (isinstance(answer, Decision) and answer.problems)
        place = source.place(number) if placed else ""
        summary.add(answer, place)
        if writer is not None:
            writer.write(answer, place)
        if done == limit:
            return
        if done % _STEP == 0:
            watch.tell(done if limit is not None else source.position, count(done, "event"))


@contextmanager
def _writer(out: str | None, events: str) -> Iterator[DecisionWriter | None]:
    """Where the decisions go; a file takes its name only once it is whole."""
    from quell.engine.decision_files import JsonLinesWriter

    if out is None:
        yield None
    elif out == STDIO:
        lines = JsonLinesWriter(stdout_bytes(), prompt=events == STDIO)
        yield lines
        lines.close()
    else:
        with whole(Path(out)) as stream:
            writer = _file_writer(out, stream)
            yield writer
            writer.close()


def _file_writer(out: str, stream: IO[bytes]) -> DecisionWriter:
    from quell.engine.decision_files import JsonLinesWriter, ParquetWriter

    if Path(out).suffix.lower() in (".parquet", ".pq"):
        return ParquetWriter(stream)
    return JsonLinesWriter(stream)
