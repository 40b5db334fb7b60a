"""Dead letters: messages that were given up, kept in `dead.sqlite` until they are sent again or dropped.

SQLite, so that `quell outbox` can read and change them beside a running server: a transaction is whole or
not there. Every call opens the file by itself, and so may be made in any thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from quell.engine.outbox_types import DeadLetter, OutboxError

NAME = "dead.sqlite"
MOST_BYTES = 1 << 30
"""What the letters may take on disk; beyond it the oldest are let go, and that is told."""
SYNCHRONOUS = "full"
"""How SQLite brings things to disk: before a transaction has ended."""
_PATIENCE = 10.0
"""Seconds to wait for another process that writes."""
_FORMAT = 1
_SCHEMA = """
create table letters (
    serial integer primary key autoincrement,
    key text not null unique,
    sink text not null,
    state text not null,
    letter blob not null
);
create index by_sink on letters (sink, serial);
create index by_state on letters (state, serial) where state <> 'dead';
"""
_AT_ONCE = 500
_FETCHED_BYTES = 4 << 20

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(DeadLetter).decode


class Letters:
    """The dead letters of a folder. Every method raises OutboxError where the file cannot be used."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = folder / NAME
        self._most = most_bytes

    # ------------------------------------------------------------------ for the server

    def begin(self) -> str:
        """Take up where the last run ended: what it was sending is to be sent again. A file that is damaged
        is put aside and one made anew; gives what to tell of that, or ""."""
        try:
            self._begin()
        except OutboxError as error:
            if not isinstance(error.__cause__, sqlite3.DatabaseError) or isinstance(
                error.__cause__, sqlite3.OperationalError
            ):
                raise
        else:
            return ""
        aside = self._path.with_name(f"{NAME}.damaged")
        self._path.replace(aside)
        self._begin()
        return f"`{NAME}` was damaged; it is kept as `{aside.name}`"

    def _begin(self) -> None:
        with self._writing() as base:
            base.execute("update letters set state = 'again' where state = 'sending'")

    def bury(self, letters: Iterable[DeadLetter], again: Iterable[DeadLetter] = ()) -> int:
        """Keep new letters, and what became of those that were sent `again` (unless they were dropped
        meanwhile); gives how many of the oldest were let go to make room."""
        with self._writing() as base:
            base.executemany(
                "insert into letters (key, sink, state, letter) values (?, ?, 'dead', ?)"
                " on conflict (key) do update set state = 'dead', letter = excluded.letter",
                [(x.message.key, x.message.sink, _encode(x)) for x in letters],
            )
            base.executemany(
                "update letters set state = 'dead', letter = ? where key = ?",
                [(_encode(x), x.message.key) for x in again],
            )
            return self._make_room(base)

    def _make_room(self, base: sqlite3.Connection) -> int:
        gone = 0
        while self._bytes(base) > self._most:
            done = base.execute(
                "delete from letters where serial in (select serial from letters order by serial limit ?)",
                (_AT_ONCE,),
            )
            if not done.rowcount:
                break
            gone += done.rowcount
        return gone

    @staticmethod
    def _bytes(base: sqlite3.Connection) -> int:
        pages, free, size = (
            base.execute(f"pragma {what}").fetchone()[0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def delivered(self, keys: Iterable[str]) -> None:
        """Let go of letters that were delivered after all."""
        with self._writing() as base:
            base.executemany("delete from letters where key = ?", [(key,) for key in keys])

    def failing(self, letters: Iterable[DeadLetter]) -> None:
        """Note what letters that are being sent again have met with so far."""
        with self._writing() as base:
            base.executemany(
                "update letters set letter = ? where key = ? and state = 'sending'",
                [(_encode(x), x.message.key) for x in letters],
            )

    def fetch(self, room: dict[str, int]) -> list[DeadLetter]:
        """Letters that are to be sent again, the oldest first: of each sink as many as it has room for, but
        not too many bytes at a time."""
        if not any(self._asked(sink) for sink in room):
            return []
        found: list[DeadLetter] = []
        with self._writing() as base:
            for sink, most in room.items():
                rows = self._rows(base, sink, most)
                base.executemany(
                    "update letters set state = 'sending' where serial = ?", [(serial,) for serial, _ in rows]
                )
                found += [_decode(content) for _, content in rows]
        return found

    @staticmethod
    def _rows(base: sqlite3.Connection, sink: str, most: int) -> list[tuple[int, bytes]]:
        query = (
            "select serial, letter from letters where state = 'again' and sink = ? order by serial limit ?"
        )
        rows: list[tuple[int, bytes]] = []
        size = 0
        for serial, content in base.execute(query, (sink, most)):
            rows.append((serial, content))
            size += len(content)
            if size >= _FETCHED_BYTES:
                break
        return rows

    def _asked(self, sink: str) -> bool:
        with self._reading() as base:
            query = "select 1 from letters where state = 'again' and sink = ? limit 1"
            return base is not None and base.execute(query, (sink,)).fetchone() is not None

    def stamp(self) -> object:
        """What differs once the file has changed, save within a few milliseconds."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    # ------------------------------------------------------------------ for everyone

    def counts(self) -> dict[str, int]:
        """How many there are by sink."""
        with self._reading() as base:
            if base is None:
                return {}
            return dict(base.execute("select sink, count(*) from letters group by sink order by sink"))

    def again(self) -> dict[str, tuple[int, str]]:
        """By sink, how many were asked to be sent again, and what the oldest of them met with last."""
        query = (
            "select sink, n, letter from letters join (select min(serial) as oldest, count(*) as n"
            " from letters where state <> 'dead' group by sink) on serial = oldest"
        )
        with self._reading() as base:
            rows = base.execute(query).fetchall() if base is not None else []
        return {sink: (number, _decode(letter).last_error) for sink, number, letter in rows}

    def list(self, sink: str | None = None, most: int | None = None, after: str = "") -> list[DeadLetter]:
        """The letters, of one sink if it is named, the oldest first: at most `most`, from the one after the
        key `after` on. That one must still be there: where it stood is not known otherwise."""
        query = (
            "select state, letter from letters where (?1 is null or sink = ?1) and serial > ?2"
            " order by serial limit ?3"
        )
        with self._reading() as base:
            place = self._place(base, after) if after else 0
            if base is None:
                return []
            rows = base.execute(query, (sink, place, -1 if most is None else most)).fetchall()
        return [msgspec.structs.replace(_decode(content), state=state) for state, content in rows]

    @staticmethod
    def _place(base: sqlite3.Connection | None, key: str) -> int:
        """Where a letter stands. Raises OutboxError if it is not there."""
        found = None
        if base is not None:
            found = base.execute("select serial from letters where key = ?", (key,)).fetchone()
        if found is None:
            said = f"there is no dead letter `{key[:200]}` for others to come after"
            raise OutboxError(said, "it was delivered or dropped meanwhile: begin with the first")
        return int(found[0])

    def resend(self, keys: Iterable[str] | None = None, sink: str | None = None) -> int:
        """Have letters sent again: those with these keys, or all, and of one sink only if it is named. A
        running server sees to it within a second, another when it starts. Gives how many."""
        change = "update letters set state = 'again' where state = 'dead' and (?1 is null or sink = ?1)"
        return self._change(change, keys, sink)

    def drop(self, keys: Iterable[str] | None = None, sink: str | None = None) -> int:
        """Let go of letters, chosen in the same way; gives how many."""
        return self._change("delete from letters where (?1 is null or sink = ?1)", keys, sink)

    def _change(self, change: str, keys: Iterable[str] | None, sink: str | None) -> int:
        if not self._path.exists():
            return 0
        with self._writing() as base:
            if keys is None:
                return base.execute(change, (sink,)).rowcount
            return sum(base.execute(f"{change} and key = ?2", (sink, key)).rowcount for key in set(keys))

    # ------------------------------------------------------------------ the file

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes."""
        with self._told(), contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as base:
            base.isolation_level = None
            base.execute(f"pragma synchronous = {SYNCHRONOUS}")
            base.execute("begin immediate")
            try:
                if not base.execute("pragma user_version").fetchone()[0]:
                    self._make(base)
                self._check(base)
                yield base
                base.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    base.execute("rollback")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A look, which makes no file where there is none."""
        if not self._path.exists():
            yield None
            return
        where = self._path.absolute().as_uri() + "?mode=ro"
        with self._told(), contextlib.closing(sqlite3.connect(where, timeout=_PATIENCE, uri=True)) as base:
            if not base.execute("pragma user_version").fetchone()[0]:
                yield None
                return
            self._check(base)
            yield base

    @staticmethod
    def _make(base: sqlite3.Connection) -> None:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                base.execute(statement)
        base.execute(f"pragma user_version = {_FORMAT}")

    def _check(self, base: sqlite3.Connection) -> None:
        if base.execute("pragma user_version").fetchone()[0] != _FORMAT:
            raise OutboxError(f"`{self._path}` was written by another version of Quell", "use that version")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError, OSError) as error:
            said = " ".join(str(error).split()).lower()
            hint = "see that Quell may write there, and that there is space"
            raise OutboxError(f"`{self._path}` cannot be used: {said}", hint) from error
