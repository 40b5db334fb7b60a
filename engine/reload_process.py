"""Runs the check of a frozen bundle (reload_check.py) as a process, within a time, ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from quell.engine.reload_check import Checked
from quell.engine.service_types import Finding

LOG = logging.getLogger("quell.reload")
TIME = 120.0
"""Seconds that a check may take, tests included, unless service.toml says otherwise."""
AGAIN = 1.0
"""Seconds after which a check that was killed is tried once more."""
HASTE = 3.0
"""Seconds that putting a version back waits to be told what changes."""
MAX_ANSWER = 16 << 20
"""Bytes."""
_MODULE = "quell.engine.reload_check"
_MORE = 'allow more: check = "5m" in [reload] of service.toml'
_ANEW = "see that there is memory for it, and save once more, or ask with SIGHUP or POST /v1/reload"


@dataclass(frozen=True, slots=True)
class _Killed:
    """A process that was ended by a signal."""

    signal: int

    @property
    def by(self) -> str:
        """The signal's name."""
        try:
            return signal.Signals(self.signal).name
        except ValueError:
            return f"signal {self.signal}"

    @property
    def perhaps(self) -> str:
        """Who may have sent it."""
        return ": the system may have run out of memory" if self.signal == signal.SIGKILL else ""


@dataclass(slots=True)
class Checker:
    """Checks frozen bundles, each in a process of its own that may take `seconds`. A process that was killed,
    as the system does where memory runs out, is tried once more after `again` seconds."""

    seconds: float = TIME
    again: float = AGAIN
    command: tuple[str, ...] = (sys.executable, "-P", "-m", _MODULE)
    process: asyncio.subprocess.Process | None = None

    async def check(self, folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
        """Check a bundle, and say what changed against another. Raises nothing: a process that fails leaves
        it `undone`. Cancelled, it ends the process."""
        found = await self._checked(folder, against, tests)
        if not isinstance(found, _Killed):
            return found
        LOG.warning("the check of the policies was killed (%s), and is tried once more", found.by)
        await asyncio.sleep(self.again)
        again = await self._checked(folder, against, tests)
        if not isinstance(again, _Killed):
            return again
        return _undone(f"the check of the policies was killed twice ({again.by}){again.perhaps}", _ANEW)

    async def _checked(self, folder: Path, against: Path | None, tests: bool) -> Checked | _Killed:
        """One attempt."""
        words = [str(folder), *(("--against", str(against)) if against is not None else ())]
        words += [] if tests else ["--no-tests"]
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=1 << 16,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return _undone(f"the check cannot be run: {(error.strerror or 'it fails').lower()}")
        self.process = process
        try:
            async with asyncio.timeout(self.seconds):
                said, told = await asyncio.gather(
                    _read(process.stdout, MAX_ANSWER), _read(process.stderr, 1 << 16)
                )
                status = await process.wait()
        except TimeoutError:
            return _undone(
                f"checking the policies and running their tests took longer than {self.seconds:g} seconds",
                f"look for a test that repeats very often, or {_MORE}",
            )
        finally:
            await _end(process)
            self.process = None
        return _answer(status, said, told)


async def changes(
    checker: Checker, folder: Path, against: Path | None, within: float = HASTE
) -> tuple[str, ...]:
    """What changed from one sound bundle to another, if that can be said within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            return (await checker.check(folder, against, tests=False)).changed
    return ()


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    """What a stream gives until its end; what is beyond `most` bytes is left out."""
    parts: list[bytes] = []
    left = most
    while stream is not None and (part := await stream.read(1 << 16)):
        parts.append(part[: max(left, 0)])
        left -= len(part)
    return b"".join(parts)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process that still runs, and wait until it has."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
    if process.stdin is not None:
        process.stdin.close()


def _answer(status: int, said: bytes, told: bytes) -> Checked | _Killed:
    if status == 0:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(said, type=Checked)
    if status < 0:
        return _Killed(-status)
    last = told.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = f": {last[0][:300]}" if last else ""
    return _undone(f"the check failed inside Quell with status {status}{reason}", "please report it")


def _undone(message: str, hint: str = "") -> Checked:
    return Checked((Finding("", 0, message, "", hint),), 1, undone=True)
