"""Reading files of events into a history: by SQL where that is sure to be the same, else record by record by
the bundle's own decoder; then all of them are put in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.event_problems import Refusal
from quell.engine.source_base import SourceError
from quell.engine.source_lines import JsonElements
from quell.replay.database import Database, quoted, text_literal
from quell.replay.history import Extras, History, Order, order_of
from quell.replay.history_files import as_text, find
from quell.replay.history_journal import Answers, JournalSource
from quell.replay.history_reading import Reading
from quell.replay.history_rows import PACK, RowWriter
from quell.replay.history_scan import UNMATCHED, Scan, scan_of
from quell.replay.history_sources import Opened, Rows
from quell.replay.history_tables import Tables

_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
MOST_VIEWS = 32
"""Files that are looked at where they lie; more of them are copied."""


def ingest(
    db: Database,
    schema: str,
    build: Build,
    files: Sequence[str | Path],
    *,
    order: Order | None = None,
    format: Any = None,
    extras: Extras | None = None,
    later: bool = False,
    tell: Callable[[int, int | None], None] = lambda done, of: None,
) -> History:
    """Read files of events into a new schema of the database.

    `files` are names, globs, folders and tables of DuckDB files (`quell.replay.history_files`); `extras` are
    values to read beside what policies read. Without an `order` a journal is taken as it was written, and
    anything else in order of time. `later` says that texts may be left to who decides the history
    (`quell.replay.history_later`). `tell` hears how much of how much has been done. Raises
    SourceError for what cannot be read; whether there is an event is for `check_usable` to ask.
    """
    found = find(files)
    db.con.execute(f"CREATE SCHEMA {quoted(schema)}")
    reading = Reading(build, extras or {})
    history = History(
        db,
        schema,
        build,
        [f"{f.path}:{f.table}" if f.table else f.path for f in found],
        tuple(reading.extras),
        order or order_of(found),
        found=found,
        format=format,
    )
    history.again = lambda: ingest(db, schema, build, files, order=order, format=format, extras=extras)
    history.columns = {e.schema.name: list(e.columns) for e in reading.events}
    _Ingest(history, reading, format, later, tell).run()
    return history


def check_usable(history: History) -> None:
    """Raises SourceError for a history without an event, which says why there is none."""
    if history.events:
        return
    name = f"`{history.files[0]}`" if len(history.files) == 1 else "the history"
    if not history.records:
        raise SourceError(f"{name} holds no event", "it is empty")
    if history.refused:
        first = history.db.value(
            f"SELECT place || ': ' || message FROM {history.table('refused')} ORDER BY file, row LIMIT 1"
        )
        raise SourceError(f"none of the {history.records:,} records of {name} can be taken", str(first))
    raise SourceError(f"{name} holds no event", "it holds labels by hand, and nothing to decide")


class _Ingest:
    """One history being read."""

    def __init__(
        self,
        history: History,
        reading: Reading,
        format: Any,
        later: bool,
        tell: Callable[[int, int | None], None],
    ) -> None:
        self.history, self.reading, self.format, self.later = history, reading, format, later
        self.db = history.db
        self.writer = RowWriter(self.db, history.schema, reading)
        self.answers: Answers | None = None
        self.sizes = [_size(f.path) for f in history.found]
        self._tell, self._done, self._told = tell, 0, 0

    def run(self) -> None:
        history, writer = self.history, self.writer
        for number, found in enumerate(history.found):
            opened = Opened(self.db, history.schema, number, found, self.reading, self.format)
            try:
                self._file(number, opened)
            finally:
                opened.close()
            self._done += self.sizes[number]
        scans = history.scans
        scanned = sum(s.taken for s in scans.values())
        history.records = writer.records + sum(s.table.rows - len(s.odd) for s in scans.values())
        history.hands, history.problems = writer.hands, writer.problems
        history.refused = writer.refused + sum(s.unmatched for s in scans.values())
        history.events = writer.n - writer.hands + scanned
        self._order()

    def _share(self, size: int) -> Callable[[float], None]:
        """What hears the share of work that counts as so many bytes. Reading counts half, and putting in
        order the other half."""
        before, of = self._done, 2 * sum(self.sizes)

        def hear(share: float) -> None:
            self._told = max(self._told, before + int(size * min(share, 1.0)))
            self._tell(self._told, of)

        return hear

    def _file(self, number: int, opened: Opened) -> None:
        history, source = self.history, opened.source
        history.places.append(_shape(opened))
        if isinstance(source, JournalSource):
            self._journal(number, opened, source)
            return
        scan = scan_of(opened, self.reading)
        if scan is not None and self._surveyed(scan, number):
            history.scans[number] = scan
            if len(scan.odd):
                self.writer.take(number, opened.pick(scan.odd), source.place)
            if scan.unmatched:
                self._refuse(number, scan)
            return
        tell = self._share(self.sizes[number])
        self.writer.take(
            number, opened.records(), source.place, lambda: tell(source.position / (source.total or 1 << 40))
        )

    def _journal(self, number: int, opened: Opened, source: JournalSource) -> None:
        """Read a journal, and what was answered in it."""
        history, share = self.history, self._share(self.sizes[number])
        if self.answers is None:
            self.answers = Answers(self.db, history.schema)
        answers = self.answers

        def tell() -> None:
            share(source.position / (source.total or 1 << 40))
            answers.take(number, source, PACK)

        self.writer.take(number, opened.records(), source.place, tell)
        answers.take(number, source)
        history.journals[number] = dict(sorted(source.versions.items()))
        self.db.journals.setdefault(history.found[number].path, source.last)

    def _surveyed(self, scan: Scan, number: int) -> bool:
        most, tell = self.reading.decoder.max_bytes, self._share(self.sizes[number])
        alone = self.later and len(self.history.found) == 1
        try:
            if alone and scan.later and (self.history.order == "given" or scan.in_order(self.db)):
                sure = scan.survey(self.db, most, tell, scan.later)
                if sure and scan.taken == scan.table.rows:
                    self.history.unread = list(scan.later.values())
                    return True
            return scan.survey(self.db, most, tell)
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            return False

    def _refuse(self, number: int, scan: Scan) -> None:
        """Note the rows that are no events of the bundle, in the decoder's words."""
        shape, _ = self.history.places[number]
        said = []
        for tag in scan.tags(self.db):
            record: Any = tag
            for key in reversed(self.reading.type_path):
                record = {key: record}
            entry = self.reading.decoder.convert(record)
            assert isinstance(entry, Refusal)
            said.append((None if tag is None else str(tag), entry.kind, entry.path, str(entry)))
        columns = ("tag", "kind", "path", "message")
        arrays = [pa.array(c, pa.string()) for c in zip(*said, strict=True)]
        self.db.con.register("_said", pa.Table.from_arrays(arrays, names=list(columns)))
        place = f"{text_literal(shape.format(''))} || CAST(r._row AS VARCHAR)"  # a row's number stands last
        rows = scan.select(f"_row, CAST({scan.tag} AS VARCHAR) AS tag", f"_code = {UNMATCHED}")
        self.db.con.execute(
            f"INSERT INTO {self.history.table('refused')} SELECT {number}, r._row, NULL, s.kind, s.path, "
            f"s.message, {place} FROM ({rows}) r JOIN _said s ON s.tag IS NOT DISTINCT FROM r.tag"
        )
        self.db.con.unregister("_said")

    def _order(self) -> None:
        """Give the rows their order, and make the tables."""
        history, writer, scans = self.history, self.writer, self.history.scans
        tables, by_time = Tables(self.db, history.schema, self.reading, writer), history.order == "time"
        whole = not writer.records and not any(s.unmatched for s in scans.values())
        if not scans:
            history.late = writer.late
        elif not writer.records:
            history.late = self._late()
        in_order = history.late == 0 or not by_time
        if not scans and in_order:
            tables.over_rows()
        elif whole and in_order and len(scans) <= MOST_VIEWS:
            tables.over_files(scans)
        else:
            tables.gather(scans, by_time, self._share(self._done))
            if scans and writer.records:
                history.late = self._late_of_rows()
        history.sorted = by_time or history.late == 0
        self._tell(2 * self._done, 2 * self._done)

    def _late(self) -> int:
        """How many events came after later ones, file after file."""
        late, newest = 0, None
        for scan in self.history.scans.values():
            span = scan.in_order(self.db)
            if span is not None and (newest is None or span[0] >= newest):
                newest = span[1]
                continue
            at = "_at" if newest is None else f"greatest(_at, {newest})"
            count, last = self.db.run(
                f"SELECT count(*) FILTER (_at < _seen), max(_seen) FROM "
                f"(SELECT _at, max({at}) OVER ({_SO_FAR}) AS _seen FROM ({scan.times()}))"
            )[0]
            late, newest = late + count, newest if last is None else last
        return late

    def _late_of_rows(self) -> int:
        """The same, from the one table in order."""
        query = (
            f'SELECT count(*) FILTER ("at" < seen) FROM '
            f'(SELECT "at", max("at") OVER (ORDER BY key {_SO_FAR}) AS seen '
            f"FROM {self.history.table('_rows')})"
        )
        return int(self.db.run(query)[0][0])


def _shape(opened: Opened) -> tuple[str, int]:
    """How the records of a file are told."""
    name = as_text(opened.source.name).replace("{", "{{").replace("}", "}}")
    if isinstance(opened.source, Rows):
        return name + " row {}", 0
    return (name + "[{}]", -1) if isinstance(opened.source, JsonElements) else (name + ":{}", 0)


def _size(path: str) -> int:
    try:
        if Path(path).is_dir():
            return max(1, sum(inside.stat().st_size for inside in Path(path).iterdir()))
        return max(1, Path(path).stat().st_size)
    except (OSError, ValueError):
        return 1
