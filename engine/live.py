"""What is being decided now: counts over the last minutes and hours, and the newest answers to look at.

    live = Live(lambda: service.bundle, clock)
    service.watchers.append(live.watch)

Being told of an answer costs a few additions. Nothing of an event is read until somebody asks, and then of
those only that are shown or could be what is looked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.decision import Acted, Decision
from quell.engine.live_counts import MINUTES, SECONDS
from quell.engine.live_events import MOST_ENTITIES, Entities, shown
from quell.engine.live_recall import KEPT, KEPT_BYTES, Recalled, note_of
from quell.engine.live_rules import described, edits, rungs, text_of, unchanged
from quell.engine.live_search import Matcher, Query, read_query
from quell.engine.live_summary import ENTITIES, summary_of
from quell.engine.live_tally import Tally
from quell.engine.live_types import (
    Detail,
    Edit,
    Entity,
    EventText,
    Found,
    Latency,
    LiveStatus,
    LiveUpdate,
    Past,
    RuleRow,
    Rules,
    RuleText,
    Rung,
    Span,
    Summary,
    Totals,
)
from quell.engine.service_types import Note, VersionInfo

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

Clock = Callable[[], int]


class Live:
    """Counts and keeps what the service answers.

    `bundle` gives the bundle that decides now, `clock` the server's time in microseconds since 1970,
    `history` the versions of the bundle, `waiting` how many decisions wait. The newest `kept` answers are
    kept as they are, fewer where their events have more than `kept_bytes` bytes in all. With `recalling` it
    is to be told what the journal remembers: numbers are left free for that. It is for one thread.
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
        recalling: bool = False,
    ) -> None:
        self._bundle, self._clock = bundle, clock
        self._history, self._waiting = history, waiting
        self._kept, self._kept_bytes = kept, kept_bytes
        self._notes: deque[Note] = deque()
        self._bytes = 0
        self._told = kept if recalling else 0
        self._past = Past("reading" if recalling else "none")
        self._recalled = 0
        self._started = clock()
        self._newest = self._started // 1_000_000
        self._tally = Tally()
        self._since = self._started
        self._known: dict[int, list[Entity]] = {}
        self._entities: Entities | None = None
        self._digest = ""
        self._ladder: dict[str, int] = {}
        self._levels: dict[str, int] = {}
        self._rows: list[RuleRow] = []

    # -------------------------------------------------------------- being told

    def watch(self, notes: Sequence[Note]) -> None:
        """Take note of answers, in their order."""
        now = self._clock() // 1_000_000
        if now < self._newest - _SETBACK:
            self._begin_anew(now)
        self._newest = max(now, self._newest)
        for wall, some in groupby(notes, _WALL):  # it is looked at a few times a second
            self._tally.count(min(wall // 1_000_000, self._newest), [note.reply for note in some])
        self._keep(notes)

    def _begin_anew(self, now: int) -> None:
        """The clock was set back: what was counted stands at times that are yet to come."""
        self._newest = now
        self._tally.empty()

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

    # ---------------------------------------------------------------- recalling

    def recall(self, recalled: Recalled) -> Iterator[None]:
        """Take up what the journal remembers from before anything was told, in steps: whenever it yields,
        others may get their turn."""
        for table, told in zip(self._tally.tables, recalled.tables, strict=True):
            for name, counted in told.items():
                table.take(name, counted)
                yield
        notes: list[Note] = []
        for answered in reversed(recalled.answers[-self._kept :]):
            if (note := note_of(answered)) is not None:
                notes.append(note)
            if len(notes) % SLICE == 0:
                yield
        self._put_before(notes)
        self._levels = {rung.verdict: rung.level for rung in recalled.levels} | self._levels
        self._since = min(recalled.first or self._started, self._started)
        self._past = Past("read", recalled.problem)
        self._recalled = max(self._clock() // 1_000_000, self._newest)

    def verdicts(self) -> list[str]:
        """The verdicts whose gravity is known."""
        self._refresh()
        return list(self._levels)

    def _put_before(self, notes: Sequence[Note]) -> None:
        """Keep answers from before, the newest first, as far as there is room."""
        for note in islice(notes, min(self._kept, self._told) - len(self._notes)):
            self._bytes += len(note.event)
            if self._bytes > self._kept_bytes:
                self._bytes -= len(note.event)
                break
            self._notes.appendleft(note)

    def recall_nothing(self, problem: str) -> None:
        """The journal could not be read, and why."""
        self._past = Past("failed", problem)

    # ------------------------------------------------------------------ telling

    def now(self, since: int = 0) -> LiveUpdate:
        """What there is to be seen. `since` is what the last update gave, 0 for all there is."""
        self._refresh()
        wall = self._clock()
        last = max(wall // 1_000_000, self._newest)
        if not self._recalled < since <= last:  # who asked before does not know what came back
            since = 0
        first, minute = max(since, last - SECONDS + 1), max(since // 60, last // 60 - MINUTES + 1)
        others = self._tally.others.totals()
        files = self._bundle().analysis.files
        return LiveUpdate(
            wall=wall,
            started=self._started,
            counted=self._since,
            past=self._past,
            since=last - SETTLED,
            told=self._told,
            kept=len(self._notes),
            oldest=self._notes[0].wall if self._notes else None,
            bundle=files.settings.name or files.name,
            digest=self._digest,
            ladder=self._rungs(self._ladder),
            former=self._rungs({v: n for v, n in self._levels.items() if v not in self._ladder}),
            seconds=self._span("seconds", 1, first, last),
            minutes=self._span("minutes", 60, minute, last // 60),
            totals=Totals(
                self._tally.verdicts.totals(), self._tally.refused.totals(), others.get("by hand", 0)
            ),
            latency=self._latency(),
            decisions=[self._summary(number, note) for number, note in islice(self._newest_first(), LISTED)],
        )

    def _rungs(self, levels: Mapping[str, int]) -> list[Rung]:
        return [Rung(verdict, level) for verdict, level in levels.items()]

    def _span(self, ring: str, step: int, first: int, last: int) -> Span:
        others = self._tally.others.lines(ring, first, last)
        return Span(
            start=first * step,
            step=step,
            slots=last - first + 1,
            verdicts=self._tally.verdicts.lines(ring, first, last),
            fired=self._tally.fired.lines(ring, first, last),
            shadow=self._tally.shadow.lines(ring, first, last),
            refused=others.get("refused"),
            by_hand=others.get("by hand"),
        )

    def _latency(self) -> Latency | None:
        newest = islice(reversed(self._notes), TIMED)
        took = sorted(note.seconds for note in newest if note.seconds and type(note.reply) is Decision)
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
        fired = {**self._tally.fired.series, **self._tally.shadow.series}
        gone = [RuleRow(name, "gone", [], 0, 0, 0, 0, 0, gone=True) for name in fired if name not in known]
        rows += [self._counted(row, wall // 1_000_000, edited.get(row.name)) for row in gone]
        return Rules(wall, self._since, sorted(rows, key=lambda row: row.name))

    def _counted(self, row: RuleRow, now: int, edited: Edit | None) -> RuleRow:
        """A rule with its counts."""
        tally = self._tally
        table = tally.shadow if row.mode == "shadow" else tally.fired
        series, held = table.series.get(row.name), tally.held.series.get(row.name)
        minute, hour = now // 60, now // 60 - 59
        events = [s for event in row.events if (s := tally.events.series.get(event)) is not None]
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
        return Detail(self._summary(number, note), entities, reply, explained, self._rungs(self._levels))

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
        return summary_of(number, note, entities, self._levels)

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
        self._levels = {v: n for v, n in self._levels.items() if v not in self._ladder} | self._ladder
        self._rows = described(bundle.analysis)
