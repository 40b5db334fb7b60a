"""The outbox: at least once, in order where that is promised, whatever sinks and the process do."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.decision import Decision, Sent
from quell.engine.outbox import Outbox
from quell.engine.outbox_lane import Item, Lane, item_of
from quell.engine.outbox_look import SinkSeen, look
from quell.engine.outbox_types import Dead, Message, OutboxError, Retry, key_of, tag_of
from tests.outbox_support import START, Journal, Recorder, decision, made, running, settled
from tests.virtual_time import run


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of virtual time write very often, and what a power cut leaves is not what is tested here."""
    monkeypatch.setattr("os.fdatasync", lambda file: None)
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr("quell.engine.outbox_dead.SYNCHRONOUS", "off")


def failing(times: int, error: Exception | None = None) -> Any:
    """Fails that often for each message."""
    seen: Counter[str] = Counter()

    def behave(message: Message) -> None:
        seen[message.key] += 1
        if seen[message.key] <= times:
            raise error or Retry("not now")

    return behave


# ------------------------------------------------------------------ delivery


def test_what_is_delivered(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            made = decision(7, "mods", "mods")
            outbox.take(7, made)
            await settled(outbox, 7)
        first, second = sink.got
        assert first == Message(
            "mods", "flood", key_of("j", 7, 0, tag_of(made, 0)), 7, "message", "m7", 7_000_000, "block",
            {"n": 7, "i": 0},
        )  # fmt: skip
        assert first.key.startswith("j-7-0-")
        assert second.key.startswith("j-7-1-")
        assert b'"at":"1970-01-01T00:00:07Z"' in first.body()

    run(main())


def test_in_order_where_one_is_under_way_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        chance = random.Random(1)

        def behave(message: Message) -> None:
            if chance.random() < 0.4:
                raise Retry("not now")

        sink = Recorder(behave, concurrency=1)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 101):
                outbox.take(number, decision(number, "mods"))
            await settled(outbox, 100)
        assert sink.numbers == list(range(1, 101))
        assert len(sink.tried) > 120

    run(main())


def test_in_order_with_many_under_way_of_an_ordered_sink(tmp_path: Path) -> None:
    """When one fails, those begun after it fail too, as with a full disk."""

    async def main() -> None:
        down_until, written = 1_005.0, list[int]()

        async def behave(message: Message) -> None:
            up = asyncio.get_running_loop().time() >= down_until
            written.extend([message.number] * up)
            await asyncio.sleep(0.01 * (1 + message.number * 7 % 5))
            if not up:
                raise Retry("no space left on device", all=True)

        sink = Recorder(behave, concurrency=8, ordered=True, base=0.001, most=0.002)
        async with running(tmp_path / "outbox", {"file": sink}) as outbox:
            for number in range(1, 101):
                outbox.take(number, decision(number, "file"))
            await settled(outbox, 100)
        assert written == list(range(1, 101))

    run(main())


def test_no_more_at_once_than_was_said(tmp_path: Path) -> None:
    async def main() -> None:
        under_way = most = 0

        async def behave(message: Message) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(1)
            under_way -= 1

        sink = Recorder(behave, concurrency=3)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 31):
                outbox.take(number, decision(number, "mods"))
            await settled(outbox, 30)
            assert asyncio.get_running_loop().time() < 1_011
        assert most == 3

    run(main())


@pytest.mark.parametrize("trouble", ["hangs", "fails", "swallows", "exits"])
def test_a_sick_sink_holds_up_no_other(tmp_path: Path, trouble: str) -> None:
    async def main() -> None:
        async def behave(message: Message) -> None:
            if trouble == "fails":
                raise OSError("broken")
            if trouble == "exits":
                sys.exit(3)
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                if trouble == "hangs":
                    raise
                raise ValueError("not what was asked") from None

        sick, well = Recorder(behave, timeout=5.0), Recorder()
        async with running(tmp_path / "outbox", {"sick": sick, "well": well}) as outbox:
            for number in range(1, 501):
                outbox.take(number, decision(number, "sick", "well"))
            while len(well.got) < 500:
                await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() < 1_001
            await asyncio.sleep(3_600)
            assert not sick.got
            assert outbox.done_upto == 0
            assert len(sick.tried) < 500  # asked ever more rarely, not once for each message
            figures = outbox.figures().sinks["sick"]
            assert figures.waiting == 500
            assert figures.oldest == START
            assert (
                figures.trouble
                == {
                    "hangs": "took longer than 5 s",
                    "fails": "raised OSError: broken",
                    "swallows": "raised ValueError: not what was asked",
                    "exits": "raised SystemExit: 3",
                }[trouble]
            )

    run(main())


