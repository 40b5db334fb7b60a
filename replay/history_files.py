"""Which files a history is: names, globs, folders and tables of DuckDB files, each found once and in
order."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from quell.engine.journal_format import JournalError, segment_of
from quell.engine.journal_read import journal_in
from quell.engine.source_base import SourceError

_PACKED = (".gz", ".zst")
_EVENTS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_TABLES = (".parquet", ".pq")
DUCKDB = (".duckdb", ".ddb")
"""The endings of DuckDB's own files."""
_MAGIC = re.compile(r"[*?[]")
_WHOLE = re.compile(r"-?[1-9][0-9]{0,17}|0")
_NOTHING = "__HIVE_DEFAULT_PARTITION__"

Hive = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a history. `table` is that of a DuckDB file (empty: its only one), `hive` what the folders
    around the file say: `day=2026-01-01` gives `day`. A `journal` is a folder, and counts as one file."""

    path: str
    table: str = ""
    hive: tuple[tuple[str, str | int | None], ...] = ()
    journal: bool = False

    @property
    def name(self) -> str:
        """The file's name, as places are told."""
        base = Path(self.path).name
        return f"{base}:{self.table}" if self.table else base

    @property
    def is_duckdb(self) -> bool:
        """Whether it is a table of a DuckDB file."""
        return self.path.lower().endswith(DUCKDB)


def find(files: Sequence[str | Path]) -> list[Found]:
    """The files that names, globs and folders stand for: as given, those of one glob or folder by their path.
    A file that is named twice is read once. Raises SourceError for a name that finds nothing."""
    if not files or "" in map(str, files):
        raise SourceError("no history is named", "name a file, a folder or a glob such as `logs/*.parquet`")
    found: dict[tuple[str, str], Found] = {}
    for given in files:
        for one in _one(str(given)):
            found.setdefault((_absolute(one.path), one.table), one)
    return list(found.values())


def as_text(name: str) -> str:
    """A file's name as text: bytes of it that are none, which Python keeps as lone surrogates, spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _absolute(path: str) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError, RuntimeError):  # opening it will say what is wrong
        return path


def _one(given: str) -> Iterator[Found]:
    if given == "-":
        raise SourceError(
            "a history is files, and standard input can be read only once", "write it to a file and name that"
        )
    path, table = _table_of(given)
    if _is(path, "exists") or not _MAGIC.search(path):
        if _is(path, "is_dir"):
            yield from _inside(path)
        elif segment_of(Path(path)) is not None:
            raise SourceError(f"`{_shown(path)}` is a part of a journal", "name the folder that it lies in")
        else:
            yield Found(path, table, _hive(path))
        return
    everything = path.rstrip("/").endswith("**")
    for name in _matches(path):
        if not _is(name, "is_dir"):
            if not everything or _is_events(Path(name), "."):
                yield Found(name, table, _hive(name))
        elif not everything:
            yield from _inside(name)


def _matches(pattern: str) -> list[str]:
    try:
        matched = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - matches as shells do
    except (OSError, ValueError, re.error):
        matched = []
    if not matched:
        folder = _MAGIC.split(pattern)[0].rpartition("/")[0] or "."
        hint = "" if _is(folder, "is_dir") else f"there is no folder `{_shown(folder)}`"
        raise SourceError(
            f"no file matches `{_shown(pattern)}`", hint or "`*` stands within a folder, `**` for any folders"
        )
    return matched


def _table_of(given: str) -> tuple[str, str]:
    """A path, and the table that is named behind a DuckDB file."""
    path, colon, table = given.rpartition(":")
    return (path, table) if colon and table and path.lower().endswith(DUCKDB) else (given, "")


def _inside(folder: str) -> Iterator[Found]:
    """The files of events in a folder and those below, in order of path; or the journal that it holds."""
    with suppress(JournalError):
        yield Found(str(journal_in(folder)), journal=True)
        return
    names = sorted(
        str(p) for p in Path(folder).rglob("*") if _is_events(p, folder) and _is(str(p), "is_file")
    )
    if not names:
        known = " ".join((*_EVENTS, *_TABLES))
        raise SourceError(f"the folder `{_shown(folder)}` holds no file of events", f"they end in {known}")
    for name in names:
        yield Found(name, "", _hive(name))


def _is_events(path: Path, folder: str) -> bool:
    """Whether a path ends as files of events do, and neither it nor a folder around it is hidden."""
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    if any(part.startswith((".", "_")) and part != ".." for part in inside.parts):
        return False
    if segment_of(path) is not None:
        return False
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return name.endswith(_EVENTS) or path.name.lower().endswith((*_TABLES, *DUCKDB))


def _hive(path: str) -> tuple[tuple[str, str | int | None], ...]:
    """What the folders around a file say, `key=value` each. Whole numbers are numbers, as text fields read
    them exactly."""
    found: Hive = {}
    for part in Path(path).parts[:-1]:
        key, equals, value = part.partition("=")
        if key and equals:
            text = as_text(unquote(value))
            plain: str | int = int(text) if _WHOLE.fullmatch(text) else text
            found[as_text(unquote(key))] = None if text in ("", _NOTHING) else plain
    return tuple(found.items())


def _is(path: str, what: str) -> bool:
    """`exists`, `is_dir` or `is_file`, without raising for names that cannot be."""
    try:
        return bool(getattr(Path(path), what)())
    except (OSError, ValueError):
        return False


def _shown(name: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in name[:200])
    return shown + ("…" if len(name) > 200 else "")
