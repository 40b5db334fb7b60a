"""Asking remote models, in virtual time: waits, deadlines, late answers, batches, limits, cache, breaker."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from quell.grammar.types import NUMBER, TEXT
from quell.signals.remote import Answer, Remotes, RemoteSpec, Request, Target
from tests import virtual_time

MS = 1_000
SCAM = RemoteSpec("scam", "scam-classifier", ("text",), (), 800 * MS)

Ask = Callable[[list[dict[str, Any]]], Coroutine[Any, Any, Any]]


class Service:
    """A function that answers after `seconds` with the number in the text; it remembers what it was asked."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.calls: list[list[str]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, inputs: list[dict[str, Any]]) -> list[Any]:
        self.calls.append([i["text"] for i in inputs])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            return [self.answer(i["text"]) for i in inputs]
        finally:
            self.at_once -= 1

    def answer(self, text: str) -> Any:
        return float(text)


def remotes(ask: Ask, *specs: RemoteSpec, late: list[Any] | None = None, **settings: Any) -> Remotes:
    target = Target("scam-classifier", callable=True, **settings)
    said = late if late is not None else []
    return Remotes(
        {spec.name: spec for spec in specs or (SCAM,)},
        {target.name: target},
        callables={target.name: ask},
        on_late=lambda spec, request, value, token: said.append((spec.name, request.inputs, value, token)),
    )


def scam(text: str) -> Request:
    return Request("scam", (text,))


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        virtual_time.run(test())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


def time() -> float:
    return asyncio.get_running_loop().time()


# ---------------------------------------------------------------------- one question


@in_virtual_time
async def test_an_answer_in_time() -> None:
    asked = remotes(Service())
    began = time()
    assert await asked.ask(scam("0.5")) == Answer("answered", 0.5)
    assert time() - began == pytest.approx(0.05)
    await asked.close()


@in_virtual_time
async def test_several_columns() -> None:
    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        return [{"likely": 0.25, "reason": i["text"], "n": i["n"]} for i in inputs]

    spec = RemoteSpec(
        "scam", "scam-classifier", ("text", "n"), (("likely", NUMBER), ("reason", TEXT)), 800 * MS
    )
    asked = remotes(ask, spec)
    answer = await asked.ask(Request("scam", ("a code", None)))
    assert answer == Answer("answered", {"likely": 0.25, "reason": "a code"})
    await asked.close()


@in_virtual_time
async def test_a_name_that_an_answer_leaves_out_is_told() -> None:
    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        return [{"Likely": 0.25, "reason": None} for _ in inputs]

    gives = (("likely", NUMBER.maybe()), ("reason", TEXT.maybe()))
    asked = remotes(ask, RemoteSpec("scam", "scam-classifier", ("text",), gives, 800 * MS))
    told = "scam-classifier: answered without `likely`"
    assert await asked.ask(scam("1")) == Answer("answered", {"likely": None, "reason": None}, told)
    await asked.close()


@in_virtual_time
async def test_nothing_to_say_is_an_answer() -> None:
    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        return [None for _ in inputs]

    asked = remotes(ask)
    told = await asked.ask(scam("1"))
    assert told == Answer("answered", None, "scam-classifier: answered that it cannot tell")
    await asked.close()


@in_virtual_time
async def test_a_late_answer_is_told_once_to_each_who_asked() -> None:
    late: list[Any] = []
    asked = remotes(Service(3), late=late)
    began = time()
    first, second = asked.ask(scam("0.5"), token="e1"), asked.ask(scam("0.5"), token="e2")
    assert await first == Answer("late", None, "scam-classifier: no answer within 800ms")
    assert time() - began == pytest.approx(0.8)
    assert (await second).status == "late"
    assert late == []
    await asyncio.sleep(5)
    assert late == [("scam", ("0.5",), 0.5, "e1"), ("scam", ("0.5",), 0.5, "e2")]
    await asked.close()