def test_a_sink_that_comes_back_gets_all_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        down = True

        def behave(message: Message) -> None:
            if down:
                raise Retry("connection refused", all=True)

        sink = Recorder(behave)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 301):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(7_200)
            down = False
            await asyncio.sleep(301)  # the longest pause
            assert sorted(sink.numbers) == list(range(1, 301))
            assert outbox.figures().sinks["mods"].trouble == ""

    run(main())


def test_one_message_that_always_fails_keeps_out_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        def behave(message: Message) -> None:
            if message.number in (2, 3, 4, 5):
                raise Retry("answered 500")

        sink = Recorder(behave)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 201):
                outbox.take(number, decision(number, "mods"))
                await asyncio.sleep(30)
            await asyncio.sleep(120)
            assert len(sink.got) == 196

    run(main())


def test_in_trouble_neither_what_is_new_nor_what_failed_keeps_out_the_other() -> None:
    lane = Lane("mods", Recorder(base=1e-9), 100, random.Random(1), 0)
    for number in range(1, 51):
        lane.take(item_of(number, 0, decision(number, "mods"), 0))
    tried = []
    for minute in range(1, 41):
        item = lane.next(minute * 301.0)
        assert isinstance(item, Item)
        tried.append(item.number)
        lane.stumbled(item, Retry("down", all=True), minute * 301.0, 0)
    assert 15 <= len(set(tried)) <= 25


# ------------------------------------------------------------------ trying again


def test_pauses_double_with_full_jitter_up_to_the_longest() -> None:
    lane = Lane("mods", Recorder(base=2.0, most=64.0, age=1e9), 10, random.Random(1), 0)
    item = item_of(1, 0, decision(1, "mods"), 0)
    pauses = []
    for attempt in range(2_000):
        assert not lane.stumbled(item, Retry("answered 500"), 1_000.0, 0)
        pauses.append(item.due - 1_000.0)
        assert 0 <= pauses[-1] <= min(64.0, 2.0 * 2.0 ** min(attempt, 50))
    later = pauses[6:]
    assert 30 < sum(later) / len(later) < 34  # uniform from nothing to the longest
    assert min(later) < 1
    assert max(later) > 63


