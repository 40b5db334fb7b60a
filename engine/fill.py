"""Counters that a version of the bundle brought, filled from the journal: what they would remember, had they
been there before.

A twin of the engine, by the bundle as it is now, goes through the journal beside one that makes everything
again as it was. The twin counts, and its rules match so that what they fire is counted; labels are what they
really were at each event, and nothing that the twin's rules ask for is carried out. Remote answers are the
recorded ones. Only the counters that were wanted are taken over.

It runs as a process of its own, `python -m quell.engine.fill DATA`, told on standard input and telling on
standard output, a JSON value a line:

    → {"version": 3, "stores": […]}   ← {"ready": 120034}, once it has come so far
    → 121517                          ← {"number": 121517, "filled": {…}}
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from quell.engine.checkpoint import Data, begin, builds_of
from quell.engine.children import lines_from_parent
from quell.engine.compile import Build
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.journal import JournalError, JournalReader, read
from quell.engine.journal_format import number_of
from quell.engine.recorded import recorded
from quell.engine.remake import RemakeError, Remaker, asked_of
from quell.engine.service_types import Entry, Filled
from quell.engine.settle import Hit
from quell.engine.snapshot import SnapshotError, uncollected, write_sections
from quell.engine.stepper import Observer, Stepper
from quell.engine.waiting import Waiting
from quell.signals.state import State

MOST = 2_000_000
"""Entries of the journal that are gone through at most, the newest; what is before is as if it had not
been."""
NEAR = 500
"""Entries that are left when it is said that it has come far enough."""
LONGEST = 60.0
"""Seconds for the last entries to come, once they are known to have been written."""


class Order(msgspec.Struct, frozen=True):
    """What is wanted: counters of a version, by identity."""

    version: int
    stores: tuple[str, ...]


class Ready(msgspec.Struct, frozen=True):
    """How far it has come."""

    ready: int


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is to take over at the moment after a number: nothing, where the journal says nothing more
    than is known."""

    number: int
    filled: Filled | None = None
    problem: str = ""


class _Counting(Stepper):
    """An engine that counts and decides nothing: what its rules ask for is not carried out."""

    def _settle(
        self, decoded: Decoded, hits: list[Hit], seq: int, now: int, observe: Observer | None
    ) -> Decision:
        self.state.memory.late.clear()
        self.state.memory.full.clear()
        return Decision(decoded.event, seq, decoded.at, "")


class Twin:
    """A bundle's counters beside a run that is made again, with its labels and its clock."""

    def __init__(self, bundle: Build, beside: Stepper) -> None:
        state = State(labels=beside.state.labels)
        state.memory.left = bundle.analysis.files.settings.max_keys
        self.stepper = _Counting(bundle, state)
        state.clock.lateness = bundle.analysis.files.settings.lateness
        state.clock.load(beside.state.clock.dump())
        state.memory.horizon = state.clock.horizon
        self._waiting: dict[int, Waiting] = {}

    def take(self, entry: Entry) -> None:
        """Count an entry, before it is made again beside."""
        stepper = self.stepper
        if entry.kind == "decided":
            self._resume(entry)
            return
        if entry.kind not in ("event", "admitted"):
            return
        decoded = stepper.decode(entry.event)
        if not isinstance(decoded, Decoded):  # by this bundle it is no event
            stepper.state.admit(entry.at)
            return
        answer = stepper.admit(decoded)
        if isinstance(answer, Waiting):
            if entry.kind == "admitted":
                self._waiting[entry.seq] = answer
            else:
                self._finish(answer, entry)

    def _resume(self, entry: Entry) -> None:
        answer = self._waiting.pop(entry.seq, None)
        if answer is not None:
            self._finish(answer, entry)

    def _finish(self, answer: Any, entry: Entry) -> None:
        left = list(asked_of(entry.reply))
        while isinstance(answer, Waiting):
            answer = self.stepper.resume(answer, [recorded(r.model, left) for r in answer.requests])

    def dumped(self, wanted: Iterable[str]) -> Iterator[list[Any]]:
        """What the wanted counters remember, as sections of a snapshot."""
        for identity in sorted(wanted):
            store = self.stepper.state.stores[identity]
            yield ["store", identity, [store.name, store.dump()]]


