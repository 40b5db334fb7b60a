"""What a journal says, made again: the same events, labels by hand and changes of the bundle, in the order in
which they took effect, give the same decisions and the same memory.

    remaker = Remaker(builds)
    for entry in read(journal): remaker.take(entry)
    remaker.stepper  # remembers what the engine that wrote the journal remembered
    remaker.different  # the decisions that came out otherwise: none, or something is wrong

`builds` gives the bundle of a version's number. Remote models are not asked: their answers are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from quell.engine.carry import Section, carry
from quell.engine.compile import Build
from quell.engine.decision import Acted, Asked, Decision, Refused, Reply
from quell.engine.events import Decoded
from quell.engine.hand import HandAction, made, time_of
from quell.engine.idempotency import Known
from quell.engine.journal_format import number_of
from quell.engine.recorded import recorded
from quell.engine.service_types import Entry, Filled
from quell.engine.snapshot import SnapshotError, read_sections
from quell.engine.stepper import Observer, Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer

Builds = Callable[[int], Build]
"""Gives the bundle of a version."""
MOST_DIFFERENT = 100
"""Differing decisions that are named."""
ENDED = Answer("failed", None, "the service ended while it was asked")

NO_SECTIONS = (ValueError, TypeError, LookupError)

_encode = msgspec.json.Encoder().encode
_decisions = msgspec.json.Decoder(Decision)
_acted = msgspec.json.Decoder(Acted)
_filled = msgspec.json.Decoder(Filled)


class RemakeError(Exception):
    """A journal that cannot be made again, in one line; `hint` is what to try, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Remaker:
    """Makes the entries of a journal again, from the beginning or from a stepper that remembers all up to its
    number `seq`, which bundle `number` then decides. `fills` is where it stands what counters were filled
    with; `told` says what of it is not there any more. `known` gathers the keys of events."""

    def __init__(
        self,
        builds: Builds,
        stepper: Stepper | None = None,
        number: int = 0,
        fills: Path | None = None,
        known: Known | None = None,
    ) -> None:
        self.builds = builds
        self.fills = fills
        self.known = known
        self.told: list[str] = []
        self.number = number
        self.waiting: dict[int, Waiting] = {}
        self.made = 0
        self.differing = 0
        self.different: list[int] = []
        self._stepper = stepper

    @property
    def stepper(self) -> Stepper:
        """The stepper as it is now. Raises RemakeError before the first entry."""
        if self._stepper is None:
            raise RemakeError("the journal does not say which version of the bundle decided its first event")
        return self._stepper

    @property
    def begun(self) -> bool:
        """Whether there is anything to remember yet."""
        return self._stepper is not None

    def take(self, entry: Entry, observe: Observer | None = None) -> Reply | None:
        """Make an entry again; gives the reply, where it has one. `observe` is told as by
        `Stepper.decide_decoded`. Raises RemakeError for an entry that cannot follow."""
        if entry.kind == "version":
            self._change(entry)
            return None
        if entry.kind == "filled":
            self._fill(entry)
            return None
        if entry.key and self.known is not None:
            self.known.put(entry.key, entry.seq, entry.wall)
        if entry.version != self.number and entry.kind != "decided":
            raise RemakeError(f"entry {entry.seq} is of version {entry.version}, but {self.number} decides")
        if entry.kind == "admitted":
            self._wait(entry, self._admit(entry, observe))
            return None
        reply = self._reply(entry, observe)
        self.made += 1
        if _encode(reply) != entry.reply:
            self.differing += 1
            if len(self.different) < MOST_DIFFERENT:
                self.different.append(entry.decided)
        return reply

    def take_all(self, entries: Iterable[Entry]) -> None:
        """Make entries again in order."""
        for entry in entries:
            self.take(entry)

    def _change(self, entry: Entry) -> None:
        """Another version decides from here on; the first one begins with nothing."""
        if entry.version == self.number:  # the last thing that a snapshot remembers
            return
        bundle = self.builds(entry.version)
        self._stepper = Stepper(bundle) if self._stepper is None else carry(self._stepper, bundle)[0]
        self._stepper.seq = entry.seq
        self.number = entry.version

    def _fill(self, entry: Entry) -> None:
        """Let counters remember what they were filled with then."""
        filled = _filled.decode(entry.reply)
        try:
            if self.fills is None:
                raise SnapshotError("it is not known where that is kept")
            fill(self.stepper, read_sections(self.fills / filled.file))
        except (SnapshotError, *NO_SECTIONS) as error:
            self.told.append(f"counters that were filled as number {entry.seq} begin cold: {error}")
        self.stepper.seq = entry.seq

    def _reply(self, entry: Entry, observe: Observer | None) -> Reply:
        if entry.kind == "acted":
            self.stepper.seq = entry.seq - 1
            return self.stepper.act(action_of(_acted.decode(entry.reply)))
        if entry.kind == "decided":
            return self._resume(entry, observe)
        return self._at_once(entry, self._admit(entry, observe), observe)

    def _wait(self, entry: Entry, answer: Reply | Waiting) -> None:
        """An event waited; see that it does."""
        if not isinstance(answer, Waiting):
            raise RemakeError(f"event {entry.seq} waited for remote answers and now does not")
        self.waiting[entry.seq] = answer

    def _at_once(self, entry: Entry, answer: Reply | Waiting, observe: Observer | None) -> Reply:
        """An event was decided at once; see that it is."""
        if isinstance(answer, Waiting):
            raise RemakeError(f"event {entry.seq} was decided at once and now waits for remote answers")
        return answer

    def _admit(self, entry: Entry, observe: Observer | None) -> Reply | Waiting:
        stepper = self.stepper
        stepper.seq = entry.seq - 1
        decoded = stepper.decode(entry.event)
        if not isinstance(decoded, Decoded):
            raise RemakeError(f"event {entry.seq} was decided, and now it is refused")
        return stepper.admit(decoded, observe)

    def _resume(self, entry: Entry, observe: Observer | None) -> Reply:
        answer: Reply | Waiting | None = self.waiting.pop(entry.seq, None)
        if answer is None:
            raise RemakeError(f"there is a decision for event {entry.seq}, which is not there")
        left = list(asked_of(entry.reply))
        stepper = self.stepper
        stepper.seq = entry.decided if entry.decided == entry.seq else entry.decided - 1
        while isinstance(answer, Waiting):
            answer = stepper.resume(answer, [recorded(r.model, left) for r in answer.requests], observe)
        return answer

    def finish(self) -> list[tuple[Waiting, Decision | Refused]]:
        """Decide what still waits, without the answers, since who asked for them is gone; gives what waited
        with its decision, in order."""
        out: list[tuple[Waiting, Decision | Refused]] = []
        for seq in sorted(self.waiting):
            answer: Decision | Refused | Waiting = self.waiting[seq]
            while isinstance(answer, Waiting):
                answer = self.stepper.resume(answer, [ENDED] * len(answer.requests))
            out.append((self.waiting[seq], answer))
        self.waiting.clear()
        return out


