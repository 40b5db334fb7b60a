"""Entries for the tests of the journal."""

from __future__ import annotations

from hypothesis import strategies as st

from quell.engine.journal import Journal
from quell.engine.journal_format import KEY_SIZE, KINDS
from quell.engine.service_types import Entry

WALL = 1_700_000_000_000_000


def event(number: int, size: int = 40) -> Entry:
    """An event that was decided at once."""
    body = b'{"n":%d,"pad":"%s"}' % (number, b"x" * size)
    reply = b'{"event":"message","seq":%d,"at":1,"verdict":"allow","fired":[{"rule":"r%d"}]}' % (
        number,
        number,
    )
    return Entry("event", number, number, WALL + number, 1, WALL + number, body, reply)


def events(first: int, last: int, size: int = 40) -> list[Entry]:
    """Events with numbers from first to last."""
    return [event(number, size) for number in range(first, last + 1)]


def put(journal: Journal, *entries: Entry) -> bool:
    """Append entries and flush once."""
    for entry in entries:
        journal.append(*entry)
    return journal.flush()


@st.composite
def histories(draw: st.DrawFn, most: int = 12) -> list[Entry]:
    """Entries of every kind with numbers that never decrease."""
    number, entries = 1, []
    for _ in range(draw(st.integers(0, most))):
        kind = draw(st.sampled_from(sorted(KINDS.values())))
        number += draw(st.integers(0, 2))
        seq = number if kind != "decided" else draw(st.integers(0, number))
        decided = 0 if kind in ("admitted", "version") else number
        event, reply = draw(st.binary(max_size=60)), draw(st.binary(max_size=60))
        at = draw(st.integers(-(2**62), 2**62))
        key = draw(st.sampled_from([b"", b"", bytes(16)]) | st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE))
        version = draw(st.integers(0, 2**32 - 1))
        entries.append(Entry(kind, seq, decided, at, version, WALL, event, reply, key))
    return entries
