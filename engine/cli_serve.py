"""`quell serve`: decide events over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_group import OK, USAGE, Unreadable, say_error
from quell.engine.cli_keys import DATA, KEYS_FILE
from quell.engine.cli_output import count, say

if TYPE_CHECKING:
    from quell.engine.http_run import Door
    from quell.engine.keys import Keys
    from quell.engine.service import Service
    from quell.engine.service_settings import ServiceSettings


class Refused(Unreadable):
    """A command that would open the service to others than it should."""

    exit_code = USAGE


@click.command("serve", short_help="Decide events over HTTP.")
@click.argument("policies", metavar="POLICIES")
@click.option(
    "--data",
    metavar="DIR",
    default=DATA,
    show_default=True,
    help="The folder for the journal, snapshots, versions and keys; made where it is not there.",
)
@click.option("--host", metavar="HOST", help="Where to listen; this machine alone unless said otherwise.")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="PORT", help="8600 unless said otherwise.")
@click.option("--config", metavar="FILE", help="The settings, instead of service.toml in the data folder.")
@click.option(
    "--durability",
    type=click.Choice(["each", "batch", "off"]),
    help="When an answer may be given: once it is on disk, once the operating system has it, or before.",
)
@click.option("--json-log", is_flag=True, help="Log lines as JSON.")
def serve(
    policies: str,
    data: str,
    host: str | None,
    port: int | None,
    config: str | None,
    durability: Any,
    json_log: bool,
) -> int:
    """Decide events over HTTP, reload policies when they change, and keep a journal.

    Listens on this machine alone unless --host says otherwise, for which there must be a key (`quell keys`).
    SIGHUP takes the policies as they are now; SIGTERM and Ctrl-C end it once all that was admitted is
    answered and written.

    \b
    Example:
      quell serve policies
      curl -s localhost:8600/v1/decide -H 'Content-Type: application/json' -d '{"type": …}'
    """
    settings = _settings(data, config, host, port, durability, json_log)
    keys = _keys(data)
    door = _door(settings, keys, data)
    return _run(policies, data, settings, door)


def _settings(
    data: str, config: str | None, host: str | None, port: int | None, durability: Any, json_log: bool
) -> ServiceSettings:
    """The settings of the file, with what the command says in their place."""
    from msgspec.structs import replace

    from quell.engine.service_settings import FILE, SettingsError, read_settings

    try:
        file = Path(data) / FILE if config is None else Path(config)
        settings = read_settings(file, must=config is not None)
    except SettingsError as error:
        for wrong in error.wrong[:-1]:
            say_error(wrong.message, wrong.hint or None)
        raise Unreadable(error.wrong[-1].message, error.wrong[-1].hint or None) from error
    listen, journal, log = settings.listen, settings.journal, settings.log
    if host is not None:
        listen = replace(listen, host=host)
    if port is not None:
        listen = replace(listen, port=port)
    if durability is not None:
        journal = replace(journal, durability=durability)
    if json_log:
        log = replace(log, format="json")
    return replace(settings, listen=listen, journal=journal, log=log)


def _keys(data: str) -> Keys:
    from quell.engine.keys import Keys, KeysError

    try:
        return Keys(Path(data) / KEYS_FILE)
    except KeysError as error:
        raise Unreadable(error.message, error.hint or None) from error


def _door(settings: ServiceSettings, keys: Keys, data: str) -> Door:
    from quell.engine.http_run import NoKeys, open_door
    from quell.engine.http_server import ListenError

    where = "" if data == DATA else f" --data {data}"
    try:
        return open_door(settings.listen, keys, f"quell keys add NAME --scope decide{where}")
    except NoKeys as error:
        raise Refused(error.message, error.hint) from error
    except ListenError as error:
        raise Unreadable(error.message, error.hint or None) from error


def _run(policies: str, data: str, settings: ServiceSettings, door: Door) -> int:
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(policies, settings, door))
    return OK


async def _serve(policies: str, settings: ServiceSettings, door: Door) -> None:
    from quell.engine.cli_bundle import engine
    from quell.engine.http_parts import Parts
    from quell.engine.http_pressure import Pressure
    from quell.engine.http_run import run
    from quell.engine.service import Service

    service = Service(
        engine(policies),
        deadline=settings.events.deadline,
        in_flight=settings.events.in_flight,
        ahead=settings.events.ahead,
    )
    service.start()
    parts = Parts(service, door.access, Pressure(settings.limits))
    try:
        await run(parts, door, lambda: _say_started(service, door))
    finally:
        await service.close()


def _say_started(service: Service, door: Door) -> None:
    symbols = service.bundle.analysis.symbols
    name = service.bundle.analysis.files.name
    say(f"serving {name}, version {service.number}: {count(len(symbols.rules), 'rule')}")
    for address in door.addresses:
        say(f"listening at {address}, API at {address}/docs")
    if door.access.open:
        say("no keys: open to this machine's programs")
