"""The options of `quell replay`, in groups that other commands over a history share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

FORMATS = ("json lines", "json", "csv", "tsv", "parquet")
MEMORY = re.compile(r"[0-9]+(?:\.[0-9]+)? ?(?:kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)

Command = TypeVar("Command", bound=Callable[..., Any])
Group = Callable[[Command], Command]


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator; help lists them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _memory(ctx: click.Context, option: click.Parameter, said: str | None) -> str | None:
    if said is not None and not MEMORY.fullmatch(said.strip()):
        raise click.BadParameter(f"`{said}` is no amount of memory: write 2GB or 500MB", ctx, option)
    return said


def _time(ctx: click.Context, option: click.Parameter, said: str | None) -> int | None:
    from quell.signals.times import time

    if said is None:
        return None
    found = time(said.strip())
    if found is None:
        raise click.BadParameter(
            f"`{said}` is no time: write 2026-03-01 or 2026-03-01T12:00:00Z", ctx, option
        )
    return found


history_options: Callable[[Any], Any] = together(
    click.option(
        "--events",
        multiple=True,
        required=True,
        metavar="HISTORY",
        help="The history: a file, or several by a pattern such as 'logs/*.parquet' (may be repeated).",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        help="What the events are, where the file's ending does not say.",
    ),
    click.option(
        "--order",
        type=click.Choice(("time", "given")),
        help="Put the events in order of time, or take them as the files have them, late ones too. "
        "[default: time; given for a journal]",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N events in order."
    ),
    click.option(
        "--memory", callback=_memory, metavar="2GB", help="What the database may hold; the rest goes to disk."
    ),
    click.option(
        "--threads", type=click.IntRange(1, 256), metavar="N", help="Threads, instead of all cores."
    ),
)
"""Which events, in which order, and what working on them may take."""

period_options: Callable[[Any], Any] = together(
    click.option(
        "--from",
        "start",
        callback=_time,
        metavar="TIME",
        help="Count only events from then on; those before are decided too.",
    ),
    click.option("--until", callback=_time, metavar="TIME", help="Count only events before then."),
    click.option(
        "--warm-up",
        type=click.Choice(("mark", "leave-out")),
        default="mark",
        show_default=True,
        help="Say which events came before the longest window was full, or leave them out of the figures.",
    ),
)
"""Which of the events the figures are of."""

truth_options: Callable[[Any], Any] = together(
    click.option(
        "--labels",
        metavar="LABEL|FILE",
        help='What each event really was: `$.label == "spam"`, an expression, or a file of labels.',
    ),
    click.option(
        "--positive",
        multiple=True,
        metavar="[COLUMN=]VALUE",
        help="Which value in the file of labels is positive (may be repeated).",
    ),
    click.option(
        "--known-by",
        callback=_time,
        metavar="TIME",
        help="Take only labels that were known by then, as the file's column known_at says.",
    ),
)
"""What the events really were."""

label_options: Callable[[Any], Any] = together(
    truth_options,
    click.option("--weigh", metavar="FIELD", help="Weigh events by this number as well: money, reach."),
)
"""What the events really were, and what they weigh."""

sample_options: Callable[[Any], Any] = together(
    click.option(
        "--samples",
        type=click.IntRange(0, 1_000),
        default=5,
        show_default=True,
        metavar="N",
        help="How many events each rule shows.",
    ),
)
"""What of the events is shown."""