def test_a_sink_says_when_to_come_again(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(failing(1, Retry("answered 429", 120.0, all=True)))
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await asyncio.sleep(1)
            outbox.take(2, decision(2, "mods"))
            await asyncio.sleep(118)
            assert len(sink.tried) == 1  # it holds for all
            await settled(outbox, 1)
            assert min(sink.times[1:]) >= 1_120

    run(main())


def test_a_sink_may_say_so_of_one_message_only(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(lambda m: failing_once(m) if m.number == 1 else None)
        failing_once = failing(1, Retry("answered 500", 120.0))
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 11):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(1)
            assert sorted(sink.numbers) == list(range(2, 11))
            await settled(outbox, 10)
            assert sink.times[-1] >= 1_120

    run(main())


def test_nobody_waits_longer_than_an_hour_because_a_sink_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(failing(1, Retry("answered 503", 1e9, all=True)))
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await asyncio.sleep(3_700)
            assert sink.numbers == [1]

    run(main())


def test_given_up_after_so_many_attempts(tmp_path: Path) -> None:
    async def main() -> None:
        errors = iter(["first", "second", "third"])

        def behave(message: Message) -> None:
            raise Retry(next(errors))

        async with running(tmp_path / "outbox", {"mods": Recorder(behave, attempts=3)}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            (letter,) = outbox.dead()
            assert letter.reason == "given up after 3 attempts: third"
            assert (letter.attempts, letter.first_error, letter.last_error) == (3, "first", "third")
            assert letter.taken == letter.first_tried == START
            assert letter.died > START
            figures = outbox.figures().sinks["mods"]
            assert (figures.died, figures.dead, figures.failed, figures.waiting) == (1, 1, 3, 0)

    run(main())


def test_given_up_when_too_old(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(failing(10**6, Retry("answered 500")), age=3_600.0)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 1_001):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(1_800)
            outbox.take(1_001, decision(1_001, "mods"))
            await asyncio.sleep(1_700)
            assert not outbox.dead()
            await asyncio.sleep(600)
            dead = outbox.dead()
            assert {letter.message.number for letter in dead} == set(range(1, 1_001))
            assert any(letter.attempts == 0 for letter in dead)  # it was in trouble, so not all were tried
            assert {letter.reason for letter in dead if not letter.attempts} == {
                "given up after 1 h: answered 500"
            }
            assert outbox.done_upto == 1_000

    run(main())


def test_what_is_refused_for_good_is_dead_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(failing(1, Dead("answered 410: gone\n\x1b[31m" + "x" * 1_000)))
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            (letter,) = outbox.dead("mods")
            assert letter.reason.startswith("answered 410: gone")
            assert len(letter.reason) <= 300
            assert len(sink.tried) == 1

    run(main())


def test_without_a_sink_a_send_is_a_dead_letter_that_can_be_sent_once_there_is_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "outbox", {}) as outbox:
            for number in range(1, 2_501):
                outbox.take(number, decision(number, "later"))
            await settled(outbox, 2_500)
            await asyncio.sleep(6)
            figures = outbox.figures().sinks["later"]
            assert (figures.configured, figures.died, figures.dead, figures.waiting) == (
                False,
                2_500,
                2_500,
                0,
            )
            letters = outbox.dead("later")
            assert {letter.reason for letter in letters} == {"no such sink is configured"}
            assert outbox.resend(sink="later") == 2_500
            await asyncio.sleep(5)
            assert len(outbox.dead("later")) == 2_500  # still nobody to take them
        sink = Recorder()
        async with running(tmp_path / "outbox", {"later": sink}) as outbox:
            while outbox.dead():
                await asyncio.sleep(1)
        assert sink.numbers == list(range(1, 2_501)) or sorted(sink.numbers) == list(range(1, 2_501))
        assert [m.key for m in sink.got] == [letter.message.key for letter in letters]

    run(main())


def test_what_json_cannot_say_is_a_dead_letter(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            sends = (Sent("mods", "r", {"n": "\ud800"}), Sent("mods", "r", {"n": 1}))
            outbox.take(1, Decision("message", 1, 0, "block", sends=sends))
            await settled(outbox, 1)
            assert [letter.reason for letter in outbox.dead()] == ["its payload cannot be written as JSON"]
            assert len(sink.got) == 1

    run(main())


# ------------------------------------------------------------------ dead letters


def test_dead_letters_are_sent_again_once_and_under_the_same_key(tmp_path: Path) -> None:
    async def main() -> None:
        well = False

        def behave(message: Message) -> None:
            if not well:
                raise Dead("answered 401")

        sink, other = Recorder(behave), Recorder(behave)
        sinks = {"mods": sink, "other": other}
        async with running(tmp_path / "outbox", sinks) as outbox:
            for number in range(1, 6):
                outbox.take(number, decision(number, "mods", "other"))
            await settled(outbox, 5)
            keys = [letter.message.key for letter in outbox.dead("mods")]
            assert outbox.resend(keys[:1]) == 1
            await asyncio.sleep(3)
            assert [letter.attempts for letter in outbox.dead("mods")] == [2, 1, 1, 1, 1]
            well = True
            assert outbox.resend([keys[1], keys[1], "no such key"]) == 1
            await asyncio.sleep(3)
            assert [m.key for m in sink.got] == [keys[1]]
            assert outbox.resend(sink="mods") == 4
            assert outbox.resend(sink="mods") == 0
            await asyncio.sleep(3)
            assert Counter(m.key for m in sink.got) == Counter(keys)
            assert outbox.drop([outbox.dead()[0].message.key]) == 1
            assert outbox.resend() == 4
            await asyncio.sleep(3)
            assert outbox.dead() == []
            assert len(other.got) == 4
            await asyncio.sleep(6)
            assert outbox.figures().sinks["mods"].dead == 0
        async with running(tmp_path / "outbox", sinks):
            await asyncio.sleep(10)
        assert (len(sink.got), len(other.got)) == (5, 4)

    run(main())


def test_a_dead_letter_that_fails_again_tells_what_it_meets_with(tmp_path: Path) -> None:
    async def main() -> None:
        outcomes = iter([Dead("answered 401")])

        def behave(message: Message) -> None:
            raise next(outcomes, Retry("could not be reached"))

        async with running(tmp_path / "outbox", {"mods": Recorder(behave)}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            assert look(tmp_path / "outbox").sinks["mods"] == SinkSeen(dead=1)
            outbox.resend()
            await asyncio.sleep(20)
            (letter,) = outbox.dead()
            assert (letter.state, letter.reason) == ("sending", "answered 401")
            assert letter.attempts > 2
            assert (letter.first_error, letter.last_error) == ("answered 401", "could not be reached")
            seen = look(tmp_path / "outbox").sinks["mods"]
            assert seen == SinkSeen(dead=1, again=1, first_error="could not be reached")
        before = letter.attempts
        async with running(tmp_path / "outbox", {"mods": Recorder(behave, age=1.0)}) as outbox:
            await asyncio.sleep(4_000)  # what is old when a service starts gets another hour
            (letter,) = outbox.dead()
            assert (letter.state, letter.last_error) == ("dead", "could not be reached")
            assert letter.attempts > before

    run(main())


def test_dead_letters_come_in_pages(tmp_path: Path) -> None:
    async def main() -> None:
        def behave(message: Message) -> None:
            raise Dead("answered 401")

        async with running(tmp_path / "outbox", {"mods": Recorder(behave)}) as outbox:
            for number in range(1, 6):
                outbox.take(number, decision(number, "mods"))
            await settled(outbox, 5)
            first = outbox.dead(most=2)
            second = outbox.dead(most=2, after=first[-1].message.key)
            assert [letter.message.number for letter in (*first, *second)] == [1, 2, 3, 4]
            assert outbox.drop([first[-1].message.key]) == 1
            with pytest.raises(OutboxError, match="there is no dead letter"):
                outbox.dead(most=2, after=first[-1].message.key)  # not the first page once more

    run(main())


def test_a_dead_letter_that_is_dropped_while_it_is_sent_stays_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        async def behave(message: Message) -> None:
            await asyncio.sleep(4)
            raise Dead("answered 401")

        async with running(tmp_path / "outbox", {"mods": Recorder(behave)}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            outbox.resend()
            await asyncio.sleep(3)
            assert [letter.state for letter in outbox.dead()] == ["sending"]
            assert outbox.drop() == 1
            await asyncio.sleep(10)
            assert outbox.dead() == []

    run(main())


def test_a_dead_letter_under_way_when_the_process_ends_is_sent_at_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        outcomes = iter([Dead("answered 401"), None, None])

        async def behave(message: Message) -> None:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome
            if len(sink.tried) == 2:
                await asyncio.sleep(1e6)

        sink = Recorder(behave, timeout=1e9)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            outbox.resend()
            await asyncio.sleep(5)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            while outbox.dead():
                await asyncio.sleep(1)
        assert len(sink.tried) == 3
        assert len({m.key for m in sink.tried}) == 1

    run(main())


def test_dead_letters_take_no_more_room_than_they_may(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "outbox", {}, most_dead_bytes=400_000) as outbox:
            for number in range(1, 3_001):
                outbox.take(number, decision(number, "nowhere"))
            await settled(outbox, 3_000)
            left = outbox.dead()
            assert outbox.figures().dropped == 3_000 - len(left) > 0
            assert left[-1].message.number == 3_000
            assert [x.message.number for x in left] == list(range(3_001 - len(left), 3_001))

    run(main())


# ------------------------------------------------------------------ restarts


def test_a_restart_leaves_out_what_was_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        slow = Recorder(lambda m: asyncio.sleep(1e6 if m.number == 3 else 0), timeout=1e9)
        quick, journal = Recorder(), Journal()
        async with running(tmp_path / "outbox", {"slow": slow, "quick": quick}) as outbox:
            for _ in range(10):
                journal.take(outbox, "slow", "quick")
            await asyncio.sleep(7)
            assert outbox.done_upto == 2
        again = {"slow": Recorder(), "quick": Recorder()}
        outbox = made(tmp_path / "outbox", again, last=10)
        assert outbox.done_upto == 2
        for one in journal.decisions:
            outbox.restore(one.decided, one)
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 10)
        await outbox.close()
        await task
        assert again["slow"].numbers == [3]
        assert again["slow"].got[0].key == slow.tried[2].key
        assert again["quick"].got == []

    run(main())


def test_attempts_and_age_count_on_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(failing(10**6, Retry("down")), attempts=7, most=10.0)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            while len(sink.tried) < 4:
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.2)
            tried = len(sink.tried)
        outbox = made(tmp_path / "outbox", {"mods": sink}, last=1)
        outbox.restore(1, decision(1, "mods"), START)
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 1)
        (letter,) = outbox.dead()
        assert 4 <= tried < 7 == len(sink.tried) == letter.attempts
        assert letter.first_tried == START
        await outbox.close()
        await task

    run(main())


def test_what_is_old_when_the_service_starts_gets_another_hour(tmp_path: Path) -> None:
    async def main() -> None:
        down = True

        def behave(message: Message) -> None:
            if down:
                raise Retry("down", all=True)

        sink = Recorder(behave)
        outbox = made(tmp_path / "outbox", {"mods": sink})
        for number in range(1, 101):
            outbox.restore(number, decision(number, "mods"), START - 3 * 86_400_000_000)
        task = asyncio.create_task(outbox.run())
        await asyncio.sleep(3_000)
        assert outbox.dead() == []
        outbox.take(101, decision(101, "mods"))
        await asyncio.sleep(1_200)
        assert {letter.message.number for letter in outbox.dead()} == set(range(1, 101))
        down = False
        await settled(outbox, 101)
        assert sink.numbers == [101]
        await outbox.close()
        await task

    run(main())


def test_closing_finishes_what_is_under_way_and_keeps_the_rest(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(lambda m: asyncio.sleep(5), concurrency=2)
        outbox = made(tmp_path / "outbox", {"mods": sink})
        task = asyncio.create_task(outbox.run())
        for number in range(1, 11):
            outbox.take(number, decision(number, "mods"))
        await asyncio.sleep(1)
        await outbox.close(grace=10)
        await task
        assert asyncio.get_running_loop().time() < 1_006
        assert sorted(sink.numbers) == [1, 2]
        assert made(tmp_path / "outbox", {}).done_upto == 2

    run(main())


def test_closing_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = made(tmp_path / "outbox", {"mods": Recorder(lambda m: asyncio.sleep(1e6), timeout=1e9)})
        task = asyncio.create_task(outbox.run())
        outbox.take(1, decision(1, "mods"))
        await asyncio.sleep(1)
        await outbox.close(grace=10)
        await task
        assert asyncio.get_running_loop().time() < 1_012
        assert made(tmp_path / "outbox", {}).done_upto == 0

    run(main())


def test_numbers_that_the_journal_lost_are_not_mistaken_for_settled(tmp_path: Path) -> None:
    """A power cut takes the end of the journal, of which the outbox knew already."""

    async def main() -> None:
        async with running(tmp_path / "outbox", {"mods": (before := Recorder())}) as outbox:
            for number in range(1, 11):
                outbox.take(number, decision(number, "mods"))
            await settled(outbox, 10)
        sink = Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}, last=6) as outbox:
            assert outbox.done_upto == 6
            other = Decision("message", 7, 5, "flag", id="new", sends=(Sent("mods", "r", {}),))
            outbox.take(7, other)
            await asyncio.sleep(0.01)
        assert [m.id for m in sink.got] == ["new"]
        assert sink.got[0].key not in {m.key for m in before.got}

    run(main())


