"""`quell explain`: why an event was decided as it was, or the function that decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import built
from quell.engine.cli_files import STDIO
from quell.engine.cli_group import OK, UNREADABLE, Unreadable, say_error
from quell.engine.cli_output import Watch, console, count, print_json, say, stdout
from quell.engine.cli_state import stepper_of

if TYPE_CHECKING:
    from quell.engine.compile import Build
    from quell.engine.decision import Acted, Refused
    from quell.engine.explanation import Explanation
    from quell.engine.stepper import Stepper

FORMATS = ("json lines", "json", "csv", "tsv", "parquet")
_STEP = 256


@click.command("explain", short_help="Say why an event was decided as it was.")
@click.argument("policies", metavar="POLICIES")
@click.option(
    "--event",
    metavar="FILE|ID",
    help="A file with one JSON event (- is standard input), or the id of one in --events.",
)
@click.option(
    "--events",
    "history",
    metavar="FILE",
    help="The events before it, decided first, or those it is found among: a file, or a journal's folder.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="What --events are, where the ending does not say.",
)
@click.option(
    "--state", metavar="FILE", help="What was remembered before those, as `quell decide --state` left it."
)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="R",
    help="Only this rule, in full (may be repeated).",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every part of every rule, those that did not match too.",
)
@click.option("--source", is_flag=True, help="Print the Python function that the policies become.")
@click.option("--event-type", metavar="E", help="With --source: only this event type.")
@click.option("--json", "as_json", is_flag=True, help="The explanation as JSON.")
def explain(
    policies: str,
    event: str | None,
    history: str | None,
    format_: str | None,
    state: str | None,
    rules: tuple[str, ...],
    everything: bool,
    source: bool,
    event_type: str | None,
    as_json: bool,
) -> int:
    """Say why an event was decided as it was.

    Every rule's condition with its values, what decided it, what was not needed, and what came of it. What
    counters and labels say depends on the events before: --events decides those first, and --state begins
    with what `quell decide --state` left, which stays as it is. An event of the history is named by its id,
    or by its place, such as day.jsonl:12.

    \b
    Example:
      quell explain policies --events day.jsonl --event 1477817716172652544
      quell explain policies --event event.json --rule link_flood
      quell explain policies --source --event-type message
    """
    if source:
        return _print_source(policies, event_type, event, as_json)
    if event is None:
        raise click.UsageError("`--event` says which event to explain (or `--source` shows the function)")
    if event_type is not None:
        raise click.UsageError("`--event-type` belongs to `--source`")
    made = built(policies, all_fields=True)
    _check_rules(made, rules)
    answer = _explained(made, event, history, format_, state)
    return _tell(made, answer, rules, everything, as_json)


def _check_rules(made: Build, rules: tuple[str, ...]) -> None:
    from quell.grammar.diagnostics import did_you_mean

    known = made.analysis.symbols.rules
    for rule in rules:
        if rule not in known:
            near = did_you_mean(rule, known)
            raise click.UsageError(f"there is no rule `{rule}`" + (f": {near}" if near else ""))


def _tell(
    made: Build,
    answer: Explanation | Acted | Refused,
    rules: tuple[str, ...],
    everything: bool,
    as_json: bool,
) -> int:
    import msgspec

    from quell.engine.decision import Acted, Refused

    if isinstance(answer, Acted | Refused):
        if as_json:
            print_json(msgspec.to_builtins(answer))
        elif isinstance(answer, Acted):
            say_error("this is a label by hand, so there is no decision to explain")
        else:
            say_error(f"this event is refused: {answer.message}")
        return UNREADABLE
    if rules:
        answer.rules = [r for r in answer.rules if r.rule in rules]
        if not answer.rules:
            say(f"`{rules[0]}` is not on `{answer.decision.event}`, or is off")
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        from quell.engine.explain_view import print_explanation

        ladder = made.analysis.symbols.ladders[answer.decision.event]
        print_explanation(answer, ladder, full=everything, rules=rules)
    return OK


# --------------------------------------------------------------------------- finding the event


def _explained(
    made: Build, event: str, history: str | None, format_: Any, state: str | None
) -> Explanation | Acted | Refused:
    from quell.engine.explain import Explainer
    from quell.engine.sources import SourceError
    from quell.engine.stepper import Stepper

    engine = Stepper(made)
    if state is not None:
        found_state = stepper_of(made, state)
        if found_state is None:
            raise Unreadable(
                f"there is no state in `{state}`", "`quell decide --state FILE` leaves one there"
            )
        engine = found_state[0]
    try:
        if event == STDIO or Path(event).is_file():
            lines = _one_event(event, made.decoder.max_bytes)
            if history is not None:
                _catch_up(engine, history, format_, None)
            return Explainer(engine).decide(lines)
        if history is None:
            hint = "for the id of an event, name its history with --events"
            raise Unreadable(f"there is no file `{event}`", hint)
        found = _catch_up(engine, history, format_, event)
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error
    if found is None:
        hint = "an event without an id is named by its place, such as day.jsonl:12"
        raise Unreadable(f"no event of `{history}` has the id `{event}`", hint)
    return found


def _one_event(path: str, max_bytes: int) -> Any:
    """The one event that a file holds."""
    from quell.engine.sources import open_source

    format_: Any = "json" if path == STDIO or Path(path).suffix.lower() not in _KNOWN else None
    with open_source(path, format=format_, max_bytes=max_bytes) as source:
        records = []
        for _, payload in source:
            records.append(payload)
            if len(records) > 1:
                hint = "give the file as --events, and the id of one event as --event"
                raise Unreadable(f"`{path}` holds more than one event", hint)
    if not records:
        raise Unreadable(f"`{path}` holds no event")
    return records[0]


_KNOWN = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".pq", ".gz", ".zst")


def _catch_up(
    engine: Stepper, history: str, format_: Any, wanted: str | None
) -> Explanation | Acted | Refused | None:
    """Decide a history, up to the event whose id or place is wanted; that one is explained."""
    from quell.engine.decision import Decision
    from quell.engine.events import Refusal
    from quell.engine.explain import Explainer
    from quell.engine.hand import HandAction
    from quell.engine.sources import decoded, open_source

    build = engine.bundle
    decoder = build.decoder
    identify = {name: build.identifier(name) for name in build.programs}
    done = 0
    with (
        open_source(
            history, format=format_, columns=decoder.columns(), max_bytes=decoder.max_bytes, journals=True
        ) as source,
        Watch("deciding what came before", source.total) as watch,
    ):
        for number, event in decoded(source, decoder):
            done += 1
            if done % _STEP == 0:
                watch.tell(source.position, count(done, "event"))
            if isinstance(event, Refusal | HandAction):
                answer = engine.reply(event)
                if wanted == source.place(number) and not isinstance(answer, Decision):
                    return answer
                continue
            names = (identify[event.event](event.e, event.at), source.place(number))
            if wanted is not None and wanted in names:
                watch.close()
                return Explainer(engine).decide(event)
            engine.decide_decoded(event)
    return None


# ------------------------------------------------------------------------------------- --source


def _print_source(policies: str, event_type: str | None, event: str | None, as_json: bool) -> int:
    if event is not None:
        raise click.UsageError("either `--event` or `--source`; `--event-type` says which function")
    made = built(policies)
    events = list(made.programs)
    if event_type is not None:
        if event_type not in made.programs:
            from quell.grammar.diagnostics import did_you_mean

            near = did_you_mean(event_type, events)
            raise click.UsageError(f"there is no event `{event_type}`" + (f": {near}" if near else ""))
        events = [event_type]
    sources = {name: made.programs[name].program.source for name in events}
    if as_json:
        print_json(sources)
    elif stdout().isatty():
        from rich.syntax import Syntax

        out = console()
        for text in sources.values():
            out.print(Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        click.echo("\n\n".join(text.rstrip("\n") for text in sources.values()))
    return OK
