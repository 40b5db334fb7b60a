"""The asynchronous engine: order, sharing, deadlines, giving up, closing; and a recorded run made again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from quell.engine.compile import Build, build
from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.engine import Engine
from quell.engine.hand import LabelError, entry_of
from quell.engine.recorded import replay
from quell.engine.stepper import Stepper
from quell.signals.counters import CountStore
from quell.signals.remote_types import Answer, Figures, Request
from tests.bundles import sound

START = 1_772_323_200_000_000
POLICY = """
entity User labels "spammer"

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

let burst = count(message by author within 1m)

model scam from remote "scam-classifier"
  content = content
  burst   = burst
  when length(content) > 1

rule quick on message
  when burst > 3
  then flag

rule slow on message
  when scam > 0.5 and not (author labelled "spammer")
  then block
       label author "spammer" for 20s
       send "queue" { who: author } limit 1 per author every 10s
  because "{scam} after {burst}, {count(fired slow by author within 1m before this)} before"

rule strikes on message
  when count(fired slow by author within 1m) >= 2
  then block
"""


@pytest.fixture(scope="module")
def bundle() -> Build:
    return build(sound(POLICY))


class Later:
    """Answers each question after a while, in the order of its own dice."""

    def __init__(self, seed: int = 1, most: float = 0.02) -> None:
        self.dice = random.Random(seed)
        self.most = most
        self.open = 0
        self.most_open = 0
        self.closed = False

    def ask(
        self, request: Request, deadline: float | None = None, token: Any = None
    ) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Answer] = loop.create_future()
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        after = self.dice.random() * self.most
        left = None if deadline is None else deadline - loop.time()
        value = (len(str(request.inputs[0])) * 37 + int(request.inputs[1])) % 10 / 10
        answer = Answer("answered", value) if left is None or after < left else Answer("late", None, "late")
        loop.call_later(after if left is None else min(after, left), self._tell, made, answer)
        return made

    def _tell(self, made: asyncio.Future[Answer], answer: Answer) -> None:
        self.open -= 1
        if not made.done():
            made.set_result(answer)

    def stats(self) -> dict[str, Figures]:
        return {}

    async def close(self) -> None:
        self.closed = True


def event(i: int, author: str = "u", content: str = "hello", second: float | None = None) -> bytes:
    at = START + round((i if second is None else second) * 1_000_000)
    text = {"type": "message", "id": str(i), "at": at, "author": author, "content": content}
    return json.dumps(text).encode()


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a loop of its own, and see that it leaves no task behind."""

    async def watched() -> None:
        await work()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(watched())


def decided(answer: Reply) -> Decision:
    assert isinstance(answer, Decision), answer
    return answer


def test_a_recorded_concurrent_run_is_made_again_one_event_at_a_time(bundle: Build) -> None:
    dice = random.Random(7)
    events = [
        event(i, dice.choice("abc"), dice.choice(["hi", "hello", "x", "see", "y"]), i / 3 - dice.random())
        for i in range(400)
    ]

    async def work() -> None:
        engine = Engine(Stepper(bundle), Later(3))

        async def one(data: bytes) -> tuple[bytes, Decision]:
            return data, decided(await engine.decide(data))

        records = []
        for i in range(0, len(events), 40):  # 40 at a time are under way together, and the next 40 overlap
            records += await asyncio.gather(*(one(e) for e in events[i : i + 40]))
        await engine.close()
        numbers = [n for _, d in records for n in {d.seq, d.decided}]
        assert len(numbers) == len(set(numbers))
        overtaken = sum(a.decided > b.decided for (_, a), (_, b) in pairwise(records))
        assert overtaken > 50
        assert sum(d.verdict == "block" for _, d in records) > 20
        dice.shuffle(records)
        compared = list(replay(Stepper(bundle), records))
        assert len(compared) == len(records)
        assert [now for _, now in compared] == [then for then, _ in compared]

    run(work)