@in_virtual_time
async def test_a_late_answer_is_kept() -> None:
    asked = remotes(Service(3), cache=60_000 * MS)
    assert (await asked.ask(scam("0.5"))).status == "late"
    await asyncio.sleep(5)
    assert await asked.ask(scam("0.5")) == Answer("cached", 0.5)
    await asked.close()


@in_virtual_time
async def test_a_call_ends_at_its_timeout() -> None:
    late: list[Any] = []
    service = Service(60)
    asked = remotes(service, late=late, timeout=2_000 * MS)
    assert (await asked.ask(scam("0.5"))).status == "late"
    await asyncio.sleep(1.1)
    assert asked.stats()["scam-classifier"].in_flight == 1
    await asyncio.sleep(0.2)
    assert asked.stats()["scam-classifier"].in_flight == 0
    assert service.at_once == 0
    await asyncio.sleep(60)
    assert late == []
    await asked.close()


@in_virtual_time
async def test_a_policy_may_wait_longer_than_the_timeout() -> None:
    spec = RemoteSpec("scam", "scam-classifier", ("text",), (), 3_000 * MS)
    asked = remotes(Service(2.5), spec, timeout=1_000 * MS)
    assert (await asked.ask(scam("0.5"))).status == "answered"
    asked_again = remotes(Service(9), spec, timeout=1_000 * MS)
    ended = await asked_again.ask(scam("0.5"))
    assert ended.status in ("late", "failed")
    await asyncio.sleep(0.001)
    assert asked_again.stats()["scam-classifier"].in_flight == 0
    await asked.close()
    await asked_again.close()


@in_virtual_time
async def test_the_deadline_of_a_decision_ends_the_wait() -> None:
    late: list[Any] = []
    asked = remotes(Service(0.3), late=late)
    began = time()
    answer = await asked.ask(scam("0.5"), began + 0.1, "e1")
    assert answer == Answer("late", None, "scam-classifier: no answer before the decision's deadline")
    assert time() - began == pytest.approx(0.1)
    await asyncio.sleep(1)
    assert late == [("scam", ("0.5",), 0.5, "e1")]
    over = await asked.ask(scam("0.6"), time(), None)
    assert over == Answer("late", None, "scam-classifier: not asked, the decision had no time left")
    assert await asked.ask(scam("0.7"), time() + 50) == Answer("answered", 0.7)
    assert asked.stats()["scam-classifier"].breaker == "closed"
    await asked.close()


@in_virtual_time
async def test_what_is_wrong_with_a_question_is_its_answer() -> None:
    service = Service()
    asked = remotes(service)
    unknown = await asked.ask(Request("scem", ("1",)))
    assert unknown == Answer("unknown", None, "scem: no such remote model")
    short = await asked.ask(Request("scam", ()))
    assert short == Answer("failed", None, "scam: 0 inputs, not 1")
    for value in ("\ud800", object()):
        answer = await asked.ask(Request("scam", (value,)))
        assert answer == Answer("failed", None, "scam-classifier: not asked, an input cannot be sent")
    assert service.calls == []
    await asked.close()


@in_virtual_time
async def test_whole_numbers_of_any_size_are_sent() -> None:
    seen: list[Any] = []

    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        seen.extend(i["text"] for i in inputs)
        return [0.5]

    asked = remotes(ask)
    for value in (2**53, 2**64, 10**30, -(10**30)):
        assert (await asked.ask(Request("scam", (value,)))).status == "answered"
    assert seen == [2**53, 2**64, 10**30, -(10**30)]
    await asked.close()


@in_virtual_time
async def test_a_function_cannot_change_what_it_was_given() -> None:
    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        inputs[0]["text"].clear()
        return [0.5]

    asked = remotes(ask)
    words = ["a", "b"]
    await asked.ask(Request("scam", (words,)))
    assert words == ["a", "b"]
    await asked.close()


# ---------------------------------------------------------------------- functions that go wrong


async def _raises(inputs: list[dict[str, Any]]) -> list[Any]:
    raise RuntimeError("the password is hunter2")


