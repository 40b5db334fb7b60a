"""Events that come again under their Idempotency-Key are answered as before, and counted once: after restarts
and kills, while the first is under way, while the journal cannot be written, once the past was dropped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.decision import Acted, Decision, Refused
from quell.engine.idempotency import GRAIN, HOUR, Bounds, Known, digest_of
from quell.engine.journal import Journal, read
from quell.engine.journal_find import find
from quell.engine.journal_format import JournalError
from quell.engine.once import RECENT_BYTES, Answered, Past
from quell.engine.service import Service
from quell.engine.service_types import VersionInfo
from quell.engine.serving import Serving, Setup, serving
from quell.engine.stepper import Stepper
from tests.http_support import message, service
from tests.service_here import here, kill, until
from tests.service_world import START, Events, Follower, memory, texts_of, write_bundle
from tests.test_remake import BUILDS, World, Written, event
from tests.virtual_time import run


def many(number: int, name: str = "e") -> list[bytes]:
    """Events that are decided."""
    events, found = Events(random.Random(7), name), list[bytes]()
    while len(found) < number:
        one = events.next()
        if b'"report"' not in one:
            found.append(one)
    return found


def of(known: Known) -> list[Any]:
    """All that is known of keys, as plain values."""
    found: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(list(known.sections())))
    return found


class Platform:
    """A service over a folder, which ends and begins again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
        here(monkeypatch)
        self.policies = write_bundle(folder / "policies", texts_of(1, same=True))
        self.data, self.setup = folder / "data", Setup(**more)
        self.follower = Follower(self.data)

    async def round(self, work: Callable[[Serving], Awaitable[None]], killed: bool = False) -> None:
        """Begin it, do something, and end it; what came back is what a run without an end remembers."""
        async with serving(self.policies, self.data, self.setup) as running:
            self.follower.follow()
            assert running.restart.differing == 0
            assert memory(running.service.engine.stepper) == memory(self.follower.remaker.stepper)
            await work(running)
            if killed:
                await kill(running)

    def entries(self) -> int:
        """The entries of the journal."""
        return sum(1 for _ in read(self.data / "journal"))


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("snapshot", [False, True])
def test_what_was_answered_is_answered_alike_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool, snapshot: bool
) -> None:
    platform, events = Platform(tmp_path, monkeypatch, segment_bytes=1 << 16), many(300)
    given: dict[str, Answered] = {}
    known: list[Any] = []

    async def first(running: Serving) -> None:
        for place, one in enumerate(events):
            answered = await running.service.once.decide(one, f"k{place}")
            assert not answered.replayed
            given[f"k{place}"] = answered
            if snapshot and place == 150:
                assert (await running.snapshots.make()).number
        known.extend(of(running.service.known))

    async def second(running: Serving) -> None:
        once, seq, before = running.service.once, running.service.engine.stepper.seq, platform.entries()
        assert of(running.service.known) == known
        for place in (0, 5, 150, 151, 299, 299):
            answered = await once.decide(events[place], f"k{place}")
            assert answered.replayed
            assert answered[:2] == given[f"k{place}"][:2]
        other = await once.decide(events[1], "k2")
        assert isinstance(other.reply, Refused)
        assert (other.reply.kind, other.replayed) == ("other-event", False)
        running.journal.flush()
        assert (running.service.engine.stepper.seq, platform.entries()) == (seq, before)
        figures = once.figures()
        assert (figures.keys, figures.repeated, figures.other, figures.slow) == (300, 6, 1, 0)

    async def main() -> None:
        await platform.round(first, killed)
        await platform.round(second)
        await platform.round(second)

    asyncio.run(main())


def test_a_repeat_sends_nothing_and_nobody_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path, monkeypatch)
    telling = msgspec.json.encode(
        {"type": "message", "id": "t", "at": START / 1e6, "author": "a", "content": "tell us"}
    )

    async def work(running: Serving) -> None:
        seen, taken = list[Any](), list[int]()
        running.service.watchers.append(seen.extend)
        running.service.taker = lambda number, decision: taken.append(number)
        first = await running.service.once.decide(telling, "k")
        assert isinstance(first.reply, Decision)
        assert first.reply.sends
        for _ in range(5):
            assert (await running.service.once.decide(telling, "k")).replayed
        running.service.tell()
        assert len(taken) == 1
        assert len(seen) == 1

    asyncio.run(platform.round(work))


def test_a_label_by_hand_under_a_key_is_put_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(tmp_path, monkeypatch)
    entry: dict[str, Any] = {
        "type": "quell.label",
        "action": "set",
        "entity": "User",
        "id": "a",
        "label": "spammer",
    }
    entry |= {"at": START / 1e6, "by": "ana"}

    async def first(running: Serving) -> None:
        assert isinstance((await running.service.once.decide(entry, "k")).reply, Acted)

    async def second(running: Serving) -> None:
        answered = await running.service.once.decide(entry, "k")
        assert isinstance(answered.reply, Acted)
        assert answered.replayed
        refused = await running.service.once.decide({**entry, "id": "b"}, "l", by_hand=False)
        assert isinstance(refused.reply, Refused)
        assert isinstance((await running.service.once.decide({**entry, "id": "b"}, "l")).reply, Acted)

    async def main() -> None:
        await platform.round(first, killed=True)
        await platform.round(second)

    asyncio.run(main())