def asked_of(reply: bytes) -> Sequence[Asked]:
    """What was asked for a decision; nothing for one that failed inside Quell."""
    try:
        return _decisions.decode(reply).asked
    except msgspec.ValidationError:
        return ()


def fill(stepper: Stepper, told: Iterable[Section]) -> None:
    """Let counters remember what sections say, in the place of what they do, where that began earlier. Raises
    what is in NO_SECTIONS for sections that are none of this bundle's."""
    for _, identity, (_, dumped) in told:
        store, began = stepper.state.stores[identity], dumped["began"]
        if began is not None and store.began is not None and began < store.began:
            store.load(dumped)
    stepper.watch_cold()


def action_of(acted: Acted) -> HandAction:
    """The label by hand that came to what an entry says."""
    until = None if acted.until is None else time_of("until", acted.until)
    return made(
        acted.action,
        acted.entity,
        acted.id,
        acted.label,
        at=acted.at,
        by=acted.by,
        until=until,
        why=acted.why,
    )


class Quiet:
    """Looks in a row of entries for moments at which no decision waits: `number` is that of the last one, 0
    if there is none."""

    def __init__(self) -> None:
        self.number = 0
        self._waiting: set[int] = set()

    def take(self, entry: Entry) -> None:
        """Look at the next entry."""
        if entry.kind == "admitted":
            self._waiting.add(entry.seq)
        elif entry.kind == "decided":
            self._waiting.discard(entry.seq)
        if not self._waiting:
            self.number = number_of(entry)


def quiet_number(entries: Iterable[Entry]) -> int:
    """The last number after which no decision waits; 0 if there is none."""
    quiet = Quiet()
    for entry in entries:
        quiet.take(entry)
    return quiet.number