async def _cancels(inputs: list[dict[str, Any]]) -> list[Any]:
    raise asyncio.CancelledError


async def _times_out(inputs: list[dict[str, Any]]) -> list[Any]:
    raise TimeoutError


async def _too_few(inputs: list[dict[str, Any]]) -> list[Any]:
    return []


async def _no_list(inputs: list[dict[str, Any]]) -> Any:
    return {"score": 0.5}


class Trap:
    """A value that does harm when looked at."""

    @property  # type: ignore[misc]  # on purpose
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # as above
        raise KeyError("trap")


async def _trap(inputs: list[dict[str, Any]]) -> list[Any]:
    return [Trap() for _ in inputs]


@pytest.mark.parametrize(
    ("ask", "status", "reason"),
    [
        (_raises, "failed", "the function raised RuntimeError"),
        (_cancels, "failed", "the call was cancelled"),
        (_times_out, "failed", "the function raised TimeoutError"),
        (_too_few, "invalid", "0 answers to 1 questions"),
        (_no_list, "invalid", "the function returned something else than a list of answers"),
        (_trap, "invalid", "answered something that cannot be read"),
    ],
)
def test_a_function_that_goes_wrong(ask: Ask, status: str, reason: str) -> None:
    async def main() -> None:
        asked = remotes(ask)
        answer = await asked.ask(scam("1"))
        assert (answer.status, answer.value, answer.reason) == (status, None, f"scam-classifier: {reason}")
        await asked.close()

    virtual_time.run(main())


def test_what_takes_late_answers_may_fail() -> None:
    told: list[str] = []

    async def main() -> None:
        def on_late(*_: Any) -> None:
            raise ValueError

        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        asked = Remotes(
            {"scam": SCAM},
            {"scam-classifier": Target("scam-classifier", callable=True, batch=2)},
            callables={"scam-classifier": Service(1)},
            on_late=on_late,
        )
        both = asked.ask(scam("1")), asked.ask(scam("2"))
        assert [a.status for a in await asyncio.gather(*both)] == ["late", "late"]
        await asyncio.sleep(1)
        await asked.close()

    virtual_time.run(main())
    assert told == ["what takes late answers of scam-classifier failed"] * 2


# ---------------------------------------------------------------------- limits


@in_virtual_time
async def test_concurrency_is_bounded_and_the_rest_waits() -> None:
    service = Service(0.05)
    asked = remotes(service, concurrency=4)
    began = time()
    answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(20)))
    assert [a.value for a in answers] == [float(n) for n in range(20)]
    assert service.most_at_once == 4
    assert time() - began == pytest.approx(0.25)
    await asked.close()


@in_virtual_time
async def test_beyond_the_queue_it_is_busy_at_once() -> None:
    asked = remotes(Service(0.05), concurrency=2, queue=3)
    futures = [asked.ask(scam(str(n))) for n in range(8)]
    assert [f.done() for f in futures] == [False] * 5 + [True] * 3
    answers = await asyncio.gather(*futures)
    assert [a.status for a in answers] == ["answered"] * 5 + ["busy"] * 3
    assert answers[-1].reason == "scam-classifier: not asked, 3 questions are waiting"
    figures = asked.stats()["scam-classifier"]
    assert (figures.asked, figures.answered, figures.busy, figures.waiting) == (8, 5, 3, 0)
    await asked.close()


@in_virtual_time
async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    service = Service(1)
    asked = remotes(service, concurrency=1, failures=0)
    first, second, third = (asked.ask(scam(str(n))) for n in range(3))
    third.cancel()
    assert (await first).status == "late"
    reason = "scam-classifier: not asked, as no call was free within 800ms"
    assert await second == Answer("late", None, reason)
    await asyncio.sleep(0.001)
    assert asked.stats()["scam-classifier"].waiting == 0
    await asyncio.sleep(5)
    assert service.calls == [["0"]]
    await asked.close()