def test_a_plain_history_is_decided_the_same_whether_or_not_anything_waits(bundle: Build) -> None:
    async def work() -> None:
        engine = Engine(Stepper(bundle), Later(most=0))
        later = Later(most=0)

        def answer(waiting: Any) -> list[Answer]:
            out = []
            for request in waiting.requests:
                value = (len(str(request.inputs[0])) * 37 + int(request.inputs[1])) % 10 / 10
                out.append(Answer("answered", value))
            return out

        stepper = Stepper(bundle, answering=answer)
        for i in range(60):
            data = event(i, "ab"[i % 2], "hello" * (i % 4))
            assert await engine.decide(data) == stepper.decide(data)
        await engine.close()
        assert later.open == 0

    run(work)


def test_a_policy_without_remote_models_never_gives_up_the_thread() -> None:
    local = POLICY.split("model scam")[0]
    made = build(sound(local + "rule quick on message\n  when burst > 3\n  then flag\n"))

    async def work() -> None:
        engine = Engine(Stepper(made))
        coroutine = engine.decide(event(1))
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)  # it ends without ever having waited
        assert decided(end.value.value).verdict == "allow"

    run(work)


def test_decisions_come_in_the_order_of_the_events_though_they_wait_together(bundle: Build) -> None:
    async def work() -> None:
        later = Later(5)
        engine = Engine(Stepper(bundle), later, in_flight=50)
        events = [event(i, f"u{i % 7}") for i in range(200)]
        got = [decided(d).id async for d in engine.decide_many(events)]
        assert got == [str(i) for i in range(200)]
        assert later.most_open == 50
        await engine.close()

    run(work)


def test_events_may_come_from_something_asynchronous(bundle: Build) -> None:
    async def source() -> AsyncIterator[bytes]:
        for i in range(5):
            await asyncio.sleep(0)
            yield event(i)

    async def work() -> None:
        engine = Engine(Stepper(bundle), Later())
        assert len([d async for d in engine.decide_many(source())]) == 5
        await engine.close()

    run(work)


def test_what_has_not_answered_by_the_deadline_is_missing(bundle: Build) -> None:
    async def work() -> None:
        engine = Engine(Stepper(bundle), Later(most=30.0), deadline=0.01)
        decision = decided(await engine.decide(event(1)))
        assert [(a.model, a.status) for a in decision.asked] == [("scam", "late")]
        assert decision.verdict == "allow"
        await engine.close()

    run(work)


