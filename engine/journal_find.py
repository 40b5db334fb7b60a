"""Finding one decision in a journal by its number."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.journal_format import number_of
from quell.engine.journal_read import read
from quell.engine.service_types import Entry, Kind

FAR = 200_000
"""Entries that are looked through for the decision of an event that waited."""
_decisions = msgspec.json.Decoder(Decision)
_acted = msgspec.json.Decoder(Acted)
_refused = msgspec.json.Decoder(Refused)


def find(folder: Path, seq: int) -> Entry | None:
    """The entry with the decision of the event that was admitted with a number, or with the label by hand;
    of one that waited with the event, version and key of its admission. None where there is none, or no
    longer. Takes long for old ones. Raises JournalError."""
    admitted: Entry | None = None
    with closing(read(folder, seq - 1)) as entries:
        for looked, entry in enumerate(entries):
            if looked > FAR or (number_of(entry) > seq and admitted is None):
                break
            if entry.seq != seq or entry.kind in ("version", "filled"):
                continue
            if entry.kind == "admitted":
                admitted = entry
            elif admitted is None:
                return entry
            else:
                return entry._replace(event=admitted.event, version=admitted.version, key=admitted.key)
    return None


class Replied(Protocol):
    """What has a reply as the journal has it: an entry, or what is left of one."""

    @property
    def kind(self) -> Kind:
        """The kind of the entry."""
        ...

    @property
    def reply(self) -> bytes:
        """The reply as JSON."""
        ...


def reply_of(entry: Replied) -> Reply:
    """The reply in an entry that has one. Raises MsgspecError for one that this Quell cannot read."""
    if entry.kind == "acted":
        return _acted.decode(entry.reply)
    try:
        return _decisions.decode(entry.reply)
    except msgspec.ValidationError:  # it was counted, and then deciding it failed inside Quell
        return _refused.decode(entry.reply)
