"""Deciding while a model server misbehaves: no decision is lost, and each says what it lacked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quell.engine.decision import Decision
from quell.engine.engine import Engine
from quell.engine.recorded import replay
from quell.engine.stepper import Stepper
from quell.signals.remote import Remotes
from tests.remote_server import Mode, RemoteServer, flapping

START = 1_772_323_200_000_000
POLICY = """
entity User labels "spammer"

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

event scam_answer from "scam_answer"
  id      text   = $.id
  at      time   = $.at
  author  User   = $.inputs.author
  likely  number = $.answer.score

let burst = count(message by author within 1m)

model scam from remote "scam-classifier"
  author  = author
  content = content
  burst   = burst
  when length(content) > 1
  wait WAIT

rule quick on message
  when burst > 30
  then flag

rule slow on message
  when scam > 0.5 and not (author labelled "spammer")
  then block
       label author "spammer" for 20s
  because "{scam} after {burst}"

rule strikes on message
  when count(fired slow by author within 1m) >= 2
  then block

rule found_late on scam_answer
  when likely > 0.5
  then label author "spammer" for 1m
"""
SETTINGS = """
[remote.scam-classifier]
url = "URL"
late = "scam_answer"
timeout = "TIMEOUT"
concurrency = 40
queue = 60
batch = 4
breaker = { failures = 12, seconds = 1 }
"""


def engine_at(folder: Path, server: RemoteServer, wait: str, timeout: str, told: list[Any]) -> Engine:
    (folder / "policy.quell").write_text(POLICY.replace("WAIT", wait))
    settings = SETTINGS.replace("URL", server.url).replace("TIMEOUT", timeout)
    (folder / "quell.toml").write_text(settings)
    return Engine.load(folder, on_decision=told.append)


def message(i: int) -> bytes:
    at = START + i * 100_000
    text = {"type": "message", "id": str(i), "at": at, "author": f"u{i % 9}", "content": f"hello {i}"}
    return json.dumps(text).encode()


def likely(inputs: dict[str, Any]) -> float:
    return len(inputs["content"]) * 37 % 10 / 10 if inputs["burst"] % 3 else 0.9


MODES: dict[str, Mode] = {
    "fine": "fine",
    "500": flapping("500", "fine"),
    "not-json": flapping("fine", "not-json"),
    "too-few": flapping("too-few", "fine", "fine"),
    "wrong-kind": flapping("wrong-kind", "fine"),
    "truncated": flapping("fine", "truncated", "close"),
    "endless": flapping("endless", "fine", "fine"),
    "nothing": "nothing",
    "hanging": "hanging",
    "down": "fine",
}
"""How the server behaves; `down` is turned off and on again on the way."""


@pytest.mark.parametrize("mode", MODES)
def test_no_decision_is_lost(mode: str, tmp_path: Path) -> None:
    """Hundreds at once; then the run is made again from its record, one event at a time, without a server."""

    async def main() -> None:
        before = asyncio.all_tasks()
        async with RemoteServer(MODES[mode]) as server:
            server.answer = likely
            told: list[Any] = []
            hangs = mode == "hanging"
            engine = engine_at(
                tmp_path, server, "100ms" if hangs else "60s", "200ms" if hangs else "60s", told
            )

            async def one(i: int) -> tuple[bytes, Decision]:
                decision = await engine.decide(message(i))
                assert isinstance(decision, Decision)
                return message(i), decision

            records = []
            for turn in range(4):
                if mode == "down" and turn in (1, 3):
                    await (server.stop if turn == 1 else server.start)()
                records += await asyncio.gather(*(one(i) for i in range(turn * 150, turn * 150 + 150)))
            await engine.close()
            assert isinstance(engine.remotes, Remotes)
            figures = engine.remotes.stats()["scam-classifier"]
            while server.open:  # or this never ends
                await asyncio.sleep(0.001)
        assert asyncio.all_tasks() == before
        check(mode, records, figures.asked)
        again = list(replay(Stepper.load(tmp_path), records))
        assert [now for _, now in again] == [then for then, _ in again]
        assert len(again) == len(told) == len(records)

    asyncio.run(asyncio.wait_for(main(), 120))


def check(mode: str, records: list[tuple[bytes, Decision]], asked: int) -> None:
    """Every decision tells of its question, and why it has no answer; the counters saw every event."""
    assert [d.seq for _, d in records] == sorted(d.seq for _, d in records)
    ended: Counter[str] = Counter()
    for _, decision in records:
        for told in decision.asked:  # nobody is asked about an author who is labelled already
            ended[told.status] += 1
            assert (told.value is not None) == (told.status in ("answered", "cached"))
            assert (told.reason == "") == (told.value is not None)
    assert len(records) == 600
    assert 150 < asked == ended.total()
    assert (ended["answered"] > 0) == (mode not in ("nothing", "hanging"))
    if mode == "fine":
        assert set(ended) <= {"answered", "busy"}
    else:
        assert set(ended) - {"answered", "busy"}
    last = {json.loads(e)["author"]: d for e, d in records}
    assert all("quick" in [f.rule for f in d.fired] for d in last.values())  # 66 messages of each in a minute


def test_late_answers_are_events_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with RemoteServer(delay=0.3) as server:
            server.answer = lambda inputs: 0.9
            told: list[Any] = []
            engine = engine_at(tmp_path, server, "50ms", "60s", told)
            decisions = await asyncio.gather(*(engine.decide(message(i)) for i in range(40)))
            made = [d for d in decisions if isinstance(d, Decision) and d.asked[0].status == "late"]
            assert [d.verdict for d in made] == ["allow"] * 40
            while len(told) < 80:
                await asyncio.sleep(0.01)
            late = told[40:]
            assert {d.event for d in late} == {"scam_answer"}
            assert sorted(d.id for d in late) == sorted(f"{d.seq}/scam" for d in told[:40])
            await engine.close()

    asyncio.run(asyncio.wait_for(main(), 120))
