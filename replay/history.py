"""A history as columns: every event that a bundle takes, in the order in which it is replayed.

`history_ingest` reads files of events into tables of a DuckDB schema. Each row is what the bundle's own
decoder makes of a record, so what online refuses is refused here, with the same words. Tables (Parquet,
DuckDB) are read by SQL where that is sure to be the same, and may stay where they are; all else goes through
the decoder itself.

========== ==========================================================================================
`all`      n, event, at, id, file, row, entity, and the extras: every admitted event (`n` counts from 1 in
           order; `entity` is the one that the event is about, see `principal`)
`e0`, `e1` n, at, f0, f1, …: the events of one type (by the place of its schema) with the fields that the
           bundle reads (by the place in the schema), as `history_types` says
`hands`    n, at, action, file, row: labels by hand, as JSON
`problems` n, nth, kind, field, path, expected, got: optional values of the wrong kind, missing to the rules,
           an event's in their order `nth`
`refused`  file, row, event, kind, path, message, place
`answers`  file, row, decided, asked: of journals only, see `quell.replay.history_journal`
========== ==========================================================================================

They may be views, and their rows come in no order but by `n`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from quell.engine.compile import Build
from quell.engine.schema import Field
from quell.replay.database import Database, among, quoted
from quell.replay.history_files import Found
from quell.replay.history_reading import Extras, principal
from quell.replay.history_scan import Scan

__all__ = ["Extras", "History", "Order", "order_of", "principal"]

Order = Literal["time", "given"]
"""By time, equal times as the files have them; or just as the files have them, late events and all."""


@dataclass(slots=True)
class History:
    """What `ingest` made: the schema of the database that holds the tables, and figures of the files.

    `late` counts the events that came after later ones in the order of the files; `sorted` says that the
    order of the tables is that of time. `problems` counts values, not events. `limited` says that `cut` left
    some out.
    """

    db: Database
    schema: str
    build: Build
    files: list[str]
    extras: tuple[str, ...]
    order: Order
    records: int = 0
    events: int = 0
    hands: int = 0
    refused: int = 0
    problems: int = 0
    late: int = 0
    limited: bool = False
    sorted: bool = True
    columns: dict[str, list[tuple[str, Field]]] = field(default_factory=dict)
    """By event type: the columns of its table with the fields they hold."""
    places: list[tuple[str, int]] = field(default_factory=list)
    """How the records of each file are told: a format, and what is added to their number."""
    found: list[Found] = field(default_factory=list)
    format: Any = None
    scans: dict[int, Scan] = field(default_factory=dict)
    """The files, by number, that SQL reads."""
    unread: list[str] = field(default_factory=list)
    """Columns of the only event type with texts that nobody looked at yet."""
    again: Callable[[], History] | None = None
    """Reads the files anew, with nothing left unread."""
    journals: dict[int, dict[int, str]] = field(default_factory=dict)
    """The files, by number, that are journals, each with the digests of the versions of the policies that
    decided in service, by the version's number; empty where that is not known any more."""
    supplied: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """For histories made of tests: by `n`, the named values that a test supplies (`with spam = 0.95`). Only a
    bundle made for tests has leaves for them."""

    @property
    def numbered(self) -> bool:
        """Whether it is one journal as it was written: then an entry's number in the file is the number that
        it had in service."""
        return self.order == "given" and len(self.found) == 1 and bool(self.journals)

    def table(self, name: str) -> str:
        """A table as SQL names it."""
        return f"{quoted(self.schema)}.{quoted(name)}"

    def of(self, event: str) -> str:
        """The table of an event type."""
        return self.table(f"e{list(self.build.analysis.symbols.schemas).index(event)}")

    def bare(self, event: str) -> str:
        """The same without defaults: NULL where the event itself has no value."""
        return self.table(f"bare{list(self.build.analysis.symbols.schemas).index(event)}")

    def cut(self, limit: int) -> None:
        """Leave out all but the first events and labels by hand."""
        self.limited = self.limited or limit < self.events + self.hands
        numbers = range(len(self.columns))
        for name in ("all", *(f"e{i}" for i in numbers), *(f"bare{i}" for i in numbers)):
            whole = f"whole {name}"
            self.db.con.execute(f"ALTER VIEW {self.table(name)} RENAME TO {quoted(whole)}")
            query = f"SELECT * FROM {self.table(whole)} WHERE n <= {int(limit)}"
            self.db.con.execute(f"CREATE VIEW {self.table(name)} AS {query}")
        for name in ("hands", "problems"):
            self.db.con.execute(f"DELETE FROM {self.table(name)} WHERE n > {int(limit)}")
        count = "SELECT count(*) FROM"
        self.events = self.db.value(f"{count} {self.table('all')}")
        self.hands = self.db.value(f"{count} {self.table('hands')}")
        self.problems = self.db.value(f"{count} {self.table('problems')}")

    def origins(self, ns: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The file (an index of `files`) and the record in it, for events and labels by hand by their `n`."""
        query = " UNION ALL ".join(
            f"SELECT n, file, row FROM {self.table(name)} WHERE {among(ns)}" for name in ("all", "hands")
        )
        return {n: (file, row) for n, file, row in self.db.rows(query)}

    def told(self, ns: Sequence[int]) -> dict[int, str]:
        """Where events stand in the files, as the sources say it: `events.jsonl:12`."""
        return {n: self._told(*origin) for n, origin in self.origins(ns).items()}

    def place(self, n: int) -> str:
        """Where one event stands in the files. Raises KeyError where there is none."""
        return self.told([n])[n]

    def _told(self, file: int, row: int) -> str:
        shape, more = self.places[file]
        return shape.format(row + more)


def order_of(found: Sequence[Found]) -> Order:
    """The order in which files are taken if nobody says another."""
    return "given" if len(found) == 1 and found[0].journal else "time"