def test_who_gives_up_waiting_does_not_undo_a_decision(bundle: Build) -> None:
    async def work() -> None:
        seen: list[Reply] = []
        engine = Engine(Stepper(bundle), Later(most=0.01), on_decision=seen.append)
        task = asyncio.create_task(engine.decide(event(1, content="good morning")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.waiting == 1
        await engine.close()
        assert [decided(d).id for d in seen] == ["1"]
        assert engine.waiting == 0

    run(work)


def test_too_much_under_way_is_refused_before_anything_counts_it(bundle: Build) -> None:
    async def work() -> None:
        engine = Engine(Stepper(bundle), Later(most=0.05), in_flight=2)
        waiting = [asyncio.ensure_future(engine.decide(event(i))) for i in range(2)]
        await asyncio.sleep(0)
        refused = await engine.decide(event(2))
        assert isinstance(refused, Refused)
        assert refused.kind == "busy"
        await asyncio.gather(*waiting)
        after = decided(await engine.decide(event(3)))
        assert after.seq <= 5
        assert "3 before" not in str(after.fired)
        assert engine.stepper.state.stores  # three events were counted, not four:
        stores = [s for s in engine.stepper.state.stores.values() if isinstance(s, CountStore)]
        assert max(s.count("u", START + 3_000_000, 60_000_000) or 0 for s in stores) == 3
        await engine.close()

    run(work)


def test_an_engine_that_closes_makes_what_waits_and_takes_nothing_more(bundle: Build) -> None:
    async def work() -> None:
        later = Later(most=0.02)
        engine = Engine(Stepper(bundle), later)
        waiting = [asyncio.ensure_future(engine.decide(event(i, f"u{i}"))) for i in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(engine.close())
        await asyncio.sleep(0)
        refused = await engine.decide(event(99))
        assert isinstance(refused, Refused)
        assert refused.kind == "closing"
        await closing
        assert later.closed
        assert all(w.done() for w in waiting)
        assert len({decided(w.result()).decided for w in waiting}) == 20

    run(work)


def test_what_sees_the_decisions_may_fail_and_they_hold_all_the_same(bundle: Build) -> None:
    """Else whoever asked would wait for ever, or not know that the event was counted."""

    def fail(reply: Reply) -> None:
        raise RuntimeError("the disk is full")

    async def work() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about))
        async with Engine(Stepper(bundle), Later(), on_decision=fail) as engine:
            at_once = await engine.decide(event(1, content="x"))
            waited = await engine.decide(event(2))
            assert (decided(at_once).seq, decided(waited).seq) == (1, 2)
            assert engine.label("User", "a", "spammer", at=START, by="ana").on
        assert [str(about["exception"]) for about in told] == ["the disk is full"] * 3

    run(work)
    engine = Engine(Stepper(bundle), on_decision=fail)
    assert engine.label("User", "a", "spammer", at=START, by="ana").on  # without an event loop as well


def test_several_may_close_an_engine_and_one_of_them_give_up(bundle: Build) -> None:
    async def work() -> None:
        engine = Engine(Stepper(bundle), Later(most=0.05))
        waiting = asyncio.ensure_future(engine.decide(event(1)))
        await asyncio.sleep(0)
        closing = [asyncio.ensure_future(engine.close()) for _ in range(3)]
        await asyncio.sleep(0)
        closing.pop().cancel()
        await asyncio.gather(*closing)
        await engine.close()
        assert waiting.done()

    run(work)


def test_an_engine_that_closes_takes_no_label_by_hand_either(bundle: Build) -> None:
    """Its state may have been written already, and the label would be lost."""

    async def work() -> None:
        engine = Engine(Stepper(bundle), Later())
        await engine.close()
        entry = {"type": "quell.label", "at": START, "entity": "User", "id": "a", "label": "spammer"}
        refused = await engine.decide({**entry, "action": "set", "by": "ana"})
        assert isinstance(refused, Refused)
        assert refused.kind == "closing"
        with pytest.raises(LabelError, match="is closing"):
            engine.label("User", "a", "spammer", at=START, by="ana")
        assert engine.labels_of("User", "a", START) == []

    run(work)


def test_an_engine_whose_event_loop_has_ended_still_closes(bundle: Build) -> None:
    engine = Engine(Stepper(bundle), Later(most=30))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(engine.decide(event(1)), 0.01))
    asyncio.run(asyncio.wait_for(engine.close(), 60))


@pytest.mark.parametrize("deadline", [float("nan"), "1s", True])
def test_a_deadline_that_is_no_number_is_an_error_before_anything_is_counted(
    bundle: Build, deadline: Any
) -> None:
    async def work() -> None:
        async with Engine(Stepper(bundle), Later()) as engine:
            with pytest.raises(ValueError, match="number of seconds"):
                await engine.decide(event(1), deadline)
            assert engine.stepper.seq == 0
            assert decided(await engine.decide(event(1), 10**400)).seq == 1
        with pytest.raises(ValueError, match="number of seconds"):
            Engine(Stepper(bundle), deadline=deadline)

    run(work)


def test_two_streams_of_events_share_what_may_wait_and_lose_none(bundle: Build) -> None:
    async def work() -> None:
        async with Engine(Stepper(bundle), Later(most=0.005), in_flight=4) as engine:

            async def stream(author: str) -> list[Reply]:
                events = [event(i, author) for i in range(40)]
                return [reply async for reply in engine.decide_many(events)]

            for replies in await asyncio.gather(*(stream(author) for author in "abc")):
                assert [decided(r).id for r in replies] == [str(i) for i in range(40)]

    run(work)


def test_a_stand_in_whose_answer_is_an_error_leaves_it_missing(bundle: Build) -> None:
    class Broken(Later):
        def ask(
            self, request: Request, deadline: float | None = None, token: Any = None
        ) -> asyncio.Future[Answer]:
            made: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            made.set_exception(RuntimeError("no"))
            return made

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *about: None)
        async with Engine(Stepper(bundle), Broken()) as engine:
            made = decided(await engine.decide(event(1)))
        assert [a.status for a in made.asked] == ["failed"]

    run(work)


