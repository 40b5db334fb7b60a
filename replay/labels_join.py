"""Which events of a history the rows of a file of labels belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from quell.engine.cli_output import count
from quell.engine.compile import Build
from quell.engine.schema import Field
from quell.replay.backtest_places import numbers, places
from quell.replay.backtest_values import text_of
from quell.replay.database import Database, text_literal
from quell.replay.history import History
from quell.replay.history_files import as_text
from quell.replay.labels import LabelsError, Truth, truth_of

if TYPE_CHECKING:
    from quell.replay.labels_file import FileLabels

_ALWAYS = -(2**62)
"""A time before all others."""


def entity_fields(build: Build, kind: str = "") -> Iterator[tuple[str, str, Field]]:
    """The kinds of entity that events name, with the first field of each event type that is one of the kind;
    only one kind's where it is given. In the order of the fields."""
    for event, schema in build.analysis.symbols.schemas.items():
        seen: set[str] = set()
        for of in schema.fields:
            if of.type.kind == "entity" and of.type.name not in seen and kind in ("", of.type.name):
                seen.add(of.type.name)
                yield of.type.name, event, of


def join(history: History, labels: FileLabels, rows: str, later: int) -> Truth:
    """Put the labels that belong to events in a table. `rows` is the table of the file's rows, `later` how
    many were left out since they were found out too late. Raises LabelsError."""
    db = history.db
    if not db.value(f"SELECT count(*) FROM {rows}"):
        raise _empty(labels, later)
    notes = _contrary(db, rows, labels)
    by = {"id": _by_id, "place": _by_place, "entity": _by_entity, "row": _by_row}[labels.shape.by]
    matched = by(history, labels, rows)
    found = truth_of(history, labels.text, _one_each(matched))
    if not found.labelled.positive and not found.labelled.negative:
        raise _unmatched(history, labels, rows)
    found.notes += notes + _left(history, rows, matched, labels, later)
    if not found.labelled.negative:
        found.notes.append("the labels name no negative: precision cannot be told, only what was missed")
    elif not found.labelled.positive:
        found.notes.append("no event of the history has a positive label: only false alarms can be told")
    return found


def _one_each(matched: str) -> str:
    """One label for each event: of the rows that hold then the latest, and of several entities the first."""
    return (
        "SELECT n, arg_min(label, rank) AS label, arg_min(known, rank) AS known FROM ("
        "SELECT n, field, arg_max({l: label, k: known}, since).l AS label, "
        "arg_max({l: label, k: known}, since).k AS known, field AS rank "
        f"FROM ({matched}) GROUP BY n, field) GROUP BY n"
    )


_ROW = f"coalesce(r.since, {_ALWAYS}) AS since, r.label, r.known, r.rowid AS source"


def _by_id(history: History, labels: FileLabels, rows: str) -> str:
    scope = " AND r.kind = a.event" if labels.shape.scope is not None else ""
    return (
        f"SELECT a.n, 0 AS field, {_ROW} FROM {history.table('all')} a JOIN {rows} r "
        f'ON r.key = a.id{scope} WHERE r.since IS NULL OR r.since <= a."at"'
    )


def _by_place(history: History, labels: FileLabels, rows: str) -> str:
    named = [f"{places(history, 'a')} AS place"]
    if history.places:
        paths = ", ".join(text_literal(as_text(path)) for path in history.files)
        names = ", ".join(text_literal(as_text(path.rpartition("/")[2])) for path in history.files)
        number = numbers(history, "a")
        named += [f"[{several}][a.file + 1] || ':' || {number} AS place" for several in (paths, names)]
    forms = " UNION ".join(f'SELECT a.n, a."at", {form} FROM {history.table("all")} a' for form in named)
    return (
        f"SELECT a.n, 0 AS field, {_ROW} FROM ({forms}) a JOIN {rows} r ON r.key = a.place "
        f'WHERE r.since IS NULL OR r.since <= a."at"'
    )


def _by_row(history: History, labels: FileLabels, rows: str) -> str:
    if len(history.files) > 1:
        raise LabelsError(
            f"`{labels.text}` does not say which events it labels, and the history has several files",
            "give it a column `id` or `place`",
        )
    most, last = history.db.value(f"SELECT max(row) FROM {rows}"), _last_row(history)
    if most > last:
        raise LabelsError(
            f"`{labels.text}` has a label for row {most:,}, and the history ends at row {last:,}",
            "each row of the labels belongs to the row of the same number of the history",
        )
    same = f"r.row = {numbers(history, 'a')}"
    return f"SELECT a.n, 0 AS field, {_ROW} FROM {history.table('all')} a JOIN {rows} r ON {same}"


