"""What is being decided now: counts over the last minutes and hours, and the newest answers to look at.

    live = Live(lambda: service.bundle, clock)
    service.watchers.append(live.watch)

Being told of an answer costs a few additions. Nothing of an event is read until somebody asks, and then of
those only that are shown or could be what is looked for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.live_counts import MINUTES, SECONDS, Table
from quell.engine.live_events import MOST_ENTITIES, Entities, shown
from quell.engine.live_rules import described, edits, rungs, text_of, unchanged
from quell.engine.live_search import Matcher, Query, read_query
from quell.engine.live_summary import ENTITIES, summary_of
from quell.engine.live_types import (
    Detail,
    Edit,
    Entity,
    EventText,
    Found,
    Latency,
    LiveStatus,
    LiveUpdate,
    RuleRow,
    Rules,
    RuleText,
    Rung,
    Span,
    Summary,
    Totals,
)
from quell.engine.service_types import Note, VersionInfo

KEPT = 5_000
"""Answers that can be looked at and searched."""
KEPT_BYTES = 64 << 20
"""Bytes that their events may have in all."""
LISTED = 60
"""Answers that an update brings."""
MOST_FOUND = 200
"""Answers that a search gives at once."""
TIMED = 1_000
"""Answers that the latency is worked out of."""
SETTLED = 5
"""Seconds after which nothing more is expected to be counted in a second."""
SLICE = 200
"""Answers that a search looks through before others get their turn."""
_SETBACK = 60
"""Seconds by which the clock must have been set back for the counts over time to begin anew."""

_WALL, _EVENT = itemgetter(0), itemgetter(3)
"""Of a note."""
_VERDICT, _TYPE = attrgetter("verdict"), attrgetter("event")
"""Of a decision."""

Clock = Callable[[], int]


class Live:
    """Counts and keeps what the service answers.

    `bundle` gives the bundle that decides now, `clock` the server's time in microseconds since 1970,
    `history` the versions of the bundle, `waiting` how many decisions wait. The newest `kept` answers are
    kept as they are, fewer where their events have more than `kept_bytes` bytes in all. It is for one thread.
    """

    def __init__(
        self,
        bundle: Callable[[], Build],
        clock: Clock,
        history: Callable[[], Sequence[VersionInfo]] = tuple,
        waiting: Callable[[], int] = int,
        *,
        kept: int = KEPT,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._bundle, self._clock = bundle, clock
        self._history, self._waiting = history, waiting
        self._kept, self._kept_bytes = kept, kept_bytes
        self._notes: deque[Note] = deque()
        self._bytes = 0
        self._told = 0
        self._started = clock()
        self._newest = self._started // 1_000_000
        self._verdicts, self._events = Table(), Table()
        self._fired, self._shadow, self._held = Table(), Table(), Table()
        self._refused, self._others = Table(), Table()
        self._known: dict[int, list[Entity]] = {}
        self._entities: Entities | None = None
        self._digest = ""
        self._ladder: dict[str, int] = {}
        self._rows: list[RuleRow] = []

    # -------------------------------------------------------------- being told

    def watch(self, notes: Sequence[Note]) -> None:
        """Take note of answers, in their order."""
        now = self._clock() // 1_000_000
        if now < self._newest - _SETBACK:
            self._begin_anew(now)
        self._newest = max(now, self._newest)
        for wall, some in groupby(notes, _WALL):  # it is looked at a few times a second
            tally = _Tally()
            tally.add([note.reply for note in some])
            self._count(min(wall // 1_000_000, self._newest), tally)
        self._keep(notes)

    def _begin_anew(self, now: int) -> None:
        """The clock was set back: what was counted stands at times that are yet to come."""
        self._newest = now
        for table in self._tables():
            table.empty()

    def _tables(self) -> tuple[Table, ...]:
        return (
            self._verdicts,
            self._events,
            self._fired,
            self._shadow,
            self._held,
            self._refused,
            self._others,
        )

    def _count(self, second: int, tally: _Tally) -> None:
        for table, counts in zip(self._tables(), tally.counts, strict=True):
            if counts:
                table.add(second, counts)

    def _keep(self, notes: Sequence[Note]) -> None:
        self._told += len(notes)
        kept, notes = self._notes, notes[-self._kept :]
        if len(notes) == self._kept:
            kept.clear()
            self._known.clear()
            self._bytes = 0
        kept.extend(notes)
        self._bytes += sum(map(len, map(_EVENT, notes)))
        self._let_go(len(kept) - self._kept)
        while self._bytes > self._kept_bytes and len(kept) > 1:
            self._let_go(1)

    def _let_go(self, number: int) -> None:
        """Keep so many answers no longer, the oldest."""
        kept, known = self._notes, self._known
        first = self._told - len(kept)
        gone = [kept.popleft() for _ in range(number)]
        self._bytes -= sum(map(len, map(_EVENT, gone)))
        if known:
            for place in range(first + 1, first + number + 1):
                known.pop(place, None)

    # ------------------------------------------------------------------ telling

    def now(self, since: int = 0) -> LiveUpdate:
        """What there is to be seen. `since` is what the last update gave, 0 for all there is."""
        self._refresh()
        wall = self._clock()
        last = max(wall // 1_000_000, self._newest)
        since = since if since <= last else 0
        first, minute = max(since, last - SECONDS + 1), max(since // 60, last // 60 - MINUTES + 1)
        others = self._others.totals()
        files = self._bundle().analysis.files
        return LiveUpdate(
            wall=wall,
            started=self._started,
            since=last - SETTLED,
            told=self._told,
            bundle=files.settings.name or files.name,
            digest=self._digest,
            ladder=self._rungs(),
            seconds=self._span("seconds", 1, first, last),
            minutes=self._span("minutes", 60, minute, last // 60),
            totals=Totals(self._verdicts.totals(), self._refused.totals(), others.get("by hand", 0)),
            latency=self._latency(),
            decisions=[self._summary(number, note) for number, note in islice(self._newest_first(), LISTED)],
        )

    def _rungs(self) -> list[Rung]:
        return [Rung(verdict, level) for verdict, level in self._ladder.items()]

    def _span(self, ring: str, step: int, first: int, last: int) -> Span:
        others = self._others.lines(ring, first, last)
        return Span(
            start=first * step,
            step=step,
            slots=last - first + 1,
            verdicts=self._verdicts.lines(ring, first, last),
            fired=self._fired.lines(ring, first, last),
            shadow=self._shadow.lines(ring, first, last),
            refused=others.get("refused"),
            by_hand=others.get("by hand"),
        )

    def _latency(self) -> Latency | None:
        newest = islice(reversed(self._notes), TIMED)
        took = sorted(note.seconds for note in newest if type(note.reply) is Decision)
        if not took:
            return None
        p50, p95, p99 = (took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.95, 0.99))
        return Latency(len(took), p50, p95, p99)

    def rules(self) -> Rules:
        """Every rule with what became of it, and those that fired and are gone from the bundle."""
        self._refresh()
        wall = self._clock()
        history = self._history()
        first, edited = unchanged(history), edits(history)
        rows = [self._counted(row, wall // 1_000_000, edited.get(row.name, first)) for row in self._rows]
        known = {row.name for row in self._rows}
        fired = {**self._fired.series, **self._shadow.series}
        gone = [RuleRow(name, "gone", [], 0, 0, 0, 0, 0, gone=True) for name in fired if name not in known]
        rows += [self._counted(row, wall // 1_000_000, edited.get(row.name)) for row in gone]
        return Rules(wall, sorted(rows, key=lambda row: row.name))

    def _counted(self, row: RuleRow, now: int, edited: Edit | None) -> RuleRow:
        """A rule with its counts."""
        table = self._shadow if row.mode == "shadow" else self._fired
        series, held = table.series.get(row.name), self._held.series.get(row.name)
        minute, hour = now // 60, now // 60 - 59
        events = [s for event in row.events if (s := self._events.series.get(event)) is not None]
        return msgspec.structs.replace(
            row,
            minute=series.seconds.sum(now - 59, now) if series is not None else 0,
            hour=series.minutes.sum(hour, minute) if series is not None else 0,
            total=series.total if series is not None else 0,
            held=held.minutes.sum(hour, minute) if held is not None else 0,
            of=sum(s.minutes.sum(hour, minute) for s in events),
            last=series.last * 1_000_000 if series is not None else None,
            edited=edited,
        )

    def rule(self, name: str) -> RuleText | None:
        """A rule of the bundle as it is written."""
        return text_of(self._bundle().analysis, name)

    def status(self, service: Any) -> LiveStatus:
        """How the service stands; `service` is what it says of itself."""
        return LiveStatus(self._clock(), list(self._history()), self._waiting(), service)

    def decision(self, seq: int) -> Detail | None:
        """A decision or a label by hand whole, by its number; None where it is not kept any more."""
        return self._detail(self._by_seq(seq))

    def refusal(self, number: int) -> Detail | None:
        """A refusal whole, by the number of its summary."""
        return self._detail(self._by_number(number))

    def event(self, seq: int) -> EventText | None:
        """The event of a decision or a label by hand."""
        found = self._by_seq(seq)
        return shown(found[1].event) if found is not None else None

    def refused_event(self, number: int) -> EventText | None:
        """The event that was refused, by the number of its summary."""
        found = self._by_number(number)
        return shown(found[1].event) if found is not None else None

    def past(self, note: Note) -> Detail:
        """The same of a decision or a label by hand that the journal has."""
        made = self._detail((0, note))
        assert made is not None
        return made

    def _detail(self, found: tuple[int, Note] | None) -> Detail | None:
        if found is None:
            return None
        self._refresh()
        number, note = found
        entities = self._of(note)
        reply = msgspec.Raw(msgspec.json.encode(note.reply))
        explained = isinstance(note.reply, Decision)
        return Detail(self._summary(number, note), entities, reply, explained, self._rungs())

    # ---------------------------------------------------------------- searching

    def search(self, query: str, before: int = 0, limit: int = MOST_FOUND) -> Found:
        """The newest answers that fit a query (live_search.py says how it is written), of those with a number
        below `before` (0: all)."""
        *_, found = self.searching(read_query(query), before, limit)
        assert found is not None
        return found

    def searching(self, query: Query, before: int = 0, limit: int = MOST_FOUND) -> Iterator[Found | None]:
        """The same in steps: None whenever others should get their turn, and at last what was found."""
        self._refresh()
        entities = self._entities
        assert entities is not None
        fits = Matcher(query, self._of, entities.fixed)
        notes = self._newest_first()
        snapshot = [(number, note) for number, note in notes if not before or number < before]
        found: list[Summary] = []
        looked = 0
        for number, note in snapshot:
            looked += 1
            if fits(note):
                found.append(self._summary(number, note))
                if len(found) == min(limit, MOST_FOUND):
                    break
            if looked % SLICE == 0:
                yield None
        oldest = snapshot[-1][1].wall if snapshot else None
        more = looked < len(snapshot)
        yield Found(found, looked, oldest, more, snapshot[looked - 1][0] if more else 0)

    # ------------------------------------------------------------------ finding

    def _newest_first(self) -> Iterator[tuple[int, Note]]:
        return zip(range(self._told, 0, -1), reversed(self._notes), strict=False)

    def _by_seq(self, seq: int) -> tuple[int, Note] | None:
        found = (
            (number, note)
            for number, note in self._newest_first()
            if isinstance(note.reply, Decision | Acted) and note.reply.seq == seq
        )
        return next(found, None) if seq > 0 else None

    def _by_number(self, number: int) -> tuple[int, Note] | None:
        behind = self._told - number
        return (number, self._notes[-1 - behind]) if 0 <= behind < len(self._notes) else None

    def _summary(self, number: int, note: Note) -> Summary:
        entities = self._known.get(number)
        if entities is None:
            entities = self._of(note, ENTITIES + 1)
            if number > self._told - len(self._notes) and number > 0:  # else it is not kept, or not any more
                self._known[number] = entities
        return summary_of(number, note, entities, self._ladder)

    def _of(self, note: Note, most: int = MOST_ENTITIES) -> list[Entity]:
        """The entities of a note's event, as the present bundle reads them."""
        reply = note.reply
        if isinstance(reply, Acted):
            return [Entity("id", reply.entity, reply.id)]
        if not isinstance(reply, Decision) or self._entities is None:
            return []
        return self._entities.of(note.event, most)

    def _refresh(self) -> None:
        """Take up the bundle that decides now, if it is another one."""
        bundle = self._bundle()
        if bundle.version == self._digest:
            return
        self._digest = bundle.version
        self._entities = Entities(bundle)
        ladders = list(bundle.analysis.symbols.ladders.values())
        self._ladder = {rung.verdict: rung.level for rung in rungs(ladders)}
        self._rows = described(bundle.analysis)


class _Tally:
    """Counts of one second: by verdict, event, rule that fired, fired in shadow, was held; of refusals by
    kind, and of what is no decision."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: tuple[Counter[str], ...] = tuple(Counter() for _ in range(7))

    def add(self, replies: Sequence[Reply]) -> None:
        """Count replies; most are decisions with nothing to be said of but their verdict."""
        verdicts, events, fired, shadow, held, refused, others = self.counts
        decisions = [r for r in replies if type(r) is Decision]
        verdicts.update(map(_VERDICT, decisions))
        events.update(map(_TYPE, decisions))
        for reply in [r for r in decisions if r.fired or r.shadow or r.held]:
            if reply.fired:
                fired.update([one.rule for one in reply.fired])
            if reply.shadow:
                shadow.update([one.rule for one in reply.shadow])
            if reply.held:
                held.update([was.rule for was in reply.held])
        if len(decisions) == len(replies):
            return
        for other in replies:
            if isinstance(other, Acted):
                others["by hand"] += 1
            elif isinstance(other, Refused):
                others["refused"] += 1
                refused[other.kind] += 1
