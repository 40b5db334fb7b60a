"""Texts of a table that are looked at while a history is decided, and not before.

Reading the texts of a large file takes longer than all else that makes sure of it, and deciding reads them
anyway. So where a file holds one event type in order and nothing of it is odd, but that its texts may be too
long or no UTF-8, `ingest` can leave those to whoever decides (`History.unread`). If one is odd, the
history is read again with the decoder's help, and decided anew.
"""

from __future__ import annotations

from dataclasses import fields

from quell.replay.database import Database, quoted, text_literal
from quell.replay.history import History
from quell.replay.history_ingest import check_usable


class OddText(Exception):
    """A text that only the decoder can judge."""


def odd_text(history: History) -> str:
    """The condition under which a row of the only event type has a text that is too long. Asking it of a row
    reads the texts of all rows around it, which fails where one is not UTF-8."""
    most = history.build.decoder.max_bytes
    return " OR ".join(f"octet_length(encode({c})) > {most}" for c in history.unread) or "FALSE"


def look(history: History) -> None:
    """Look at the texts that nobody looked at. Raises OddText, or DuckDB's error for one that is not
    UTF-8."""
    if history.unread:
        event = next(iter(history.build.analysis.symbols.schemas))
        if history.db.run(f"SELECT count(*) FILTER ({odd_text(history)}) FROM {history.of(event)}")[0][0]:
            raise OddText
        history.unread = []


def read_again(history: History, outcome: str) -> None:
    """Read the history anew, every text at once, and drop what an outcome of that name has so far. Raises
    SourceError for a history without an event."""
    assert history.again is not None
    _forget(history.db, history.schema, outcome)
    fresh = history.again()
    for f in fields(History):
        setattr(history, f.name, getattr(fresh, f.name))
    check_usable(history)


def _forget(db: Database, history: str, outcome: str) -> None:
    for schema in (history, outcome, f"{outcome}_rows"):
        db.con.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")
    prefix = text_literal(f"{outcome}_")
    counters = db.rows(f"SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, {prefix})")
    for (name,) in counters:
        db.con.execute(f"DROP TABLE {quoted(name)}")
