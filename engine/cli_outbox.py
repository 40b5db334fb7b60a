"""`quell outbox`: what waits to be delivered to sinks, and what was given up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_data import data_folder
from quell.engine.cli_group import FINDINGS, OK, Unreadable, say_error
from quell.engine.cli_output import Watch, console, count, print_json, say, table, visible, words

if TYPE_CHECKING:
    from quell.engine.outbox_dead import Letters
    from quell.engine.outbox_look import Seen
    from quell.engine.outbox_types import DeadLetter

SHOWN = 20
"""Dead letters that are shown unless another number is asked for."""
_LONGEST = 200
_KEY = re.compile(r".+-[0-9]+-[0-9]+-[0-9a-f]{8}")
"""What the key of a dead letter is like, which no folder is."""

_with_keys = data_folder("[KEY]…", most=None, is_own=lambda word: _KEY.fullmatch(word) is not None)
_as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_sink = click.option("--sink", metavar="NAME", help="Only those for this sink.")
_all = click.option("--all", "every", is_flag=True, help="All dead letters.")


@click.group("outbox", short_help="What waits to be delivered to sinks, and what was given up.")
def outbox() -> None:
    """What waits to be delivered to sinks, and what was given up: dead letters.

    DIR is the data folder of `quell serve`, quell-data unless named here or by --data. A server may be
    running: it takes up what is asked within a second, another does so when it starts.

    \b
    Example:
      quell outbox list quell-data
      quell outbox dead quell-data --sink mod-queue
      quell outbox resend quell-data --sink mod-queue
    """


@contextmanager
def _told() -> Iterator[None]:
    """Tell in one line what is wrong with an outbox."""
    from quell.engine.outbox_types import OutboxError

    try:
        yield
    except OutboxError as error:
        raise Unreadable(error.message, error.hint or None) from error


def _place(folder: str) -> Path:
    from quell.engine.outbox_look import outbox_in

    return outbox_in(folder)


def _letters(folder: str) -> Letters:
    from quell.engine.outbox_dead import Letters

    return Letters(_place(folder))


# ------------------------------------------------------------------------- list


@outbox.command("list", short_help="By sink: how much waits, and how much was given up.")
@data_folder()
@_as_json
def list_sinks(data: str, as_json: bool) -> int:
    """By sink: how much waits, since when, what it met with, how much was given up, and how much of that is
    being sent again."""
    import msgspec

    from quell.engine.outbox_look import look

    with _told(), Watch("reading the journal") as watch:
        seen = look(_place(data), lambda done: watch.tell(done, count(done, "decision")))
    if as_json:
        print_json(msgspec.to_builtins(seen))
    else:
        _print_seen(seen)
    return OK


def _print_seen(seen: Seen) -> None:
    from quell.signals.show import show_time

    if not seen.sinks:
        say("nothing waits, and nothing was given up")
    else:
        rows = [
            (
                visible(name, 40),
                f"{sink.waiting:,}",
                show_time(sink.oldest // 1_000_000 * 1_000_000) if sink.oldest is not None else "",
                f"{sink.tried:,}",
                f"{sink.dead:,}",
                f"{sink.again:,}",
                visible(sink.first_error, _LONGEST),
            )
            for name, sink in seen.sinks.items()
        ]
        columns = ("sink~", "waiting>", "since", "tried>", "dead>", "again>", "met with~")
        console().print(table(columns, rows))
    if seen.unread:
        say_error(f"what waits is not known: {seen.unread}")


# ------------------------------------------------------------------------- dead


@outbox.command("dead", short_help="The dead letters: what was given up, and why.")
@data_folder()
@_sink
@click.option("-n", "most", type=click.IntRange(1), default=SHOWN, show_default=True, help="How many.")
@click.option("--after", metavar="KEY", default="", help="Those after the one with this key.")
@click.option("--all", "every", is_flag=True, help="However many there are.")
@_as_json
def dead(data: str, sink: str | None, most: int, after: str, every: bool, as_json: bool) -> int:
    """The dead letters: what was given up, and why. The oldest stand first.

    As JSON they come whole, with what was to be sent.
    """
    import msgspec

    with _told():
        letters = _letters(data)
        found = letters.list(sink, None if every else most, after)
        counts = letters.counts()
    if as_json:
        print_json(msgspec.to_builtins(found))
        return OK
    total = sum(counts.values()) if sink is None else counts.get(sink, 0)
    if not found:
        say("there are no dead letters" + (" after that" if after and total else ""))
    for letter in found:
        _print_letter(letter)
    if len(found) < total and not after:
        say(f"{len(found):,} of {count(total, 'dead letter')}; --all shows all")
    return OK


def _print_letter(letter: DeadLetter) -> None:
    from quell.signals.show import show_time

    message, out = letter.message, console()
    of = f"{message.event} {message.id}" if message.id is not None else message.event
    state = {"again": " (to be sent again)", "sending": " (being sent again)"}.get(letter.state, "")
    out.print(words((message.key, "bold"), state), soft_wrap=True)
    out.print(
        f"  {visible(message.sink)}, by {visible(message.rule)}, for {visible(of, 100)}", soft_wrap=True
    )
    when = show_time(letter.died // 1_000_000 * 1_000_000)
    tries = count(letter.attempts, "attempt") if letter.attempts else "never tried"
    out.print(f"  {when}, {tries}: {visible(letter.reason, _LONGEST)}", soft_wrap=True)
    if letter.state != "dead" and letter.last_error and letter.last_error not in letter.reason:
        out.print(f"  since then: {visible(letter.last_error, _LONGEST)}", soft_wrap=True)


# --------------------------------------------------------------- resend and drop


@outbox.command("resend", short_help="Have dead letters sent again.")
@_with_keys
@_sink
@_all
@_as_json
def resend(data: str, words: tuple[str, ...], sink: str | None, every: bool, as_json: bool) -> int:
    """Have dead letters sent again, under the keys that they had.

    \b
    Example:
      quell outbox resend quell-data 5f3c…-1042-0-9ab3c01d
      quell outbox resend quell-data --sink mod-queue
    """
    done = _change(data, words, sink, every, lambda letters, which: letters.resend(which, sink))
    if as_json:
        print_json({"again": done})
    elif done or words or every:
        one = "is to be sent again: a running server does so within a second, another when it starts"
        say(f"{count(done, 'dead letter')} {one if done == 1 else one.replace('is', 'are', 1)}")
    return _status(done, words, sink)


@outbox.command("drop", short_help="Let go of dead letters.")
@_with_keys
@_sink
@_all
@_as_json
def drop(data: str, words: tuple[str, ...], sink: str | None, every: bool, as_json: bool) -> int:
    """Let go of dead letters, for good."""
    done = _change(data, words, sink, every, lambda letters, which: letters.drop(which, sink))
    if as_json:
        print_json({"dropped": done})
    elif done or words or every:
        say(f"{count(done, 'dead letter')} dropped")
    return _status(done, words, sink)


def _change(
    folder: str,
    keys: tuple[str, ...],
    sink: str | None,
    every: bool,
    change: Callable[[Letters, tuple[str, ...] | None], int],
) -> Any:
    if bool(keys) + every + (sink is not None and not keys and not every) != 1:
        raise click.UsageError("name keys, or a sink with --sink, or all with --all")
    with _told():
        return change(_letters(folder), keys or None)


def _status(done: int, keys: tuple[str, ...], sink: str | None) -> int:
    if not done and sink is not None and not keys:
        say_error(f"the sink `{visible(sink)}` has no dead letters", "`quell outbox dead` shows all")
        return FINDINGS
    missing = len(set(keys)) - done
    if missing > 0:
        say_error(f"{count(missing, 'key')} with no such dead letter", "`quell outbox dead` shows them")
        return FINDINGS
    return OK
