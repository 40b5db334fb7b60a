"""What a history had of what the policies declare: its files, what was refused and why, how often each field
has a value.

Fields that policies read are counted over all events. Fields that none reads are counted where the files are
tables and every row was read by SQL; else they are looked at in the first records only, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from quell.engine.event_reader import Reader
from quell.engine.events import Decoded
from quell.engine.schema import EventSchema, Field
from quell.engine.source_base import SourceError
from quell.engine.sources import read_record
from quell.replay.history import History
from quell.replay.history_reading import Reading
from quell.replay.history_scan import declared_columns
from quell.replay.history_sources import Opened
from quell.replay.report_data import FieldCoverage, RefusedKind, Source
from quell.replay.train_labels import record_of
from quell.signals.show import show_time

LOOKED_AT = 10_000
"""Records in which fields that no policy reads are looked for, where they are not counted."""
SAMPLES = 3
"""Refused records of each kind that are shown."""

Counts = dict[tuple[str, str], tuple[int, int, int]]
"""By event and field: how many have a value, of how many, and how many have one of the wrong kind."""


def source_of(history: History) -> Source:
    """What is told of a history's files. Raises no error where they are gone since: what only they know is
    left out then."""
    everything = history.table("all")
    by_type = dict.fromkeys(history.columns, 0)
    by_type |= dict(history.db.rows(f"SELECT event, count(*) FROM {everything} GROUP BY event"))
    first, last = history.db.rows(f'SELECT min("at"), max("at") FROM {everything}')[0]
    return Source(
        files=list(history.files),
        records=history.records,
        events=history.events,
        by_type=by_type,
        hands=history.hands,
        refused=history.refused,
        problems=history.problems,
        order=history.order,
        late=history.late,
        refusals=_refusals(history),
        coverage=_coverage(history, by_type),
        first=None if first is None else show_time(first),
        last=None if last is None else show_time(last),
        journals=len(history.journals),
        versions=history.journals.get(0, {}) if len(history.found) == 1 else {},
    )


def _refusals(history: History) -> list[RefusedKind]:
    """Why records were refused, the most frequent first."""
    table = history.table("refused")
    kinds = history.db.rows(f"SELECT kind, count(*) FROM {table} GROUP BY kind ORDER BY 2 DESC, 1")
    found = []
    for kind, count in kinds:
        # Different messages say more than the same one again.
        samples = history.db.rows(
            f"SELECT place, message FROM (SELECT message, arg_min(place, (file, row)) AS place, "
            f"min((file, row)) AS first FROM {table} WHERE kind = ? GROUP BY message) "
            f"ORDER BY first LIMIT {SAMPLES}",
            kind,
        )
        found.append(RefusedKind(kind, count, [(place, message) for place, message in samples]))
    return found


def _coverage(history: History, by_type: dict[str, int]) -> list[FieldCoverage]:
    schemas = history.build.analysis.symbols.schemas
    read = {(event, f.name) for event, columns in history.columns.items() for _, f in columns}
    counted = _read_fields(history, by_type)
    others = {
        event: [f for f in schema.fields if (event, f.name) not in read] for event, schema in schemas.items()
    }
    counted |= _scanned(history, others)
    left = {event: [f for f in fields if (event, f.name) not in counted] for event, fields in others.items()}
    sampled = _sampled(history, left) if any(left.values()) else {}
    found = []
    for event, schema in schemas.items():
        for f in schema.fields:
            known = counted.get((event, f.name)) or sampled.get((event, f.name))
            if known is not None:
                present, of, wrong = known
                is_sampled = (event, f.name) not in counted
                is_read = (event, f.name) in read
                found.append(
                    FieldCoverage(event, f.name, str(f.type), present, of, wrong, is_read, is_sampled)
                )
    return found


def _read_fields(history: History, by_type: dict[str, int]) -> Counts:
    """What policies read, from the tables, where defaults are not put in."""
    wrong = {
        (event, field): count
        for event, field, count in history.db.rows(
            f"SELECT a.event, p.field, count(DISTINCT p.n) FROM {history.table('problems')} p "
            f"JOIN {history.table('all')} a USING (n) GROUP BY ALL"
        )
    }
    found: Counts = {}
    schemas = history.build.analysis.symbols.schemas
    for event, columns in history.columns.items():
        of = by_type[event]
        asked = [(c, f) for c, f in columns if not f.required and f.name != schemas[event].at]
        counts = [0] * len(asked)
        if asked and of:
            query = ", ".join(f"count({c})" for c, _ in asked)
            counts = list(history.db.run(f"SELECT {query} FROM {history.bare(event)}")[0])
        present = {f.name: n for (_, f), n in zip(asked, counts, strict=True)}
        for _, f in columns:
            found[event, f.name] = (present.get(f.name, of), of, wrong.get((event, f.name), 0))
    return found


def _scanned(history: History, others: dict[str, list[Field]]) -> Counts:
    """What no policy reads, where SQL read every row of every file and is sure of it."""
    if not history.scans or len(history.scans) < len(history.files):
        return {}
    found: Counts = {}
    reading = Reading(history.build, {})
    for number, scan in history.scans.items():
        if len(scan.odd):
            return {}
        opened = _opened(history, number, reading)
        if opened is None:
            return {}
        with opened.source:
            columns = declared_columns(opened)
        if columns is None:
            return {}
        for index, (event, fields) in enumerate(others.items()):
            values = [(f, columns.field(_optional(f))) for f in fields]
            if not values:
                continue
            asked = ", ".join(f"count({v.sql}), count(*) FILTER ({v.odd or 'false'})" for _, v in values)
            try:
                of, *counts = history.db.run(scan.select(f"count(*), {asked}", f"_code = {index}"))[0]
            except duckdb.Error:
                return {}
            for i, (f, _) in enumerate(values):
                before = found.get((event, f.name), (0, 0, 0))
                present, odd = counts[2 * i], counts[2 * i + 1]
                found[event, f.name] = (before[0] + present, before[1] + of, before[2] + odd)
    return {key: value for key, value in found.items() if not value[2]}


def _opened(history: History, number: int, reading: Reading) -> Opened | None:
    try:
        return Opened(history.db, history.schema, number, history.found[number], reading, history.format)
    except SourceError:
        return None


def _optional(f: Field) -> Field:
    return Field(f.name, f.type.maybe(), f.path, record=f.record)


def _sampled(history: History, fields: dict[str, list[Field]]) -> Counts:
    """What no policy reads, from the first records."""
    schemas = list(history.build.analysis.symbols.schemas.values())
    readers = {s.name: Reader([_optional(f) for f in fields[s.name]]) for s in schemas}
    seen = dict.fromkeys(fields, 0)
    present = {(event, f.name): 0 for event, known in fields.items() for f in known}
    wrong = dict(present)
    for event, record in _first(history, schemas):
        seen[event] += 1
        values, bad, problems = readers[event].read(record)
        for f in fields[event]:
            present[event, f.name] += values[f.name] is not None
        for name in {p.field for p in (*bad, *problems)}:
            if (event, name) in wrong:
                wrong[event, name] += 1
    return {key: (n, seen[key[0]], wrong[key]) for key, n in present.items()}


def _first(history: History, schemas: list[EventSchema]) -> Iterator[tuple[str, dict[str, object]]]:
    """The first events of the files, each with its record."""
    # Every top-level key that a declared field needs is read, as an extra is.
    heads = {str(f.path[0]): (f.path[0],) for s in schemas for f in s.fields if f.path}
    reading, left = Reading(history.build, heads), LOOKED_AT
    for number in range(len(history.files)):
        opened = _opened(history, number, reading)
        if opened is None:
            return
        with opened.source:
            try:
                for _, payload, wide in opened.records():
                    left -= 1
                    if left < 0:
                        return
                    entry = read_record(payload, history.build.decoder)
                    record = record_of(payload if isinstance(payload, bytes) else wide)
                    if isinstance(entry, Decoded) and isinstance(record, dict):
                        yield entry.event, record
            except SourceError:
                return
