"""`quell demo`: a simulated day, decided by the starter bundle, and a change backtested on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count as count_from
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

import click

from quell.engine.cli_bundle import built
from quell.engine.cli_bundle import engine as engine_of
from quell.engine.cli_files import whole, write_text
from quell.engine.cli_group import OK
from quell.engine.cli_init import copy_starter, must_be_empty
from quell.engine.cli_output import Watch, console, count, print_json, words

if TYPE_CHECKING:
    from quell.engine.decision import Reply
    from quell.engine.decision_files import DecisionWriter
    from quell.engine.stepper import Stepper
    from quell.replay.demo import Day, Sink
    from quell.replay.report_data import Comparison

EVENTS = 210_000
SEED = 7
"""The simulation's own defaults, said here so that `--help` need not load it; a test compares them."""
REPLAYED = 60_000
"""How much of the day the change is backtested on: more would say the same, and take longer."""
EVENTS_FILE = "events.jsonl"
REPORT = "quell-demo-report.html"
NAMED = "day"
"""What the folder is called in what is shown of a day that was not kept."""


@click.command("demo", short_help="Decide a simulated day, and backtest a change on it.")
@click.option(
    "--events",
    type=int,
    default=EVENTS,
    show_default=True,
    metavar="N",
    help="How long a day: 8,000 or more.",
)
@click.option("--seed", type=int, default=SEED, show_default=True, metavar="S", help="Which day.")
@click.option("--keep", metavar="DIR", help="Keep the events, their truth, the decisions and the policies.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON; a page only with --keep.")
def demo(events: int, seed: int, keep: str | None, as_json: bool) -> int:
    """Decide a simulated day of a community platform, see how well that went, and backtest a change.

    The day holds members who chat, spam campaigns, raids, slow scams, and harmless things that look like
    them. The starter bundle decides each event in turn without knowing which is which; its decisions are
    then compared with the truth. The same N and S give the same day on every machine.

    Then one number in one rule is changed, and both versions replay the first events of the day. What the
    change would catch and what it would cost is told here, and in a page to open in a browser:
    quell-demo-report.html, in DIR or in the current folder.

    \b
    Example:
      quell demo
      quell demo --events 50000 --seed 3 --keep day
    """
    from quell.replay.simulate import FEWEST_EVENTS

    if events < FEWEST_EVENTS:
        raise click.UsageError(f"a day has at least {FEWEST_EVENTS:,} events")
    if keep is not None:
        must_be_empty(Path(keep))
    with TemporaryDirectory(prefix="quell-demo-") as folder, ExitStack() as stack:
        page = None
        if keep is None and not as_json:
            page = stack.enter_context(whole(Path(REPORT)))  # a folder that takes no file is told of at once
        made, day = _decided(events, seed, keep, Path(folder))
        if not as_json:
            _print_day(made, day, events)
        change = _backtested(made, Path(folder), keep)
        if keep is not None:
            page = stack.enter_context(whole(Path(keep) / REPORT))
        if page is not None:
            _write_page(change, page)
    if as_json:
        _print_json(made, day, change, events)
    else:
        _print_change(day, change)
        _print_next(day, change, keep, _options(events, seed))
    return OK


def _decided(events: int, seed: int, keep: str | None, folder: Path) -> tuple[Stepper, Day]:
    """Decide the day, and write down what is kept of it and what the change is tried on."""
    from quell.replay.demo import run_day
    from quell.replay.demo_change import beginning

    with ExitStack() as stack, Watch("deciding the day", events) as watch:
        policies, sinks = stack.enter_context(_kept(keep))
        sinks = [*sinks, stack.enter_context(beginning(folder, REPLAYED))]

        def write(line: bytes, truth: dict[str, str], answer: Reply) -> None:
            for sink in sinks:
                sink(line, truth, answer)

        made = engine_of(policies)
        return made, run_day(made, events, seed, write, lambda done: watch.tell(done, count(done, "event")))


def _backtested(made: Stepper, folder: Path, keep: str | None) -> Comparison:
    """Change a copy of the starter bundle, and compare it with the one that decided the day."""
    from quell.replay.cli_replay import opened, progress
    from quell.replay.demo_change import CHANGED, backtest_change, make_change

    changed = (folder if keep is None else Path(keep)) / CHANGED
    copy_starter(changed)
    make_change(changed)
    after = built(str(changed))
    with opened(None, None) as db, progress() as tell:
        return backtest_change(made.bundle, after, folder, keep or NAMED, db, tell)


