"""Taking a journal out into files that other tools read: entries with decisions, or the bare history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple, Protocol

import msgspec

from quell.engine.decision import Acted
from quell.engine.hand import entry_of
from quell.engine.journal_format import number_of
from quell.engine.journal_packed import PackedWriter
from quell.engine.service_types import Entry
from quell.signals.show import show_time

_GROUP = 8_192
_TIMED = ("event", "admitted", "decided", "acted")
_encode = msgspec.json.Encoder().encode
_acted = msgspec.json.Decoder(Acted)


class Range(NamedTuple):
    """What is taken: entries with numbers from one on and below another, of events with times from one on and
    before another; None for no bound. Entries that have no event, changes of version, have no time."""

    first: int | None = None
    below: int | None = None
    since: int | None = None
    before: int | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether an entry is taken."""
        number = number_of(entry)
        if self.first is not None and number < self.first:
            return False
        if self.below is not None and number >= self.below:
            return False
        if self.since is None and self.before is None:
            return True
        at = entry.at
        if entry.kind not in _TIMED:
            return False
        return (self.since is None or at >= self.since) and (self.before is None or at < self.before)


class Taken:
    """Puts events that waited together with their decisions, and counts. `without` are decisions that are
    left out, since their event stands before what is taken."""

    def __init__(self, within: Range) -> None:
        self.count = 0
        self.without = 0
        self._within = within
        self._waiting: dict[int, Entry] = {}

    def decided(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries, each decision with its event; at the end the events that have none."""
        for entry in entries:
            if not self._within.holds(entry):
                continue
            if entry.kind == "admitted":
                self._waiting[entry.seq] = entry
                continue
            if entry.kind == "decided":
                event = self._waiting.pop(entry.seq, None)
                if event is None:
                    self.without += 1
                    continue
                entry = entry._replace(event=event.event)
            self.count += 1
            yield entry
        for entry in self._waiting.values():
            self.count += 1
            yield entry

    def events(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The events and labels by hand, in the order in which they were admitted."""
        for entry in entries:
            if entry.kind in ("event", "admitted", "acted") and self._within.holds(entry):
                self.count += 1
                yield entry


class EntryWriter(Protocol):
    """Writes entries in order; `close` must be called for the file to be whole."""

    def write(self, entry: Entry) -> None:
        """Write one entry."""
        ...

    def close(self) -> None:
        """Write what is held."""
        ...


class _Lines:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._held: list[bytes] = []

    def write(self, entry: Entry) -> None:
        self._held.append(self.line(entry))
        if len(self._held) >= _GROUP:
            self.close()

    def line(self, entry: Entry) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        if self._held:
            self._stream.write(b"\n".join(self._held) + b"\n")
            self._held.clear()
        self._stream.flush()


class LinesWriter(_Lines):
    """One JSON object a line: what the entry says, with `event` and `reply` as objects in it."""

    def line(self, entry: Entry) -> bytes:
        """An entry as one line."""
        told = {
            "number": number_of(entry),
            "kind": entry.kind,
            "seq": entry.seq,
            "at": show_time(entry.at) if entry.kind in _TIMED else None,
            "wall": show_time(entry.wall),
            "version": entry.version,
            "event": _one_line(entry.event),
            "reply": _one_line(entry.reply),
            "key": entry.key.hex() or None,
        }
        return _encode({name: value for name, value in told.items() if value is not None})


class EventsWriter(_Lines):
    """The events as they came, one a line, and labels by hand among them: a history for `quell replay`."""

    def line(self, entry: Entry) -> bytes:
        """An event as one line."""
        if entry.kind == "acted" and not entry.event:
            return _encode(entry_of(_acted.decode(entry.reply)))
        line = _one_line(entry.event)
        return bytes(line) if line is not None else b"null"


def _one_line(text: bytes) -> msgspec.Raw | None:
    """JSON text without line ends, as it is otherwise."""
    if not text:
        return None
    return msgspec.Raw(msgspec.json.format(text, indent=0) if b"\n" in text or b"\r" in text else text)


class TableWriter:
    """A Parquet file with the columns of a packed segment."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._writer = PackedWriter(stream)
        self._held: list[Entry] = []

    def write(self, entry: Entry) -> None:
        """Write one entry."""
        self._held.append(entry)
        if len(self._held) >= _GROUP:
            self._writer.write(self._held)
            self._held = []

    def close(self) -> None:
        """Write what is held, and end the file."""
        self._writer.write(self._held)
        self._held = []
        self._writer.close()
