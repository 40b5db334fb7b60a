"""Whatever happens to remote models, in any order: every question ends in time, once, and nothing is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quell.signals.remote import Answer, Remotes, RemoteSpec, Request, Target
from tests import virtual_time

NAME = "scam-classifier"
WAIT = 0.5
TIMEOUT = 2.0


@dataclass(frozen=True)
class Step:
    """One question: how long after the one before, about what, with how much time for the decision, whether
    whoever asks goes away at once; and how the call that carries it first goes."""

    after: float
    text: str
    deadline: float | None
    leaves: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.0, 5.0]),
        st.sampled_from("abcdef"),
        st.sampled_from([None, None, None, -1.0, 0.0, 0.1, 3.0]),
        st.sampled_from([False, False, False, False, True]),
    ),
    max_size=40,
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.05, 0.3, 0.5, 1.0, 2.0, 10.0]),
        st.sampled_from(["right", "right", "right", "raises", "few", "wrong", "null", "cancelled"]),
    ),
    max_size=30,
)
TARGETS = st.builds(
    Target,
    st.just(NAME),
    callable=st.just(True),
    timeout=st.just(round(TIMEOUT * 1e6)),
    concurrency=st.integers(1, 4),
    queue=st.integers(0, 6),
    batch=st.integers(1, 4),
    linger=st.sampled_from([0, 2_000, 100_000]),
    cache=st.sampled_from([0, 1_000_000]),
    cache_size=st.integers(1, 3),
    failures=st.integers(0, 3),
    rest=st.sampled_from([1_000_000, 10_000_000]),
)


class World:
    """The target, and everything that was asked, answered and told."""

    def __init__(self, target: Target, calls: list[tuple[float, str]]) -> None:
        self.target = target
        self.calls = list(reversed(calls))
        self.under_way = 0
        self.told: Counter[int] = Counter()
        self.right_late: set[int] = set()

    async def answer(self, inputs: list[dict[str, Any]]) -> list[Any]:
        self.under_way += 1
        assert self.under_way <= self.target.concurrency
        assert len(inputs) <= self.target.batch
        assert len({i["text"] for i in inputs}) == len(inputs)
        seconds, how = self.calls.pop() if self.calls else (0.05, "right")
        try:
            await asyncio.sleep(seconds)
        finally:
            self.under_way -= 1
        if how == "raises":
            raise ValueError
        if how == "cancelled":
            raise asyncio.CancelledError
        one = {"wrong": "high", "null": None}.get(how, 0.5)
        return [one] * (len(inputs) - (how == "few"))

    def late(self, spec: RemoteSpec, request: Request, value: Any, token: Any) -> None:
        assert value == 0.5
        self.told[token] += 1


@given(STEPS, CALLS, TARGETS)
def test_every_question_ends_in_time_and_once(
    steps: list[Step], calls: list[tuple[float, str]], target: Target
) -> None:
    virtual_time.run(_live(steps, World(target, calls)))


async def _live(steps: list[Step], world: World) -> None:
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    spec = RemoteSpec("scam", NAME, ("text",), (), round(WAIT * 1e6))
    remotes = Remotes(
        {"scam": spec}, {NAME: world.target}, callables={NAME: world.answer}, on_late=world.late
    )
    asked: list[asyncio.Future[Answer]] = []
    ended: dict[int, float] = {}
    due: list[float] = []
    for number, step in enumerate(steps):
        await asyncio.sleep(step.after)
        deadline = None if step.deadline is None else loop.time() + step.deadline
        due.append(min(loop.time() + WAIT, max(deadline or 1e9, loop.time())))
        future = remotes.ask(Request("scam", (step.text,)), deadline, number)
        future.add_done_callback(partial(_note, ended, number))
        asked.append(future)
        if step.leaves:
            future.cancel()
    await asyncio.sleep(WAIT + 0.01)
    assert all(f.done() for f in asked)
    assert all(ended[n] <= due[n] + 1e-6 for n in range(len(steps)))
    await asyncio.sleep(TIMEOUT + 1)
    figures = remotes.stats().get(NAME)
    statuses = Counter(f.result().status for f in asked if not f.cancelled())
    if figures is not None:
        assert (figures.in_flight, figures.waiting) == (0, 0)
        assert figures.asked == len(steps)
        for status in ("answered", "cached", "late", "failed", "invalid", "open", "busy"):
            assert getattr(figures, status) == statuses[status]
    for number, future in enumerate(asked):
        answer = None if future.cancelled() else future.result()
        if answer is not None:
            assert (answer.value == 0.5) == (answer.status in ("answered", "cached") and not answer.reason)
        # Told of late answers are those who heard nothing in time, and each at most once.
        assert world.told[number] <= (answer is not None and answer.status == "late")
    # However it went, a target that is well again is asked again.
    world.calls.clear()
    await asyncio.sleep(10)
    last = await remotes.ask(Request("scam", ("last",)))
    assert last == Answer("answered", 0.5)
    await remotes.close()
    assert asyncio.all_tasks() == before


def _note(ended: dict[int, float], number: int, future: asyncio.Future[Answer]) -> None:
    ended[number] = future.get_loop().time()


# ---------------------------------------------------------------------- any bytes

_HEADS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b'{"answers":[0.5]}',
        b"\r\n\r\n",
        b"\r\n0\r\n\r\n",
    ]
)
_REPLIES = st.lists(_HEADS | st.binary(max_size=30), max_size=5).map(b"".join)


@given(st.lists(_REPLIES, min_size=1, max_size=4), st.integers(1, 40))
def test_any_bytes_are_answered_somehow(replies: list[bytes], step: int) -> None:
    """Whatever a server sends, in pieces of any size, before it hangs up."""

    async def main() -> None:
        before = asyncio.all_tasks()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}]}")
            sent = replies[0] if len(replies) == 1 else replies.pop()
            for start in range(0, len(sent), step):
                writer.write(sent[start : start + step])
                await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        spec = RemoteSpec("scam", NAME, ("text",), (), 60_000_000)
        remotes = Remotes({"scam": spec}, {NAME: Target(NAME, url=url, failures=0)})
        for n in range(4):
            answer = await remotes.ask(Request("scam", (n,)))
            assert answer.status in ("answered", "failed", "invalid")
            assert (answer.value == 0.5) == (answer.status == "answered")
        await remotes.close()
        server.close()
        await server.wait_closed()
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 60))
