"""What other processes ask of the server that holds a data folder: small files in versions/requests/.

`NAME.json` asks, `NAME.done` answers with a ReloadOutcome. Whoever may write there owns the data folder
anyway; what the files say is checked all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec

from quell.engine.plain_files import open_plain
from quell.engine.service_types import ReloadOutcome
from quell.engine.watch import Watch

LOG = logging.getLogger("quell.reload")
MAX_BYTES = 10_000
STALE = 600
"""Seconds after which nobody waits for an answer any more."""


class PutBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for a version to decide again; None is the one before."""

    number: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)] | None
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Asked = Callable[[int | None, str], Awaitable[ReloadOutcome]]

# ------------------------------------------------------------------ the server


async def answer_requests(folder: Path, put_back: Asked, watch: Watch | None = None) -> None:
    """Answer what is asked in a folder, one after another, until cancelled."""
    _tidy(folder)
    async with contextlib.aclosing((watch or Watch(folder, every=5.0)).changes()) as told:
        async for _ in told:
            for path in _waiting(folder):
                await _answer(path, put_back)


async def _answer(path: Path, put_back: Asked) -> None:
    try:
        asked = msgspec.json.decode(_read(path), type=PutBack)
        path.unlink()  # first, so that it is not asked again after a crash
    except FileNotFoundError:
        return
    except (OSError, msgspec.MsgspecError) as error:
        LOG.error("%s asks for nothing that is known: %s", path, error)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    try:
        outcome = await put_back(asked.number, asked.by)
    except Exception:
        LOG.exception("putting a version back failed; the version that decides goes on")
        return
    try:
        _write(path.with_suffix(".done"), msgspec.json.encode(outcome))
    except OSError as error:
        LOG.error("%s cannot be answered: %s", path, error)


def _read(path: Path) -> bytes:
    opened = open_plain(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.read(opened, MAX_BYTES + 1)[:MAX_BYTES]
    finally:
        os.close(opened)


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def _waiting(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(p for p in folder.iterdir() if p.suffix == ".json" and not p.name.startswith("."))
    return []


def _tidy(folder: Path) -> None:
    """Remove what nobody waits for any more."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > STALE:
                    path.unlink()


# ---------------------------------------------------------------- who asks


def ask(folder: Path, request: PutBack, patience: float, pause: float = 0.1) -> ReloadOutcome | None:
    """Ask the server in the folder versions/requests/ and wait for its answer, at most `patience` seconds;
    None where none came, and then nothing is asked any more unless it is under way. Raises OSError."""
    path = folder / f"{uuid.uuid4().hex}.json"
    done = path.with_suffix(".done")
    _write(path, msgspec.json.encode(request))
    end = time.monotonic() + patience
    try:
        while time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
                return msgspec.json.decode(done.read_bytes(), type=ReloadOutcome)
            time.sleep(pause)
        return None
    finally:
        path.unlink(missing_ok=True)
        done.unlink(missing_ok=True)