def _write_page(change: Comparison, to: IO[bytes]) -> None:
    from quell.replay.page import write_page

    write_page(change, to)


def _print_day(engine: Stepper, day: Day, events: int) -> None:
    from quell.replay.demo_report import print_day

    print_day(engine, day, events)


def _print_change(day: Day, change: Comparison) -> None:
    from quell.replay.demo_change_report import print_change

    print_change(change, day.positive)


def _print_json(engine: Stepper, day: Day, change: Comparison, events: int) -> None:
    from quell.replay.demo_change_report import change_as_json
    from quell.replay.demo_report import as_json

    print_json({**as_json(engine, day, events), "change": change_as_json(change, day.positive)})


@contextmanager
def _kept(keep: str | None) -> Iterator[tuple[str, list[Sink]]]:
    """The folder of the starter bundle, and what writes the day down where it is kept."""
    if keep is None:
        from importlib.resources import as_file, files

        with as_file(files("quell.policies")) as folder:
            yield str(folder), []
        return
    from quell.engine.decision_files import JsonLinesWriter

    target = Path(keep)
    copy_starter(target / "policies")
    with (
        whole(target / EVENTS_FILE) as events,
        whole(target / "truth.jsonl") as truths,
        whole(target / "decisions.jsonl") as decisions,
    ):
        writer = JsonLinesWriter(decisions)
        yield str(target / "policies"), [_sink(events, truths, writer)]
        writer.close()
    write_text(target / "README.md", _README)


def _sink(events: IO[bytes], truths: IO[bytes], decisions: DecisionWriter) -> Sink:
    """What writes one event down, with its truth and the answer to it."""
    from msgspec.json import Encoder

    encode = Encoder().encode
    numbers = count_from(1)

    def write(line: bytes, truth: dict[str, str], answer: Reply) -> None:
        events.write(line + b"\n")
        truths.write(encode(truth) + b"\n")
        decisions.write(answer, f"{EVENTS_FILE}:{next(numbers)}")

    return write


_README = """# A simulated day

`quell demo --keep` made this folder.

| file | holds |
|---|---|
| `policies/` | the starter bundle, to change |
| `events.jsonl` | the day's events, in order |
| `truth.jsonl` | what each event really was: line n belongs to line n of the events |
| `decisions.jsonl` | what the starter bundle decided: line n again |
| `changed/` | the starter bundle with one number changed |
| `quell-demo-report.html` | what that changes, as a page to open in a browser |

    quell decide policies --events events.jsonl
    quell replay changed --against policies --events events.jsonl --labels truth.jsonl --positive label=abuse
"""


def _options(events: int, seed: int) -> str:
    """What makes the same day again."""
    return f" --events {events}" * (events != EVENTS) + f" --seed {seed}" * (seed != SEED)


def _print_next(day: Day, change: Comparison, keep: str | None, options: str) -> None:
    from quell.replay.demo_change import command_words

    out = console()
    out.print()
    out.print("What next", style="bold")
    page = (Path(keep or ".") / REPORT).resolve().as_uri()
    out.print(words("  the report, to open in a browser:  ", (page, "cyan")), soft_wrap=True)
    replay = " ".join(quote(word) for word in command_words(keep or NAMED, change.events))
    if keep is None:
        _print_steps(
            (
                f"quell demo{options} --keep {NAMED}",
                "the day's events and both versions, to try your changes on",
            ),
            (replay, "this backtest, by hand"),
            ("quell init policies", "these policies, to change"),
            ("quell test policies", "the tests beside the rules"),
        )
        return
    policies, events = quote(f"{keep}/policies"), quote(f"{keep}/{EVENTS_FILE}")
    steps = [
        (replay, "this backtest, by hand"),
        (f"quell decide {policies} --events {events}", "decide the day again"),
    ]
    sample = next((s for s in day.samples if s.id is not None), None)
    if sample is not None:
        explain = f"quell explain {policies} --events {events} --event {quote(sample.id or '')}"
        steps.append((explain, "why that decision"))
    _print_steps(*steps, (f"quell test {policies}", "after a change to a rule"))


def _print_steps(*steps: tuple[str, str]) -> None:
    for command, why in steps:
        console().print(words("  ", (command, "cyan"), ("  # " + why, "dim")), soft_wrap=True)
