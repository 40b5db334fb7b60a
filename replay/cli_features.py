"""`quell features`: the values of every event of a history, as the engine saw them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import read_sound
from quell.engine.cli_decide import note_answers
from quell.engine.cli_files import STDIO, missing_parent, same_file, whole
from quell.engine.cli_group import DEFECT, OK, UNREADABLE, Unreadable, say_error
from quell.engine.cli_output import (
    Busy,
    Watch,
    console,
    count,
    percent,
    print_json,
    rate,
    seconds,
    stdout,
    table,
)

if TYPE_CHECKING:
    from quell.engine.compile import Analysis
    from quell.engine.decision_summary import Summary
    from quell.replay.features import FeatureWriter
    from quell.replay.named_values import NotAValue, Tapped, Wanted

FORMATS = ("json lines", "json", "csv", "tsv", "parquet")
STEP = 256
"""Events between two looks at the clock."""
OUT = "features.parquet"


@click.command("features", short_help="Write the values of every event, as the engine saw them.")
@click.argument("policies", metavar="POLICIES")
@click.option(
    "--events",
    required=True,
    metavar="FILE|-",
    help="The history, in order: a file, a journal's folder, or - for standard input.",
)
@click.option(
    "--values", metavar="NAME,…", help="Fields, lets, scores and models, as the policies call them."
)
@click.option("--model", metavar="M", help="The inputs of this model, as its declaration names them.")
@click.option("--event", metavar="E", help="Only rows of this event type; all events are decided.")
@click.option("--out", default=OUT, show_default=True, metavar="FILE", help="The Parquet file to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="What the events are, where the file's ending does not say.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N events.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def features(
    policies: str,
    events: str,
    values: str | None,
    model: str | None,
    event: str | None,
    out: str,
    format_: str | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """Write the values of every event of a history, as the engine saw them when it decided.

    The history is decided in order, and the values are those that the rules had: counters with all that
    came before and the event itself, labels as they were before it was decided. They come from the function
    that decides, so a model that is trained on them sees the same in service. Columns are seq, event, id and
    at, then the values; a missing one is null.

    \b
    Example:
      quell features policies --events day.jsonl --values burst,account_age
      quell features policies --events day.jsonl --model spam --out spam.parquet
    """
    from quell.replay.named_values import NotAValue
    from quell.replay.untrained import untrained

    check_chosen(values, model)
    check_out(events, out, (".parquet", ".pq"))
    try:
        how = untrained(model, only_if_absent=True) if model is not None else None
        analysis = read_sound(policies, how)
        with Busy("compiling the policies"):
            tapped = _tapped(analysis, values, model, event)
        summary, writer, took = _run(tapped, events, out, format_, limit)
    except NotAValue as error:
        raise not_a_value(error) from error
    if as_json:
        _print_json(tapped, summary, writer, took, events, out)
    else:
        _print(tapped, summary, writer, took, out)
    return status(summary)


def check_outs(events: Sequence[str], labels: str | None, *outs: tuple[str | None, tuple[str, ...]]) -> None:
    """Refuse outputs that cannot be of a history of files, patterns and folders; each output has the endings
    that it may have, none where any will do."""
    asked = [(out, endings) for out, endings in outs if out is not None]
    if not asked:
        return
    from quell.engine.source_base import SourceError
    from quell.replay.history_files import find

    try:
        files = [found.path for found in find(events)]
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error
    for out, endings in asked:
        check_out(files, out, endings, labels)


def check_out(
    events: str | Sequence[str], out: str, endings: tuple[str, ...], labels: str | None = None
) -> None:
    """Refuse an output that cannot be, before any work is done."""
    if endings and Path(out).suffix.lower() not in endings:
        raise click.UsageError(f"`{out}` does not say what to write: end it in {endings[0]}")
    read = (events,) if isinstance(events, str) else events
    if any(path != STDIO and same_file(path, out) for path in read):
        raise click.UsageError(f"`{out}` would overwrite the events")
    if labels is not None and same_file(labels, out):
        raise click.UsageError(f"`{out}` would overwrite the labels")
    missing_parent(Path(out))
    if Path(out).is_dir():
        raise Unreadable(f"`{out}` is a folder", "name a file in it")


def not_a_value(error: NotAValue) -> click.UsageError:
    """A value that is not there, as the command line tells it."""
    return click.UsageError(error.message + (f" ({error.hint})" if error.hint else ""))


def check_chosen(values: str | None, model: str | None) -> None:
    """Refuse a command that does not say which values, or says it twice."""
    if (values is None) == (model is None):
        raise click.UsageError("either `--values` or `--model` says which values are meant")


def chosen(analysis: Analysis, values: str | None, model: str | None) -> list[Wanted]:
    """The values that the command line asks for. Raises NotAValue."""
    from quell.replay.named_values import wanted
    from quell.replay.untrained import inputs_of

    if model is not None:
        return inputs_of(analysis, model)
    names = [name for name in (values or "").split(",") if name.strip()]
    if not names:
        raise click.UsageError("`--values` names no value: write --values burst,account_age")
    return wanted(analysis, names)


def _tapped(analysis: Analysis, values: str | None, model: str | None, event: str | None) -> Tapped:
    from quell.replay.features import schema_of
    from quell.replay.named_values import tap

    tapped = tap(analysis, chosen(analysis, values, model), event)
    schema_of(tapped.types)
    return tapped


def _run(
    tapped: Tapped, events: str, out: str, format_: Any, limit: int | None
) -> tuple[Summary, FeatureWriter, float]:
    from quell.engine.decision_summary import Summary
    from quell.engine.sources import SourceError, open_source
    from quell.replay.features import FeatureWriter, walk

    summary, decoder = Summary(tapped.build.analysis.symbols), tapped.build.decoder
    try:
        with (
            open_source(
                events, format=format_, columns=decoder.columns(), max_bytes=decoder.max_bytes, journals=True
            ) as source,
            Watch("deciding", source.total if limit is None else limit) as watch,
            whole(Path(out)) as stream,
        ):
            note_answers(source, tapped.build.analysis)

            def tell(done: int) -> None:
                if done % STEP == 0:
                    watch.tell(done if limit is not None else source.position, count(done, "event"))

            with FeatureWriter(stream, tapped.types) as writer:
                for row in walk(tapped, source, summary, tell, limit):
                    writer.write(row)
            check_rows(tapped, summary, writer.rows)
            return summary, writer, watch.elapsed
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error


def check_rows(tapped: Tapped, summary: Summary, rows: int) -> None:
    """Refuse a history that gave no row, and say why it gave none."""
    if rows:
        return
    if not summary.decided and not summary.turned_away:
        raise Unreadable("the history holds no event")
    if not summary.decided:
        from quell.engine.decision_summary import by_count

        place, message = by_count(summary.refused.values())[0].samples[0]
        raise Unreadable(f"no event could be decided: {message} ({place})")
    seen = ", ".join(f"`{name}`" for name in list(summary.events)[:4])
    asked = " or ".join(f"`{name}`" for name in tapped.events[:4])
    raise Unreadable(f"the history has no {asked} event", f"it has {seen}")


def status(summary: Summary) -> int:
    """The exit status of a run over a history."""
    if "internal" in summary.refused:
        say_error("deciding failed inside Quell for some events, please report it")
        return DEFECT
    return OK if summary.decided else UNREADABLE


def _print(tapped: Tapped, summary: Summary, writer: FeatureWriter, took: float, out: str) -> None:
    from quell.engine.cli_summary import print_trouble
    from quell.engine.operations import EXACT

    screen = console(stdout())
    told = f"{count(summary.decided, 'event')} decided"
    if summary.turned_away:
        told += f", {summary.turned_away:,} refused"
    speed = f" ({rate(summary.total, took)})" if took >= 0.05 else ""
    told += f", {count(writer.rows, 'row')} written to {out} in {seconds(took)}{speed}"
    screen.print(told, soft_wrap=True)
    for name, lacks in tapped.without.items():
        if summary.events[name]:
            screen.print(f"no rows of `{name}`, which has no `{lacks}`", style="dim")

    def number(value: float | None) -> str:
        if value is None:
            return ""
        whole = value.is_integer() and abs(value) <= EXACT
        return f"{int(value):,}" if whole else f"{value:.4g}"

    screen.print()
    screen.print(
        table(
            ("column~", "type~", "missing>", "least>", "most>"),
            (
                (name, str(p.type), percent(p.missing, writer.rows), number(p.least), number(p.most))
                for name, p in writer.profiles.items()
            ),
        )
    )
    print_trouble(screen, summary)


def _print_json(
    tapped: Tapped, summary: Summary, writer: FeatureWriter, took: float, events: str, out: str
) -> None:
    build = tapped.build
    print_json(
        {
            "bundle": build.analysis.files.name,
            "version": build.version,
            "source": events,
            "out": out,
            "rows": writer.rows,
            "row_events": list(tapped.events),
            "columns": [
                {
                    "name": name,
                    "type": str(p.type),
                    "arrow": str(writer.schema.field(name).type),
                    "missing": p.missing,
                    "least": p.least,
                    "most": p.most,
                }
                for name, p in writer.profiles.items()
            ],
            "events": summary.total,
            "decided": summary.decided,
            "refused": summary.turned_away,
            "refusals": summary.as_json()["refusals"],
            "problems": summary.as_json()["problems"],
            "seconds": round(took, 3),
        }
    )
