"""What a service wrote down, made again: the same decisions, and the same memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.bundle import Files, Settings
from quell.engine.carry import sections
from quell.engine.compile import Build, analyse, build
from quell.engine.decision import Decision, Refused
from quell.engine.hand import LabelError, made
from quell.engine.remake import RemakeError, Remaker, quiet_number
from quell.engine.service import Service
from quell.engine.service_keeping import UNWRITTEN
from quell.engine.service_types import Entry, Kind, VersionInfo
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from quell.signals.remote_types import Target
from tests import virtual_time

START = 1_767_268_800_000_000
FIRST = """
entity User labels "spammer", "watched"
event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  content text = $.content
model scam from remote "scam-classifier"
  content = content
  wait 400ms
  when length(content) > 4
let burst = count(message by author within 10s)
let sure = count(message by author within 1h where (scam ?? 0) > 50%)
rule flood on message
  when burst > 2
  then review
       label author "watched" for 1m
       send "queue" { who: author, burst: burst } limit 1 per author every 20s
  because "{burst} within 10s"
rule scammer on message
  when scam > 50% or author labelled "spammer"
  then block
       label author "spammer" for 30s
  because "{scam} likely, {sure} before"
"""
SECOND = (
    FIRST.replace("burst > 2", 'burst > 1 and not author labelled "spammer"')
    + """
let strikes = count(fired flood by author within 1m)
let texts = distinct(content of message by author within 30s)
rule repeat on message
  when strikes > 1 or texts > 3
  then flag
  because "{strikes} and {texts}"
"""
)
INFO = VersionInfo(1, "first", 0, "test", "start")


def bundle(text: str) -> Build:
    """The bundle of a text, with one target for remote models."""
    settings = Settings(remote={"scam-classifier": Target("scam-classifier", callable=True, failures=0)})
    analysis = analyse(Files("remade", {"p.quell": Source("p.quell", text)}, settings), lints=False)
    return build(analysis)


BUILDS = {1: bundle(FIRST), 2: bundle(SECOND), 3: bundle(FIRST)}


class Written:
    """A journal in memory. `failing` lets it refuse what is handed over."""

    durability: Literal["each", "batch", "off"] = "batch"

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.flushed = 0
        self.problem = ""
        self.failing = False

    def append(
        self,
        kind: Kind,
        seq: int,
        decided: int,
        at: int,
        version: int,
        wall: int,
        event: bytes,
        reply: bytes,
        key: bytes = b"",
    ) -> None:
        self.entries.append(Entry(kind, seq, decided, at, version, wall, event, reply, key))

    def flush(self) -> bool:
        self.problem = "the disk is full" if self.failing else ""
        if not self.failing:
            self.flushed = len(self.entries)
        return not self.failing

    def synced(self) -> None:
        return None


class World:
    """Remote answers that take their time, by chance of a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    async def answer(self, inputs: Sequence[dict[str, Any]]) -> list[float]:
        await asyncio.sleep(self.chance.choice([0.0, 0.05, 0.2, 0.39, 0.6]))
        return [self.chance.choice([0.1, 0.9]) for _ in inputs]


def event(number: int, author: str, content: str, second: float) -> bytes:
    """A message as JSON."""
    at = (START + int(second * 1e6)) / 1e6
    return msgspec.json.encode(
        {"type": "message", "id": str(number), "at": at, "author": author, "content": content}
    )


def memory(stepper: Stepper) -> bytes:
    """All that a stepper remembers."""
    return msgspec.msgpack.encode(list(sections(stepper)))


def service(world: World, journal: Written) -> Service:
    """A service that has put down its first version."""
    out = Service(
        Stepper(BUILDS[1]),
        journal=journal,
        functions={"scam-classifier": world.answer},
        clock=lambda: START * 1000 + 10**15,
    )
    out.note_version(INFO)
    return out


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["event"] * 12 + ["swap", "label", "quiet", "many", "sleep"]),
        st.sampled_from("abc"),
        st.sampled_from(["hi", "hello there", "a longer text", "buy now"]),
        st.sampled_from([0.0, 0.0, 0.05, 0.3, 1.0]),
    ),
    max_size=60,
)


async def live(acts: list[tuple[str, str, str, float]], running: Service) -> list[asyncio.Future[Any]]:
    """Do what the acts say; gives what was begun."""
    begun: list[asyncio.Future[Any]] = []
    second, number = 0.0, 1
    for place, (what, author, content, after) in enumerate(acts):
        second += after * 3
        if what == "event":
            answer = running.begin(event(place, author, content, second))
            begun.append(asyncio.ensure_future(_whole(answer)))
        elif what == "many":
            events = [event(place * 100 + i, author, content, second) for i in range(3)]
            begun.append(asyncio.ensure_future(_whole(running.begin_many(events))))
        elif what == "swap":
            number = number % 3 + 1
            await running.swap(BUILDS[number], VersionInfo(number, "", 0, "test", "asked for"))
        elif what == "label":
            action = made(
                "set", "User", author, "spammer", at=START + int(second * 1e6), by="ana", lasts=5_000_000
            )
            begun.append(asyncio.ensure_future(running.label(action)))
        elif what == "quiet":
            await running.quiet(1.0)
        await asyncio.sleep(after)
    return begun