def test_what_was_acknowledged_of_another_decision_of_that_number_holds_not_for_this(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Recorder(lambda m: asyncio.sleep(1e6 if m.number == 1 else 0), timeout=1e9)
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in (1, 2, 3):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(6)
        again = Recorder()
        outbox = made(tmp_path / "outbox", {"mods": again}, last=3)
        other = Decision("message", 2, 5, "flag", id="new", sends=(Sent("mods", "r", {}),))
        for number, one in ((1, decision(1, "mods")), (2, other), (3, decision(3, "mods"))):
            outbox.restore(number, one)
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 3)
        await outbox.close()
        await task
        assert {m.id for m in again.got} == {"m1", "new"}

    run(main())


def test_another_journal_begins_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "outbox", {"mods": Recorder()}) as outbox:
            outbox.take(5, decision(5, "mods"))
            await settled(outbox, 5)
        outbox = made(tmp_path / "outbox", {"mods": Recorder()}, journal_id="k")
        assert outbox.done_upto == 0
        assert "another journal" in outbox.told[0]
        assert made(tmp_path / "outbox", {}, journal_id="k").told == ()

    run(main())


# ------------------------------------------------------------------ more than memory holds


@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_found_no_room_is_read_from_the_journal(tmp_path: Path, concurrency: int) -> None:
    async def main() -> None:
        down = True

        def behave(message: Message) -> None:
            if down:
                raise Retry("down", all=True)

        sick, well, journal = Recorder(behave, concurrency=concurrency), Recorder(), Journal()
        sinks = {"sick": sick, "well": well}
        async with running(tmp_path / "outbox", sinks, reader=journal.read, most_waiting=20) as outbox:
            for number in range(1, 501):
                journal.take(outbox, *(["sick", "well", "sick"] if number % 3 else ["well"]))
                await asyncio.sleep(0.01)
            figures = outbox.figures().sinks["sick"]
            assert figures.waiting == 668
            assert figures.behind >= 668 - 20 - 1_000
            assert figures.behind > 500
            assert len(well.got) == 500
            assert not journal.reads
            down = False
            await settled(outbox, 500)
        wanted = Counter(n for n in range(1, 501) if n % 3 for _ in range(2))
        assert Counter(sick.numbers) == wanted
        if concurrency == 1:
            assert sick.numbers == sorted(sick.numbers)
            assert [m.key for m in sick.got] == sorted(
                {m.key for m in sick.got}, key=lambda k: (int(k.split("-")[1]), int(k.split("-")[2]))
            )

    run(main())


