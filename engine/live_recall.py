"""What the journal remembers for the live page: the newest answers, and counts over time.

`python -m quell.engine.live_recall DATA NUMBER NOW VERDICTS` reads the journal's newest segments up to a
number and prints what they say as MessagePack, so that a service which begins again has it read by a process
of its own, and answers meanwhile. Damaged places are passed over. `VERDICTS` are those whose gravity is
known, as a JSON list.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from quell.engine.bundle import read_bundle
from quell.engine.checkpoint import Data
from quell.engine.children import end_with_parent
from quell.engine.compile import ParseCache
from quell.engine.journal import read
from quell.engine.journal_chain import Chain
from quell.engine.journal_find import reply_of
from quell.engine.journal_format import Damage, JournalError, Segment, number_of
from quell.engine.live_counts import MINUTES, Counted
from quell.engine.live_rules import rungs
from quell.engine.live_tally import Tally
from quell.engine.live_types import Rung
from quell.engine.reload_freeze import BUNDLE
from quell.engine.resolve import resolve
from quell.engine.service_types import Entry, Kind, Note
from quell.engine.versions import BUNDLES, read_versions
from quell.grammar.diagnostics import Report

KEPT = 5_000
"""Answers that are told one by one, at most."""
KEPT_BYTES = 64 << 20
"""Bytes that events and replies of these may have in all."""
MOST_ENTRIES = 1_000_000
"""Entries in the segments before the newest that are read, at most."""
MOST_BYTES = 1 << 30
"""Bytes of all segments that are read, at most."""
MOST_WAITING = 20_000
"""Events that are remembered until their decisions come."""
MOST_WAITING_BYTES = 256 << 20
"""Bytes that these may have in all: the decisions of some may be lost."""
MOST_VERSIONS = 8
"""Versions of the bundle that are asked how grave a verdict is."""
_DAY = MINUTES * 60_000_000
"""Microseconds that counts reach back."""


class Answered(NamedTuple):
    """An answer in the journal: what it is, the version that decided, the server's clock, event and reply as
    JSON."""

    kind: Kind
    version: int
    wall: int
    event: bytes
    reply: bytes


def note_of(answered: Answered) -> Note | None:
    """An answer of the journal; None where it is none that this Quell can read. How long it took is not
    written there."""
    try:
        reply = reply_of(answered)
    except msgspec.MsgspecError:
        return None
    return Note(answered.wall, 0.0, answered.version, answered.event, reply)


class Recalled(msgspec.Struct, array_like=True):
    """What a journal remembers.

    `first` is the server's clock at the first entry that was read, in microseconds since 1970, 0 where there
    is none; `entries` how many were. `tables` are the counts, in the order of `Tally.tables`; `answers` the
    newest, the oldest first. `levels` says how grave verdicts are that only earlier versions of the bundle
    know. `problem` says what was passed over, or why no more was read.
    """

    first: int = 0
    entries: int = 0
    tables: list[dict[str, Counted]] = []
    answers: list[Answered] = []
    levels: list[Rung] = []
    problem: str = ""


class _Rule(msgspec.Struct, gc=False):
    rule: str


class _Said(msgspec.Struct, gc=False):
    """What is counted of a reply. A decision has no `kind`, and a refusal has one."""

    event: str = ""
    verdict: str = ""
    fired: tuple[_Rule, ...] = ()
    shadow: tuple[_Rule, ...] = ()
    held: tuple[_Rule, ...] = ()
    kind: str = ""


_said = msgspec.json.Decoder(_Said)


# ----------------------------------------------------------------------------------------- where to begin


def begin_after(folder: Path, upto: int, now: int) -> int:
    """The number after which reading begins, so that it goes back a day, has as many answers as are kept, and
    stays within the bounds. Raises JournalError, also where the newest segment alone is beyond them."""
    chain = Chain(folder)
    segments = chain.beyond(0)
    if not segments:
        return 0
    begin, left = len(segments) - 1, MOST_BYTES - _size(segments[-1])
    if left < 0:
        told = f"the journal's newest segment is larger than the {MOST_BYTES:,} bytes that are read for it"
        raise JournalError(told)
    while begin:
        at, before = chain.head(segments[begin]), segments[begin - 1]
        left -= _size(before)
        if left < 0 or segments[-1].first - before.first > MOST_ENTRIES:
            break
        if at is not None and at.began < now - _DAY and upto - at.first >= KEPT:
            break
        begin -= 1
    # A reader begins in the last segment whose first number is not greater: the first entry of a later one is
    # the price of not going through the one before it.
    return segments[begin].first - (begin == 0)


def _size(segment: Segment) -> int:
    try:
        return segment.path.stat().st_size
    except OSError:  # packed in this moment, or dropped for its age
        return 0


# ------------------------------------------------------------------------------------------------- reading


class _Reading:
    """Takes entries one after another."""

    def __init__(self, now: int, known: frozenset[str]) -> None:
        self.now, self.known = now, known
        self.tally = Tally()
        self.first = self.entries = self.unread = 0
        self.versions: dict[str, int] = {}
        self._waiting: dict[int, bytes] = {}
        self._newest: deque[Answered] = deque()
        self._bytes = self._waiting_bytes = 0
        self._second = 0  # the one that `_decided` are of
        self._decided: list[_Said] = []

    def take(self, entry: Entry) -> None:
        kind = entry.kind
        if kind == "admitted":
            self._wait(entry)
            return
        if kind in ("version", "filled"):
            return
        event = self._waited(entry.seq) if kind == "decided" else entry.event
        self.first = self.first or entry.wall
        self.entries += 1
        if entry.wall <= self.now:  # else the clock was set back since: it stands at a time yet to come
            self._count(entry)
        if event:
            self._keep(Answered(kind, entry.version, entry.wall, event, entry.reply))

    def _wait(self, entry: Entry) -> None:
        waiting = self._waiting
        waiting[entry.seq] = entry.event
        self._waiting_bytes += len(entry.event)
        while len(waiting) > MOST_WAITING or (self._waiting_bytes > MOST_WAITING_BYTES and len(waiting) > 1):
            self._waited(next(iter(waiting)))

    def _waited(self, seq: int) -> bytes:
        """The event of a number, which waits no longer; empty where it is not remembered."""
        event = self._waiting.pop(seq, b"")
        self._waiting_bytes -= len(event)
        return event

    def _keep(self, answered: Answered) -> None:
        newest = self._newest
        newest.append(answered)
        self._bytes += len(answered.event) + len(answered.reply)
        while len(newest) > KEPT or (self._bytes > KEPT_BYTES and len(newest) > 1):
            gone = newest.popleft()
            self._bytes -= len(gone.event) + len(gone.reply)

    def _count(self, entry: Entry) -> None:
        second = entry.wall // 1_000_000
        if second != self._second:
            self.settle()
            self._second = second
        if entry.kind == "acted":
            self.tally.otherwise(second, 1, {})
            return
        try:
            said = _said.decode(entry.reply)
        except msgspec.MsgspecError:
            self.unread += 1
            return
        if said.kind:
            self.tally.otherwise(second, 0, {said.kind: 1})
        else:
            self._decided.append(said)
            if said.verdict not in self.known:
                self.versions[said.verdict] = entry.version

    def settle(self) -> None:
        """Count what was decided in a second."""
        if self._decided:
            self.tally.decided(self._second, self._decided)
            self._decided = []

    def answers(self) -> list[Answered]:
        """The newest answers, the oldest first."""
        return list(self._newest)


def recall(data: Data, upto: int, now: int, known: Iterable[str] = ()) -> Recalled:
    """What the journal in a data folder remembers up to a number, as of `now` (microseconds since 1970).
    `known` are the verdicts whose gravity nobody asks for. Never raises for what is wrong with a journal."""
    reading, damages = _Reading(now, frozenset(known)), list[Damage]()
    problem = ""
    try:
        after = begin_after(data.journal, upto, now)
        with closing(read(data.journal, after, tell=damages.append)) as entries:
            for entry in entries:
                if number_of(entry) > upto:
                    break
                reading.take(entry)
    except (JournalError, OSError) as error:
        problem = str(error)
    reading.settle()
    told = [str(damage) for damage in damages[:1]]
    if len(damages) > 1:
        told.append(f"{len(damages) - 1:,} more damaged places")
    if reading.unread:
        told.append(f"{reading.unread:,} answers cannot be read")
    return Recalled(
        reading.first,
        reading.entries,
        reading.tally.told(),
        reading.answers(),
        levels_of(data, reading.versions),
        "; ".join([problem] * bool(problem) + told),
    )


def levels_of(data: Data, versions: Mapping[str, int]) -> list[Rung]:
    """How grave verdicts were in versions of the bundle, by the verdict; without those that nobody knows any
    more."""
    found: dict[str, Rung] = {}
    for number in sorted(set(versions.values()), reverse=True)[:MOST_VERSIONS]:
        for rung in _ladder(data, number):
            if rung.verdict in versions:
                found.setdefault(rung.verdict, rung)
    return list(found.values())


def _ladder(data: Data, number: int) -> list[Rung]:
    """The verdicts of a version of the bundle as it was kept; none where it is gone."""
    report = Report()
    try:
        kept = read_versions(data.versions)[0][number]
    except (LookupError, OSError):
        return []
    files = read_bundle(data.versions / BUNDLES / kept.content / BUNDLE, report)
    symbols = resolve(ParseCache().parse(files, report), report)
    return rungs(list(symbols.ladders.values()))


def main(arguments: Iterable[str]) -> int:
    """Print what is remembered."""
    folder, upto, now, known = arguments
    verdicts = msgspec.json.decode(known, type=list[str])
    told = recall(Data(Path(folder)), int(upto), int(now), verdicts)
    sys.stdout.buffer.write(msgspec.msgpack.encode(told))
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