# ------------------------------------------------------------------ without a data folder


def test_refusals_leave_the_key_free() -> None:
    async def main() -> None:
        made = service()
        bad, good = message(at="yesterday"), message()
        for _ in range(2):
            answered = await made.once.decide(bad, "k")
            assert isinstance(answered.reply, Refused)
            assert not answered.replayed
        assert not (await made.once.decide(good, "k")).replayed
        assert (await made.once.decide(good, "k")).replayed
        assert made.engine.stepper.seq == 1

    asyncio.run(main())


def test_the_same_key_of_somebody_else_is_another() -> None:
    async def main() -> None:
        made = service()
        said = [await made.once.decide(message(n), "k", whose=w) for n, w in enumerate(("", "a", "b"))]
        assert not any(answered.replayed for answered in said)
        assert (await made.once.decide(message(1), "k", whose="a")).encoded == said[1].encoded

    asyncio.run(main())


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 201, "a\n"], ids=ascii)
def test_a_key_that_is_none_is_refused_before_anything_counts(key: str) -> None:
    async def main() -> None:
        made = service()
        with pytest.raises(ValueError, match="1 to 200"):
            await made.once.decide(message(), key)
        with pytest.raises(ValueError, match="deadline"):
            await made.once.decide(message(), "k", float("nan"))
        with pytest.raises(ValueError, match="JSON"):
            await made.once.decide({"a": object()}, "k")
        assert made.engine.stepper.seq == 0
        assert len(made.known) == 0

    asyncio.run(main())


def test_a_key_holds_for_a_time() -> None:
    now = [10**18]
    made = service(known=Known(Bounds(10, HOUR)), clock=lambda: now[0], ahead=None)

    async def main() -> None:
        await made.once.decide(message(), "k")
        now[0] += (HOUR - 1) * 1_000
        made.move_clock()
        assert (await made.once.decide(message(), "k")).replayed
        now[0] += (GRAIN + 1) * 1_000
        made.move_clock()
        assert not (await made.once.decide(message(), "k")).replayed
        assert made.engine.stepper.seq == 2

    asyncio.run(main())


def test_answers_at_hand_are_bounded_and_read_again_beyond() -> None:
    made, asked = service(), list[int]()
    long = "x" * 30_000
    kept: dict[int, Past] = {}

    async def past(number: int) -> Past | None:
        asked.append(number)
        await asyncio.sleep(0)
        return kept.get(number)

    async def main() -> None:
        made.once.past = past
        number = RECENT_BYTES // 30_000 + 5
        for n in range(number):
            answered = await made.once.decide(message(n, content=long), f"k{n}")
            kept[n + 1] = Past(msgspec.json.encode(message(n, content=long)), answered[:2])
        assert (await made.once.decide(message(number - 1, content=long), f"k{number - 1}")).replayed
        assert asked == []
        said = await asyncio.gather(*(made.once.decide(message(0, content=long), "k0") for _ in range(9)))
        assert all(answered.replayed for answered in said)
        assert asked == [1]  # once for all who ask
        del kept[2]  # dropped, as the journal is kept for a time only
        assert not (await made.once.decide(message(1, content=long), "k1")).replayed
        assert made.engine.stepper.seq == number + 1

    asyncio.run(main())


def test_a_journal_that_has_no_answer_is_told_and_counts_nothing() -> None:
    async def past(number: int) -> Past | None:
        raise JournalError("it is damaged")

    async def main() -> None:
        made = service()
        made.once.past = past
        made.known.put(digest_of("k"), 1, made.wall)
        for _ in range(2):
            with pytest.raises(JournalError, match="damaged"):
                await made.once.decide(message(), "k")
        assert made.engine.stepper.seq == 0

    asyncio.run(main())


# ------------------------------------------------------------------ what waits


def waiting(journal: Written) -> Service:
    """A service whose remote model takes its time: up to 0.6 s by a clock of its own."""
    made = Service(
        Stepper(BUILDS[1]),
        journal=journal,
        functions={"scam-classifier": World(3).answer},
        ahead=None,
    )
    made.note_version(VersionInfo(1, "", 0, "test", "start"))
    return made


def test_repeats_wait_for_the_first_and_are_one_decision() -> None:
    journal = Written()

    async def main() -> None:
        made = waiting(journal)
        one = event(1, "a", "a longer text", 0)
        said = await asyncio.gather(*(made.once.decide(one, "k") for _ in range(20)))
        assert len({answered.encoded for answered in said}) == 1
        assert sorted(answered.replayed for answered in said) == [False] + [True] * 19
        other = event(2, "a", "a longer text", 0)
        first = asyncio.ensure_future(made.once.decide(other, "l"))
        await asyncio.sleep(0)
        refused = await made.once.decide(one, "l")
        assert isinstance(refused.reply, Refused)
        assert refused.reply.kind == "other-event"
        assert not (await first).replayed
        await made.close()

    run(main())
    assert [e.kind for e in journal.entries] == ["version", "admitted", "decided", "admitted", "decided"]
    assert [bool(e.key) for e in journal.entries] == [False, True, False, True, False]


