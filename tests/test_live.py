"""What the live page is told: counts over time, the newest answers, rules, and searches."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.decision import Acted, Decision, Fired, Held, Refused, Reply
from quell.engine.live import Live
from quell.engine.live_counts import MINUTES, MOST_SERIES, SECONDS, Ring, Table
from quell.engine.live_events import MOST_ENTITIES, Entities, shown
from quell.engine.live_rules import edits, rungs
from quell.engine.live_search import Query, read_query
from quell.engine.live_types import CUT, Entity, Line, Span
from quell.engine.service_types import Note, VersionInfo
from quell.engine.stepper import Stepper
from quell.engine.symbols import Ladder
from tests.bundles import engine
from tests.live_support import LABEL, NOW, POLICY, SECOND, Told, message, simulated, told

# ------------------------------------------------------------------------------------------------- counting


def test_a_ring_forgets_what_is_older_than_it_reaches() -> None:
    ring = Ring(4)
    for slot in (100, 101, 101, 103):
        ring.add(slot, 1)
    assert ring.line(0, 200) == Line(100, [1, 2, 0, 1])
    ring.add(105, 7)
    assert ring.line(0, 200) == Line(103, [1, 0, 7])
    ring.add(101, 9)
    assert ring.sum(0, 200) == 8, "what comes too late is not counted in a slot that stands for another time"
    ring.add(1_000, 1)
    assert ring.line(0, 2_000) == Line(1_000, [1])
    assert ring.line(1_001, 2_000) is None


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=60),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_a_ring_counts_as_a_list_would(added: list[tuple[int, int]], first: int, last: int) -> None:
    ring, plain = Ring(7), Counter[int]()
    for slot, count in added:
        ring.add(slot, count)
        plain[slot] += count
    newest = max((slot for slot, _ in added), default=0)
    seen: Counter[int] = Counter()
    reached = 0
    for slot, count in added:  # a slot is counted if it was within reach when it came, and still is
        reached = max(reached, slot)
        if slot > reached - 7:
            seen[slot] += count
    want = {s: n for s, n in seen.items() if s > newest - 7 and first <= s <= last}
    line = ring.line(first, last)
    got = {} if line is None else {line.first + i: n for i, n in enumerate(line.counts) if n}
    assert got == want
    assert ring.sum(first, last) == sum(want.values())
    assert line is None or (line.counts[0] and line.counts[-1])


def test_of_too_many_series_those_go_that_were_counted_longest_ago() -> None:
    table = Table()
    for i in range(MOST_SERIES + 1):
        table.add(i, {f"r{i}": 1})
    assert len(table.series) <= MOST_SERIES
    assert "r0" not in table.series
    assert f"r{MOST_SERIES}" in table.series


FIRINGS = st.lists(st.builds(Fired, rule=st.sampled_from("abc")), max_size=3).map(tuple)
DECISIONS = st.builds(
    Decision,
    event=st.sampled_from(["message", "other"]),
    seq=st.integers(1, 99),
    at=st.just(NOW),
    verdict=st.sampled_from(["allow", "block", "unheard"]),
    fired=FIRINGS,
    shadow=FIRINGS,
    held=st.just((Held("a", "rollout"),)) | st.just(()),
)
ACTED = Acted("quell.label", 1, NOW, "set", "User", "u", "l", "ana", False, True)
REFUSED = st.sampled_from(["not-json", "busy"]).map(lambda kind: Refused(kind, "why", "allow"))
REPLIES: st.SearchStrategy[Reply] = DECISIONS | st.just(ACTED) | REFUSED


@pytest.fixture(scope="module")
def written() -> Told:
    return told()


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3_000_000), REPLIES), max_size=12), max_size=12), st.data())
def test_the_series_add_up_to_what_was_told_however_it_is_asked_for(
    written: Told, batches: list[list[tuple[int, Reply]]], data: st.DataObject
) -> None:
    now = [NOW]
    live = Live(lambda: written.stepper.bundle, lambda: now[0], kept=7)
    page = _Page()
    want: Counter[tuple[str, str]] = Counter()
    ever: Counter[str] = Counter()
    for batch in batches:
        notes = [
            Note(now[0] + later, 0.001, 1, b"{}", reply) for later, reply in sorted(batch, key=lambda b: b[0])
        ]
        now[0] += 3_000_000
        live.watch(notes)
        for note in notes:
            _expect(want, note.reply)
            ever[note.reply.__class__.__name__] += 1
        if data.draw(st.booleans()):
            page.take(live.now(page.since))
    update = live.now(page.since)
    page.take(update)
    assert page.sums("seconds") == want == page.sums("minutes")
    assert update.told == ever.total()
    assert sum(update.totals.verdicts.values()) == ever["Decision"]
    assert sum(update.totals.refused.values()) == ever["Refused"]
    assert update.totals.by_hand == ever["Acted"]
    assert [s.number for s in update.decisions] == list(range(update.told, max(0, update.told - 7), -1))


def _expect(want: Counter[tuple[str, str]], reply: Reply) -> None:
    if isinstance(reply, Decision):
        want["verdicts", reply.verdict] += 1
        want.update(("fired", f.rule) for f in reply.fired)
        want.update(("shadow", f.rule) for f in reply.shadow)
    else:
        want["others", "by_hand" if isinstance(reply, Acted) else "refused"] += 1


class _Page:
    """Puts updates together as the page does."""

    def __init__(self) -> None:
        self.since = 0
        self.slots: dict[tuple[str, str, str, int], int] = {}

    def take(self, update: Any) -> None:
        self.since = update.since
        for ring in ("seconds", "minutes"):
            span: Span = getattr(update, ring)
            first = span.start // span.step
            known = [k for k in self.slots if k[0] == ring and k[3] >= first]
            for key in known:
                del self.slots[key]
            others = {n: line for n in ("refused", "by_hand") if (line := getattr(span, n)) is not None}
            kinds = ("verdicts", "fired", "shadow")
            tables: dict[str, dict[str, Line]] = {kind: getattr(span, kind) for kind in kinds}
            for kind, table in (tables | {"others": others}).items():
                for name, line in table.items():
                    assert first <= line.first
                    assert line.first + len(line.counts) <= first + span.slots
                    for i, count in enumerate(line.counts):
                        self.slots[ring, kind, name, line.first + i] = count

    def sums(self, ring: str) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for (of, kind, name, _), count in self.slots.items():
            if of == ring and count:
                found[kind, name] += count
        return found


def test_what_is_older_than_the_rings_reach_is_left_out(written: Told) -> None:
    now = [NOW]
    live = Live(lambda: written.stepper.bundle, lambda: now[0])
    live.watch([Note(NOW, 0.1, 1, b"{}", Decision("message", 1, NOW, "allow"))])
    now[0] += SECONDS * SECOND
    update = live.now()
    assert update.seconds.verdicts == {}
    assert update.minutes.verdicts["allow"].counts == [1]
    now[0] += MINUTES * 60 * SECOND
    assert live.now().minutes.verdicts == {}
    assert live.now().totals.verdicts == {"allow": 1}


def test_a_clock_that_is_set_back_begins_the_counts_over_time_anew(written: Told) -> None:
    now = [NOW]
    live = Live(lambda: written.stepper.bundle, lambda: now[0])
    live.watch([Note(NOW, 0.1, 1, b"{}", Decision("message", 1, NOW, "allow"))])
    now[0] -= 7_200 * SECOND
    live.watch([Note(now[0], 0.1, 1, b"{}", Decision("message", 2, NOW, "block"))])
    update = live.now()
    assert {name: line.counts for name, line in update.seconds.verdicts.items()} == {"block": [1]}
    assert update.totals.verdicts == {"allow": 1, "block": 1}


def test_a_note_dated_ahead_of_the_clock_counts_as_of_now(written: Told) -> None:
    live = Live(lambda: written.stepper.bundle, lambda: NOW)
    live.watch([Note(NOW + 900 * SECOND, 0.1, 1, b"{}", Decision("message", 1, NOW, "allow"))])
    assert live.now().seconds.verdicts["allow"] == Line(NOW // SECOND, [1])


# --------------------------------------------------------------------------------------------------- keeping


def test_as_many_answers_are_kept_as_there_is_room_for() -> None:
    kept = told(kept=5)
    for i in range(12):
        kept.decide([message(i)])
        kept.live.now()
        assert set(kept.live._known) == set(range(max(1, i - 3), i + 2)), "what was read goes with its answer"
    found = kept.live.search("")
    assert [s.number for s in found.decisions] == [12, 11, 10, 9, 8]
    assert kept.live.decision(12) is not None
    assert kept.live.decision(7) is None


def test_large_events_are_kept_in_smaller_number() -> None:
    kept = told(kept_bytes=10_000)
    kept.decide([message(i, more="x" * 3_000) for i in range(12)])
    assert len(kept.live.search("").decisions) == 3
    kept.decide([message(99, more="x" * 50_000)])
    assert [s.id for s in kept.live.search("").decisions] == ["m99"], "the newest is kept, however large"


def test_no_event_is_read_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    of = Entities.of

    def watched(self: Entities, event: bytes, most: int = MOST_ENTITIES) -> list[Entity]:
        read.append(event)
        return of(self, event, most)

    monkeypatch.setattr(Entities, "of", watched)
    kept = told()
    kept.decide([message(i) for i in range(300)])
    kept.live.rules()
    assert read == []
    shown_now = len(kept.live.now().decisions)
    assert len(read) == shown_now < 300
    kept.live.now()
    assert len(read) == shown_now, "what was read once is not read again"


# ----------------------------------------------------------------------------------------------- the answers


def test_a_decision_in_a_line_and_whole() -> None:
    kept = told()
    kept.decide([message(1, 12, others=["u2", "u3", "u4", "u5"], room="r1")])
    (line,) = kept.live.now().decisions
    assert (line.kind, line.seq, line.event, line.id) == ("decision", 1, "message", "m1")
    assert (line.verdict, line.level) == ("block", 8)
    assert line.fired == ["shouting"]
    assert line.shadow == ["would_shout"]
    assert (line.held, line.labels, line.sends) == (1, 1, 1)
    assert line.entities == [
        Entity("author", "User", "u1"),
        Entity("room", "Room", "r1"),
        Entity("others", "User", "u2"),
        Entity("others", "User", "u3"),
    ]
    assert line.more_entities == 1, "of two that are left out one is known, as no more were read"
    detail = kept.live.decision(1)
    assert detail is not None
    assert len(detail.entities) == 6
    assert detail.explained
    reply = msgspec.json.decode(bytes(detail.reply), type=Decision)
    assert reply.fired[0].message == "`12` is loud"
    event = kept.live.event(1)
    assert event is not None
    assert event.json
    assert '\n  "id": "m1"' in event.text


def test_a_refusal_and_a_label_by_hand() -> None:
    kept = told()
    kept.decide([b'{"type": "message"', LABEL])
    done, refused = kept.live.now().decisions
    assert (refused.kind, refused.number, refused.seq) == ("refused", 1, 0)
    assert refused.message.startswith("not-json: ")
    detail = kept.live.refusal(1)
    assert detail is not None
    assert not detail.explained
    event = kept.live.refused_event(1)
    assert event is not None
    assert (event.text, event.json) == ('{"type": "message"', False)
    assert (done.kind, done.message, done.entities) == (
        "by hand",
        "spammer put on by kim",
        [Entity("id", "User", "u9")],
    )
    acted = kept.live.decision(done.seq)
    assert acted is not None
    assert not acted.explained
    assert kept.live.refusal(99) is None
    assert kept.live.decision(0) is None


def test_events_that_are_no_text_are_shown_all_the_same() -> None:
    assert shown(b"\xff\xfe{").text == "\ufffd\ufffd{"
    assert shown(b'{"n": 12345678901234567890123}').text == '{\n  "n": 12345678901234567890123\n}'
    cut = shown(b'"' + b"x" * 300 + b'"', most=100)
    assert (len(cut.text), cut.cut, cut.bytes) == (100, True, 302)
    deep = b"[" * 50_000 + b"]" * 50_000
    assert not shown(deep).json


def test_long_ids_are_cut_in_what_is_listed_and_found_by_what_is_left() -> None:
    kept = told()
    long = "é" * 10_000
    kept.decide([message(1, author=long), message(2)])
    line = kept.live.now().decisions[1]
    assert line.entities[0].id == long[:CUT]
    assert [s.id for s in kept.live.search(f"entity:{long[:CUT]}").decisions] == ["m1"]


def test_entities_in_lists_of_records_and_by_default() -> None:
    stepper = engine("""
