"""The DuckDB database that one replay works in: a file in a folder of its own, gone when it is closed."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import duckdb

from quell.engine.interrupts import undisturbed

_SETTINGS = {
    "TimeZone": "UTC",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "preserve_insertion_order": True,
    "fsync_mode": "NONE",  # a crash of the machine can spoil nothing: the file is gone then
    "enable_progress_bar": True,
    "enable_progress_bar_print": False,
}
"""Nothing of the machine's own, and nothing fetched over a network."""


class Database:
    """A connection to a database that nobody else sees. `memory` is what DuckDB may take, such as `2GB`
    (None: its own default, four fifths of the machine's); what does not fit is spilled beside the database.

    Use it as a context: leaving it, by whatever way, removes the folder. `journals` says up to which number a
    journal was read, which may grow: whoever reads it again for the same replay reads no further.
    """

    def __init__(self, memory: str | None = None, threads: int | None = None) -> None:
        self.folder = tempfile.mkdtemp(prefix="quell-replay-")
        self.journals: dict[str, int] = {}
        # Should an interrupt keep it from being closed, it is gone when the process ends.
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.con = duckdb.connect(f"{self.folder}/quell-replay.duckdb")
            for name, value in _SETTINGS.items():
                self.con.execute(f"SET {name} = {_literal(value)}")
            self.con.execute(f"SET temp_directory = {_literal(self.folder + '/spill')}")
            if memory is not None:
                self.con.execute(f"SET memory_limit = {_literal(memory)}")
            if threads is not None:
                self.con.execute(f"SET threads = {threads}")
        except BaseException:
            self._remove()
            raise

    def close(self) -> None:
        """Close the connection and remove the folder."""
        with undisturbed():
            try:
                self.con.close()
            finally:
                self._remove()

    def run(self, query: str, tell: Callable[[float], None] = lambda share: None) -> list[tuple[Any, ...]]:
        """All rows of a query that may take long: an interrupt stops it at once, and `tell` hears its share.

        DuckDB looks for an interrupt only now and then when it is called from the thread that gets it.
        """
        ended, rows, failed = threading.Event(), list[tuple[Any, ...]](), list[BaseException]()

        def work() -> None:
            try:
                rows.extend(self.con.execute(query).fetchall())
            except BaseException as error:  # it is raised where it is awaited
                failed.append(error)
            finally:
                ended.set()

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            while not ended.wait(0.1):
                tell(max(0.0, self.con.query_progress()) / 100)
        except BaseException:
            with undisturbed():
                self.con.interrupt()
                worker.join()
            raise
        if failed:
            raise failed[0]
        return rows

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.con.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """The first column of a query's only row."""
        rows = self.rows(query, *values)  # all of them: an unfinished result blocks the connection
        return rows[0][0] if rows else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def unordered(db: Database) -> Iterator[None]:
    """Within it rows that a query keeps of others come in any order: then DuckDB packs them together before
    it works on, which for a few of many rows takes a quarter of the time less."""
    db.con.execute("SET preserve_insertion_order = false")
    try:
        yield
    finally:
        db.con.execute("SET preserve_insertion_order = true")


def among(ns: Iterable[int]) -> str:
    """The condition that a row's `n` is one of some."""
    return f"n IN ({', '.join(str(int(n)) for n in sorted(set(ns))) or 'NULL'})"


def quoted(name: str) -> str:
    """A name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    return text_literal(str(value))


def text_literal(text: str) -> str:
    """A text as SQL spells it."""
    if "\0" in text:
        return "(" + " || chr(0) || ".join(text_literal(part) for part in text.split("\0")) + ")"
    return "'" + text.replace("'", "''") + "'"