def test_a_journal_that_has_it_not_yet_or_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    async def main() -> None:
        journal, calls = Journal(), 0

        def reader(first: int, last: int) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise OSError("no such device")
            found = list(journal.read(first, last))
            return found[:-1] if calls == 2 else found

        sink = Recorder(concurrency=1)
        outbox = made(tmp_path / "outbox", {"mods": sink}, reader=reader, most_waiting=5)
        for _ in range(1, 21):
            journal.take(outbox, "mods")
        task = asyncio.create_task(outbox.run())
        await asyncio.sleep(0.5)
        assert "no such device" in outbox.figures().problem
        await settled(outbox, 20)
        assert sink.numbers == list(range(1, 21))
        assert outbox.figures().problem == ""
        await outbox.close()
        await task

    run(main())


def test_what_is_gone_from_the_journal_holds_up_the_rest_for_a_minute_only(tmp_path: Path) -> None:
    async def main() -> None:
        journal, sink = Journal(), Recorder()
        outbox = made(tmp_path / "outbox", {"mods": sink}, reader=journal.read, most_waiting=5)
        for _ in range(1, 11):
            journal.take(outbox, "mods")
        del journal.decisions[-1]
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 10)
        assert sorted(sink.numbers) == list(range(1, 10))
        assert "does not have number 10" in outbox.figures().problem
        await outbox.close()
        await task

    run(main())