@in_virtual_time
async def test_an_overload_loses_nobody() -> None:
    """Ten times what the target can carry: everyone hears something within the wait, and it ends."""
    service = Service(0.05)
    asked = remotes(service, concurrency=10, queue=100)

    async def one(n: int) -> tuple[Answer, float]:
        await asyncio.sleep(n * 0.0005)
        began = time()
        return await asked.ask(scam(str(n))), time() - began

    ended = await asyncio.gather(*(one(n) for n in range(2_000)))
    assert max(seconds for _, seconds in ended) <= 0.8001
    figures = asked.stats()["scam-classifier"]
    assert figures.asked == figures.answered + figures.late + figures.busy == 2_000
    assert min(figures.answered, figures.busy) > 0
    assert (figures.in_flight, figures.waiting) == (0, 0)
    await asked.close()


# ---------------------------------------------------------------------- batches


@in_virtual_time
async def test_questions_share_calls() -> None:
    service = Service()
    asked = remotes(service, batch=4, linger=2 * MS)
    began = time()
    answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(10)))
    assert [a.value for a in answers] == [float(n) for n in range(10)]
    assert [len(call) for call in service.calls] == [4, 4, 2]
    assert time() - began == pytest.approx(0.052)
    await asked.close()


@in_virtual_time
async def test_a_full_batch_does_not_linger() -> None:
    asked = remotes(Service(), batch=2, linger=500 * MS)
    began = time()
    await asyncio.gather(asked.ask(scam("1")), asked.ask(scam("2")))
    assert time() - began == pytest.approx(0.05)
    await asked.ask(scam("3"))
    assert time() - began == pytest.approx(0.6)
    await asked.close()


@in_virtual_time
async def test_without_linger_what_is_asked_together_goes_together() -> None:
    service = Service()
    asked = remotes(service, batch=64)
    await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(10)))
    assert [len(call) for call in service.calls] == [10]
    await asked.close()


@in_virtual_time
async def test_models_of_one_target_share_its_calls_but_no_batch() -> None:
    service = Service()
    other = RemoteSpec("spam", "scam-classifier", ("text",), (), 800 * MS)
    asked = remotes(service, SCAM, other, batch=8, concurrency=1)
    questions = [Request(name, (str(n),)) for n in range(3) for name in ("scam", "spam")]
    answers = await asyncio.gather(*(asked.ask(q) for q in questions))
    assert [a.status for a in answers] == ["answered"] * 6
    assert service.calls == [["0", "1", "2"], ["0", "1", "2"]]
    assert service.most_at_once == 1
    await asked.close()


@in_virtual_time
async def test_models_of_one_target_take_turns() -> None:
    service = Service()
    other = RemoteSpec("spam", "scam-classifier", ("text",), (), 800 * MS)
    asked = remotes(service, SCAM, other, concurrency=1)
    many = [asked.ask(scam(str(n))) for n in range(10)]
    assert (await asked.ask(Request("spam", ("99",)))).status == "answered"
    assert [call[0] for call in service.calls] == ["0", "99"]
    await asyncio.gather(*many)
    await asked.close()


@in_virtual_time
async def test_one_wrong_answer_in_a_batch_harms_no_other() -> None:
    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        return [0.5, "high", None, {"score": 0.25}]

    asked = remotes(ask, batch=4)
    answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(4)))
    assert [(a.status, a.value) for a in answers] == [
        ("answered", 0.5),
        ("invalid", None),
        ("answered", None),
        ("answered", 0.25),
    ]
    assert answers[1].reason == "scam-classifier: `score` is not a number"
    await asked.close()


# ---------------------------------------------------------------------- cache and single flight


@in_virtual_time
async def test_equal_questions_under_way_are_asked_once() -> None:
    service = Service()
    asked = remotes(service)
    same = [asked.ask(scam("0.5")) for _ in range(100)]
    same[7].cancel()
    answers = await asyncio.gather(*same, return_exceptions=True)
    assert sum(a == Answer("answered", 0.5) for a in answers) == 99
    assert service.calls == [["0.5"]]
    await asked.ask(scam("0.5"))
    assert len(service.calls) == 2  # nothing is kept unless a cache is asked for
    await asked.close()