async def _whole(answer: Any) -> Any:
    return await answer if isinstance(answer, asyncio.Future) else answer


@given(ACTS, st.integers(0, 9), st.data())
def test_what_was_written_is_made_again_to_the_last_key(
    acts: list[tuple[str, str, str, float]], seed: int, data: st.DataObject
) -> None:
    journal = Written()
    running: list[Service] = []

    async def main() -> None:
        running.append(service(World(seed), journal))
        for answer in await live(acts, running[0]):
            await answer
        await running[0].close()

    virtual_time.run(main())
    assert journal.flushed == len(journal.entries)
    remaker = Remaker(BUILDS.__getitem__)
    remaker.take_all(journal.entries)
    assert (remaker.differing, remaker.waiting) == (0, {})
    assert memory(remaker.stepper) == memory(running[0].engine.stepper)
    # As after a kill: what waited then is decided, and it can be made again once more.
    cut = data.draw(st.integers(0, len(journal.entries)))
    killed = Remaker(BUILDS.__getitem__)
    killed.take_all(journal.entries[:cut])
    waiting, left = sorted(killed.waiting), journal.entries[:cut]
    finished = killed.finish() if left else []
    assert [was.seq for was, _ in finished] == waiting
    for was, reply in finished:
        assert isinstance(reply, Decision)
        assert all(a.status == "failed" for a in reply.asked if a.reason.startswith("the service ended"))
        left.append(
            Entry(
                "decided", was.seq, reply.decided, reply.at, killed.number, 0, b"", msgspec.json.encode(reply)
            )
        )
    again = Remaker(BUILDS.__getitem__)
    again.take_all(left)
    assert again.differing == 0
    if left:
        assert memory(again.stepper) == memory(killed.stepper)
        quiet = quiet_number(left)
        assert quiet == max(e.decided or e.seq for e in left)


def test_while_the_journal_cannot_be_written_nothing_is_counted() -> None:
    journal = Written()

    async def main() -> None:
        running = service(World(1), journal)
        first = await running.decide(event(1, "a", "hi", 0))
        assert isinstance(first[0], Decision)
        journal.failing = True
        # This one finds out: it is counted, and goes into the journal once that can be written again.
        found, _ = await running.decide(event(2, "a", "hi", 1))
        assert isinstance(found, Refused)
        assert found.kind == UNWRITTEN
        assert "the disk is full" in found.message
        seq = running.engine.stepper.seq
        refused, _ = await running.decide(event(3, "a", "hi", 2))
        assert isinstance(refused, Refused)
        assert running.engine.stepper.seq == seq
        with pytest.raises(LabelError, match="the disk is full"):
            await running.label(made("set", "User", "a", "spammer", at=START, by="ana"))
        journal.failing = False
        after, _ = await running.decide(event(4, "a", "hi", 3))
        assert isinstance(after, Decision)
        assert [e.seq for e in journal.entries] == [1, 2, 3, 4]
        await running.close()
        remaker = Remaker(BUILDS.__getitem__)
        remaker.take_all(journal.entries)
        assert remaker.differing == 0
        assert memory(remaker.stepper) == memory(running.engine.stepper)

    virtual_time.run(main())


def test_a_journal_that_is_no_run_is_told() -> None:
    remaker = Remaker(BUILDS.__getitem__)
    with pytest.raises(RemakeError, match="which version"):
        remaker.take(Entry("event", 1, 1, START, 0, 0, event(1, "a", "hi", 0), b"{}"))
    remaker.take(Entry("version", 1, 0, 0, 1, 0, b"", b"{}"))
    with pytest.raises(RemakeError, match="event 2 was decided, and now it is refused"):
        remaker.take(Entry("event", 2, 2, START, 1, 0, b"{}", b"{}"))
    with pytest.raises(RemakeError, match="which is not there"):
        remaker.take(Entry("decided", 2, 3, START, 1, 0, b"", b"{}"))
    with pytest.raises(RemakeError, match="version 2"):
        remaker.take(Entry("event", 3, 3, START, 2, 0, event(1, "a", "hi", 0), b"{}"))
    remaker.take(Entry("event", 3, 3, START, 1, 0, event(1, "a", "hi", 0), b"{}"))
    assert remaker.different == [3]
