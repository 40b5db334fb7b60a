"""`quell demo`: a simulated day, decided by the starter bundle, and how well that went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count as count_from
from pathlib import Path
from shlex import quote
from typing import IO, TYPE_CHECKING

import click

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

EVENTS = 210_000
SEED = 7
"""The simulation's own defaults, said here so that `--help` need not load it; a test compares them."""
EVENTS_FILE = "events.jsonl"


@click.command("demo", short_help="Decide a simulated day, and see how well that went.")
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
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def demo(events: int, seed: int, keep: str | None, as_json: bool) -> int:
    """Decide a simulated day of a community platform, and see how well that went.

    The day holds members who chat, spam campaigns, raids, slow scams, and harmless things that look like
    them. The starter bundle decides each event in turn without knowing which is which; its decisions are
    then compared with the truth. The same N and S give the same day on every machine.

    \b
    Example:
      quell demo
      quell demo --events 50000 --seed 3 --keep day
    """
    from quell.replay.demo import run_day
    from quell.replay.simulate import FEWEST_EVENTS

    if events < FEWEST_EVENTS:
        raise click.UsageError(f"a day has at least {FEWEST_EVENTS:,} events")
    if keep is not None:
        must_be_empty(Path(keep))
    with ExitStack() as stack, Watch("deciding the day", events) as watch:
        policies, sink = stack.enter_context(_kept(keep))
        made = engine_of(policies)
        day = run_day(made, events, seed, sink, lambda done: watch.tell(done, count(done, "event")))
    _tell(made, day, events, as_json)
    if not as_json:
        _print_next(day, keep)
    return OK


def _tell(engine: Stepper, day: Day, events: int, as_json_: bool) -> None:
    from quell.replay.demo_report import as_json, print_day

    if as_json_:
        print_json(as_json(engine, day, events))
    else:
        print_day(engine, day, events)


@contextmanager
def _kept(keep: str | None) -> Iterator[tuple[str, Sink | None]]:
    """The folder of the starter bundle, and what writes the day down where it is kept."""
    if keep is None:
        from importlib.resources import as_file, files

        with as_file(files("quell.policies")) as folder:
            yield str(folder), None
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
        yield str(target / "policies"), _sink(events, truths, writer)
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

    quell decide policies --events events.jsonl
"""


def _print_next(day: Day, keep: str | None) -> None:
    out = console()
    out.print()
    out.print("What next", style="bold")
    if keep is None:
        steps = [
            ("quell init policies", "these policies, to change"),
            ("quell test policies", "the tests beside the rules"),
            ("quell demo --keep day", "the day's events, to try your changes on"),
            ("quell demo --seed 8", "another day"),
        ]
    else:
        policies, events = quote(f"{keep}/policies"), quote(f"{keep}/{EVENTS_FILE}")
        steps = [(f"quell decide {policies} --events {events}", "decide the day again")]
        sample = next((s for s in day.samples if s.id is not None), None)
        if sample is not None:
            explain = f"quell explain {policies} --events {events} --event {quote(sample.id or '')}"
            steps.append((explain, "why that decision"))
        steps.append((f"quell test {policies}", "after a change to a rule"))
    wide = max(len(command) for command, _ in steps)
    for command, why in steps:
        if wide > 40:
            out.print(words("  ", (command, "cyan"), ("  # " + why, "dim")), soft_wrap=True)
        else:
            out.print(words("  ", (f"{command:<{wide}}", "cyan"), f"  {why}"), soft_wrap=True)
