"""What the live page knows after a restart: what the journal remembers, read beside the service."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from quell.engine import live_recall
from quell.engine.checkpoint import Data
from quell.engine.decision import Acted, Refused
from quell.engine.journal import Journal
from quell.engine.live import Live
from quell.engine.live_recall import Recalled, recall
from quell.engine.live_types import Detail, Found, LiveUpdate, Rules
from quell.engine.service_types import Kind, Note
from tests.live_support import LABEL, NOW, POLICY, SECOND, Told, message, told
from tests.test_http_serve import serving

MINUTE = 60 * SECOND
T = TypeVar("T")
encode = msgspec.json.encode


def put(
    folder: Path, entries: Iterable[tuple[Kind, int, int, int, int, bytes, bytes]], size: int = 1 << 20
) -> None:
    """A journal of entries: kind, number of admission and of decision, version, clock, event, reply."""

    async def main() -> None:
        journal = Journal.open(folder / "journal", durability="batch", segment_bytes=size)
        for kind, seq, decided, version, wall, event, reply in entries:
            journal.append(kind, seq, decided, NOW, version, wall, event, reply)
            assert journal.flush()
        journal.close()

    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main())


def written(notes: Iterable[Note]) -> list[tuple[Kind, int, int, int, int, bytes, bytes]]:
    """Notes as the entries that a service writes for them."""
    return [
        (
            "acted" if isinstance(n.reply, Acted) else "event",
            n.reply.seq, n.reply.seq, n.version, n.wall, n.event, encode(n.reply),
        )
        for n in notes
        if not isinstance(n.reply, Refused)
    ]  # fmt: skip


def again(before: Told, recalled: Recalled, **options: Any) -> Live:
    """A page that begins with what was recalled."""
    live = Live(lambda: before.stepper.bundle, lambda: before.now, recalling=True, **options)
    for _ in live.recall(recalled):
        pass
    return live


# ------------------------------------------------------------------------------------------------ as it was


def test_the_page_begins_as_the_one_before_ended(tmp_path: Path) -> None:
    kept = told()
    notes = kept.decide([message(i, i % 14, f"u{i % 5}") for i in range(300)] + [LABEL], step=7 * SECOND)
    put(tmp_path, written(notes), size=20_000)
    live = again(kept, recall(Data(tmp_path), 1 << 40, kept.now, ["allow", "block"]))
    was, now = kept.live.now(), live.now()
    assert (now.seconds, now.minutes) == (was.seconds, was.minutes)
    assert now.totals == was.totals
    assert (now.past.state, now.past.problem) == ("read", "")
    assert (now.counted, now.oldest, now.kept) == (notes[0].wall, notes[0].wall, len(notes))
    assert now.latency is None, "how long those took is not known"
    assert [s.seq for s in now.decisions] == [s.seq for s in was.decisions]
    for old, new in zip(was.decisions, now.decisions, strict=True):
        assert msgspec.structs.replace(new, number=old.number, seconds=old.seconds) == old
    assert [msgspec.structs.replace(r, edited=None) for r in live.rules().rules] == [
        msgspec.structs.replace(r, edited=None) for r in kept.live.rules().rules
    ]
    for query in ("entity:u3", "rule:shouting", "verdict:block", "is:hand", "m12"):
        found, before = live.search(query).decisions, kept.live.search(query).decisions
        assert [s.seq for s in found] == [s.seq for s in before]
        assert found


def test_what_is_answered_meanwhile_comes_after_what_was_before(tmp_path: Path) -> None:
    kept = told()
    put(tmp_path, written(kept.decide([message(i, 12) for i in range(20)], step=SECOND)))
    recalled = recall(Data(tmp_path), 1 << 40, kept.now)
    live = Live(lambda: kept.stepper.bundle, lambda: kept.now, recalling=True, kept=15)
    live.watch(kept.decide([message(20, 12), b"none"], step=SECOND))
    first = live.now()
    refused = next(s for s in first.decisions if s.kind == "refused")
    assert first.past.state == "reading"
    steps = live.recall(recalled)
    next(steps)
    live.watch(kept.decide([message(21, 12)], step=SECOND))
    for _ in steps:
        pass
    update = live.now(first.since)
    assert [s.seq for s in update.decisions] == [22, 0, 21, *range(20, 8, -1)]
    numbers = [s.number for s in update.decisions]
    assert numbers == list(range(numbers[0], numbers[0] - 15, -1))
    assert update.totals.verdicts == {"block": 22}
    assert update.seconds.start < first.since, "who asked before hears of all that came back"
    again_refused = live.refusal(refused.number)
    assert again_refused is not None, "numbers that were told stay what they were"
    assert again_refused.summary.kind == "refused"


def test_what_is_kept_is_bounded_in_number_and_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = told()
    notes = kept.decide([message(i, 12, extra="x" * 1_000) for i in range(30)], step=SECOND)
    put(tmp_path, written(notes))
    assert again(kept, recall(Data(tmp_path), 1 << 40, kept.now), kept=7).now().kept == 7
    assert again(kept, recall(Data(tmp_path), 1 << 40, kept.now), kept_bytes=9_000).now().kept == 8
    monkeypatch.setattr(live_recall, "KEPT", 4)
    assert [json.loads(a.reply)["seq"] for a in recall(Data(tmp_path), 1 << 40, kept.now).answers] == [
        27,
        28,
        29,
        30,
    ]
    monkeypatch.setattr(live_recall, "KEPT_BYTES", 3_500)
    recalled = recall(Data(tmp_path), 1 << 40, kept.now)
    assert [json.loads(a.reply)["seq"] for a in recalled.answers] == [29, 30]
    assert recalled.entries == 30


def test_events_whose_decisions_never_come_are_not_held_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_recall, "MOST_WAITING_BYTES", 100)
    with closing(Journal.open(tmp_path / "journal", packs=False)) as journal:
        for seq in range(1, 6):
            journal.append("admitted", seq, 0, NOW, 1, NOW, b'"%b"' % (b"x" * 38), b"")
        for seq in range(1, 6):
            reply = encode(Refused("internal", "it failed", "review", "", "message"))
            journal.append("decided", seq, 5 + seq, NOW, 1, NOW, b"", reply)
        assert journal.flush()
    recalled = recall(Data(tmp_path), 1 << 40, NOW)
    assert recalled.entries == 5
    assert len(recalled.answers) == 2  # those whose events were still known


# ---------------------------------------------------------------------------------------- how far back


def segments(folder: Path) -> list[int]:
    return sorted(int(p.name.split("-")[0]) for p in (folder / "journal").glob("*.qj"))


@pytest.fixture
def long(tmp_path: Path) -> tuple[Path, list[Note]]:
    """A journal of many segments that goes over two days."""
    kept = told()
    notes = kept.decide([message(i, 12) for i in range(200)], step=15 * MINUTE)
    put(tmp_path, written(notes), size=1 << 13)
    return tmp_path, notes


def test_no_more_than_the_newest_segments_is_read(
    long: tuple[Path, list[Note]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = long
    now = notes[-1].wall
    firsts = segments(folder)
    day = next(i for i, first in enumerate(firsts) if notes[first - 1].wall >= now - 1_440 * MINUTE)
    recalled = recall(Data(folder), 1 << 40, now)
    assert recalled.first == notes[firsts[day - 1]].wall, (
        "of the segment in which the day began all but the first"
    )
    assert recalled.entries == len(notes) - firsts[day - 1]
    monkeypatch.setattr(live_recall, "MOST_ENTRIES", firsts[-1] - firsts[-4])
    fewer = recall(Data(folder), 1 << 40, now)
    assert fewer.entries == len(notes) - firsts[-4]
    monkeypatch.setattr(live_recall, "MOST_BYTES", 3 << 13)
    least = recall(Data(folder), 1 << 40, now)
    assert 0 < least.entries < fewer.entries
    assert least.answers[-1].wall == now
    monkeypatch.setattr(live_recall, "MOST_BYTES", 10)
    nothing = recall(Data(folder), 1 << 40, now)
    assert nothing.entries == 0
    assert nothing.problem == "the journal's newest segment is larger than the 10 bytes that are read for it"


def test_the_newest_answers_are_there_however_old_they_are(
    long: tuple[Path, list[Note]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = long
    later = notes[-1].wall + 10_000 * MINUTE
    assert recall(Data(folder), 200, later).entries == len(notes), "as many as are kept, if there are"
    monkeypatch.setattr(live_recall, "KEPT", 2)
    recalled = recall(Data(folder), 200, later)
    assert [a.wall for a in recalled.answers] == [n.wall for n in notes[-2:]]
    assert recalled.entries < 20


def test_what_comes_after_the_start_is_not_counted_twice(long: tuple[Path, list[Note]]) -> None:
    folder, notes = long
    recalled = recall(Data(folder), 150, notes[-1].wall)
    assert (recalled.entries, recalled.answers[-1].wall) == (150, notes[149].wall)


def test_an_empty_data_folder_has_nothing_to_remember(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    recalled = recall(Data(tmp_path), 1 << 40, NOW)
    assert (recalled.first, recalled.entries, recalled.answers, recalled.problem) == (0, 0, [], "")
    kept = told()
    update = again(kept, recalled).now()
    assert (update.counted, update.kept, update.oldest, update.past.state) == (NOW, 0, None, "read")


def test_a_clock_that_was_set_back_leaves_no_counts_in_times_to_come(tmp_path: Path) -> None:
    kept = told()
    notes = kept.decide([message(i, 12) for i in range(10)], step=MINUTE)
    put(tmp_path, written(notes))
    kept.now -= 5 * MINUTE
    update = again(kept, recall(Data(tmp_path), 1 << 40, kept.now)).now()
    assert update.totals.verdicts == {"block": 5}
    assert update.kept == 10


# ----------------------------------------------------------------------------- what others wrote, and damage


def decided(seq: int, verdict: str, rule: str, **more: Any) -> bytes:
    return encode(
        {"event": "message", "seq": seq, "at": NOW, "verdict": verdict, "fired": [{"rule": rule}], **more}
    )


def test_what_older_policies_decided_is_shown_as_it_was(tmp_path: Path) -> None:
    """Rules, verdicts, events that are no more; a reply with what this Quell does not know, and one that is
    none."""
    kept = told()
    event = encode(message(1, 12))
    vanished = encode({"event": "vanished", "seq": 2, "at": NOW, "verdict": "allow"})
    put(
        tmp_path,
        [
            ("event", 1, 1, 1, NOW, event, decided(1, "banish", "gone_rule", id="m1", whatever=[1])),
            ("event", 2, 2, 1, NOW + 1, b'{"type":"vanished"}', vanished),
            ("version", 3, 0, 2, NOW + 2, b"", b"{}"),
            ("event", 4, 4, 2, NOW + 3, event, b'{"event": 5}'),
            ("event", 5, 5, 2, NOW + 4, event, encode(Refused("defect", "it failed", "allow"))),
            ("admitted", 6, 0, 2, NOW + 5, event, b""),
            ("filled", 7, 7, 2, NOW + 6, b"", b"{}"),
            ("decided", 6, 8, 2, NOW + 7, b"", decided(6, "block", "shouting", decided=8)),
            ("admitted", 9, 0, 2, NOW + 8, event, b""),
            ("decided", 3, 10, 2, NOW + 9, b"", decided(3, "block", "shouting", decided=10)),
        ],
    )  # fmt: skip
    kept.now = NOW + 10
    recalled = recall(Data(tmp_path), 1 << 40, kept.now, ["block", "allow"])
    assert recalled.problem == "1 answers cannot be read"
    live = again(kept, recalled)
    update = live.now()
    assert update.totals.verdicts == {"banish": 1, "allow": 1, "block": 2}
    assert update.totals.refused == {"defect": 1}
    shown = {s.seq or s.kind: s for s in update.decisions}
    assert list(shown) == [6, "refused", 2, 1], "the event of number 3 was admitted before what is read"
    assert (shown[1].verdict, shown[1].level, shown[1].fired) == ("banish", -1, ["gone_rule"])
    assert [e.id for e in shown[6].entities] == ["u1"]
    assert (shown[2].entities, shown[2].level) == ([], 0)
    gone = next(r for r in live.rules().rules if r.name == "gone_rule")
    assert (gone.gone, gone.total, gone.hour, gone.last) == (True, 1, 1, NOW)
    detail = live.decision(1)
    assert detail is not None
    assert json.loads(bytes(detail.reply))["verdict"] == "banish"


def test_damaged_places_are_passed_over_and_told(tmp_path: Path) -> None:
    kept = told()
    notes = kept.decide([message(i, 12) for i in range(120)], step=SECOND)
    put(tmp_path, written(notes), size=1 << 13)
    files = sorted((tmp_path / "journal").glob("*.qj"))
    for file in (files[1], files[3]):
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
    files[5].write_bytes(b"\0" * files[5].stat().st_size)
    recalled = recall(Data(tmp_path), 1 << 40, kept.now)
    assert 118 > recalled.entries > 90
    assert recalled.answers[-1].wall == notes[-1].wall
    assert "is not what was written" in recalled.problem
    assert "more damaged places" in recalled.problem


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    recalled = recall(Data(tmp_path), 1 << 40, NOW)
    assert "cannot be read" in recalled.problem
    assert recalled.answers == []


# ------------------------------------------------------------------------------------------- a real restart

VERDICTS = "verdicts allow < flag < banish\n"
BEFORE = VERDICTS + POLICY.replace("then block", "then banish").replace("then review", "then flag")
AFTER = POLICY.replace("shouting", "noisy").replace("mode shadow", "mode live")


def policies(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "p.quell").write_text(text)
    return folder


def page(address: str) -> LiveUpdate:
    """What the page shows once the journal was read."""
    while True:
        update = get(address, "", LiveUpdate)
        if update.past.state != "reading":
            return update
        time.sleep(0.05)


def get(address: str, path: str, type_: type[T]) -> T:
    return msgspec.json.decode(
        httpx.get(f"{address}/v1/live{path}", timeout=60).raise_for_status().content, type=type_
    )


def send(address: str, events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        httpx.post(f"{address}/v1/decide", json=event, timeout=60).raise_for_status()


def killed(bundle: Path, data: Path, events: list[dict[str, Any]]) -> LiveUpdate:
    """What the page of a service shows that then ends without a word."""
    with serving(bundle, data) as process:
        send(process.address, events)
        while True:
            update = get(process.address, "", LiveUpdate)
            if sum(update.totals.verdicts.values()) == len(events):
                break
            time.sleep(0.05)
        process.end(signal.SIGKILL)
    return update


@pytest.mark.slow
def test_a_killed_service_begins_with_what_its_page_showed(tmp_path: Path) -> None:
    bundle, data = policies(tmp_path / "policies", BEFORE), tmp_path / "data"
    was = killed(bundle, data, [message(i, i % 14) for i in range(28)])
    assert was.totals.verdicts["banish"] == 6
    policies(bundle, AFTER)
    with serving(bundle, data) as process:
        update = page(process.address)
        assert (update.past.state, update.past.problem) == ("read", "")
        assert update.totals.verdicts == was.totals.verdicts
        assert update.counted < update.started
        assert update.kept == 28
        assert [s.seq for s in update.decisions] == [s.seq for s in was.decisions]
        assert {r.verdict: r.level for r in update.former} == {"banish": 8}
        found = get(process.address, "/search?q=rule:shouting", Found)
        assert {(s.verdict, s.level) for s in found.decisions} == {("banish", 8)}
        rules = {r.name: r for r in get(process.address, "/rules", Rules).rules}
        assert rules["shouting"].gone
        assert rules["shouting"].total == len(found.decisions) == was.totals.verdicts["banish"]
        assert rules["noisy"].edited is not None
        send(process.address, [message(90, 12)])
        detail = get(process.address, f"/decisions/{found.decisions[0].seq}", Detail)
        assert {r.verdict: r.level for r in detail.ladder}["banish"] == 8
        past = f"{process.address}/v1/decisions/{found.decisions[0].seq}/explanation"
        assert httpx.get(past, timeout=120).status_code == 200


@pytest.mark.slow
def test_a_damaged_journal_hinders_no_start(tmp_path: Path) -> None:
    """With a snapshot of all of it, a start needs nothing of the journal but its end."""
    bundle, data = policies(tmp_path / "policies", BEFORE), tmp_path / "data"
    data.mkdir()
    (data / "service.toml").write_text('[journal]\nsegment = "64KiB"\n')
    with serving(bundle, data) as process:
        send(process.address, [message(i, i % 14, extra="x" * 6_000) for i in range(60)])
        assert process.end() == 0
    flipped, emptied, gone, *_ = sorted(
        p for p in (data / "journal").iterdir() if p.suffix in (".qj", ".parquet")
    )
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped.write_bytes(raw)
    emptied.write_bytes(b"")
    gone.unlink()
    with serving(bundle, data) as process:
        update = page(process.address)
        assert (update.past.state, bool(update.past.problem)) == ("read", True)
        assert 10 < update.kept < 50
        assert update.decisions[0].seq == 61, "the version before them has number 1"
        send(process.address, [message(90, 12)])
