"""Work that would hold deciding up, done by processes of their own: snapshots, and explanations of decisions
of the past. Each says what came of it as JSON on its standard output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import stat
import sys
import threading
from collections.abc import Iterator, Sequence

NICENESS = 10


class ChildError(Exception):
    """A process that did not do its work, and how that showed, in one line."""


class NothingFound(ChildError):
    """A process that did its work, and found why there is nothing to tell."""


class NoSuchDecision(NothingFound):
    """A process that looked for a decision that the journal does not hold."""


async def run_module(module: str, arguments: Sequence[str], within: float) -> bytes:
    """What `python -m module` says on its standard output, at low priority. Raises ChildError if it cannot be
    started, says nothing, is killed or takes longer than so many seconds; it is gone then, and if this is
    cancelled."""
    process = await start_module(module, arguments, asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(within):
            assert process.stdout is not None
            assert process.stderr is not None
            out, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
    except TimeoutError:
        raise ChildError(f"it took longer than {within:g} seconds") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if process.returncode is not None and process.returncode < 0:  # what it said may not be all
        raise ChildError(_ending(process.returncode))
    if not out:
        said = errors.decode(errors="replace").strip().splitlines()
        raise ChildError(said[-1] if said else _ending(process.returncode))
    return out


async def start_module(module: str, arguments: Sequence[str], errors: int) -> asyncio.subprocess.Process:
    """Start `python -m module` at low priority, with pipes to and from it; `errors` is where its standard
    error goes. Raises ChildError if it cannot be started."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # what lies where the server was started is no module of ours
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,  # held open as long as this process lives
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # a Ctrl-C in the terminal is the service's to hear
        )
    except OSError as error:
        raise ChildError(f"no process can be started: {(error.strerror or 'it fails').lower()}") from error
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    return process


def _ending(status: int | None) -> str:
    """How a process ended that said nothing."""
    if status is None or status >= 0:
        return f"it ended with status {status}"
    return f"it was ended by signal {-status}" + (", as where memory is short" if status == -9 else "")


def lines_from_parent() -> Iterator[bytes]:
    """The lines that come on standard input. When there can be no more, as the one that started this process
    ended, this process ends too, whatever it does."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(OSError):
            for line in sys.stdin.buffer:
                lines.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, b"")


def end_with_parent() -> None:
    """Have this process end when the one that started it by `run_module` does, however that ends: what comes
    after it may do the same work, in the same files."""
    mode = os.fstat(0).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1 << 16):
            pass
    os._exit(1)