@pytest.mark.parametrize("said", [None, 5, 10**12, True, 1.5, object(), [], ["{}"], {"type"}])
def test_what_is_no_event_at_all_is_refused(bundle: Build, said: Any) -> None:
    made = Stepper(bundle).decide(said)
    assert isinstance(made, Refused)
    assert made.kind == "not-object"


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_events_may_come_in_any_buffer(bundle: Build, kind: Callable[[bytes], Any]) -> None:
    label = {"type": "quell.label", "at": START, "entity": "User", "id": "a", "label": "spammer"}
    stepper = Stepper(bundle)
    assert decided(stepper.decide(kind(event(1)))).seq == 1
    assert isinstance(stepper.decide(kind(json.dumps({**label, "action": "set", "by": "x"}).encode())), Acted)
    made = stepper.decide(kind(b'{"type": "other"}'))
    assert isinstance(made, Refused)
    assert made.kind == "unmatched"


def test_a_stand_in_that_cannot_ask_leaves_the_answer_missing(bundle: Build) -> None:
    class Broken(Later):
        def ask(
            self, request: Request, deadline: float | None = None, token: Any = None
        ) -> asyncio.Future[Answer]:
            raise RuntimeError("no")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *about: None)
        async with Engine(Stepper(bundle), Broken()) as engine:
            made = decided(await engine.decide(event(1)))
        assert [a.status for a in made.asked] == ["failed"]

    run(work)


def test_a_run_is_made_again_by_a_bundle_that_asks_nobody(bundle: Build) -> None:
    """What waited then is decided where its event came in."""
    plain = build(sound(POLICY.replace("when scam > 0.5 and", "when burst > 1 and").replace("{scam}", "")))
    seen: list[Reply] = []

    async def work() -> None:
        async with Engine(Stepper(bundle), Later(), on_decision=seen.append) as engine:
            await asyncio.gather(*(engine.decide(event(i)) for i in range(1, 6)))

    run(work)
    then = [decided(d) for d in seen]
    assert any(d.decided != d.seq for d in then)
    events = {d.seq: event(d.seq) for d in then}
    again = [decided(now) for _, now in replay(Stepper(plain), [(events[d.seq], d) for d in then])]
    assert [d.seq for d in again] == sorted(events)
    assert all(not d.asked for d in again)


def test_records_that_are_no_run_are_told(bundle: Build) -> None:
    stepper = Stepper(bundle)
    first = decided(stepper.decide(event(1, content="x")))
    with pytest.raises(ValueError, match="two records have the number 1"):
        list(replay(Stepper(bundle), [(event(1), first), (event(2), first)]))
    first.decided = 0
    with pytest.raises(ValueError, match="decided before it was admitted"):
        list(replay(Stepper(bundle), [(event(1), first)]))


def test_labels_by_hand_are_steps_of_a_recorded_run(bundle: Build) -> None:
    """Some come as entries among the events, some as calls while decisions wait."""
    dice = random.Random(9)

    async def work() -> None:
        seen: list[Reply] = []
        engine = Engine(Stepper(bundle), Later(4), on_decision=seen.append)
        entries: dict[int, Any] = {}
        waiting = []
        for i in range(300):
            at, who = START + i * 300_000, dice.choice("abc")
            if dice.random() < 0.8:
                data = event(i, who, dice.choice(["hi", "hello", "x", "see"]), i * 0.3)
                waiting.append((data, asyncio.ensure_future(engine.decide(data))))
            elif dice.random() < 0.5:
                acted = engine.unlabel("User", who, "spammer", at=at, by="ana", for_=5_000_000)
                entries[acted.seq] = entry_of(acted)
            else:
                said = {"type": "quell.label", "entity": "User", "id": who, "label": "spammer", "by": "bo"}
                entry = {**said, "at": at, "action": dice.choice(["set", "release"])}
                reply = await engine.decide(entry)
                assert isinstance(reply, Acted)
                entries[reply.seq] = entry
            if dice.random() < 0.2:
                await asyncio.sleep(0.005)
        records: list[tuple[Any, Any]] = [(data, decided(await made)) for data, made in waiting]
        records += [(entries[a.seq], a) for a in seen if isinstance(a, Acted)]
        await engine.close()
        assert len(records) == len(seen) == 300
        assert sum(bool(d.outranked) for d in seen if isinstance(d, Decision)) > 5
        compared = list(replay(Stepper(bundle), records))
        assert [now for _, now in compared] == [then for then, _ in compared]

    run(work)