@in_virtual_time
async def test_nobody_joins_a_call_that_is_overdue() -> None:
    service = Service(60)
    asked = remotes(service)
    assert (await asked.ask(scam("0.5"))).status == "late"
    service.seconds = 0.05
    assert await asked.ask(scam("0.5")) == Answer("answered", 0.5)
    assert len(service.calls) == 2
    await asked.close()


@in_virtual_time
async def test_the_end_of_an_overdue_call_is_not_that_of_a_newer_one() -> None:
    service = Service(1)
    asked = remotes(service)
    assert (await asked.ask(scam("0.5"))).status == "late"
    service.seconds = 0.5
    second = asked.ask(scam("0.5"))
    await asyncio.sleep(0.3)  # the first call has ended
    assert asked.stats()["scam-classifier"].in_flight == 1
    third = asked.ask(scam("0.5"))
    assert await second == await third == Answer("answered", 0.5)
    assert len(service.calls) == 2
    await asked.close()


@in_virtual_time
async def test_an_answer_is_reused_for_so_long() -> None:
    service = Service()
    asked = remotes(service, cache=10_000 * MS)
    assert (await asked.ask(scam("0.5"))).status == "answered"
    assert await asked.ask(scam("0.5")) == Answer("cached", 0.5)
    assert (await asked.ask(scam("0.6"))).status == "answered"
    await asyncio.sleep(9)
    assert (await asked.ask(scam("0.5"))).status == "cached"
    await asyncio.sleep(2)
    assert (await asked.ask(scam("0.5"))).status == "answered"
    figures = asked.stats()["scam-classifier"]
    assert (figures.asked, figures.answered, figures.cached, figures.calls) == (5, 3, 2, 3)
    await asked.close()


@in_virtual_time
async def test_models_do_not_share_answers() -> None:
    service = Service()
    other = RemoteSpec("spam", "scam-classifier", ("text",), (), 800 * MS)
    asked = remotes(service, SCAM, other, cache=10_000 * MS)
    await asked.ask(scam("0.5"))
    assert (await asked.ask(Request("spam", ("0.5",)))).status == "answered"
    await asked.close()


@in_virtual_time
async def test_what_is_no_whole_answer_is_not_kept() -> None:
    for given in ("high", None):

        async def ask(inputs: list[dict[str, Any]], given: Any = given) -> list[Any]:
            return [given]

        asked = remotes(ask, cache=10_000 * MS)
        assert (await asked.ask(scam("1"))) == (await asked.ask(scam("1")))
        assert asked.stats()["scam-classifier"].calls == 2
        await asked.close()


# ---------------------------------------------------------------------- breaker


class Flapping(Service):
    """Fails while `down`."""

    down = False

    async def __call__(self, inputs: list[dict[str, Any]]) -> list[Any]:
        answers = await super().__call__(inputs)
        if self.down:
            raise OSError
        return answers


@in_virtual_time
async def test_the_breaker_opens_and_recovers() -> None:
    service = Flapping()
    asked = remotes(service, failures=3, rest=10_000 * MS)
    service.down = True
    for n in range(3):
        assert (await asked.ask(scam(str(n)))).status == "failed"
    assert asked.stats()["scam-classifier"].breaker == "open"
    future = asked.ask(scam("9"))
    assert future.done()
    assert await future == Answer("open", None, "scam-classifier: not asked, it failed too often lately")
    assert len(service.calls) == 3
    await asyncio.sleep(10)
    assert asked.stats()["scam-classifier"].breaker == "half-open"
    probe, beside = asked.ask(scam("1")), asked.ask(scam("2"))
    assert ((await probe).status, (await beside).status) == ("failed", "open")
    service.down = False
    assert (await asked.ask(scam("1"))).status == "open"
    await asyncio.sleep(10)
    assert (await asked.ask(scam("1"))).status == "answered"
    assert asked.stats()["scam-classifier"].breaker == "closed"
    assert (await asked.ask(scam("2"))).status == "answered"
    await asked.close()