def test_a_repeat_waits_within_its_own_deadline_and_who_gives_up_loses_nothing() -> None:
    journal = Written()

    async def main() -> None:
        made = waiting(journal)
        one, key = event(1, "a", "a longer text", 0), "k"
        asked = asyncio.ensure_future(made.once.decide(one, key))
        await asyncio.sleep(0)
        assert made.engine.waiting
        late = await made.once.decide(one, key, 0.001)
        assert isinstance(late.reply, Refused)
        assert (late.reply.kind, late.replayed) == ("under-way", False)
        asked.cancel()
        answered = await made.once.decide(one, key, 5.0)
        assert answered.replayed
        assert isinstance(answered.reply, Decision)
        await made.close()

    run(main())
    assert [e.kind for e in journal.entries] == ["version", "admitted", "decided"]


def test_what_waits_at_the_gate_keeps_its_key() -> None:
    async def main() -> None:
        made = service()
        async with made.held():
            said = [asyncio.ensure_future(made.once.decide(message(), "k")) for _ in range(3)]
            await asyncio.sleep(0)
            plain = asyncio.ensure_future(made.decide(message(2)))
            await asyncio.sleep(0)
        answers = [await one for one in said]
        await plain
        assert [answered.replayed for answered in answers] == [False, True, True]
        assert made.engine.stepper.seq == 2
        assert len(made.known) == 1

    asyncio.run(main())


def test_a_key_is_never_another_events() -> None:
    journal = Written()

    async def main() -> None:
        made = service(journal=journal)
        await made.once.decide(message(at="yesterday"), "k")
        await made.decide(message(1))
        await made.once.decide(message(2), "k")
        await made.decide(message(3))

    asyncio.run(main())
    assert [e.key for e in journal.entries] == [b"", digest_of("k"), b""]


# ------------------------------------------------------------------ the journal


def test_a_decision_that_could_not_be_written_is_there_once_it_can() -> None:
    journal = Written()

    async def main() -> None:
        made = service(journal=journal)

        async def past(number: int) -> Past | None:
            (entry,) = [e for e in journal.entries[: journal.flushed] if e.seq == number]
            return Past(entry.event, (msgspec.json.decode(entry.reply, type=Decision), entry.reply))

        made.once.past = past
        journal.failing = True
        for _ in range(3):
            refused = await made.once.decide(message(), "k")
            assert isinstance(refused.reply, Refused)
            assert (refused.reply.kind, refused.replayed) == ("unwritten", False)
        journal.failing = False
        answered = await made.once.decide(message(), "k")
        assert isinstance(answered.reply, Decision)
        assert answered.replayed
        assert made.engine.stepper.seq == len(journal.entries) == 1

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["each", "batch", "off"])
def test_an_answer_is_as_durable_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    platform, events = Platform(tmp_path, monkeypatch, durability=durability), many(40)

    async def work(running: Serving) -> None:
        once = running.service.once
        said = await asyncio.gather(*(once.decide(one, one.hex()[:100]) for one in events))
        once._recent.clear()
        again = await asyncio.gather(*(once.decide(one, one.hex()[:100]) for one in events))
        assert [a.encoded for a in said] == [a.encoded for a in again]
        if durability == "each":
            assert running.journal.figures().unsynced == 0

    asyncio.run(platform.round(work))


def test_a_key_whose_decision_was_dropped_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(
        tmp_path, monkeypatch, segment_bytes=1 << 16, keep_bytes=1 << 17, snapshots_kept=1, sinks={}
    )
    one, *rest = many(1_200)

    async def fill(running: Serving) -> None:
        await running.service.once.decide(one, "k")
        running.service.taker = None
        for event_ in rest:
            await running.service.decide(event_)
        await running.snapshots.make()

    async def again(running: Serving) -> None:
        running.outbox.passed(running.journal.last)
        running.journal.keep_from = running.journal.last
        await until(lambda: running.journal.figures().first > 2)
        assert digest_of("k") in running.service.known._numbers
        assert not (await running.service.once.decide(one, "k")).replayed
        assert (await running.service.once.decide(one, "k")).replayed

    async def main() -> None:
        await platform.round(fill)
        await platform.round(again)

    asyncio.run(main())


def test_a_decision_is_found_by_its_number(tmp_path: Path) -> None:
    from tests.test_journal_cli import HISTORY

    journal = Journal.open(tmp_path, packs=False)
    for entry in HISTORY:
        journal.append(*entry)
    assert journal.flush()
    journal.close()
    found = find(tmp_path, 3)
    assert found is not None
    assert (found.kind, found.event, found.decided) == ("decided", b'{"n":\n3}', 5)
    assert find(tmp_path, 1) is None  # a change of version
    assert find(tmp_path, 8) is None  # it waits
    assert find(tmp_path, 99) is None
