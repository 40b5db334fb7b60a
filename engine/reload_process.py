"""Runs the check of a frozen bundle (reload_check.py) as a process, within a time, ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from quell.engine.reload_check import Checked
from quell.engine.service_types import Finding

TIME = 120.0
"""Seconds that a check may take, tests included."""
HASTE = 3.0
"""Seconds that putting a version back waits to be told what changes."""
MAX_ANSWER = 16 << 20
"""Bytes."""
_MODULE = "quell.engine.reload_check"


@dataclass(slots=True)
class Checker:
    """Checks frozen bundles, each in a process of its own that may take `seconds`."""

    seconds: float = TIME
    command: tuple[str, ...] = (sys.executable, "-P", "-m", _MODULE)
    process: asyncio.subprocess.Process | None = None

    async def check(self, folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
        """Check a bundle, and say what changed against another. Raises nothing: a process that fails is a
        finding. Cancelled, it ends the process."""
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
            return _failed(f"the check cannot be run: {(error.strerror or 'it fails').lower()}")
        self.process = process
        try:
            async with asyncio.timeout(self.seconds):
                said, told = await asyncio.gather(
                    _read(process.stdout, MAX_ANSWER), _read(process.stderr, 1 << 16)
                )
                status = await process.wait()
        except TimeoutError:
            return _failed(
                f"checking the policies and running their tests took longer than {self.seconds:g} seconds",
                "look for a test that repeats very often, or tests that are very many",
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


def _answer(status: int, said: bytes, told: bytes) -> Checked:
    if status == 0:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(said, type=Checked)
    if status == -signal.SIGKILL:
        return _failed("the check was ended by the system, which may have run out of memory")
    last = told.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = f": {last[0][:300]}" if last else ""
    return _failed(f"the check failed inside Quell with status {status}{reason}", "please report it")


def _failed(message: str, hint: str = "") -> Checked:
    return Checked((Finding("", 0, message, "", hint),), 1)