@in_virtual_time
async def test_late_calls_open_the_breaker_once_each() -> None:
    service = Service(0.9)
    asked = remotes(service, failures=4, concurrency=1, cache=60_000 * MS)
    for n in range(3):
        assert (await asked.ask(scam(str(n)))).status == "late"
        await asyncio.sleep(0.2)  # it answers, late: neither a second failure nor a success
        assert asked.stats()["scam-classifier"].breaker == "closed"
    assert (await asked.ask(scam("3"))).status == "late"
    assert asked.stats()["scam-classifier"].breaker == "open"
    assert (await asked.ask(scam("0"))).status == "cached"  # what is known needs nobody
    await asked.close()


@in_virtual_time
async def test_waiting_in_line_is_no_failure_of_the_target() -> None:
    asked = remotes(Service(0.3), failures=1, concurrency=1)
    answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(4)))
    assert [a.status for a in answers] == ["answered", "answered", "late", "late"]
    assert asked.stats()["scam-classifier"].breaker == "closed"
    await asyncio.sleep(1)
    await asked.close()


@in_virtual_time
async def test_when_the_breaker_opens_what_waits_in_line_is_told_at_once() -> None:
    service = Flapping()
    service.down = True
    asked = remotes(service, failures=2, concurrency=2)
    futures = [asked.ask(scam(str(n))) for n in range(500)]
    await asyncio.sleep(0.06)
    # The first failure made room for one more call before the second opened the breaker.
    assert [f.done() for f in futures] == [True] * 2 + [False] + [True] * 497
    answers = await asyncio.gather(*futures)
    assert [a.status for a in answers] == ["failed"] * 3 + ["open"] * 497
    await asked.close()


@in_virtual_time
async def test_a_batch_is_one_failure() -> None:
    service = Flapping()
    service.down = True
    asked = remotes(service, failures=2, batch=50)
    answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(50)))
    assert {a.status for a in answers} == {"failed"}
    assert asked.stats()["scam-classifier"].breaker == "closed"
    await asked.close()


@in_virtual_time
async def test_a_probe_whose_asker_has_gone_leaves_room_for_another() -> None:
    service = Flapping()
    service.down = True
    asked = remotes(service, failures=1, rest=1_000 * MS, batch=2, linger=100 * MS)
    assert (await asked.ask(scam("1"))).status == "failed"
    service.down = False
    await asyncio.sleep(1)
    asked.ask(scam("2")).cancel()
    await asyncio.sleep(1)
    assert service.calls == [["1"]]
    assert (await asked.ask(scam("3"))).status == "answered"
    await asked.close()


# ---------------------------------------------------------------------- the end


@in_virtual_time
async def test_closing_tells_everybody_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    asked = remotes(Service(60), concurrency=2)
    futures = [asked.ask(scam(str(n))) for n in range(6)]
    await asyncio.sleep(0.1)
    await asked.close()
    closed = Answer("failed", None, "scam-classifier: the engine was closed")
    assert [f.result() for f in futures] == [closed] * 6
    assert asyncio.all_tasks() == before
    assert await asked.ask(scam("1")) == closed
    await asked.close()


@in_virtual_time
async def test_closing_before_a_call_has_begun() -> None:
    service = Service()
    asked = remotes(service)
    future = asked.ask(scam("1"))
    await asked.close()
    assert future.done()
    assert (await future).status == "failed"
    assert service.calls == []


@in_virtual_time
async def test_closing_does_not_wait_for_ever() -> None:
    stubborn = asyncio.Event()

    async def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue
        return [0.5]

    asked = remotes(ask)
    future = asked.ask(scam("1"))
    assert (await future).status == "late"
    began = time()
    await asked.close()
    assert time() - began == pytest.approx(5)
    stubborn.set()
    await asyncio.sleep(1)