def test_without_a_reader_the_rest_waits_for_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        journal, sink = Journal(), Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}, most_waiting=5) as outbox:
            for _ in range(1, 11):
                journal.take(outbox, "mods")
            await asyncio.sleep(10)
            assert outbox.done_upto == 5
        outbox = made(tmp_path / "outbox", {"mods": sink}, last=10)
        for one in journal.decisions[outbox.done_upto :]:
            outbox.restore(one.decided, one)
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 10)
        await outbox.close()
        await task
        assert sorted(sink.numbers) == list(range(1, 11))

    run(main())


def test_what_is_taken_while_the_journal_is_read_at_a_start_comes_after_it(tmp_path: Path) -> None:
    async def main() -> None:
        journal, sink = Journal(), Recorder(concurrency=1)
        for _ in range(3_000):
            journal.add("mods")
        outbox = made(tmp_path / "outbox", {"mods": sink}, last=3_000, reader=journal.read)
        outbox.resume(3_000)
        task = asyncio.create_task(outbox.run())
        for _ in range(50):
            journal.take(outbox, "mods")
            await asyncio.sleep(0)
        await settled(outbox, 3_050)
        assert sink.numbers == list(range(1, 3_051))
        await outbox.close()
        await task

    run(main())


# ------------------------------------------------------------------ any schedule


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([3, 10, 10_000]))
def test_whenever_the_process_dies_each_send_arrives_under_one_key(
    tmp_path_factory: pytest.TempPathFactory, seed: int, resume: bool, room: int
) -> None:
    """Runs are broken off at any moment, without a word. What sinks accepted and what is dead at the end is
    all that was sent, and what was acknowledged on disk is not sent again."""
    folder = tmp_path_factory.mktemp("outbox") / "outbox"
    chance = random.Random(seed)
    journal = Journal()
    accepted: dict[tuple[int, int, str], set[str]] = defaultdict(set)

    def behave(message: Message) -> Any:
        drawn = chance.random()
        if drawn < 0.1:
            raise Retry("not now", chance.choice([None, 3.0]), all=chance.random() < 0.5)
        if drawn < 0.13:
            raise Dead("no")
        accepted[message.number, message.payload["i"], message.sink].add(message.key)
        if drawn < 0.2:
            raise Retry("accepted, and then the connection broke")
        return asyncio.sleep(chance.random() * 0.2)

    async def one_life(seconds: float) -> None:
        sinks = {
            "a": Recorder(behave, base=0.2),
            "b": Recorder(behave, concurrency=1, base=0.2),
            "c": Recorder(behave, concurrency=5, ordered=True, base=0.2, attempts=3),
        }
        outbox = made(
            folder,
            sinks,
            chance.randrange(1 << 30),
            last=journal.last,
            reader=journal.read,
            most_waiting=room,
        )
        if resume:
            outbox.resume(journal.last)
        else:
            for one in journal.decisions[outbox.done_upto :]:
                outbox.restore(one.decided, one)
        task = asyncio.create_task(outbox.run())
        end = asyncio.get_running_loop().time() + seconds
        while (now := asyncio.get_running_loop().time()) < end:
            journal.take(outbox, *chance.choices("abcd", k=chance.randrange(4)))
            await asyncio.sleep(min(chance.random() * 0.2, end - now + 0.001))
        if not seconds:
            await settled(outbox, journal.last)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(chance.randrange(1, 6)):
        run(one_life(chance.random() * 8))
    run(one_life(0))
    outbox = Outbox(folder, {}, "j")
    assert outbox.done_upto == journal.last
    dead = {(x.message.number, x.message.payload["i"], x.message.sink): x for x in outbox.dead()}
    sent = {
        (one.decided, i, sent.sink): key_of("j", one.decided, i, tag_of(one, i))
        for one in journal.decisions
        for i, sent in enumerate(one.sends)
    }
    assert set(sent) == set(accepted) | set(dead)
    assert all(keys == {sent[place]} for place, keys in accepted.items())
    assert {place for place in sent if place[2] == "d"} == {p for p, x in dead.items() if not x.attempts}


def test_large_messages_take_no_more_memory_than_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quell.engine.outbox_lane.MOST_WEIGHT", 100_000)
    monkeypatch.setattr("quell.engine.outbox_reading.MOST_PIECE", 50_000)

    async def main() -> None:
        most = 0
        down = True

        def behave(message: Message) -> None:
            nonlocal most
            most = max(most, sum(lane.weight for lane in outbox._lanes.values()))
            if down:
                raise Retry("down", all=True)

        sink, journal = Recorder(behave), Journal()
        async with running(tmp_path / "outbox", {"mods": sink}, reader=journal.read) as outbox:
            for number in range(1, 101):
                payload = {"n": number, "text": "x" * 9_000, "links": ["y" * 5_000] * 2}
                one = Decision(
                    "message", number, 0, "block", sends=(Sent("mods", "r", payload),), decided=number
                )
                journal.decisions.append(one)
                outbox.take(number, one)
            await asyncio.sleep(600)
            assert outbox.figures().sinks["mods"].waiting == 100
            down = False
            await settled(outbox, 100)
            assert sum(lane.weight for lane in outbox._lanes.values()) == 0
        assert sorted(sink.numbers) == list(range(1, 101))
        assert 80_000 < most < 180_000

    run(main())