entity User
shape part
  owner  User = $.by
  size   number? = $.size
event upload from "upload"
  at     time = $.at
  parts  list<part> = $.parts
  whose  User = $.whose default "nobody"
rule r on upload
  when size(parts) > 100
  then block
""")
    kept = Told(stepper)
    event = {
        "type": "upload",
        "at": NOW // SECOND,
        "parts": [{"by": "a"}, {"by": "b", "size": 1}, {"by": "a"}],
    }
    kept.decide([event, {**event, "whose": "x"}])
    detail = kept.live.decision(1)
    assert detail is not None
    assert detail.entities == [
        Entity("parts.owner", "User", "a"),
        Entity("parts.owner", "User", "b"),
        Entity("whose", "User", "nobody"),
    ]
    assert [s.seq for s in kept.live.search("entity:nobody").decisions] == [1], "a default stands in no event"
    assert [s.seq for s in kept.live.search("entity:b").decisions] == [2, 1]


def test_the_latency_is_that_of_the_newest_decisions() -> None:
    kept = told()
    assert kept.live.now().latency is None
    kept.decide([b"no event"])
    assert kept.live.now().latency is None
    notes = kept.decide([message(i) for i in range(100)])
    kept.live.watch([note._replace(seconds=(i + 1) / 100) for i, note in enumerate(notes)])
    latency = kept.live.now().latency
    assert latency is not None
    assert (latency.of, latency.p50, latency.p95, latency.p99) == (200, 0.01, 0.91, 0.99)


# ------------------------------------------------------------------------------------------------- the rules


def test_rules_with_what_became_of_them() -> None:
    kept = told()
    kept.decide([message(i, 12) for i in range(3)], step=30 * SECOND)
    kept.decide([message(9, 7)])
    rows = {row.name: row for row in kept.live.rules().rules}
    loud, shadow, partly, silent = (rows[n] for n in ("shouting", "would_shout", "partly", "silent"))
    assert (loud.minute, loud.hour, loud.total, loud.of, loud.last) == (2, 3, 3, 4, NOW + 90 * SECOND)
    assert (loud.mode, loud.owner, loud.severity) == ("live", "ana", "high")
    assert (loud.tags, loud.events) == (["noise"], ["message"])
    assert (loud.does, loud.verdict, loud.level) == (["block", "label spammer", "send queue"], "block", 8)
    assert (shadow.mode, shadow.total) == ("shadow", 4)
    assert (partly.rollout, partly.total, partly.held) == (0.0, 0, 3)
    assert (silent.mode, silent.total, silent.last, silent.gone) == ("off", 0, None, False)
    assert loud.place == "p.quell:13"
    assert loud.edited is not None
    assert (loud.edited.version, loud.edited.by, loud.edited.change) == (
        2,
        "kim",
        "rule `shouting` changed: when",
    )
    assert silent.edited is not None
    assert (silent.edited.version, silent.edited.change) == (1, "")


def test_of_the_rules_that_fired_the_gravest_come_first() -> None:
    kept = told(
        "verdicts allow < flag < block\n"
        + POLICY.split("# Who shouts.")[0]
        + "".join(
            f"rule {name} on message\n  when number > 0\n  then {does}\n"
            for name, does in (("a", 'label author "spammer"'), ("b", "flag"), ("c", "block"), ("d", "flag"))
        )
    )
    kept.decide([message(1, 1)])
    assert kept.live.now().decisions[0].fired == ["c", "b", "d", "a"]


def test_a_rule_that_is_gone_keeps_its_hits_and_decisions() -> None:
    kept = told()
    kept.decide([message(1, 12)])
    assert kept.live.decision(1) is not None
    kept.stepper = engine(POLICY.replace("rule shouting", "rule crying"))
    kept.decide([message(2, 12)])
    rows = {row.name: row for row in kept.live.rules().rules}
    assert rows["shouting"].gone
    assert (rows["shouting"].total, rows["crying"].total) == (1, 1)
    assert kept.live.rule("shouting") is None
    assert kept.live.now().digest == kept.stepper.version


def test_a_rule_as_it_is_written() -> None:
    text = told().live.rule("shouting")
    assert text is not None
    assert text.doc == "Who shouts.\nLoudly."
    assert text.source.startswith("rule shouting on message\n  when number > 10")
    assert text.source.endswith("severity high")


def test_edits_are_the_newest_of_each_rule() -> None:
    history = [
        VersionInfo(3, "c", 30, "kim", "files changed", ("rule `b` was `a`, changed: when",)),
        VersionInfo(
            2, "b", 20, "ana", "files changed", ("rule `a` added", "rule `b` added", "let `c` changed")
        ),
    ]
    found = edits(history)
    assert (found["a"].version, found["b"].version) == (2, 3)
    assert "c" not in found


def test_verdicts_of_several_ladders_in_one_order() -> None:
    ladders = [Ladder(("allow", "flag", "block"), "flag"), Ladder(("fine", "flag"), "fine")]
    assert [(r.verdict, r.level) for r in rungs(ladders)] == [
        ("allow", 0),
        ("fine", 0),
        ("flag", 8),
        ("block", 8),
    ]


# ----------------------------------------------------------------------------------------------- searching


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("Some  words", Query(words=("some", "words"))),
        ("rule:r verdict:a,b", Query((("rule", ("r",)), ("verdict", ("a", "b"))))),
        ('entity:"a \\"b\\" c" x', Query((("entity", ('a "b" c',)),), ("x",))),
        ('"two words"', Query(words=("two words",))),
        ("http://x.test", Query(words=("http://x.test",))),
        ("is:odd", Query(words=("is:odd",))),
        ("is:shadow,held", Query((("is", ("shadow", "held")),))),
        ("rule:a,b", Query((("rule", ("a,b",)),))),
        ('entity:"a\\n\\u0000\\u200bb"', Query((("entity", ("a\n\0\u200bb",)),))),
        ('"a\\qb"', Query(words=("aqb",))),
        ('"', Query(words=('"',))),
        ("entity:", Query(words=("entity:",))),
    ],
)
def test_what_a_search_means(text: str, query: Query) -> None:
    assert read_query(text) == query


@given(st.text(max_size=200))
def test_whatever_is_written_is_a_search(written: Told, text: str) -> None:
    found = written.live.search(text)
    assert found.searched >= 0


@pytest.fixture(scope="module")
def searched() -> Told:
    kept = told()
    kept.decide(
        [
            message(1, 12),
            message(2, 7, author="Ünal", room="R-7"),
            message(3, 9, author="u3", others=["u1", "a\\b"]),
            message(4, 1, author="x" * 500),
            b'{"type":"message","id":"m5","at":1772452805,"author":"\\u0075n\\/icode","number":"loud"}',
            b"[]",
            LABEL,
            message(8, 1, author="u9"),
        ]
    )
    return kept


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("entity:u1", [3, 1]),
        ("entity:u9", [8, 7]),
        ("entity:Ünal", [2]),
        ("entity:ünal", []),
        ("ünal", [2]),
        ("entity:u", []),
        ("entity:un/icode", [5]),
        ("UN/ICODE", [5]),
        ('entity:"a\\\\b"', [3]),
        ("r-7", [2]),
        ("m3", [3]),
        ("id:m3", [3]),
        ("rule:shouting", [1]),
        ("rule:would_shout", [3, 2, 1]),
        ("rule:partly", [3, 1]),
        ("shout", [3, 2, 1]),
        ("verdict:block", [1]),
        ("verdict:block,allow", [8, 5, 4, 3, 2, 1]),
        ("event:message", [8, 5, 4, 3, 2, 1]),
        ("label:spammer", [7, 1]),
        ("sink:queue", [1]),
        ("is:refused", [6]),
        ("is:hand", [7]),
        ("is:shadow", [3, 2, 1]),
        ("is:held", [3, 1]),
        ("is:sent", [1]),
        ("is:labelled", [1]),
        ("is:noted", [5]),
        ("kim", [7]),
        ("not-object", [6]),
        ("rule:shouting entity:u1", [1]),
        ("rule:shouting entity:u3", []),
        ("x" * 400, [4]),
    ],
)
def test_searches(searched: Told, query: str, numbers: list[int]) -> None:
    assert [s.number for s in searched.live.search(query).decisions] == numbers


def test_a_search_goes_on_where_it_ended(searched: Told) -> None:
    numbers: list[int] = []
    before = 0
    while True:
        found = searched.live.search("event:message", before, limit=2)
        numbers += [s.number for s in found.decisions]
        if not found.more:
            break
        before = found.before
    assert numbers == [8, 5, 4, 3, 2, 1]


def test_a_search_says_how_far_it_looked(searched: Told) -> None:
    found = searched.live.search("rule:nothing")
    assert (found.decisions, found.searched, found.oldest, found.more) == ([], 8, NOW, False)


def test_a_long_search_gives_way_and_is_not_disturbed_by_what_comes_meanwhile() -> None:
    kept = told(kept=1_000)
    kept.decide([message(i, author=f"u{i}") for i in range(1_000)])
    steps = kept.live.searching(read_query("entity:u1"))
    assert next(steps) is None
    kept.decide([message(i, author="u1") for i in range(1_000, 1_900)])
    *_, found = steps
    assert found is not None
    assert [s.number for s in found.decisions] == [2]
    assert all(number > 900 for number in kept.live._known)


def test_a_search_agrees_with_looking_at_every_event() -> None:
    """The shortcuts by an event's bytes leave nothing out."""
    kept = Told(Stepper.load("policies"))
    notes = kept.decide(simulated(600))
    reads = Entities(kept.stepper.bundle)
    named = {n: {e.id for e in reads.of(note.event)} for n, note in enumerate(notes, 1)}
    sought = Counter(id for ids in named.values() for id in ids)
    assert len(sought) > 50
    for id in [*dict(sought.most_common(10)), *list(sought)[::40]]:
        found = [s.number for s in kept.live.search(f"entity:{id}").decisions]
        want = [n for n, ids in named.items() if id in ids]
        assert set(want) >= set(found)
        assert set(want[-200:]) <= set(found)
