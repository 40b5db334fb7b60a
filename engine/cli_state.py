"""The state of an engine between two runs of a command: read at the beginning, left at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import built
from quell.engine.cli_files import STDIO, missing_parent, same_file
from quell.engine.cli_group import Unreadable
from quell.engine.cli_output import Busy, count, say

if TYPE_CHECKING:
    from quell.engine.carry import SnapshotReport
    from quell.engine.compile import Build
    from quell.engine.stepper import Stepper

MOST_TOLD = 10
"""Counters, labels and limits that are named of each kind."""


def resumed(
    policies: str, state: str | None, events: str, out: str | None
) -> tuple[Stepper, SnapshotReport | None]:
    """An engine for a bundle, going on from a state if there is one. The state must be another file than the
    events and the decisions."""
    from quell.engine.stepper import Stepper

    if state is None:
        return Stepper(built(policies)), None
    if state == STDIO:
        raise click.UsageError("the state is kept in a file of its own")
    for other, what in ((events, "events"), (out, "decisions")):
        if other is not None and other != STDIO and (same_file(state, other) or Path(state) == Path(other)):
            raise click.UsageError(f"the state would overwrite the {what}")
    missing_parent(Path(state))
    bundle = built(policies)
    found = stepper_of(bundle, state)
    return found if found is not None else (Stepper(bundle), None)


def stepper_of(bundle: Build, state: str) -> tuple[Stepper, SnapshotReport] | None:
    """An engine that goes on from a state; None where there is none in the file's place yet."""
    from quell.engine.snapshot import SnapshotError, has_snapshot, read_snapshot
    from quell.engine.stepper import Stepper

    if Path(state).is_dir():
        raise Unreadable(f"`{state}` is a folder", "name a file in it")
    if Path(state).exists() and not Path(state).is_file():  # reading a pipe would wait for ever
        raise Unreadable(f"`{state}` is a pipe or a device", "name a file")
    if not has_snapshot(state):
        return None
    try:
        with Busy("reading the state"):
            return read_snapshot(state, lambda: Stepper(bundle))
    except SnapshotError as error:
        raise Unreadable(error.message, error.hint or None) from error


def leave(engine: Stepper, state: str) -> None:
    """Leave the state of an engine in a file."""
    from quell.engine.snapshot import SnapshotError, write_snapshot

    try:
        with Busy("writing the state"):
            write_snapshot(engine, state)
    except SnapshotError as error:
        raise Unreadable(error.message, error.hint or None) from error


def tell(report: SnapshotReport) -> None:
    """Say what a state was good for, if not simply all of it was kept."""
    if report.previous is not None:
        say(f"went on from the state before the last: {report.previous}")
    lines = (
        (report.cold, "new in the policies, so cold"),
        (report.longer, "looking back further than before, so cold in part"),
        (report.dropped, "no longer in the policies, so dropped"),
    )
    for names, what in lines:
        if names:
            more = f" and {len(names) - MOST_TOLD:,} more" if len(names) > MOST_TOLD else ""
            say(f"{what}: {', '.join(names[:MOST_TOLD])}{more}")
    if report.cold or report.longer or report.dropped:
        say(f"{count(len(report.kept), 'counter, label or limit', 'counters, labels and limits')} kept")


def report_json(report: SnapshotReport | None) -> dict[str, Any]:
    """The same for machines."""
    import msgspec

    return {} if report is None else {"state": msgspec.to_builtins(report)}
