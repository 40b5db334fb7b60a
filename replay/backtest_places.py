"""Where events stand in the files of a history, as SQL says it for all of them at once."""

from __future__ import annotations

from quell.replay.database import text_literal
from quell.replay.history import History
from quell.replay.history_files import as_text


def places(history: History, table: str) -> str:
    """The place of each row of a table with `file` and `row`, as `History.told` gives it."""
    cases = []
    for file, (shape, more) in enumerate(history.places):
        before, after = (text_literal(part) for part in shape.format("\0").split("\0"))
        cases.append(f"WHEN {file} THEN {before} || ({table}.row + {more}) || {after}")
    return f"CASE {table}.file {' '.join(cases)} END"


def numbers(history: History, table: str) -> str:
    """The number of each row in its file, as its place tells it: a line's, or a row's."""
    more = [f"WHEN {file} THEN {more}" for file, (_, more) in enumerate(history.places)]
    return f"({table}.row + CASE {table}.file {' '.join(more)} END)"


def find(history: History, wanted: str) -> int | None:
    """The first event of a history with this place or id; None where there is none."""
    table, wanted = history.table("all"), as_text(wanted)
    named = [f"{places(history, 'a')} = $1"]
    for file, path in enumerate(history.files):
        for name in dict.fromkeys((path, path.rpartition("/")[2])):
            before = text_literal(as_text(name) + ":")
            named.append(f"a.file = {file} AND {before} || {numbers(history, 'a')} = $1")
    n = history.db.value(f"SELECT min(n) FROM {table} a WHERE {' OR '.join(named)}", wanted)
    if n is None:
        n = history.db.value(f"SELECT min(n) FROM {table} WHERE id = $1", wanted)
    return None if n is None else int(n)
