"""`quell keys`: who may ask a service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from quell.engine.cli_data import data_folder
from quell.engine.cli_group import OK, Commands, Unreadable
from quell.engine.cli_output import console, print_json, say, stdout, table, visible

if TYPE_CHECKING:
    from quell.engine.keys import Key, Keys, Scope

Made = TypeVar("Made")

KEYS_FILE = "keys.json"
SECOND = 1_000_000
"""Microseconds."""
SCOPES = {
    "decide": "send events",
    "read": "look at status, decisions, labels, lists, versions, metrics and the live page",
    "admin": "both, and label by hand, reload, put versions back, send dead letters again",
}


@click.group("keys", cls=Commands, short_help="Make, list and revoke the API keys of a service.")
def keys() -> None:
    """Make, list and revoke the API keys of a service.

    A key is shown once, when it is made; only a hash of it is kept. A service that runs takes up changes
    within a second. Without any key a service listens on this machine alone, and is open to its programs.

    DIR is the data folder of `quell serve`, quell-data unless named here or by --data.

    \b
    Scopes:
      decide   send events
      read     look at status, decisions, labels, lists, versions, metrics and the live page
      admin    both, and label by hand, reload, put versions back, send dead letters again

    \b
    Example:
      quell keys add gateway --scope decide --expires 90d
      quell keys list
    """


@keys.command("add", short_help="Make a key.")
@data_folder("NAME", least=1, most=1)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(list(SCOPES)),
    help="What it is for; may be given more than once.",
)
@click.option("--expires", metavar="DURATION", help="How long it holds, such as 90d; without it for good.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def add(
    data: str, words: tuple[str, ...], scopes: tuple[str, ...], expires: str | None, as_json: bool
) -> int:
    """Make a key for whom NAME says, and show it this once.

    \b
    Example:
      quell keys add gateway --scope decide --expires 90d
    """
    lasts = None if expires is None else _lasts(expires)
    made, text = _told(lambda: _keys(data).add(words[0], cast("tuple[Scope, ...]", scopes), lasts))
    if as_json:
        print_json({"key": text, **_as_data(made)})
        return OK
    say(f"the key `{made.name}` for {', '.join(made.scopes)} at {visible(data)}, which is shown only now:")
    click.echo(text)
    return OK


@keys.command("list", short_help="List the keys.")
@data_folder()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(data: str, as_json: bool) -> int:
    """List the keys of a service: whom they are for, what for, and whether they hold."""
    found = _told(lambda: _keys(data)).keys
    if as_json:
        print_json([_as_data(key) for key in found])
    elif not found:
        say(f"there are no keys in {data}; `quell keys add NAME --scope decide` makes one")
    else:
        rows = [
            (visible(d["name"], 40), f"qk_{d['id']}…", " ".join(d["scopes"]), d["state"], d["expires"] or "-")
            for d in map(_as_data, found)
        ]
        columns = ("name~", "key", "scopes", "state", "expires")
        console(stdout()).print(table(columns, rows))
    return OK


@keys.command("revoke", short_help="End a key.")
@data_folder("NAME|qk_…", least=1, most=1)
def revoke(data: str, words: tuple[str, ...]) -> int:
    """End a key, named by its name or by how it begins. A service that runs refuses it within a second."""
    ended = _told(lambda: _keys(data).revoke(words[0]))
    say(f"the key `{ended.name}` (qk_{ended.id}…) holds no more")
    return OK


def _keys(data: str) -> Keys:
    from quell.engine.keys import Keys

    return Keys(Path(data) / KEYS_FILE)


def _told(make: Callable[[], Made]) -> Made:
    """What `make` makes; what is wrong with keys in one line."""
    from quell.engine.keys import KeysError

    try:
        return make()
    except KeysError as error:
        raise Unreadable(error.message, error.hint or None) from error


def _lasts(expires: str) -> int:
    from quell.engine.service_settings import span

    try:
        return span(expires)
    except ValueError as error:
        raise click.UsageError(f"--expires must be {error}, such as 90d") from error


def _as_data(key: Key) -> dict[str, Any]:
    """A key without its hash."""
    from quell.engine.keys import now
    from quell.signals.show import show_time

    state = key.state(now())
    return {
        "name": key.name,
        "id": key.id,
        "scopes": list(key.scopes),
        "state": state,
        "made": show_time(key.made // SECOND * SECOND),
        "expires": None if key.expires is None else show_time(key.expires // SECOND * SECOND),
    }
