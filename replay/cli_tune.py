"""`quell tune`: what other values of a rule's constants would hit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import built
from quell.engine.cli_files import whole
from quell.engine.cli_group import OK, Unreadable
from quell.engine.cli_output import print_json, say
from quell.replay.cli_features import check_outs
from quell.replay.cli_replay import opened, progress
from quell.replay.cli_replay_options import history_options, truth_options

if TYPE_CHECKING:
    from quell.engine.compile import Build
    from quell.replay.run import Tell
    from quell.replay.tune import Settings
    from quell.replay.tune_constants import Constant, Found
    from quell.replay.tune_edit import Edit
    from quell.replay.tune_report import Wish


@click.command("tune", short_help="Say what other values of a rule's constants would hit.")
@click.argument("policies", metavar="POLICIES")
@click.option("--rule", required=True, metavar="R", help="The rule whose constants are swept.")
@history_options
@truth_options
@click.option(
    "--constant",
    "constants",
    multiple=True,
    metavar="N|TEXT",
    help="Which constant: its number, or part of the comparison's text. Two make a grid.",
)
@click.option(
    "--from",
    "starts",
    multiple=True,
    metavar="VALUE",
    help="The first value to try; a second one for a grid.",
)
@click.option("--to", "stops", multiple=True, metavar="VALUE", help="The last value to try.")
@click.option("--steps", type=click.IntRange(2, 60), metavar="N", help="How many values between the two.")
@click.option("--goal", metavar="GOAL", help="What is wanted: precision>=95%, recall>=80% or hits<=0.1%.")
@click.option(
    "--set", "wanted", multiple=True, metavar="[N=]VALUE", help="Propose this value for a constant."
)
@click.option("--write", is_flag=True, help="Write the proposed values into the policy files.")
@click.option("--picture", metavar="FILE", help="Draw the curve in an .svg file.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def tune(policies: str, rule: str, events: tuple[str, ...], **asked: Any) -> int:
    """Say what other values of a rule's constants would hit, and propose an edit.

    The history is replayed once. Then every setting of a constant in the rule's condition is worked out from
    the values that the condition had at each event: how many events it would hit, on how many accounts, which
    of them newly. Without --constant the one is swept that holds back most. With --labels it says how precise
    each setting is and how much it finds, and with --goal which one is best.

    The edit is shown as a diff of the policy file, in which nothing but the constant changes.

    \b
    Example:
      quell tune policies --events day.jsonl --rule link_flood
      quell tune policies --events day.jsonl --rule link_flood --constant 2 --set 12 --write
    """
    from quell.replay.tune_constants import NoEvents, NoSweep

    _check(events, asked)
    build = built(policies)
    try:
        return _run(build, policies, rule, events, asked)
    except NoEvents as error:
        raise Unreadable(error.message, error.hint) from error
    except NoSweep as error:
        raise click.UsageError(error.message + (f" ({error.hint})" if error.hint else "")) from error


def _check(events: tuple[str, ...], asked: dict[str, Any]) -> None:
    """Refuse options that do not go together, before any work is done."""
    if len(asked["starts"]) != len(asked["stops"]):
        raise click.UsageError("`--from` and `--to` go together")
    if asked["steps"] is not None and not asked["starts"]:
        raise click.UsageError("`--steps` are between `--from` and `--to`: say both")
    if len(asked["starts"]) > max(1, len(asked["constants"])):
        raise click.UsageError("there are more `--from` than constants")
    if asked["goal"] is not None and asked["wanted"]:
        raise click.UsageError("either `--goal` or `--set` says what to propose")
    if asked["goal"] is not None and asked["labels"] is None:
        raise click.UsageError("`--goal` needs `--labels`: without them no setting is better than another")
    if asked["write"] and not (asked["goal"] or asked["wanted"]):
        raise click.UsageError("`--write` needs a value: say --set, or --labels and --goal")
    check_outs(events, asked["labels"], (asked["picture"], (".svg",)))


def _run(build: Build, policies: str, rule: str, events: tuple[str, ...], asked: dict[str, Any]) -> int:
    from quell.replay.tune_constants import find

    found = find(build.analysis, rule)
    wish = _wish(asked)
    with opened(asked["memory"], asked["threads"]) as db, progress() as tell:
        report, made = _swept(db, build, policies, found, events, asked, wish, tell)
    if asked["write"] and made is not None:
        import msgspec

        _write(build, made)
        assert report.proposal is not None
        report.proposal = msgspec.structs.replace(report.proposal, written=True)
    if asked["as_json"]:
        import msgspec

        print_json(msgspec.to_builtins(report, str_keys=True))
    else:
        from quell.replay.tune_view import print_tuning

        print_tuning(report)
    if asked["picture"] is not None:
        from quell.replay.tune_picture import picture

        with whole(Path(asked["picture"])) as stream:
            stream.write(picture(report).encode())
        say(f"drew {asked['picture']}")
    if asked["write"]:
        _say_written(made)
    return OK


def _swept(
    db: Any, build: Build, policies: str, found: Found, events: Any, asked: Any, wish: Wish, tell: Tell
) -> Any:
    from time import monotonic

    from quell.replay.backtest_report import Asked, prepare, read
    from quell.replay.run import undecided
    from quell.replay.tune import tune as sweep
    from quell.replay.tune_report import report_of, wished

    began = monotonic()
    how = Asked(
        order=asked["order"],
        format=asked["format_"],
        limit=asked["limit"],
        labels=asked["labels"],
        positive=asked["positive"],
        known_by=asked["known_by"],
    )
    prepared = prepare(build, how)
    history = read(db, "tune", prepared, events, tell)
    truth = prepared.labels.attach(history) if prepared.labels is not None else None
    total = history.events + history.hands
    constants, also = wished(found, wish, asked["constants"])
    tuned = sweep(
        undecided(history, "tune", tell=tell),
        found,
        constants,
        truth=truth.table if truth is not None else None,
        settings=_settings(asked, grid=len(constants) > 1),
        also=also,
        tell=lambda done: tell("deciding", done / total if total else None),
    )
    report, made = report_of(tuned, policies, wish, monotonic() - began, truth)
    return report, made


def _wish(asked: dict[str, Any]) -> Wish:
    from quell.replay.tune_goal import read_goal
    from quell.replay.tune_report import Wish

    goal = read_goal(asked["goal"]) if asked["goal"] is not None else None
    return Wish(asked["wanted"], goal)


def _settings(asked: dict[str, Any], *, grid: bool) -> Settings:
    """The settings that were asked for, of the constants in the order in which they were named."""
    from quell.replay.tune_settings import MOST, MOST_OF_GRID, STEPS, between

    left = list(zip(asked["starts"], asked["stops"], strict=True))
    known: dict[int, list[float] | None] = {}

    def settings(constant: Constant) -> list[float] | None:
        if constant.number not in known:
            made = None
            if left:
                start, stop = left.pop(0)
                most = MOST_OF_GRID if grid else MOST
                made = between(constant, start, stop, asked["steps"] or STEPS, most)
            known[constant.number] = made
        return known[constant.number]

    return settings


def _write(build: Build, made: Edit) -> None:
    """Put the edited texts in the policy files, each whole or not at all."""
    root = build.analysis.files.root
    assert root is not None
    for name, text in made.after.items():
        path = root / name
        held = path.read_bytes()
        mark = b"\xef\xbb\xbf" if held.startswith(b"\xef\xbb\xbf") else b""
        if held != mark + made.before[name].encode():
            raise Unreadable(f"`{path}` changed while it was tuned", "run it again")
        with whole(path) as stream:
            stream.write(mark + text.encode())


def _say_written(made: Edit | None) -> None:
    if made is None:
        say("nothing was written: no setting reaches the goal")
    elif made.diff():
        say(
            f"wrote {', '.join(sorted(made.after))}; `quell test` says whether the policies' tests still hold"
        )
    else:
        say("nothing was written: that is what stands there")
