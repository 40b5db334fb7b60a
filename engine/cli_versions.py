"""`quell versions`: which versions of the policies decided, what changed, and putting one back."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quell.engine.cli_data import data_folder
from quell.engine.cli_files import existing
from quell.engine.cli_group import FINDINGS, OK, Unreadable
from quell.engine.cli_output import console, print_json, say, seconds, visible, words

if TYPE_CHECKING:
    from quell.engine.reload_history import Line
    from quell.engine.service_types import Finding, ReloadOutcome, VersionInfo
    from quell.engine.versions import Kept

VERSIONS = "versions"
_NAME_IT = "name the one of `quell serve`"
PATIENCE = 180.0
"""Seconds that a running server may take to answer."""
_STYLES = {"live": "green", "refused": "red", "failed": "red", "unchanged": "dim"}


@click.group("versions", short_help="Versions of the policies that decided; put one back.")
def versions() -> None:
    """Versions of the policies that decided, what changed, and putting one back.

    DIR is the data folder of `quell serve`, quell-data unless named here or by --data. A server may be
    running.

    \b
    Example:
      quell versions list
      quell versions show 12
      quell versions put-back
    """


# ------------------------------------------------------------------------- list


@versions.command("list", short_help="Every attempt to change the policies, the newest first.")
@data_folder()
@click.option("-n", "most", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, in full.")
def list_versions(data: str, most: int, as_json: bool) -> int:
    """Every attempt to change the policies, the newest first.

    A number stands where a version went live; what was refused has none.
    """
    kept, lines = _read(data)
    attempts = _attempts(lines)[-most:][::-1]
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(attempts))
        return OK
    if not attempts:
        say(f"no version of the policies was live with the data in {data}")
        return OK
    for outcome in attempts:
        _print_line(outcome, _live(kept))
    _say_wanted(lines)
    return OK


def _print_line(outcome: ReloadOutcome, live: int) -> None:
    """An attempt in two lines: what came of it, and what changed or was wrong."""
    number = outcome.version.number if outcome.version is not None else 0
    result, style = str(outcome.result), _STYLES[outcome.result]
    if result == "live":
        result, style = ("decides", "bold green") if number == live else ("was live", "green")
    shown = f"{number or '-':>5}  "
    about = f"  {_when(outcome.at)}  {outcome.why}, by {visible(outcome.by, 60)}"
    console().print(words((shown, "bold"), (f"{result:<9}", style), (about, "dim")), soft_wrap=True)
    what = _changed(outcome.version) if outcome.result == "live" else ""
    if outcome.findings:
        what = _place(outcome.findings[0])
        what += f", and {outcome.errors - 1:,} more" if outcome.errors > 1 else ""
    if what:
        console().print(f"       {visible(what, 300)}", soft_wrap=True)


def _changed(info: VersionInfo | None) -> str:
    changed = info.changed if info is not None else ()
    if not changed:
        return ""
    return changed[0] + (f", and {len(changed) - 1:,} more" if len(changed) > 1 else "")


def _place(found: Finding) -> str:
    where = f"{found.file}:{found.line}: " if found.line else f"{found.file}: " if found.file else ""
    return where + found.message


def _when(at: int) -> str:
    from quell.signals.show import show_time

    return show_time(at // 60_000_000 * 60_000_000).replace("T", " ").replace(":00Z", " UTC")


def _say_wanted(lines: list[Line]) -> None:
    from quell.engine.versions import wanted_of

    wanted = wanted_of(lines)
    if wanted is not None:
        say(f"version {wanted.number} was put back by {visible(wanted.by)}: the next start uses it")


# ------------------------------------------------------------------------- show


@versions.command("show", short_help="One version in full, or the last attempt.")
@data_folder("[NUMBER]", most=1, is_own=str.isdecimal)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(data: str, words: tuple[str, ...], as_json: bool) -> int:
    """One version in full: when it went live, by whom and why, what changed, and where its files are kept.
    Without a NUMBER the last attempt, with everything that was wrong with it."""
    number = _number(words)
    kept, lines = _read(data)
    attempts = _attempts(lines)
    if number is not None:
        _known(kept, number)
        attempts = [o for o in attempts if o.version is not None and o.version.number == number]
    if not attempts:
        raise Unreadable(f"nothing is known of what came of it in {data}")
    outcome = attempts[-1]
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(outcome))
        return OK
    _print_outcome(outcome)
    if number is not None:
        _print_files(kept[number], Path(data) / VERSIONS)
    return OK


def _print_outcome(outcome: ReloadOutcome) -> None:
    out = console()
    version = outcome.version
    head = f"version {version.number} " if version is not None else ""
    told = words((head, "bold"), (outcome.result, _STYLES[outcome.result]))
    out.print(told, words((f" {_when(outcome.at)}, {outcome.why}, by {visible(outcome.by)}", "dim")))
    if version is not None:
        out.print(words((f"digest {version.digest}, taken in {seconds(outcome.seconds)}", "dim")))
        for line in version.changed:
            out.print(f"  {visible(line)}", soft_wrap=True)
    for found in outcome.findings:
        code = f"[{found.code}] " if found.code else ""
        out.print(words(("  error ", "red"), f"{code}{visible(_place(found), 2_000)}"), soft_wrap=True)
        if found.hint:
            out.print(words(("    hint: ", "green"), visible(found.hint, 2_000)), soft_wrap=True)
    if outcome.errors > len(outcome.findings):
        out.print(f"  and {outcome.errors - len(outcome.findings):,} more")
    if outcome.state is not None:
        state = outcome.state
        part = "cold in part until filled"
        for name, what in (("cold", state.cold), (part, state.longer), ("dropped", state.dropped)):
            for line in what:
                out.print(words((f"  {name}: ", "yellow"), visible(line)), soft_wrap=True)


def _print_files(kept: Kept, folder: Path) -> None:
    from quell.engine.reload_freeze import BUNDLE
    from quell.engine.versions import BUNDLES

    place = folder / BUNDLES / kept.content / BUNDLE
    there = place.is_dir()
    console().print(
        words((f"files: {place}" if there else "its files are no longer kept", "dim")), soft_wrap=True
    )


# --------------------------------------------------------------------- put back


@versions.command("put-back", short_help="Let an earlier version decide again.")
@data_folder("[NUMBER]", most=1, is_own=str.isdecimal)
@click.option("--by", metavar="NAME", help="Who puts it back; the user of the operating system otherwise.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def put_back(data: str, words: tuple[str, ...], by: str | None, as_json: bool) -> int:
    """Let an earlier version decide again; without a NUMBER the last one before the present.

    It gets a new number. What is in the policies' folder is not used from then on until it changes. Where no
    server runs, the next one starts with that version.
    """
    from quell.engine.lock import LockError, held, is_held

    number = _number(words)
    root = existing(data, "data folder", _NAME_IT)
    who = _who(by)
    kept, _ = _read(data)
    if number is not None:
        _known(kept, number)
    if not is_held(root):
        try:
            with held(root):
                return _want(root, number, who)
        except LockError as error:
            if not is_held(root):
                raise Unreadable(error.message, error.hint) from error
    return _ask(root, number, who, as_json)


def _want(root: Path, number: int | None, by: str) -> int:
    """Write down what the next start is to use."""
    from quell.engine.reload_history import HistoryError
    from quell.engine.versions import VersionError, Versions

    try:
        known = Versions.open(root / VERSIONS)
        if number is None:
            before = known.before()
            if before is None:
                raise Unreadable("there is no version before this one")
            number = before.number
        known.want(number, by)
    except (HistoryError, VersionError) as error:
        raise Unreadable(error.message, error.hint or None) from error
    say(f"no server runs with {root}: the next one starts with version {number}")
    return OK


def _ask(root: Path, number: int | None, by: str, as_json: bool) -> int:
    """Have the running server do it."""
    from quell.engine.reload_requests import PutBack, ask
    from quell.engine.versions import REQUESTS

    try:
        outcome = ask(root / VERSIONS / REQUESTS, PutBack(number, by), PATIENCE)
    except OSError as error:
        raise Unreadable(f"the server cannot be asked: {(error.strerror or 'it fails').lower()}") from error
    if outcome is None:
        hint = "see its log; `quell versions list` shows whether it was done after all"
        raise Unreadable(f"the server with {root} did not answer within {PATIENCE:g} seconds", hint)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(outcome))
    else:
        _print_outcome(outcome)
    return FINDINGS if outcome.result in ("refused", "failed") else OK


def _who(by: str | None) -> str:
    if by is not None:
        if not by or len(by) > 200 or not by.isprintable():
            raise click.UsageError("a name in --by has at most 200 characters, all of them visible")
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "somebody"


# ----------------------------------------------------------------------- shared


def _read(data: str) -> tuple[dict[int, Kept], list[Line]]:
    from quell.engine.versions import read_versions

    root = existing(data, "data folder", _NAME_IT)
    if not root.is_dir():
        raise Unreadable(f"`{data}` is a file", "name the data folder of `quell serve`")
    return read_versions(root / VERSIONS)


def _number(words: tuple[str, ...]) -> int | None:
    """The number of a version that was said, None where none was."""
    if not words:
        return None
    if words[0].isascii() and words[0].isdecimal() and len(words[0]) < 16 and int(words[0]):
        return int(words[0])
    raise click.UsageError(f"`{words[0]}` is not the number of a version, which is whole and from 1 on")


def _attempts(lines: list[Line]) -> list[ReloadOutcome]:
    from quell.engine.reload_history import Record

    return [line.outcome for line in lines if isinstance(line, Record)]


def _live(kept: dict[int, Kept]) -> int:
    return max((number for number, k in kept.items() if k.live), default=0)


def _known(kept: dict[int, Kept], number: int) -> None:
    if number not in kept:
        last = max(kept, default=0)
        hint = f"the last one is {last}" if last else "there is none yet"
        raise Unreadable(f"there is no version {number}", hint)


# ------------------------------------------------------------------- check only


def check_only(policies: str) -> int:
    """What `quell serve --check-only` does: check a bundle and run its tests, print both as `quell check` and
    `quell test` do, and give the exit status."""
    from quell.engine.cli_check import check
    from quell.engine.cli_test import test

    assert check.callback is not None
    assert test.callback is not None
    status: int = check.callback(policies, warnings_as_errors=False, costs=False, as_json=False)
    if status != OK:
        return status
    tested: int = test.callback(policies, texts=(), verbose=False, as_json=False)
    return tested
