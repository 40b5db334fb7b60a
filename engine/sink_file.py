"""Files as sinks: one JSON object a line, appended, brought to disk before it counts as delivered."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from quell.engine.outbox_thread import Errands
from quell.engine.outbox_types import Delivery, Message, Retry
from quell.engine.plain_files import open_plain

FILE_DELIVERY = Delivery(concurrency=256, timeout=60.0, ordered=True)


class FileSink:
    """Appends to the file at `path`, in order; what comes while the disk is busy is written together. The
    file is opened anew for each batch, so it may be moved away meanwhile. What a process that was killed left
    of a line becomes a line of its own, which is no JSON."""

    def __init__(self, path: Path, delivery: Delivery = FILE_DELIVERY) -> None:
        self.delivery = delivery
        self._path = path
        self._errands = Errands("quell-file")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def deliver(self, message: Message) -> None:
        """Append it. Raises Retry."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message.body() + b"\n", future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await future

    async def _write(self) -> None:
        """Write what waits, until nothing does; a failure is one for all that wait, so that order stays."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                lines = b"".join(line for line, future in batch if not future.done())
                try:
                    await self._errands(lambda lines=lines: _append(self._path, lines))  # type: ignore[misc]
                except OSError as error:
                    why = (error.strerror or "it cannot be written").lower()
                    batch, self._waiting = batch + self._waiting, []
                    _resolve(batch, Retry(f"`{self._path}`: {why}", all=True))
                else:
                    _resolve(batch, None)
        finally:
            self._writer = None

    async def close(self) -> None:
        """Let go of the thread, once it has written what it was given."""
        if self._writer is not None:
            await self._writer
        self._errands.close()


def _resolve(batch: list[tuple[bytes, asyncio.Future[None]]], error: Retry | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(None)


def _append(path: Path, lines: bytes) -> None:
    """Append whole lines, or nothing, and bring them to disk. Raises OSError."""
    file = open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        _write_whole(file, lines, size)
        os.fdatasync(file)
    finally:
        os.close(file)


def _write_whole(file: int, lines: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(lines):
            written += os.write(file, memoryview(lines)[written:])
    except OSError:
        if written and os.fstat(file).st_size == size + written:  # nobody else has written since
            os.ftruncate(file, size)
        raise
