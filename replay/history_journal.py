"""A journal as a history: its events in the order in which they were counted, labels by hand among them, and
beside them what remote models answered and when each decision took effect.

A journal may grow while it is read: a replay reads it up to where it ended when that replay first read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pyarrow as pa

from quell.engine.service_types import Entry, VersionInfo
from quell.engine.source_base import Payload
from quell.engine.source_journal import JournalEvents
from quell.replay.database import Database, quoted

_ASKED = b'"asked":'
_ANSWERS = pa.schema(
    [("file", pa.int32()), ("row", pa.int64()), ("decided", pa.int64()), ("asked", pa.string())]
)


class Answered(NamedTuple):
    """The decision of an event that asked remote models, or waited: the event's number, the decision's (None
    if it was not made yet), and what was asked, as JSON."""

    seq: int
    decided: int | None
    asked: str


class _Said(msgspec.Struct):
    asked: msgspec.Raw = msgspec.Raw(b"[]")


_said = msgspec.json.Decoder(_Said)
_version = msgspec.json.Decoder(VersionInfo)


class JournalSource(JournalEvents):
    """The events and labels by hand of a journal, each with its number, and what else a replay wants of it.

    `answers` gathers what `Answers` takes away, and `versions` the digests of the versions of the policies
    that decided, by number.
    """

    def __init__(self, path: str, upto: int | None) -> None:
        super().__init__(path, upto)
        self.answers: list[Answered] = []
        self.versions: dict[int, str] = {}
        self._open: set[int] = set()

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        try:
            yield from super().__iter__()
        finally:
            self.answers += [Answered(seq, None, "[]") for seq in sorted(self._open)]
            self._open.clear()

    def note(self, entry: Entry) -> None:
        """Gather what was answered, and by which versions."""
        kind, seq = entry.kind, entry.seq
        if kind == "event":
            if _ASKED in entry.reply:
                self._answered(entry)
            self._seen(entry.version)
        elif kind == "admitted":
            self._open.add(seq)
            self._seen(entry.version)
        elif kind == "decided":
            self._open.discard(seq)
            self._answered(entry)
        elif kind == "version":
            self.versions[entry.version] = _version.decode(entry.reply).digest

    def _seen(self, version: int) -> None:
        if version not in self.versions:  # the entry that says more was dropped for its age
            self.versions[version] = ""

    def _answered(self, entry: Entry) -> None:
        try:
            asked = bytes(_said.decode(entry.reply).asked).decode()
        except msgspec.MsgspecError:  # deciding it failed inside Quell
            asked = "[]"
        if asked != "[]" or entry.kind == "decided":
            self.answers.append(Answered(entry.seq, entry.decided, asked))


class Answers:
    """The table `answers` of a history: of events that asked remote models or waited, by file and row, when
    their decision took effect and what was answered."""

    def __init__(self, db: Database, schema: str) -> None:
        self._db = db
        self._table = f"{quoted(schema)}.answers"
        db.con.register("_empty", _ANSWERS.empty_table())
        db.con.execute(f"CREATE TABLE {self._table} AS SELECT * FROM _empty")
        db.con.unregister("_empty")

    def take(self, file: int, source: JournalSource, least: int = 0) -> None:
        """Write what a source has gathered, if it is so many at least."""
        if not source.answers or len(source.answers) < least:
            return
        held, source.answers = source.answers, []
        columns = ([file] * len(held), *zip(*held, strict=True))
        arrays = [pa.array(column, f.type) for column, f in zip(columns, _ANSWERS, strict=True)]
        self._db.con.register("_batch", pa.Table.from_arrays(arrays, schema=_ANSWERS))
        self._db.con.execute(f"INSERT INTO {self._table} SELECT * FROM _batch")
        self._db.con.unregister("_batch")
