"""The explanation of a decision of the past: the journal is made again up to it, from the newest snapshot
before, and its values are looked at where it is made.

`python -m quell.engine.explain_past DATA NUMBER` prints it as JSON, so that a service can have it made by a
process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from quell.engine.checkpoint import Data, begin, builds_of, missing_after
from quell.engine.children import end_with_parent
from quell.engine.decision import Acted, Decision, Refused
from quell.engine.events import Decoded
from quell.engine.explain import Account, Explainer
from quell.engine.explanation import Explanation
from quell.engine.journal import JournalError, read
from quell.engine.journal_format import number_of
from quell.engine.remake import RemakeError, Remaker
from quell.engine.service_types import Entry
from quell.engine.settle import Hit
from quell.engine.snapshot import uncollected


class NotThere(LookupError):
    """There is no such decision, or what came before it is not known any more."""


class NoDecision(NotThere):
    """No event or label by hand has that number."""


def explain_past(data: Data, seq: int) -> Explanation | Acted | Refused:
    """Why the event that was admitted as number `seq` was decided as it was; its warnings say where what was
    remembered then cannot be told for sure. Raises NotThere, RemakeError, and JournalError for a journal that
    cannot be read."""
    found = begin(data, builds_of(data), seq - 1)
    remaker, first, gap = found.remaker, True, ""
    taken: list[Account] = []

    def look(decoded: Decoded, hits: list[Hit]) -> None:
        taken.append(Explainer(remaker.stepper).account(decoded, hits))

    with uncollected(), closing(read(data.journal, found.began)) as entries:
        for entry in entries:
            if first and not found.began and entry.kind != "version":
                raise NotThere("what came before it is not kept any more, so it cannot be made again")
            if first and found.began:
                gap = missing_after(found.began, entry)
            first, differed = False, remaker.differing
            wanted = _is_of(entry, seq)
            reply = remaker.take(entry, look if wanted else None)
            if wanted and isinstance(reply, Decision) and taken:
                explained = taken[0].explanation(reply)
                explained.warnings += _doubts(remaker, gap, remaker.differing > differed)
                return explained
            if wanted and isinstance(reply, Acted | Refused):
                return reply
            if number_of(entry) > seq and seq not in remaker.waiting:
                break
    if seq in remaker.waiting:
        raise NotThere(f"event {seq} still waits for remote answers")
    raise NoDecision(f"the journal does not hold decision {seq:,}")


def _doubts(remaker: Remaker, gap: str, otherwise: bool) -> list[str]:
    """Why an explanation may not be that of the moment: what is missing, and a decision that came out
    `otherwise` than the journal has it."""
    doubts = [*([gap] if gap else []), *remaker.told]
    if otherwise:
        doubts.append("made again, the decision came out otherwise than the journal has it")
    elif remaker.differing:
        doubts.append(f"{remaker.differing:,} decisions before it came out otherwise, made again")
    return doubts


def _is_of(entry: Entry, seq: int) -> bool:
    """Whether an entry is the one in which an event was decided."""
    return entry.seq == seq and entry.kind in ("event", "decided", "acted")


def main(arguments: Iterable[str]) -> int:
    """Print the explanation, or why there is none: as `{"absent": …}` where there is no such decision, else
    as `{"problem": …}`."""
    folder, number = arguments
    try:
        told: object = explain_past(Data(Path(folder)), int(number))
    except NoDecision as error:
        told = {"absent": str(error)}
    except (NotThere, RemakeError, JournalError, OSError) as error:
        told = {"problem": str(error)}
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