@in_virtual_time
async def test_closing_what_was_never_asked() -> None:
    asked = remotes(Service())
    assert asked.stats() == {}
    await asked.close()


def test_models_without_anybody_to_ask() -> None:
    async def main() -> None:
        specs = {
            "a": RemoteSpec("a", "nowhere", (), (), 800 * MS),
            "b": RemoteSpec("b", "unregistered", (), (), 800 * MS),
        }
        asked = Remotes(specs, {"unregistered": Target("unregistered", callable=True)})
        assert asked.unanswerable == {
            "a": "nowhere: quell.toml has no [remote.nowhere]",
            "b": "unregistered: no function is registered under this name",
        }
        for model in specs:
            assert await asked.ask(Request(model, ())) == Answer("unknown", None, asked.unanswerable[model])
        await asked.close()

    virtual_time.run(main())


def test_another_event_loop_is_told_so() -> None:
    asked = remotes(Service())

    async def main() -> Answer:
        return await asked.ask(scam("0.5"))

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first.status == "answered"
    assert second == Answer("failed", None, "scam-classifier: asked from another event loop")
    asyncio.run(asked.close())


def test_a_loop_that_ends_without_close_ends_the_calls() -> None:
    """Nothing is begun while the loop ends: a task begun then would be destroyed unfinished."""
    told: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        asked = remotes(Service(60), concurrency=2)
        futures.extend(asked.ask(scam(str(n))) for n in range(6))
        await asyncio.sleep(0.01)

    futures: list[asyncio.Future[Answer]] = []
    asyncio.run(main())
    gc.collect()
    assert told == []
    assert [f.done() for f in futures] == [True, True, False, False, False, False]


# ---------------------------------------------------------------------- functions in threads


def test_a_function_that_blocks_runs_in_threads() -> None:
    together = threading.Barrier(4, timeout=60)

    def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        together.wait()  # only four at once get past
        return [float(i["text"]) for i in inputs]

    def stops(inputs: list[dict[str, Any]]) -> list[Any]:
        raise StopIteration

    async def main() -> None:
        spec = RemoteSpec("scam", "scam-classifier", ("text",), (), 60_000_000)
        asked = remotes(ask, spec, concurrency=4)  # type: ignore[arg-type]  # blocking on purpose
        answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(8)))
        assert [a.value for a in answers] == [float(n) for n in range(8)]
        await asked.close()
        asked = remotes(stops, spec)  # type: ignore[arg-type]
        assert (await asked.ask(scam("1"))).reason == "scam-classifier: the function raised RuntimeError"
        await asked.close()

    asyncio.run(main())


def test_calls_to_a_function_that_blocks_are_as_many_as_its_threads() -> None:
    go_on = threading.Event()

    def ask(inputs: list[dict[str, Any]]) -> list[Any]:
        go_on.wait()
        return [0.5]

    async def main() -> None:
        spec = RemoteSpec("scam", "scam-classifier", ("text",), (), 60_000_000)
        asked = remotes(ask, spec, concurrency=80)  # type: ignore[arg-type]  # as above
        futures = [asked.ask(scam(str(n))) for n in range(100)]
        figures = asked.stats()["scam-classifier"]
        assert (figures.in_flight, figures.waiting) == (64, 36)
        go_on.set()
        assert {a.status for a in await asyncio.gather(*futures)} == {"answered"}
        await asked.close()

    asyncio.run(main())


@in_virtual_time
async def test_who_gives_up_in_the_moment_in_which_the_call_begins() -> None:
    """The question has left its line by then, though its call has not run a step."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about))
    service, late = Service(), list[Any]()
    asked = remotes(service, late=late, batch=2, linger=10 * MS)
    answer = await asked.ask(scam("0.5"), time() + 0.01)
    assert answer == Answer("late", None, "scam-classifier: no answer before the decision's deadline")
    await asyncio.sleep(0.1)
    assert service.calls == [["0.5"]]
    assert late == [("scam", ("0.5",), 0.5, None)]
    assert told == []
    await asked.close()