def _by_entity(history: History, labels: FileLabels, rows: str) -> str:
    parts = []
    for rank, (kind, event, of) in enumerate(entity_fields(labels.build, labels.shape.kind)):
        parts.append(
            f"SELECT e.n, {rank} AS field, {_ROW} FROM ({text_of(history, {event: of})}) e "
            f"JOIN {history.table('all')} a USING (n) JOIN {rows} r ON r.key = e.value "
            f'AND r.kind = {text_literal(kind)} WHERE r.since IS NULL OR r.since <= a."at"'
        )
    if not parts:
        raise LabelsError("no event names an entity, so labels of entities belong to none")
    return " UNION ALL ".join(parts)


def _last_row(history: History) -> int:
    """The number of the last record of a history of one file."""
    tables = ("all", "hands", "refused")
    rows = " UNION ALL ".join(
        f"SELECT {numbers(history, 't')} AS row FROM {history.table(t)} t" for t in tables
    )
    return max(history.records, history.db.value(f"SELECT max(row) FROM ({rows})") or 0)


# --------------------------------------------------------------------------------- what to say of it


def _contrary(db: Database, rows: str, labels: FileLabels) -> list[str]:
    """Take out what is said to be both; gives a sentence about it."""
    group = "kind, key, since" if labels.shape.by in ("id", "entity") else "kind, key, row"
    found = db.rows(
        f"SELECT coalesce(key, 'row ' || any_value(row)) AS k, max(rowid) FROM {rows} GROUP BY {group} "
        f"HAVING bool_or(label) AND NOT bool_and(label) ORDER BY k"
    )
    if not found:
        return []
    db.con.execute(
        f"DELETE FROM {rows} WHERE rowid IN (SELECT unnest(ids) FROM (SELECT list(rowid) AS ids FROM {rows} "
        f"GROUP BY {group} HAVING bool_or(label) AND NOT bool_and(label)))"
    )
    shown = ", ".join(f"`{key}`" for key, _ in found[:3])
    told = f"{count(len(found), 'key')} of the labels, such as {shown}"
    return [f"{told}, {'is' if len(found) == 1 else 'are'} both positive and negative, and left out"]


def _left(history: History, rows: str, matched: str, labels: FileLabels, later: int) -> list[str]:
    """What to say of labels that belong to no event, and of events that a file of labels ends before."""
    out, db, by_row = [], history.db, labels.shape.by == "row"
    refused = f"SELECT {numbers(history, 't')} FROM {history.table('refused')} t" if by_row else "SELECT NULL"
    total, unused, of_refused = db.rows(
        f"SELECT count(*), count(*) FILTER (NOT used), count(*) FILTER (NOT used AND gone) FROM (SELECT "
        f"rowid IN (SELECT source FROM ({matched})) AS used, "
        f"coalesce({'row' if by_row else 'NULL'} IN ({refused}), false) AS gone FROM {rows})"
    )[0]
    of = f" of {count(total, 'label')}"
    if of_refused:
        out.append(f"{of_refused:,}{of} belong to records that were refused")
    if unused > of_refused:
        left = " that --limit leaves" if history.limited else ""
        out.append(f"{unused - of_refused:,}{of} belong to no event of the history{left}")
    if by_row and labels.last < (last := _last_row(history)):
        out.append(
            f"the labels end at row {labels.last:,} and the history at row {last:,}: they were taken for its "
            f"first {count(labels.last, 'record')}, which is wrong if they are of another history"
        )
    if later:
        out.append(f"{count(later, 'label')} became known later than --known-by, and are left out")
    return out


def _empty(labels: FileLabels, later: int) -> LabelsError:
    if later:
        return LabelsError(f"no label of `{labels.text}` was known by then", "choose a later --known-by")
    return LabelsError(f"`{labels.text}` labels nothing: every row lacks a label or what it belongs to")


def _unmatched(history: History, labels: FileLabels, rows: str) -> LabelsError:
    db, shape = history.db, labels.shape
    total = db.value(f"SELECT count(*) FROM {rows}")
    if not total:
        return LabelsError(f"every label in `{labels.text}` is contradicted by another")
    which = "the only label" if total == 1 else f"none of the {total:,} labels"
    told = f"{which} in `{labels.text}` belongs to {'no' if total == 1 else 'an'} event of the history"
    key = db.value(f"SELECT min(key) FROM {rows}")
    if shape.by == "id":
        theirs = db.value(f"SELECT min(id) FROM {history.table('all')}")
        have = (
            f"an event's id is such as `{theirs}`" if theirs else "no event of the policies has a field `id`"
        )
        return LabelsError(told, f"a label is for the id `{key}`, and {have}")
    if shape.by == "place":
        mine = history.place(db.value(f"SELECT min(n) FROM {history.table('all')}"))
        return LabelsError(told, f"a label is for `{key}`, and a place of the history is such as `{mine}`")
    if shape.by == "entity":
        return LabelsError(told, f"a label is for the entity `{key}`, which no event names")
    return LabelsError(told)
