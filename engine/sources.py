"""Where events come from: JSON lines, Parquet and CSV, from files or standard input, and journals.

`open_source` finds out what a file is and gives a `Source`: an iterator over numbered records that holds
little in memory, however long the file. A record that cannot be read comes out as a `Refusal`, and the
next one follows; only what makes the rest unreadable (no such file, a truncated one) is a `SourceError`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from quell.engine.event_problems import Refusal
from quell.engine.events import MAX_BYTES, Decoded, Decoder
from quell.engine.hand import HandAction
from quell.engine.source_base import Payload, Source, SourceError
from quell.engine.source_lines import JsonLines, open_json
from quell.engine.source_parquet import Parquet
from quell.engine.source_streams import Opened, is_file, not_text, unpack
from quell.engine.source_tables import Csv

__all__ = [
    "Format", "Payload", "Source", "SourceError", "cannot_open", "decoded", "open_source", "read",
    "read_record",
]  # fmt: skip

Format = Literal["json lines", "json", "csv", "tsv", "parquet"]

_ENDINGS: dict[str, Format] = {
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED = (".gz", ".zst")


def open_source(
    path: str | Path,
    *,
    format: Format | None = None,
    columns: Collection[str] | None = None,
    max_bytes: int = MAX_BYTES,
    journals: bool = False,
) -> Source:
    """Open a file of events, or standard input for ``-`` (JSON lines unless `format` says otherwise).

    The format follows from the file's ending: .jsonl .ndjson .json .csv .tsv, each also packed as .gz
    or .zst, and .parquet. `columns` are the outermost keys worth reading (`Decoder.columns`); tables
    skip the others. A line or row longer than `max_bytes` is refused. With `journals` a journal's folder, or
    the data folder above it, can be opened too. Raises SourceError.
    """
    if str(path) == "-":
        opened = unpack(sys.stdin.buffer, "standard input", owned=False)
        return _open(opened, format or "json lines", columns, max_bytes)
    file = Path(path)
    if journals and file.is_dir():
        return _journal(file, format)
    kind = format or _format_of(file)
    try:
        stream = file.open("rb")
    except (OSError, ValueError) as error:
        raise cannot_open(file, error) from error
    try:
        if kind == "parquet":
            return Parquet(stream, file.name, columns, max_bytes)
        return _open(unpack(stream, file.name, owned=True), kind, columns, max_bytes)
    except BaseException:
        stream.close()
        raise


def read(path: str | Path, decoder: Decoder | None = None, **how: Any) -> Iterator[tuple[str, Payload]]:
    """The records of a file with the place of each (``events.jsonl:12``), read for `decoder` where one
    is given: then only the columns it looks at. `how` is as for `open_source`. Raises SourceError."""
    if decoder is not None:
        how = {"columns": decoder.columns(), "max_bytes": decoder.max_bytes, **how}
    with open_source(path, **how) as source:
        for number, payload in source:
            yield source.place(number), payload


def decoded(source: Source, decoder: Decoder) -> Iterator[tuple[int, Decoded | HandAction | Refusal]]:
    """Every record of `source` as `decoder` reads it, with its number. Raises SourceError."""
    for number, payload in source:
        yield number, read_record(payload, decoder)


def read_record(payload: Payload, decoder: Decoder) -> Decoded | HandAction | Refusal:
    """One record as `decoder` reads it."""
    if isinstance(payload, Refusal | HandAction):
        return payload
    made = decoder.decode(payload) if isinstance(payload, bytes) else decoder.convert(payload)
    return decoder.by_hand(made, payload) if isinstance(made, Refusal) else made


def _open(opened: Opened, kind: Format, columns: Collection[str] | None, max_bytes: int) -> Source:
    if kind == "parquet":
        raise SourceError(f"Parquet cannot be read from {opened.name}", "name a file, or send JSON lines")
    if (wrong := not_text(opened)) is not None:
        raise wrong
    if kind in ("csv", "tsv"):
        return Csv(opened, columns, "\t" if kind == "tsv" else ",", max_bytes)
    return open_json(opened, max_bytes) if kind == "json" else JsonLines(opened, max_bytes)


def _journal(folder: Path, format: Format | None) -> Source:
    from quell.engine.journal_format import JournalError
    from quell.engine.journal_read import journal_in
    from quell.engine.source_journal import JournalEvents

    try:
        place = journal_in(folder)
    except JournalError as error:
        raise cannot_open(folder, error) from error
    if format is not None:
        raise SourceError(f"`{place}` is a journal, which is in no other format", "leave --format out")
    return JournalEvents(str(place))


def _format_of(file: Path) -> Format:
    endings = [e.lower() for e in file.suffixes]
    if endings and endings[-1] in _PACKED:
        endings.pop()
    kind = _ENDINGS.get(endings[-1]) if endings else None
    if kind is not None:
        return kind
    if not is_file(file):
        raise cannot_open(file, OSError())
    known = " ".join(_ENDINGS)
    raise SourceError(
        f"`{file.name}` does not say what it holds",
        f"name it with one of {known}, or say its format with --format",
    )


def cannot_open(file: Path, error: Exception) -> SourceError:
    """Why a file cannot be opened, with what was perhaps meant."""
    from quell.engine.journal_format import JournalError
    from quell.engine.journal_read import journal_in

    shown = "".join(c if c.isprintable() else "?" for c in str(file)[:200])
    shown += "…" if len(str(file)) > 200 else ""
    try:
        if file.is_dir():
            with suppress(JournalError):
                return SourceError(
                    f"`{shown}` holds a journal: {journal_in(file)}",
                    "make a file of its events with `quell journal export --events-only`",
                )
            inside = sorted(p.name for p in file.iterdir() if is_file(p) and p.suffix.lower() in _ENDINGS)
            hint = f"name a file in it, such as `{file / inside[0]}`" if inside else "name a file of events"
            return SourceError(f"`{shown}` is a folder", hint)
        if not file.exists():
            near = _near(file)
            return SourceError(f"there is no file `{shown}`", f"did you mean `{near}`?" if near else "")
    except (OSError, ValueError):
        pass  # the name itself cannot be asked about: what opening said is all there is
    reason = getattr(error, "strerror", None) or str(error) or "it is no plain file"
    return SourceError(f"`{shown}` cannot be read: {reason.lower()}")


def _near(file: Path) -> str:
    """A file beside the missing one whose name is almost the same, or empty."""
    try:
        names = sorted(p.name for p in file.parent.iterdir())[:2000]
    except OSError:
        return ""
    close = difflib.get_close_matches(file.name[:200], names, n=1, cutoff=0.75)
    return str(file.with_name(close[0])) if close else ""
