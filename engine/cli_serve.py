"""`quell serve`: decide events over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_data import DATA
from quell.engine.cli_group import FINDINGS, OK, USAGE, Unreadable, say_error, say_warning
from quell.engine.cli_keys import KEYS_FILE
from quell.engine.cli_output import count, say, stderr, visible

if TYPE_CHECKING:
    from quell.engine.http_run import Door
    from quell.engine.keys import Keys
    from quell.engine.logs import Logs
    from quell.engine.service_settings import LogSettings, ServiceSettings
    from quell.engine.serving import Serving, Setup


class Refused(Unreadable):
    """A command that would open the service to others than it should."""

    exit_code = USAGE


class Wrong(Unreadable):
    """Policies with errors, which were printed."""

    exit_code = FINDINGS


NO_MEMORY = 71
"""The exit status where memory ran out, that of an error of the operating system in sysexits.h."""
_MOST_FINDINGS = 20
"""Of what is wrong with policies at the start, how much the terminal shows."""


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
@click.option("--check-only", is_flag=True, help="Check the policies and run their tests as a reload does.")
def serve(
    policies: str,
    data: str,
    host: str | None,
    port: int | None,
    config: str | None,
    durability: Any,
    json_log: bool,
    check_only: bool,
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
    from quell.engine.interrupts import no_hang_up

    with no_hang_up():  # until it serves, and from when it ends
        settings = _settings(data, config, host, port, durability, json_log)
        return _begin(policies, data, settings, check_only)


def _begin(policies: str, data: str, settings: ServiceSettings, check_only: bool) -> int:
    if check_only:
        from quell.engine.cli_versions import check_only as check

        setup = _setup(data, settings)
        status = check(policies)
        if status == OK:
            _say_sinks(policies, setup)
        return status
    setup = _setup(data, settings)
    with _door(settings, _keys(data), data) as door, _logs(settings):
        return _run(policies, data, setup, settings, door)


def _say_sinks(policies: str, setup: Setup) -> None:
    """Say which sinks policies send to that service.toml does not have, and in passing the reverse."""
    from quell.engine.cli_bundle import read_sound
    from quell.engine.sinks_named import sinks_named, unset, unused

    named = sinks_named(read_sound(policies))
    for one in unset(named, setup.sinks):
        say_warning(one.message, one.hint)
    if idle := unused(named, setup.sinks):
        say(f"no rule sends to {', '.join(f'`{visible(sink, 40)}`' for sink in idle)}")


def _logs(settings: ServiceSettings) -> Logs:
    from quell.engine.logs import Logs

    return Logs(settings.log)


def _settings(
    data: str, config: str | None, host: str | None, port: int | None, durability: Any, json_log: bool
) -> ServiceSettings:
    """The settings of the file, with what the command says in their place."""
    from msgspec.structs import replace

    from quell.engine.service_settings import FILE, SettingsError, read_settings

    file = Path(data) / FILE if config is None else Path(config)
    try:
        settings = read_settings(file, must=config is not None)
    except SettingsError as error:
        told = [
            (w.message if f"`{file}`" in w.message else f"{file}: {w.message}", w.hint or None)
            for w in error.wrong
        ]
        for message, hint in told[:-1]:
            say_error(message, hint)
        raise Unreadable(*told[-1]) from error
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


def _setup(data: str, settings: ServiceSettings) -> Setup:
    """How the service is to be kept. Everything wrong with its sinks is told at once."""
    import os

    from quell.engine.idempotency import Bounds
    from quell.engine.serving import Setup
    from quell.engine.sinks import open_sinks, read_sinks

    wrong: list[tuple[str, str | None]] = []
    read = read_sinks(settings.sinks, lambda what, hint: wrong.append((what, hint)))
    sinks = open_sinks(read, lambda what, hint: wrong.append((what, hint)), os.environ, Path(data))
    for what, hint in wrong[:-1]:
        say_error(what, hint)
    if wrong:
        raise Unreadable(*wrong[-1])
    journal, snapshots, events = settings.journal, settings.snapshots, settings.events
    return Setup(
        durability=journal.durability,
        segment_bytes=journal.segment,
        keep_age=journal.keep_age,
        keep_bytes=journal.keep_bytes,
        snapshots_every=snapshots.every,
        snapshots_kept=snapshots.keep,
        ahead=events.ahead,
        deadline=events.deadline,
        in_flight=events.in_flight,
        keys=Bounds(settings.idempotency.keys, settings.idempotency.age),
        checking=settings.reload.check,
        sinks=sinks,
    )


def _run(policies: str, data: str, setup: Setup, settings: ServiceSettings, door: Door) -> int:
    import asyncio

    import uvloop

    from quell.engine.logs import tell

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(policies, data, setup, settings, door))
        tell("serve.stopped")
    except _failures() as error:
        findings = getattr(error, "findings", ())
        for finding in findings:
            where = f"{finding.file}:{finding.line}: " if finding.file else ""
            say_error(where + finding.message, finding.hint or None)
        message = getattr(error, "message", None) or str(error)
        wrong = Wrong if findings and Path(policies).is_dir() else Unreadable
        raise wrong(message, getattr(error, "hint", None) or None) from error
    return OK


def _failures() -> tuple[type[Exception], ...]:
    """What may be wrong with a data folder, or with policies that nothing is there to stand in for."""
    from quell.engine.journal import JournalError
    from quell.engine.lock import LockError
    from quell.engine.outbox_types import OutboxError
    from quell.engine.reload_history import HistoryError
    from quell.engine.reload_start import StartError
    from quell.engine.remake import RemakeError

    return JournalError, LockError, OutboxError, HistoryError, StartError, RemakeError


async def _serve(policies: str, data: str, setup: Setup, settings: ServiceSettings, door: Door) -> None:
    import os
    from dataclasses import replace

    from quell.engine.health import Health
    from quell.engine.http_run import run
    from quell.engine.serving import serving
    from quell.engine.serving_parts import parts_of
    from quell.engine.tracing import trace

    health = Health()
    async with serving(policies, data, replace(setup, tell=health.reloaded)) as running:
        running.service.no_memory = _end_without_memory
        parts = parts_of(running, door.access, settings.limits, health.metrics.text)
        health.follow(running, parts.figures)
        end_traces = trace(parts, os.environ)
        try:
            await run(
                parts,
                door,
                lambda: _say_started(running, door, settings.log),
                lambda: running.reloader.reload("signal", "asked for"),
            )
        finally:
            health.close()
            await end_traces()


_NO_MEMORY = b"error: memory ran out while an event was decided, so this process ends at once\n\
  hint: start it again, and what it remembers is made again from the journal; give it more memory\n"


def _end_without_memory() -> None:
    """End at once, as by a kill: what this process remembers may be half changed, and must not be kept."""
    import os

    os.write(2, _NO_MEMORY)
    os._exit(NO_MEMORY)


def _say_started(running: Serving, door: Door, log: LogSettings) -> None:
    """Say on standard error where it listens and what came back; for those who read the log by machine, in
    the log."""
    service, restart = running.service, running.restart
    symbols, name = service.bundle.analysis.symbols, service.bundle.analysis.files.name
    if log.format == "json" or not stderr().isatty():
        _tell_started(running, door, len(symbols.rules))
    if log.format == "json":
        return
    for warning in running.started.warnings:
        say_error(warning)
    last = running.reloader.status.last
    for found in last.findings[:_MOST_FINDINGS] if last is not None else ():
        where = f"{found.file}:{found.line}: " if found.file else ""
        say_error(where + found.message, found.hint or None)
    say(f"serving {name}, version {service.number}: {count(len(symbols.rules), 'rule')}")
    if restart.snapshot or restart.made:
        say(f"went on from number {service.engine.stepper.seq:,}, {restart.made:,} of them made again")
    for address in door.addresses:
        say(f"listening at {address}: the page is there, the API at {address}/docs")
    if door.access.open:
        say("no keys: open to this machine's programs")


def _tell_started(running: Serving, door: Door, rules: int) -> None:
    """The same for the log."""
    from quell.engine.logs import tell

    for warning in running.started.warnings:
        tell("serve.noted", what=warning)
    service = running.service
    tell(
        "serve.started",
        version=service.number,
        digest=service.bundle.version,
        address=" ".join(door.addresses),
        data=str(running.data.root),
        durability=running.journal.durability,
        rules=rules,
    )