def reach_of(bundle: Build, wanted: Sequence[str]) -> int | None:
    """How far back, in microseconds, events matter for counters; None for ever. What they read of other
    counters is wanted too, and is taken to look back as far as the furthest of all."""
    stores = bundle.analysis.lowerer.stores
    spans = [stores[i].longest for i in wanted if i in stores]
    every = [s.longest for s in stores.values() if s.longest is not None]
    longest = 0
    for span in spans:
        if span is None:
            return None
        longest = max(longest, span)
    return longest + max(every, default=0)


def first_needed(data: Data, reach: int | None) -> int:
    """The number from which on the journal is gone through."""
    numbers, times = array("q"), array("q")
    for entry in read(data.journal):
        numbers.append(number_of(entry))
        times.append(entry.at if entry.kind in ("event", "admitted") else 0)
        if len(numbers) > 2 * MOST:
            del numbers[:MOST], times[:MOST]
    start = max(0, len(numbers) - MOST)
    if reach is not None and times:
        least = max(times) - reach
        while start < len(times) and times[start] < least:
            start += 1
    return numbers[start] if start < len(numbers) else (numbers[-1] + 1 if numbers else 1)


class Filler:
    """Goes through the journal for one order."""

    def __init__(self, data: Data, order: Order) -> None:
        builds = builds_of(data)
        self.data, self.order = data, order
        self.bundle = builds(order.version)
        self.first = first_needed(data, reach_of(self.bundle, order.stores))
        found = begin(data, builds, self.first - 1)
        self.remaker: Remaker = found.remaker
        self.twin: Twin | None = None
        self.reached = found.began
        self._reader = JournalReader(data.journal, found.began)

    def go_on(self, until: int | None = None) -> bool:
        """Take what the journal has, to its end or to a number; gives whether that was reached."""
        for pieces in self._reader.pieces():
            for entry in pieces:
                self._take(entry)
            if until is not None and self.reached >= until:
                return True
        return until is None or self.reached >= until

    def _take(self, entry: Entry) -> None:
        number = number_of(entry)
        if number >= self.first and self.remaker.begun:
            if self.twin is None:
                self.twin = Twin(self.bundle, self.remaker.stepper)
            self.twin.take(entry)
        self.remaker.take(entry)
        self.reached = max(self.reached, number)

    def write(self, number: int) -> Done:
        """Put what the wanted counters remember in a file."""
        if self.twin is None:
            return Done(number)
        self.data.fills.mkdir(exist_ok=True)
        name = f"fill-{number:019d}-v{self.order.version}.quell"
        write_sections(self.data.fills / name, self.twin.dumped(self.order.stores))
        stores = self.twin.stepper.state.stores
        names = tuple(sorted(stores[i].name for i in self.order.stores))
        return Done(number, Filled(names, name, self.first))


def main(arguments: Sequence[str], told: Iterator[bytes], tell: IO[bytes]) -> int:
    """Fill what is ordered by the first line that is `told`, and say what came of it on `tell`."""
    data = Data(Path(arguments[0]))
    try:
        filler = Filler(data, msgspec.json.decode(next(told), type=Order))
        with uncollected():
            before = -NEAR
            while filler.reached - before >= NEAR:
                before = filler.reached
                filler.go_on()
            _say(tell, Ready(filler.reached))
            for line in told:
                _say(tell, _last(filler, msgspec.json.decode(line, type=int)))
    except (RemakeError, JournalError, SnapshotError, OSError, msgspec.MsgspecError, LookupError) as error:
        _say(tell, Done(0, problem=str(error) or type(error).__name__))
    return 0


def _last(filler: Filler, number: int) -> Done:
    until = time.monotonic() + LONGEST
    while not filler.go_on(number):
        if time.monotonic() > until:
            return Done(number, problem="the last entries of the journal did not come")
        time.sleep(0.01)
    return filler.write(number)


def _say(tell: IO[bytes], what: Any) -> None:
    tell.write(msgspec.json.encode(what) + b"\n")
    tell.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lines_from_parent(), sys.stdout.buffer))
